package vfs

import (
	"strconv"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// fileExtra is what only some types of files have.
type fileExtra struct {
	rdev   linux.Dev
	target string
}

// createLocked makes a file in dir and returns its dentry with a reference. The
// caller holds the directory lock, and knows that the name is free and the mount
// writable.
func createLocked(c Context, dir Path, name string, mode linux.FileMode, x fileExtra) (*Dentry, error) {
	if dir.hasFixedNames() {
		return nil, errno.ENOENT
	}
	if err := mayCreate(c, dir); err != nil {
		return nil, err
	}
	md, ok := dir.Inode().(MutableDirectory)
	if !ok {
		return nil, errno.EPERM
	}
	n := newFile(c, dir.Dentry, mode)
	n.Rdev, n.Target = x.rdev, x.target
	inode, err := md.Create(c, name, n)
	if err != nil {
		return nil, err
	}
	child := newDentry(dir.Dentry.sb, dir.Dentry, name, inode)
	dir.Dentry.addChild(child)
	dir.Dentry.notifyName(linux.IN_CREATE, child, name, 0)
	return child, nil
}

// create is mkdir, mknod and symlink: a name that must be new.
func create(c Context, n Name, mode linux.FileMode, x fileExtra) (Path, error) {
	w, err := newWalker(c, n, 0)
	if err != nil {
		return Path{}, err
	}
	defer func() { w.cur.DecRef() }()
	if err := w.walk(toParent, NoFollow); err != nil {
		return Path{}, err
	}
	if w.lastKind != lastNormal {
		return Path{}, errno.EEXIST
	}
	dir := w.cur.Dentry
	dir.dir.mu.Lock()
	defer dir.dir.mu.Unlock()
	if err := w.mustBeFree(mode.IsDir()); err != nil {
		return Path{}, err
	}
	child, err := createLocked(c, w.cur, w.last, mode, x)
	if err != nil {
		return Path{}, err
	}
	w.cur.Mount.incRef()
	return Path{w.cur.Mount, child}, nil
}

// mustBeFree checks that the last name does not exist and may be made. The
// caller holds the directory lock. EEXIST comes before EROFS.
func (w *walker) mustBeFree(slashAllowed bool) error {
	child, err := w.cur.Dentry.lookupLocked(w.c, w.last)
	if err != nil {
		return err
	}
	defer child.decRef()
	switch {
	case !child.negative():
		return errno.EEXIST
	case w.slash && !slashAllowed, w.cur.hasFixedNames():
		return errno.ENOENT
	case w.cur.Mount.ReadOnly():
		return errno.EROFS
	}
	return nil
}

// hasFixedNames says whether no name can be made in the directory p.
func (p Path) hasFixedNames() bool {
	d, ok := p.Inode().(FixedDirectory)
	return ok && d.FixedNames()
}

// Mkdir makes a directory.
func Mkdir(c Context, n Name, mode linux.FileMode) error {
	mode = linux.S_IFDIR | mode&(linux.S_IRWXUGO|linux.S_ISVTX)&^n.Umask
	p, err := create(c, n, mode, fileExtra{})
	p.DecRef()
	return err
}

// Mknod makes a file of the type in mode (0 is a regular file).
func Mknod(c Context, n Name, mode linux.FileMode, dev linux.Dev) error {
	p, err := MknodPath(c, n, mode, dev)
	p.DecRef()
	return err
}

// MknodPath is Mknod that returns the new file with a reference, as bind of a
// unix socket needs.
func MknodPath(c Context, n Name, mode linux.FileMode, dev linux.Dev) (Path, error) {
	switch mode.Type() {
	case 0:
		mode |= linux.S_IFREG
	case linux.S_IFREG, linux.S_IFIFO, linux.S_IFSOCK:
	case linux.S_IFCHR, linux.S_IFBLK:
		// Whiteouts (0:0) are free for all.
		if !(mode.Type() == linux.S_IFCHR && dev == 0) && !c.Creds().HasCap(linux.CAP_MKNOD) {
			return Path{}, errno.EPERM
		}
	case linux.S_IFDIR:
		return Path{}, errno.EPERM
	default:
		return Path{}, errno.EINVAL
	}
	return create(c, n, mode&^n.Umask, fileExtra{rdev: dev})
}

// MakeSymlink makes a symbolic link.
func MakeSymlink(c Context, n Name, target string) error {
	if target == "" {
		return errno.ENOENT
	}
	p, err := create(c, n, linux.S_IFLNK|0o777, fileExtra{target: target})
	p.DecRef()
	return err
}

// Link makes another name for a file.
func Link(c Context, old Name, how How, n Name) error {
	target, err := Resolve(c, old, how)
	if err != nil {
		return err
	}
	defer target.DecRef()
	w, err := newWalker(c, n, 0)
	if err != nil {
		return err
	}
	defer func() { w.cur.DecRef() }()
	if err := w.walk(toParent, NoFollow); err != nil {
		return err
	}
	if w.lastKind != lastNormal {
		return errno.EEXIST
	}
	dir := w.cur.Dentry
	dir.dir.mu.Lock()
	defer dir.dir.mu.Unlock()
	if err := w.mustBeFree(false); err != nil {
		return err
	}
	if w.cur.Mount != target.Mount {
		return errno.EXDEV
	}
	if err := mayCreate(c, w.cur); err != nil {
		return err
	}
	if target.Dentry.isDir() {
		return errno.EPERM
	}
	md, ok := dir.inode.(MutableDirectory)
	if !ok {
		return errno.EPERM
	}
	if err := md.Link(c, w.last, target.Inode()); err != nil {
		return err
	}
	dir.forget(w.last)
	target.Dentry.notifySelf(linux.IN_ATTRIB)
	dir.notifyName(linux.IN_CREATE, target.Dentry, w.last, 0)
	return nil
}

// forget drops the cached child of that name.
func (d *Dentry) forget(name string) {
	if child := d.cached(name); child != nil {
		child.unhash()
		child.decRef()
	}
}

// rememberAbsence caches that there is no such name. The caller holds the
// directory lock.
func (d *Dentry) rememberAbsence(name string) {
	child := newDentry(d.sb, d, name, nil)
	d.addChild(child)
	child.decRef()
}

// Unlink removes a name that is not a directory's.
func Unlink(c Context, n Name) error { return remove(c, n, victimFile) }

// Rmdir removes an empty directory.
func Rmdir(c Context, n Name) error { return remove(c, n, victimDir) }

func remove(c Context, n Name, kind victimKind) error {
	w, err := newWalker(c, n, 0)
	if err != nil {
		return err
	}
	defer func() { w.cur.DecRef() }()
	if err := w.walk(toParent, NoFollow); err != nil {
		return err
	}
	if err := removableKind(w.lastKind, kind); err != nil {
		return err
	}
	dir := w.cur.Dentry
	if w.cur.Mount.ReadOnly() {
		return errno.EROFS
	}
	dir.dir.mu.Lock()
	victim, err := w.removeLocked(kind)
	dir.dir.mu.Unlock()
	if err != nil {
		return err
	}
	// Events and the last reference outside the lock: both may do much.
	dir.notifyName(linux.IN_DELETE, victim, w.last, 0)
	victim.notifyUnlinked()
	victim.decRef()
	return nil
}

func removableKind(last lastKind, kind victimKind) error {
	switch {
	case last == lastNormal:
		return nil
	case kind == victimFile:
		return errno.EISDIR
	case last == lastDot:
		return errno.EINVAL
	case last == lastDotDot:
		return errno.ENOTEMPTY
	}
	return errno.EBUSY
}

// removeLocked removes the last name and returns its dentry with a reference.
func (w *walker) removeLocked(kind victimKind) (*Dentry, error) {
	dir := w.cur.Dentry
	victim, err := dir.lookupLocked(w.c, w.last)
	if err != nil {
		return nil, err
	}
	if err := w.removeDentry(dir, victim, kind); err != nil {
		victim.decRef()
		return nil, err
	}
	return victim, nil
}

func (w *walker) removeDentry(dir, victim *Dentry, kind victimKind) error {
	switch {
	case victim.negative():
		return errno.ENOENT
	case w.slash && kind == victimFile:
		if victim.isDir() {
			return errno.EISDIR
		}
		return errno.ENOTDIR
	}
	if err := mayDelete(w.c, dir, victim, kind); err != nil {
		return err
	}
	if victim.has(dMounted) && w.cur.Mount.world.isMountpoint(victim) {
		return errno.EBUSY
	}
	md, ok := dir.inode.(MutableDirectory)
	if !ok {
		return errno.EPERM
	}
	if kind == victimDir {
		victim.dir.mu.LockNested() // below the one that is locked
		defer victim.dir.mu.Unlock()
		if err := md.Rmdir(w.c, w.last, victim.inode); err != nil {
			return err
		}
		victim.set(dDeadDir)
	} else if err := md.Unlink(w.c, w.last, victim.inode); err != nil {
		return err
	}
	victim.unhash()
	dir.rememberAbsence(w.last)
	if kind == victimDir {
		victim.prune()
	}
	return nil
}

// notifyUnlinked tells the watchers of a file that a name of it went, and that
// it is gone if that was the last.
func (d *Dentry) notifyUnlinked() {
	if watching.Load() == 0 || !d.inode.Node().Watched() {
		return
	}
	s, err := d.inode.Stat(nil, linux.STATX_NLINK)
	if err == nil && s.Nlink > 0 && !d.isDir() {
		d.notifySelf(linux.IN_ATTRIB)
		return
	}
	if !d.isDir() {
		d.notifySelf(linux.IN_ATTRIB)
	}
	d.notifySelf(linux.IN_DELETE_SELF)
}

func inodeName(c Context, i Inode) string { return strconv.FormatUint(inodeNumber(c, i), 10) }

func inodeNumber(c Context, i Inode) uint64 {
	s, _ := i.Stat(c, linux.STATX_INO)
	return s.Ino
}
