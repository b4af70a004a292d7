package vfs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// Rename is renameat2.
//
// Errors: EINVAL for impossible flags or a directory moved below itself, EXDEV
// between mounts, EBUSY for mount points and "." or "..", EEXIST with
// RENAME_NOREPLACE, ENOTEMPTY, EISDIR, ENOTDIR.
func Rename(c Context, old, new Name, flags uint32) error {
	const known = linux.RENAME_NOREPLACE | linux.RENAME_EXCHANGE | linux.RENAME_WHITEOUT
	if flags&^known != 0 || flags&linux.RENAME_EXCHANGE != 0 && flags != linux.RENAME_EXCHANGE {
		return errno.EINVAL
	}
	if flags&linux.RENAME_WHITEOUT != 0 && !c.Creds().HasCap(linux.CAP_MKNOD) {
		return errno.EPERM
	}
	from, err := walkToParent(c, old)
	if err != nil {
		return err
	}
	defer from.release()
	to, err := walkToParent(c, new)
	if err != nil {
		return err
	}
	defer to.release()
	switch {
	case from.cur.Mount != to.cur.Mount:
		return errno.EXDEV
	case from.lastKind != lastNormal:
		return errno.EBUSY
	case to.lastKind != lastNormal:
		if flags&linux.RENAME_NOREPLACE != 0 {
			return errno.EEXIST
		}
		return errno.EBUSY
	case from.cur.Mount.ReadOnly():
		return errno.EROFS
	}
	r := renaming{c: c, from: from, to: to, flags: flags}
	unlock := r.lock()
	err = r.find()
	if err == nil {
		err = r.run()
	}
	unlock()
	if err == nil && !r.same {
		r.tell()
	}
	r.release()
	return err
}

func walkToParent(c Context, n Name) (*walker, error) {
	w, err := newWalker(c, n, 0)
	if err != nil {
		return nil, err
	}
	if err := w.walk(toParent, NoFollow); err != nil {
		w.release()
		return nil, err
	}
	return w, nil
}

func (w *walker) release() { w.cur.DecRef() }

// renaming is one rename under way. It holds references on source and target.
type renaming struct {
	c        Context
	from, to *walker
	flags    uint32
	source   *Dentry
	target   *Dentry // may be negative
	same     bool    // two names of one file: nothing to do
}

// lock takes the directory locks: an ancestor first. Two directories that are
// not above each other may be taken in any order, since dirRenames keeps all
// others from holding two such.
func (r *renaming) lock() (unlock func()) {
	a, b := r.from.cur.Dentry, r.to.cur.Dentry
	if a == b {
		a.dir.mu.Lock()
		return a.dir.mu.Unlock
	}
	w := r.from.cur.Mount.world
	w.dirRenames.Lock()
	w.renameMu.RLock()
	if a.isBelow(b) {
		a, b = b, a
	}
	w.renameMu.RUnlock()
	a.dir.mu.Lock()
	b.dir.mu.LockNested()
	return func() {
		b.dir.mu.Unlock()
		a.dir.mu.Unlock()
		w.dirRenames.Unlock()
	}
}

func (r *renaming) release() {
	if r.source != nil {
		r.source.decRef()
	}
	if r.target != nil {
		r.target.decRef()
	}
}

// find looks up both names and checks that one may take the other's place.
func (r *renaming) find() (err error) {
	if r.source, err = r.from.cur.Dentry.lookupLocked(r.c, r.from.last); err != nil {
		return err
	}
	if r.source.negative() {
		return errno.ENOENT
	}
	if r.target, err = r.to.cur.Dentry.lookupLocked(r.c, r.to.last); err != nil {
		return err
	}
	exchange := r.flags&linux.RENAME_EXCHANGE != 0
	switch {
	case r.flags&linux.RENAME_NOREPLACE != 0 && !r.target.negative():
		return errno.EEXIST
	case exchange && r.target.negative():
		return errno.ENOENT
	case !r.source.isDir() && (r.from.slash || !exchange && r.to.slash):
		return errno.ENOTDIR
	case exchange && r.to.slash && !r.target.isDir():
		return errno.ENOTDIR
	}
	if err := r.checkLoops(exchange); err != nil {
		return err
	}
	if !r.target.negative() && r.source.inode == r.target.inode {
		r.same = true
		return nil
	}
	return r.checkRights(exchange)
}

func (r *renaming) checkLoops(exchange bool) error {
	w := r.from.cur.Mount.world
	w.renameMu.RLock()
	defer w.renameMu.RUnlock()
	if r.source.isDir() && r.to.cur.Dentry.isBelow(r.source) {
		return errno.EINVAL
	}
	if r.target.isDir() && r.from.cur.Dentry.isBelow(r.target) {
		if exchange {
			return errno.EINVAL
		}
		return errno.ENOTEMPTY
	}
	return nil
}

func (r *renaming) checkRights(exchange bool) error {
	kind := kindOfVictim(r.source)
	if err := mayDelete(r.c, r.from.cur.Dentry, r.source, kind); err != nil {
		return err
	}
	if r.target.negative() {
		if err := mayCreate(r.c, r.to.cur); err != nil {
			return err
		}
	} else {
		if exchange {
			kind = kindOfVictim(r.target)
		}
		if err := mayDelete(r.c, r.to.cur.Dentry, r.target, kind); err != nil {
			return err
		}
	}
	if r.from.cur.Dentry != r.to.cur.Dentry {
		// The ".." of a directory that moves changes.
		if r.source.isDir() {
			if err := permission(r.c, r.source, MayWrite); err != nil {
				return err
			}
		}
		if exchange && r.target.isDir() {
			if err := permission(r.c, r.target, MayWrite); err != nil {
				return err
			}
		}
	}
	w := r.from.cur.Mount.world
	if w.isMountpoint(r.source) || !r.target.negative() && w.isMountpoint(r.target) {
		return errno.EBUSY
	}
	return nil
}

func kindOfVictim(d *Dentry) victimKind {
	if d.isDir() {
		return victimDir
	}
	return victimFile
}

// run does it in the file system, then in the cache.
func (r *renaming) run() error {
	if r.same {
		return nil
	}
	from, to := r.from.cur.Dentry, r.to.cur.Dentry
	src, ok := from.inode.(MutableDirectory)
	dst, ok2 := to.inode.(MutableDirectory)
	if !ok || !ok2 {
		return errno.EPERM
	}
	exchange := r.flags&linux.RENAME_EXCHANGE != 0
	if !exchange && r.target.isDir() {
		r.target.dir.mu.LockNested() // an empty directory: nobody goes through it
		defer r.target.dir.mu.Unlock()
	}
	err := src.Rename(r.c, r.from.last, r.source.inode, dst, r.to.last, r.target.inode, r.flags&^linux.RENAME_NOREPLACE)
	if err != nil {
		return err
	}
	if exchange {
		r.from.cur.Mount.world.exchange(r.source, r.target)
		return nil
	}
	if r.target.isDir() {
		r.target.set(dDeadDir)
	}
	r.target.unhash()
	r.from.cur.Mount.world.move(r.source, to, r.to.last)
	if r.flags&linux.RENAME_WHITEOUT == 0 {
		from.rememberAbsence(r.from.last)
	}
	return nil
}

// move gives d another name. The caller holds both directory locks and a
// reference on d.
func (w *World) move(d, to *Dentry, name string) {
	from, old := d.where()
	d.unhashName(from, old)
	w.renameMu.Lock()
	d.parent, d.name = to, name
	w.renameMu.Unlock()
	if from != to {
		to.incRef()
		from.decRef()
	}
	to.addChild(d)
}

// unhashName takes d out of the children of a directory without marking it as
// removed.
func (d *Dentry) unhashName(dir *Dentry, name string) {
	dir.dir.childMu.Lock()
	if dir.dir.children[name] == d {
		delete(dir.dir.children, name)
	}
	dir.dir.childMu.Unlock()
}

// exchange swaps the places of two dentries.
func (w *World) exchange(a, b *Dentry) {
	pa, na := a.where()
	pb, nb := b.where()
	a.unhashName(pa, na)
	b.unhashName(pb, nb)
	w.renameMu.Lock()
	a.parent, a.name = pb, nb
	b.parent, b.name = pa, na
	w.renameMu.Unlock()
	pb.addChild(a)
	pa.addChild(b)
}

// tell sends the events.
func (r *renaming) tell() {
	if watching.Load() == 0 {
		return
	}
	from, to := r.from.cur.Dentry, r.to.cur.Dentry
	cookie := moveCookie.Add(1)
	from.notifyName(linux.IN_MOVED_FROM, r.source, r.from.last, cookie)
	to.notifyName(linux.IN_MOVED_TO, r.source, r.to.last, cookie)
	r.source.notifySelf(linux.IN_MOVE_SELF)
	if r.target.negative() {
		return
	}
	if r.flags&linux.RENAME_EXCHANGE == 0 {
		r.target.notifyUnlinked()
		return
	}
	cookie = moveCookie.Add(1)
	to.notifyName(linux.IN_MOVED_FROM, r.target, r.to.last, cookie)
	from.notifyName(linux.IN_MOVED_TO, r.target, r.from.last, cookie)
	r.target.notifySelf(linux.IN_MOVE_SELF)
}
