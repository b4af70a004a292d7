package vfs

import (
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
)

// super is one mounted file system: what its mounts and dentries share. Each
// mount holds a reference; with the last one the cache is emptied and the file
// system released.
type super struct {
	world *World
	fs    FileSystem
	root  *Dentry
	refs  atomic.Int64
	flags atomic.Uint32 // MS_RDONLY
}

func newSuper(w *World, fs FileSystem) *super {
	s := &super{world: w, fs: fs}
	s.refs.Store(1)
	s.root = newDentry(s, nil, "", fs.Root())
	return s
}

func (s *super) incRef() { s.refs.Add(1) }

func (s *super) decRef() {
	if s.refs.Add(-1) > 0 {
		return
	}
	s.root.prune()
	s.root.decRef()
	s.fs.Release()
}

// Mount is a file system, or a part of it, at a place of a mount tree.
//
// References: one for being in a tree, one for each Path and each child mount.
type Mount struct {
	refs  atomic.Int64
	world *World
	sb    *super
	root  *Dentry // with a reference
	id    int
	flags atomic.Uint32 // MS_* that mountFlags names

	// Guarded by World.mountMu.
	ns       *MountNamespace // nil: detached
	parent   *Mount
	point    *Dentry // in parent; with a reference
	children []*Mount
	source   string
	group    *peerGroup // shared with
	master   *peerGroup // slave of
	unbind   bool       // MS_UNBINDABLE
}

// mountFlags are the MS_ flags that belong to a mount and not to the file
// system.
const mountFlags = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC |
	linux.MS_NOATIME | linux.MS_NODIRATIME | linux.MS_RELATIME | linux.MS_STRICTATIME | linux.MS_NOSYMFOLLOW

// mountKey is where a mount is found: what stands on point seen through parent.
type mountKey struct {
	parent *Mount
	point  *Dentry
}

// peerGroup is a set of mounts that pass mounts on to each other.
type peerGroup struct {
	id      int
	members []*Mount
	slaves  []*Mount // mounts whose master this group is
}

func newMount(w *World, sb *super, root *Dentry, source string, flags uint32) *Mount {
	m := &Mount{world: w, sb: sb, root: root, source: source, id: int(w.nextMount.Add(1))}
	m.refs.Store(1)
	m.flags.Store(flags & mountFlags)
	w.mounts.Add(1)
	sb.incRef()
	root.incRef()
	return m
}

func (m *Mount) incRef() { m.refs.Add(1) }

// decRef gives a reference back. With the last one the mount is in no tree:
// being in one is a reference.
func (m *Mount) decRef() {
	n := m.refs.Add(-1)
	if n > 0 {
		return
	}
	if n < 0 {
		panic("vfs: mount released twice: " + m.source)
	}
	m.world.mounts.Add(-1)
	m.root.decRef()
	m.sb.decRef()
}

// Flags are the mount's MS_* flags, with MS_RDONLY if the file system is.
func (m *Mount) Flags() uint32 { return m.flags.Load() | m.sb.flags.Load()&linux.MS_RDONLY }

// ReadOnly says whether nothing may be changed through this mount.
func (m *Mount) ReadOnly() bool { return m.Flags()&linux.MS_RDONLY != 0 }

// ID is the number in mountinfo.
func (m *Mount) ID() int { return m.id }

// FileSystem is what is mounted.
func (m *Mount) FileSystem() FileSystem { return m.sb.fs }

// World is the world the mount is of.
func (m *Mount) World() *World { return m.world }

// MountNamespace is a tree of mounts.
type MountNamespace struct {
	world *World
	refs  atomic.Int64
	ino   uint64
	owner *cred.UserNamespace
	root  *Mount // guarded by World.mountMu
}

// NewNamespace makes a mount namespace whose root is fs, of which it takes over
// the ownership. The caller gets a reference.
func (w *World) NewNamespace(fs FileSystem, source string, flags uint32, owner *cred.UserNamespace) *MountNamespace {
	sb := newSuper(w, fs)
	ns := &MountNamespace{world: w, ino: w.NewIno(), owner: owner}
	ns.refs.Store(1)
	m := newMount(w, sb, sb.root, source, flags)
	sb.decRef() // the mount has one now
	m.ns, ns.root = ns, m
	return ns
}

// IncRef takes a reference.
func (ns *MountNamespace) IncRef() { ns.refs.Add(1) }

// DecRef gives one back; the last takes the tree apart.
func (ns *MountNamespace) DecRef() {
	if ns.refs.Add(-1) == 0 {
		ns.dismantle()
	}
}

// Ino is the number in /proc/PID/ns/mnt.
func (ns *MountNamespace) Ino() uint64 { return ns.ino }

// Owner is the user namespace whose capabilities govern this one.
func (ns *MountNamespace) Owner() *cred.UserNamespace { return ns.owner }

// Root is the root of the tree, with a reference: what is on top there.
func (ns *MountNamespace) Root() Path {
	w := ns.world
	w.mountMu.RLock()
	defer w.mountMu.RUnlock()
	m := ns.root
	for top := w.mounted[mountKey{m, m.root}]; top != nil; top = w.mounted[mountKey{m, m.root}] {
		m = top
	}
	p := Path{m, m.root}
	p.IncRef()
	return p
}

// World is the world the namespace is of.
func (ns *MountNamespace) World() *World { return ns.world }
