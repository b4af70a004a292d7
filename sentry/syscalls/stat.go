package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Asking about files.
var statCalls = []Call{
	call2(sysno.Stat, stat, full),
	call2(sysno.Lstat, lstat, full),
	call2(sysno.Fstat, fstat, full),
	call4(sysno.Newfstatat, newfstatat, full),
	call5(sysno.Statx, statx, full),
	call2(sysno.Statfs, statfs, full),
	call2(sysno.Fstatfs, fstatfs, full),
	call2(sysno.Access, access, full),
	call3(sysno.Faccessat, faccessat, full),
	call4(sysno.Faccessat2, faccessat2, full),
	call3(sysno.Readlink, readlink, full),
	call4(sysno.Readlinkat, readlinkat, full),
	unconfigured(sysno.Ustat, errno.ENOSYS, "no block devices"),
	unconfigured(sysno.Sysfs, errno.ENOSYS, "CONFIG_SYSFS_SYSCALL"),
}

func stat(t *kernel.Task, path Path, out usermem.Ptr[linux.Stat]) (uint64, error) {
	return newfstatat(t, linux.AT_FDCWD, path, out, 0)
}

func lstat(t *kernel.Task, path Path, out usermem.Ptr[linux.Stat]) (uint64, error) {
	return newfstatat(t, linux.AT_FDCWD, path, out, linux.AT_SYMLINK_NOFOLLOW)
}

// fstat also works on what was opened with O_PATH.
func fstat(t *kernel.Task, fd linux.FD, out usermem.Ptr[linux.Stat]) (uint64, error) {
	d, err := t.FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return 0, storeStat(t, d.Path(), out)
}

// newfstatat: EINVAL for unknown flags, and those of the resolution.
func newfstatat(t *kernel.Task, dir linux.FD, path Path, out usermem.Ptr[linux.Stat], flags int) (uint64, error) {
	if flags&^(linux.AT_SYMLINK_NOFOLLOW|linux.AT_EMPTY_PATH|linux.AT_NO_AUTOMOUNT|linux.AT_STATX_SYNC_TYPE) != 0 {
		return 0, errno.EINVAL
	}
	if flags&linux.AT_EMPTY_PATH != 0 && dir >= 0 {
		// What fstat of a C library is, so it resolves nothing.
		if path == 0 {
			return fstat(t, dir, out)
		}
		if first, err := usermem.Ptr[byte](path).Load(t); err == nil && first == 0 {
			return fstat(t, dir, out)
		}
	}
	return path.with(t, dir, flags, func(p vfs.Path) error { return storeStat(t, p, out) })
}

func storeStat(t *kernel.Task, p vfs.Path, out usermem.Ptr[linux.Stat]) error {
	x, err := vfs.Stat(t, p, linux.STATX_BASIC_STATS)
	if err != nil {
		return err
	}
	ns := t.Creds().UserNS
	return out.Store(t, linux.Stat{
		Dev: linux.MakeDev(x.DevMajor, x.DevMinor), Ino: x.Ino, Nlink: uint64(x.Nlink), Mode: uint32(x.Mode),
		UID: ns.UID(cred.KUID(x.UID)), GID: ns.GID(cred.KGID(x.GID)),
		Rdev: linux.MakeDev(x.RdevMajor, x.RdevMinor), Size: int64(x.Size), Blksize: int64(x.Blksize), Blocks: int64(x.Blocks),
		ATime: timespec(x.ATime), MTime: timespec(x.MTime), CTime: timespec(x.CTime),
	})
}

func timespec(s linux.StatxTimestamp) linux.Timespec {
	return linux.Timespec{Sec: s.Sec, Nsec: int64(s.Nsec)}
}

// statx: EINVAL for unknown flags or a reserved bit in the mask.
func statx(t *kernel.Task, dir linux.FD, path Path, flags int, mask uint32, out usermem.Ptr[linux.Statx]) (uint64, error) {
	const known = linux.AT_SYMLINK_NOFOLLOW | linux.AT_EMPTY_PATH | linux.AT_NO_AUTOMOUNT | linux.AT_STATX_SYNC_TYPE
	if flags&^known != 0 || mask&linux.STATX__RESERVED != 0 || flags&linux.AT_STATX_SYNC_TYPE == linux.AT_STATX_SYNC_TYPE {
		return 0, errno.EINVAL
	}
	if path == 0 && flags&linux.AT_EMPTY_PATH != 0 && dir >= 0 {
		d, err := t.FDs().Get(dir)
		if err != nil {
			return 0, err
		}
		defer d.DecRef()
		return 0, storeStatx(t, d.Path(), mask, out)
	}
	return path.with(t, dir, flags, func(p vfs.Path) error { return storeStatx(t, p, mask, out) })
}

func storeStatx(t *kernel.Task, p vfs.Path, mask uint32, out usermem.Ptr[linux.Statx]) error {
	x, err := vfs.Stat(t, p, mask)
	if err != nil {
		return err
	}
	ns := t.Creds().UserNS
	x.UID, x.GID = ns.UID(cred.KUID(x.UID)), ns.GID(cred.KGID(x.GID))
	return out.Store(t, x)
}

func statfs(t *kernel.Task, path Path, out usermem.Ptr[linux.Statfs]) (uint64, error) {
	return path.with(t, linux.AT_FDCWD, 0, func(p vfs.Path) error { return storeStatfs(t, p, out) })
}

func fstatfs(t *kernel.Task, fd linux.FD, out usermem.Ptr[linux.Statfs]) (uint64, error) {
	d, err := t.FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return 0, storeStatfs(t, d.Path(), out)
}

func storeStatfs(t *kernel.Task, p vfs.Path, out usermem.Ptr[linux.Statfs]) error {
	s, err := vfs.Statfs(t, p)
	if err != nil {
		return err
	}
	return out.Store(t, s)
}

func access(t *kernel.Task, path Path, mode int32) (uint64, error) {
	return faccessat2(t, linux.AT_FDCWD, path, mode, 0)
}

func faccessat(t *kernel.Task, dir linux.FD, path Path, mode int32) (uint64, error) {
	return faccessat2(t, dir, path, mode, 0)
}

// faccessat2 checks with the real ids, unless AT_EACCESS is given.
//
// Errors: EINVAL, EACCES, EROFS and those of the resolution.
func faccessat2(t *kernel.Task, dir linux.FD, path Path, mode int32, flags int) (uint64, error) {
	if mode&^(linux.R_OK|linux.W_OK|linux.X_OK) != 0 ||
		flags&^(linux.AT_EACCESS|linux.AT_SYMLINK_NOFOLLOW|linux.AT_EMPTY_PATH) != 0 {
		return 0, errno.EINVAL
	}
	c := vfs.Context(t)
	if flags&linux.AT_EACCESS == 0 {
		c = withRealIDs(t)
	}
	n, err := path.name(t, dir, flags)
	if err != nil {
		return 0, err
	}
	defer n.Release()
	p, err := vfs.Resolve(c, n, howOf(flags))
	if err != nil {
		return 0, err
	}
	defer p.DecRef()
	if mode == linux.F_OK {
		return 0, nil
	}
	return 0, vfs.Check(c, p, vfs.Access(mode))
}

// withRealIDs is the task with its real ids: with all its permitted
// capabilities if it is root, and with none otherwise.
func withRealIDs(t *kernel.Task) vfs.Context {
	old := t.Creds()
	var caps cred.CapSet
	if root, ok := old.UserNS.KUID(0); ok && old.UID == root {
		caps = old.Permitted
	}
	if old.FSUID == old.UID && old.FSGID == old.GID && old.Effective == caps {
		return t
	}
	c := old.Copy()
	c.FSUID, c.FSGID, c.Effective = c.UID, c.GID, caps
	return vfs.WithCreds(t, c)
}

func readlink(t *kernel.Task, path Path, buf usermem.Addr, size int32) (uint64, error) {
	return readlinkat(t, linux.AT_FDCWD, path, buf, size)
}

// readlinkat stores a link's target, cut to the buffer and without a NUL. An
// empty path means the descriptor's own link.
//
// Errors: EINVAL for other than links, ENOENT for a descriptor of none, EFAULT.
func readlinkat(t *kernel.Task, dir linux.FD, path Path, buf usermem.Addr, size int32) (uint64, error) {
	if size <= 0 {
		return 0, errno.EINVAL
	}
	n, err := path.name(t, dir, linux.AT_EMPTY_PATH)
	if err != nil {
		return 0, err
	}
	defer n.Release()
	if n.Text == "" && (dir == linux.AT_FDCWD || !n.Dir.Inode().Attr().Mode.IsSymlink()) {
		return 0, errno.ENOENT
	}
	p, err := vfs.Resolve(t, n, vfs.How{Follow: vfs.NoFollow})
	if err != nil {
		return 0, err
	}
	defer p.DecRef()
	target, err := vfs.Readlink(t, p)
	if err != nil {
		return 0, err
	}
	b := []byte(target)[:min(len(target), int(size))]
	done, err := t.CopyOut(buf, b)
	return uint64(done), err
}
