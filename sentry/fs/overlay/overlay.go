// Package overlay shows several trees as one: lower ones, which never change,
// and above them an upper one, which takes all changes. It is the root file
// system of `runsc do`: the host's root below, memory above.
//
// FS is one instance. A node is one file of it; what it is made of (parts) is
// the upper file, or lower ones: one for a file, any number for a directory,
// whose names are merged. A lower file that is about to change is copied up,
// data and attributes, and from then on the upper file counts, also for those
// who have it open for reading; only mappings keep showing the old bytes. As in
// Linux's overlayfs a removed lower name is marked in the upper tree by a
// whiteout (a character device 0:0), a directory that hides what is below by
// the attribute trusted.overlay.opaque, a directory that comes from below
// cannot be renamed (EXDEV, on which mv(1) copies), and copying one name of a
// lower file up parts it from its other names. Inode numbers survive.
//
// Lower file systems should not change while they are in use here. One that may
// says so by being a vfs.Revalidator: then a name that has not been copied up is
// asked for again, and who has the old file open keeps it.
//
// Locks: copyMu of a node is held over its copying; a child's comes before its
// parent's. Names are under the directory locks of package vfs.
//
// Cost: a cached path never gets here. A cold one is handed to the lower file
// system in one piece as soon as it leaves the upper tree. A node takes about
// 200 bytes beside the inodes that it stands for.
package overlay

import (
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// FS is one instance.
type FS struct {
	world  *vfs.World
	upper  vfs.FileSystem
	lowers []vfs.FileSystem // topmost first
	dev    linux.Dev
	// rootDevs are the devices of the lower roots: files there are shown on
	// the overlay's own device, so that the tree looks like one.
	rootDevs []linux.Dev
	root     *dirNode
	asks     bool // a lower file system is a vfs.Revalidator

	mu sync.Mutex
	// byUpper finds the node of an upper file other than a directory, so
	// that all names of a hard link are one node.
	byUpper map[vfs.Inode]inodeNode
}

var _ vfs.FileSystem = (*FS)(nil)

// New shows upper above lowers, topmost first. It takes over their ownership.
//
// Errors: EINVAL if a root is not a directory or upper cannot be changed.
func New(w *vfs.World, upper vfs.FileSystem, lowers ...vfs.FileSystem) (*FS, error) {
	fs := &FS{world: w, upper: upper, lowers: lowers, dev: w.NewAnonDev(), byUpper: map[vfs.Inode]inodeNode{}}
	p := parts{}
	for _, l := range lowers {
		root := l.Root()
		dir, ok := root.(vfs.Directory)
		if !ok {
			root.Release()
			p.release()
			return nil, errno.EINVAL
		}
		p.lower = append(p.lower, dir)
		_, asks := root.(vfs.Revalidator)
		fs.asks = fs.asks || asks
		s, err := root.Stat(nil, linux.STATX_INO)
		if err != nil {
			p.release()
			return nil, err
		}
		fs.rootDevs = append(fs.rootDevs, linux.NewDev(s.DevMajor, s.DevMinor))
	}
	if len(p.lower) == 0 {
		return nil, errno.EINVAL
	}
	up := upper.Root()
	p.upper = up
	if _, ok := up.(vfs.MutableDirectory); !ok {
		p.release()
		return nil, errno.EINVAL
	}
	if err := copyAttrs(nil, p.lower[0], up); err != nil {
		p.release()
		return nil, err
	}
	fs.root = &dirNode{}
	fs.root.init(fs, nil, "", linux.S_IFDIR, &p)
	return fs, nil
}

// Type is "overlay".
func (fs *FS) Type() string { return "overlay" }

// Root returns the root directory.
func (fs *FS) Root() vfs.Inode {
	fs.root.incRef()
	return fs.root
}

// Options are none: the layers have no paths that the sandbox could see.
func (fs *FS) Options() string { return "" }

// Statfs tells of the upper file system, where all that is written goes.
func (fs *FS) Statfs(c vfs.Context) (linux.Statfs, error) {
	s, err := fs.upper.Statfs(c)
	s.Type = linux.OVERLAYFS_SUPER_MAGIC
	return s, err
}

// Sync writes the upper file system back.
func (fs *FS) Sync(c vfs.Context) error { return fs.upper.Sync(c) }

// Release ends the layers.
func (fs *FS) Release() {
	fs.root.Release()
	fs.upper.Release()
	for _, l := range fs.lowers {
		l.Release()
	}
}

// Names of attributes of ours in the upper tree, which nobody else sees.
const (
	xattrPrefix = "trusted.overlay."
	xattrOpaque = xattrPrefix + "opaque"
	xattrOrigin = xattrPrefix + "origin" // device and inode number of the lower file
)
