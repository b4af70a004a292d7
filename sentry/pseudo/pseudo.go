// Package pseudo makes file systems whose files the Sentry makes up: procfs,
// sysfs, the view of cgroups.
//
// An FS is an instance. Its tree is described, not built: a directory is a list
// of Entries, each a name and a function that makes the inode when somebody
// looks it up, and optionally a Dynamic, for names that come and go (processes,
// descriptors). A file is a Text: Show makes its whole content when it is read
// from the start, Store takes what is written. Links are Link and Magic.
//
// An inode number follows from the path, so that it stays the same when the
// dentry cache forgets an inode and makes it again. The files have no state but
// what their functions look at, and the package takes no lock except a text
// file's own while it is read; Show and Store may block.
package pseudo

import (
	"hash/maphash"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// FS is one instance of a made-up file system.
type FS struct {
	typ     string
	magic   int64
	options string
	dev     linux.Dev
	fixed   bool
	root    vfs.Inode
}

// New makes an instance. root makes its root directory.
func New(w *vfs.World, typ string, magic int64, root func(Place) vfs.Inode) *FS {
	fs := &FS{typ: typ, magic: magic, dev: w.NewAnonDev()}
	fs.root = root(Place{fs, 1})
	return fs
}

// SetOptions sets what /proc/mounts shows; it is called before the mount.
func (fs *FS) SetOptions(o string) { fs.options = o }

// FixNames makes an attempt to create a file fail with ENOENT, as in procfs,
// where it would otherwise be EPERM.
func (fs *FS) FixNames() { fs.fixed = true }

// Type is the name in /proc/mounts.
func (fs *FS) Type() string { return fs.typ }

// Root returns the root directory.
func (fs *FS) Root() vfs.Inode { return fs.root }

// Options are the mount's.
func (fs *FS) Options() string { return fs.options }

// Sync has nothing to do.
func (fs *FS) Sync(vfs.Context) error { return nil }

// Release has nothing to do.
func (fs *FS) Release() {}

// Statfs says that there is no space and that none is needed.
func (fs *FS) Statfs(vfs.Context) (linux.Statfs, error) {
	return linux.Statfs{Type: fs.magic, Bsize: linux.PageSize, Frsize: linux.PageSize, Namelen: linux.NAME_MAX}, nil
}

// Place is where an inode is made: the instance and its number.
type Place struct {
	fs  *FS
	ino uint64
}

var seed = maphash.MakeSeed()

// Child is the place of a name in a directory at p.
func (p Place) Child(name string) Place {
	type key struct {
		dir  uint64
		name string
	}
	// Programs that keep inode numbers in 32 bits are better served by one
	// that fits; the small ones are left to roots.
	return Place{p.fs, maphash.Comparable(seed, key{p.ino, name})&0x7fffffff | 0x80000000}
}

// Ino is the inode's number.
func (p Place) Ino() uint64 { return p.ino }

// WithIno is the place with a number that means something, as a namespace's.
func (p Place) WithIno(ino uint64) Place { return Place{p.fs, ino} }

// Meta is what a file is besides its content.
type Meta struct {
	Perm linux.FileMode
	// Owner says whose it is now; without it, root's.
	Owner func() (cred.KUID, cred.KGID)
	// Guard is asked before the file is opened, read, written, listed or
	// followed, beyond what the permission bits say; nil allows.
	Guard func(c vfs.Context) error
	// Rights says whether root may open the file against its bits.
	Rights Rights
}

// Rights says what permission bits mean to the privileged. A text file that is
// Strict and has no Store cannot be opened for writing.
type Rights uint8

// Lenient is the rule of procfs, Strict that of sysfs and of /proc/sys.
const (
	Lenient Rights = iota
	Strict
)

func (m Meta) guard(c vfs.Context) error {
	if m.Guard == nil {
		return nil
	}
	return m.Guard(c)
}

// inode is what all inodes here have in common.
type inode struct {
	node vfs.Node
	at   Place
	kind linux.FileMode
	meta Meta
	when linux.Timespec
}

func newInode(at Place, kind linux.FileMode, m Meta) inode {
	return inode{at: at, kind: kind, meta: m, when: vfs.Now()}
}

// Node implements vfs.Inode.
func (i *inode) Node() *vfs.Node { return &i.node }

// Attr implements vfs.Inode.
func (i *inode) Attr() vfs.Attr {
	a := vfs.Attr{Mode: i.kind | i.meta.Perm}
	if i.meta.Owner != nil {
		a.UID, a.GID = i.meta.Owner()
	}
	return a
}

// Stat implements vfs.Inode.
func (i *inode) Stat(vfs.Context, uint32) (linux.Statx, error) {
	a := i.Attr()
	when := vfs.StatxTime(i.when)
	s := linux.Statx{
		Mask: linux.STATX_BASIC_STATS, Blksize: 1024, Nlink: 1, UID: uint32(a.UID), GID: uint32(a.GID),
		Mode: uint16(a.Mode), Ino: i.at.ino, ATime: when, MTime: when, CTime: when,
	}
	s.DevMajor, s.DevMinor = linux.MajorMinor(uint64(i.at.fs.dev))
	return s, nil
}

// SetAttr accepts what a shell does when it writes (truncation, times) and
// refuses the rest.
func (i *inode) SetAttr(_ vfs.Context, a vfs.SetAttr) error {
	if a.Mask&(vfs.SetMode|vfs.SetUID|vfs.SetGID) != 0 {
		return errno.EPERM
	}
	return nil
}

// Open fails: the kinds that can be opened have their own.
func (i *inode) Open(vfs.Context, vfs.Path, linux.OpenFlags) (vfs.File, error) {
	return nil, errno.ELOOP
}

// Release does nothing: inodes are garbage when the cache drops them.
func (i *inode) Release() {}

// link is a symbolic link.
type link struct {
	inode
	read func(c vfs.Context) (string, error)
}

// Link makes a symbolic link.
func (p Place) Link(m Meta, read func(c vfs.Context) (string, error)) vfs.Inode {
	if m.Perm == 0 {
		m.Perm = 0o777
	}
	return &link{newInode(p, linux.S_IFLNK, m), read}
}

// Target is a link's read function for a fixed target.
func Target(s string) func(vfs.Context) (string, error) {
	return func(vfs.Context) (string, error) { return s, nil }
}

// Readlink implements vfs.Symlink.
func (l *link) Readlink(c vfs.Context) (string, error) {
	if err := l.meta.guard(c); err != nil {
		return "", err
	}
	return l.read(c)
}

// magic is a link to an object.
type magic struct {
	link
	follow func(c vfs.Context) (vfs.Path, error)
}

// Magic makes a link that leads to an object: follow returns its path with a
// reference, read only names it.
func (p Place) Magic(m Meta, read func(vfs.Context) (string, error), follow func(vfs.Context) (vfs.Path, error)) vfs.Inode {
	if m.Perm == 0 {
		m.Perm = 0o777
	}
	return &magic{link{newInode(p, linux.S_IFLNK, m), read}, follow}
}

// Follow implements vfs.MagicLink.
func (l *magic) Follow(c vfs.Context) (vfs.Path, error) {
	if err := l.meta.guard(c); err != nil {
		return vfs.Path{}, err
	}
	return l.follow(c)
}
