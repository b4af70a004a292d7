package overlay

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// parts is what a node is made of, each with a reference. It never changes: a
// node that is copied up gets another one.
type parts struct {
	upper vfs.Inode   // nil: not copied up
	lower []vfs.Inode // topmost first; one at most unless a directory
}

// real is the inode that counts.
func (p *parts) real() vfs.Inode {
	if p.upper != nil {
		return p.upper
	}
	return p.lower[0]
}

func (p *parts) release() {
	if p.upper != nil {
		p.upper.Release()
	}
	for _, l := range p.lower {
		l.Release()
	}
}

// node is what all files here have.
type node struct {
	fs    *FS
	vnode vfs.Node
	refs  atomic.Int64
	parts atomic.Pointer[parts]
	self  inodeNode

	// Where a lower file is named: it stays there until it is copied up, and
	// then it no longer matters.
	parent *dirNode
	name   string

	copyMu sync.Mutex
	// gone says that a file that is only lower has lost its name. Guarded by
	// copyMu.
	gone bool

	// Number and device of the lower file that it was at first, or 0.
	ino uint64
	dev linux.Dev
}

// inodeNode is any of the kinds.
type inodeNode interface {
	vfs.Inode
	base() *node
}

// fileNode is a regular or special file.
type fileNode struct{ node }

// linkNode is a symbolic link.
type linkNode struct{ node }

var (
	_ vfs.Inode            = (*fileNode)(nil)
	_ vfs.XattrInode       = (*fileNode)(nil)
	_ vfs.Symlink          = (*linkNode)(nil)
	_ vfs.MutableDirectory = (*dirNode)(nil)
	_ vfs.TmpfileDirectory = (*dirNode)(nil)
	_ vfs.Walker           = (*dirNode)(nil)
	_ vfs.Revalidator      = (*dirNode)(nil)
	_ vfs.XattrInode       = (*dirNode)(nil)
)

func newNode(fs *FS, parent *dirNode, name string, p *parts) inodeNode {
	t := p.real().Attr().Mode.Type()
	var n inodeNode
	switch t {
	case linux.S_IFDIR:
		n = &dirNode{}
	case linux.S_IFLNK:
		n = &linkNode{}
	default:
		n = &fileNode{}
	}
	n.base().self = n
	n.base().init(fs, parent, name, t, p)
	return n
}

// init makes the node with one reference. It takes over p and takes a reference
// on parent if that may be needed to copy up.
func (n *node) init(fs *FS, parent *dirNode, name string, _ linux.FileMode, p *parts) {
	n.fs = fs
	n.refs.Store(1)
	n.parts.Store(p)
	if p.upper == nil && parent != nil {
		parent.incRef()
		n.parent, n.name = parent, name
	}
	if p.upper != nil {
		n.ino, n.dev = originOf(p.upper)
	}
	if n.ino != 0 || len(p.lower) == 0 {
		return
	}
	if s, err := p.lower[0].Stat(nil, linux.STATX_INO); err == nil {
		n.ino, n.dev = s.Ino, linux.NewDev(s.DevMajor, s.DevMinor)
	}
}

func (n *node) base() *node { return n }

// Node is the state of package vfs.
func (n *node) Node() *vfs.Node { return &n.vnode }

func (n *node) incRef() { n.refs.Add(1) }

// Release gives a reference back.
func (n *node) Release() {
	for {
		v := n.refs.Load()
		if v == 1 {
			break
		}
		if n.refs.CompareAndSwap(v, v-1) {
			return
		}
	}
	// Under the lock, so that nobody finds it in the table meanwhile.
	n.fs.mu.Lock()
	last := n.refs.Add(-1) == 0
	p := n.parts.Load()
	if last && p.upper != nil && n.fs.byUpper[p.upper] == n.self {
		delete(n.fs.byUpper, p.upper)
	}
	n.fs.mu.Unlock()
	if !last {
		return
	}
	p.release()
	if n.parent != nil {
		n.parent.Release()
	}
}

// Attr returns type, mode and owner of the real file.
func (n *node) Attr() vfs.Attr { return n.parts.Load().real().Attr() }

// Stat is the real file's, on our device and with the number it has had.
func (n *node) Stat(c vfs.Context, mask uint32) (linux.Statx, error) {
	p := n.parts.Load()
	s, err := p.real().Stat(c, mask)
	if err != nil {
		return s, err
	}
	n.fs.identify(n, p, &s)
	if p.upper != nil && len(p.lower) > 0 && s.Mode&linux.S_IFMT == linux.S_IFDIR {
		s.Nlink = 1 // as overlayfs: the subdirectories are not counted
	}
	return s, nil
}

// upperIno keeps the numbers of files made here apart from the lower ones.
const upperIno = 1 << 48

func (fs *FS) identify(n *node, p *parts, s *linux.Statx) {
	dev := fs.dev
	if p.upper == nil || n.ino != 0 {
		s.Ino = n.ino
		if !slices.Contains(fs.rootDevs, n.dev) {
			dev = n.dev
		}
	} else {
		s.Ino += upperIno
	}
	s.DevMajor, s.DevMinor = dev.Major(), dev.Minor()
}

// SetAttr copies up, then changes the upper file. A file that is emptied is
// copied without its bytes.
func (n *node) SetAttr(c vfs.Context, a vfs.SetAttr) error {
	how := withData
	if a.Mask&vfs.SetSize != 0 && a.Size == 0 {
		how = withoutData
	}
	up, err := n.copyUp(c, how)
	if err != nil {
		return err
	}
	// What was opened here is a File of ours, or one of the upper file, which
	// only the upper file system can tell apart.
	a.File = nil
	return up.SetAttr(c, a)
}

// Open fails for what package vfs opens itself.
func (n *node) Open(vfs.Context, vfs.Path, linux.OpenFlags) (vfs.File, error) {
	return nil, errno.ENXIO
}

// GetXattr reads an attribute of the real file.
func (n *node) GetXattr(c vfs.Context, name string) ([]byte, error) {
	x, ok := n.parts.Load().real().(vfs.XattrInode)
	if !ok {
		return nil, errno.EOPNOTSUPP
	}
	if strings.HasPrefix(name, xattrPrefix) {
		return nil, errno.ENODATA
	}
	return x.GetXattr(c, name)
}

// ListXattr lists the real file's attributes but ours.
func (n *node) ListXattr(c vfs.Context) ([]string, error) {
	x, ok := n.parts.Load().real().(vfs.XattrInode)
	if !ok {
		return nil, nil
	}
	names, err := x.ListXattr(c)
	return slices.DeleteFunc(slices.Clone(names), func(s string) bool { return strings.HasPrefix(s, xattrPrefix) }), err
}

// SetXattr copies up first. EPERM for our own names.
func (n *node) SetXattr(c vfs.Context, name string, value []byte, flags int) error {
	x, err := n.upperXattrs(c, name)
	if err != nil {
		return err
	}
	return x.SetXattr(c, name, value, flags)
}

// RemoveXattr copies up first.
func (n *node) RemoveXattr(c vfs.Context, name string) error {
	if _, err := n.GetXattr(c, name); err != nil {
		return err
	}
	x, err := n.upperXattrs(c, name)
	if err != nil {
		return err
	}
	return x.RemoveXattr(c, name)
}

func (n *node) upperXattrs(c vfs.Context, name string) (vfs.XattrInode, error) {
	if strings.HasPrefix(name, xattrPrefix) {
		return nil, errno.EPERM
	}
	up, err := n.copyUp(c, withData)
	if err != nil {
		return nil, err
	}
	x, ok := up.(vfs.XattrInode)
	if !ok {
		return nil, errno.EOPNOTSUPP
	}
	return x, nil
}

// Readlink is the real link's target.
func (l *linkNode) Readlink(c vfs.Context) (string, error) {
	s, ok := l.parts.Load().real().(vfs.Symlink)
	if !ok {
		return "", errno.EINVAL
	}
	return s.Readlink(c)
}
