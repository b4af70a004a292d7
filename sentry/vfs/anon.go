package vfs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// AnonInode is an Inode for files without a name (pipes, sockets, eventfds) and
// for simple nodes of file systems made by the Sentry: type, owner, times and a
// number. Embed it, or use it as it is.
type AnonInode struct {
	node Node
	dev  linux.Dev
	ino  uint64

	mu      lock.Mutex[lockorder.Inode]
	attr    Attr
	a, m, c linux.Timespec
}

// NewAnonInode makes one with a fresh number, owned by the file system ids of
// creds.
func NewAnonInode(w *World, mode linux.FileMode, creds *cred.Creds) *AnonInode {
	i := &AnonInode{}
	i.InitAnon(w, mode, creds)
	return i
}

// InitAnon is NewAnonInode for an embedded one.
func (i *AnonInode) InitAnon(w *World, mode linux.FileMode, creds *cred.Creds) {
	now := Now()
	i.dev, i.ino = AnonDev, w.NewIno()
	i.attr = Attr{Mode: mode, UID: creds.FSUID, GID: creds.FSGID}
	i.a, i.m, i.c = now, now, now
}

// AnonDev is the device number of files without a file system.
var AnonDev = linux.NewDev(0, 1)

// Ino is the inode number.
func (i *AnonInode) Ino() uint64 { return i.ino }

// Node, Attr, Stat, SetAttr, Open and Release make it an Inode.
func (i *AnonInode) Node() *Node { return &i.node }

// Attr returns type, mode and owner.
func (i *AnonInode) Attr() Attr {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.attr
}

// Stat returns all attributes.
func (i *AnonInode) Stat(Context, uint32) (linux.Statx, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := linux.Statx{
		Mask: linux.STATX_BASIC_STATS, Blksize: 4096, Nlink: 1,
		UID: uint32(i.attr.UID), GID: uint32(i.attr.GID), Mode: uint16(i.attr.Mode), Ino: i.ino,
		ATime: StatxTime(i.a), MTime: StatxTime(i.m), CTime: StatxTime(i.c),
	}
	s.DevMajor, s.DevMinor = linux.MajorMinor(uint64(i.dev))
	s.RdevMajor, s.RdevMinor = linux.MajorMinor(uint64(i.attr.Rdev))
	return s, nil
}

// SetAttr changes mode, owner and times.
func (i *AnonInode) SetAttr(_ Context, a SetAttr) error {
	if a.Mask&SetSize != 0 {
		return errno.EINVAL
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	now := Now()
	a.Apply(&i.attr, &i.a, &i.m, now)
	i.c = now
	return nil
}

// Open fails: what has no name is not opened by name. (/proc/PID/fd of a pipe
// is opened by the FIFO opener.)
func (i *AnonInode) Open(Context, Path, linux.OpenFlags) (File, error) { return nil, errno.ENXIO }

// Release does nothing.
func (i *AnonInode) Release() {}

// Apply does the part of a that every file system does alike: mode, owner and
// times.
func (a SetAttr) Apply(to *Attr, atime, mtime *linux.Timespec, now linux.Timespec) {
	if a.Mask&SetMode != 0 {
		to.Mode = to.Mode.Type() | a.Mode&linux.S_IALLUGO
	}
	if a.Mask&SetUID != 0 {
		to.UID = a.UID
	}
	if a.Mask&SetGID != 0 {
		to.GID = a.GID
	}
	if a.Mask&SetATimeNow != 0 {
		*atime = now
	} else if a.Mask&SetATime != 0 {
		*atime = a.ATime
	}
	if a.Mask&SetMTimeNow != 0 {
		*mtime = now
	} else if a.Mask&SetMTime != 0 {
		*mtime = a.MTime
	}
}

// StatxTime converts a time for Statx.
func StatxTime(t linux.Timespec) linux.StatxTimestamp {
	return linux.StatxTimestamp{Sec: t.Sec, Nsec: uint32(t.Nsec)}
}

// anonFS is the file system of files without a name. It is never reachable.
type anonFS struct{ root *AnonInode }

func newAnonMount(w *World) *Mount {
	root := &AnonInode{ino: 1, dev: AnonDev, attr: Attr{Mode: linux.S_IFDIR | 0o500}}
	sb := newSuper(w, &anonFS{root})
	return newMount(w, sb, sb.root, "anon_inodefs", linux.MS_NODEV)
}

func (*anonFS) Type() string       { return "anon_inodefs" }
func (f *anonFS) Root() Inode      { return f.root }
func (*anonFS) Options() string    { return "" }
func (*anonFS) Sync(Context) error { return nil }
func (*anonFS) Release()           {}
func (*anonFS) Statfs(Context) (linux.Statfs, error) {
	return linux.Statfs{Type: linux.ANON_INODE_FS_MAGIC, Bsize: 4096, Namelen: 255, Frsize: 4096}, nil
}
