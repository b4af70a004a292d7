package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Extended attributes: four calls, each by path, by link and by descriptor.
var xattrCalls = []Call{
	call5(sysno.Setxattr, setxattr, except("system.posix_acl_*")),
	call5(sysno.Lsetxattr, lsetxattr, except("system.posix_acl_*")),
	call5(sysno.Fsetxattr, fsetxattr, except("system.posix_acl_*")),
	call4(sysno.Getxattr, getxattr, except("system.posix_acl_*")),
	call4(sysno.Lgetxattr, lgetxattr, except("system.posix_acl_*")),
	call4(sysno.Fgetxattr, fgetxattr, except("system.posix_acl_*")),
	call3(sysno.Listxattr, listxattr, full),
	call3(sysno.Llistxattr, llistxattr, full),
	call3(sysno.Flistxattr, flistxattr, full),
	call2(sysno.Removexattr, removexattr, except("system.posix_acl_*")),
	call2(sysno.Lremovexattr, lremovexattr, except("system.posix_acl_*")),
	call2(sysno.Fremovexattr, fremovexattr, except("system.posix_acl_*")),
}

// attrName is a guest pointer to an attribute's name.
type attrName usermem.Addr

// load copies the name in: ERANGE if it is empty or too long.
func (n attrName) load(t *kernel.Task) (string, error) {
	s, err := usermem.LoadString(t, usermem.Addr(n), linux.XATTR_NAME_MAX+1, errno.ERANGE)
	if err == nil && s == "" {
		return "", errno.ERANGE
	}
	return s, err
}

// Trace shows the name.
func (n attrName) Trace(m usermem.Memory) string { return Path(n).Trace(m) }

func setxattr(t *kernel.Task, path Path, name attrName, value usermem.Addr, size uint64, flags int) (uint64, error) {
	return path.with(t, linux.AT_FDCWD, 0, func(p vfs.Path) error { return setAttr(t, p, name, value, size, flags) })
}

func lsetxattr(t *kernel.Task, path Path, name attrName, value usermem.Addr, size uint64, flags int) (uint64, error) {
	return path.with(t, linux.AT_FDCWD, linux.AT_SYMLINK_NOFOLLOW, func(p vfs.Path) error {
		return setAttr(t, p, name, value, size, flags)
	})
}

func fsetxattr(t *kernel.Task, fd linux.FD, name attrName, value usermem.Addr, size uint64, flags int) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error { return setAttr(t, d.Path(), name, value, size, flags) })
}

// setAttr: E2BIG for a value that is too long, ERANGE for such a name, and those
// of vfs.SetXattr.
func setAttr(t *kernel.Task, p vfs.Path, name attrName, value usermem.Addr, size uint64, flags int) error {
	if flags&^(linux.XATTR_CREATE|linux.XATTR_REPLACE) != 0 {
		return errno.EINVAL
	}
	s, err := name.load(t)
	if err != nil {
		return err
	}
	if size > linux.XATTR_SIZE_MAX {
		return errno.E2BIG
	}
	b := make([]byte, size)
	if size > 0 {
		if _, err := t.CopyIn(b, value); err != nil {
			return err
		}
	}
	return vfs.SetXattr(t, p, s, b, flags)
}

func getxattr(t *kernel.Task, path Path, name attrName, value usermem.Addr, size uint64) (uint64, error) {
	return getAttrOf(t, path, 0, name, value, size)
}

func lgetxattr(t *kernel.Task, path Path, name attrName, value usermem.Addr, size uint64) (uint64, error) {
	return getAttrOf(t, path, linux.AT_SYMLINK_NOFOLLOW, name, value, size)
}

func getAttrOf(t *kernel.Task, path Path, flags int, name attrName, value usermem.Addr, size uint64) (uint64, error) {
	p, err := path.resolve(t, linux.AT_FDCWD, flags)
	if err != nil {
		return 0, err
	}
	defer p.DecRef()
	return getAttr(t, p, name, value, size)
}

func fgetxattr(t *kernel.Task, fd linux.FD, name attrName, value usermem.Addr, size uint64) (uint64, error) {
	d, err := openFile(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return getAttr(t, d.Path(), name, value, size)
}

func getAttr(t *kernel.Task, p vfs.Path, name attrName, value usermem.Addr, size uint64) (uint64, error) {
	s, err := name.load(t)
	if err != nil {
		return 0, err
	}
	b, err := vfs.GetXattr(t, p, s)
	if err != nil {
		return 0, err
	}
	return storeSized(t, value, size, b)
}

// storeSized stores b unless size is 0, which only asks for the length. ERANGE
// if it does not fit.
func storeSized(t *kernel.Task, to usermem.Addr, size uint64, b []byte) (uint64, error) {
	if size == 0 {
		return uint64(len(b)), nil
	}
	if uint64(len(b)) > size {
		return 0, errno.ERANGE
	}
	if len(b) > 0 {
		if _, err := t.CopyOut(to, b); err != nil {
			return 0, err
		}
	}
	return uint64(len(b)), nil
}

func listxattr(t *kernel.Task, path Path, list usermem.Addr, size uint64) (uint64, error) {
	return listAttrOf(t, path, 0, list, size)
}

func llistxattr(t *kernel.Task, path Path, list usermem.Addr, size uint64) (uint64, error) {
	return listAttrOf(t, path, linux.AT_SYMLINK_NOFOLLOW, list, size)
}

func listAttrOf(t *kernel.Task, path Path, flags int, list usermem.Addr, size uint64) (uint64, error) {
	p, err := path.resolve(t, linux.AT_FDCWD, flags)
	if err != nil {
		return 0, err
	}
	defer p.DecRef()
	return listAttr(t, p, list, size)
}

func flistxattr(t *kernel.Task, fd linux.FD, list usermem.Addr, size uint64) (uint64, error) {
	d, err := openFile(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return listAttr(t, d.Path(), list, size)
}

func listAttr(t *kernel.Task, p vfs.Path, list usermem.Addr, size uint64) (uint64, error) {
	names, err := vfs.ListXattr(t, p)
	if err != nil {
		return 0, err
	}
	var b []byte
	for _, n := range names {
		b = append(append(b, n...), 0)
	}
	return storeSized(t, list, size, b)
}

func removexattr(t *kernel.Task, path Path, name attrName) (uint64, error) {
	return path.with(t, linux.AT_FDCWD, 0, func(p vfs.Path) error { return removeAttr(t, p, name) })
}

func lremovexattr(t *kernel.Task, path Path, name attrName) (uint64, error) {
	return path.with(t, linux.AT_FDCWD, linux.AT_SYMLINK_NOFOLLOW, func(p vfs.Path) error {
		return removeAttr(t, p, name)
	})
}

func fremovexattr(t *kernel.Task, fd linux.FD, name attrName) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error { return removeAttr(t, d.Path(), name) })
}

func removeAttr(t *kernel.Task, p vfs.Path, name attrName) error {
	s, err := name.load(t)
	if err != nil {
		return err
	}
	return vfs.RemoveXattr(t, p, s)
}
