package pipefs

import (
	"fmt"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// File is an open end of a pipe, or both ends (a FIFO opened with O_RDWR).
type File struct {
	p        *Pipe
	reads    bool
	writes   bool
	packets  atomic.Bool // O_DIRECT
	hupAfter uint64      // no POLLHUP as long as writersEver is this
}

var (
	_ vfs.Reader       = (*File)(nil)
	_ vfs.Writer       = (*File)(nil)
	_ vfs.Ioctler      = (*File)(nil)
	_ vfs.FlagsChanger = (*File)(nil)
	_ waiter.Waitable  = (*File)(nil)
)

// New makes a pipe and opens its two ends. Flags may hold O_NONBLOCK and
// O_DIRECT.
func New(w *vfs.World, creds *cred.Creds, flags linux.OpenFlags) (r, wr *vfs.Description) {
	p := newPipe()
	p.anonymous = true
	inode := vfs.NewAnonInode(w, linux.S_IFIFO|0o600, creds)
	inode.Node().Pipe(func() any { return p })
	path := w.AnonPath(inode, fmt.Sprintf("pipe:[%d]", inode.Ino()))
	path.IncRef() // one for each end
	rf, wf := p.open(linux.O_RDONLY|flags), p.open(linux.O_WRONLY|flags)
	return vfs.NewDescription(path, rf, linux.O_RDONLY|flags, creds),
		vfs.NewDescription(path, wf, linux.O_WRONLY|flags, creds)
}

// OpenFIFO opens a FIFO, or a pipe through /proc/PID/fd. Without O_NONBLOCK the
// open of a FIFO waits for the other end; that of a pipe never waits, as a
// shell relies on that opens /dev/fd/N when the writer has gone (fs/pipe.c,
// fifo_open). It is a vfs.DeviceOpener.
//
// Errors: ENXIO for O_WRONLY|O_NONBLOCK without a reader; ERESTARTSYS.
func OpenFIFO(c vfs.Context, inode vfs.Inode, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	p := inode.Node().Pipe(func() any { return newPipe() }).(*Pipe)
	if flags&linux.O_ACCMODE == linux.O_WRONLY && flags.NonBlock() && !p.anonymous && !p.hasReaders() {
		return nil, errno.ENXIO
	}
	f := p.open(flags)
	if err := f.awaitPeer(c, flags); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

// Of returns the pipe behind a file, nil if it is none.
func Of(f vfs.File) *Pipe {
	if pf, ok := f.(*File); ok {
		return pf.p
	}
	return nil
}

func (p *Pipe) hasReaders() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readers > 0
}

func (p *Pipe) open(flags linux.OpenFlags) *File {
	mode := flags & linux.O_ACCMODE
	f := &File{p: p, reads: mode != linux.O_WRONLY, writes: mode != linux.O_RDONLY}
	f.packets.Store(flags&linux.O_DIRECT != 0)
	p.mu.Lock()
	if f.reads {
		p.readers++
		p.readersEver++
	}
	if f.writes {
		p.writers++
		p.writersEver++
	}
	if p.writers == 0 && flags.NonBlock() {
		f.hupAfter = p.writersEver
	}
	p.mu.Unlock()
	p.queue.Notify(opened)
	return f
}

// awaitPeer waits until somebody has, or has had, the other end open since f
// was opened.
func (f *File) awaitPeer(c vfs.Context, flags linux.OpenFlags) error {
	if f.p.anonymous || f.reads && f.writes || flags.NonBlock() {
		return nil
	}
	p := f.p
	p.mu.Lock()
	ever, there := &p.writersEver, p.writers > 0
	if f.writes {
		ever, there = &p.readersEver, p.readers > 0
	}
	before := *ever
	p.mu.Unlock()
	if there {
		return nil
	}
	return waiter.Until(c, f, opened, waiter.Never, func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if *ever == before {
			return errno.EAGAIN
		}
		return nil
	})
}

// Release closes the end. The other one then sees the end of the file, or EPIPE.
func (f *File) Release() {
	p := f.p
	p.mu.Lock()
	if f.reads {
		p.readers--
	}
	if f.writes {
		p.writers--
	}
	if p.readers+p.writers == 0 {
		// A FIFO that nobody has open forgets its bytes.
		p.head, p.used, p.storage = 0, 0, nil
	}
	p.mu.Unlock()
	p.queue.Notify(waiter.Readable | waiter.Writable | waiter.Err | waiter.Hup)
}

// Read implements vfs.Reader.
func (f *File) Read(_ vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	return f.p.read(dst)
}

// Write implements vfs.Writer.
func (f *File) Write(_ vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	if f.packets.Load() {
		return f.p.write(src, packet)
	}
	return f.p.write(src, mergeable)
}

// SetFlags follows fcntl(F_SETFL): O_DIRECT turns packets on and off.
func (f *File) SetFlags(_ vfs.Context, flags linux.OpenFlags) error {
	f.packets.Store(flags&linux.O_DIRECT != 0)
	return nil
}

// Ioctl implements FIONREAD.
func (f *File) Ioctl(_ vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	if cmd != linux.FIONREAD {
		return 0, errno.ENOTTY
	}
	return 0, usermem.Ptr[int32](arg).Store(m, int32(f.p.Buffered()))
}

// Ready implements waiter.Waitable.
func (f *File) Ready(want waiter.Events) waiter.Events {
	p := f.p
	p.mu.Lock()
	defer p.mu.Unlock()
	var ev waiter.Events
	if f.reads {
		if p.used > 0 {
			ev |= waiter.Readable
		}
		if p.writers == 0 && f.hupAfter != p.writersEver {
			ev |= waiter.Hup
		}
	}
	if f.writes {
		if !p.full() {
			ev |= waiter.Writable
		}
		if p.readers == 0 {
			ev |= waiter.Err
		}
	}
	return ev & (want | waiter.Always)
}

// Register implements waiter.Waitable.
func (f *File) Register(e *waiter.Entry) { f.p.queue.Register(e) }

// Unregister implements waiter.Waitable.
func (f *File) Unregister(e *waiter.Entry) { f.p.queue.Unregister(e) }
