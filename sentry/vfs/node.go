package vfs

import (
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// Node is this package's own state of an inode: file locks, watchers, and the
// objects that belong to a file wherever it is named (the pipe of a FIFO, the
// socket bound to a name). Every Inode embeds one; its zero value is ready.
//
// A Node lives as long as its inode. Who puts something into it (a watch, a
// bound socket) holds a Path of the file as long as it is there: else the
// dentry cache may drop the inode and a later lookup finds a fresh one.
type Node struct {
	extra atomic.Pointer[nodeExtra]
	// writers counts open files that may write; below zero it counts those
	// that forbid writing (running executables).
	writers atomic.Int32
}

// nodeExtra is what few inodes have.
type nodeExtra struct {
	mu       lock.Mutex[lockorder.Node]
	watchers []Watcher
	watched  atomic.Int32
	locks    lockTable
	pipe     any
	socket   any
}

func (n *Node) more() *nodeExtra {
	if x := n.extra.Load(); x != nil {
		return x
	}
	n.extra.CompareAndSwap(nil, &nodeExtra{})
	return n.extra.Load()
}

// Pipe returns the object of a FIFO, made by make if there is none yet.
func (n *Node) Pipe(make func() any) any {
	x := n.more()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pipe == nil {
		x.pipe = make()
	}
	return x.pipe
}

// SetSocket binds a socket to the file; nil takes it back.
func (n *Node) SetSocket(s any) {
	x := n.more()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.socket = s
}

// Socket is the socket that is bound to the file, or nil.
func (n *Node) Socket() any {
	x := n.extra.Load()
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.socket
}

// BeginWrite registers one who may write; ETXTBSY while the file is executed.
func (n *Node) BeginWrite() error { return n.claim(1) }

// EndWrite undoes BeginWrite.
func (n *Node) EndWrite() { n.writers.Add(-1) }

// DenyWrite forbids opening for writing; ETXTBSY while somebody may write.
func (n *Node) DenyWrite() error { return n.claim(-1) }

// AllowWrite undoes DenyWrite.
func (n *Node) AllowWrite() { n.writers.Add(1) }

func (n *Node) claim(by int32) error {
	for {
		v := n.writers.Load()
		if v != 0 && (v > 0) != (by > 0) {
			return errno.ETXTBSY
		}
		if n.writers.CompareAndSwap(v, v+by) {
			return nil
		}
	}
}
