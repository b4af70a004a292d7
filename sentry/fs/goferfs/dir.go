package goferfs

import (
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// directory is a directory of an exclusive tree.
type directory struct {
	inode
	names lock.Guarded[lockorder.HostFile, nameCache]
}

// sharedDirectory is a directory whose names others change.
type sharedDirectory struct{ directory }

// directoryOf gives the directory behind a dentry's inode.
func (fs *FS) directoryOf(v vfs.Directory) *directory {
	switch d := v.(type) {
	case *directory:
		if d.fs == fs {
			return d
		}
	case *sharedDirectory:
		if d.fs == fs {
			return &d.directory
		}
	}
	return nil
}

// Lookup implements vfs.Directory.
func (d *directory) Lookup(_ vfs.Context, name string) (vfs.Inode, error) {
	if a, found := d.known(name); found != notListed {
		if found == absent {
			return nil, errno.ENOENT
		}
		return d.fs.adopt(proto.Step{Attr: a}, &d.inode, strings.Clone(name), "").self, nil
	}
	step, target, _, err := d.fs.lookup(&d.inode, name, proto.OpenNot)
	if err != nil {
		return nil, err
	}
	return d.fs.adopt(step, &d.inode, strings.Clone(name), target).self, nil
}

// WalkMany implements vfs.Walker.
func (d *directory) WalkMany(_ vfs.Context, names []string, opens linux.OpenFlags) ([]vfs.Inode, error) {
	switch a, found := d.known(names[0]); found {
	case absent:
		return nil, errno.ENOENT
	case present:
		// The next call, from there, asks for the rest at once.
		return []vfs.Inode{d.fs.adopt(proto.Step{Attr: a}, &d.inode, strings.Clone(names[0]), "").self}, nil
	}
	if len(names) > proto.MaxWalk {
		names = names[:proto.MaxWalk]
	}
	for _, name := range names {
		if !proto.CheckName(name) {
			return nil, errno.EINVAL
		}
	}
	access := accessFor(opens)
	w, fd, err := d.fs.walk(&d.inode, names, access)
	if err != nil {
		return nil, err
	}
	inodes := make([]vfs.Inode, 0, len(w.Steps))
	parent := &d.inode
	for n, step := range w.Steps {
		target := ""
		if n == len(w.Steps)-1 {
			target = w.Target
		}
		i := d.fs.adopt(step, parent, strings.Clone(names[n]), target)
		inodes = append(inodes, i.self)
		parent = i
	}
	if fd != nil {
		d.fs.keep(parent, fd, access)
	}
	return inodes, errnoOf(w.Errno)
}

// Revalidate implements vfs.Revalidator: is name still what it was?
func (d *sharedDirectory) Revalidate(_ vfs.Context, name string, child vfs.Inode) bool {
	if child != nil && d.fs.isPlaced(d.fs.baseOf(child), &d.inode, name) {
		return true
	}
	a, found := d.known(name)
	switch {
	case found == absent:
		return child == nil
	case found == present:
		return d.isStill(child, proto.Step{Attr: a}, name, "")
	}
	step, target, _, err := d.fs.lookup(&d.inode, name, proto.OpenNot)
	if err != nil {
		return child == nil && err == errno.ENOENT
	}
	return d.isStill(child, step, name, target)
}

func (d *sharedDirectory) isStill(child vfs.Inode, step proto.Step, name, target string) bool {
	now := d.fs.adopt(step, &d.inode, strings.Clone(name), target)
	defer now.Release()
	return child != nil && now.self == child
}

// Create implements vfs.MutableDirectory.
func (d *directory) Create(_ vfs.Context, name string, n vfs.NewFile) (vfs.Inode, error) {
	major, minor := linux.MajorMinor(uint64(n.Rdev))
	q := &proto.Make{
		Name: name, Mode: uint32(n.Mode.Perm()), UID: uint32(n.UID), GID: uint32(n.GID),
		Target: n.Target, RdevMajor: major, RdevMinor: minor,
	}
	switch n.Mode.Type() {
	case linux.S_IFREG:
		q.Access = proto.OpenReadWrite
		return d.createFile(q, d.fs.client.Create)
	case linux.S_IFDIR:
		return d.make(q, d.fs.client.Mkdir)
	case linux.S_IFLNK:
		return d.make(q, d.fs.client.Symlink)
	default:
		q.Mode = uint32(n.Mode)
		return d.make(q, d.fs.client.Mknod)
	}
}

// Tmpfile implements vfs.TmpfileDirectory.
func (d *directory) Tmpfile(_ vfs.Context, n vfs.NewFile) (vfs.Inode, error) {
	q := &proto.Make{Mode: uint32(n.Mode.Perm()), UID: uint32(n.UID), GID: uint32(n.GID), Access: proto.OpenReadWrite}
	return d.createFile(q, d.fs.client.TempFile)
}

// createFile makes a regular file; its descriptor is there for the Open that
// follows.
func (d *directory) createFile(q *proto.Make, ask func(*proto.Make) (int, *proto.Made, error)) (vfs.Inode, error) {
	fd := -1
	i, err := d.made(q, func() (*proto.Made, error) {
		f, m, err := ask(q)
		fd = f
		return m, err
	})
	if err != nil {
		return nil, err
	}
	d.fs.keep(i, host.NewFD(fd), q.Access)
	return i.self, nil
}

func (d *directory) make(q *proto.Make, ask func(*proto.Make) (*proto.Made, error)) (vfs.Inode, error) {
	i, err := d.made(q, func() (*proto.Made, error) { return ask(q) })
	if err != nil {
		return nil, err
	}
	return i.self, nil
}

// made asks for a new file and takes its inode into the tree.
func (d *directory) made(q *proto.Make, ask func() (*proto.Made, error)) (*inode, error) {
	id, err := d.pin()
	if err != nil {
		return nil, err
	}
	defer d.unpin()
	q.Dir = id
	d.change.Lock()
	defer d.change.Unlock()
	version := d.beginChange()
	m, err := ask()
	for tries := 1; err == errno.ENFILE && tries < attempts; tries++ {
		d.fs.makeRoom()
		m, err = ask()
	}
	if err != nil {
		return nil, err
	}
	d.endChange(version, m.Dir)
	var parent *inode
	if q.Name != "" {
		parent = &d.inode
		d.nameAdded(q.Name)
	}
	return d.fs.adopt(m.Step, parent, strings.Clone(q.Name), q.Target), nil
}

// Link implements vfs.MutableDirectory.
func (d *directory) Link(_ vfs.Context, name string, target vfs.Inode) error {
	t := d.fs.baseOf(target)
	if t == nil {
		return errno.EXDEV
	}
	node, err := t.pin()
	if err != nil {
		return err
	}
	defer t.unpin()
	dir, err := d.pin()
	if err != nil {
		return err
	}
	defer d.unpin()
	t.change.Lock()
	defer t.change.Unlock()
	version := t.beginChange()
	linked, err := d.fs.client.Link(&proto.Link{Node: node, Dir: dir, Name: name})
	if err != nil {
		return err
	}
	t.endChange(version, linked.File)
	d.touched()
	d.nameAdded(name)
	d.fs.gotName(t, &d.inode, name)
	return nil
}

// Unlink implements vfs.MutableDirectory.
func (d *directory) Unlink(_ vfs.Context, name string, victim vfs.Inode) error {
	return d.remove(name, victim, d.fs.client.Unlink)
}

// Rmdir implements vfs.MutableDirectory.
func (d *directory) Rmdir(_ vfs.Context, name string, victim vfs.Inode) error {
	return d.remove(name, victim, d.fs.client.Rmdir)
}

func (d *directory) remove(name string, victim vfs.Inode, ask func(*proto.Entry) (proto.Attr, error)) error {
	v := d.fs.baseOf(victim)
	if v == nil {
		return errno.EXDEV
	}
	unpin, err := v.prepareLoss()
	if err != nil {
		return err
	}
	defer unpin()
	id, err := d.pin()
	if err != nil {
		return err
	}
	defer d.unpin()
	d.change.Lock()
	defer d.change.Unlock()
	version := d.beginChange()
	after, err := ask(&proto.Entry{Dir: id, Name: name})
	if err != nil {
		return err
	}
	d.endChange(version, after)
	d.nameRemoved(name)
	d.fs.lostName(v, &d.inode, name)
	return nil
}

// prepareLoss binds an inode whose name is about to go and that can be needed
// afterwards: it could not be found any more.
func (i *inode) prepareLoss() (unpin func(), err error) {
	a := i.cachedAttr()
	if i.fs.caching == Exclusive && a.Nlink <= 1 && !i.inUse() {
		return func() {}, nil
	}
	switch _, err := i.pin(); err {
	case nil:
		return i.unpin, nil
	case errno.ESTALE:
		return func() {}, nil // gone already, behind our back
	default:
		return nil, err
	}
}

// Rename implements vfs.MutableDirectory.
func (d *directory) Rename(_ vfs.Context, name string, source vfs.Inode, newDir vfs.Directory, newName string, victim vfs.Inode, flags uint32) error {
	fs := d.fs
	to, s := fs.directoryOf(newDir), fs.baseOf(source)
	if to == nil || s == nil {
		return errno.EXDEV
	}
	var v *inode
	if victim != nil {
		if v = fs.baseOf(victim); v == nil {
			return errno.EXDEV
		}
		unpin, err := v.prepareLoss()
		if err != nil {
			return err
		}
		defer unpin()
	}
	from, err := d.pin()
	if err != nil {
		return err
	}
	defer d.unpin()
	into, err := to.pin()
	if err != nil {
		return err
	}
	defer to.unpin()
	err = fs.client.Rename(&proto.Rename{OldDir: from, OldName: name, NewDir: into, NewName: newName, Flags: flags})
	if err != nil {
		return err
	}
	d.touched()
	to.touched()
	d.nameRemoved(name)
	to.nameAdded(newName)
	if flags&(linux.RENAME_EXCHANGE|linux.RENAME_WHITEOUT) != 0 {
		d.nameAdded(name)
	}
	switch {
	case v == nil:
	case flags&linux.RENAME_EXCHANGE != 0:
		fs.moved(v, &to.inode, newName, &d.inode, name)
	default:
		fs.lostName(v, &to.inode, newName)
	}
	fs.moved(s, &d.inode, name, &to.inode, newName)
	return nil
}

// Open implements vfs.Inode.
func (d *directory) Open(vfs.Context, vfs.Path, linux.OpenFlags) (vfs.File, error) {
	return &dirFile{dir: d}, nil
}

// dirFile is an open directory. It lists what was there when the reading
// started, so that positions stay what they are.
type dirFile struct {
	dir  *directory
	list lock.Guarded[lockorder.HostFile, []dirent]
}

// firstEntry is the position behind "." and "..".
const firstEntry = 2

// ReadDir implements vfs.DirReader.
func (f *dirFile) ReadDir(_ vfs.Context, pos int64, emit func(vfs.Dirent) bool) error {
	list := *f.list.Lock()
	f.list.Unlock()
	if pos <= firstEntry || list == nil {
		var err error
		if list, err = f.dir.list(); err != nil {
			return err
		}
		*f.list.Lock() = list
		f.list.Unlock()
	}
	for n := max(pos-firstEntry, 0); n < int64(len(list)); n++ {
		e := &list[n]
		if !emit(vfs.Dirent{Name: e.name, Ino: e.ino, Type: e.kind, Next: n + firstEntry + 1}) {
			break
		}
	}
	return nil
}

// Fsync implements vfs.Syncer.
func (f *dirFile) Fsync(vfs.Context) error {
	id, err := f.dir.pin()
	if err != nil {
		return err
	}
	defer f.dir.unpin()
	return f.dir.fs.client.Sync(&proto.Sync{Node: id})
}

// Release implements vfs.File.
func (f *dirFile) Release() {}
