package tmpfs

import (
	"slices"
	"sort"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// directory holds entries by name, and in the order in which they came, which
// gives each a position that stays valid.
type directory struct {
	inode

	// Guarded by inode.mu.
	entries map[string]*entry
	order   []*entry // by pos; those with a nil child are removed
	nextPos int64
	parent  *directory
}

type entry struct {
	name  string
	child vfs.Inode
	pos   int64
}

// entrySize is what a name adds to the size of its directory, as on Linux.
const entrySize = 20

func (fs *FS) newDirectory(n vfs.NewFile) *directory {
	d := &directory{nextPos: 2}
	d.init(fs, n, 2)
	return d
}

// Lookup finds a child.
func (d *directory) Lookup(_ vfs.Context, name string) (vfs.Inode, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e := d.entries[name]
	if e == nil {
		return nil, errno.ENOENT
	}
	e.child.(based).base().incRef()
	return e.child, nil
}

// Stat adds the size.
func (d *directory) Stat(vfs.Context, uint32) (linux.Statx, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := d.statLocked()
	s.Size = uint64(2+len(d.entries)) * entrySize
	return s, nil
}

// insertLocked adds a name that is not there.
func (d *directory) insertLocked(name string, child vfs.Inode) {
	e := &entry{name, child, d.nextPos}
	d.nextPos++
	if d.entries == nil {
		d.entries = map[string]*entry{}
	}
	d.entries[name] = e
	d.order = append(d.order, e)
	d.touchLocked()
}

// removeLocked takes a name out.
func (d *directory) removeLocked(name string) {
	e := d.entries[name]
	delete(d.entries, name)
	e.child = nil
	if len(d.order) > 16 && len(d.order) > 2*len(d.entries) {
		d.order = slices.DeleteFunc(d.order, func(e *entry) bool { return e.child == nil })
	}
	d.touchLocked()
}

func (d *directory) touchLocked() {
	now := vfs.Now()
	d.m, d.c = now, now
}

// Create makes a file of any type.
func (d *directory) Create(_ vfs.Context, name string, n vfs.NewFile) (vfs.Inode, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.entries[name] != nil {
		return nil, errno.EEXIST
	}
	child, err := d.fs.newInode(n, 1)
	if err != nil {
		return nil, err
	}
	if sub, ok := child.(*directory); ok {
		sub.parent = d
		d.nlink++
	}
	d.insertLocked(name, child)
	child.(based).base().incRef()
	return child, nil
}

// newInode makes an inode without references.
func (fs *FS) newInode(n vfs.NewFile, nlink uint32) (vfs.Inode, error) {
	if err := fs.chargeInode(); err != nil {
		return nil, err
	}
	switch n.Mode.Type() {
	case linux.S_IFDIR:
		return fs.newDirectory(n), nil
	case linux.S_IFREG:
		return fs.newFile(n, nlink), nil
	case linux.S_IFLNK:
		l := &symlink{target: n.Target}
		l.init(fs, n, nlink)
		return l, nil
	}
	s := &special{}
	s.init(fs, n, nlink)
	return s, nil
}

// Tmpfile makes a file without a name.
func (d *directory) Tmpfile(_ vfs.Context, n vfs.NewFile) (vfs.Inode, error) {
	child, err := d.fs.newInode(n, 0)
	if err != nil {
		return nil, err
	}
	b := child.(based).base()
	b.linkable = true
	b.incRef()
	return child, nil
}

// Link makes another name. ENOENT for a file whose last name is gone.
func (d *directory) Link(_ vfs.Context, name string, target vfs.Inode) error {
	t, ok := target.(based)
	if !ok || t.base().fs != d.fs {
		return errno.EXDEV
	}
	b := t.base()
	b.mu.Lock()
	if b.nlink == 0 && !b.linkable {
		b.mu.Unlock()
		return errno.ENOENT
	}
	b.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.entries[name] != nil {
		return errno.EEXIST
	}
	d.insertLocked(name, target)
	b.addLink()
	return nil
}

// Unlink removes a name of a file.
func (d *directory) Unlink(_ vfs.Context, name string, victim vfs.Inode) error {
	d.mu.Lock()
	e := d.entries[name]
	if e == nil || e.child != victim {
		d.mu.Unlock()
		return errno.ENOENT
	}
	d.removeLocked(name)
	d.mu.Unlock()
	victim.(based).base().dropLink()
	return nil
}

// Rmdir removes an empty directory.
func (d *directory) Rmdir(_ vfs.Context, name string, victim vfs.Inode) error {
	v, ok := victim.(*directory)
	if !ok {
		return errno.ENOTDIR
	}
	d.mu.Lock()
	e := d.entries[name]
	if e == nil || e.child != victim {
		d.mu.Unlock()
		return errno.ENOENT
	}
	if !v.die() {
		d.mu.Unlock()
		return errno.ENOTEMPTY
	}
	d.removeLocked(name)
	d.nlink--
	d.mu.Unlock()
	v.freeIfGone()
	return nil
}

// die takes the links of an empty directory; false if it is not empty. Package
// vfs keeps others from creating in it meanwhile.
func (d *directory) die() bool {
	d.mu.LockNested() // below the parent
	defer d.mu.Unlock()
	if len(d.entries) > 0 {
		return false
	}
	d.nlink = 0
	d.c = vfs.Now()
	return true
}

// Rename moves a name. Package vfs holds the locks of both directories, so the
// steps below are one to everybody who looks names up through it.
func (d *directory) Rename(_ vfs.Context, name string, source vfs.Inode, newDir vfs.Directory, newName string, victim vfs.Inode, flags uint32) error {
	nd, ok := newDir.(*directory)
	if !ok || nd.fs != d.fs {
		return errno.EXDEV
	}
	if !d.holds(name, source) || victim != nil && !nd.holds(newName, victim) {
		return errno.ENOENT
	}
	if flags&linux.RENAME_EXCHANGE != 0 {
		d.swap(name, source, nd, newName, victim)
		return nil
	}
	var whiteout vfs.Inode
	if flags&linux.RENAME_WHITEOUT != 0 {
		a := source.Attr()
		w, err := d.fs.newInode(vfs.NewFile{Mode: linux.S_IFCHR, UID: a.UID, GID: a.GID}, 1)
		if err != nil {
			return err
		}
		whiteout = w
	}
	if victim != nil {
		if err := nd.evict(newName, victim); err != nil {
			return err
		}
	}
	d.take(name, source)
	nd.put(newName, source)
	if whiteout != nil {
		d.put(name, whiteout)
	}
	source.(based).base().touchChanged()
	return nil
}

func (i *inode) touchChanged() {
	i.mu.Lock()
	i.c = vfs.Now()
	i.mu.Unlock()
}

func (d *directory) holds(name string, child vfs.Inode) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e := d.entries[name]
	return e != nil && e.child == child
}

// evict removes what a rename replaces.
func (d *directory) evict(name string, victim vfs.Inode) error {
	if victim.Attr().Mode.IsDir() {
		return d.Rmdir(nil, name, victim)
	}
	return d.Unlink(nil, name, victim)
}

func (d *directory) take(name string, child vfs.Inode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removeLocked(name)
	if _, ok := child.(*directory); ok {
		d.nlink--
	}
}

func (d *directory) put(name string, child vfs.Inode) {
	if sub, ok := child.(*directory); ok {
		sub.mu.Lock()
		sub.parent = d
		sub.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.insertLocked(name, child)
	if _, ok := child.(*directory); ok {
		d.nlink++
	}
}

func (d *directory) swap(name string, a vfs.Inode, other *directory, otherName string, b vfs.Inode) {
	d.take(name, a)
	other.take(otherName, b)
	d.put(name, b)
	other.put(otherName, a)
	a.(based).base().touchChanged()
	b.(based).base().touchChanged()
}

// dropTree frees everything below a directory that nobody can reach any more.
func (d *directory) dropTree() {
	d.mu.Lock()
	order := d.order
	d.order, d.entries = nil, nil
	d.mu.Unlock()
	for _, e := range order {
		switch c := e.child.(type) {
		case nil:
		case *directory:
			c.dropTree()
		default:
			c.(based).base().dropLink()
		}
	}
}

// Open opens the directory for listing.
func (d *directory) Open(vfs.Context, vfs.Path, linux.OpenFlags) (vfs.File, error) {
	return &openDir{d}, nil
}

type openDir struct{ d *directory }

func (o *openDir) Release() {}

// batch is how many entries are copied out of the lock at once.
const batch = 64

// ReadDir lists entries from a position on. What emit does is done outside the
// lock.
func (o *openDir) ReadDir(_ vfs.Context, pos int64, emit func(vfs.Dirent) bool) error {
	d := o.d
	d.accessed()
	for {
		list := d.from(pos)
		if len(list) == 0 {
			return nil
		}
		for _, e := range list {
			if !emit(e) {
				return nil
			}
			pos = e.Next
		}
	}
}

func (d *directory) from(pos int64) []vfs.Dirent {
	d.mu.RLock()
	defer d.mu.RUnlock()
	i := sort.Search(len(d.order), func(i int) bool { return d.order[i].pos >= pos })
	var out []vfs.Dirent
	for _, e := range d.order[i:] {
		if e.child == nil {
			continue
		}
		b := e.child.(based).base()
		out = append(out, vfs.Dirent{Name: e.name, Ino: b.ino, Type: b.kind, Next: e.pos + 1})
		if len(out) == batch {
			break
		}
	}
	return out
}
