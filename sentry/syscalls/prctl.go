package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// prctl is a bag of small calls. An operation that is not in the list is
// EINVAL, as on a Linux without its feature.
func prctl(t *kernel.Task, op int32, a, b, c, d uint64) (uint64, error) {
	f, ok := prctlOps[op]
	if !ok {
		return 0, errno.EINVAL
	}
	return f(t, a, b, c, d)
}

var prctlOps = map[int32]func(t *kernel.Task, a, b, c, d uint64) (uint64, error){
	linux.PR_SET_PDEATHSIG: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		if a > linux.NumSignals {
			return 0, errno.EINVAL
		}
		t.SetParentDeath(linux.Signal(a))
		return 0, nil
	},
	linux.PR_GET_PDEATHSIG: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		return 0, usermem.Ptr[int32](a).Store(t, int32(t.ParentDeath()))
	},
	linux.PR_GET_DUMPABLE: func(t *kernel.Task, _, _, _, _ uint64) (uint64, error) {
		return uint64(t.MM().Dumpable()), nil
	},
	linux.PR_SET_DUMPABLE: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		if a != linux.SUID_DUMP_DISABLE && a != linux.SUID_DUMP_USER {
			return 0, errno.EINVAL
		}
		t.MM().SetDumpable(int32(a))
		return 0, nil
	},
	linux.PR_GET_KEEPCAPS: func(t *kernel.Task, _, _, _, _ uint64) (uint64, error) {
		return boolResult(t.Creds().Securebits&linux.SECBIT_KEEP_CAPS != 0), nil
	},
	linux.PR_SET_KEEPCAPS: prSetKeepcaps,
	linux.PR_SET_NAME: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		s, err := usermem.LoadString(t, usermem.Addr(a), linux.TASK_COMM_LEN, 0)
		if err != nil && err != errno.Errno(0) {
			return 0, err
		}
		if err != nil { // longer: cut
			b := make([]byte, linux.TASK_COMM_LEN-1)
			if _, err := t.CopyIn(b, usermem.Addr(a)); err != nil {
				return 0, err
			}
			s = string(b)
		}
		t.SetComm(s)
		return 0, nil
	},
	linux.PR_GET_NAME: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		var b [linux.TASK_COMM_LEN]byte
		copy(b[:], t.Comm())
		_, err := t.CopyOut(usermem.Addr(a), b[:])
		return 0, err
	},
	linux.PR_GET_TIMING: func(*kernel.Task, uint64, uint64, uint64, uint64) (uint64, error) { return 0, nil },
	linux.PR_SET_TIMING: func(_ *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		if a != 0 {
			return 0, errno.EINVAL
		}
		return 0, nil
	},
	linux.PR_GET_SECCOMP: prGetSeccomp,
	linux.PR_SET_SECCOMP: prSetSeccomp,
	linux.PR_CAPBSET_READ: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		if a > uint64(linux.CAP_LAST_CAP) {
			return 0, errno.EINVAL
		}
		return boolResult(t.Creds().Bounding.Has(linux.Capability(a))), nil
	},
	linux.PR_CAPBSET_DROP: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		if !t.Creds().HasCap(linux.CAP_SETPCAP) {
			return 0, errno.EPERM
		}
		if a > uint64(linux.CAP_LAST_CAP) {
			return 0, errno.EINVAL
		}
		n := t.Creds().Copy()
		n.Bounding &^= 1 << a
		t.SetCreds(n)
		return 0, nil
	},
	linux.PR_GET_SECUREBITS: func(t *kernel.Task, _, _, _, _ uint64) (uint64, error) {
		return uint64(t.Creds().Securebits), nil
	},
	linux.PR_SET_SECUREBITS: prSetSecurebits,
	linux.PR_SET_TIMERSLACK: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		if a == 0 {
			a = kernel.DefaultTimerSlack
		}
		t.UpdateSched(func(s *kernel.Sched) { s.Slack = a })
		return 0, nil
	},
	linux.PR_GET_TIMERSLACK:           func(t *kernel.Task, _, _, _, _ uint64) (uint64, error) { return t.Sched().Slack, nil },
	linux.PR_TASK_PERF_EVENTS_DISABLE: func(*kernel.Task, uint64, uint64, uint64, uint64) (uint64, error) { return 0, nil },
	linux.PR_TASK_PERF_EVENTS_ENABLE:  func(*kernel.Task, uint64, uint64, uint64, uint64) (uint64, error) { return 0, nil },
	linux.PR_SET_CHILD_SUBREAPER: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		t.ThreadGroup().SetSubreaper(a != 0)
		return 0, nil
	},
	linux.PR_GET_CHILD_SUBREAPER: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		return 0, usermem.Ptr[int32](a).Store(t, int32(boolResult(t.ThreadGroup().Subreaper())))
	},
	linux.PR_SET_NO_NEW_PRIVS: func(t *kernel.Task, a, b, c, d uint64) (uint64, error) {
		if a != 1 || b|c|d != 0 {
			return 0, errno.EINVAL
		}
		n := t.Creds().Copy()
		n.NoNewPrivs = 1
		t.SetCreds(n)
		return 0, nil
	},
	linux.PR_GET_NO_NEW_PRIVS: func(t *kernel.Task, a, b, c, d uint64) (uint64, error) {
		if a|b|c|d != 0 {
			return 0, errno.EINVAL
		}
		return uint64(t.Creds().NoNewPrivs), nil
	},
	linux.PR_GET_TID_ADDRESS: func(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
		return 0, usermem.Ptr[uint64](a).Store(t, uint64(t.ClearTID()))
	},
	linux.PR_SET_THP_DISABLE: func(_ *kernel.Task, _, b, c, d uint64) (uint64, error) {
		if b|c|d != 0 {
			return 0, errno.EINVAL
		}
		return 0, nil
	},
	linux.PR_GET_THP_DISABLE: func(*kernel.Task, uint64, uint64, uint64, uint64) (uint64, error) { return 0, nil },
	linux.PR_CAP_AMBIENT:     prCapAmbient,
	linux.PR_SET_PTRACER:     func(*kernel.Task, uint64, uint64, uint64, uint64) (uint64, error) { return 0, errno.EINVAL },
	linux.PR_SET_VMA:         prSetVMA,
	linux.PR_MCE_KILL:        func(*kernel.Task, uint64, uint64, uint64, uint64) (uint64, error) { return 0, nil },
	linux.PR_MCE_KILL_GET: func(*kernel.Task, uint64, uint64, uint64, uint64) (uint64, error) {
		return linux.PR_MCE_KILL_DEFAULT, nil
	},
}

func boolResult(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

func prSetKeepcaps(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
	n := t.Creds().Copy()
	if n.Securebits&linux.SECBIT_KEEP_CAPS_LOCKED != 0 {
		return 0, errno.EPERM
	}
	switch a {
	case 0:
		n.Securebits &^= linux.SECBIT_KEEP_CAPS
	case 1:
		n.Securebits |= linux.SECBIT_KEEP_CAPS
	default:
		return 0, errno.EINVAL
	}
	t.SetCreds(n)
	return 0, nil
}

// prSetSecurebits: a locked bit stays, and unknown bits are refused.
func prSetSecurebits(t *kernel.Task, a, _, _, _ uint64) (uint64, error) {
	n := t.Creds().Copy()
	const all = 0xff
	const locks = 0xaa
	locked := n.Securebits & locks >> 1
	if (uint64(n.Securebits)^a)&uint64(locked) != 0 || uint64(n.Securebits)&locks&^a != 0 || a&^all != 0 || !n.HasCap(linux.CAP_SETPCAP) {
		return 0, errno.EPERM
	}
	n.Securebits = uint32(a)
	t.SetCreds(n)
	return 0, nil
}

func prCapAmbient(t *kernel.Task, op, arg, c, d uint64) (uint64, error) {
	if c|d != 0 {
		return 0, errno.EINVAL
	}
	n := t.Creds().Copy()
	if op == linux.PR_CAP_AMBIENT_CLEAR_ALL {
		if arg != 0 {
			return 0, errno.EINVAL
		}
		n.Ambient = 0
		t.SetCreds(n)
		return 0, nil
	}
	if arg > uint64(linux.CAP_LAST_CAP) {
		return 0, errno.EINVAL
	}
	cp := linux.Capability(arg)
	switch op {
	case linux.PR_CAP_AMBIENT_IS_SET:
		return boolResult(n.Ambient.Has(cp)), nil
	case linux.PR_CAP_AMBIENT_RAISE:
		if !n.Permitted.Has(cp) || !n.Inheritable.Has(cp) || n.Securebits&linux.SECBIT_NO_CAP_AMBIENT_RAISE != 0 {
			return 0, errno.EPERM
		}
		n.Ambient |= 1 << arg
	case linux.PR_CAP_AMBIENT_LOWER:
		n.Ambient &^= 1 << arg
	default:
		return 0, errno.EINVAL
	}
	t.SetCreds(n)
	return 0, nil
}

// prSetVMA names anonymous memory. Errors: EINVAL for characters that are not
// printable or belong to other lines of /proc/PID/maps.
func prSetVMA(t *kernel.Task, op, addr, length, name uint64) (uint64, error) {
	if op != linux.PR_SET_VMA_ANON_NAME {
		return 0, errno.EINVAL
	}
	var s string
	if name != 0 {
		const most = 80
		var err error
		if s, err = usermem.LoadString(t, usermem.Addr(name), most, errno.EINVAL); err != nil {
			return 0, err
		}
		for _, c := range []byte(s) {
			if c < 0x20 || c > 0x7e || c == '\\' || c == '`' || c == '$' || c == '[' || c == ']' {
				return 0, errno.EINVAL
			}
		}
	}
	return 0, t.MM().SetName(usermem.Addr(addr), length, s)
}
