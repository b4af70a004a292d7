package tmpfs

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// inode is what all files have. It is freed when it has neither a name nor a
// reference.
type inode struct {
	fs   *FS
	node vfs.Node
	ino  uint64
	kind uint8 // DT_*
	refs atomic.Int64
	// free gives back what the kind of file holds.
	free func()

	mu       lock.RWMutex[lockorder.Inode]
	attr     vfs.Attr
	nlink    uint32
	a, m, c  linux.Timespec
	born     linux.Timespec
	xattrs   map[string][]byte
	linkable bool // made without a name, by O_TMPFILE: may get one
	freed    bool
}

func (i *inode) init(fs *FS, n vfs.NewFile, nlink uint32) {
	now := vfs.Now()
	i.fs, i.ino, i.nlink, i.kind = fs, fs.world.NewIno(), nlink, n.Mode.DirentType()
	i.attr = vfs.Attr{Mode: n.Mode, UID: n.UID, GID: n.GID, Rdev: n.Rdev}
	i.a, i.m, i.c, i.born = now, now, now, now
}

// base lets this package reach the common part of any inode of its own.
func (i *inode) base() *inode { return i }

type based interface{ base() *inode }

// Node is the state of package vfs.
func (i *inode) Node() *vfs.Node { return &i.node }

func (i *inode) incRef() { i.refs.Add(1) }

// Release gives a reference back.
func (i *inode) Release() {
	if i.refs.Add(-1) == 0 {
		i.freeIfGone()
	}
}

func (i *inode) freeIfGone() {
	i.mu.Lock()
	gone := i.nlink == 0 && i.refs.Load() == 0 && !i.freed
	i.freed = i.freed || gone
	i.mu.Unlock()
	if gone {
		i.fs.inodes.Add(-1)
		if i.free != nil {
			i.free()
		}
	}
}

// addLink and dropLink count names. The caller updates the directory.
func (i *inode) addLink() {
	i.mu.LockNested() // the directory of the new name is locked
	i.nlink++
	i.c = vfs.Now()
	i.mu.Unlock()
}

func (i *inode) dropLink() {
	i.mu.Lock()
	i.nlink--
	i.c = vfs.Now()
	i.mu.Unlock()
	i.freeIfGone()
}

// Attr returns type, mode and owner.
func (i *inode) Attr() vfs.Attr {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.attr
}

// Stat returns all attributes; size and blocks are the kinds' own.
func (i *inode) Stat(vfs.Context, uint32) (linux.Statx, error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.statLocked(), nil
}

func (i *inode) statLocked() linux.Statx {
	s := linux.Statx{
		Mask: linux.STATX_BASIC_STATS | linux.STATX_BTIME, Blksize: pageSize,
		Nlink: i.nlink, UID: uint32(i.attr.UID), GID: uint32(i.attr.GID), Mode: uint16(i.attr.Mode), Ino: i.ino,
		ATime: vfs.StatxTime(i.a), MTime: vfs.StatxTime(i.m), CTime: vfs.StatxTime(i.c), BTime: vfs.StatxTime(i.born),
		RdevMajor: i.attr.Rdev.Major(), RdevMinor: i.attr.Rdev.Minor(),
		DevMajor: i.fs.dev.Major(), DevMinor: i.fs.dev.Minor(),
	}
	return s
}

// SetAttr changes mode, owner and times; only a file has a size.
func (i *inode) SetAttr(_ vfs.Context, a vfs.SetAttr) error {
	if a.Mask&vfs.SetSize != 0 {
		return errno.EINVAL
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.setAttrLocked(a)
	return nil
}

func (i *inode) setAttrLocked(a vfs.SetAttr) {
	now := vfs.Now()
	a.Apply(&i.attr, &i.a, &i.m, now)
	i.c = now
}

// Open fails: kinds that can be opened have their own.
func (i *inode) Open(vfs.Context, vfs.Path, linux.OpenFlags) (vfs.File, error) {
	return nil, errno.ENXIO
}

// touchModified notes a change of contents.
func (i *inode) touchModified() {
	now := vfs.Now()
	i.mu.Lock()
	i.m, i.c = now, now
	i.mu.Unlock()
}

// accessed updates the access time as relatime says: once a day, or when it is
// behind a change.
func (i *inode) accessed() {
	now := vfs.Now()
	i.mu.RLock()
	stale := i.a.Compare(i.m) <= 0 || i.a.Compare(i.c) <= 0 || now.Sec-i.a.Sec >= 24*3600
	i.mu.RUnlock()
	if stale {
		i.mu.Lock()
		i.a = now
		i.mu.Unlock()
	}
}

// GetXattr, SetXattr, ListXattr and RemoveXattr keep attributes in a map.
func (i *inode) GetXattr(_ vfs.Context, name string) ([]byte, error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	v, ok := i.xattrs[name]
	if !ok {
		return nil, errno.ENODATA
	}
	return v, nil
}

// SetXattr sets one attribute.
//
// Errors: EEXIST, ENODATA as the flags say, ENOSPC beyond maxXattrs.
func (i *inode) SetXattr(_ vfs.Context, name string, value []byte, flags int) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, exists := i.xattrs[name]
	switch {
	case exists && flags&linux.XATTR_CREATE != 0:
		return errno.EEXIST
	case !exists && flags&linux.XATTR_REPLACE != 0:
		return errno.ENODATA
	case !exists && len(i.xattrs) >= maxXattrs:
		return errno.ENOSPC
	}
	if i.xattrs == nil {
		i.xattrs = map[string][]byte{}
	}
	i.xattrs[name] = slices.Clone(value)
	i.c = vfs.Now()
	return nil
}

// maxXattrs bounds the attributes of one file: each may hold 64 KiB.
const maxXattrs = 128

// ListXattr lists the names.
func (i *inode) ListXattr(vfs.Context) ([]string, error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return slices.Sorted(maps.Keys(i.xattrs)), nil
}

// RemoveXattr removes one.
func (i *inode) RemoveXattr(_ vfs.Context, name string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, ok := i.xattrs[name]; !ok {
		return errno.ENODATA
	}
	delete(i.xattrs, name)
	i.c = vfs.Now()
	return nil
}

// symlink is a symbolic link.
type symlink struct {
	inode
	target string
}

// Readlink returns the target.
func (l *symlink) Readlink(vfs.Context) (string, error) { return l.target, nil }

// Stat adds the size.
func (l *symlink) Stat(vfs.Context, uint32) (linux.Statx, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := l.statLocked()
	s.Size = uint64(len(l.target))
	return s, nil
}

// special is a device node, FIFO or socket: package vfs opens it.
type special struct{ inode }

var (
	_ vfs.MutableDirectory = (*directory)(nil)
	_ vfs.TmpfileDirectory = (*directory)(nil)
	_ vfs.XattrInode       = (*directory)(nil)
	_ vfs.XattrInode       = (*file)(nil)
	_ vfs.Symlink          = (*symlink)(nil)
	_ vfs.Inode            = (*special)(nil)
)
