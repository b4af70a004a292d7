package vfs

import (
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// How says how a path is resolved.
type How struct {
	Follow  FollowLinks
	Resolve uint64 // RESOLVE_* of openat2

	opens openIntent
}

// FollowLinks says whether a symbolic link at the end of a path is followed.
// Those before the end always are.
type FollowLinks uint8

// The two.
const (
	Follow FollowLinks = iota
	NoFollow
)

// Resolve finds what n names; the caller gets a reference on it.
//
// Errors: ENOENT, ENOTDIR, EACCES, ELOOP (too many links, or a forbidden one),
// ENAMETOOLONG, EXDEV (RESOLVE_BENEATH, RESOLVE_NO_XDEV), and what the file
// system says.
func Resolve(c Context, n Name, how How) (Path, error) {
	w, err := newWalker(c, n, how.Resolve)
	if err != nil {
		return Path{}, err
	}
	w.opens = how.opens
	if err := w.walk(toEnd, how.Follow); err != nil {
		w.cur.DecRef()
		return Path{}, err
	}
	return w.cur, nil
}

// ResolveDir is Resolve for a path that must be a directory which the caller
// may search: chdir, chroot.
func ResolveDir(c Context, n Name) (Path, error) {
	p, err := Resolve(c, n, How{})
	if err != nil {
		return p, err
	}
	err = errno.ENOTDIR
	if p.Dentry.isDir() {
		err = permission(c, p.Dentry, MayExec)
		if err == nil {
			return p, nil
		}
	}
	p.DecRef()
	return Path{}, err
}

// openIntent is what a path is resolved for, for a Walker: the flags of the open
// that follows, if any does.
type openIntent struct {
	follows bool
	flags   linux.OpenFlags
}

// toOpen is the intent of an open.
func toOpen(f linux.OpenFlags) openIntent {
	return openIntent{f&(linux.O_PATH|linux.O_DIRECTORY) == 0, f}
}

func (o openIntent) asFlags() linux.OpenFlags {
	if o.follows {
		return o.flags
	}
	return linux.O_PATH
}

// walker resolves one path. It holds a reference on cur; root and start are
// borrowed from the Name.
type walker struct {
	c       Context
	cur     Path
	root    Path
	start   *Mount
	rest    string
	links   int
	resolve uint64
	opens   openIntent

	// What stopAtLast found: the last component, not yet looked up.
	last     string
	lastKind lastKind
	slash    bool // slashes stood behind it
}

type lastKind uint8

const (
	lastNormal lastKind = iota
	lastDot
	lastDotDot
	lastRoot // the path was "/" or only slashes
)

// extent is how far a walk goes.
type extent uint8

const (
	toEnd extent = iota
	toParent
)

func newWalker(c Context, n Name, resolve uint64) (*walker, error) {
	w := &walker{c: c, root: n.Root, rest: n.Text, resolve: resolve, start: n.Dir.Mount}
	if n.Text == "" {
		if n.Empty == EmptyIsError {
			return nil, errno.ENOENT
		}
		w.cur = n.Dir
		w.cur.IncRef()
		return w, nil
	}
	if resolve&(linux.RESOLVE_BENEATH|linux.RESOLVE_IN_ROOT) != 0 {
		w.root = n.Dir
	}
	w.cur = n.Dir
	if n.Text[0] == '/' {
		if resolve&linux.RESOLVE_BENEATH != 0 {
			return nil, errno.EXDEV
		}
		if resolve&linux.RESOLVE_NO_XDEV != 0 && w.root.Mount != w.start {
			return nil, errno.EXDEV
		}
		w.cur = w.root
	} else if !n.Dir.Dentry.isDir() {
		return nil, errno.ENOTDIR
	}
	w.cur.IncRef()
	return w, nil
}

// walk goes through the rest of the path.
func (w *walker) walk(to extent, follow FollowLinks) error {
	if to == toParent {
		w.last, w.lastKind, w.slash = "", lastRoot, false
	}
	for {
		w.rest = strings.TrimLeft(w.rest, "/")
		if w.rest == "" {
			return nil
		}
		name, rest, more := strings.Cut(w.rest, "/")
		rest = strings.TrimLeft(rest, "/")
		isLast := rest == ""
		if !w.cur.Dentry.isDir() {
			return errno.ENOTDIR
		}
		if err := permission(w.c, w.cur.Dentry, MayExec); err != nil {
			return err
		}
		if isLast && to == toParent {
			w.last, w.slash, w.rest = name, more, ""
			w.lastKind = kindOf(name)
			return checkName(name)
		}
		if err := w.enter(name, rest, more, isLast, follow); err != nil {
			return err
		}
	}
}

func kindOf(name string) lastKind {
	switch name {
	case ".":
		return lastDot
	case "..":
		return lastDotDot
	}
	return lastNormal
}

// enter goes one component further. more says that slashes stand behind it.
func (w *walker) enter(name, rest string, more, isLast bool, follow FollowLinks) error {
	switch name {
	case ".":
		w.rest = rest
		return nil
	case "..":
		w.rest = rest
		return w.up()
	}
	if err := checkName(name); err != nil {
		return err
	}
	child, err := w.child(w.cur.Dentry, name)
	if err != nil {
		return err
	}
	if child.negative() {
		child.decRef()
		return errno.ENOENT
	}
	w.rest = rest
	if child.isSymlink() && (!isLast || more || follow == Follow) {
		if more && isLast {
			w.rest = "." // what the link leads to must be a directory
		}
		return w.follow(child)
	}
	if err := w.step(child); err != nil {
		return err
	}
	if isLast && more && !w.cur.Dentry.isDir() {
		return errno.ENOTDIR
	}
	return nil
}

// step makes child, whose reference it takes over, the current place, or what
// is mounted on it.
func (w *walker) step(child *Dentry) error {
	if child.has(dMounted) {
		if p := w.cur.Mount.world.mountedOn(Path{w.cur.Mount, child}); !p.IsZero() {
			child.decRef()
			if w.resolve&linux.RESOLVE_NO_XDEV != 0 {
				p.DecRef()
				return errno.EXDEV
			}
			w.cur.DecRef()
			w.cur = p
			return nil
		}
	}
	old := w.cur.Dentry
	w.cur.Dentry = child
	old.decRef()
	return nil
}

// mountedOn is the root of what is mounted on p, with a reference, or nothing.
func (w *World) mountedOn(p Path) Path {
	w.mountMu.RLock()
	defer w.mountMu.RUnlock()
	return w.mountedOnLocked(p)
}

func (w *World) mountedOnLocked(p Path) Path {
	var found Path
	for m := w.mounted[mountKey{p.Mount, p.Dentry}]; m != nil; m = w.mounted[mountKey{m, m.root}] {
		found = Path{m, m.root}
	}
	found.IncRef()
	return found
}

// up goes to the parent directory, not above the root.
func (w *walker) up() error {
	world := w.cur.Mount.world
	for {
		if w.cur == w.root {
			if w.resolve&linux.RESOLVE_BENEATH != 0 {
				return errno.EXDEV
			}
			return nil
		}
		if w.cur.Dentry != w.cur.Mount.root {
			break
		}
		world.mountMu.RLock()
		p := Path{w.cur.Mount.parent, w.cur.Mount.point}
		if p.Mount == nil {
			world.mountMu.RUnlock()
			return nil
		}
		p.IncRef()
		world.mountMu.RUnlock()
		if w.resolve&linux.RESOLVE_NO_XDEV != 0 {
			p.DecRef()
			return errno.EXDEV
		}
		w.cur.DecRef()
		w.cur = p
	}
	world.renameMu.RLock()
	parent := w.cur.Dentry.parent
	// A directory that was moved out from under the root of a bind mount
	// leads nowhere upwards.
	if parent == nil || !parent.isBelow(w.cur.Mount.root) {
		world.renameMu.RUnlock()
		return errno.ENOENT
	}
	parent.incRef()
	world.renameMu.RUnlock()
	return w.step(parent)
}

// isBelow says whether d is top or below it. The caller holds renameMu.
func (d *Dentry) isBelow(top *Dentry) bool {
	if top.parent == nil && top.sb == d.sb {
		return true
	}
	for ; d != nil; d = d.parent {
		if d == top {
			return true
		}
	}
	return false
}

// follow continues the walk at a link, whose reference it takes over.
func (w *walker) follow(link *Dentry) error {
	defer link.decRef()
	if w.links++; w.links > linux.SYMLINK_MAX {
		return errno.ELOOP
	}
	if w.resolve&linux.RESOLVE_NO_SYMLINKS != 0 || w.cur.Mount.Flags()&linux.MS_NOSYMFOLLOW != 0 {
		return errno.ELOOP
	}
	if link.has(dMagic) {
		return w.jump(link)
	}
	s, ok := link.inode.(Symlink)
	if !ok {
		return errno.EINVAL
	}
	target, err := s.Readlink(w.c)
	if err != nil {
		return err
	}
	if target == "" {
		return errno.ENOENT
	}
	if target[0] == '/' {
		if w.resolve&linux.RESOLVE_BENEATH != 0 {
			return errno.EXDEV
		}
		if w.resolve&linux.RESOLVE_NO_XDEV != 0 && w.root.Mount != w.start {
			return errno.EXDEV
		}
		w.root.IncRef()
		w.cur.DecRef()
		w.cur = w.root
	}
	if w.rest == "" {
		w.rest = target
	} else {
		w.rest = target + "/" + w.rest
	}
	return nil
}

// jump goes where a magic link leads.
func (w *walker) jump(link *Dentry) error {
	if w.resolve&linux.RESOLVE_NO_MAGICLINKS != 0 {
		return errno.ELOOP
	}
	p, err := link.inode.(MagicLink).Follow(w.c)
	if err != nil {
		return err
	}
	if w.resolve&(linux.RESOLVE_BENEATH|linux.RESOLVE_IN_ROOT) != 0 ||
		w.resolve&linux.RESOLVE_NO_XDEV != 0 && p.Mount != w.start {
		p.DecRef()
		return errno.EXDEV
	}
	w.cur.DecRef()
	w.cur = p
	return nil
}

// child returns the dentry of a name, negative if there is no such file, with
// a reference.
func (w *walker) child(dir *Dentry, name string) (*Dentry, error) {
	if d := dir.lookupCached(w.c, name); d != nil {
		return d, nil
	}
	if w.resolve&linux.RESOLVE_CACHED != 0 {
		return nil, errno.EAGAIN
	}
	dir.dir.mu.Lock()
	defer dir.dir.mu.Unlock()
	// Somebody else may have looked it up while we waited.
	if d := dir.lookupCached(w.c, name); d != nil {
		return d, nil
	}
	if dir.has(dWalker) {
		names := plainNames(w.rest)
		if len(names) > 1 || len(names) == 1 && w.opens.follows {
			return dir.walkMany(w.c, names, w.opens.asFlags())
		}
	}
	return dir.lookup(w.c, name)
}

// lookupCached returns the cached child if there is one that is still valid.
func (d *Dentry) lookupCached(c Context, name string) *Dentry {
	child := d.cached(name)
	if child == nil || !d.has(dRevalidate) {
		return child
	}
	// What is mounted upon must not vanish from under the mount.
	if child.has(dMounted) || d.inode.(Revalidator).Revalidate(c, name, child.inode) {
		return child
	}
	child.unhash()
	child.decRef()
	return nil
}

// lookup asks the file system. The caller holds the directory lock.
func (d *Dentry) lookup(c Context, name string) (*Dentry, error) {
	if d.has(dDeadDir) {
		return nil, errno.ENOENT
	}
	dir, ok := d.inode.(Directory)
	if !ok {
		return nil, errno.ENOENT
	}
	inode, err := dir.Lookup(c, name)
	if err != nil && err != errno.ENOENT {
		return nil, err
	}
	if err != nil {
		inode = nil
	}
	child := newDentry(d.sb, d, name, inode)
	d.addChild(child)
	return child, nil
}

// lookupLocked is lookupCached or lookup. The caller holds the directory lock.
func (d *Dentry) lookupLocked(c Context, name string) (*Dentry, error) {
	if child := d.lookupCached(c, name); child != nil {
		return child, nil
	}
	return d.lookup(c, name)
}

// maxWalk bounds the names of one WalkMany.
const maxWalk = 32

// plainNames are the first components of rest as far as they are names.
func plainNames(rest string) []string {
	var names []string
	for rest != "" && len(names) < maxWalk {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if name == "" {
			continue
		}
		if name == "." || name == ".." || len(name) > linux.NAME_MAX {
			break
		}
		names = append(names, name)
	}
	return names
}

// walkMany asks the file system for several names at once and caches all it
// learns; it returns the first. Nothing below the first can be cached yet, so
// the lock of d is enough. Permissions do not matter: the walk checks them when
// it comes by.
func (d *Dentry) walkMany(c Context, names []string, opens linux.OpenFlags) (*Dentry, error) {
	if d.has(dDeadDir) {
		return nil, errno.ENOENT
	}
	inodes, err := d.inode.(Walker).WalkMany(c, names, opens)
	if len(inodes) == 0 && err != errno.ENOENT {
		if err == nil {
			return d.lookup(c, names[0])
		}
		return nil, err
	}
	chain := make([]*Dentry, 0, len(inodes)+1)
	at := d
	for i, inode := range inodes {
		child := newDentry(d.sb, at, names[i], inode)
		at.addChild(child)
		chain = append(chain, child)
		at = child
	}
	if n := len(inodes); err == errno.ENOENT && n < len(names) && at.isDir() {
		child := newDentry(d.sb, at, names[n], nil)
		at.addChild(child)
		chain = append(chain, child)
	}
	for i := len(chain) - 1; i > 0; i-- {
		chain[i].decRef()
	}
	return chain[0], nil
}
