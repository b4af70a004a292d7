package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/clock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/futex"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Futexes: futex(2), its newer forms, and robust lists.
var futexCalls = []Call{
	call6(sysno.Futex, futexCall, except("FUTEX_WAIT_REQUEUE_PI", "FUTEX_CMP_REQUEUE_PI", "FUTEX_FD")),
	call5(sysno.FutexWaitv, futexWaitv, full),
	call4(sysno.FutexWake, futexWake, full),
	call6(sysno.FutexWait, futexWait, full),
	call4(sysno.FutexRequeue, futexRequeue, full),
	call2(sysno.SetRobustList, setRobustList, full),
	call3(sysno.GetRobustList, getRobustList, full),
}

// futexOp is an operation with its flags.
type futexOp uint32

func (op futexOp) command() uint32 { return uint32(op) & linux.FUTEX_CMD_MASK }

func (op futexOp) word(addr usermem.Addr) futex.Word {
	if op&linux.FUTEX_PRIVATE_FLAG != 0 {
		return futex.Word{Addr: addr, Scope: futex.Private}
	}
	return futex.Word{Addr: addr, Scope: futex.Shared}
}

// String is for the trace.
func (op futexOp) String() string {
	s := "FUTEX_?"
	if c := op.command(); int(c) < len(futexNames) {
		s = futexNames[c]
	}
	if op&linux.FUTEX_PRIVATE_FLAG != 0 {
		s += "_PRIVATE"
	}
	if op&linux.FUTEX_CLOCK_REALTIME != 0 {
		s += "|FUTEX_CLOCK_REALTIME"
	}
	return s
}

var futexNames = [...]string{"FUTEX_WAIT", "FUTEX_WAKE", "FUTEX_FD", "FUTEX_REQUEUE", "FUTEX_CMP_REQUEUE",
	"FUTEX_WAKE_OP", "FUTEX_LOCK_PI", "FUTEX_UNLOCK_PI", "FUTEX_TRYLOCK_PI", "FUTEX_WAIT_BITSET",
	"FUTEX_WAKE_BITSET", "FUTEX_WAIT_REQUEUE_PI", "FUTEX_CMP_REQUEUE_PI", "FUTEX_LOCK_PI2"}

// futexCall is futex(2). The fourth argument is a timeout or a second count.
//
// Errors: ENOSYS for an unknown operation; EINVAL, EFAULT, EAGAIN, ETIMEDOUT,
// EDEADLK, EPERM, ESRCH as its operations say.
func futexCall(t *kernel.Task, addr usermem.Addr, op futexOp, val uint32, timeout usermem.Addr, addr2 usermem.Addr, val3 uint32) (uint64, error) {
	f, w, w2 := t.Kernel().Futexes(), op.word(addr), op.word(addr2)
	n, n2 := int(int32(val)), int(int32(timeout))
	count := func(n int, err error) (uint64, error) { return uint64(n), err }
	if op&linux.FUTEX_CLOCK_REALTIME != 0 && !op.mayUseRealtime() {
		return 0, errno.ENOSYS
	}
	switch op.command() {
	case linux.FUTEX_WAIT, linux.FUTEX_WAIT_BITSET, linux.FUTEX_LOCK_PI, linux.FUTEX_LOCK_PI2:
		return futexSleep(t, op, w, val, usermem.Ptr[linux.Timespec](timeout), val3)
	case linux.FUTEX_TRYLOCK_PI:
		return 0, f.LockPI(t, t, w, t.FutexOwner(), waiter.Never, futex.TryOnly)
	case linux.FUTEX_UNLOCK_PI:
		return 0, f.UnlockPI(t, w, t.FutexOwner())
	case linux.FUTEX_WAKE:
		return count(f.Wake(t, w, n, futex.MatchAny))
	case linux.FUTEX_WAKE_BITSET:
		return count(f.Wake(t, w, n, val3))
	case linux.FUTEX_REQUEUE:
		return count(f.Requeue(t, w, w2, n, n2, futex.Compare{}))
	case linux.FUTEX_CMP_REQUEUE:
		return count(f.Requeue(t, w, w2, n, n2, futex.Compare{Check: true, Val: val3}))
	case linux.FUTEX_WAKE_OP:
		return count(f.WakeOp(t, w, w2, n, n2, val3))
	}
	return 0, errno.ENOSYS
}

func (op futexOp) mayUseRealtime() bool {
	c := op.command()
	return c == linux.FUTEX_WAIT_BITSET || c == linux.FUTEX_LOCK_PI2
}

// futexSleep is those operations that wait.
func futexSleep(t *kernel.Task, op futexOp, w futex.Word, val uint32, timeout usermem.Ptr[linux.Timespec], bitset uint32) (uint64, error) {
	d, err := futexDeadline(t, op, timeout)
	if err != nil {
		return 0, err
	}
	switch op.command() {
	case linux.FUTEX_LOCK_PI, linux.FUTEX_LOCK_PI2:
		err := t.Kernel().Futexes().LockPI(t, t, w, t.FutexOwner(), d, futex.Block)
		if err == errno.ERESTARTSYS {
			err = errno.ERESTARTNOINTR // see futex_lock_pi
		}
		return 0, err
	case linux.FUTEX_WAIT:
		bitset = futex.MatchAny
	}
	return futexWaitUntil{w, val, bitset, d}.Restart(t)
}

// futexWaitUntil is a wait that a signal may interrupt: a deadline stays what it
// is when the wait goes on.
type futexWaitUntil struct {
	word        futex.Word
	val, bitset uint32
	deadline    waiter.Deadline
}

// Restart waits, also the first time.
func (r futexWaitUntil) Restart(t *kernel.Task) (uint64, error) {
	err := t.Kernel().Futexes().Wait(t, t, r.word, r.val, r.bitset, r.deadline)
	if err == errno.ERESTARTSYS && !r.deadline.IsNever() {
		return 0, t.RestartWith(r)
	}
	return 0, err
}

// futexDeadline reads a timeout: relative for FUTEX_WAIT, absolute for others,
// of the realtime clock for FUTEX_LOCK_PI.
func futexDeadline(t *kernel.Task, op futexOp, timeout usermem.Ptr[linux.Timespec]) (waiter.Deadline, error) {
	if timeout.IsNil() {
		return waiter.Never, nil
	}
	ts, err := timeout.Load(t)
	if err != nil {
		return waiter.Never, err
	}
	if !ts.Valid() {
		return waiter.Never, errno.EINVAL
	}
	c := clock.Clock{ID: linux.CLOCK_MONOTONIC}
	if op&linux.FUTEX_CLOCK_REALTIME != 0 || op.command() == linux.FUTEX_LOCK_PI {
		c.ID = linux.CLOCK_REALTIME
	}
	if op.command() == linux.FUTEX_WAIT {
		return c.In(ts.Duration()), nil
	}
	return c.At(ts.Duration()), nil
}

// futex2Word checks the flags of the newer calls: only 32-bit words exist.
func futex2Word(addr usermem.Addr, flags uint32) (futex.Word, error) {
	if flags&^uint32(3|linux.FUTEX2_PRIVATE) != 0 || flags&3 != linux.FUTEX2_SIZE_U32 {
		return futex.Word{}, errno.EINVAL
	}
	w := futex.Word{Addr: addr, Scope: futex.Shared}
	if flags&linux.FUTEX2_PRIVATE != 0 {
		w.Scope = futex.Private
	}
	return w, nil
}

// futex2Deadline reads an absolute timeout on one of two clocks.
func futex2Deadline(t *kernel.Task, timeout usermem.Ptr[linux.Timespec], id linux.ClockID) (waiter.Deadline, error) {
	if timeout.IsNil() {
		return waiter.Never, nil
	}
	if id != linux.CLOCK_MONOTONIC && id != linux.CLOCK_REALTIME {
		return waiter.Never, errno.EINVAL
	}
	ts, err := timeout.Load(t)
	if err != nil {
		return waiter.Never, err
	}
	if !ts.Valid() {
		return waiter.Never, errno.EINVAL
	}
	return clock.Clock{ID: id}.At(ts.Duration()), nil
}

// futexWaitv waits for any of several words and returns which one was woken.
//
// Errors: EINVAL, EFAULT, EAGAIN, ETIMEDOUT, EINTR.
func futexWaitv(t *kernel.Task, p usermem.Ptr[linux.FutexWaitv], n, flags uint32, timeout usermem.Ptr[linux.Timespec], id linux.ClockID) (uint64, error) {
	if flags != 0 || n == 0 || n > linux.FUTEX_WAITV_MAX || p.IsNil() {
		return 0, errno.EINVAL
	}
	d, err := futex2Deadline(t, timeout, id)
	if err != nil {
		return 0, err
	}
	words, err := loadVectors(t, p, int(n))
	if err != nil {
		return 0, err
	}
	i, err := t.Kernel().Futexes().WaitAny(t, t, words, d)
	return uint64(i), err
}

func loadVectors(t *kernel.Task, p usermem.Ptr[linux.FutexWaitv], n int) ([]futex.Vector, error) {
	in, err := p.LoadSlice(t, n)
	if err != nil {
		return nil, err
	}
	out := make([]futex.Vector, n)
	for i, v := range in {
		w, err := futex2Word(usermem.Addr(v.Uaddr), v.Flags)
		if err != nil {
			return nil, err
		}
		if v.Val > 0xffffffff {
			return nil, errno.EINVAL
		}
		out[i] = futex.Vector{Word: w, Val: uint32(v.Val)}
	}
	return out, nil
}

func futexWake(t *kernel.Task, addr usermem.Addr, mask uint64, n int32, flags uint32) (uint64, error) {
	w, err := futex2Word(addr, flags)
	if err != nil {
		return 0, err
	}
	if mask > 0xffffffff {
		return 0, errno.EINVAL
	}
	if n == 0 {
		return 0, nil // unlike futex(2)
	}
	woken, err := t.Kernel().Futexes().Wake(t, w, int(n), uint32(mask))
	return uint64(woken), err
}

func futexWait(t *kernel.Task, addr usermem.Addr, val, mask uint64, flags uint32, timeout usermem.Ptr[linux.Timespec], id linux.ClockID) (uint64, error) {
	w, err := futex2Word(addr, flags)
	if err != nil {
		return 0, err
	}
	if val > 0xffffffff || mask > 0xffffffff {
		return 0, errno.EINVAL
	}
	d, err := futex2Deadline(t, timeout, id)
	if err != nil {
		return 0, err
	}
	return 0, t.Kernel().Futexes().Wait(t, t, w, uint32(val), uint32(mask), d)
}

// futexRequeue moves waiters between the two words that p describes.
func futexRequeue(t *kernel.Task, p usermem.Ptr[linux.FutexWaitv], flags uint32, wake, move int32) (uint64, error) {
	if flags != 0 || p.IsNil() {
		return 0, errno.EINVAL
	}
	words, err := loadVectors(t, p, 2)
	if err != nil {
		return 0, err
	}
	cmp := futex.Compare{Check: true, Val: words[0].Val}
	n, err := t.Kernel().Futexes().Requeue(t, words[0].Word, words[1].Word, int(wake), int(move), cmp)
	return uint64(n), err
}

// setRobustList notes where the thread keeps its list of held locks.
func setRobustList(t *kernel.Task, head usermem.Ptr[futex.RobustListHead], size uint64) (uint64, error) {
	if size != futex.RobustListHeadSize {
		return 0, errno.EINVAL
	}
	t.SetRobustList(head)
	return 0, nil
}

// getRobustList tells where a thread keeps it.
//
// Errors: ESRCH; EPERM if the caller may not trace the thread; EFAULT.
func getRobustList(t *kernel.Task, tid int32, head usermem.Ptr[uint64], size usermem.Ptr[uint64]) (uint64, error) {
	u := t
	if tid != 0 {
		if u = t.PIDNS().Task(tid); u == nil {
			return 0, errno.ESRCH
		}
	}
	if u != t && !t.MayTrace(u) {
		return 0, errno.EPERM
	}
	if err := size.Store(t, futex.RobustListHeadSize); err != nil {
		return 0, err
	}
	return 0, head.Store(t, uint64(u.RobustList()))
}
