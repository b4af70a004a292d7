package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/inotify"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// inotify(7).
var inotifyCalls = []Call{
	call0(sysno.InotifyInit, inotifyInit, full),
	call1(sysno.InotifyInit1, inotifyInit1, full),
	call3(sysno.InotifyAddWatch, inotifyAddWatch, except("IN_EXCL_UNLINK")),
	call2(sysno.InotifyRmWatch, inotifyRmWatch, full),
}

func inotifyInit(t *kernel.Task) (uint64, error) { return inotifyInit1(t, 0) }

func inotifyInit1(t *kernel.Task, flags linux.OpenFlags) (uint64, error) {
	if flags&^(linux.IN_CLOEXEC|linux.IN_NONBLOCK) != 0 {
		return 0, errno.EINVAL
	}
	return installFD(t, inotify.New(t.World(), t.Creds(), flags&linux.O_NONBLOCK), fdtable.FlagsOf(flags))
}

// inotifyAddWatch watches a file, or changes what is watched of it.
//
// Errors: EINVAL for a mask without events or with flags that exclude each
// other, or if fd is no instance; EBADF; ENOTDIR; EACCES without the right to
// read; EEXIST; ENOSPC; those of path resolution.
func inotifyAddWatch(t *kernel.Task, fd linux.FD, path usermem.Addr, mask uint32) (uint64, error) {
	if mask&linux.IN_ALL_EVENTS == 0 || mask&linux.IN_MASK_ADD != 0 && mask&linux.IN_MASK_CREATE != 0 {
		return 0, errno.EINVAL
	}
	d, in, err := fileOf[*inotify.Instance](t, fd, errno.EINVAL)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	text, err := usermem.LoadString(t, path, linux.PATH_MAX, errno.ENAMETOOLONG)
	if err != nil {
		return 0, err
	}
	n := t.FS().Name(text)
	defer n.Release()
	how := vfs.How{}
	if mask&linux.IN_DONT_FOLLOW != 0 {
		how.Follow = vfs.NoFollow
	}
	p, err := vfs.Resolve(t, n, how)
	if err != nil {
		return 0, err
	}
	if err := mayWatch(t, p, mask); err != nil {
		p.DecRef()
		return 0, err
	}
	wd, err := in.Add(p, mask)
	return uint64(wd), err
}

func mayWatch(t *kernel.Task, p vfs.Path, mask uint32) error {
	if mask&linux.IN_ONLYDIR != 0 && !p.Inode().Attr().Mode.IsDir() {
		return errno.ENOTDIR
	}
	return vfs.Check(t, p, vfs.MayRead)
}

func inotifyRmWatch(t *kernel.Task, fd linux.FD, wd int32) (uint64, error) {
	d, in, err := fileOf[*inotify.Instance](t, fd, errno.EINVAL)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return 0, in.Remove(wd)
}
