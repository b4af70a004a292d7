// Package eventfd is eventfd(2): a counter that can be read, written and waited
// for. A File is one; it knows nothing of descriptors or tasks.
//
// Locks: its own, under none of others. Cost: one uncontended lock and one copy
// of guest memory for a read or write.
package eventfd

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Mode says what a read takes.
type Mode uint8

// The modes: a Counter is read whole, a Semaphore by ones.
const (
	Counter Mode = iota
	Semaphore
)

// File is an eventfd.
type File struct {
	mode  Mode
	queue waiter.Queue

	mu    lock.Mutex[lockorder.Inode]
	count uint64
}

// New opens an eventfd. Flags may hold O_NONBLOCK.
func New(w *vfs.World, creds *cred.Creds, initial uint32, mode Mode, flags linux.OpenFlags) *vfs.Description {
	f := &File{mode: mode, count: uint64(initial)}
	return vfs.NewAnon(w, vfs.NewAnonInode(w, 0o600, creds), "anon_inode:[eventfd]", f, linux.O_RDWR|flags, creds)
}

// Release implements vfs.File.
func (f *File) Release() {}

// Read takes the count, or one of it. EAGAIN if it is 0, EINVAL if there is no
// room for 8 bytes.
func (f *File) Read(_ vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	if dst.Len() < 8 {
		return 0, errno.EINVAL
	}
	v, err := f.take()
	if err != nil {
		return 0, err
	}
	n, err := dst.Fill(binary.LittleEndian.AppendUint64(nil, v))
	return int64(n), err
}

func (f *File) take() (uint64, error) {
	f.mu.Lock()
	v := f.count
	if v == 0 {
		f.mu.Unlock()
		return 0, errno.EAGAIN
	}
	if f.mode == Semaphore {
		v = 1
	}
	f.count -= v
	f.mu.Unlock()
	f.queue.Notify(waiter.Writable)
	return v, nil
}

// Write adds to the count. EAGAIN if it would overflow; EINVAL for less than 8
// bytes or the largest value.
func (f *File) Write(_ vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	if src.Len() < 8 {
		return 0, errno.EINVAL
	}
	// A write that must wait is tried again: the buffer must not have moved.
	var v [8]byte
	if _, err := src.Peek(v[:]); err != nil {
		return 0, err
	}
	if err := f.Add(binary.LittleEndian.Uint64(v[:])); err != nil {
		return 0, err
	}
	src.Limit(8)
	src.Skip(8)
	return 8, nil
}

// Add is a write of v.
func (f *File) Add(v uint64) error {
	if v == math.MaxUint64 {
		return errno.EINVAL
	}
	f.mu.Lock()
	if math.MaxUint64-1-f.count < v {
		f.mu.Unlock()
		return errno.EAGAIN
	}
	f.count += v
	f.mu.Unlock()
	f.queue.Notify(waiter.Readable)
	return nil
}

// Ready implements waiter.Waitable.
func (f *File) Ready(want waiter.Events) waiter.Events {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ev waiter.Events
	if f.count > 0 {
		ev |= waiter.In
	}
	if f.count < math.MaxUint64-1 {
		ev |= waiter.Out
	}
	return ev & want
}

// Register implements waiter.Waitable.
func (f *File) Register(e *waiter.Entry) { f.queue.Register(e) }

// Unregister implements waiter.Waitable.
func (f *File) Unregister(e *waiter.Entry) { f.queue.Unregister(e) }

// FDInfo is for /proc/PID/fdinfo.
func (f *File) FDInfo() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("eventfd-count: %16x\neventfd-semaphore: %d\n", f.count, f.mode)
}
