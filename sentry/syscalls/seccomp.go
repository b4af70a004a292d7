package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/bpf"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// seccomp(2): a guest binds itself. What a filter does to a call is in
// kernel/seccomp.go.
var seccompCalls = []Call{
	call3(sysno.Seccomp, seccomp, except("SECCOMP_FILTER_FLAG_NEW_LISTENER", "SECCOMP_GET_NOTIF_SIZES", "SECCOMP_RET_TRACE")),
}

// seccomp sets a mode, or tells which actions there are.
//
// Errors: EINVAL for an unknown operation or flag, a bad filter, or a mode that
// cannot follow the present one; EACCES without no_new_privs and CAP_SYS_ADMIN;
// EFAULT; ENOMEM for too many filters; EOPNOTSUPP for an unknown action; ESRCH
// when another thread has filters of its own, and SECCOMP_FILTER_FLAG_TSYNC_ESRCH.
func seccomp(t *kernel.Task, op, flags uint32, args uint64) (uint64, error) {
	switch op {
	case linux.SECCOMP_SET_MODE_STRICT:
		if flags != 0 || args != 0 {
			return 0, errno.EINVAL
		}
		return 0, t.SetSeccompStrict()
	case linux.SECCOMP_SET_MODE_FILTER:
		return setSeccompFilter(t, flags, args)
	case linux.SECCOMP_GET_ACTION_AVAIL:
		if flags != 0 {
			return 0, errno.EINVAL
		}
		return 0, seccompActionAvailable(t, usermem.Ptr[uint32](args))
	}
	return 0, errno.EINVAL
}

// prSetSeccomp is prctl(PR_SET_SECCOMP).
func prSetSeccomp(t *kernel.Task, mode, args, _, _ uint64) (uint64, error) {
	switch mode {
	case linux.SECCOMP_MODE_STRICT:
		return 0, t.SetSeccompStrict()
	case linux.SECCOMP_MODE_FILTER:
		return setSeccompFilter(t, 0, args)
	}
	return 0, errno.EINVAL
}

func prGetSeccomp(t *kernel.Task, _, _, _, _ uint64) (uint64, error) {
	mode, _ := t.SeccompMode()
	return uint64(mode), nil
}

func setSeccompFilter(t *kernel.Task, flags uint32, args uint64) (uint64, error) {
	const sync = linux.SECCOMP_FILTER_FLAG_TSYNC
	const syncError = linux.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	const known = sync | syncError | linux.SECCOMP_FILTER_FLAG_LOG | linux.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	if flags&^known != 0 {
		return 0, errno.EINVAL
	}
	program, err := loadFilter(t, usermem.Ptr[linux.SockFprog](args))
	if err != nil {
		return 0, err
	}
	scope := kernel.ThisThread
	if flags&sync != 0 {
		scope = kernel.AllThreads
	}
	blocker, err := t.AddSeccompFilter(program, scope)
	if err == nil && blocker != 0 && flags&syncError != 0 {
		return 0, errno.ESRCH
	}
	return uint64(blocker), err
}

// loadFilter copies a filter in and checks it.
func loadFilter(t *kernel.Task, at usermem.Ptr[linux.SockFprog]) (bpf.Program, error) {
	prog, err := at.Load(t)
	if err != nil {
		return bpf.Program{}, err
	}
	if prog.Len == 0 || prog.Len > linux.BPF_MAXINSNS {
		return bpf.Program{}, errno.EINVAL
	}
	if c := t.Creds(); c.NoNewPrivs == 0 && !c.HasCap(linux.CAP_SYS_ADMIN) {
		return bpf.Program{}, errno.EACCES
	}
	code, err := usermem.Ptr[linux.SockFilter](prog.Filter).LoadSlice(t, int(prog.Len))
	if err != nil {
		return bpf.Program{}, err
	}
	program, err := bpf.New(code)
	if err != nil {
		return bpf.Program{}, errno.EINVAL
	}
	return program, nil
}

func seccompActionAvailable(t *kernel.Task, at usermem.Ptr[uint32]) error {
	action, err := at.Load(t)
	if err != nil {
		return err
	}
	switch action {
	case linux.SECCOMP_RET_KILL_PROCESS, linux.SECCOMP_RET_KILL_THREAD, linux.SECCOMP_RET_TRAP,
		linux.SECCOMP_RET_ERRNO, linux.SECCOMP_RET_LOG, linux.SECCOMP_RET_ALLOW:
		return nil
	}
	return errno.EOPNOTSUPP
}
