package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/bpf"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// seccomp(2) and prctl(2)'s older form of it. Programs are checked in
// internal/bpf; what they do to a task is in sentry/kernel.
var seccompCalls = []Call{
	call3(sysno.Seccomp, seccomp, except("SECCOMP_FILTER_FLAG_NEW_LISTENER", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")),
}

// seccomp binds the calling thread.
//
// Errors: EINVAL for an unknown operation or flag; and what the operations say.
func seccomp(t *kernel.Task, op, flags uint32, args uint64) (uint64, error) {
	if op != linux.SECCOMP_SET_MODE_FILTER && flags != 0 {
		return 0, errno.EINVAL
	}
	switch op {
	case linux.SECCOMP_SET_MODE_STRICT:
		if args != 0 {
			return 0, errno.EINVAL
		}
		return 0, t.SetSeccompStrict()
	case linux.SECCOMP_SET_MODE_FILTER:
		return addFilter(t, flags, usermem.Ptr[linux.SockFprog](args))
	case linux.SECCOMP_GET_ACTION_AVAIL:
		return 0, actionAvailable(t, usermem.Ptr[uint32](args))
	case linux.SECCOMP_GET_NOTIF_SIZES:
		return 0, usermem.Ptr[linux.SeccompNotifSizes](args).Store(t, linux.SeccompNotifSizes{
			Notif: linux.SizeofSeccompNotif, Resp: linux.SizeofSeccompNotifResp, Data: linux.SizeofSeccompData,
		})
	}
	return 0, errno.EINVAL
}

func prGetSeccomp(t *kernel.Task, _, _, _, _ uint64) (uint64, error) {
	mode, _ := t.SeccompMode()
	return uint64(mode), nil
}

func prSetSeccomp(t *kernel.Task, mode, args, _, _ uint64) (uint64, error) {
	switch mode {
	case linux.SECCOMP_MODE_STRICT:
		return 0, t.SetSeccompStrict()
	case linux.SECCOMP_MODE_FILTER:
		return addFilter(t, 0, usermem.Ptr[linux.SockFprog](args))
	}
	return 0, errno.EINVAL
}

// Flags of SECCOMP_SET_MODE_FILTER that have an effect or may be without one:
// there is no audit log to write to, and no speculation to leave unmitigated.
const filterFlags = linux.SECCOMP_FILTER_FLAG_TSYNC | linux.SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
	linux.SECCOMP_FILTER_FLAG_LOG | linux.SECCOMP_FILTER_FLAG_SPEC_ALLOW

// addFilter is SECCOMP_SET_MODE_FILTER. It returns the id of a thread that
// cannot be synchronized, 0 otherwise.
//
// Errors: EINVAL for a flag or a program that is not allowed, or in strict
// mode; EFAULT; EACCES without no_new_privs and CAP_SYS_ADMIN; ENOMEM when the
// filters become too long; ESRCH instead of a thread's id on request.
func addFilter(t *kernel.Task, flags uint32, prog usermem.Ptr[linux.SockFprog]) (uint64, error) {
	if flags&^filterFlags != 0 {
		return 0, errno.EINVAL
	}
	p, err := loadProgram(t, prog)
	if err != nil {
		return 0, err
	}
	threads := kernel.ThisThread
	if flags&linux.SECCOMP_FILTER_FLAG_TSYNC != 0 {
		threads = kernel.AllThreads
	}
	preventer, err := t.AddSeccompFilter(p, threads)
	if preventer != 0 && flags&linux.SECCOMP_FILTER_FLAG_TSYNC_ESRCH != 0 {
		return 0, errno.ESRCH
	}
	return uint64(preventer), err
}

func loadProgram(t *kernel.Task, prog usermem.Ptr[linux.SockFprog]) (bpf.Program, error) {
	fprog, err := prog.Load(t)
	if err != nil {
		return bpf.Program{}, err
	}
	if fprog.Len == 0 || fprog.Len > linux.BPF_MAXINSNS {
		return bpf.Program{}, errno.EINVAL
	}
	if c := t.Creds(); c.NoNewPrivs == 0 && !c.HasCap(linux.CAP_SYS_ADMIN) {
		return bpf.Program{}, errno.EACCES
	}
	code, err := usermem.Ptr[linux.SockFilter](fprog.Filter).LoadSlice(t, int(fprog.Len))
	if err != nil {
		return bpf.Program{}, err
	}
	p, err := bpf.New(code)
	if err != nil {
		return bpf.Program{}, errno.EINVAL
	}
	return p, nil
}

// actionAvailable is SECCOMP_GET_ACTION_AVAIL. Errors: EFAULT, EOPNOTSUPP.
func actionAvailable(t *kernel.Task, action usermem.Ptr[uint32]) error {
	a, err := action.Load(t)
	if err != nil {
		return err
	}
	switch a {
	case linux.SECCOMP_RET_KILL_PROCESS, linux.SECCOMP_RET_KILL_THREAD, linux.SECCOMP_RET_TRAP, linux.SECCOMP_RET_ERRNO,
		linux.SECCOMP_RET_USER_NOTIF, linux.SECCOMP_RET_TRACE, linux.SECCOMP_RET_LOG, linux.SECCOMP_RET_ALLOW:
		return nil
	}
	return errno.EOPNOTSUPP
}
