package vfs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// OpenHow is what open(2) and openat2(2) say besides the path.
type OpenHow struct {
	Flags   linux.OpenFlags
	Mode    linux.FileMode // permission bits of a file that is created
	Resolve uint64
}

// Open opens, or creates and opens, what n names. The umask of n applies to a
// new file. The caller gets a reference on the description.
func Open(c Context, n Name, how OpenHow) (*Description, error) {
	d, err := open(c, n, how)
	if err == errno.ESTALE {
		// What was cached is another file by now: look again, once, as Linux does.
		return open(c, n, how)
	}
	return d, err
}

func open(c Context, n Name, how OpenHow) (*Description, error) {
	f := how.Flags
	if f&linux.O_PATH != 0 {
		how.Flags = f & (linux.O_DIRECTORY | linux.O_NOFOLLOW | linux.O_CLOEXEC | linux.O_PATH)
		f = how.Flags
	}
	switch {
	case f&linux.O_TMPFILE == linux.O_TMPFILE:
		return openTmpfile(c, n, how)
	case f&linux.O_CREAT != 0:
		return openCreate(c, n, how)
	}
	follow := Follow
	if f&linux.O_NOFOLLOW != 0 {
		follow = NoFollow
	}
	p, err := Resolve(c, n, How{Follow: follow, Resolve: how.Resolve, opens: toOpen(f)})
	if err != nil {
		return nil, err
	}
	return openPath(c, p, f, notCreated)
}

// OpenPath opens a file that was found already: exec, /proc/PID/fd. It takes
// its own reference on p.
func OpenPath(c Context, p Path, flags linux.OpenFlags) (*Description, error) {
	p.IncRef()
	return openPath(c, p, flags, notCreated)
}

// created says whether open has just made the file: then its mode does not
// matter and there is nothing to truncate.
type created uint8

const (
	notCreated created = iota
	isCreated
)

// openPath makes a description of p, whose reference it takes over.
func openPath(c Context, p Path, flags linux.OpenFlags, cr created) (*Description, error) {
	d, err := tryOpen(c, p, flags, cr)
	if err != nil {
		p.DecRef()
		return nil, err
	}
	if flags&linux.O_PATH == 0 {
		p.Dentry.notify(linux.IN_OPEN)
	}
	return d, nil
}

func tryOpen(c Context, p Path, flags linux.OpenFlags, cr created) (*Description, error) {
	t := p.Dentry.fileType()
	if flags&linux.O_DIRECTORY != 0 && t != linux.S_IFDIR {
		return nil, errno.ENOTDIR
	}
	if flags&linux.O_PATH != 0 {
		return NewDescription(p, pathFile{}, flags, c.Creds()), nil
	}
	if t == linux.S_IFLNK {
		return nil, errno.ELOOP
	}
	if err := mayOpen(c, p, flags, cr); err != nil {
		return nil, err
	}
	switch t {
	case linux.S_IFREG:
		return openRegular(c, p, flags, cr)
	case linux.S_IFSOCK:
		return nil, errno.ENXIO
	case linux.S_IFCHR, linux.S_IFBLK, linux.S_IFIFO:
		return openSpecial(c, p, flags)
	}
	f, err := p.Inode().Open(c, p, flags)
	if err != nil {
		return nil, err
	}
	return NewDescription(p, f, flags, c.Creds()), nil
}

// openSpecial opens a FIFO or a device.
func openSpecial(c Context, p Path, flags linux.OpenFlags) (*Description, error) {
	if own, ok := p.Inode().(SpecialOpener); ok {
		f, err := own.OpenSpecial(c, flags)
		if err != nil {
			return nil, err
		}
		return NewDescription(p, f, flags, c.Creds()), nil
	}
	open, err := p.Mount.world.opener(p.Inode().Attr())
	if err != nil {
		return nil, err
	}
	f, err := open(c, p.Inode(), p, flags)
	if err != nil {
		return nil, err
	}
	return NewDescription(p, f, flags, c.Creds()), nil
}

// mayOpen checks rights for an open that is not O_PATH.
func mayOpen(c Context, p Path, flags linux.OpenFlags, cr created) error {
	t := p.Dentry.fileType()
	want := accessOf(flags)
	if t == linux.S_IFDIR && want&MayWrite != 0 {
		return errno.EISDIR
	}
	if (t == linux.S_IFCHR || t == linux.S_IFBLK) && p.Mount.Flags()&linux.MS_NODEV != 0 {
		if _, own := p.Inode().(SpecialOpener); !own {
			return errno.EACCES
		}
	}
	if cr == isCreated {
		return nil
	}
	if err := Check(c, p, want); err != nil {
		return err
	}
	if flags&linux.O_NOATIME != 0 && !isOwner(c.Creds(), p.Inode().Attr()) {
		return errno.EPERM
	}
	return nil
}

// accessOf are the rights that open flags ask for. The undocumented access mode
// 3 needs both.
func accessOf(flags linux.OpenFlags) Access {
	var want Access
	switch flags.AccessMode() {
	case linux.O_RDONLY:
		want = MayRead
	case linux.O_WRONLY:
		want = MayWrite
	default:
		want = MayRead | MayWrite
	}
	if flags&linux.O_TRUNC != 0 {
		want |= MayWrite
	}
	return want
}

func openRegular(c Context, p Path, flags linux.OpenFlags, cr created) (*Description, error) {
	inode := p.Inode()
	writes := flags.Writable()
	if writes {
		if err := inode.Node().BeginWrite(); err != nil {
			return nil, err
		}
	}
	f, err := openAndTruncate(c, p, flags, cr)
	if err != nil {
		if writes {
			inode.Node().EndWrite()
		}
		return nil, err
	}
	d := NewDescription(p, f, flags, c.Creds())
	d.counted = writes
	return d, nil
}

func openAndTruncate(c Context, p Path, flags linux.OpenFlags, cr created) (File, error) {
	inode := p.Inode()
	f, err := inode.Open(c, p, flags)
	if err != nil || flags&linux.O_TRUNC == 0 || cr == isCreated {
		return f, err
	}
	if err := inode.SetAttr(c, truncateAttr(c, p, 0, f)); err != nil {
		f.Release()
		return nil, err
	}
	p.Dentry.notify(linux.IN_MODIFY)
	return f, nil
}

// openCreate is open with O_CREAT.
func openCreate(c Context, n Name, how OpenHow) (*Description, error) {
	if how.Flags&linux.O_DIRECTORY != 0 {
		return nil, errno.EINVAL
	}
	w, err := newWalker(c, n, how.Resolve)
	if err != nil {
		return nil, err
	}
	defer func() { w.cur.DecRef() }()
	w.opens = toOpen(how.Flags)
	for {
		if err := w.walk(toParent, Follow); err != nil {
			return nil, err
		}
		if w.lastKind != lastNormal || w.slash {
			// A magic link that was followed ends the walk at its object.
			if w.lastKind == lastRoot && !w.cur.Dentry.isDir() {
				w.cur.IncRef()
				return openPath(c, w.cur, how.Flags, notCreated)
			}
			return nil, errno.EISDIR
		}
		child, cr, err := w.findOrCreate(n, how)
		if err != nil {
			return nil, err
		}
		if cr == notCreated {
			if how.Flags&linux.O_EXCL != 0 {
				child.decRef()
				return nil, errno.EEXIST
			}
			if child.isSymlink() {
				if how.Flags&linux.O_NOFOLLOW != 0 {
					child.decRef()
					return nil, errno.ELOOP
				}
				w.rest = ""
				if err := w.follow(child); err != nil {
					return nil, err
				}
				continue
			}
		}
		if err := w.step(child); err != nil {
			return nil, err
		}
		if cr == notCreated && w.cur.Dentry.isDir() {
			return nil, errno.EISDIR
		}
		w.cur.IncRef()
		return openPath(c, w.cur, how.Flags, cr)
	}
}

// findOrCreate looks up the last name, and creates a file if there is none.
func (w *walker) findOrCreate(n Name, how OpenHow) (*Dentry, created, error) {
	dir := w.cur.Dentry
	if !dir.isDir() {
		return nil, 0, errno.ENOTDIR
	}
	if child := dir.lookupCached(w.c, w.last); child != nil {
		if !child.negative() {
			return child, notCreated, nil
		}
		child.decRef()
	}
	if w.resolve&linux.RESOLVE_CACHED != 0 {
		return nil, 0, errno.EAGAIN
	}
	dir.dir.mu.Lock()
	defer dir.dir.mu.Unlock()
	child, err := w.lookupToOpen(dir)
	if err != nil {
		return nil, 0, err
	}
	if !child.negative() {
		return child, notCreated, nil
	}
	child.decRef()
	if w.cur.Mount.ReadOnly() {
		return nil, 0, errno.EROFS
	}
	child, err = createLocked(w.c, w.cur, w.last, linux.S_IFREG|how.Mode&linux.S_IALLUGO&^n.Umask, fileExtra{})
	if err == errno.EEXIST {
		// A revalidated directory: it came into being behind our back.
		if child, err = dir.lookup(w.c, w.last); err == nil && child.negative() {
			child.decRef()
			err = errno.ENOENT
		}
		return child, notCreated, err
	}
	return child, isCreated, err
}

// lookupToOpen is lookupLocked for the last name.
func (w *walker) lookupToOpen(dir *Dentry) (*Dentry, error) {
	if child := dir.lookupCached(w.c, w.last); child != nil {
		return child, nil
	}
	if dir.has(dWalker) {
		return dir.walkMany(w.c, []string{w.last}, w.opens.asFlags())
	}
	return dir.lookup(w.c, w.last)
}

func openTmpfile(c Context, n Name, how OpenHow) (*Description, error) {
	if how.Flags.AccessMode() == linux.O_RDONLY {
		return nil, errno.EINVAL
	}
	p, err := Resolve(c, n, How{Resolve: how.Resolve})
	if err != nil {
		return nil, err
	}
	defer p.DecRef()
	if !p.Dentry.isDir() {
		return nil, errno.ENOTDIR
	}
	if p.Mount.ReadOnly() {
		return nil, errno.EROFS
	}
	if err := permission(c, p.Dentry, MayWrite|MayExec); err != nil {
		return nil, err
	}
	dir, ok := p.Inode().(TmpfileDirectory)
	if !ok {
		return nil, errno.EOPNOTSUPP
	}
	mode := linux.S_IFREG | how.Mode&linux.S_IALLUGO&^n.Umask
	inode, err := dir.Tmpfile(c, newFile(c, p.Dentry, mode))
	if err != nil {
		return nil, err
	}
	// The parent only so that the dentry prints as Linux does: /dir/#7 (deleted).
	d := newDentry(p.Dentry.sb, p.Dentry, "#"+inodeName(c, inode), inode)
	d.set(dUnhashed)
	p.Mount.incRef()
	// O_TMPFILE contains O_DIRECTORY, which the new file is not.
	return openPath(c, Path{p.Mount, d}, how.Flags&^linux.O_TMPFILE, isCreated)
}

// pathFile is the File of an O_PATH description.
type pathFile struct{}

func (pathFile) Release() {}
