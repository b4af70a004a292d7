package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Processes: clone, execve, exit, wait, ids, groups and sessions.
var processCalls = []Call{
	call0(sysno.Fork, fork, full),
	call0(sysno.Vfork, vfork, full),
	call5(sysno.Clone, clone, except("CLONE_INTO_CGROUP", "CLONE_IO")),
	call2(sysno.Clone3, clone3, except("CLONE_INTO_CGROUP", "CLONE_IO")),
	call3(sysno.Execve, execve, full),
	call5(sysno.Execveat, execveat, full),
	call1(sysno.Exit, exit, full),
	call1(sysno.ExitGroup, exitGroup, full),
	call4(sysno.Wait4, wait4, full),
	call5(sysno.Waitid, waitid, full),
	steady(call0(sysno.Getpid, getpid, full)),
	steady(call0(sysno.Gettid, gettid, full)),
	steady(call0(sysno.Getppid, getppid, full)),
	call1(sysno.Getpgid, getpgid, full),
	steady(call0(sysno.Getpgrp, getpgrp, full)),
	call2(sysno.Setpgid, setpgid, full),
	call0(sysno.Setsid, setsid, full),
	call1(sysno.Getsid, getsid, full),
	call1(sysno.SetTidAddress, setTidAddress, full),
	call1(sysno.Unshare, unshare, except("CLONE_NEWTIME")),
	call0(sysno.RestartSyscall, restartSyscall, full),
}

func fork(t *kernel.Task) (uint64, error) {
	return cloned(t, &kernel.CloneOptions{ExitSignal: linux.SIGCHLD})
}

func vfork(t *kernel.Task) (uint64, error) {
	return cloned(t, &kernel.CloneOptions{Flags: linux.CLONE_VFORK | linux.CLONE_VM, ExitSignal: linux.SIGCHLD})
}

func cloned(t *kernel.Task, o *kernel.CloneOptions) (uint64, error) {
	tid, err := t.Clone(o)
	return uint64(tid), err
}

// knownCloneFlags are those of the old call's 32 bits that mean something.
const legacyIgnored = linux.CLONE_DETACHED

// clone makes a task that shares with the caller what the flags say.
//
// Errors: those of kernel.Task.Clone; EINVAL for CLONE_PIDFD together with
// CLONE_PARENT_SETTID, which would share one argument.
func clone(t *kernel.Task, flags linux.CloneFlags, stack uint64, parentTID, childTID usermem.Ptr[int32], tls uint64) (uint64, error) {
	flags &= 0xffffffff
	o := &kernel.CloneOptions{
		Flags:      flags &^ linux.CSIGNAL &^ legacyIgnored,
		ExitSignal: linux.Signal(flags & linux.CSIGNAL),
		Stack:      stack,
		TLS:        tls,
		ParentTID:  parentTID,
		ChildTID:   childTID,
	}
	if flags&linux.CLONE_PIDFD != 0 {
		if flags&(linux.CLONE_PARENT_SETTID|linux.CLONE_DETACHED) != 0 {
			return 0, errno.EINVAL
		}
		return clonedWithPIDFD(t, o, usermem.Ptr[linux.FD](parentTID))
	}
	return cloned(t, o)
}

// clone3 is clone with room for more.
//
// Errors: EINVAL for a bad size, unknown flags or a bad stack; E2BIG for bytes
// that we do not know and that are not zero; EFAULT.
func clone3(t *kernel.Task, args usermem.Addr, size uint64) (uint64, error) {
	a, err := loadVersioned[linux.CloneArgs](t, args, size, linux.CLONE_ARGS_SIZE_VER0)
	if err != nil {
		return 0, err
	}
	const known = 0xffffff00&^linux.CLONE_DETACHED | linux.CLONE_CLEAR_SIGHAND | linux.CLONE_INTO_CGROUP
	switch {
	case a.Flags&^known != 0,
		a.ExitSignal&^linux.CSIGNAL != 0,
		(a.Stack == 0) != (a.StackSize == 0),
		a.Flags&(linux.CLONE_THREAD|linux.CLONE_PARENT) != 0 && a.ExitSignal != 0,
		(a.SetTID == 0) != (a.SetTIDSize == 0),
		a.SetTIDSize > 32,
		a.ExitSignal > linux.NumSignals:
		return 0, errno.EINVAL
	case a.Flags&linux.CLONE_INTO_CGROUP != 0:
		return 0, errno.EOPNOTSUPP
	}
	o := &kernel.CloneOptions{
		Flags:      linux.CloneFlags(a.Flags),
		ExitSignal: linux.Signal(a.ExitSignal),
		TLS:        a.TLS,
		ParentTID:  usermem.Ptr[int32](a.ParentTID),
		ChildTID:   usermem.Ptr[int32](a.ChildTID),
	}
	if a.Stack != 0 {
		o.Stack = a.Stack + a.StackSize
	}
	if a.SetTIDSize > 0 {
		if !t.Creds().HasCap(linux.CAP_SYS_ADMIN) && !t.Creds().HasCap(linux.CAP_CHECKPOINT_RESTORE) {
			return 0, errno.EPERM
		}
		if o.SetTID, err = usermem.Ptr[int32](a.SetTID).LoadSlice(t, int(a.SetTIDSize)); err != nil {
			return 0, err
		}
	}
	if a.Flags&linux.CLONE_PIDFD != 0 {
		return clonedWithPIDFD(t, o, usermem.Ptr[linux.FD](a.PIDFD))
	}
	return cloned(t, o)
}

// loadVersioned copies in a structure that grows from kernel to kernel: bytes
// that the caller does not have are zero, bytes that we do not know must be.
func loadVersioned[T any](m usermem.Memory, addr usermem.Addr, size uint64, least uint64) (T, error) {
	var v T
	own := usermem.Bytes(&v)
	if size < least || size > usermem.PageSize {
		if size > usermem.PageSize {
			return v, errno.E2BIG
		}
		return v, errno.EINVAL
	}
	b := make([]byte, size)
	if _, err := m.CopyIn(b, addr); err != nil {
		return v, err
	}
	n := copy(own, b)
	for _, x := range b[n:] {
		if x != 0 {
			return v, errno.E2BIG
		}
	}
	return v, nil
}

// execve replaces the program. It returns only upon failure.
//
// Errors: those of the loader (ENOENT, EACCES, ENOEXEC, ELIBBAD, ETXTBSY,
// E2BIG, ELOOP, ENAMETOOLONG, EFAULT, ENOMEM); after the point of no return
// the process is killed.
func execve(t *kernel.Task, path usermem.CString, argv, envp usermem.Ptr[uint64]) (uint64, error) {
	return execveat(t, linux.AT_FDCWD, path, argv, envp, 0)
}

func execveat(t *kernel.Task, dir linux.FD, path usermem.CString, argv, envp usermem.Ptr[uint64], flags int32) (uint64, error) {
	if flags&^(linux.AT_EMPTY_PATH|linux.AT_SYMLINK_NOFOLLOW) != 0 {
		return 0, errno.EINVAL
	}
	name, err := path.Path(t)
	if err != nil {
		return 0, err
	}
	args, err := loadStrings(t, argv)
	if err != nil {
		return 0, err
	}
	env, err := loadStrings(t, envp)
	if err != nil {
		return 0, err
	}
	return 0, t.Exec(kernel.ExecOptions{Dir: dir, Path: name, Flags: int(flags), Args: args, Env: env})
}

// Bounds of argument lists, as on Linux: a string, and all of them at the
// largest stack that counts (a quarter of 24 MiB).
const (
	maxArgLen   = 32 * usermem.PageSize
	maxArgTotal = 6 << 20
)

// loadStrings copies in a list of strings that a null pointer ends.
func loadStrings(t *kernel.Task, list usermem.Ptr[uint64]) ([]string, error) {
	if list == 0 {
		return nil, nil
	}
	var out []string
	total := 0
	for {
		p, err := list.At(len(out)).Load(t)
		if err != nil {
			return nil, err
		}
		if p == 0 {
			return out, nil
		}
		s, err := usermem.LoadString(t, usermem.Addr(p), maxArgLen, errno.E2BIG)
		if err != nil {
			return nil, err
		}
		if total += len(s) + 9; total > maxArgTotal {
			return nil, errno.E2BIG
		}
		out = append(out, s)
	}
}

func exit(t *kernel.Task, code int32) (uint64, error) {
	t.Exit(code)
	return 0, nil
}

func exitGroup(t *kernel.Task, code int32) (uint64, error) {
	t.ExitGroup(code)
	return 0, nil
}

// wait4 waits for a child.
//
// Errors: EINVAL for unknown options, ECHILD without a child that matches,
// ERESTARTSYS, EFAULT.
func wait4(t *kernel.Task, pid int32, status usermem.Ptr[int32], options int32, usage usermem.Ptr[linux.Rusage]) (uint64, error) {
	const known = linux.WNOHANG | linux.WUNTRACED | linux.WCONTINUED | linux.WALL | linux.WNOTHREAD
	if options&^(known)&^int32(-0x80000000) != 0 {
		return 0, errno.EINVAL
	}
	if pid == -0x80000000 {
		return 0, errno.ESRCH
	}
	o := kernel.WaitOptions{
		Match:  t.WaitMatch(linux.P_ALL, 0),
		States: linux.WEXITED | int(options)&(linux.WSTOPPED|linux.WCONTINUED),
		NoHang: options&linux.WNOHANG != 0,
		Clones: int(uint32(options)),
	}
	switch {
	case pid > 0:
		o.Match = t.WaitMatch(linux.P_PID, pid)
	case pid == 0:
		o.Match = t.WaitMatch(linux.P_PGID, 0)
	case pid < -1:
		o.Match = t.WaitMatch(linux.P_PGID, -pid)
	}
	r, err := t.Wait(o)
	if err != nil || r.PID == 0 {
		return 0, err
	}
	if err := status.StoreIf(t, int32(r.Status)); err != nil {
		return 0, err
	}
	if err := usage.StoreIf(t, r.Usage.Rusage()); err != nil {
		return 0, err
	}
	return uint64(r.PID), nil
}

// waitid waits for a child and tells of it by a siginfo.
//
// Errors: as wait4; EBADF for a descriptor that is no pidfd.
func waitid(t *kernel.Task, idType, id int32, info usermem.Ptr[linux.SigInfo], options int32, usage usermem.Ptr[linux.Rusage]) (uint64, error) {
	const states = linux.WEXITED | linux.WSTOPPED | linux.WCONTINUED
	const known = states | linux.WNOHANG | linux.WNOWAIT | linux.WALL | linux.WNOTHREAD
	if options&^known&^int32(-0x80000000) != 0 || options&states == 0 {
		return 0, errno.EINVAL
	}
	o := kernel.WaitOptions{
		States: int(options) & states,
		NoHang: options&linux.WNOHANG != 0,
		Keep:   options&linux.WNOWAIT != 0,
		Clones: int(uint32(options)),
	}
	switch idType {
	case linux.P_ALL:
		o.Match = t.WaitMatch(linux.P_ALL, 0)
	case linux.P_PID:
		if id <= 0 {
			return 0, errno.EINVAL
		}
		o.Match = t.WaitMatch(linux.P_PID, id)
	case linux.P_PGID:
		if id < 0 {
			return 0, errno.EINVAL
		}
		o.Match = t.WaitMatch(linux.P_PGID, id)
	case linux.P_PIDFD:
		g, nonblock, err := groupOfPIDFD(t, linux.FD(id))
		if err != nil {
			return 0, err
		}
		o.Match = func(c *kernel.ThreadGroup) bool { return c == g }
		if nonblock && !o.NoHang {
			o.NoHang = true
			return waitidResult(t, o, info, usage, errno.EAGAIN)
		}
	default:
		return 0, errno.EINVAL
	}
	return waitidResult(t, o, info, usage, 0)
}

func waitidResult(t *kernel.Task, o kernel.WaitOptions, info usermem.Ptr[linux.SigInfo], usage usermem.Ptr[linux.Rusage], nothing errno.Errno) (uint64, error) {
	r, err := t.Wait(o)
	if err != nil {
		return 0, err
	}
	var si linux.SigInfo
	if r.PID == 0 && nothing != 0 {
		return 0, nothing
	}
	if r.PID != 0 {
		si.Signo = int32(linux.SIGCHLD)
		si.SetPID(r.PID)
		si.SetUID(r.UID)
		switch st := r.Status; {
		case st.Continued():
			si.Code = linux.CLD_CONTINUED
			si.SetStatus(int32(linux.SIGCONT))
		case st.Stopped():
			si.Code = linux.CLD_STOPPED
			si.SetStatus(int32(st.StopSignal()))
		default:
			code, status := kernel.ExitCode(st)
			si.Code = code
			si.SetStatus(status)
		}
		if err := usage.StoreIf(t, r.Usage.Rusage()); err != nil {
			return 0, err
		}
	}
	if info == 0 {
		return 0, nil
	}
	// Linux stores the fields of a SIGCHLD only.
	_, err = t.CopyOut(info.Addr(), usermem.Bytes(&si)[:28])
	return 0, err
}

func getpid(t *kernel.Task) (uint64, error) {
	return uint64(t.ThreadGroup().ID(t.PIDNS())), nil
}

func gettid(t *kernel.Task) (uint64, error) { return uint64(t.TID()), nil }

func getppid(t *kernel.Task) (uint64, error) {
	return uint64(t.ThreadGroup().ParentID(t.PIDNS())), nil
}

func groupByPID(t *kernel.Task, pid int32) (*kernel.ThreadGroup, error) {
	if pid == 0 {
		return t.ThreadGroup(), nil
	}
	if u := t.PIDNS().Task(pid); u != nil {
		return u.ThreadGroup(), nil
	}
	return nil, errno.ESRCH
}

func getpgid(t *kernel.Task, pid int32) (uint64, error) {
	g, err := groupByPID(t, pid)
	if err != nil {
		return 0, err
	}
	return uint64(g.Pgid(t.PIDNS())), nil
}

func getpgrp(t *kernel.Task) (uint64, error) { return getpgid(t, 0) }

func setpgid(t *kernel.Task, pid, pgid int32) (uint64, error) {
	if pgid < 0 {
		return 0, errno.EINVAL
	}
	return 0, t.ThreadGroup().Setpgid(pid, pgid)
}

func setsid(t *kernel.Task) (uint64, error) {
	if err := t.ThreadGroup().Setsid(); err != nil {
		return 0, err
	}
	return getpid(t)
}

func getsid(t *kernel.Task, pid int32) (uint64, error) {
	g, err := groupByPID(t, pid)
	if err != nil {
		return 0, err
	}
	return uint64(g.Sid(t.PIDNS())), nil
}

func setTidAddress(t *kernel.Task, p usermem.Ptr[int32]) (uint64, error) {
	t.SetClearTID(p)
	return uint64(t.TID()), nil
}

// unshare leaves what the flags name.
//
// Errors: EINVAL for unknown flags or, with more than one thread, for what
// threads must share; EPERM; ENOSPC.
func unshare(t *kernel.Task, flags linux.CloneFlags) (uint64, error) {
	const known = linux.CLONE_FILES | linux.CLONE_FS | linux.CLONE_NEWCGROUP | linux.CLONE_NEWIPC | linux.CLONE_NEWNET |
		linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWUSER | linux.CLONE_NEWUTS | linux.CLONE_SYSVSEM |
		linux.CLONE_THREAD | linux.CLONE_SIGHAND | linux.CLONE_VM
	if flags&^known != 0 {
		return 0, errno.EINVAL
	}
	if flags&(linux.CLONE_THREAD|linux.CLONE_SIGHAND|linux.CLONE_VM) != 0 && t.ThreadGroup().Count() > 1 {
		return 0, errno.EINVAL
	}
	return 0, t.Unshare(flags)
}

// restartSyscall goes on with a call that a signal interrupted: EINTR if there
// is none.
func restartSyscall(t *kernel.Task) (uint64, error) {
	b := t.TakeRestart()
	if b == nil {
		return 0, errno.EINTR
	}
	return b.Restart(t)
}
