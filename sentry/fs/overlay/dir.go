package overlay

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// dirNode is a directory: its names are those of the upper part and, where that
// says nothing, of the lower ones.
type dirNode struct{ node }

// isWhiteout says whether an upper (or lower) file marks a removed name.
func isWhiteout(i vfs.Inode) bool {
	a := i.Attr()
	return a.Mode.Type() == linux.S_IFCHR && a.Rdev == 0
}

func isOpaque(dir vfs.Inode) bool {
	x, ok := dir.(vfs.XattrInode)
	if !ok {
		return false
	}
	v, err := x.GetXattr(nil, xattrOpaque)
	return err == nil && string(v) == "y"
}

// Lookup finds a name through the layers.
func (d *dirNode) Lookup(c vfs.Context, name string) (vfs.Inode, error) {
	p := d.parts.Load()
	found := &parts{}
	if p.upper != nil {
		up, err := p.upper.(vfs.Directory).Lookup(c, name)
		switch {
		case err == errno.ENOENT:
		case err != nil:
			return nil, err
		case isWhiteout(up):
			up.Release()
			return nil, errno.ENOENT
		case !up.Attr().Mode.IsDir():
			return d.fs.upperNode(up), nil
		default:
			found.upper = up
		}
	}
	if found.upper == nil || !isOpaque(found.upper) {
		if err := d.lookupLower(c, p, name, found); err != nil {
			found.release()
			return nil, err
		}
	}
	if found.upper == nil && len(found.lower) == 0 {
		return nil, errno.ENOENT
	}
	return newNode(d.fs, d, name, found), nil
}

// lookupLower adds the lower files of a name to found: directories as long as
// they merge, or one file.
func (d *dirNode) lookupLower(c vfs.Context, p *parts, name string, found *parts) error {
	for _, l := range p.lower {
		low, err := l.(vfs.Directory).Lookup(c, name)
		if err == errno.ENOENT {
			continue
		}
		if err != nil {
			return err
		}
		first := found.upper == nil && len(found.lower) == 0
		isDir := low.Attr().Mode.IsDir()
		if isWhiteout(low) || !isDir && !first {
			low.Release()
			return nil
		}
		found.lower = append(found.lower, low)
		if !isDir || isOpaque(low) {
			return nil
		}
	}
	return nil
}

// upperNode is the node of an upper file that is not a directory, whose
// reference it takes over: there is one for all its names.
func (fs *FS) upperNode(up vfs.Inode) inodeNode {
	fs.mu.Lock()
	n, ok := fs.byUpper[up]
	if ok {
		n.base().incRef()
	}
	fs.mu.Unlock()
	if ok {
		up.Release()
		return n
	}
	n = newNode(fs, nil, "", &parts{upper: up})
	fs.mu.Lock()
	other, ok := fs.byUpper[up]
	if ok {
		other.base().incRef()
	} else {
		fs.byUpper[up] = n
	}
	fs.mu.Unlock()
	if ok {
		n.Release()
		return other
	}
	return n
}

// WalkMany hands a path to the lower file system in one piece once it is
// outside the upper tree.
func (d *dirNode) WalkMany(c vfs.Context, names []string, opens linux.OpenFlags) ([]vfs.Inode, error) {
	p := d.parts.Load()
	walker, ok := d.soleLower(p)
	if !ok || p.upper != nil && d.inUpper(c, p, names[0]) {
		n, err := d.Lookup(c, names[0])
		if err != nil {
			return nil, err
		}
		return []vfs.Inode{n}, nil
	}
	lows, err := walker.WalkMany(c, names, opensBelow(opens))
	out := make([]vfs.Inode, 0, len(lows))
	at := d
	for i, low := range lows {
		n := newNode(d.fs, at, names[i], &parts{lower: []vfs.Inode{low}})
		out = append(out, n)
		at, _ = n.(*dirNode)
	}
	return out, err
}

// Revalidate asks the lower file system whether what it said still holds, if it
// wants to be asked. What is in the upper tree is ours alone.
func (d *dirNode) Revalidate(c vfs.Context, name string, child vfs.Inode) bool {
	if !d.fs.asks {
		return true
	}
	p := d.parts.Load()
	if len(p.lower) == 0 {
		return true
	}
	r, ok := p.lower[0].(vfs.Revalidator)
	if !ok {
		return true
	}
	if child == nil {
		return p.upper != nil && d.inUpper(c, p, name) || r.Revalidate(c, name, nil)
	}
	of := child.(inodeNode).base().parts.Load()
	return of.upper != nil || r.Revalidate(c, name, of.lower[0])
}

// opensBelow is what a lower file is opened with: only ever for reading, be it
// to copy it up, and not at all if it will be emptied.
func opensBelow(f linux.OpenFlags) linux.OpenFlags {
	switch {
	case f&linux.O_PATH != 0 || f&linux.O_TRUNC != 0:
		return linux.O_PATH
	case f.Writable():
		return linux.O_RDONLY
	}
	return f
}

func (d *dirNode) soleLower(p *parts) (vfs.Walker, bool) {
	if len(p.lower) != 1 {
		return nil, false
	}
	w, ok := p.lower[0].(vfs.Walker)
	return w, ok
}

func (d *dirNode) inUpper(c vfs.Context, p *parts, name string) bool {
	up, err := p.upper.(vfs.Directory).Lookup(c, name)
	if err == nil {
		up.Release()
	}
	return err != errno.ENOENT
}

// inLower says whether a lower layer has something under a name, which then
// must be hidden when the upper name goes.
func (d *dirNode) inLower(c vfs.Context, name string) (bool, error) {
	found := &parts{}
	err := d.lookupLower(c, d.parts.Load(), name, found)
	found.release()
	return len(found.lower) > 0, err
}

// writable is the upper directory, made if need be.
func (d *dirNode) writable(c vfs.Context) (vfs.MutableDirectory, error) {
	up, err := d.copyUp(c, withData)
	if err != nil {
		return nil, err
	}
	return up.(vfs.MutableDirectory), nil
}

// makeRoom removes the whiteout of a name. It says whether there was one.
func makeRoom(c vfs.Context, up vfs.MutableDirectory, name string) (bool, error) {
	w, err := up.Lookup(c, name)
	if err == errno.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer w.Release()
	if !isWhiteout(w) {
		return false, errno.EEXIST
	}
	return true, up.Unlink(c, name, w)
}

// hide puts a whiteout under a name.
func hide(c vfs.Context, up vfs.MutableDirectory, name string) error {
	w, err := up.Create(c, name, vfs.NewFile{Mode: linux.S_IFCHR})
	if err != nil {
		return err
	}
	w.Release()
	return nil
}

func setOpaque(c vfs.Context, dir vfs.Inode) error {
	x, ok := dir.(vfs.XattrInode)
	if !ok {
		return errno.EOPNOTSUPP
	}
	return x.SetXattr(c, xattrOpaque, []byte("y"), 0)
}

// Create makes a file in the upper directory. EPERM for what would be a
// whiteout.
func (d *dirNode) Create(c vfs.Context, name string, f vfs.NewFile) (vfs.Inode, error) {
	if f.Mode.Type() == linux.S_IFCHR && f.Rdev == 0 {
		return nil, errno.EPERM
	}
	up, err := d.writable(c)
	if err != nil {
		return nil, err
	}
	hidden, err := makeRoom(c, up, name)
	if err != nil {
		return nil, err
	}
	i, err := up.Create(c, name, f)
	if err == nil && hidden && f.Mode.IsDir() {
		// What the whiteout hid must not show up inside.
		if err = setOpaque(c, i); err != nil {
			removeUpper(c, up, name, i)
		}
	}
	if err != nil {
		if hidden {
			_ = hide(c, up, name)
		}
		return nil, err
	}
	if f.Mode.IsDir() {
		return newNode(d.fs, nil, "", &parts{upper: i}), nil
	}
	return d.fs.upperNode(i), nil
}

// Tmpfile makes a file without a name in the upper tree.
func (d *dirNode) Tmpfile(c vfs.Context, f vfs.NewFile) (vfs.Inode, error) {
	up, err := d.writable(c)
	if err != nil {
		return nil, err
	}
	t, ok := up.(vfs.TmpfileDirectory)
	if !ok {
		return nil, errno.EOPNOTSUPP
	}
	i, err := t.Tmpfile(c, f)
	if err != nil {
		return nil, err
	}
	return d.fs.upperNode(i), nil
}

// Link copies the target up and names it.
func (d *dirNode) Link(c vfs.Context, name string, target vfs.Inode) error {
	t, ok := target.(inodeNode)
	if !ok || t.base().fs != d.fs {
		return errno.EXDEV
	}
	file, err := t.base().copyUp(c, withData)
	if err != nil {
		return err
	}
	up, err := d.writable(c)
	if err != nil {
		return err
	}
	hidden, err := makeRoom(c, up, name)
	if err != nil {
		return err
	}
	if err := up.Link(c, name, file); err != nil {
		if hidden {
			_ = hide(c, up, name)
		}
		return err
	}
	return nil
}

// Unlink removes a name, or hides it if it comes from below.
func (d *dirNode) Unlink(c vfs.Context, name string, victim vfs.Inode) error {
	v, ok := victim.(inodeNode)
	if !ok {
		return errno.EXDEV
	}
	return d.remove(c, name, v.base(), func(up vfs.MutableDirectory, i vfs.Inode) error {
		return up.Unlink(c, name, i)
	})
}

// Rmdir is Unlink for a directory that shows no names.
func (d *dirNode) Rmdir(c vfs.Context, name string, victim vfs.Inode) error {
	v, ok := victim.(*dirNode)
	if !ok {
		return errno.ENOTDIR
	}
	if err := v.mustBeEmpty(c); err != nil {
		return err
	}
	return d.remove(c, name, &v.node, func(up vfs.MutableDirectory, i vfs.Inode) error {
		if err := dropWhiteouts(c, i); err != nil {
			return err
		}
		return up.Rmdir(c, name, i)
	})
}

func (d *dirNode) remove(c vfs.Context, name string, v *node, drop func(vfs.MutableDirectory, vfs.Inode) error) error {
	below, err := d.inLower(c, name)
	if err != nil {
		return err
	}
	up, err := d.writable(c)
	if err != nil {
		return err
	}
	// No copy of the victim may be placed under the name meanwhile.
	v.copyMu.Lock()
	defer v.copyMu.Unlock()
	if i := v.parts.Load().upper; i != nil {
		if err := drop(up, i); err != nil {
			return err
		}
	} else {
		v.gone = true
	}
	if below {
		return hide(c, up, name)
	}
	return nil
}

// mustBeEmpty: ENOTEMPTY if the merged directory shows a name.
func (d *dirNode) mustBeEmpty(c vfs.Context) error {
	names, err := d.merge(c, anyName)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return errno.ENOTEMPTY
	}
	return nil
}

// dropWhiteouts empties an upper directory in which only whiteouts are left.
func dropWhiteouts(c vfs.Context, dir vfs.Inode) error {
	up, ok := dir.(vfs.MutableDirectory)
	if !ok {
		return errno.EPERM
	}
	var names []string
	err := eachName(c, up, func(e vfs.Dirent) bool {
		names = append(names, e.Name)
		return true
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		w, err := up.Lookup(c, name)
		if err != nil {
			return err
		}
		err = up.Unlink(c, name, w)
		w.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// Rename moves a name in the upper tree. EXDEV for a directory that comes from
// below: its names would have to be copied first.
func (d *dirNode) Rename(c vfs.Context, name string, source vfs.Inode, newDir vfs.Directory, newName string, victim vfs.Inode, flags uint32) error {
	nd, ok := newDir.(*dirNode)
	if !ok || nd.fs != d.fs {
		return errno.EXDEV
	}
	r := renaming{c: c, from: d, name: name, to: nd, newName: newName, source: source.(inodeNode)}
	if victim != nil {
		r.victim = victim.(inodeNode)
	}
	if flags&linux.RENAME_EXCHANGE != 0 {
		return r.exchange()
	}
	return r.run(flags)
}

type renaming struct {
	c              vfs.Context
	from, to       *dirNode
	name, newName  string
	source, victim inodeNode // victim: nil if there is none
	up, newUp      vfs.MutableDirectory
	file           vfs.Inode // upper file of source
}

// prepare brings everything into the upper tree.
func (r *renaming) prepare() (err error) {
	if r.source.base().fromBelow() {
		return errno.EXDEV
	}
	if r.file, err = r.source.base().copyUp(r.c, withData); err != nil {
		return err
	}
	if r.up, err = r.from.writable(r.c); err != nil {
		return err
	}
	r.newUp, err = r.to.writable(r.c)
	return err
}

// fromBelow says whether it is a directory with a lower part.
func (n *node) fromBelow() bool {
	p := n.parts.Load()
	return len(p.lower) > 0 && p.real().Attr().Mode.IsDir()
}

func (r *renaming) run(flags uint32) error {
	if err := r.prepare(); err != nil {
		return err
	}
	below, err := r.from.inLower(r.c, r.name)
	if err != nil {
		return err
	}
	newBelow, err := r.to.inLower(r.c, r.newName)
	if err != nil {
		return err
	}
	if newBelow && r.file.Attr().Mode.IsDir() {
		if err := setOpaque(r.c, r.file); err != nil {
			return err
		}
	}
	old, err := r.clearTarget()
	if err != nil {
		return err
	}
	if err := r.up.Rename(r.c, r.name, r.file, r.newUp, r.newName, old, 0); err != nil {
		if newBelow && old == nil {
			_ = hide(r.c, r.newUp, r.newName)
		}
		return err
	}
	if below || flags&linux.RENAME_WHITEOUT != 0 {
		return hide(r.c, r.up, r.name)
	}
	return nil
}

// clearTarget gets the new name ready: the upper file that is replaced, if any,
// is the rename's own affair; a whiteout goes; a victim that is only lower is
// hidden by what comes in its place.
func (r *renaming) clearTarget() (old vfs.Inode, err error) {
	if r.victim == nil {
		_, err := makeRoom(r.c, r.newUp, r.newName)
		return nil, err
	}
	v := r.victim.base()
	if dir, ok := r.victim.(*dirNode); ok {
		if err := dir.mustBeEmpty(r.c); err != nil {
			return nil, err
		}
	}
	v.copyMu.Lock()
	defer v.copyMu.Unlock()
	up := v.parts.Load().upper
	if up == nil {
		v.gone = true
		return nil, nil
	}
	if up.Attr().Mode.IsDir() {
		return up, dropWhiteouts(r.c, up)
	}
	return up, nil
}

// exchange swaps two names, both of which end up in the upper tree.
func (r *renaming) exchange() error {
	if r.victim.base().fromBelow() {
		return errno.EXDEV
	}
	if err := r.prepare(); err != nil {
		return err
	}
	other, err := r.victim.base().copyUp(r.c, withData)
	if err != nil {
		return err
	}
	for _, i := range []vfs.Inode{r.file, other} {
		if i.Attr().Mode.IsDir() {
			if err := setOpaque(r.c, i); err != nil {
				return err
			}
		}
	}
	return r.up.Rename(r.c, r.name, r.file, r.newUp, r.newName, other, linux.RENAME_EXCHANGE)
}
