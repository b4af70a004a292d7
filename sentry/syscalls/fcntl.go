package syscalls

import (
	"math"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/pipefs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Descriptor and file flags, locks, ioctl.
var fcntlCalls = []Call{
	call3(sysno.Fcntl, fcntl, except("F_SETLEASE", "F_NOTIFY", "F_CANCELLK")),
	call2(sysno.Flock, flock, full),
	call3(sysno.Ioctl, ioctl, except("FS_IOC_*", "FICLONE*", "FIBMAP")),
}

// fcntl does what cmd says.
//
// Errors: EBADF, EINVAL for an unknown command, and the commands' own.
func fcntl(t *kernel.Task, fd linux.FD, cmd int32, arg uint64) (uint64, error) {
	d, flags, err := t.FDs().GetFlags(fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	switch cmd { // those that work with O_PATH
	case linux.F_DUPFD, linux.F_DUPFD_CLOEXEC:
		f := fdtable.Flags(0)
		if cmd == linux.F_DUPFD_CLOEXEC {
			f = fdtable.CloseOnExec
		}
		if int32(arg) < 0 || uint64(uint32(arg)) >= fileLimit(t) {
			return 0, errno.EINVAL
		}
		return dupFrom(t, fd, linux.FD(arg), f)
	case linux.F_GETFD:
		return uint64(flags), nil
	case linux.F_SETFD:
		return 0, t.FDs().SetFlags(fd, fdtable.Flags(arg&linux.FD_CLOEXEC))
	case linux.F_GETFL:
		return uint64(d.Flags()), nil
	}
	if d.Flags()&linux.O_PATH != 0 {
		return 0, errno.EBADF
	}
	return fcntlFile(t, d, fd, cmd, arg)
}

func fcntlFile(t *kernel.Task, d *vfs.Description, fd linux.FD, cmd int32, arg uint64) (uint64, error) {
	switch cmd {
	case linux.F_SETFL:
		return 0, setStatusFlags(t, d, fd, linux.OpenFlags(arg))
	case linux.F_GETLK, linux.F_OFD_GETLK:
		return 0, getLock(t, d, cmd, usermem.Ptr[linux.Flock](arg))
	case linux.F_SETLK, linux.F_SETLKW, linux.F_OFD_SETLK, linux.F_OFD_SETLKW:
		return 0, setLock(t, d, cmd, usermem.Ptr[linux.Flock](arg))
	case linux.F_SETOWN, linux.F_GETOWN, linux.F_SETOWN_EX, linux.F_GETOWN_EX, linux.F_SETSIG, linux.F_GETSIG:
		return fcntlOwner(t, d, cmd, arg)
	case linux.F_GETLEASE:
		return linux.F_UNLCK, nil
	case linux.F_SETLEASE, linux.F_NOTIFY:
		return 0, errno.EINVAL // as without CONFIG_FILE_LOCKING's leases and dnotify
	case linux.F_GETPIPE_SZ, linux.F_SETPIPE_SZ:
		return pipeSize(t, d, cmd, arg)
	case linux.F_GET_SEALS, linux.F_ADD_SEALS:
		return fileSeals(d, cmd, uint32(arg))
	case linux.F_DUPFD_QUERY:
		return sameFile(t, d, linux.FD(arg))
	}
	return 0, errno.EINVAL
}

func sameFile(t *kernel.Task, d *vfs.Description, fd linux.FD) (uint64, error) {
	other, err := t.FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	defer other.DecRef()
	if other == d {
		return 1, nil
	}
	return 0, nil
}

func pipeSize(t *kernel.Task, d *vfs.Description, cmd int32, arg uint64) (uint64, error) {
	p := pipefs.Of(d.File())
	if p == nil {
		return 0, errno.EBADF
	}
	if cmd == linux.F_GETPIPE_SZ {
		return uint64(p.Size()), nil
	}
	n, err := p.SetSize(int64(uint32(arg)), pipefs.Privilege(t.Creds().HasCap(linux.CAP_SYS_RESOURCE)))
	return uint64(n), err
}

func fileSeals(d *vfs.Description, cmd int32, seals uint32) (uint64, error) {
	s, ok := d.File().(vfs.Sealer)
	if !ok {
		return 0, errno.EINVAL
	}
	if cmd == linux.F_GET_SEALS {
		have, err := s.Seals()
		return uint64(have), err
	}
	if !d.Writable() {
		return 0, errno.EPERM
	}
	return 0, s.AddSeals(seals)
}

// fcntlOwner keeps who is to get SIGIO.
func fcntlOwner(t *kernel.Task, d *vfs.Description, cmd int32, arg uint64) (uint64, error) {
	o, _ := d.Owner().(linux.FOwnerEx)
	switch cmd {
	case linux.F_SETOWN:
		o = linux.FOwnerEx{Type: linux.F_OWNER_PID, PID: int32(arg)}
		if o.PID < 0 {
			if o.PID == math.MinInt32 {
				return 0, errno.EINVAL
			}
			o = linux.FOwnerEx{Type: linux.F_OWNER_PGRP, PID: -o.PID}
		}
		return 0, setOwner(t, d, o)
	case linux.F_SETOWN_EX:
		o, err := usermem.Ptr[linux.FOwnerEx](arg).Load(t)
		if err != nil {
			return 0, err
		}
		if o.Type < linux.F_OWNER_TID || o.Type > linux.F_OWNER_PGRP {
			return 0, errno.EINVAL
		}
		return 0, setOwner(t, d, o)
	case linux.F_GETOWN:
		if o.Type == linux.F_OWNER_PGRP {
			return uint64(-int64(o.PID)), nil
		}
		return uint64(o.PID), nil
	case linux.F_GETOWN_EX:
		return 0, usermem.Ptr[linux.FOwnerEx](arg).Store(t, o)
	case linux.F_SETSIG:
		if s := linux.Signal(arg); s != 0 && !s.Valid() || arg > 64 {
			return 0, errno.EINVAL
		}
		d.SetSignal(linux.Signal(arg))
		return 0, nil
	}
	return uint64(d.Signal()), nil
}

// setOwner: ESRCH if there is no such process.
func setOwner(t *kernel.Task, d *vfs.Description, o linux.FOwnerEx) error {
	if o.PID != 0 && o.Type != linux.F_OWNER_PGRP && t.PIDNS().Task(o.PID) == nil {
		return errno.ESRCH
	}
	d.SetOwner(o)
	return nil
}

// lockRange turns a struct flock into a lock with absolute bounds.
//
// Errors: EINVAL, EOVERFLOW.
func lockRange(t *kernel.Task, d *vfs.Description, f linux.Flock) (vfs.FileLock, error) {
	l := vfs.FileLock{Kind: f.Type, Owner: t.FDs(), PID: t.ThreadGroup().ID(t.Kernel().RootPIDNS())}
	var base int64
	switch f.Whence {
	case linux.SEEK_SET:
	case linux.SEEK_CUR:
		base = d.Offset()
	case linux.SEEK_END:
		s, err := d.Inode().Stat(t, linux.STATX_SIZE)
		if err != nil {
			return l, err
		}
		base = int64(s.Size)
	default:
		return l, errno.EINVAL
	}
	if f.Start > math.MaxInt64-base {
		return l, errno.EOVERFLOW
	}
	l.Start = base + f.Start
	switch {
	case l.Start < 0:
		return l, errno.EINVAL
	case f.Len > 0:
		if f.Len-1 > math.MaxInt64-l.Start {
			return l, errno.EOVERFLOW
		}
		l.End = l.Start + f.Len - 1
	case f.Len < 0:
		l.Start, l.End = l.Start+f.Len, l.Start-1
		if l.Start < 0 {
			return l, errno.EINVAL
		}
	default:
		l.End = math.MaxInt64
	}
	return l, nil
}

// ofdLock makes the lock one of the open file, for the F_OFD_ commands. EINVAL
// if the structure names a process.
func ofdLock(d *vfs.Description, f linux.Flock, l *vfs.FileLock) error {
	if f.PID != 0 {
		return errno.EINVAL
	}
	l.Owner, l.PID = d, -1
	return nil
}

func getLock(t *kernel.Task, d *vfs.Description, cmd int32, p usermem.Ptr[linux.Flock]) error {
	f, err := p.Load(t)
	if err != nil {
		return err
	}
	if f.Type != linux.F_RDLCK && f.Type != linux.F_WRLCK {
		return errno.EINVAL
	}
	l, err := lockRange(t, d, f)
	if err != nil {
		return err
	}
	if cmd == linux.F_OFD_GETLK {
		if err := ofdLock(d, f, &l); err != nil {
			return err
		}
	}
	found := d.GetLock(l)
	f.Type = found.Kind
	if found.Kind == linux.F_UNLCK {
		return p.Store(t, f)
	}
	f.Whence, f.Start, f.Len = linux.SEEK_SET, found.Start, found.End-found.Start+1
	if found.End == math.MaxInt64 {
		f.Len = 0
	}
	f.PID = found.PID
	if found.PID > 0 {
		f.PID = 0
		if g := t.Kernel().RootPIDNS().ThreadGroup(found.PID); g != nil {
			f.PID = g.ID(t.PIDNS())
		}
	}
	return p.Store(t, f)
}

func setLock(t *kernel.Task, d *vfs.Description, cmd int32, p usermem.Ptr[linux.Flock]) error {
	f, err := p.Load(t)
	if err != nil {
		return err
	}
	if f.Type != linux.F_RDLCK && f.Type != linux.F_WRLCK && f.Type != linux.F_UNLCK {
		return errno.EINVAL
	}
	l, err := lockRange(t, d, f)
	if err != nil {
		return err
	}
	if cmd == linux.F_OFD_SETLK || cmd == linux.F_OFD_SETLKW {
		if err := ofdLock(d, f, &l); err != nil {
			return err
		}
	}
	wait := vfs.LockNoWait
	if cmd == linux.F_SETLKW || cmd == linux.F_OFD_SETLKW {
		wait = vfs.LockBlocks
	}
	return d.SetLock(t, l, wait)
}

// flock locks a whole file for the open file.
//
// Errors: EINVAL, EBADF, EWOULDBLOCK with LOCK_NB, ERESTARTSYS.
func flock(t *kernel.Task, fd linux.FD, op int32) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error {
		wait := vfs.LockBlocks
		if op&linux.LOCK_NB != 0 {
			wait = vfs.LockNoWait
		}
		return d.Flock(t, int(op&^linux.LOCK_NB), wait)
	})
}

// ioctl answers what holds for every file, and asks the file for the rest.
//
// Errors: ENOTTY for a command that the file does not know.
func ioctl(t *kernel.Task, fd linux.FD, cmd uint32, arg uint64) (uint64, error) {
	d, err := openFile(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	switch cmd {
	case linux.FIOCLEX:
		return 0, t.FDs().SetFlags(fd, fdtable.CloseOnExec)
	case linux.FIONCLEX:
		return 0, t.FDs().SetFlags(fd, 0)
	case linux.FIONBIO:
		return 0, switchFlag(t, d, fd, linux.O_NONBLOCK, usermem.Ptr[int32](arg))
	case linux.FIOASYNC:
		return 0, switchFlag(t, d, fd, linux.O_ASYNC, usermem.Ptr[int32](arg))
	case linux.FIOQSIZE, linux.FIONREAD, linux.FIGETBSZ:
		if mode := d.Inode().Attr().Mode; mode.IsRegular() || cmd != linux.FIONREAD && mode.IsDir() {
			return 0, sizeIoctl(t, d, cmd, usermem.Addr(arg))
		}
	}
	return d.Ioctl(t, t, cmd, arg)
}

// switchFlag sets or clears a status flag.
func switchFlag(t *kernel.Task, d *vfs.Description, fd linux.FD, flag linux.OpenFlags, p usermem.Ptr[int32]) error {
	on, err := p.Load(t)
	if err != nil {
		return err
	}
	flags := d.Flags() &^ flag
	if on != 0 {
		flags |= flag
	}
	return setStatusFlags(t, d, fd, flags)
}

// sizeIoctl answers questions about sizes of files and directories.
func sizeIoctl(t *kernel.Task, d *vfs.Description, cmd uint32, arg usermem.Addr) error {
	s, err := d.Inode().Stat(t, linux.STATX_SIZE)
	if err != nil {
		return err
	}
	switch cmd {
	case linux.FIOQSIZE:
		return usermem.Ptr[int64](arg).Store(t, int64(s.Size))
	case linux.FIGETBSZ:
		return usermem.Ptr[int32](arg).Store(t, int32(s.Blksize))
	}
	return usermem.Ptr[int32](arg).Store(t, int32(min(int64(s.Size)-d.Offset(), math.MaxInt32)))
}
