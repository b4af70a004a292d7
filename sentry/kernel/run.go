package kernel

import (
	"fmt"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// result is what the present system call left to be done before the guest runs
// again.
type result struct {
	nr      uint64
	restart errno.Errno // one of the restart codes, or 0
	keep    bool        // the handler set the registers itself
	exit    bool        // the task is to exit with status
	status  linux.WaitStatus
}

// start runs the task goroutine.
func (t *Task) start() {
	t.k.tasks.running.Add(1)
	go func() {
		defer t.k.tasks.running.Done()
		t.run()
	}()
}

// run alternates between the guest and what it asks for, until the task exits.
func (t *Task) run() {
	if t.k.onPanic != nil {
		defer t.k.onPanic()
	}
	t.sysSince = t.k.sinceBoot()
	for t.readyForGuest() {
		ev := t.switchToGuest()
		switch ev.Kind {
		case platform.Syscall:
			t.syscall()
		case platform.Fault:
			t.fault(&ev)
		case platform.Interrupted:
		case platform.Killed:
			// The host took the address space: out of memory, as a rule.
			t.exitGroup(linux.KilledStatus(linux.SIGKILL))
		default:
			panic(fmt.Sprintf("kernel: platform returned event %d", ev.Kind))
		}
	}
	// What the end writes to memory, others are woken to read at once.
	t.settle()
	t.transfer = nil
	t.exit()
}

// switchToGuest runs the guest until something happens. Whoever sets work after
// the test in here finds the thread in guest and interrupts it.
func (t *Task) switchToGuest() platform.Event {
	t.k.pause.pass()
	th := t.thread
	if t.guestRef == nil || *t.guestRef != th {
		ref := th
		t.guestRef = &ref // once per program: this is the path of every call
		t.toldAnswers = 0
		t.transfer, _ = th.(platform.Transferrer)
	}
	t.guest.Store(t.guestRef)
	defer t.guest.Store(nil)
	if t.work.Load() || t.k.Paused() {
		return platform.Event{Kind: platform.Interrupted}
	}
	t.tellAnswers(th)
	began := t.k.sinceBoot()
	t.sysNS.Add(began - t.sysSince)
	t.guestSince.Store(max(began, 1))
	ev := th.Switch(&t.regs)
	t.guestSince.Store(0)
	t.sysSince = t.k.sinceBoot()
	t.guestNS.Add(t.sysSince - began)
	return ev
}

// syscall serves the call in the registers.
func (t *Task) syscall() {
	nr := t.regs.SyscallNumber()
	t.args = t.regs.SyscallArgs()
	t.result = result{nr: nr}
	t.inSysNR.Store(int64(nr))
	if t.k.trace != nil {
		t.tracedCall(nr, &t.args)
	} else {
		t.finish(t.handle(nr, &t.args))
	}
	t.inSysNR.Store(-1)
}

// finish stores a call's result in the registers, or notes that it restarts.
func (t *Task) finish(v uint64, err error) {
	if t.result.keep {
		return
	}
	if err == nil {
		t.regs.SetReturn(v)
		return
	}
	e := errno.FromHost(err)
	if e.IsRestart() {
		t.result.restart = e
		t.work.Store(true)
		return
	}
	t.regs.SetReturn(failure(e))
}

func (t *Task) tracedCall(nr uint64, args *[6]uint64) {
	enter := t.k.table.TraceEnter(t, nr, args)
	v, err := t.handle(nr, args)
	var left string
	if t.result.keep || t.result.exit {
		left = "= ?"
	} else {
		left = t.k.table.TraceExit(v, err)
	}
	fmt.Fprintf(t.k.trace, "[%d:%s] %s %s\n", t.pid.In(t.k.tasks.root), t.comm, enter, left)
	t.finish(v, err)
}

// KeepRegisters is called by a handler that has set the registers itself
// (execve, sigreturn): its result is not stored.
func (t *Task) KeepRegisters() { t.result.keep = true }

// readyForGuest does what stands between the task and the guest: signals,
// stops, exits, restarts. It returns false when the task has to exit.
func (t *Task) readyForGuest() bool {
	if t.result.exit {
		return false
	}
	for t.work.Load() {
		t.work.Store(false)
		if !t.doWork() {
			return false
		}
	}
	return true
}

// doWork acts on one signal or stop after the other until there is none left.
func (t *Task) doWork() bool {
	for {
		h := t.group.handlers()
		h.mu.Lock()
		switch {
		case t.group.sig.exiting:
			t.result.status = t.group.sig.status
			h.mu.Unlock()
			return false
		case t.sig.killed:
			h.mu.Unlock()
			return false
		case t.group.sig.stopping:
			h.mu.Unlock()
			t.joinStop()
			continue
		}
		q, ok := t.sig.pending.take(^t.sig.blocked)
		if !ok {
			q, ok = t.group.sig.pending.take(^t.sig.blocked)
		}
		if !ok {
			if t.sig.hasSaved {
				t.sig.hasSaved = false
				t.sig.blocked = t.sig.saved
				if t.hasWorkLocked() {
					t.work.Store(true)
				}
			}
			h.mu.Unlock()
			t.restartWithoutHandler()
			return true
		}
		s := linux.Signal(q.info.Signo)
		act := h.actions[s]
		if act.Handler != linux.SIG_DFL && act.Handler != linux.SIG_IGN && act.Flags&linux.SA_RESETHAND != 0 {
			h.actions[s].Handler = linux.SIG_DFL
		}
		h.mu.Unlock()
		if q.src != nil {
			q.src.Dequeued(&q.info)
		}
		if !t.act(s, &q.info, &act) {
			return false
		}
	}
}

// act does what the action of a signal says. False: the task exits.
func (t *Task) act(s linux.Signal, info *linux.SigInfo, act *linux.SigAction) bool {
	switch act.Handler {
	case linux.SIG_IGN:
		return true
	case linux.SIG_DFL:
		return t.actByDefault(s, info)
	}
	t.restartForHandler(act)
	if err := t.deliver(info, act); err != nil {
		// No room for the frame: as Linux, a SIGSEGV that cannot be caught
		// if it was one already.
		t.forceFault(linux.SIGSEGV, linux.SI_KERNEL, 0, s == linux.SIGSEGV)
	}
	return true
}

func (t *Task) actByDefault(s linux.Signal, info *linux.SigInfo) bool {
	switch {
	case ignoredByDefault.Has(s):
		return true
	case t.group.protected(s, info):
		return true
	case stopSignals.Has(s):
		t.beginStop(s)
		return true
	default:
		// No core is written, as under RLIMIT_CORE 0, so the status says none.
		t.exitGroup(linux.KilledStatus(s))
		return false
	}
}

// protected says whether the first process of a pid namespace is spared: it
// has no default actions but for faults of its own and SIGKILL from outside. What
// comes this far was blocked when it was sent; see get_signal in kernel/signal.c.
func (g *ThreadGroup) protected(s linux.Signal, info *linux.SigInfo) bool {
	if !g.isInit() || g.pidNS.mortalInit || s == linux.SIGKILL {
		return false
	}
	fault := info.Code > 0 && synchronousSignals.Has(s)
	return !fault
}

// exitGroup ends the process with a status, unless it is ending already.
func (t *Task) exitGroup(st linux.WaitStatus) {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	t.group.killLocked(st)
	t.result.exit = true
}

// ExitGroup is exit_group(2).
func (t *Task) ExitGroup(code int32) { t.exitGroup(linux.ExitStatus(code)) }

// Exit is exit(2): the calling thread only.
func (t *Task) Exit(code int32) {
	t.result.exit, t.result.status = true, linux.ExitStatus(code)
}

// restartForHandler decides about an interrupted call before a handler runs.
func (t *Task) restartForHandler(act *linux.SigAction) {
	switch t.result.restart {
	case 0:
		return
	case errno.ERESTARTNOINTR:
		t.regs.RestartSyscall(t.result.nr)
	case errno.ERESTARTSYS:
		if act.Flags&linux.SA_RESTART != 0 {
			t.regs.RestartSyscall(t.result.nr)
			break
		}
		fallthrough
	default:
		t.regs.SetReturn(failure(errno.EINTR))
	}
	t.result.restart = 0
}

// restartWithoutHandler lets an interrupted call begin again.
func (t *Task) restartWithoutHandler() {
	switch t.result.restart {
	case 0:
		return
	case errno.ERESTART_RESTARTBLOCK:
		t.regs.RestartSyscall(restartSyscallNumber)
	default:
		t.regs.RestartSyscall(t.result.nr)
	}
	t.result.restart = 0
}

// fault turns an exception of the guest into a signal, unless the memory
// manager can mend its cause (a stack that grows).
func (t *Task) fault(ev *platform.Event) {
	if ev.Signal == linux.SIGSEGV && t.mm.HandleFault(t.thread, usermem.Addr(ev.Addr)) == nil {
		return
	}
	t.lastFault = *ev
	t.forceFault(ev.Signal, ev.Code, uint64(ev.Addr), false)
}

// forceFault sends the thread a signal that it cannot ignore or block: then the
// default action, which ends the process, takes its place.
func (t *Task) forceFault(s linux.Signal, code int32, addr uint64, fatal bool) {
	info := linux.SigInfo{Signo: int32(s), Code: code}
	info.SetAddr(addr)
	t.ForceSignal(info, fatal)
}

// ForceSignal is forceFault with any information.
func (t *Task) ForceSignal(info linux.SigInfo, fatal bool) {
	s := linux.Signal(info.Signo)
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.actions[s].Handler; fatal || a == linux.SIG_IGN || t.sig.blocked.Has(s) {
		h.actions[s] = linux.SigAction{}
		t.sig.blocked &^= s.Bit()
	}
	t.sig.pending.add(info, nil)
	t.work.Store(true)
}

// beginStop starts a group stop: every thread comes to joinStop.
func (t *Task) beginStop(s linux.Signal) {
	g := t.group
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	if s != linux.SIGSTOP && g.pgrp.orphanedLocked() {
		return // nobody could let it go on; POSIX, "Orphaned Process Group"
	}
	h := g.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	if g.sig.stopping || g.sig.exiting {
		return
	}
	g.sig.stopping, g.sig.stopSig, g.sig.toStop = true, s, 0
	for u := range g.tasks {
		if !u.exited {
			g.sig.toStop++
			u.interrupt()
		}
	}
}

// joinStop stops the task until the group goes on or is killed. The last thread
// to come tells the parent.
func (t *Task) joinStop() {
	t.settle()
	g := t.group
	h := g.handlers()
	h.mu.Lock()
	complete := false
	if g.sig.stopping && !t.sig.inStop {
		t.sig.inStop = true
		complete = g.stoppedOneLocked()
	}
	h.mu.Unlock()
	if complete {
		g.tellStopped()
	}
	t.state.Store(int32(StateStopped))
	defer t.state.Store(int32(StateRunning))
	for {
		h.mu.Lock()
		over := !g.sig.stopping || g.sig.exiting || t.sig.killed
		h.mu.Unlock()
		if over {
			return
		}
		<-t.wake
	}
}

// stoppedOneLocked counts a thread as stopped and says whether it was the last.
func (g *ThreadGroup) stoppedOneLocked() bool {
	g.sig.toStop--
	if g.sig.toStop > 0 {
		return false
	}
	g.sig.stopped = true
	g.sig.report, g.sig.hasReport = linux.StoppedStatus(g.sig.stopSig, 0), true
	return true
}

func (g *ThreadGroup) tellStopped() {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	g.notifyParentLocked(linux.CLD_STOPPED, int32(g.sig.stopSig))
}

// notifyParentLocked tells the parent of a stop or continue, by SIGCHLD (unless
// SA_NOCLDSTOP) and by ending its wait.
func (g *ThreadGroup) notifyParentLocked(code int32, status int32) {
	p := g.parent
	if p == nil {
		return
	}
	info := g.childInfoLocked(code, status)
	h := p.handlers()
	h.mu.Lock()
	if h.actions[linux.SIGCHLD].Flags&linux.SA_NOCLDSTOP == 0 {
		_ = p.queueLocked(h, nil, info, nil, Outside)
	}
	h.mu.Unlock()
	p.childWait.Notify(waiter.In)
}

// childInfoLocked is the siginfo of a SIGCHLD about g.
func (g *ThreadGroup) childInfoLocked(code, status int32) linux.SigInfo {
	info := linux.SigInfo{Signo: int32(linux.SIGCHLD), Code: code}
	info.SetPID(g.pid.In(g.parent.pidNS))
	info.SetUID(g.parent.leader.Creds().UserNS.UID(g.leader.Creds().UID))
	info.SetStatus(status)
	u := g.usageLocked()
	info.SetUtime(Ticks(u.User))
	info.SetStime(Ticks(u.System))
	return info
}

// failure is how a call's result tells an error.
func failure(e errno.Errno) uint64 { return -uint64(e) }
