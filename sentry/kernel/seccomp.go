package kernel

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/bpf"
)

// seccomp(2) for the guest: what a task may call. A task without a mode pays one
// comparison with nil for each call; one with filters runs all of them, newest
// first, because the strictest answer counts.

// seccompMode is what binds a task: strict mode, or the newest of its filters
// with those before it. It never changes, so tasks share it.
type seccompMode struct {
	mode    int32
	program bpf.Program
	older   *seccompMode
	filters int // this one and older ones
	cost    int // their instructions, as the limit counts them
}

const (
	// maxFilterInstructions bounds all filters of a task, each of the older
	// ones with a surcharge; see seccomp(2), ENOMEM.
	maxFilterInstructions = 32768
	filterSurcharge       = 4
)

var strictMode = &seccompMode{mode: linux.SECCOMP_MODE_STRICT}

// ThreadSync says whether a filter is for all threads of the process.
type ThreadSync uint8

// The choices of AddSeccompFilter.
const (
	ThisThread ThreadSync = iota
	AllThreads
)

// SeccompMode is the task's mode and its number of filters.
func (t *Task) SeccompMode() (mode int32, filters int) {
	m := t.seccomp.Load()
	if m == nil {
		return linux.SECCOMP_MODE_DISABLED, 0
	}
	return m.mode, m.filters
}

// SetSeccompStrict leaves the task read, write, exit and rt_sigreturn. Errors:
// EINVAL when it has filters.
func (t *Task) SetSeccompStrict() error {
	unlock := t.lockSeccomp()
	defer unlock()
	if m := t.seccomp.Load(); m != nil && m.mode != linux.SECCOMP_MODE_STRICT {
		return errno.EINVAL
	}
	t.seccomp.Store(strictMode)
	t.k.answersChanged()
	return nil
}

// AddSeccompFilter binds the task to p as well, and with AllThreads every other
// thread of the process to all of the task's filters. A thread whose filters
// the task does not have prevents that: nothing is changed then, and its id is
// returned.
//
// Errors: EINVAL in strict mode, ENOMEM when the filters become too long,
// ESRCH when the thread that prevents has no id here.
func (t *Task) AddSeccompFilter(p bpf.Program, s ThreadSync) (preventer int32, err error) {
	unlock := t.lockSeccomp()
	defer unlock()
	old := t.seccomp.Load()
	if old != nil && old.mode != linux.SECCOMP_MODE_FILTER {
		return 0, errno.EINVAL
	}
	m := old.with(p)
	if m.cost > maxFilterInstructions {
		return 0, errno.ENOMEM
	}
	if s == ThisThread {
		t.seccomp.Store(m)
		t.k.answersChanged()
		return 0, nil
	}
	if t.sig.killed || t.group.sig.exiting {
		// The thread that calls execve has the last word about what its
		// program starts with.
		return 0, errno.ERESTARTNOINTR
	}
	for u := range t.group.tasks {
		if u == t || u.exited || old.includes(u.seccomp.Load()) {
			continue
		}
		if tid := u.pid.In(t.pidNS); tid != 0 {
			return tid, nil
		}
		return 0, errno.ESRCH
	}
	for u := range t.group.tasks {
		if u.exited {
			continue
		}
		u.seccomp.Store(m)
		if t.Creds().NoNewPrivs != 0 {
			u.setNoNewPrivs()
		}
	}
	t.k.answersChanged(t.group)
	return 0, nil
}

// with is m and one filter more; m may be nil.
func (m *seccompMode) with(p bpf.Program) *seccompMode {
	n := &seccompMode{mode: linux.SECCOMP_MODE_FILTER, program: p, older: m, filters: 1, cost: p.Len()}
	if m != nil {
		n.filters += m.filters
		n.cost += m.cost + filterSurcharge
	}
	return n
}

// lockSeccomp takes what modes and filters change under: a thread that is made
// meanwhile has either the old ones or the new ones of all others.
func (t *Task) lockSeccomp() (unlock func()) {
	s := &t.k.tasks
	s.mu.RLock()
	h := t.group.handlers()
	h.mu.Lock()
	return func() {
		h.mu.Unlock()
		s.mu.RUnlock()
	}
}

// includes says whether other's filters are the oldest of m's.
func (m *seccompMode) includes(other *seccompMode) bool {
	for ; m != other; m = m.older {
		if m == nil {
			return false
		}
	}
	return true
}

// inheritSeccompLocked gives a new task what binds t.
func (c *Task) inheritSeccompLocked(t *Task) {
	c.seccomp.Store(t.seccomp.Load())
	// Another thread may have set both since the credentials were copied.
	if t.Creds().NoNewPrivs != 0 {
		c.setNoNewPrivs()
	}
}

// setNoNewPrivs sets no_new_privs from any goroutine; SetCreds keeps it.
func (t *Task) setNoNewPrivs() {
	for {
		old := t.creds.Load()
		if old.NoNewPrivs != 0 {
			return
		}
		c := old.Copy()
		c.NoNewPrivs = 1
		if t.creds.CompareAndSwap(old, c) {
			return
		}
	}
}

// handle runs a call, unless what binds the task has another answer.
func (t *Task) handle(nr uint64, args *[6]uint64) (uint64, error) {
	if m := t.seccomp.Load(); m != nil && !t.admits(m, nr, args) {
		return 0, nil
	}
	return t.k.table.Handle(t, nr, args)
}

// admits says whether the call may be made. If not, it has been dealt with.
func (t *Task) admits(m *seccompMode, nr uint64, args *[6]uint64) bool {
	if m.mode == linux.SECCOMP_MODE_STRICT {
		if strictAllows(nr) {
			return true
		}
		t.killedBySeccomp(linux.SIGKILL)
		return false
	}
	verdict := m.run(&linux.SeccompData{Nr: int32(nr), Arch: auditArch, IP: uint64(t.regs.PC()), Args: *args})
	data := verdict & linux.SECCOMP_RET_DATA
	switch verdict & linux.SECCOMP_RET_ACTION_FULL {
	case linux.SECCOMP_RET_ALLOW, linux.SECCOMP_RET_LOG:
		return true
	case linux.SECCOMP_RET_ERRNO:
		// Not by way of an error: codes above 511 would restart the call.
		t.answer(failure(errno.Errno(min(data, maxErrno))))
	case linux.SECCOMP_RET_TRAP:
		t.answer(nr) // the handler finds the registers as the caller set them
		t.ForceSignal(t.seccompSignal(nr, data), false)
	case linux.SECCOMP_RET_TRACE, linux.SECCOMP_RET_USER_NOTIF:
		// Neither a tracer nor a listener is there.
		t.answer(failure(errno.ENOSYS))
	case linux.SECCOMP_RET_KILL_THREAD:
		t.killedBySeccomp(linux.SIGSYS)
	default: // SECCOMP_RET_KILL_PROCESS, and what Linux does not know
		t.exitGroup(linux.KilledStatus(linux.SIGSYS))
	}
	return false
}

const maxErrno = 4095

// answer is the call's result, in the registers.
func (t *Task) answer(v uint64) {
	t.regs.SetReturn(v)
	t.KeepRegisters()
}

// run returns the strictest of the filters' answers; of equal ones the newest
// filter's.
func (m *seccompMode) run(d *linux.SeccompData) uint32 {
	strictest := uint32(linux.SECCOMP_RET_ALLOW)
	for ; m != nil; m = m.older {
		if v := m.program.Run(d); rank(v) < rank(strictest) {
			strictest = v
		}
	}
	return strictest
}

// rank orders actions: the value without its data, signed, so that
// KILL_PROCESS is the smallest.
func rank(v uint32) int32 { return int32(v & linux.SECCOMP_RET_ACTION_FULL) }

// seccompSignal is the SIGSYS of a call that a filter trapped.
func (t *Task) seccompSignal(nr uint64, data uint32) linux.SigInfo {
	info := linux.SigInfo{Signo: int32(linux.SIGSYS), Code: linux.SYS_SECCOMP, Errno: int32(data)}
	info.SetCallAddr(uint64(t.regs.PC()))
	info.SetSyscall(int32(nr))
	info.SetArch(auditArch)
	return info
}

// killedBySeccomp ends the thread as the signal would end its process; the
// last thread's status is the process's.
func (t *Task) killedBySeccomp(s linux.Signal) {
	if t.group.Count() == 1 {
		t.exitGroup(linux.KilledStatus(s))
		return
	}
	t.result.exit, t.result.status = true, linux.KilledStatus(s)
}
