package syscalls

import (
	"encoding/binary"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Making, removing and listing names; the working directory.
var nameCalls = []Call{
	call2(sysno.Mkdir, mkdir, full),
	call3(sysno.Mkdirat, mkdirat, full),
	call3(sysno.Mknod, mknod, full),
	call4(sysno.Mknodat, mknodat, full),
	call2(sysno.Symlink, symlink, full),
	call3(sysno.Symlinkat, symlinkat, full),
	call2(sysno.Link, link, full),
	call5(sysno.Linkat, linkat, full),
	call1(sysno.Unlink, unlink, full),
	call3(sysno.Unlinkat, unlinkat, full),
	call1(sysno.Rmdir, rmdir, full),
	call2(sysno.Rename, rename, full),
	call4(sysno.Renameat, renameat, full),
	call5(sysno.Renameat2, renameat2, full),
	call3(sysno.Getdents, getdents, full),
	call3(sysno.Getdents64, getdents64, full),
	call2(sysno.Getcwd, getcwd, full),
	call1(sysno.Chdir, chdir, full),
	call1(sysno.Fchdir, fchdir, full),
	call1(sysno.Chroot, chroot, full),
	call1(sysno.Umask, umask, full),
}

// withName calls f with a path argument.
func (p Path) withName(t *kernel.Task, dir linux.FD, f func(vfs.Name) error) (uint64, error) {
	n, err := p.name(t, dir, 0)
	if err != nil {
		return 0, err
	}
	defer n.Release()
	return 0, f(n)
}

func mkdir(t *kernel.Task, path Path, mode linux.FileMode) (uint64, error) {
	return mkdirat(t, linux.AT_FDCWD, path, mode)
}

func mkdirat(t *kernel.Task, dir linux.FD, path Path, mode linux.FileMode) (uint64, error) {
	return path.withName(t, dir, func(n vfs.Name) error { return vfs.Mkdir(t, n, mode) })
}

func mknod(t *kernel.Task, path Path, mode linux.FileMode, dev uint32) (uint64, error) {
	return mknodat(t, linux.AT_FDCWD, path, mode, dev)
}

func mknodat(t *kernel.Task, dir linux.FD, path Path, mode linux.FileMode, dev uint32) (uint64, error) {
	return path.withName(t, dir, func(n vfs.Name) error {
		return vfs.Mknod(t, n, mode, linux.NewDev(linux.DecodeDev(dev)))
	})
}

func symlink(t *kernel.Task, target, path Path) (uint64, error) {
	return symlinkat(t, target, linux.AT_FDCWD, path)
}

func symlinkat(t *kernel.Task, target Path, dir linux.FD, path Path) (uint64, error) {
	s, err := target.load(t)
	if err != nil {
		return 0, err
	}
	return path.withName(t, dir, func(n vfs.Name) error { return vfs.MakeSymlink(t, n, s) })
}

func link(t *kernel.Task, old, new Path) (uint64, error) {
	return linkat(t, linux.AT_FDCWD, old, linux.AT_FDCWD, new, 0)
}

// linkat follows a link at old only with AT_SYMLINK_FOLLOW.
//
// Errors: EINVAL, ENOENT for AT_EMPTY_PATH without CAP_DAC_READ_SEARCH, and
// those of vfs.Link.
func linkat(t *kernel.Task, oldDir linux.FD, old Path, newDir linux.FD, new Path, flags int) (uint64, error) {
	if flags&^(linux.AT_SYMLINK_FOLLOW|linux.AT_EMPTY_PATH) != 0 {
		return 0, errno.EINVAL
	}
	if flags&linux.AT_EMPTY_PATH != 0 && !t.Creds().HasCap(linux.CAP_DAC_READ_SEARCH) {
		return 0, errno.ENOENT
	}
	how := vfs.How{Follow: vfs.NoFollow}
	if flags&linux.AT_SYMLINK_FOLLOW != 0 {
		how.Follow = vfs.Follow
	}
	o, err := old.name(t, oldDir, flags)
	if err != nil {
		return 0, err
	}
	defer o.Release()
	return new.withName(t, newDir, func(n vfs.Name) error { return vfs.Link(t, o, how, n) })
}

func unlink(t *kernel.Task, path Path) (uint64, error) {
	return unlinkat(t, linux.AT_FDCWD, path, 0)
}

func rmdir(t *kernel.Task, path Path) (uint64, error) {
	return unlinkat(t, linux.AT_FDCWD, path, linux.AT_REMOVEDIR)
}

func unlinkat(t *kernel.Task, dir linux.FD, path Path, flags int) (uint64, error) {
	switch flags {
	case 0:
		return path.withName(t, dir, func(n vfs.Name) error { return vfs.Unlink(t, n) })
	case linux.AT_REMOVEDIR:
		return path.withName(t, dir, func(n vfs.Name) error { return vfs.Rmdir(t, n) })
	}
	return 0, errno.EINVAL
}

func rename(t *kernel.Task, old, new Path) (uint64, error) {
	return renameat2(t, linux.AT_FDCWD, old, linux.AT_FDCWD, new, 0)
}

func renameat(t *kernel.Task, oldDir linux.FD, old Path, newDir linux.FD, new Path) (uint64, error) {
	return renameat2(t, oldDir, old, newDir, new, 0)
}

func renameat2(t *kernel.Task, oldDir linux.FD, old Path, newDir linux.FD, new Path, flags uint32) (uint64, error) {
	o, err := old.name(t, oldDir, 0)
	if err != nil {
		return 0, err
	}
	defer o.Release()
	return new.withName(t, newDir, func(n vfs.Name) error { return vfs.Rename(t, o, n, flags) })
}

// direntLayout says how an entry lies in memory.
type direntLayout struct {
	name     int  // where the name begins
	typeLast bool // the type is the record's last byte, not in front of the name
}

var (
	layoutOld = direntLayout{name: linux.DirentNameOffset, typeLast: true}
	layout64  = direntLayout{name: linux.Dirent64NameOffset}
)

func getdents(t *kernel.Task, fd linux.FD, buf usermem.Addr, size uint32) (uint64, error) {
	return listDir(t, fd, buf, size, layoutOld)
}

func getdents64(t *kernel.Task, fd linux.FD, buf usermem.Addr, size uint32) (uint64, error) {
	return listDir(t, fd, buf, size, layout64)
}

// maxDirents bounds what one getdents returns, however large its buffer is.
const maxDirents = 256 << 10

// listDir fills the buffer with entries. EINVAL if not even one fits.
func listDir(t *kernel.Task, fd linux.FD, buf usermem.Addr, size uint32, layout direntLayout) (uint64, error) {
	d, err := openFile(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	size = min(size, maxDirents)
	before := d.Offset()
	out := make([]byte, 0, min(size, 32<<10))
	full := false
	err = d.ReadDir(t, func(e vfs.Dirent) bool {
		rec := layout.encode(e)
		if len(out)+len(rec) > int(size) {
			full = true
			return false
		}
		out = append(out, rec...)
		return true
	})
	if len(out) == 0 && full {
		return 0, errno.EINVAL
	}
	if len(out) == 0 {
		return 0, err
	}
	if _, err := t.CopyOut(buf, out); err != nil {
		// Nobody has seen these entries: they come again.
		d.Seek(t, before, linux.SEEK_SET)
		return 0, err
	}
	return uint64(len(out)), nil
}

// encode is one struct linux_dirent or linux_dirent64.
func (l direntLayout) encode(e vfs.Dirent) []byte {
	n := l.name + len(e.Name) + 1
	if l.typeLast {
		n++
	}
	b := make([]byte, (n+7)&^7)
	binary.LittleEndian.PutUint64(b, e.Ino)
	binary.LittleEndian.PutUint64(b[8:], uint64(e.Next))
	binary.LittleEndian.PutUint16(b[16:], uint16(len(b)))
	copy(b[l.name:], e.Name)
	if l.typeLast {
		b[len(b)-1] = e.Type
	} else {
		b[l.name-1] = e.Type
	}
	return b
}

// getcwd stores the path of the working directory with its NUL and returns the
// length.
//
// Errors: ENOENT if it has been removed, ERANGE, EFAULT.
func getcwd(t *kernel.Task, buf usermem.Addr, size uint64) (uint64, error) {
	cwd, root := t.FS().Cwd(), t.FS().Root()
	defer cwd.DecRef()
	defer root.DecRef()
	s, reach := cwd.RelativeTo(root)
	switch reach {
	case vfs.Deleted:
		return 0, errno.ENOENT
	case vfs.Unreachable:
		s = "(unreachable)" + s
	}
	b := append([]byte(s), 0)
	if uint64(len(b)) > size {
		return 0, errno.ERANGE
	}
	if len(b) > linux.PATH_MAX {
		return 0, errno.ENAMETOOLONG
	}
	if _, err := t.CopyOut(buf, b); err != nil {
		return 0, err
	}
	return uint64(len(b)), nil
}

func chdir(t *kernel.Task, path Path) (uint64, error) {
	s, err := path.load(t)
	if err != nil {
		return 0, err
	}
	return 0, t.FS().Chdir(t, s)
}

// fchdir: EBADF, ENOTDIR, EACCES.
func fchdir(t *kernel.Task, fd linux.FD) (uint64, error) {
	d, err := t.FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	p := d.Path()
	if !p.Inode().Attr().Mode.IsDir() {
		return 0, errno.ENOTDIR
	}
	if err := vfs.Check(t, p, vfs.MayExec); err != nil {
		return 0, err
	}
	t.FS().SetCwd(p)
	return 0, nil
}

func chroot(t *kernel.Task, path Path) (uint64, error) {
	s, err := path.load(t)
	if err != nil {
		return 0, err
	}
	return 0, t.FS().Chroot(t, s)
}

func umask(t *kernel.Task, mask linux.FileMode) (uint64, error) {
	return uint64(t.FS().SetUmask(mask)), nil
}
