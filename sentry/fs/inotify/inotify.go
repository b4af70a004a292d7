// Package inotify is inotify(7): a file from which events of watched files are
// read.
//
// An Instance has watches; a watch is a vfs.Watcher of one file, and holds a
// Path of it so that the file stays the one that was named. What happens inside
// the sandbox is seen; what others do to a host file is not.
//
// Locks: the Instance's, taken by WatchEvent, so no lock of vfs is taken inside
// but those of a Node's watchers. Cost of an event: a comparison with the last
// one, and an append.
package inotify

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Limits, as Linux has them by default (/proc/sys/fs/inotify).
const (
	MaxQueued  = 16384
	MaxWatches = 65536
)

// always are events that are told whether they were asked for or not.
const always = linux.IN_UNMOUNT | linux.IN_IGNORED | linux.IN_Q_OVERFLOW

// Instance is an inotify file.
type Instance struct {
	queue waiter.Queue

	mu      lock.Mutex[lockorder.Inotify]
	events  []event
	watches map[int32]*watch
	byNode  map[*vfs.Node]*watch
	last    int32
}

// event is one event that nobody has read.
type event struct {
	wd     int32
	mask   uint32
	cookie uint32
	name   string
}

// watch is an Instance's interest in one file.
type watch struct {
	in   *Instance
	wd   int32
	path vfs.Path // with a reference
	mask uint32   // guarded by in.mu
}

// New opens an instance. Flags may hold O_NONBLOCK.
func New(w *vfs.World, creds *cred.Creds, flags linux.OpenFlags) *vfs.Description {
	in := &Instance{watches: map[int32]*watch{}, byNode: map[*vfs.Node]*watch{}}
	inode := vfs.NewAnonInode(w, 0o600, creds)
	return vfs.NewAnon(w, inode, "anon_inode:inotify", in, linux.O_RDONLY|flags, creds)
}

// Add watches the file at p, or changes what is watched of it, and returns the
// watch's number. It takes over the reference of p.
//
// Errors: EEXIST if it is watched and mask has IN_MASK_CREATE; ENOSPC for too
// many watches.
func (in *Instance) Add(p vfs.Path, mask uint32) (int32, error) {
	node := p.Inode().Node()
	in.mu.Lock()
	w := in.byNode[node]
	if w != nil {
		defer p.DecRef()
		defer in.mu.Unlock()
		switch {
		case mask&linux.IN_MASK_CREATE != 0:
			return 0, errno.EEXIST
		case mask&linux.IN_MASK_ADD != 0:
			w.mask |= mask
		default:
			w.mask = mask
		}
		return w.wd, nil
	}
	if len(in.watches) >= MaxWatches {
		in.mu.Unlock()
		p.DecRef()
		return 0, errno.ENOSPC
	}
	in.last++
	w = &watch{in: in, wd: in.last, path: p, mask: mask}
	in.watches[w.wd] = w
	in.byNode[node] = w
	node.AddWatcher(w) // before anybody can end the watch
	in.mu.Unlock()
	return w.wd, nil
}

// Remove ends a watch: EINVAL if there is none of that number.
func (in *Instance) Remove(wd int32) error {
	in.mu.Lock()
	w := in.watches[wd]
	if w == nil {
		in.mu.Unlock()
		return errno.EINVAL
	}
	in.forgetLocked(w)
	in.pushLocked(event{wd: wd, mask: linux.IN_IGNORED})
	in.mu.Unlock()
	w.end()
	in.queue.Notify(waiter.Readable)
	return nil
}

func (in *Instance) forgetLocked(w *watch) {
	delete(in.watches, w.wd)
	delete(in.byNode, w.path.Inode().Node())
}

// end takes the watch away from its file. The instance has forgotten it, so that
// nobody else does.
func (w *watch) end() {
	w.path.Inode().Node().RemoveWatcher(w)
	w.path.DecRef()
}

// WatchEvent implements vfs.Watcher.
func (w *watch) WatchEvent(e vfs.WatchEvent) {
	in := w.in
	in.mu.Lock()
	if in.watches[w.wd] != w {
		in.mu.Unlock()
		return
	}
	told := e.Mask&(w.mask&linux.IN_ALL_EVENTS|always) != 0
	if told {
		in.pushLocked(event{w.wd, e.Mask, e.Cookie, e.Name})
	}
	gone := e.Mask&(linux.IN_DELETE_SELF|linux.IN_UNMOUNT) != 0
	if gone = gone || told && w.mask&linux.IN_ONESHOT != 0; gone {
		in.forgetLocked(w)
		in.pushLocked(event{wd: w.wd, mask: linux.IN_IGNORED})
	}
	in.mu.Unlock()
	if gone {
		w.end()
	}
	if told || gone {
		in.queue.Notify(waiter.Readable)
	}
}

// pushLocked queues an event unless it is the last one again.
func (in *Instance) pushLocked(e event) {
	n := len(in.events)
	if n > 0 && in.events[n-1] == e {
		return
	}
	if n >= MaxQueued {
		e = event{wd: -1, mask: linux.IN_Q_OVERFLOW}
		if in.events[n-1] == e {
			return
		}
	}
	in.events = append(in.events, e)
}

// bytes is the event as it is read: the name is padded with NULs to a multiple
// of the header's size.
func (e event) bytes() []byte {
	size := 0
	if e.name != "" {
		size = (len(e.name)/16 + 1) * 16
	}
	b := make([]byte, 0, 16+size)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.wd))
	b = binary.LittleEndian.AppendUint32(b, e.mask)
	b = binary.LittleEndian.AppendUint32(b, e.cookie)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = append(b, e.name...)
	return append(b, make([]byte, 16+size-len(b))...)
}

func (e event) size() int64 {
	if e.name == "" {
		return 16
	}
	return 16 + int64(len(e.name)/16+1)*16
}

// Read takes as many events as there is room for. EAGAIN if there are none,
// EINVAL if there is no room for the first.
func (in *Instance) Read(_ vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	out, err := in.take(dst.Len())
	if err != nil {
		return 0, err
	}
	n, err := dst.Fill(out)
	return int64(n), err
}

func (in *Instance) take(room int64) ([]byte, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.events) == 0 {
		return nil, errno.EAGAIN
	}
	var out []byte
	n := 0
	for ; n < len(in.events) && in.events[n].size() <= room; n++ {
		out = append(out, in.events[n].bytes()...)
		room -= in.events[n].size()
	}
	if n == 0 {
		return nil, errno.EINVAL
	}
	in.events = in.events[n:]
	return out, nil
}

// Ioctl implements FIONREAD.
func (in *Instance) Ioctl(_ vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	if cmd != linux.FIONREAD {
		return 0, errno.ENOTTY
	}
	in.mu.Lock()
	var n int64
	for _, e := range in.events {
		n += e.size()
	}
	in.mu.Unlock()
	return 0, usermem.Ptr[int32](arg).Store(m, int32(n))
}

// Release implements vfs.File: all watches end.
func (in *Instance) Release() {
	in.mu.Lock()
	watches := in.watches
	in.watches, in.byNode, in.events = nil, nil, nil
	in.mu.Unlock()
	for _, w := range watches {
		w.end()
	}
}

// Ready implements waiter.Waitable.
func (in *Instance) Ready(want waiter.Events) waiter.Events {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.events) == 0 {
		return 0
	}
	return want & waiter.Readable
}

// Register implements waiter.Waitable.
func (in *Instance) Register(e *waiter.Entry) { in.queue.Register(e) }

// Unregister implements waiter.Waitable.
func (in *Instance) Unregister(e *waiter.Entry) { in.queue.Unregister(e) }

// FDInfo is for /proc/PID/fdinfo.
func (in *Instance) FDInfo() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	lines := make([]string, 0, len(in.watches))
	for _, w := range in.watches {
		lines = append(lines, fmt.Sprintf("inotify wd:%x mask:%x ignored_mask:0\n", w.wd, w.mask))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
