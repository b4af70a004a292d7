package vfs

import (
	"slices"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// The functions here change the mount trees. All hold World.mountMu for
// writing; what they drop is collected and released when the lock is free.

// attach puts the tree at m on p, and on what follows p's mount. The tree is
// detached and its reference for being in a tree is the caller's, who gives it
// away.
func (w *World) attach(m *Mount, p Path) {
	if g := p.Mount.group; g != nil {
		w.shareTree(m)
		w.propagate(m, p, g)
	}
	w.attachOne(m, p)
}

// attachOne links the tree at m to exactly p.
func (w *World) attachOne(m *Mount, p Path) {
	// On top of what may stand there already, as for a propagated mount.
	for top := w.mounted[mountKey{p.Mount, p.Dentry}]; top != nil; top = w.mounted[mountKey{p.Mount, p.Dentry}] {
		p = Path{top, top.root}
	}
	p.IncRef()
	m.parent, m.point = p.Mount, p.Dentry
	p.Dentry.set(dMounted)
	p.Mount.children = append(p.Mount.children, m)
	w.mounted[mountKey{p.Mount, p.Dentry}] = m
	m.each(func(x *Mount) { x.ns = p.Mount.ns })
}

// maxMounts bounds the mounts of the sandbox: a few binds of a tree into itself
// would otherwise fill any memory. It is Linux's fs.mount-max.
const maxMounts = 100000

// roomFor says ENOSPC if a tree of n mounts on p, with all that propagation makes
// of it, would be too many.
func (w *World) roomFor(n int, p Path) error {
	if w.mounts.Load()+int64(n)*int64(1+len(w.receivers(p.Mount))) > maxMounts {
		return errno.ENOSPC
	}
	return nil
}

// receivers are the mounts that get what is mounted on m.
func (w *World) receivers(m *Mount) map[*Mount]bool {
	seen := map[*Mount]bool{}
	var visit func(g *peerGroup)
	visit = func(g *peerGroup) {
		for _, list := range [][]*Mount{g.members, g.slaves} {
			for _, x := range list {
				if x == m || seen[x] {
					continue
				}
				seen[x] = true
				if x.group != nil && x.group != g {
					visit(x.group)
				}
			}
		}
	}
	if m.group != nil {
		visit(m.group)
	}
	return seen
}

// size is the number of mounts of a tree.
func (m *Mount) size() int {
	n := 0
	m.each(func(*Mount) { n++ })
	return n
}

// each calls f for m and all mounts below it.
func (m *Mount) each(f func(*Mount)) {
	f(m)
	for _, c := range slices.Clone(m.children) {
		c.each(f)
	}
}

// detachOne takes m, which has a parent, off its place. The reference for being
// in a tree is the caller's from now on.
func (w *World) detachOne(m *Mount, drop *dropped) {
	p := Path{m.parent, m.point}
	delete(w.mounted, mountKey{p.Mount, p.Dentry})
	p.Mount.children = slices.DeleteFunc(p.Mount.children, func(c *Mount) bool { return c == m })
	m.parent, m.point = nil, nil
	drop.paths = append(drop.paths, p)
}

// detachTree takes m and everything below it apart, for good.
func (w *World) detachTree(m *Mount, drop *dropped) {
	for _, c := range slices.Clone(m.children) {
		w.detachTree(c, drop)
	}
	if m.parent != nil {
		w.detachOne(m, drop)
	}
	m.ns = nil
	m.leaveGroup()
	m.leaveMaster()
	drop.mounts = append(drop.mounts, m)
}

// dropped is what is released when mountMu is free.
type dropped struct {
	paths  []Path
	mounts []*Mount
}

func (d *dropped) release() {
	for _, m := range d.mounts {
		m.decRef()
	}
	for _, p := range d.paths {
		p.DecRef()
	}
}

// isMountpoint says whether anything is mounted on d, in any namespace.
func (w *World) isMountpoint(d *Dentry) bool {
	if !d.has(dMounted) {
		return false
	}
	w.mountMu.RLock()
	defer w.mountMu.RUnlock()
	for k := range w.mounted {
		if k.point == d {
			return true
		}
	}
	return false
}

// copyKind says what a copied mount has to do with its original.
type copyKind uint8

const (
	copyPrivate copyKind = iota // nothing, but a bind of a shared mount is a peer
	copyPeer                    // joins its group
	copySlave                   // is a slave of its group
)

// copyTree copies m and, if deep, what is mounted below it within root. It
// leaves unbindable mounts out unless all is asked for.
func (w *World) copyTree(m *Mount, root *Dentry, deep treeDepth, kind copyKind) *Mount {
	c := w.copyMount(m, root, kind)
	if deep == oneMount {
		return c
	}
	for _, child := range m.children {
		if child.unbind && deep != wholeNamespace {
			continue
		}
		w.renameMu.RLock()
		below := child.point.isBelow(root)
		w.renameMu.RUnlock()
		if below {
			w.attachOne(w.copyTree(child, child.root, deep, kind), Path{c, child.point})
		}
	}
	return c
}

// treeDepth says how much of a tree is copied.
type treeDepth uint8

const (
	oneMount treeDepth = iota
	wholeTree
	wholeNamespace // unbindable mounts too
)

func (w *World) copyMount(m *Mount, root *Dentry, kind copyKind) *Mount {
	c := newMount(w, m.sb, root, m.source, m.flags.Load())
	if kind == copySlave && m.group != nil {
		c.slaveOf(m.group)
		return c
	}
	if m.group != nil {
		m.group.join(c)
	}
	if m.master != nil {
		c.slaveOf(m.master)
	}
	c.unbind = m.unbind
	return c
}

func (g *peerGroup) join(m *Mount) {
	m.group = g
	g.members = append(g.members, m)
}

func (m *Mount) slaveOf(g *peerGroup) {
	m.master = g
	g.slaves = append(g.slaves, m)
}

func (m *Mount) leaveMaster() {
	if g := m.master; g != nil {
		g.slaves = slices.DeleteFunc(g.slaves, func(x *Mount) bool { return x == m })
		m.master = nil
	}
}

// leaveGroup takes m out of its peer group. The slaves of a group that dies
// with it become slaves of its own master.
func (m *Mount) leaveGroup() {
	g := m.group
	if g == nil {
		return
	}
	m.group = nil
	g.members = slices.DeleteFunc(g.members, func(x *Mount) bool { return x == m })
	if len(g.members) > 0 {
		return
	}
	for _, s := range g.slaves {
		s.master = nil
		if m.master != nil && s != m {
			s.slaveOf(m.master)
		}
	}
	g.slaves = nil
}

// shareTree makes m and all below it shared.
func (w *World) shareTree(m *Mount) {
	m.each(w.share)
}

func (w *World) share(m *Mount) {
	if m.group == nil {
		(&peerGroup{id: int(w.nextGroup.Add(1))}).join(m)
	}
	m.unbind = false
}

// propagate mounts copies of the tree at m wherever a mount on p shows up
// through the peers and slaves of p's mount, whose group is g.
func (w *World) propagate(m *Mount, p Path, g *peerGroup) {
	seen := map[*Mount]bool{p.Mount: true}
	w.propagateTo(m, p.Dentry, g, seen)
}

func (w *World) propagateTo(m *Mount, point *Dentry, g *peerGroup, seen map[*Mount]bool) {
	for _, peer := range slices.Clone(g.members) {
		if !seen[peer] && peer.shows(point) {
			seen[peer] = true
			w.attachOne(w.copyTree(m, m.root, wholeTree, copyPeer), Path{peer, point})
		}
	}
	for _, slave := range slices.Clone(g.slaves) {
		if seen[slave] || !slave.shows(point) {
			continue
		}
		seen[slave] = true
		c := w.copyTree(m, m.root, wholeTree, copySlave)
		if slave.group != nil {
			w.shareTree(c)
		}
		w.attachOne(c, Path{slave, point})
		if slave.group != nil {
			w.propagateTo(c, point, slave.group, seen)
		}
	}
}

// shows says whether d can be seen through m, which is in a tree.
func (m *Mount) shows(d *Dentry) bool {
	if m.ns == nil || m.sb != d.sb {
		return false
	}
	m.world.renameMu.RLock()
	defer m.world.renameMu.RUnlock()
	return d.isBelow(m.root)
}

// reflections are the mounts that propagation made of what is on point of
// parent: on top of the same point of its peers and slaves.
func (w *World) reflections(parent *Mount, point *Dentry) []*Mount {
	var out []*Mount
	seen := map[*Mount]bool{parent: true}
	var visit func(g *peerGroup)
	visit = func(g *peerGroup) {
		for _, m := range append(slices.Clone(g.members), g.slaves...) {
			if seen[m] {
				continue
			}
			seen[m] = true
			if r := w.mounted[mountKey{m, point}]; r != nil {
				out = append(out, r)
			}
			if m.group != nil {
				visit(m.group)
			}
		}
	}
	if parent.group != nil {
		visit(parent.group)
	}
	return out
}

// dismantle takes a namespace apart.
func (ns *MountNamespace) dismantle() {
	var drop dropped
	ns.world.mountMu.Lock()
	ns.world.detachTree(ns.root, &drop)
	ns.world.mountMu.Unlock()
	drop.release()
}
