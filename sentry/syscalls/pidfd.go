package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/pidfd"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Descriptors of processes.
var pidfdCalls = []Call{
	call2(sysno.PidfdOpen, pidfdOpen, except("PIDFD_THREAD")),
	call4(sysno.PidfdSendSignal, pidfdSendSignal, full),
	call3(sysno.PidfdGetfd, pidfdGetfd, full),
}

// pidfdOpen opens a process by its number.
//
// Errors: EINVAL for flags, a bad number or a thread that leads no process;
// ESRCH; EMFILE.
func pidfdOpen(t *kernel.Task, pid int32, flags uint32) (uint64, error) {
	if flags&^linux.PIDFD_NONBLOCK != 0 || pid <= 0 {
		return 0, errno.EINVAL
	}
	g := t.PIDNS().ThreadGroup(pid)
	if g == nil {
		if t.PIDNS().Task(pid) != nil {
			return 0, errno.EINVAL
		}
		return 0, errno.ESRCH
	}
	d := pidfd.New(t.World(), g, linux.OpenFlags(flags), t.Creds())
	fd, err := t.FDs().Add(d, fdtable.CloseOnExec, 0, t.Limit(linux.RLIMIT_NOFILE).Cur)
	if err != nil {
		d.DecRef()
		return 0, err
	}
	return uint64(fd), nil
}

// clonedWithPIDFD is clone with CLONE_PIDFD: the descriptor is stored before
// the child runs, and appears only then.
func clonedWithPIDFD(t *kernel.Task, o *kernel.CloneOptions, where usermem.Ptr[linux.FD]) (uint64, error) {
	slot, err := t.FDs().Reserve(1, 0, t.Limit(linux.RLIMIT_NOFILE).Cur)
	if err != nil {
		return 0, err
	}
	defer slot.Cancel()
	o.Installed = func(child *kernel.Task) error {
		if err := where.Store(t, slot.FD(0)); err != nil {
			return err
		}
		slot.Install(fdtable.CloseOnExec, pidfd.New(t.World(), child.ThreadGroup(), 0, t.Creds()))
		return nil
	}
	return cloned(t, o)
}

// pidfdFile finds the process that a descriptor refers to. EBADF for others.
func pidfdFile(t *kernel.Task, fd linux.FD) (*kernel.ThreadGroup, linux.OpenFlags, error) {
	d, err := t.FDs().Get(fd)
	if err != nil {
		return nil, 0, err
	}
	defer d.DecRef()
	f, ok := d.File().(*pidfd.File)
	if !ok {
		return nil, 0, errno.EBADF
	}
	return f.Group(), d.Flags(), nil
}

// groupOfPIDFD is pidfdFile with whether the descriptor is non-blocking.
func groupOfPIDFD(t *kernel.Task, fd linux.FD) (g *kernel.ThreadGroup, nonblock bool, err error) {
	g, flags, err := pidfdFile(t, fd)
	return g, flags&linux.O_NONBLOCK != 0, err
}

// pidfdSendSignal is kill for a descriptor; with a siginfo it is rt_sigqueueinfo.
func pidfdSendSignal(t *kernel.Task, fd linux.FD, s linux.Signal, p usermem.Ptr[linux.SigInfo], flags uint32) (uint64, error) {
	const one = linux.PIDFD_SIGNAL_THREAD | linux.PIDFD_SIGNAL_THREAD_GROUP | linux.PIDFD_SIGNAL_PROCESS_GROUP
	if flags&^one != 0 || flags&(flags-1) != 0 {
		return 0, errno.EINVAL
	}
	g, _, err := pidfdFile(t, fd)
	if err != nil {
		return 0, err
	}
	if s != 0 && !s.Valid() {
		return 0, errno.EINVAL
	}
	info := kernel.UserSignal(s, linux.SI_USER, t, g.PIDNS())
	if p != 0 {
		if info, err = queuedInfo(t, g == t.ThreadGroup(), s, p); err != nil {
			return 0, err
		}
	}
	if g.Reaped() {
		return 0, errno.ESRCH
	}
	if !mayKill(t, g, s) {
		return 0, errno.EPERM
	}
	if s == 0 {
		return 0, nil
	}
	switch flags {
	case linux.PIDFD_SIGNAL_PROCESS_GROUP:
		return 0, killAll(t, t.Kernel().Members(g.ProcessGroup()), s)
	case linux.PIDFD_SIGNAL_THREAD:
		return 0, g.Leader().SendSignal(info, origin(t, g))
	}
	return 0, g.SendSignal(info, origin(t, g))
}

// pidfdGetfd takes a copy of a descriptor of another process.
//
// Errors: EINVAL, EBADF, ESRCH, EPERM without the right to trace it, EMFILE.
func pidfdGetfd(t *kernel.Task, fd, target linux.FD, flags uint32) (uint64, error) {
	if flags != 0 {
		return 0, errno.EINVAL
	}
	g, _, err := pidfdFile(t, fd)
	if err != nil {
		return 0, err
	}
	u := g.Leader()
	if !t.MayTrace(u) {
		return 0, errno.EPERM
	}
	fds := u.TakeFDs()
	if fds == nil {
		return 0, errno.ESRCH
	}
	defer fds.DecRef()
	d, err := fds.Get(target)
	if err != nil {
		return 0, err
	}
	own, err := t.FDs().Add(d, fdtable.CloseOnExec, 0, t.Limit(linux.RLIMIT_NOFILE).Cur)
	if err != nil {
		d.DecRef()
		return 0, err
	}
	return uint64(own), nil
}
