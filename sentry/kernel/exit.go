package kernel

import (
	"maps"
	"slices"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/futex"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// exit ends the task: it gives back everything, tells whoever has to know, and
// leaves a zombie if it was the last thread of its process. It runs on the task
// goroutine, which ends with it.
func (t *Task) exit() {
	t.leaveMemory()
	if t.lastThread() {
		t.group.endAttachments(byExit)
	}
	t.releaseFiles()
	t.notifyExit()
}

// lastThread says whether no other thread of the group is alive.
func (t *Task) lastThread() bool {
	return t.group.Count() == 1
}

// leaveMemory releases held futexes, stores the cleared thread id and lets the
// address space go.
func (t *Task) leaveMemory() {
	if t.mm != nil {
		o := t.futexOwner()
		if head := t.RobustList(); head != 0 {
			t.k.futexes.ReleaseRobust(t, head, o)
		}
		t.k.futexes.OwnerExited(t)
		// With nobody left to look, Linux saves itself the store.
		if t.clearTID != 0 && t.mm.Users() > 1 {
			if t.clearTID.Store(t, 0) == nil {
				w := futex.Word{Addr: t.clearTID.Addr(), Scope: futex.Shared}
				_, _ = t.k.futexes.Wake(t, w, 1, futex.MatchAny)
				w.Scope = futex.Private
				_, _ = t.k.futexes.Wake(t, w, 1, futex.MatchAny)
			}
		}
	}
	t.releaseSpace()
	t.letVforkGo()
}

// releaseSpace closes the host thread and lets the address space go. The last
// user ends the space first: that takes its threads along at less cost.
func (t *Task) releaseSpace() {
	th := t.thread
	t.thread, t.transfer = nil, nil
	last := t.mm != nil && t.mm.Users() == 1
	if last {
		t.releaseMM()
	}
	if th != nil {
		th.Close()
	}
	if !last {
		t.releaseMM()
	}
}

// futexOwner is the task as the owner of PI and robust futexes.
func (t *Task) futexOwner() futex.Owner {
	return futex.Owner{Task: t, TID: uint32(t.TID()), Find: func(tid uint32) any {
		if u := t.pidNS.Task(int32(tid)); u != nil {
			return u
		}
		return nil
	}}
}

// FutexOwner is the task as an owner of futexes, for the futex calls.
func (t *Task) FutexOwner() futex.Owner { return t.futexOwner() }

func (t *Task) releaseMM() {
	t.mu.Lock()
	m := t.mm
	t.mm = nil
	t.mu.Unlock()
	if m != nil {
		m.DecUsers()
	}
}

func (t *Task) releaseFiles() {
	t.mu.Lock()
	fds, fs := t.fds, t.fs
	t.fds, t.fs = nil, nil
	t.mu.Unlock()
	if fds != nil {
		fds.DecRef()
	}
	if fs != nil {
		fs.DecRef()
	}
}

// notifyExit takes the task out of the world.
func (t *Task) notifyExit() {
	s := &t.k.tasks
	g := t.group
	s.mu.Lock()
	var signals []deferredSignal
	h := g.handlers()
	h.mu.Lock()
	t.exited = true
	g.live--
	delete(s.live, t)
	t.state.Store(int32(StateZombie))
	stopped := false
	if g.sig.stopping && !g.sig.stopped && !t.sig.inStop && g.live > 0 {
		stopped = g.stoppedOneLocked()
	}
	if !g.sig.exiting && g.live == 0 {
		g.sig.status = t.result.status
	}
	if t != g.leader {
		delete(g.tasks, t)
	}
	h.mu.Unlock()
	g.usage.add(t.Usage())
	if t != g.leader {
		t.state.Store(int32(StateDead))
		t.pid.task = nil
		t.pid.putLocked()
	}
	signals = t.parentDeathLocked(signals)
	if stopped {
		g.notifyParentLocked(linux.CLD_STOPPED, int32(g.sig.stopSig))
	}
	if g.execing != nil && g.live == 1 {
		g.execing.wakeUp()
	}
	if g.live == 0 {
		signals = g.endLocked(signals)
	}
	s.mu.Unlock()
	for _, d := range signals {
		if d.task != nil {
			_ = d.task.SendSignal(d.info, Outside)
		} else {
			_ = d.group.SendSignal(d.info, Outside)
		}
	}
}

// deferredSignal is sent when the task set is unlocked again.
type deferredSignal struct {
	task  *Task
	group *ThreadGroup
	info  linux.SigInfo
}

// parentDeathLocked collects what children asked to get when t, who made them,
// exits (PR_SET_PDEATHSIG).
func (t *Task) parentDeathLocked(out []deferredSignal) []deferredSignal {
	heir := t.group.anyLiveLocked()
	for c := range t.group.children {
		if c.parentTask != t {
			continue
		}
		c.parentTask = heir
		if c.zombie {
			continue
		}
		for u := range c.tasks {
			if u.parentDeath != 0 && !u.exited {
				out = append(out, deferredSignal{task: u, info: KernelSignal(u.parentDeath)})
			}
		}
	}
	return out
}

// anyLiveLocked is a thread that has not exited, or nil.
func (g *ThreadGroup) anyLiveLocked() *Task {
	for u := range g.tasks {
		if !u.exited {
			return u
		}
	}
	return nil
}

// SetParentDeath is prctl(PR_SET_PDEATHSIG).
func (t *Task) SetParentDeath(s linux.Signal) {
	t.k.tasks.mu.Lock()
	defer t.k.tasks.mu.Unlock()
	t.parentDeath = s
}

// ParentDeath returns it.
func (t *Task) ParentDeath() linux.Signal {
	t.k.tasks.mu.RLock()
	defer t.k.tasks.mu.RUnlock()
	return t.parentDeath
}

// endLocked makes the process a zombie: its children go to another parent, jobs
// that nobody watches any more are told, and the parent is.
func (g *ThreadGroup) endLocked(out []deferredSignal) []deferredSignal {
	g.zombie = true
	g.status = g.sig.status
	if g.isInit() {
		out = g.pidNS.killAllLocked(out)
	}
	out = g.giveAwayChildrenLocked(out)
	out = g.leaveSessionLocked(out)
	out = g.orphanJobsLocked(out)
	g.exitWait.Notify(waiter.In)
	return g.tellParentLocked(out)
}

// killAllLocked ends everything else in a pid namespace whose init has exited.
func (ns *PIDNamespace) killAllLocked(out []deferredSignal) []deferredSignal {
	ns.dead = true
	for _, p := range ns.pids {
		if p.group != nil && !p.group.zombie {
			out = append(out, deferredSignal{group: p.group, info: KernelSignal(linux.SIGKILL)})
		}
	}
	return out
}

// giveAwayChildrenLocked finds a new parent for the children: the nearest
// subreaper above, or the init of the namespace.
func (g *ThreadGroup) giveAwayChildrenLocked(out []deferredSignal) []deferredSignal {
	if len(g.children) == 0 {
		return out
	}
	heir := g.heirLocked()
	for c := range g.children {
		delete(g.children, c)
		wasOrphan := c.pgrp != nil && c.pgrp.orphanedLocked()
		c.parent, c.parentTask = heir, nil
		g.k.answersChanged(c)
		if heir == nil {
			if c.zombie {
				c.reapLocked()
			}
			continue
		}
		heir.children[c] = struct{}{}
		c.exitSignal = linux.SIGCHLD
		if c.zombie {
			out = c.tellParentLocked(out)
		} else if c.pgrp != nil && !wasOrphan {
			out = c.pgrp.ifOrphanedLocked(out)
		}
	}
	return out
}

func (g *ThreadGroup) heirLocked() *ThreadGroup {
	for p := g.parent; p != nil && g.hasSubreap && p.pidNS == g.pidNS; p = p.parent {
		if p.subreaper && !p.zombie {
			return p
		}
	}
	if init := g.pidNS.init; init != g && init != nil && !init.zombie {
		return init
	}
	return nil
}

// leaveSessionLocked: the end of a session leader hangs up its terminal.
func (g *ThreadGroup) leaveSessionLocked(out []deferredSignal) []deferredSignal {
	s := g.pgrp.session
	if s.leader != g {
		return out
	}
	s.leader = nil
	if s.tty == nil {
		return out
	}
	fg := s.tty.foreground
	s.dropTTYLocked()
	if fg == nil {
		return out
	}
	for m := range fg.members {
		out = append(out,
			deferredSignal{group: m, info: KernelSignal(linux.SIGHUP)},
			deferredSignal{group: m, info: KernelSignal(linux.SIGCONT)})
	}
	return out
}

// orphanJobsLocked: groups of the session that become orphaned by this exit and
// hold stopped processes get SIGHUP and SIGCONT (POSIX, _exit).
func (g *ThreadGroup) orphanJobsLocked(out []deferredSignal) []deferredSignal {
	if g.parent == nil || g.pgrp == nil || g.parent.pgrp == nil {
		return out
	}
	if g.parent.pgrp != g.pgrp && g.parent.pgrp.session == g.pgrp.session {
		out = g.pgrp.ifOrphanedLocked(out)
	}
	return out
}

func (p *ProcessGroup) ifOrphanedLocked(out []deferredSignal) []deferredSignal {
	if !p.orphanedLocked() {
		return out
	}
	stopped := false
	for m := range p.members {
		h := m.handlers()
		h.mu.Lock()
		stopped = stopped || m.sig.stopping
		h.mu.Unlock()
	}
	if !stopped {
		return out
	}
	for m := range p.members {
		out = append(out,
			deferredSignal{group: m, info: KernelSignal(linux.SIGHUP)},
			deferredSignal{group: m, info: KernelSignal(linux.SIGCONT)})
	}
	return out
}

// tellParentLocked sends the exit signal and wakes the parent's wait; a parent
// that ignores SIGCHLD has the zombie reaped at once.
func (g *ThreadGroup) tellParentLocked(out []deferredSignal) []deferredSignal {
	p := g.parent
	if p == nil {
		g.reapLocked()
		return out
	}
	reap := false
	if g.exitSignal == linux.SIGCHLD {
		h := p.handlers()
		h.mu.Lock()
		a := h.actions[linux.SIGCHLD]
		h.mu.Unlock()
		reap = a.Handler == linux.SIG_IGN || a.Flags&linux.SA_NOCLDWAIT != 0
		if a.Handler == linux.SIG_IGN {
			g.exitSignal = 0
		}
	}
	if g.exitSignal != 0 {
		code, status := exitCode(g.status)
		info := g.childInfoLocked(code, status)
		info.Signo = int32(g.exitSignal)
		out = append(out, deferredSignal{group: p, info: info})
	}
	if reap {
		g.reapLocked()
	}
	p.childWait.Notify(waiter.In)
	return out
}

// exitCode is how siginfo tells a wait status.
func exitCode(st linux.WaitStatus) (code, status int32) {
	switch {
	case st.Exited():
		return linux.CLD_EXITED, st.ExitCode()
	case st.CoreDumped():
		return linux.CLD_DUMPED, int32(st.TermSignal())
	default:
		return linux.CLD_KILLED, int32(st.TermSignal())
	}
}

// reapLocked removes a zombie for good.
func (g *ThreadGroup) reapLocked() {
	if g.reaped {
		return
	}
	g.reaped = true
	if p := g.parent; p != nil {
		delete(p.children, g)
		p.childUsage.add(g.usage)
		p.childUsage.add(g.childUsage)
	}
	g.leavePgrpLocked()
	g.leader.state.Store(int32(StateDead))
	g.leader.pid.task = nil
	g.pid.group = nil
	if s := g.pid.session; s != nil && len(s.groups) == 0 {
		g.pid.session = nil
	}
	g.leader.pid.putLocked()
	g.pid.putLocked()
}

// WaitOptions say which children wait looks at and for what.
type WaitOptions struct {
	Match  func(child *ThreadGroup) bool // called with the task set locked
	States int                           // WEXITED, WSTOPPED, WCONTINUED
	Keep   bool                          // WNOWAIT
	NoHang bool
	Clones int // WALL, WCLONE, WNOTHREAD
}

// WaitResult is what wait found.
type WaitResult struct {
	PID    int32 // 0: nothing yet (WNOHANG)
	UID    uint32
	Status linux.WaitStatus
	Usage  Usage
}

// Wait waits for a child to change state. Errors: ECHILD, ERESTARTSYS.
func (t *Task) Wait(o WaitOptions) (WaitResult, error) {
	g := t.group
	e := waiter.Entry{Mask: waiter.In, Waker: t}
	if !o.NoHang {
		g.childWait.Register(&e)
		defer g.childWait.Unregister(&e)
	}
	for {
		r, any := g.collect(&o, t)
		switch {
		case r.PID != 0:
			return r, nil
		case !any:
			return r, errno.ECHILD
		case o.NoHang:
			return r, nil
		}
		if err := t.Sleep(waiter.Never); err != nil {
			return r, err
		}
	}
}

// collect looks for a child with something to report.
func (g *ThreadGroup) collect(o *WaitOptions, t *Task) (r WaitResult, any bool) {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	for _, c := range g.oldestFirstLocked() {
		if !o.Match(c) || !matchesKind(c, o.Clones) || o.Clones&linux.WNOTHREAD != 0 && c.parentTask != t {
			continue
		}
		any = true
		if c.zombie && o.States&linux.WEXITED != 0 {
			r = c.resultLocked(c.status, g)
			if !o.Keep {
				c.reapLocked()
			}
			return r, true
		}
		if st, ok := c.takeReport(o); ok {
			return c.resultLocked(st, g), true
		}
	}
	return r, any
}

// oldestFirstLocked are the children in the order in which Linux keeps them.
func (g *ThreadGroup) oldestFirstLocked() []*ThreadGroup {
	return slices.SortedFunc(maps.Keys(g.children), func(a, b *ThreadGroup) int { return a.started.Compare(b.started) })
}

func matchesKind(c *ThreadGroup, clones int) bool {
	if clones&linux.WALL != 0 {
		return true
	}
	return (c.exitSignal != linux.SIGCHLD) == (clones&int(linux.WCLONE) != 0)
}

// takeReport takes a stop or continue that nobody has waited for.
func (g *ThreadGroup) takeReport(o *WaitOptions) (linux.WaitStatus, bool) {
	h := g.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	st := g.sig.report
	switch {
	case !g.sig.hasReport || g.zombie:
		return 0, false
	case st == linux.ContinuedStatus && o.States&linux.WCONTINUED == 0:
		return 0, false
	case st != linux.ContinuedStatus && o.States&linux.WSTOPPED == 0:
		return 0, false
	}
	if !o.Keep {
		g.sig.hasReport = false
	}
	return st, true
}

func (g *ThreadGroup) resultLocked(st linux.WaitStatus, parent *ThreadGroup) WaitResult {
	u := g.usageLocked()
	u.add(g.childUsage)
	return WaitResult{
		PID:    g.pid.In(parent.pidNS),
		UID:    parent.leader.Creds().UserNS.UID(g.leader.Creds().UID),
		Status: st,
		Usage:  u,
	}
}

// AwaitExit blocks the calling goroutine, which is not a task's, until the
// process has become a zombie, and returns its status.
func (g *ThreadGroup) AwaitExit() linux.WaitStatus {
	w := make(chanWaker, 1)
	e := waiter.Entry{Mask: waiter.In, Waker: w}
	g.exitWait.Register(&e)
	defer g.exitWait.Unregister(&e)
	for {
		g.k.tasks.mu.RLock()
		z, st := g.zombie, g.status
		g.k.tasks.mu.RUnlock()
		if z {
			return st
		}
		<-w
	}
}

// ExitQueue is notified when the process becomes a zombie: pidfd.
func (g *ThreadGroup) ExitQueue() *waiter.Queue { return &g.exitWait }

type chanWaker chan struct{}

func (c chanWaker) Wake(*waiter.Entry, waiter.Events) bool {
	select {
	case c <- struct{}{}:
	default:
	}
	return true
}

// AwaitAll blocks until every task goroutine has ended.
func (k *Kernel) AwaitAll() { k.tasks.running.Wait() }

// KillAll ends every task.
func (k *Kernel) KillAll() {
	k.tasks.forEach(func(t *Task) { t.group.KillGroup() })
}

// ExitCode is how a siginfo tells the wait status of an exit.
func ExitCode(st linux.WaitStatus) (code, status int32) { return exitCode(st) }

// WaitMatch is the choice of children that waitid's idtype and id make.
func (t *Task) WaitMatch(idType, id int32) func(*ThreadGroup) bool {
	ns := t.pidNS
	switch idType {
	case linux.P_PID:
		return func(c *ThreadGroup) bool { return c.pid.In(ns) == id }
	case linux.P_PGID:
		if id == 0 {
			id = t.group.Pgid(ns)
		}
		return func(c *ThreadGroup) bool { return c.pgrp != nil && c.pgrp.pid.In(ns) == id }
	}
	return func(*ThreadGroup) bool { return true }
}

// EndBy ends the process as if an unhandled signal had, whatever it handles.
func (g *ThreadGroup) EndBy(s linux.Signal) {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	h := g.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	g.killLocked(linux.KilledStatus(s))
}
