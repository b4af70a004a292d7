package goferfs

import (
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// inode is one file of a tree. What a directory or a symlink has beyond it is in
// directory and symlink, which embed it.
type inode struct {
	node vfs.Node
	fs   *FS
	self vfs.Inode // the inode, directory or symlink that this is part of
	dev  linux.Dev // in the Sentry

	// change is held while the Gofer changes attributes, and over appends:
	// answers are applied in the order of the changes.
	change lock.Mutex[lockorder.Inode]

	cache lock.Guarded[lockorder.HostFile, attrCache]

	binding // guarded by FS.state
	fds     inodeFDs
	xattrs  atomic.Uint32 // an xattrState
	xseen   atomic.Int64  // when that was seen: a time.Duration
}

// attrCache is the attributes last seen. They are true if checked == version;
// whatever may have changed them on the host makes a new version. So an answer
// that was under way meanwhile is known to be old.
type attrCache struct {
	attr    proto.Attr
	version uint64
	checked uint64
	seen    time.Duration // when attr was last known to be true
	// volatile is set once the file was mapped for writing: bytes and times
	// then change without any call.
	volatile bool
}

// regular, special and the other types that need nothing more are inodes
// themselves.
func (fs *FS) newInode(a proto.Attr, target string) *inode {
	var i *inode
	switch a.Type() {
	case proto.TypeDir:
		d := &directory{}
		i = &d.inode
		i.self = d
		if fs.caching != Exclusive {
			s := &sharedDirectory{}
			i = &s.inode
			i.self = s
		}
	case proto.TypeSymlink:
		s := &symlink{target: target}
		i = &s.inode
		i.self = s
	default:
		i = &inode{}
		i.self = i
	}
	i.fs = fs
	c := i.cache.Lock()
	c.attr, c.seen = a, fs.now()
	i.cache.Unlock()
	return i
}

// Node implements vfs.Inode.
func (i *inode) Node() *vfs.Node { return &i.node }

// base gives the inode behind what vfs hands us.
func (i *inode) base() *inode { return i }

// baseOf returns the inode of this tree that v is, or nil.
func (fs *FS) baseOf(v any) *inode {
	if b, ok := v.(interface{ base() *inode }); ok && b.base().fs == fs {
		return b.base()
	}
	return nil
}

func (i *inode) cachedAttr() proto.Attr {
	defer i.cache.Unlock()
	return i.cache.Lock().attr
}

func (i *inode) isType(t uint32) bool {
	a := i.cachedAttr()
	return a.Type() == t
}

// Attr implements vfs.Inode.
func (i *inode) Attr() vfs.Attr {
	c := i.cache.Lock()
	defer i.cache.Unlock()
	return vfs.Attr{
		Mode: linux.FileMode(c.attr.Mode), UID: cred.KUID(c.attr.UID), GID: cred.KGID(c.attr.GID),
		Rdev: linux.NewDev(c.attr.RdevMajor, c.attr.RdevMinor),
	}
}

// stableMask is what never changes in an inode, and alwaysKnown what is only
// changed through us in an exclusive tree, in the very call that says so.
const (
	stableMask  = linux.STATX_TYPE | linux.STATX_INO | linux.STATX_BTIME
	alwaysKnown = stableMask | linux.STATX_MODE | linux.STATX_UID | linux.STATX_GID
)

// Stat implements vfs.Inode.
func (i *inode) Stat(_ vfs.Context, mask uint32) (linux.Statx, error) {
	known := uint32(stableMask)
	if i.fs.caching == Exclusive {
		known = alwaysKnown
	}
	var a proto.Attr
	if mask&^known == 0 {
		a = i.cachedAttr()
	} else {
		var err error
		if a, err = i.freshAttr(); err != nil {
			return linux.Statx{}, err
		}
	}
	return i.statx(&a), nil
}

func (i *inode) statx(a *proto.Attr) linux.Statx {
	s := linux.Statx{
		Mask: linux.STATX_BASIC_STATS | linux.STATX_BTIME, Blksize: a.BlockSize, Nlink: a.Nlink,
		UID: a.UID, GID: a.GID, Mode: uint16(a.Mode), Ino: a.Ino, Size: a.Size, Blocks: a.Blocks,
		ATime: statxTime(a.Atime), MTime: statxTime(a.Mtime), CTime: statxTime(a.Ctime), BTime: statxTime(a.Btime),
		RdevMajor: a.RdevMajor, RdevMinor: a.RdevMinor,
	}
	s.DevMajor, s.DevMinor = linux.MajorMinor(uint64(i.dev))
	return s
}

func statxTime(t proto.Time) linux.StatxTimestamp {
	return linux.StatxTimestamp{Sec: t.Sec, Nsec: t.Nsec}
}

// freshAttr returns attributes that are true now: cached ones where that is
// known, else those of a descriptor that we have, else what the Gofer says.
func (i *inode) freshAttr() (proto.Attr, error) {
	c := i.cache.Lock()
	a, version := c.attr, c.version
	fresh := c.checked == version && !c.volatile && i.fs.believed(c.seen)
	i.cache.Unlock()
	if fresh {
		return a, nil
	}
	a, err := i.askAttr()
	if err == nil {
		i.noteAttr(version, a)
	}
	return a, err
}

func (i *inode) askAttr() (proto.Attr, error) {
	if d := i.anyDonated(); d != nil {
		defer i.fs.unuse(d)
		st, err := host.Stat(d.fd.Number())
		if err != nil {
			return proto.Attr{}, err
		}
		a := i.cachedAttr()
		mergeHost(&a, &st)
		return a, nil
	}
	id, err := i.pin()
	if err != nil {
		if a := i.cachedAttr(); err == errno.ESTALE && a.Nlink == 0 {
			return a, nil // removed, and never bound: nobody can have changed it
		}
		return proto.Attr{}, err
	}
	defer i.unpin()
	return i.fs.client.Stat(id)
}

// noteAttr stores an answer that was asked for at version, unless something has
// changed since.
func (i *inode) noteAttr(version uint64, a proto.Attr) {
	c := i.cache.Lock()
	defer i.cache.Unlock()
	if c.version == version {
		c.attr, c.checked, c.seen = a, version, i.fs.now()
	}
}

// sawAttr takes over what a lookup said of an inode that was known, where others
// can have changed it. Our own changes since then are not undone by it.
func (i *inode) sawAttr(a *proto.Attr) {
	c := i.cache.Lock()
	defer i.cache.Unlock()
	switch i.fs.caching {
	case Exclusive:
	case Shared:
		c.version++
		c.attr = *a // for permissions; everything else is asked for
	case Relaxed:
		if c.checked == c.version && !i.fs.believed(c.seen) {
			c.attr, c.seen = *a, i.fs.now()
		}
	}
}

// touched says that the host may have changed attributes.
func (i *inode) touched() {
	i.cache.Lock().version++
	i.cache.Unlock()
}

// beginChange starts a change of attributes by the Gofer; endChange stores what
// the Gofer says they are now. Change must be held, or for directories the
// directory's lock of vfs.
func (i *inode) beginChange() uint64 {
	c := i.cache.Lock()
	defer i.cache.Unlock()
	c.version++
	return c.version
}

func (i *inode) endChange(version uint64, a proto.Attr) {
	c := i.cache.Lock()
	defer i.cache.Unlock()
	unchanged := c.version == version
	// A new version, because a Stat that was answered before the change may
	// still be under way.
	c.version++
	c.attr, c.seen = a, i.fs.now()
	if unchanged {
		c.checked = c.version
	}
}

// SetAttr implements vfs.Inode.
func (i *inode) SetAttr(_ vfs.Context, a vfs.SetAttr) error {
	i.change.Lock()
	defer i.change.Unlock()
	// ftruncate sets the modification time as well.
	if a.Mask&vfs.SetSize != 0 && a.Mask&^(vfs.SetSize|vfs.SetMTimeNow) == 0 {
		if d := i.writable(); d != nil {
			defer i.fs.unuse(d)
			defer i.touched()
			return d.fd.Truncate(a.Size)
		}
	}
	id, err := i.pin()
	if err != nil {
		return err
	}
	defer i.unpin()
	version := i.beginChange()
	after, err := i.fs.client.SetAttr(question(id, &a))
	if err != nil {
		return err
	}
	i.endChange(version, after)
	return nil
}

func question(id proto.NodeID, a *vfs.SetAttr) *proto.SetAttr {
	q := &proto.SetAttr{
		Node: id, Mode: uint32(a.Mode) & 0o7777, UID: uint32(a.UID), GID: uint32(a.GID), Size: uint64(a.Size),
		Atime: proto.Time{Sec: a.ATime.Sec, Nsec: uint32(a.ATime.Nsec)},
		Mtime: proto.Time{Sec: a.MTime.Sec, Nsec: uint32(a.MTime.Nsec)},
	}
	for _, m := range [...]struct {
		mask vfs.SetMask
		set  uint32
	}{
		{vfs.SetMode, proto.SetMode}, {vfs.SetUID, proto.SetUID}, {vfs.SetGID, proto.SetGID}, {vfs.SetSize, proto.SetSize},
		{vfs.SetATime, proto.SetAtime}, {vfs.SetMTime, proto.SetMtime},
		{vfs.SetATimeNow, proto.SetAtime | proto.SetAtimeNow}, {vfs.SetMTimeNow, proto.SetMtime | proto.SetMtimeNow},
	} {
		if a.Mask&m.mask != 0 {
			q.Set |= m.set
		}
	}
	return q
}

// Open implements vfs.Inode. Only regular files get here, and directories by
// their own Open.
func (i *inode) Open(_ vfs.Context, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	if !i.isType(proto.TypeRegular) {
		return nil, errno.ENXIO
	}
	return i.openFile(flags)
}

// Release implements vfs.Inode.
func (i *inode) Release() { i.fs.release(i) }

func (i *inode) addRef() {
	i.fs.state.Lock()
	i.refs++
	i.fs.state.Unlock()
}

// symlink is a symbolic link. Its target never changes.
type symlink struct {
	inode
	target string // "" until asked for
}

// Readlink implements vfs.Symlink.
func (s *symlink) Readlink(vfs.Context) (string, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if s.target != "" {
		return s.target, nil
	}
	id, err := s.pin()
	if err != nil {
		return "", err
	}
	defer s.unpin()
	s.target, err = s.fs.client.Readlink(id)
	return s.target, err
}
