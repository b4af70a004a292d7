package vfs

import (
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
)

// Stat returns the attributes of p that mask (STATX_*) asks for, or more.
func Stat(c Context, p Path, mask uint32) (linux.Statx, error) {
	s, err := p.Inode().Stat(c, mask)
	if err != nil {
		return s, err
	}
	s.MntID = uint64(p.Mount.id)
	s.Mask |= linux.STATX_MNT_ID
	s.AttributesMask |= linux.STATX_ATTR_MOUNT_ROOT
	if p.Dentry == p.Mount.root && !p.Dentry.has(dAnon) {
		s.Attributes |= linux.STATX_ATTR_MOUNT_ROOT
	}
	return s, nil
}

// Statfs describes the file system that p is on, with the flags of the mount.
func Statfs(c Context, p Path) (linux.Statfs, error) {
	s, err := p.Mount.sb.fs.Statfs(c)
	if err != nil {
		return s, err
	}
	if p.Dentry.has(dAnon) {
		s.Type = anonType(p.Dentry.fileType())
	}
	s.Flags = linux.ST_VALID
	for _, f := range statfsFlags {
		if p.Mount.Flags()&f.mount != 0 {
			s.Flags |= f.statfs
		}
	}
	return s, nil
}

// anonType is the file system that Linux has for a kind of file without a name.
func anonType(t linux.FileMode) int64 {
	switch t {
	case linux.S_IFIFO:
		return linux.PIPEFS_MAGIC
	case linux.S_IFSOCK:
		return linux.SOCKFS_MAGIC
	case linux.S_IFREG:
		return linux.TMPFS_MAGIC
	}
	return linux.ANON_INODE_FS_MAGIC
}

var statfsFlags = []struct {
	mount  uint32
	statfs int64
}{
	{linux.MS_RDONLY, linux.ST_RDONLY}, {linux.MS_NOSUID, linux.ST_NOSUID},
	{linux.MS_NODEV, linux.ST_NODEV}, {linux.MS_NOEXEC, linux.ST_NOEXEC},
	{linux.MS_NOATIME, linux.ST_NOATIME}, {linux.MS_NODIRATIME, linux.ST_NODIRATIME},
	{linux.MS_RELATIME, linux.ST_RELATIME}, {linux.MS_NOSYMFOLLOW, linux.ST_NOSYMFOLLOW},
}

// Readlink is the target of a symbolic link; EINVAL if p is none.
func Readlink(c Context, p Path) (string, error) {
	s, ok := p.Inode().(Symlink)
	if !ok || !p.Dentry.isSymlink() {
		return "", errno.EINVAL
	}
	return s.Readlink(c)
}

// setAttr makes a change that has been checked.
func setAttr(c Context, p Path, a SetAttr) error {
	if p.Mount.ReadOnly() {
		return errno.EROFS
	}
	if err := p.Inode().SetAttr(c, a); err != nil {
		return err
	}
	if a.Mask&SetSize != 0 {
		p.Dentry.notify(linux.IN_MODIFY)
	} else {
		p.Dentry.notify(linux.IN_ATTRIB)
	}
	return nil
}

// Chmod changes permission bits. f is the open file it goes through, or nil.
//
// Errors: EPERM for others than the owner, EROFS, EOPNOTSUPP for links.
func Chmod(c Context, p Path, mode linux.FileMode, f File) error {
	if p.Mount.ReadOnly() {
		return errno.EROFS
	}
	if p.Dentry.isSymlink() {
		return errno.EOPNOTSUPP
	}
	a := p.Inode().Attr()
	cr := c.Creds()
	if !isOwner(cr, a) {
		return errno.EPERM
	}
	mode &= linux.S_IALLUGO
	if mode&linux.S_ISGID != 0 && !cr.InGroup(a.GID) && !hasCap(cr, a, linux.CAP_FSETID) {
		mode &^= linux.S_ISGID
	}
	return setAttr(c, p, SetAttr{Mask: SetMode, Mode: mode, File: f})
}

// Chown changes owner and group; NoUID and NoGID leave them.
//
// Errors: EPERM, EROFS.
func Chown(c Context, p Path, uid cred.KUID, gid cred.KGID, f File) error {
	if p.Mount.ReadOnly() {
		return errno.EROFS
	}
	a := p.Inode().Attr()
	cr := c.Creds()
	change := SetAttr{UID: uid, GID: gid, File: f}
	if uid != cred.NoUID {
		change.Mask |= SetUID
		if (cr.FSUID != a.UID || uid != a.UID) && !hasCap(cr, a, linux.CAP_CHOWN) {
			return errno.EPERM
		}
	}
	if gid != cred.NoGID {
		change.Mask |= SetGID
		if (cr.FSUID != a.UID || !cr.InGroup(gid) && gid != a.GID) && !hasCap(cr, a, linux.CAP_CHOWN) {
			return errno.EPERM
		}
	}
	// Who gives a program away does not give his privileges away, whoever he is.
	if bits := privilegeBits(a.Mode); bits != 0 && !a.Mode.IsDir() {
		change.Mask |= SetMode
		change.Mode = a.Mode.Perm() &^ bits
	}
	return setAttr(c, p, change)
}

// privilegeBits are the bits of a mode that make a program run as another. A
// set-group-id bit without group execution once meant mandatory locking.
func privilegeBits(mode linux.FileMode) linux.FileMode {
	bits := mode & linux.S_ISUID
	if mode&linux.S_IXGRP != 0 {
		bits |= mode & linux.S_ISGID
	}
	return bits
}

// dropPrivileges takes set-user-id bits off a file that was written to by
// somebody who might not set them.
func dropPrivileges(c Context, p Path, f File) {
	a := p.Inode().Attr()
	bits := privilegeBits(a.Mode)
	if bits == 0 || !a.Mode.IsRegular() || hasCap(c.Creds(), a, linux.CAP_FSETID) {
		return
	}
	// The write has happened; a failure here cannot be reported.
	_ = p.Inode().SetAttr(c, SetAttr{Mask: SetMode, Mode: a.Mode.Perm() &^ bits, File: f})
}

// Times are what utimensat sets.
type Times struct {
	ATime, MTime       linux.Timespec
	SetATime, SetMTime TimeChange
}

// TimeChange says what happens to one timestamp.
type TimeChange uint8

// A timestamp is left, set to the present time or to a given one.
const (
	TimeOmit TimeChange = iota
	TimeNow
	TimeGiven
)

// Utimes changes timestamps.
//
// Errors: EPERM for given times by others than the owner, EACCES for the
// present time by those who may not write either, EROFS.
func Utimes(c Context, p Path, t Times, f File) error {
	if t.SetATime == TimeOmit && t.SetMTime == TimeOmit {
		return nil
	}
	if p.Mount.ReadOnly() {
		return errno.EROFS
	}
	if !isOwner(c.Creds(), p.Inode().Attr()) {
		if t.SetATime != TimeNow || t.SetMTime != TimeNow {
			return errno.EPERM
		}
		if err := permission(c, p.Dentry, MayWrite); err != nil {
			return err
		}
	}
	a := SetAttr{ATime: t.ATime, MTime: t.MTime, File: f}
	switch t.SetATime {
	case TimeNow:
		a.Mask |= SetATimeNow
	case TimeGiven:
		a.Mask |= SetATime
	}
	switch t.SetMTime {
	case TimeNow:
		a.Mask |= SetMTimeNow
	case TimeGiven:
		a.Mask |= SetMTime
	}
	return setAttr(c, p, a)
}

// Truncate changes the size of a regular file that is named.
//
// Errors: EISDIR, EINVAL for other than files, EACCES, EROFS, ETXTBSY.
func Truncate(c Context, p Path, size int64) error {
	switch p.Dentry.fileType() {
	case linux.S_IFREG:
	case linux.S_IFDIR:
		return errno.EISDIR
	default:
		return errno.EINVAL
	}
	if err := Check(c, p, MayWrite); err != nil {
		return err
	}
	n := p.Inode().Node()
	if err := n.BeginWrite(); err != nil {
		return err
	}
	defer n.EndWrite()
	return setAttr(c, p, truncateAttr(c, p, size, nil))
}

// Truncate is ftruncate.
func (d *Description) Truncate(c Context, size int64) error {
	if d.Flags()&linux.O_PATH != 0 {
		return errno.EBADF
	}
	if d.path.Dentry.fileType() != linux.S_IFREG || !d.Writable() {
		return errno.EINVAL
	}
	return setAttr(c, d.path, truncateAttr(c, d.path, size, d.file))
}

// truncateAttr is the change that truncation makes.
func truncateAttr(c Context, p Path, size int64, f File) SetAttr {
	change := SetAttr{Mask: SetSize, Size: size, File: f}
	a := p.Inode().Attr()
	if bits := privilegeBits(a.Mode); bits != 0 && !hasCap(c.Creds(), a, linux.CAP_FSETID) {
		change.Mask |= SetMode
		change.Mode = a.Mode.Perm() &^ bits
	}
	return change
}

// GetXattr reads an extended attribute.
//
// Errors: ENODATA, EOPNOTSUPP, ERANGE for an impossible name, EACCES.
func GetXattr(c Context, p Path, name string) ([]byte, error) {
	if err := checkXattr(c, p, name, MayRead); err != nil {
		return nil, err
	}
	x, ok := p.Inode().(XattrInode)
	if !ok {
		return nil, errno.EOPNOTSUPP
	}
	return x.GetXattr(c, name)
}

// SetXattr writes one; flags are XATTR_CREATE and XATTR_REPLACE.
func SetXattr(c Context, p Path, name string, value []byte, flags int) error {
	if flags&^(linux.XATTR_CREATE|linux.XATTR_REPLACE) != 0 {
		return errno.EINVAL
	}
	x, err := xattrForWrite(c, p, name)
	if err != nil {
		return err
	}
	if err := x.SetXattr(c, name, value, flags); err != nil {
		return err
	}
	p.Dentry.notify(linux.IN_ATTRIB)
	return nil
}

// RemoveXattr removes one.
func RemoveXattr(c Context, p Path, name string) error {
	x, err := xattrForWrite(c, p, name)
	if err != nil {
		return err
	}
	if err := x.RemoveXattr(c, name); err != nil {
		return err
	}
	p.Dentry.notify(linux.IN_ATTRIB)
	return nil
}

func xattrForWrite(c Context, p Path, name string) (XattrInode, error) {
	if p.Mount.ReadOnly() {
		return nil, errno.EROFS
	}
	if err := checkXattr(c, p, name, MayWrite); err != nil {
		return nil, err
	}
	x, ok := p.Inode().(XattrInode)
	if !ok {
		return nil, errno.EOPNOTSUPP
	}
	return x, nil
}

// ListXattr lists the names that the caller may know of.
func ListXattr(c Context, p Path) ([]string, error) {
	x, ok := p.Inode().(XattrInode)
	if !ok {
		return nil, nil
	}
	names, err := x.ListXattr(c)
	if err != nil {
		return nil, err
	}
	admin := c.Creds().HasCap(linux.CAP_SYS_ADMIN)
	out := names[:0:0]
	for _, n := range names {
		if admin || !strings.HasPrefix(n, linux.XATTR_TRUSTED_PREFIX) {
			out = append(out, n)
		}
	}
	return out, nil
}

// checkXattr holds a name against the rules of its prefix, see xattr(7).
func checkXattr(c Context, p Path, name string, want Access) error {
	if name == "" || len(name) > linux.XATTR_NAME_MAX {
		return errno.ERANGE
	}
	prefix, rest, _ := strings.Cut(name, ".")
	prefix += "."
	switch prefix {
	case linux.XATTR_SECURITY_PREFIX:
		if want == MayWrite && !c.Creds().HasCap(xattrSecurityCap(name)) {
			return errno.EPERM
		}
	case linux.XATTR_TRUSTED_PREFIX:
		if !c.Creds().HasCap(linux.CAP_SYS_ADMIN) {
			if want == MayWrite {
				return errno.EPERM
			}
			return errno.ENODATA
		}
	case linux.XATTR_USER_PREFIX:
		if err := checkUserXattr(c, p, want); err != nil {
			return err
		}
	default: // system. is for access control lists, which nobody here has
		return errno.EOPNOTSUPP
	}
	if rest == "" {
		return errno.EINVAL
	}
	return nil
}

func xattrSecurityCap(name string) linux.Capability {
	if name == "security.capability" {
		return linux.CAP_SETFCAP
	}
	return linux.CAP_SYS_ADMIN
}

func checkUserXattr(c Context, p Path, want Access) error {
	a := p.Inode().Attr()
	if !a.Mode.IsRegular() && !a.Mode.IsDir() {
		if want == MayWrite {
			return errno.EPERM
		}
		return errno.ENODATA
	}
	if want == MayWrite && a.Mode.IsDir() && a.Mode&linux.S_ISVTX != 0 && !isOwner(c.Creds(), a) {
		return errno.EPERM
	}
	return permission(c, p.Dentry, want)
}
