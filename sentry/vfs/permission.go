package vfs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
)

// permission checks rights over a file, by its own rules if it has any.
func permission(c Context, d *Dentry, want Access) error {
	if d.has(dSelfCheck) {
		return d.inode.(SelfChecker).CheckAccess(c, want)
	}
	return CheckAttr(c.Creds(), d.inode.Attr(), want)
}

// CheckAttr decides by mode bits and capabilities. It returns EACCES or nil.
func CheckAttr(cr *cred.Creds, a Attr, want Access) error {
	bits := a.Mode
	switch {
	case cr.FSUID == a.UID:
		bits >>= 6
	case bits>>3&7 != bits&7 && cr.InGroup(a.GID):
		bits >>= 3
	}
	if Access(bits&7)&want == want {
		return nil
	}
	if a.Mode.IsDir() {
		if want&MayWrite == 0 && hasCap(cr, a, linux.CAP_DAC_READ_SEARCH) || hasCap(cr, a, linux.CAP_DAC_OVERRIDE) {
			return nil
		}
		return errno.EACCES
	}
	if want == MayRead && hasCap(cr, a, linux.CAP_DAC_READ_SEARCH) {
		return nil
	}
	// Not even root may execute what nobody may.
	if (want&MayExec == 0 || a.Mode&linux.S_IXUGO != 0) && hasCap(cr, a, linux.CAP_DAC_OVERRIDE) {
		return nil
	}
	return errno.EACCES
}

// hasCap says whether cr holds a capability over a file: in its user namespace,
// if owner and group have a meaning there.
func hasCap(cr *cred.Creds, a Attr, cp linux.Capability) bool {
	if !cr.Effective.Has(cp) {
		return false
	}
	ns := cr.UserNS
	return ns == nil || ns.Parent() == nil || ns.MapsUID(a.UID) && ns.GID(a.GID) != cred.Overflow
}

// isOwner says whether cr may do what the owner of a file may.
func isOwner(cr *cred.Creds, a Attr) bool {
	return cr.FSUID == a.UID || hasCap(cr, a, linux.CAP_FOWNER)
}

// Check is permission on a path, with EROFS for writing on a read-only mount
// and EACCES for executing on a noexec one: access(2), exec.
func Check(c Context, p Path, want Access) error {
	t := p.Dentry.fileType()
	if want&MayExec != 0 && t == linux.S_IFREG && p.Mount.Flags()&linux.MS_NOEXEC != 0 {
		return errno.EACCES
	}
	if want&MayWrite != 0 && p.Mount.ReadOnly() &&
		(t == linux.S_IFREG || t == linux.S_IFDIR || t == linux.S_IFLNK) {
		return errno.EROFS
	}
	return permission(c, p.Dentry, want)
}

// withCreds is a Context with other credentials.
type withCreds struct {
	Context
	creds *cred.Creds
}

func (w withCreds) Creds() *cred.Creds { return w.creds }

// WithCreds is c acting with other credentials, as access(2) does with the
// real ids.
func WithCreds(c Context, creds *cred.Creds) Context { return withCreds{c, creds} }

// mayCreate checks that a name can be made in directory p.
func mayCreate(c Context, p Path) error {
	if p.Dentry.has(dDeadDir) {
		return errno.ENOENT
	}
	return permission(c, p.Dentry, MayWrite|MayExec)
}

// victimKind is what a name that goes must be.
type victimKind uint8

const (
	victimFile victimKind = iota
	victimDir
)

// mayDelete checks that the name of victim can go from directory dir.
func mayDelete(c Context, dir, victim *Dentry, kind victimKind) error {
	if err := permission(c, dir, MayWrite|MayExec); err != nil {
		return err
	}
	if isSticky(c.Creds(), dir.inode.Attr(), victim.inode.Attr()) {
		return errno.EPERM
	}
	if kind == victimDir && !victim.isDir() {
		return errno.ENOTDIR
	}
	if kind == victimFile && victim.isDir() {
		return errno.EISDIR
	}
	if dir.has(dDeadDir) {
		return errno.ENOENT
	}
	return nil
}

// isSticky says whether the sticky bit of dir keeps cr from removing a file.
func isSticky(cr *cred.Creds, dir, file Attr) bool {
	return dir.Mode&linux.S_ISVTX != 0 && cr.FSUID != file.UID && cr.FSUID != dir.UID &&
		!hasCap(cr, file, linux.CAP_FOWNER)
}

// newFile fills in owner, group and mode of a file that is made in dir.
func newFile(c Context, dir *Dentry, mode linux.FileMode) NewFile {
	cr := c.Creds()
	n := NewFile{Mode: mode, UID: cr.FSUID, GID: cr.FSGID}
	a := dir.inode.Attr()
	if a.Mode&linux.S_ISGID == 0 {
		return n
	}
	n.GID = a.GID
	if mode.IsDir() {
		n.Mode |= linux.S_ISGID
	} else if mode&(linux.S_ISGID|linux.S_IXGRP) == linux.S_ISGID|linux.S_IXGRP &&
		!cr.InGroup(n.GID) && !hasCap(cr, a, linux.CAP_FSETID) {
		n.Mode &^= linux.S_ISGID
	}
	return n
}

// Caller is the Context that WithCreds was called on, however often: the task.
func Caller(c Context) Context {
	for {
		w, ok := c.(withCreds)
		if !ok {
			return c
		}
		c = w.Context
	}
}
