package kernel

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/bpf"
)

// Seccomp is what a guest has bound a thread to by seccomp(2): strict mode, or
// a chain of filters, the newest first. A Seccomp never changes; a thread that
// adds a filter gets a new one that leads to the old.
type Seccomp struct {
	program bpf.Program // without instructions: strict mode
	older   *Seccomp
	filters int // this one and the older
	cost    int // instructions of all, as Linux counts them
}

// Limits of the chain, from the kernel's seccomp.c.
const (
	maxSeccompCost    = 32768
	seccompFilterCost = 4 // what a filter costs besides its instructions
)

// strict says whether this is strict mode.
func (s *Seccomp) strict() bool { return s.program.Len() == 0 }

// verdict is what the filters say to a call, and the data beside it: the most
// severe action, of equals the newest.
func (s *Seccomp) verdict(d *linux.SeccompData) (action, data uint32) {
	worst := uint32(linux.SECCOMP_RET_ALLOW)
	for f := s; f != nil; f = f.older {
		// The order of actions is that of signed numbers: killing the
		// process has the sign bit.
		if v := f.program.Run(d); int32(v&linux.SECCOMP_RET_ACTION_FULL) < int32(worst&linux.SECCOMP_RET_ACTION_FULL) {
			worst = v
		}
	}
	return worst & linux.SECCOMP_RET_ACTION_FULL, worst &^ linux.SECCOMP_RET_ACTION_FULL
}

// SeccompMode is the mode as /proc/PID/status shows it, and the number of
// filters.
func (t *Task) SeccompMode() (mode, filters int) {
	s := t.seccomp.Load()
	switch {
	case s == nil:
		return linux.SECCOMP_MODE_DISABLED, 0
	case s.strict():
		return linux.SECCOMP_MODE_STRICT, 0
	}
	return linux.SECCOMP_MODE_FILTER, s.filters
}

// SetSeccompStrict allows the thread nothing but read, write, exit and
// sigreturn. EINVAL if it has filters.
func (t *Task) SetSeccompStrict() error {
	if s := t.seccomp.Load(); s != nil && !s.strict() {
		return errno.EINVAL
	}
	t.seccomp.Store(&Seccomp{})
	return nil
}

// SeccompScope says who gets a filter: the calling thread, or all of its
// process (SECCOMP_FILTER_FLAG_TSYNC).
type SeccompScope uint8

// The two.
const (
	ThisThread SeccompScope = iota
	AllThreads
)

// AddSeccompFilter adds a filter. With AllThreads, and when another thread has
// filters that the caller does not have, nothing changes and that thread's id
// is returned.
//
// Errors: EINVAL in strict mode, ENOMEM for a chain that is too long.
func (t *Task) AddSeccompFilter(p bpf.Program, to SeccompScope) (blocker int32, err error) {
	g := t.group
	g.seccompMu.Lock()
	defer g.seccompMu.Unlock()
	old := t.seccomp.Load()
	added := &Seccomp{program: p, older: old, filters: 1, cost: p.Len()}
	if old != nil {
		if old.strict() {
			return 0, errno.EINVAL
		}
		added.filters += old.filters
		added.cost += old.cost + seccompFilterCost
	}
	if added.cost > maxSeccompCost {
		return 0, errno.ENOMEM
	}
	if to == ThisThread {
		t.seccomp.Store(added)
		return 0, nil
	}
	// The lock of the task set keeps threads from being added meanwhile with
	// the old filters.
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	for u := range g.tasks {
		if !u.exited && !u.seccomp.Load().leadsTo(old) {
			return u.pid.In(t.pidNS), nil
		}
	}
	for u := range g.tasks {
		u.seccomp.Store(added)
		if c := u.Creds(); c.NoNewPrivs != t.Creds().NoNewPrivs {
			c = c.Copy()
			c.NoNewPrivs = t.Creds().NoNewPrivs
			u.SetCreds(c)
		}
	}
	return 0, nil
}

// leadsTo says whether s is nil, or of itself one of the chain of newest: then
// who has s loses nothing by getting what is added to newest.
func (s *Seccomp) leadsTo(newest *Seccomp) bool {
	if s == nil {
		return true
	}
	for f := newest; f != nil; f = f.older {
		if f == s {
			return true
		}
	}
	return false
}

// seccompRefuses applies the thread's seccomp to a call. When it returns true
// the call must not be served; what becomes of it has been arranged.
func (t *Task) seccompRefuses(s *Seccomp, nr uint64, args *[6]uint64) bool {
	if s.strict() {
		if strictCalls(nr) {
			return false
		}
		t.endThread(linux.SIGKILL)
		return true
	}
	d := linux.SeccompData{Nr: int32(nr), Arch: linux.AUDIT_ARCH_X86_64, IP: uint64(t.regs.PC()), Args: *args}
	action, data := s.verdict(&d)
	switch action {
	case linux.SECCOMP_RET_ALLOW, linux.SECCOMP_RET_LOG:
		return false
	case linux.SECCOMP_RET_ERRNO:
		const maxErrno = 4095
		t.regs.SetReturn(-uint64(min(data, maxErrno)))
	case linux.SECCOMP_RET_TRAP:
		t.seccompSignal(&d, data, false)
	case linux.SECCOMP_RET_TRACE, linux.SECCOMP_RET_USER_NOTIF:
		// There is no tracer and no listener.
		t.regs.SetReturn(failure(errno.ENOSYS))
	case linux.SECCOMP_RET_KILL_THREAD:
		if t.group.Count() > 1 {
			t.endThread(linux.SIGSYS)
			break
		}
		fallthrough
	default:
		t.seccompSignal(&d, data, true)
	}
	return true
}

// strictCalls says whether strict mode allows a call.
func strictCalls(nr uint64) bool {
	switch sysno.Lookup(sysno.AMD64, nr) {
	case sysno.Read, sysno.Write, sysno.Exit, sysno.RtSigreturn:
		return true
	}
	return false
}

// seccompSignal sends SIGSYS, with the registers as they were before the call.
func (t *Task) seccompSignal(d *linux.SeccompData, data uint32, fatal bool) {
	t.regs.SetReturn(uint64(d.Nr))
	info := linux.SigInfo{Signo: int32(linux.SIGSYS), Errno: int32(data), Code: linux.SYS_SECCOMP}
	info.SetCallAddr(d.IP)
	info.SetSyscall(d.Nr)
	info.SetArch(d.Arch)
	t.ForceSignal(info, fatal)
}

// endThread ends the calling thread as a signal would end a process.
func (t *Task) endThread(s linux.Signal) {
	t.result.exit, t.result.status = true, linux.KilledStatus(s)
}
