package kernel

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// SignalHandlers are the actions of a process, and the lock of the signal state
// of all tasks that share them (CLONE_SIGHAND).
type SignalHandlers struct {
	mu      lock.Mutex[lockorder.SignalHandlers]
	actions [linux.NumSignals + 1]linux.SigAction
}

// taskSignals is a task's part of the signal state.
type taskSignals struct {
	blocked  linux.SignalSet
	saved    linux.SignalSet // the mask to go back to after sigsuspend & co.
	awaited  linux.SignalSet // sigtimedwait sleeps for these, blocked or not
	hasSaved bool
	pending  pendingSignals
	stack    linux.StackT
	killed   bool // must exit, by execve of another thread
	inStop   bool // takes part in the present group stop
}

// groupSignals is a process's part of the signal state.
type groupSignals struct {
	table   *SignalHandlers
	pending pendingSignals

	exiting bool // exit_group or a deadly signal
	status  linux.WaitStatus

	stopping  bool // a group stop is under way or complete
	stopped   bool // and complete
	stopSig   linux.Signal
	toStop    int
	report    linux.WaitStatus // a stop or continue that wait has not seen
	hasReport bool

	arrived waiter.Queue // notified when a signal is queued: signalfd
}

// pendingSignals is a queue of signals.
type pendingSignals struct {
	set   linux.SignalSet
	queue []queuedSignal
}

type queuedSignal struct {
	info linux.SigInfo
	src  SignalSource
}

// SignalSource is told when a signal that it sent is taken from the queue: a
// timer counts its overruns until then.
type SignalSource interface {
	Dequeued(info *linux.SigInfo)
}

// add queues a signal: of a standard signal only the first is kept.
func (p *pendingSignals) add(info linux.SigInfo, src SignalSource) bool {
	s := linux.Signal(info.Signo)
	if !s.IsRealTime() && p.set.Has(s) {
		return false
	}
	p.set |= s.Bit()
	p.queue = append(p.queue, queuedSignal{info, src})
	return true
}

// take removes the first signal that is in want: the lowest number, and of that
// the oldest; faults come first as on Linux.
func (p *pendingSignals) take(want linux.SignalSet) (queuedSignal, bool) {
	ready := p.set & want
	if ready == 0 {
		return queuedSignal{}, false
	}
	if sync := ready & synchronousSignals; sync != 0 {
		ready = sync
	}
	s := ready.First()
	found, more := -1, false
	for i := range p.queue {
		if linux.Signal(p.queue[i].info.Signo) != s {
			continue
		}
		if found >= 0 {
			more = true
			break
		}
		found = i
	}
	if found < 0 { // set without an entry cannot be
		p.set &^= s.Bit()
		return queuedSignal{}, false
	}
	q := p.queue[found]
	p.queue = append(p.queue[:found], p.queue[found+1:]...)
	if !more {
		p.set &^= s.Bit()
	}
	return q, true
}

// remove drops all signals of a set.
func (p *pendingSignals) remove(set linux.SignalSet) {
	if p.set&set == 0 {
		return
	}
	p.set &^= set
	kept := p.queue[:0]
	for _, q := range p.queue {
		if !set.Has(linux.Signal(q.info.Signo)) {
			kept = append(kept, q)
		}
	}
	p.queue = kept
}

var (
	synchronousSignals = linux.SetOf(linux.SIGSEGV, linux.SIGBUS, linux.SIGILL, linux.SIGTRAP, linux.SIGFPE, linux.SIGSYS)
	stopSignals        = linux.SetOf(linux.SIGSTOP, linux.SIGTSTP, linux.SIGTTIN, linux.SIGTTOU)
	ignoredByDefault   = linux.SetOf(linux.SIGCONT, linux.SIGCHLD, linux.SIGWINCH, linux.SIGURG)
	coreSignals        = linux.SetOf(linux.SIGQUIT, linux.SIGILL, linux.SIGTRAP, linux.SIGABRT, linux.SIGFPE,
		linux.SIGSEGV, linux.SIGBUS, linux.SIGSYS, linux.SIGXCPU, linux.SIGXFSZ)
)

func (g *ThreadGroup) handlers() *SignalHandlers { return g.sig.table }

// Origin says where a signal comes from.
type Origin uint8

// A namespace's init is protected from every signal that it has no handler for,
// with one exception: SIGKILL and SIGSTOP from Outside (an ancestor namespace,
// the kernel itself, the runtime's kill) reach it.
const (
	Inside Origin = iota
	Outside
)

// SendSignal queues a signal for one task. It never blocks. Errors: EAGAIN if
// the queue of a real-time signal is full.
func (t *Task) SendSignal(info linux.SigInfo, o Origin) error {
	return t.group.send(t, info, nil, o)
}

// SendSignal queues a signal for the process.
func (g *ThreadGroup) SendSignal(info linux.SigInfo, o Origin) error {
	return g.send(nil, info, nil, o)
}

// SendFrom is SendSignal for a source that wants to hear when the signal is
// taken: queued is false if it is pending already or ignored.
func (g *ThreadGroup) SendFrom(t *Task, info linux.SigInfo, src SignalSource) (queued bool) {
	return g.send(t, info, src, Outside) == nil
}

// KernelSignal is the information of a signal that the kernel raises.
func KernelSignal(s linux.Signal) linux.SigInfo {
	return linux.SigInfo{Signo: int32(s), Code: linux.SI_KERNEL}
}

// UserSignal is the information of a signal that sender raises with kill(2).
func UserSignal(s linux.Signal, code int32, sender *Task, to *PIDNamespace) linux.SigInfo {
	info := linux.SigInfo{Signo: int32(s), Code: code}
	info.SetPID(sender.group.ID(to))
	info.SetUID(sender.Creds().UserNS.UID(sender.Creds().UID))
	return info
}

// send queues info for t, or for any thread of g if t is nil.
func (g *ThreadGroup) send(t *Task, info linux.SigInfo, src SignalSource, o Origin) error {
	s := linux.Signal(info.Signo)
	if s == 0 {
		return nil
	}
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	if g.zombie || t != nil && t.exited {
		return nil
	}
	h := g.handlers()
	h.mu.Lock()
	continued := g.prepareLocked(s)
	err := g.queueLocked(h, t, info, src, o)
	h.mu.Unlock()
	if continued {
		g.notifyParentLocked(linux.CLD_CONTINUED, int32(linux.SIGCONT))
	}
	return err
}

func (g *ThreadGroup) queueLocked(h *SignalHandlers, t *Task, info linux.SigInfo, src SignalSource, o Origin) error {
	s := linux.Signal(info.Signo)
	if g.sig.exiting {
		return nil
	}
	if g.ignoresLocked(h, t, s, o) {
		if src != nil {
			return errno.EAGAIN
		}
		return nil
	}
	q := &g.sig.pending
	if t != nil {
		q = &t.sig.pending
	}
	if s.IsRealTime() && info.Code != linux.SI_KERNEL {
		if uint64(len(q.queue)) >= g.limits.get(linux.RLIMIT_SIGPENDING).Cur {
			return errno.EAGAIN
		}
	}
	if !q.add(info, src) && src != nil {
		return errno.EAGAIN
	}
	if s == linux.SIGKILL || g.deadlyLocked(h, t, s) {
		// A deadly signal ends the process at once, whichever thread
		// would have taken it.
		g.killLocked(linux.KilledStatus(s))
	}
	g.wakeForLocked(t, s)
	g.sig.arrived.Notify(waiter.Readable)
	return nil
}

// deadlyLocked says whether s ends the process without any thread having a say.
func (g *ThreadGroup) deadlyLocked(h *SignalHandlers, t *Task, s linux.Signal) bool {
	if h.actions[s].Handler != linux.SIG_DFL || coreSignals.Has(s) || stopSignals.Has(s) || ignoredByDefault.Has(s) {
		return false
	}
	if g.sig.stopped {
		return false // it waits for SIGCONT, as all but SIGKILL does
	}
	if t != nil {
		return !t.sig.blocked.Has(s) && !t.sig.awaited.Has(s)
	}
	for u := range g.tasks {
		if !u.exited && !u.sig.blocked.Has(s) && !u.sig.awaited.Has(s) {
			return true
		}
	}
	return false
}

// prepareLocked makes SIGCONT and stop signals cancel each other. It returns
// whether a stopped process goes on.
func (g *ThreadGroup) prepareLocked(s linux.Signal) (continued bool) {
	switch {
	case s == linux.SIGCONT || s == linux.SIGKILL:
		g.removePendingLocked(stopSignals)
		if !g.sig.stopping {
			return false
		}
		continued = g.sig.stopped && s == linux.SIGCONT
		g.endStopLocked()
		if continued {
			g.sig.report, g.sig.hasReport = linux.ContinuedStatus, true
		}
		return continued
	case stopSignals.Has(s):
		g.removePendingLocked(linux.SIGCONT.Bit())
	}
	return false
}

func (g *ThreadGroup) removePendingLocked(set linux.SignalSet) {
	g.sig.pending.remove(set)
	for t := range g.tasks {
		t.sig.pending.remove(set)
	}
}

func (g *ThreadGroup) endStopLocked() {
	g.sig.stopping, g.sig.stopped, g.sig.toStop = false, false, 0
	for t := range g.tasks {
		t.sig.inStop = false
		t.interrupt()
	}
}

// ignoresLocked says whether s would be thrown away.
func (g *ThreadGroup) ignoresLocked(h *SignalHandlers, t *Task, s linux.Signal, o Origin) bool {
	if t == nil {
		t = g.leader
	}
	// A blocked signal is kept, also for an init that has no handler: it may
	// read it by sigwait or signalfd, as tini and dumb-init do.
	if t.sig.blocked.Has(s) || t.sig.awaited.Has(s) || t.sig.hasSaved && t.sig.saved.Has(s) {
		return false
	}
	a := h.actions[s].Handler
	forced := o == Outside && (s == linux.SIGKILL || s == linux.SIGSTOP)
	if g.isInit() && !g.pidNS.mortalInit && a == linux.SIG_DFL && !forced {
		return true
	}
	return a == linux.SIG_IGN || a == linux.SIG_DFL && ignoredByDefault.Has(s)
}

// isInit says whether the process is the first of its pid namespace, which
// signals without handler do not harm.
func (g *ThreadGroup) isInit() bool { return g.pidNS.init == g }

// wakeForLocked makes a thread that can take s look at it.
func (g *ThreadGroup) wakeForLocked(t *Task, s linux.Signal) {
	if t != nil {
		t.interrupt()
		return
	}
	for u := range g.tasks {
		if !u.exited && u.sig.awaited.Has(s) {
			u.interrupt()
			return
		}
	}
	// The leader first, then any that does not block it.
	if l := g.leader; !l.exited && !l.sig.blocked.Has(s) {
		l.interrupt()
		return
	}
	for u := range g.tasks {
		if !u.exited && !u.sig.blocked.Has(s) {
			u.interrupt()
			return
		}
	}
}

// killLocked makes all threads exit with the status.
func (g *ThreadGroup) killLocked(st linux.WaitStatus) {
	if g.sig.exiting {
		return
	}
	g.sig.exiting, g.sig.status = true, st
	if g.sig.stopping {
		g.endStopLocked()
	}
	for t := range g.tasks {
		t.interrupt()
	}
}

// hasWorkLocked says whether the task has a signal to act on, a stop to join or
// an exit to make.
func (t *Task) hasWorkLocked() bool {
	g := t.group
	if t.sig.killed || g.sig.exiting || g.sig.stopping {
		return true
	}
	return (t.sig.pending.set|g.sig.pending.set)&^(t.sig.blocked|t.sig.awaited) != 0
}

// SignalPending says whether a signal waits to be acted on.
func (t *Task) SignalPending() bool {
	if !t.work.Load() {
		return false
	}
	return t.sleepEnds(interruptible)
}

// SignalMask is the set of blocked signals.
func (t *Task) SignalMask() linux.SignalSet {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	return t.sig.blocked
}

// SetSignalMask changes it; SIGKILL and SIGSTOP cannot be blocked.
func (t *Task) SetSignalMask(set linux.SignalSet) {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	t.setMaskLocked(set)
}

func (t *Task) setMaskLocked(set linux.SignalSet) {
	t.sig.blocked = set &^ linux.Unblockable
	if (t.sig.pending.set|t.group.sig.pending.set)&^t.sig.blocked != 0 {
		t.work.Store(true)
	}
	// What this thread no longer takes another may.
	if shared := t.group.sig.pending.set & t.sig.blocked; shared != 0 {
		for u := range t.group.tasks {
			if u != t && shared&^u.sig.blocked != 0 {
				u.interrupt()
			}
		}
	}
}

// SetTemporaryMask blocks set until the call is over: sigsuspend, ppoll, ....
// A handler that runs at its end returns to the old mask.
func (t *Task) SetTemporaryMask(set linux.SignalSet) {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	t.sig.saved, t.sig.hasSaved = t.sig.blocked, true
	t.setMaskLocked(set)
	t.work.Store(true) // the old mask comes back on the way out
}

// RestoreMask ends SetTemporaryMask before the end of the call, for those calls
// that keep the mask only when a signal interrupted them.
func (t *Task) RestoreMask() {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.sig.hasSaved {
		t.sig.hasSaved = false
		t.setMaskLocked(t.sig.saved)
	}
}

// PendingSignals is sigpending.
func (t *Task) PendingSignals() linux.SignalSet {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	return (t.sig.pending.set | t.group.sig.pending.set) & t.sig.blocked
}

// AllPending returns what is pending for the thread and for the process, for
// /proc/PID/status.
func (t *Task) AllPending() (thread, process linux.SignalSet) {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	return t.sig.pending.set, t.group.sig.pending.set
}

// HandledSignals returns the sets of ignored and of caught signals.
func (g *ThreadGroup) HandledSignals() (ignored, caught linux.SignalSet) {
	h := g.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := linux.Signal(1); s <= linux.NumSignals; s++ {
		switch h.actions[s].Handler {
		case linux.SIG_DFL:
		case linux.SIG_IGN:
			ignored |= s.Bit()
		default:
			caught |= s.Bit()
		}
	}
	return ignored, caught
}

// TakeSignal removes a pending signal that is in want: signalfd, sigtimedwait.
func (t *Task) TakeSignal(want linux.SignalSet) (linux.SigInfo, bool) {
	h := t.group.handlers()
	h.mu.Lock()
	q, ok := t.sig.pending.take(want)
	if !ok {
		q, ok = t.group.sig.pending.take(want)
	}
	h.mu.Unlock()
	if ok && q.src != nil {
		q.src.Dequeued(&q.info)
	}
	return q.info, ok
}

// HasSignal says whether TakeSignal would find one.
func (t *Task) HasSignal(want linux.SignalSet) bool {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	return (t.sig.pending.set|t.group.sig.pending.set)&want != 0
}

// AwaitSignal takes a pending signal of the set, or sleeps until one comes,
// whether it is blocked or not. Errors: EAGAIN when the time is up, EINTR for
// another signal.
func (t *Task) AwaitSignal(want linux.SignalSet, d waiter.Deadline) (linux.SigInfo, error) {
	t.setAwaited(want)
	defer t.setAwaited(0)
	for {
		if si, ok := t.TakeSignal(want); ok {
			return si, nil
		}
		switch err := t.Sleep(d); err {
		case nil:
		case errno.ETIMEDOUT:
			return linux.SigInfo{}, errno.EAGAIN
		default:
			return linux.SigInfo{}, errno.EINTR
		}
	}
}

func (t *Task) setAwaited(set linux.SignalSet) {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	t.sig.awaited = set
	t.work.Store(true) // what came meanwhile may be due
}

// SignalArrivals is notified whenever a signal is queued for the process or
// one of its threads.
func (g *ThreadGroup) SignalArrivals() *waiter.Queue { return &g.sig.arrived }

// SigAction is sigaction: it returns the old action and sets the new one if set
// is not nil. Errors: EINVAL for a signal that has no action to change.
func (t *Task) SigAction(s linux.Signal, set *linux.SigAction) (linux.SigAction, error) {
	if !s.Valid() || set != nil && linux.Unblockable.Has(s) {
		return linux.SigAction{}, errno.EINVAL
	}
	g := t.group
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	h := g.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.actions[s]
	if set == nil {
		return old, nil
	}
	h.actions[s] = *set
	h.actions[s].Mask &^= linux.Unblockable
	// POSIX: pending signals that are now ignored are thrown away.
	if set.Handler == linux.SIG_IGN || set.Handler == linux.SIG_DFL && ignoredByDefault.Has(s) {
		g.removePendingLocked(s.Bit())
	}
	return old, nil
}

// SigAltStack is sigaltstack, with the stack pointer at which it is called.
// Errors: EPERM while on the stack, ENOMEM if it is too small, EINVAL.
func (t *Task) SigAltStack(set *linux.StackT, sp uint64) (linux.StackT, error) {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	old := t.sig.stack
	if old.Size == 0 {
		old.Flags = linux.SS_DISABLE
	} else if t.onAltStack(sp) {
		old.Flags |= linux.SS_ONSTACK
	}
	if set == nil {
		return old, nil
	}
	if t.onAltStack(sp) {
		return old, errno.EPERM
	}
	mode := set.Flags &^ linux.SS_AUTODISARM
	if mode != 0 && mode != linux.SS_ONSTACK && mode != linux.SS_DISABLE {
		return old, errno.EINVAL
	}
	if mode == linux.SS_DISABLE {
		t.sig.stack = linux.StackT{}
		return old, nil
	}
	if set.Size < t.minStack() {
		return old, errno.ENOMEM
	}
	t.sig.stack = linux.StackT{Addr: set.Addr, Size: set.Size, Flags: set.Flags & linux.SS_AUTODISARM}
	return old, nil
}

// onAltStack says whether sp lies on the alternate stack. With SS_AUTODISARM the
// kernel never thinks so: the stack is disarmed while it is in use.
func (t *Task) onAltStack(sp uint64) bool {
	s := &t.sig.stack
	return s.Flags&linux.SS_AUTODISARM == 0 && sp > s.Addr && sp-s.Addr <= s.Size
}

// KillGroup sends SIGKILL to the process from outside.
func (g *ThreadGroup) KillGroup() { _ = g.SendSignal(KernelSignal(linux.SIGKILL), Outside) }
