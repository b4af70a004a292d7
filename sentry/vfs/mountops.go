package vfs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
)

// mayMount checks the right over the mounts of a namespace.
func (f *FSContext) mayMount(c Context) error {
	if !c.Creds().HasCapIn(linux.CAP_SYS_ADMIN, f.Namespace().owner) {
		return errno.EPERM
	}
	return nil
}

// MountFS mounts a file system that the caller made, and now gives away, on
// target. Without rights: for the sandbox's start.
func (w *World) MountFS(fs FileSystem, source string, target Path, flags uint32) error {
	sb := newSuper(w, fs)
	if flags&linux.MS_RDONLY != 0 && flags&linux.MS_BIND == 0 {
		sb.flags.Store(linux.MS_RDONLY)
	}
	return w.mountSuper(sb, source, target, flags)
}

// mountSuper mounts sb, whose reference it takes over, on top of target.
func (w *World) mountSuper(sb *super, source string, target Path, flags uint32) error {
	if sb.root.isDir() != target.Dentry.isDir() {
		sb.decRef()
		return errno.ENOTDIR
	}
	m := newMount(w, sb, sb.root, source, flags)
	sb.decRef() // the mount has one now
	w.mountMu.Lock()
	err := w.canMountOn(target)
	if err == nil {
		err = w.roomFor(1, target)
	}
	if err == nil {
		w.attach(m, target)
	}
	w.mountMu.Unlock()
	if err != nil {
		m.decRef()
	}
	return err
}

// canMountOn refuses removed directories and detached trees.
func (w *World) canMountOn(target Path) error {
	if target.Mount.ns == nil {
		return errno.EINVAL
	}
	if target.Dentry.has(dDeadDir) || target.Dentry.unhashed() && !target.Dentry.has(dNoParent) {
		return errno.ENOENT
	}
	return nil
}

// Mount is mount(2).
//
// Errors: EPERM, EINVAL, ENODEV for an unknown type, EBUSY, ELOOP, ENOTDIR and
// what the file system's own options say.
func (f *FSContext) Mount(c Context, source, target, fsType string, flags uint32, data string) error {
	if flags&linux.MS_MGC_MSK == linux.MS_MGC_VAL {
		flags &^= linux.MS_MGC_MSK
	}
	n := f.Name(target)
	defer n.Release()
	at, err := Resolve(c, n, How{})
	if err != nil {
		return err
	}
	defer at.DecRef()
	if err := f.mayMount(c); err != nil {
		return err
	}
	const propagation = linux.MS_SHARED | linux.MS_PRIVATE | linux.MS_SLAVE | linux.MS_UNBINDABLE
	mountBits := atimeFlags(flags)
	switch {
	case flags&(linux.MS_REMOUNT|linux.MS_BIND) == linux.MS_REMOUNT|linux.MS_BIND:
		return f.remountBind(at, mountBits)
	case flags&linux.MS_REMOUNT != 0:
		return f.remount(c, at, mountBits, data)
	case flags&linux.MS_BIND != 0:
		return f.bind(c, source, at, flags)
	case flags&propagation != 0:
		return f.setPropagation(at, flags)
	case flags&linux.MS_MOVE != 0:
		return f.moveMount(c, source, at)
	}
	return f.newMount(c, source, at, fsType, flags, mountBits, data)
}

// atimeFlags are the flags that belong to the mount; relatime is the default.
func atimeFlags(flags uint32) uint32 {
	m := flags & mountFlags
	if m&(linux.MS_NOATIME|linux.MS_STRICTATIME) == 0 {
		m |= linux.MS_RELATIME
	}
	if m&linux.MS_STRICTATIME != 0 {
		m &^= linux.MS_RELATIME | linux.MS_NOATIME
	}
	return m &^ linux.MS_STRICTATIME
}

func (f *FSContext) newMount(c Context, source string, at Path, fsType string, flags, mountBits uint32, data string) error {
	w := at.Mount.world
	if fsType == "" {
		return errno.EINVAL
	}
	t, err := w.fsType(fsType)
	if err != nil {
		return err
	}
	if c.Creds().UserNS.Parent() != nil && t.Flags&FSUserNS == 0 {
		return errno.EPERM
	}
	fs, err := t.New(c, w, source, data)
	if err != nil {
		return err
	}
	if !at.belongsTo(f.Namespace()) {
		fs.Release()
		return errno.EINVAL
	}
	sb := newSuper(w, fs)
	if flags&linux.MS_RDONLY != 0 {
		sb.flags.Store(linux.MS_RDONLY)
	}
	if source == "" {
		source = "none"
	}
	return w.mountSuper(sb, source, at, mountBits)
}

// belongsTo says whether the path's mount is in ns.
func (p Path) belongsTo(ns *MountNamespace) bool {
	p.Mount.world.mountMu.RLock()
	defer p.Mount.world.mountMu.RUnlock()
	return p.Mount.ns == ns
}

// Bind makes what is at source visible at target too; deep with MS_REC. It is
// mount(MS_BIND) without rights, for the sandbox's start; flags are those of
// the new mount.
func (w *World) Bind(source, target Path, flags uint32) error {
	return w.bindPath(source, target, flags, func(m *Mount) {
		m.flags.Store(flags & mountFlags)
	})
}

func (f *FSContext) bind(c Context, source string, at Path, flags uint32) error {
	n := f.Name(source)
	defer n.Release()
	from, err := Resolve(c, n, How{})
	if err != nil {
		return err
	}
	defer from.DecRef()
	ns := f.Namespace()
	if !at.belongsTo(ns) || !from.belongsTo(ns) {
		return errno.EINVAL
	}
	return at.Mount.world.bindPath(from, at, flags, func(*Mount) {})
}

func (w *World) bindPath(from, at Path, flags uint32, adjust func(*Mount)) error {
	if from.Dentry.isDir() != at.Dentry.isDir() {
		return errno.ENOTDIR
	}
	w.mountMu.Lock()
	defer w.mountMu.Unlock()
	if from.Mount.unbind {
		return errno.EINVAL
	}
	if err := w.canMountOn(at); err != nil {
		return err
	}
	deep, size := oneMount, 1
	if flags&linux.MS_REC != 0 {
		deep, size = wholeTree, from.Mount.size()
	}
	if err := w.roomFor(size, at); err != nil {
		return err
	}
	m := w.copyTree(from.Mount, from.Dentry, deep, copyPrivate)
	adjust(m)
	w.attach(m, at)
	return nil
}

func (f *FSContext) remountBind(at Path, flags uint32) error {
	if at.Dentry != at.Mount.root || !at.belongsTo(f.Namespace()) {
		return errno.EINVAL
	}
	at.Mount.flags.Store(flags)
	return nil
}

// Reconfigurer is a file system whose options can be changed by a remount.
type Reconfigurer interface {
	Reconfigure(c Context, options string) error
}

func (f *FSContext) remount(c Context, at Path, flags uint32, data string) error {
	if err := f.remountBind(at, flags); err != nil {
		return err
	}
	sb := at.Mount.sb
	if r, ok := sb.fs.(Reconfigurer); ok {
		if err := r.Reconfigure(c, data); err != nil {
			return err
		}
	}
	sb.flags.Store(flags & linux.MS_RDONLY)
	return nil
}

func (f *FSContext) setPropagation(at Path, flags uint32) error {
	const known = linux.MS_SHARED | linux.MS_PRIVATE | linux.MS_SLAVE | linux.MS_UNBINDABLE
	kind := flags & known
	if kind&(kind-1) != 0 || flags&^(known|linux.MS_REC|linux.MS_SILENT) != 0 {
		return errno.EINVAL
	}
	if at.Dentry != at.Mount.root || !at.belongsTo(f.Namespace()) {
		return errno.EINVAL
	}
	return at.Mount.world.SetPropagation(at, flags)
}

// SetPropagation makes the mount at p, and with MS_REC all below it, shared,
// private, slave or unbindable.
func (w *World) SetPropagation(p Path, flags uint32) error {
	w.mountMu.Lock()
	defer w.mountMu.Unlock()
	change := func(m *Mount) { w.setPropagation(m, flags) }
	if flags&linux.MS_REC != 0 {
		p.Mount.each(change)
	} else {
		change(p.Mount)
	}
	return nil
}

func (w *World) setPropagation(m *Mount, flags uint32) {
	switch {
	case flags&linux.MS_SHARED != 0:
		w.share(m)
		return
	case flags&linux.MS_SLAVE != 0:
		if g := m.group; g != nil && len(g.members) > 1 {
			m.leaveGroup()
			m.leaveMaster()
			m.slaveOf(g)
			return
		}
		m.leaveGroup()
		return
	}
	m.leaveGroup()
	m.leaveMaster()
	m.unbind = flags&linux.MS_UNBINDABLE != 0
}

func (f *FSContext) moveMount(c Context, source string, at Path) error {
	n := f.Name(source)
	defer n.Release()
	from, err := Resolve(c, n, How{})
	if err != nil {
		return err
	}
	defer from.DecRef()
	ns := f.Namespace()
	w := at.Mount.world
	m := from.Mount
	var drop dropped
	defer func() { drop.release() }()
	w.mountMu.Lock()
	defer w.mountMu.Unlock()
	switch {
	case m.ns != ns || at.Mount.ns != ns || from.Dentry != m.root || m.parent == nil:
		return errno.EINVAL
	case m.parent.group != nil:
		return errno.EINVAL
	case from.Dentry.isDir() != at.Dentry.isDir():
		return errno.ENOTDIR
	}
	for x := at.Mount; x != nil; x = x.parent {
		if x == m {
			return errno.ELOOP
		}
	}
	if err := w.canMountOn(at); err != nil {
		return err
	}
	w.detachOne(m, &drop)
	w.attach(m, at)
	return nil
}

// Umount is umount2(2).
//
// Errors: EINVAL if target is no mount point of the namespace, EBUSY while it
// is used (not with MNT_DETACH), EPERM.
func (f *FSContext) Umount(c Context, target string, flags uint32) error {
	const known = linux.MNT_FORCE | linux.MNT_DETACH | linux.MNT_EXPIRE | linux.UMOUNT_NOFOLLOW
	if flags&^known != 0 {
		return errno.EINVAL
	}
	if err := f.mayMount(c); err != nil {
		return err
	}
	how := How{}
	if flags&linux.UMOUNT_NOFOLLOW != 0 {
		how.Follow = NoFollow
	}
	n := f.Name(target)
	defer n.Release()
	at, err := Resolve(c, n, how)
	if err != nil {
		return err
	}
	defer at.DecRef()
	if at.Dentry != at.Mount.root || !at.belongsTo(f.Namespace()) {
		return errno.EINVAL
	}
	if flags&linux.MNT_EXPIRE != 0 {
		if flags&(linux.MNT_FORCE|linux.MNT_DETACH) != 0 {
			return errno.EINVAL
		}
		return errno.EAGAIN
	}
	return at.Mount.world.umount(at.Mount, flags)
}

// umount takes m off. The caller holds one reference on it.
func (w *World) umount(m *Mount, flags uint32) error {
	// What only the cache holds must not count as use.
	m.sb.root.prune()
	var drop dropped
	defer func() { drop.release() }()
	w.mountMu.Lock()
	defer w.mountMu.Unlock()
	if m.parent == nil || m.ns == nil {
		return errno.EINVAL
	}
	if flags&linux.MNT_DETACH == 0 && (len(m.children) > 0 || m.refs.Load() > 2) {
		return errno.EBUSY
	}
	for _, r := range w.reflections(m.parent, m.point) {
		if r.sb == m.sb && (len(r.children) == 0 || flags&linux.MNT_DETACH != 0) {
			w.detachTree(r, &drop)
		}
	}
	w.detachTree(m, &drop)
	return nil
}

// Chroot changes the root directory.
//
// Errors: those of ResolveDir, EPERM.
func (f *FSContext) Chroot(c Context, text string) error {
	n := f.Name(text)
	defer n.Release()
	p, err := ResolveDir(c, n)
	if err != nil {
		return err
	}
	defer p.DecRef()
	if !c.Creds().HasCap(linux.CAP_SYS_CHROOT) {
		return errno.EPERM
	}
	f.SetRoot(p)
	return nil
}

// Chdir changes the working directory.
func (f *FSContext) Chdir(c Context, text string) error {
	n := f.Name(text)
	defer n.Release()
	p, err := ResolveDir(c, n)
	if err != nil {
		return err
	}
	f.SetCwd(p)
	p.DecRef()
	return nil
}

// PivotRoot is pivot_root(2) for this context; others tells which other
// contexts are to follow from the old root to the new one.
//
// Errors: EINVAL, EBUSY, ENOTDIR, EPERM; see pivot_root(2).
func (f *FSContext) PivotRoot(c Context, newRoot, putOld string, others func(yield func(*FSContext))) error {
	if err := f.mayMount(c); err != nil {
		return err
	}
	n := f.Name(newRoot)
	defer n.Release()
	nr, err := ResolveDir(c, n)
	if err != nil {
		return err
	}
	defer nr.DecRef()
	o := f.Name(putOld)
	defer o.Release()
	po, err := ResolveDir(c, o)
	if err != nil {
		return err
	}
	defer po.DecRef()
	root := f.Root()
	defer root.DecRef()
	if err := nr.Mount.world.pivot(root, nr, po, f.Namespace()); err != nil {
		return err
	}
	f.moveFrom(root, nr)
	others(func(g *FSContext) { g.moveFrom(root, nr) })
	return nil
}

func (w *World) pivot(root, nr, po Path, ns *MountNamespace) error {
	var drop dropped
	defer func() { drop.release() }()
	w.mountMu.Lock()
	defer w.mountMu.Unlock()
	old := root.Mount
	switch {
	case nr.Mount.ns != ns || old.ns != ns || po.Mount.ns != ns:
		return errno.EINVAL
	case nr.Mount == old || po.Mount == old && nr.Mount == old:
		return errno.EBUSY
	case root.Dentry != old.root || nr.Dentry != nr.Mount.root:
		return errno.EINVAL
	case nr.Mount.parent == nil || nr.Mount.parent.group != nil || po.Mount.group != nil:
		return errno.EINVAL
	case old.parent != nil && old.parent.group != nil:
		return errno.EINVAL
	case !w.pathBelow(po, nr) || !w.pathBelow(nr, root):
		return errno.EINVAL
	}
	place := Path{old.parent, old.point}
	if old.parent != nil {
		w.detachOne(old, &drop)
	}
	w.detachOne(nr.Mount, &drop)
	if place.Mount != nil {
		w.attachOne(nr.Mount, place)
	} else {
		ns.root = nr.Mount
	}
	w.attachOne(old, po)
	return nil
}

// pathBelow says whether p is at or below top.
func (w *World) pathBelow(p, top Path) bool {
	w.renameMu.RLock()
	defer w.renameMu.RUnlock()
	for p.Mount != top.Mount {
		if p.Mount.parent == nil {
			return false
		}
		p = Path{p.Mount.parent, p.Mount.point}
	}
	return p.Dentry.isBelow(top.Dentry)
}

// Unshare gives the context a copy of its mount namespace, owned by owner:
// CLONE_NEWNS. The context must not be shared with other tasks.
func (f *FSContext) Unshare(owner *cred.UserNamespace) {
	f.mu.Lock()
	old := f.ns
	w := old.world
	ns := &MountNamespace{world: w, ino: w.NewIno(), owner: owner}
	ns.refs.Store(1)
	kind := copyPrivate
	if owner != old.owner {
		kind = copySlave // changes flow only into the less privileged one
	}
	w.mountMu.Lock()
	twin := map[*Mount]*Mount{}
	ns.root = w.copyTree(old.root, old.root.root, wholeNamespace, kind)
	pairUp(old.root, ns.root, twin)
	ns.root.each(func(m *Mount) { m.ns = ns })
	var gone []Path
	for _, at := range []*Path{&f.root, &f.cwd} {
		if t := twin[at.Mount]; t != nil {
			p := Path{t, at.Dentry}
			p.IncRef()
			gone = append(gone, *at)
			*at = p
		}
	}
	w.mountMu.Unlock()
	f.ns = ns
	f.mu.Unlock()
	for _, p := range gone {
		p.DecRef()
	}
	old.DecRef()
}

// pairUp finds for each mount of a tree its copy in another.
func pairUp(a, b *Mount, twin map[*Mount]*Mount) {
	twin[a] = b
	for _, x := range a.children {
		for _, y := range b.children {
			if x.point == y.point && x.sb == y.sb {
				pairUp(x, y, twin)
				break
			}
		}
	}
}
