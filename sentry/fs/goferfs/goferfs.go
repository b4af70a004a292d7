// Package goferfs is a tree of host files in the Sentry: the client of a Gofer.
//
// Main types: FS is one tree over one gofer/proto.Client; inode is one file of
// it; donated is a host descriptor of a regular file that the Gofer gave us.
//
// What asks the Gofer and what does not. Names, attributes and descriptors are
// cached. In an Exclusive tree (a container's root: nobody else changes it) the
// cache is the truth, absent names included, so that a second open, stat or
// readdir asks nobody. In a Relaxed tree it is so for a second. In a Shared tree
// (a volume) each name is looked up again whenever a path leads over it, and
// attributes are asked for anew. Bytes are never cached here: reads and writes
// are host calls on donated descriptors, which is why what is written is on the
// host at once, and what the host writes into a file is seen at once.
//
// Inodes and nodes. An inode is known by device, number, mount and time of
// birth on the host. The Gofer's node, which costs a descriptor there, is bound
// to it only while it is needed: an inode that a directory listing brought has
// none, and the least recently used are unbound when there are too many. An
// inode therefore remembers one of its names, in a directory inode on which it
// holds a reference, and is bound again by that name; if another file is found
// there, the answer is ESTALE.
//
// It never maps host files into the Sentry, never gives a mapping more rights
// than asked for (private ones get a read-only descriptor), and never trusts
// the Gofer beyond what gofer/proto checks.
//
// Lock order: an inode's change lock (lockorder.Inode; held over questions that
// change its attributes, and appends, as Linux holds i_rwsem), FS.state
// (lockorder.GoferClient), then the leaves FS.fds and inode.cache
// (lockorder.HostFile). No question is asked under the last three.
//
// Costs: open and close of a file whose descriptor is cached 0.2 us, a read 0.5
// us and the copying, a question 10-20 us (see gofer/proto). Memory: about 500
// bytes per cached inode; Options.MaxFDs descriptors.
package goferfs

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Caching says who else changes a tree.
type Caching uint8

// The two ways.
const (
	// Exclusive is a tree that only this Sentry changes.
	Exclusive Caching = iota
	// Relaxed is a tree that others change, but whose changes may be seen a
	// second or two late.
	Relaxed
	// Shared is a tree that others change at any time. That a directory was
	// moved or replaced may be seen dirWindow late.
	Shared
)

// How long what was seen of a tree that others change is believed. dirWindow is
// less than it takes to tell somebody inside of a change in most ways, and
// enough for the paths of many system calls.
const (
	relaxedWindow = time.Second
	dirWindow     = 2 * time.Millisecond
)

// now is the time since the tree was made, for what is believed for a while.
func (fs *FS) now() time.Duration { return time.Since(fs.start) + time.Duration(fs.skew.Load()) }

// Distrust ends the belief in all that was seen of a tree that others change:
// whoever calls it has heard that they may have done so just now.
func (fs *FS) Distrust() { fs.skew.Add(int64(2 * relaxedWindow)) }

// believed says whether what was seen at a time is still believed.
func (fs *FS) believed(seen time.Duration) bool {
	return fs.caching == Exclusive || fs.caching == Relaxed && fs.now()-seen < relaxedWindow
}

// Options say how a tree is served.
type Options struct {
	// Name is the mount point, for log lines.
	Name    string
	Caching Caching
	// MaxFDs bounds the donated descriptors that are kept without being in
	// use. Zero is DefaultMaxFDs.
	MaxFDs int
	Log    func(line string)
}

// DefaultMaxFDs is modest because a descriptor also costs the host memory.
const DefaultMaxFDs = 1024

// FS is one tree. It implements vfs.FileSystem.
type FS struct {
	client  *proto.Client
	world   *vfs.World
	caching Caching
	start   time.Time
	skew    atomic.Int64 // what Distrust has added to the time
	root    *inode

	state lock.Guarded[lockorder.GoferClient, state]
	fds   lock.Guarded[lockorder.HostFile, fdCache]

	// drops counts inodes that were changed and then dropped from memory:
	// what a listing said of them before is old.
	drops atomic.Uint64
}

// New greets the Gofer at the other end of conn, a socket that it owns from now
// on, and returns its tree.
func New(w *vfs.World, conn int, o Options) (*FS, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	client, err := proto.NewClient(conn, o.Name, o.Log)
	if err != nil {
		return nil, err
	}
	welcome := client.Welcome()
	if t := welcome.Root.Type(); t == proto.TypeSymlink {
		client.Close()
		return nil, fmt.Errorf("gofer tree %s: the root is a symbolic link", o.Name)
	}
	fs := &FS{client: client, world: w, caching: o.Caching, start: time.Now()}
	st := fs.state.Lock()
	st.init(int(welcome.MaxNodes))
	fs.state.Unlock()
	cache := fs.fds.Lock()
	cache.init(o.MaxFDs)
	fs.fds.Unlock()
	step := proto.Step{Node: proto.RootNode, Attr: welcome.Root}
	fs.root = fs.adopt(step, nil, "", "")
	return fs, nil
}

// Type implements vfs.FileSystem.
func (fs *FS) Type() string { return "gofer" }

// Root implements vfs.FileSystem.
func (fs *FS) Root() vfs.Inode {
	fs.root.addRef()
	return fs.root.self
}

// Options implements vfs.FileSystem.
func (fs *FS) Options() string {
	return [...]string{Exclusive: "cache=exclusive", Relaxed: "cache=relaxed", Shared: "cache=none"}[fs.caching]
}

// ReadOnly says whether the Gofer refuses all changes.
func (fs *FS) ReadOnly() bool { return fs.client.Welcome().ReadOnly }

// Statfs implements vfs.FileSystem.
func (fs *FS) Statfs(vfs.Context) (linux.Statfs, error) {
	s, err := fs.client.StatFS(proto.RootNode)
	if err != nil {
		return linux.Statfs{}, err
	}
	return linux.Statfs{
		Type: int64(s.Type), Bsize: int64(s.BlockSize), Blocks: s.Blocks, Bfree: s.Free, Bavail: s.Avail,
		Files: s.Files, Ffree: s.FilesFree, FSID: [2]int32{int32(s.FSID), int32(s.FSID >> 32)},
		Namelen: int64(s.NameLen), Frsize: int64(s.FragmentSize),
	}, nil
}

// Sync implements vfs.FileSystem.
func (fs *FS) Sync(vfs.Context) error {
	if !fs.root.isType(proto.TypeDir) && !fs.root.isType(proto.TypeRegular) {
		return nil
	}
	return fs.client.Sync(&proto.Sync{Node: proto.RootNode, What: proto.SyncFS})
}

// Release implements vfs.FileSystem.
func (fs *FS) Release() {
	fs.root.Release()
	fs.dropIdle()
	fs.client.Close()
}

// errnoOf is the error of an errno in an answer.
func errnoOf(n uint32) error {
	if n == 0 {
		return nil
	}
	return errno.Errno(n)
}
