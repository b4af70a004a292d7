// Package mqueue is POSIX message queues (mq_overview(7)).
//
// A Namespace holds the Queues of an IPC namespace by name; a File is an open
// one. Messages come out by priority, and in the order of sending within one.
// The queues have no mount: they are reached by mq_open only.
//
// Locks: a Namespace's, then a Queue's; no memory is copied and no signal sent
// under either. Cost: an insertion into a sorted list of at most as many
// messages as the queue takes.
package mqueue

import (
	"fmt"
	"slices"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Limits, as Linux has them by default (/proc/sys/fs/mqueue). The hard ones
// bind also those with CAP_SYS_RESOURCE.
const (
	DefaultMessages = 10
	DefaultSize     = 8192
	maxMessages     = 10
	maxSize         = 8192
	hardMessages    = 65536
	hardSize        = 16 << 20
	maxQueues       = 256

	// maxBytes bounds what one queue may hold: the memory is the Sentry's.
	maxBytes = 64 << 20
)

// Namespace is the queues of an IPC namespace.
type Namespace struct {
	mu     sync.Mutex
	byName map[string]*Queue
}

// NewNamespace makes one without queues.
func NewNamespace() *Namespace { return &Namespace{byName: map[string]*Queue{}} }

// Attr is what a queue is made with.
type Attr struct{ Messages, Size int64 }

// Queue is one queue. It lives as long as it is named or open.
type Queue struct {
	inode *vfs.AnonInode
	attr  Attr
	queue waiter.Queue

	mu       sync.Mutex
	messages []Message // highest priority first
	bytes    int64
	notify   *Notification
}

// Message is one message.
type Message struct {
	Priority uint32
	Data     []byte
}

// Notification is who wants to hear of the next message in an empty queue.
type Notification struct {
	Group  *kernel.ThreadGroup
	Signal linux.Signal // 0: nobody is told, but the place is taken
	Value  uint64
}

// File is an open queue.
type File struct{ q *Queue }

// Open is mq_open. New says what a queue is made with: nil for the defaults.
//
// Errors: EINVAL for the name or the limits; EACCES; EEXIST; ENOENT; ENOSPC;
// ENAMETOOLONG.
func (ns *Namespace) Open(c vfs.Context, w *vfs.World, name string, flags linux.OpenFlags, mode linux.FileMode, new *Attr) (*vfs.Description, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	q := ns.byName[name]
	switch {
	case q == nil && flags&linux.O_CREAT == 0:
		return nil, errno.ENOENT
	case q == nil:
		var err error
		if q, err = ns.createLocked(c, w, name, mode, new); err != nil {
			return nil, err
		}
	case flags&(linux.O_CREAT|linux.O_EXCL) == linux.O_CREAT|linux.O_EXCL:
		return nil, errno.EEXIST
	default:
		if err := vfs.CheckAttr(c.Creds(), q.inode.Attr(), access(flags)); err != nil {
			return nil, err
		}
	}
	return vfs.NewAnon(w, q.inode, "/"+name, &File{q}, flags&(linux.O_ACCMODE|linux.O_NONBLOCK), c.Creds()), nil
}

func access(flags linux.OpenFlags) vfs.Access {
	switch flags & linux.O_ACCMODE {
	case linux.O_RDONLY:
		return vfs.MayRead
	case linux.O_WRONLY:
		return vfs.MayWrite
	}
	return vfs.MayRead | vfs.MayWrite
}

func checkName(name string) error {
	if name == "" {
		return errno.ENOENT
	}
	if len(name) > linux.NAME_MAX {
		return errno.ENAMETOOLONG
	}
	if name == "." || name == ".." || slices.Contains([]byte(name), '/') {
		return errno.EACCES
	}
	return nil
}

func (ns *Namespace) createLocked(c vfs.Context, w *vfs.World, name string, mode linux.FileMode, new *Attr) (*Queue, error) {
	a := Attr{DefaultMessages, DefaultSize}
	if new != nil {
		a = *new
		if err := a.check(c.Creds()); err != nil {
			return nil, err
		}
	}
	if len(ns.byName) >= maxQueues && !c.Creds().HasCap(linux.CAP_SYS_RESOURCE) {
		return nil, errno.ENOSPC
	}
	q := &Queue{attr: a, inode: vfs.NewAnonInode(w, linux.S_IFREG|mode&0o777, c.Creds())}
	ns.byName[name] = q
	return q, nil
}

func (a Attr) check(cr *cred.Creds) error {
	most, largest := int64(maxMessages), int64(maxSize)
	if cr.HasCap(linux.CAP_SYS_RESOURCE) {
		most, largest = hardMessages, hardSize
	}
	if a.Messages <= 0 || a.Size <= 0 || a.Messages > most || a.Size > largest {
		return errno.EINVAL
	}
	return nil
}

// Unlink removes a name: ENOENT, EACCES.
func (ns *Namespace) Unlink(c vfs.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	q := ns.byName[name]
	if q == nil {
		return errno.ENOENT
	}
	// The directory is sticky, as Linux mounts it.
	if cr := c.Creds(); cr.FSUID != q.inode.Attr().UID && !cr.HasCap(linux.CAP_FOWNER) {
		return errno.EPERM
	}
	delete(ns.byName, name)
	return nil
}

// Attr returns the limits, and how many messages are in the queue.
func (f *File) Attr() (Attr, int) {
	f.q.mu.Lock()
	defer f.q.mu.Unlock()
	return f.q.attr, len(f.q.messages)
}

// Send adds a message: EAGAIN if the queue is full.
func (f *File) Send(from *kernel.Task, m Message) error {
	q := f.q
	q.mu.Lock()
	if int64(len(q.messages)) >= q.attr.Messages || q.bytes+int64(len(m.Data)) > maxBytes {
		q.mu.Unlock()
		return errno.EAGAIN
	}
	i := len(q.messages)
	for i > 0 && q.messages[i-1].Priority < m.Priority {
		i--
	}
	q.messages = slices.Insert(q.messages, i, m)
	q.bytes += int64(len(m.Data))
	var tell *Notification
	// Whoever waits in a receive gets the message, and nobody is notified.
	if len(q.messages) == 1 && q.queue.Empty() {
		tell, q.notify = q.notify, nil
	}
	q.mu.Unlock()
	q.queue.Notify(waiter.Readable)
	if tell != nil && tell.Signal != 0 {
		tell.send(from)
	}
	return nil
}

func (n *Notification) send(from *kernel.Task) {
	info := kernel.UserSignal(n.Signal, linux.SI_MESGQ, from, n.Group.PIDNS())
	info.SetValue(n.Value)
	_ = n.Group.SendSignal(info, kernel.Inside)
}

// Receive takes the first message: EAGAIN if there is none.
func (f *File) Receive() (Message, error) {
	q := f.q
	q.mu.Lock()
	if len(q.messages) == 0 {
		q.mu.Unlock()
		return Message{}, errno.EAGAIN
	}
	m := q.messages[0]
	q.messages = slices.Delete(q.messages, 0, 1)
	q.bytes -= int64(len(m.Data))
	q.mu.Unlock()
	q.queue.Notify(waiter.Writable)
	return m, nil
}

// Notify registers n: EBUSY if somebody is registered.
func (f *File) Notify(n Notification) error {
	f.q.mu.Lock()
	defer f.q.mu.Unlock()
	if f.q.notify != nil {
		return errno.EBUSY
	}
	f.q.notify = &n
	return nil
}

// Unnotify takes the registration of g back, if it has one.
func (f *File) Unnotify(g *kernel.ThreadGroup) {
	f.q.mu.Lock()
	defer f.q.mu.Unlock()
	if f.q.notify != nil && f.q.notify.Group == g {
		f.q.notify = nil
	}
}

// Flush implements vfs.Flusher: who closes a queue is not notified any more.
func (f *File) Flush(c vfs.Context) error {
	if t, ok := c.(*kernel.Task); ok {
		f.Unnotify(t.ThreadGroup())
	}
	return nil
}

// Release implements vfs.File.
func (f *File) Release() {}

// Seek is for Read, which tells about the queue as a file of one line.
func (f *File) Seek(_ vfs.Context, pos, offset int64, whence int) (int64, error) {
	return vfs.SeekSize(pos, offset, whence, int64(len(f.status())))
}

func (f *File) status() string {
	f.q.mu.Lock()
	defer f.q.mu.Unlock()
	signo, pid := linux.Signal(0), int32(0)
	if n := f.q.notify; n != nil {
		signo, pid = n.Signal, n.Group.ID(n.Group.PIDNS())
	}
	return fmt.Sprintf("QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", f.q.bytes, 0, signo, pid)
}

// Read implements vfs.Reader.
func (f *File) Read(_ vfs.Context, dst *usermem.Buffer, off int64) (int64, error) {
	s := f.status()
	if off >= int64(len(s)) {
		return 0, nil
	}
	n, err := dst.Fill([]byte(s[off:]))
	return int64(n), err
}

// Ready implements waiter.Waitable.
func (f *File) Ready(want waiter.Events) waiter.Events {
	f.q.mu.Lock()
	defer f.q.mu.Unlock()
	var ev waiter.Events
	if len(f.q.messages) > 0 {
		ev |= waiter.Readable
	}
	if int64(len(f.q.messages)) < f.q.attr.Messages {
		ev |= waiter.Writable
	}
	return ev & want
}

// Register implements waiter.Waitable.
func (f *File) Register(e *waiter.Entry) { f.q.queue.Register(e) }

// Unregister implements waiter.Waitable.
func (f *File) Unregister(e *waiter.Entry) { f.q.queue.Unregister(e) }
