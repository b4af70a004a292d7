package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Signals: actions, masks, sending, waiting.
var signalCalls = []Call{
	call4(sysno.RtSigaction, rtSigaction, full),
	call4(sysno.RtSigprocmask, rtSigprocmask, full),
	call2(sysno.RtSigpending, rtSigpending, full),
	call2(sysno.RtSigsuspend, rtSigsuspend, full),
	call4(sysno.RtSigtimedwait, rtSigtimedwait, full),
	call3(sysno.RtSigqueueinfo, rtSigqueueinfo, full),
	call4(sysno.RtTgsigqueueinfo, rtTgsigqueueinfo, full),
	call0(sysno.RtSigreturn, rtSigreturn, full),
	call2(sysno.Sigaltstack, sigaltstack, full),
	call2(sysno.Kill, kill, full),
	call2(sysno.Tkill, tkill, full),
	call3(sysno.Tgkill, tgkill, full),
	call0(sysno.Pause, pause, full),
}

func checkSetSize(size uint64) error {
	if size != linux.SignalSetSize {
		return errno.EINVAL
	}
	return nil
}

// rtSigaction reads and sets the action of a signal.
//
// Errors: EINVAL for a signal without action or another size of sets; EFAULT.
func rtSigaction(t *kernel.Task, s linux.Signal, set, old usermem.Ptr[linux.SigAction], size uint64) (uint64, error) {
	if err := checkSetSize(size); err != nil {
		return 0, err
	}
	var next *linux.SigAction
	if set != 0 {
		a, err := set.Load(t)
		if err != nil {
			return 0, err
		}
		next = &a
	}
	was, err := t.SigAction(s, next)
	if err != nil {
		return 0, err
	}
	return 0, old.StoreIf(t, was)
}

func rtSigprocmask(t *kernel.Task, how int32, set, old usermem.Ptr[linux.SignalSet], size uint64) (uint64, error) {
	if err := checkSetSize(size); err != nil {
		return 0, err
	}
	was := t.SignalMask()
	if set != 0 {
		v, err := set.Load(t)
		if err != nil {
			return 0, err
		}
		switch how {
		case linux.SIG_BLOCK:
			v |= was
		case linux.SIG_UNBLOCK:
			v = was &^ v
		case linux.SIG_SETMASK:
		default:
			return 0, errno.EINVAL
		}
		t.SetSignalMask(v)
	}
	return 0, old.StoreIf(t, was)
}

func rtSigpending(t *kernel.Task, set usermem.Ptr[linux.SignalSet], size uint64) (uint64, error) {
	if size > linux.SignalSetSize {
		return 0, errno.EINVAL
	}
	v := t.PendingSignals()
	_, err := t.CopyOut(set.Addr(), usermem.Bytes(&v)[:size])
	return 0, err
}

// rtSigsuspend waits for a signal under another mask. It always fails: EINTR.
func rtSigsuspend(t *kernel.Task, set usermem.Ptr[linux.SignalSet], size uint64) (uint64, error) {
	if err := checkSetSize(size); err != nil {
		return 0, err
	}
	v, err := set.Load(t)
	if err != nil {
		return 0, err
	}
	t.SetTemporaryMask(v)
	return pause(t)
}

func pause(t *kernel.Task) (uint64, error) {
	for {
		if t.Sleep(waiter.Never) != nil {
			return 0, errno.ERESTARTNOHAND
		}
	}
}

// rtSigtimedwait takes a pending signal of the set, or waits for one.
//
// Errors: EAGAIN when the time is up, EINTR, EINVAL, EFAULT.
func rtSigtimedwait(t *kernel.Task, set usermem.Ptr[linux.SignalSet], info usermem.Ptr[linux.SigInfo], timeout usermem.Ptr[linux.Timespec], size uint64) (uint64, error) {
	if err := checkSetSize(size); err != nil {
		return 0, err
	}
	want, err := set.Load(t)
	if err != nil {
		return 0, err
	}
	want &^= linux.Unblockable
	d := waiter.Never
	if timeout != 0 {
		ts, err := timeout.Load(t)
		if err != nil {
			return 0, err
		}
		if !ts.Valid() {
			return 0, errno.EINVAL
		}
		d = waiter.After(ts.Duration())
	}
	si, err := t.AwaitSignal(want, d)
	if err != nil {
		return 0, err
	}
	if err := info.StoreIf(t, si); err != nil {
		return 0, err
	}
	return uint64(si.Signo), nil
}

// mayKill is the permission check of kill(2): CAP_KILL over the target's user
// namespace, an id in common, or SIGCONT within the session.
func mayKill(t *kernel.Task, g *kernel.ThreadGroup, s linux.Signal) bool {
	if t.ThreadGroup() == g {
		return true
	}
	leader := g.Leader()
	me, it := t.Creds(), leader.Creds()
	if me.EUID == it.SUID || me.EUID == it.UID || me.UID == it.SUID || me.UID == it.UID ||
		me.HasCapIn(linux.CAP_KILL, it.UserNS) {
		return true
	}
	root := t.Kernel().RootPIDNS()
	return s == linux.SIGCONT && t.ThreadGroup().Sid(root) == g.Sid(root)
}

// origin says whether t is outside of the pid namespace of g, whose init then
// has no protection from it.
func origin(t *kernel.Task, g *kernel.ThreadGroup) kernel.Origin {
	if g.PIDNS() != t.PIDNS() {
		return kernel.Outside
	}
	return kernel.Inside
}

// kill sends a signal to a process, a process group or everybody.
//
// Errors: EINVAL for a bad signal, ESRCH, EPERM if no target may be signalled.
func kill(t *kernel.Task, pid int32, s linux.Signal) (uint64, error) {
	if s != 0 && !s.Valid() {
		return 0, errno.EINVAL
	}
	switch {
	case pid > 0:
		g, err := groupByPID(t, pid)
		if err != nil {
			return 0, err
		}
		return 0, sendTo(t, g, s)
	case pid == -1:
		return 0, killEverybody(t, s)
	case pid == -0x80000000:
		return 0, errno.ESRCH
	}
	p := t.ThreadGroup().ProcessGroup()
	if pid != 0 {
		if p = t.PIDNS().ProcessGroup(-pid); p == nil {
			return 0, errno.ESRCH
		}
	}
	return 0, killAll(t, t.Kernel().Members(p), s)
}

func killEverybody(t *kernel.Task, s linux.Signal) error {
	var all []*kernel.ThreadGroup
	for _, g := range t.PIDNS().ThreadGroups() {
		if g != t.ThreadGroup() && g.ID(t.PIDNS()) != 1 {
			all = append(all, g)
		}
	}
	return killAll(t, all, s)
}

func killAll(t *kernel.Task, groups []*kernel.ThreadGroup, s linux.Signal) error {
	result := error(errno.ESRCH)
	sent := false
	for _, g := range groups {
		err := sendTo(t, g, s)
		if err == nil {
			sent = true
		} else {
			result = err
		}
	}
	if sent {
		return nil
	}
	return result
}

func sendTo(t *kernel.Task, g *kernel.ThreadGroup, s linux.Signal) error {
	if !mayKill(t, g, s) {
		return errno.EPERM
	}
	if s == 0 {
		return nil
	}
	return g.SendSignal(kernel.UserSignal(s, linux.SI_USER, t, g.PIDNS()), origin(t, g))
}

func tkill(t *kernel.Task, tid int32, s linux.Signal) (uint64, error) {
	if tid <= 0 {
		return 0, errno.EINVAL
	}
	return sendToThread(t, 0, tid, s, kernel.UserSignal(s, linux.SI_TKILL, t, t.PIDNS()))
}

// tgkill sends a signal to one thread of a process.
//
// Errors: EINVAL, ESRCH if there is no such thread in that process, EPERM.
func tgkill(t *kernel.Task, tgid, tid int32, s linux.Signal) (uint64, error) {
	if tgid <= 0 || tid <= 0 {
		return 0, errno.EINVAL
	}
	return sendToThread(t, tgid, tid, s, kernel.UserSignal(s, linux.SI_TKILL, t, t.PIDNS()))
}

func sendToThread(t *kernel.Task, tgid, tid int32, s linux.Signal, info linux.SigInfo) (uint64, error) {
	if s != 0 && !s.Valid() {
		return 0, errno.EINVAL
	}
	u := t.PIDNS().Task(tid)
	if u == nil || tgid != 0 && u.ThreadGroup().ID(t.PIDNS()) != tgid {
		return 0, errno.ESRCH
	}
	if !mayKill(t, u.ThreadGroup(), s) {
		return 0, errno.EPERM
	}
	if s == 0 {
		return 0, nil
	}
	return 0, u.SendSignal(info, origin(t, u.ThreadGroup()))
}

// queuedInfo copies in the siginfo that a process sends. It may not pretend to
// come from the kernel or from kill, except to itself.
func queuedInfo(t *kernel.Task, self bool, s linux.Signal, p usermem.Ptr[linux.SigInfo]) (linux.SigInfo, error) {
	info, err := p.Load(t)
	if err != nil {
		return info, err
	}
	info.Signo = int32(s)
	if (info.Code >= 0 || info.Code == linux.SI_TKILL) && !self {
		return info, errno.EPERM
	}
	return info, nil
}

func rtSigqueueinfo(t *kernel.Task, pid int32, s linux.Signal, p usermem.Ptr[linux.SigInfo]) (uint64, error) {
	info, err := queuedInfo(t, pid == t.ThreadGroup().ID(t.PIDNS()), s, p)
	if err != nil {
		return 0, err
	}
	if s != 0 && !s.Valid() {
		return 0, errno.EINVAL
	}
	if pid <= 0 {
		return 0, errno.ESRCH
	}
	g, err := groupByPID(t, pid)
	if err != nil {
		return 0, err
	}
	if !mayKill(t, g, s) {
		return 0, errno.EPERM
	}
	if s == 0 {
		return 0, nil
	}
	return 0, g.SendSignal(info, origin(t, g))
}

func rtTgsigqueueinfo(t *kernel.Task, tgid, tid int32, s linux.Signal, p usermem.Ptr[linux.SigInfo]) (uint64, error) {
	info, err := queuedInfo(t, tgid == t.ThreadGroup().ID(t.PIDNS()), s, p)
	if err != nil {
		return 0, err
	}
	if tgid <= 0 || tid <= 0 {
		return 0, errno.EINVAL
	}
	return sendToThread(t, tgid, tid, s, info)
}

func rtSigreturn(t *kernel.Task) (uint64, error) {
	t.SigReturn()
	return 0, nil
}

// sigaltstack reads and sets the alternate stack.
//
// Errors: EPERM while running on it, ENOMEM, EINVAL, EFAULT.
func sigaltstack(t *kernel.Task, set, old usermem.Ptr[linux.StackT]) (uint64, error) {
	var next *linux.StackT
	if set != 0 {
		s, err := set.Load(t)
		if err != nil {
			return 0, err
		}
		next = &s
	}
	was, err := t.SigAltStack(next, uint64(t.Regs().SP()))
	if err != nil {
		return 0, err
	}
	return 0, old.StoreIf(t, was)
}
