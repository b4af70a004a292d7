package vfs

import (
	"strings"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// Dentry is a name in the tree: of an inode, or of nothing (a negative dentry,
// which remembers that a lookup failed). Which of the two it is never changes:
// creating a file replaces the negative dentry by a new one.
//
// A dentry holds a reference on its parent. The children map holds none on the
// children: those with no reference are a cache, kept in the World's LRU list.
// A dentry that nobody refers to dies by a compare-and-swap of its count from 0
// to deadRefs, and whoever succeeds cleans up; a lookup that meets a dead one
// treats it as not cached.
type Dentry struct {
	refs  atomic.Int32
	flags atomic.Uint32
	inode Inode // nil: negative
	sb    *super
	dir   *dirState // nil unless a directory

	// Guarded by World.renameMu.
	parent *Dentry
	name   string

	// Guarded by the LRU's lock.
	prev, next *Dentry
}

// dirState is what only directories need.
type dirState struct {
	// mu is the directory lock: held while names are looked up in the file
	// system, made or removed. It may be held over a call to the Gofer.
	mu lock.Mutex[lockorder.DirInode]

	childMu  lock.Mutex[lockorder.DentryCache]
	children map[string]*Dentry
}

// Bits of Dentry.flags. Those that say what the inode can do are set once.
const (
	dUnhashed   = 1 << iota // not reachable by its name any more
	dDeadDir                // removed directory: nothing can be made in it
	dMounted                // something may be mounted here, in some namespace
	dOnLRU                  // guarded by the LRU's lock
	dReferenced             // used since the LRU last looked
	dAnon                   // name is a display name: "pipe:[7]"
	dMagic                  // inode is a MagicLink
	dRevalidate             // inode is a Revalidator
	dWalker                 // inode is a Walker
	dSelfCheck              // inode is a SelfChecker
	dNoParent               // a root, or anonymous
	dTypeShift  = 12        // the upper bits: S_IFMT
)

// deadRefs is the count of a dentry that is gone.
const deadRefs = -1 << 30

// newDentry makes a dentry with one reference. It takes over the reference of
// inode, and takes one on parent.
func newDentry(sb *super, parent *Dentry, name string, inode Inode) *Dentry {
	d := &Dentry{inode: inode, sb: sb, parent: parent, name: name}
	d.refs.Store(1)
	if parent != nil {
		parent.incRef()
	} else {
		d.flags.Store(dNoParent)
	}
	if inode == nil {
		return d
	}
	t := inode.Attr().Mode.Type()
	f := d.flags.Load() | uint32(t)<<dTypeShift
	if t == linux.S_IFDIR {
		d.dir = &dirState{}
		if _, ok := inode.(Revalidator); ok {
			f |= dRevalidate
		}
		if _, ok := inode.(Walker); ok {
			f |= dWalker
		}
	}
	if t == linux.S_IFLNK {
		if _, ok := inode.(MagicLink); ok {
			f |= dMagic
		}
	}
	if _, ok := inode.(SelfChecker); ok {
		f |= dSelfCheck
	}
	d.flags.Store(f)
	return d
}

// Inode is the file, nil for a negative dentry.
func (d *Dentry) Inode() Inode { return d.inode }

// Name is the dentry's present name, "" for a root.
func (d *Dentry) Name() string {
	_, name := d.where()
	return name
}

func (d *Dentry) has(f uint32) bool { return d.flags.Load()&f != 0 }
func (d *Dentry) set(f uint32)      { d.flags.Or(f) }
func (d *Dentry) clear(f uint32)    { d.flags.And(^f) }
func (d *Dentry) unhashed() bool    { return d.has(dUnhashed) }
func (d *Dentry) negative() bool    { return d.inode == nil }
func (d *Dentry) isDir() bool       { return d.dir != nil }
func (d *Dentry) isSymlink() bool   { return d.fileType() == linux.S_IFLNK }
func (d *Dentry) fileType() linux.FileMode {
	return linux.FileMode(d.flags.Load() >> dTypeShift)
}

// where returns parent and name at one moment.
func (d *Dentry) where() (*Dentry, string) {
	d.sb.world.renameMu.RLock()
	defer d.sb.world.renameMu.RUnlock()
	return d.parent, d.name
}

func (d *Dentry) incRef() { d.refs.Add(1) }

// tryIncRef takes a reference unless d is dead.
func (d *Dentry) tryIncRef() bool {
	for {
		n := d.refs.Load()
		if n < 0 {
			return false
		}
		if d.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (d *Dentry) decRef() {
	n := d.refs.Add(-1)
	if n > 0 {
		return
	}
	if n < 0 {
		panic("vfs: dentry released twice: " + d.name)
	}
	if d.has(dUnhashed | dNoParent) {
		d.tryKill()
		return
	}
	d.sb.world.lru.add(d)
}

// tryKill ends d if nobody refers to it. Says whether it did.
func (d *Dentry) tryKill() bool {
	for d != nil {
		if !d.refs.CompareAndSwap(0, deadRefs) {
			return false
		}
		d.sb.world.lru.remove(d)
		// Nobody can rename a dead dentry: parent and name are stable.
		parent := d.parent
		if parent != nil && !d.has(dAnon) {
			parent.dir.childMu.Lock()
			if parent.dir.children[d.name] == d {
				delete(parent.dir.children, d.name)
			}
			parent.dir.childMu.Unlock()
		}
		if d.inode != nil {
			d.inode.Release()
		}
		if d.has(dAnon) {
			d.sb.decRef()
		}
		if parent == nil || parent.refs.Add(-1) > 0 {
			return true
		}
		if !parent.has(dUnhashed | dNoParent) {
			d.sb.world.lru.add(parent)
			return true
		}
		d = parent
	}
	return true
}

// cached returns the child of that name with a reference, or nil.
func (d *Dentry) cached(name string) *Dentry {
	s := d.dir
	s.childMu.Lock()
	child := s.children[name]
	if child != nil && !child.tryIncRef() {
		delete(s.children, name)
		child = nil
	}
	s.childMu.Unlock()
	if child != nil && !child.has(dReferenced) {
		child.set(dReferenced)
	}
	return child
}

// addChild makes child visible in d, in place of what is there under its name.
func (d *Dentry) addChild(child *Dentry) {
	s := d.dir
	s.childMu.Lock()
	if s.children == nil {
		s.children = map[string]*Dentry{}
	}
	old := s.children[child.name]
	s.children[child.name] = child
	s.childMu.Unlock()
	if old != nil && old != child {
		old.set(dUnhashed)
		old.tryKill()
	}
}

// unhash takes d out of its directory: its name no longer leads to it.
// The caller holds a reference.
func (d *Dentry) unhash() {
	parent, name := d.where()
	d.set(dUnhashed)
	if parent == nil {
		return
	}
	s := parent.dir
	s.childMu.Lock()
	if s.children[name] == d {
		delete(s.children, name)
	}
	s.childMu.Unlock()
}

// prune drops the cached children of d that nobody uses, and theirs.
func (d *Dentry) prune() {
	if d.dir == nil {
		return
	}
	d.dir.childMu.Lock()
	list := make([]*Dentry, 0, len(d.dir.children))
	for _, c := range d.dir.children {
		if c.tryIncRef() {
			list = append(list, c)
		}
	}
	d.dir.childMu.Unlock()
	for _, c := range list {
		c.prune()
		// Not decRef, which would put it into the LRU list.
		if c.refs.Add(-1) == 0 {
			c.tryKill()
		}
	}
}

// checkName refuses what cannot be a name.
func checkName(name string) error {
	if len(name) > linux.NAME_MAX {
		return errno.ENAMETOOLONG
	}
	return nil
}

func (p Path) debugName() string {
	if p.Dentry == nil {
		return "?"
	}
	return strings.Clone(p.Dentry.Name())
}

// lru holds dentries that nobody refers to, or did not when last looked at.
type lru struct {
	mu    lock.Mutex[lockorder.DentryLRU]
	head  Dentry // sentinel of a ring: next is the oldest
	n     int
	limit int
}

func (l *lru) init(limit int) {
	l.head.next, l.head.prev = &l.head, &l.head
	l.limit = limit
}

func (l *lru) setLimit(n int) {
	l.mu.Lock()
	l.limit = n
	l.mu.Unlock()
}

// add puts d at the young end unless it is there or dead, and drops the oldest
// if there are too many.
func (l *lru) add(d *Dentry) {
	if d.has(dOnLRU) {
		return // stays where it is: dReferenced gives it a second chance
	}
	l.mu.Lock()
	if d.refs.Load() < 0 || d.has(dOnLRU) {
		l.mu.Unlock()
		return
	}
	l.link(d)
	var victims []*Dentry
	if l.n > l.limit {
		victims = l.oldest(64)
	}
	l.mu.Unlock()
	for _, v := range victims {
		v.tryKill()
	}
}

func (l *lru) link(d *Dentry) {
	d.set(dOnLRU)
	last := l.head.prev
	d.prev, d.next = last, &l.head
	last.next, l.head.prev = d, d
	l.n++
}

func (l *lru) unlink(d *Dentry) {
	d.clear(dOnLRU)
	d.prev.next, d.next.prev = d.next, d.prev
	d.prev, d.next = nil, nil
	l.n--
}

// oldest takes up to n unused dentries off the list. One that is in use leaves
// the list too (its last decRef brings it back); one used since the last look
// goes to the young end.
func (l *lru) oldest(n int) []*Dentry {
	var out []*Dentry
	for range 4 * n {
		d := l.head.next
		if d == &l.head || len(out) == n {
			break
		}
		l.unlink(d)
		switch {
		case d.refs.Load() != 0:
			// Its last decRef may have found it still on the list.
			if d.refs.Load() == 0 {
				l.link(d)
			}
		case d.has(dReferenced):
			d.clear(dReferenced)
			l.link(d)
		default:
			out = append(out, d)
		}
	}
	return out
}

func (l *lru) remove(d *Dentry) {
	l.mu.Lock()
	if d.has(dOnLRU) {
		l.unlink(d)
	}
	l.mu.Unlock()
}
