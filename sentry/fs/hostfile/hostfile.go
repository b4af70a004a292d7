// Package hostfile is open host files that runsc donated: standard input,
// output and error that are not terminals.
//
// New looks at what the descriptor is and makes a regular file (with positions,
// mappable) or a stream (pipe, socket, character device) of it. The host file
// description is shared with processes outside, so its flags are never changed:
// streams are read and written with calls that do not wait. The
// current position of a regular file is the host's, so that commands that share an
// output file continue where the last one stopped.
//
// A stream registers with the host notifier only while somebody waits for it.
// Cost: one host call for a read or write, and the copy.
package hostfile

import (
	"fmt"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// inode is what fstat shows: the host's word, with the owner that is told.
type inode struct {
	vfs.AnonInode
	fd       *host.FD
	notifier *host.Notifier
	attr     vfs.Attr
}

// Attr returns the host file's type and mode.
func (i *inode) Attr() vfs.Attr { return i.attr }

// Stat asks the host.
func (i *inode) Stat(vfs.Context, uint32) (linux.Statx, error) {
	s, err := host.Stat(i.fd.Number())
	if err != nil {
		return s, err
	}
	s.UID, s.GID = uint32(i.attr.UID), uint32(i.attr.GID)
	return s, nil
}

// SetAttr changes the size of a regular file; everything else is the host's.
func (i *inode) SetAttr(_ vfs.Context, a vfs.SetAttr) error {
	if a.Mask&vfs.SetSize != 0 {
		return i.fd.Truncate(a.Size)
	}
	if a.Mask&(vfs.SetUID|vfs.SetGID|vfs.SetMode) != 0 {
		return errno.EPERM
	}
	return nil
}

// Open opens a regular file once more, for programs that write to /dev/stderr
// by name. The host file description stays the one that was donated; the new
// open file has a position of its own.
func (i *inode) Open(_ vfs.Context, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	fd, err := i.again(flags)
	if err != nil {
		return nil, err
	}
	return &regular{fd}, nil
}

// OpenSpecial is Open for streams.
func (i *inode) OpenSpecial(_ vfs.Context, flags linux.OpenFlags) (vfs.File, error) {
	fd, err := i.again(flags)
	if err != nil {
		return nil, err
	}
	return &stream{fd: fd, notifier: i.notifier}, nil
}

// again is another descriptor of the host file, if that was opened for what
// flags ask: nobody in the sandbox can get more rights over it.
//
// Errors: EACCES, EMFILE.
func (i *inode) again(flags linux.OpenFlags) (*host.FD, error) {
	has, err := i.fd.StatusFlags()
	if err != nil {
		return nil, err
	}
	rights := linux.OpenFlags(has)
	if flags.Readable() && !rights.Readable() || flags.Writable() && !rights.Writable() {
		return nil, errno.EACCES
	}
	return i.fd.Dup()
}

// Release closes the inode's descriptor.
func (i *inode) Release() { i.fd.Close() }

// New makes a description of a host file, which it takes over.
func New(w *vfs.World, n *host.Notifier, fd *host.FD, creds *cred.Creds) (*vfs.Description, error) {
	s, err := host.Stat(fd.Number())
	if err != nil {
		return nil, err
	}
	flags, err := fd.StatusFlags()
	if err != nil {
		return nil, err
	}
	// The inode's descriptor is its own: it is used by whoever has the file's
	// path, also while the last open file is being closed.
	own, err := fd.Dup()
	if err != nil {
		return nil, err
	}
	mode := linux.FileMode(s.Mode)
	i := &inode{fd: own, notifier: n, attr: vfs.Attr{Mode: mode, UID: creds.FSUID, GID: creds.FSGID}}
	i.InitAnon(w, mode, creds)
	status := linux.OpenFlags(flags) & (linux.O_ACCMODE | linux.O_APPEND)
	name := fmt.Sprintf("%s:[%d]", kindName(mode), s.Ino)
	if !mode.IsRegular() {
		return vfs.NewAnon(w, i, name, &stream{fd: fd, notifier: n}, status, creds), nil
	}
	return vfs.NewAnon(w, i, name, &donated{regular{fd}}, status, creds), nil
}

func kindName(m linux.FileMode) string {
	switch m & linux.S_IFMT {
	case linux.S_IFIFO:
		return "pipe"
	case linux.S_IFSOCK:
		return "socket"
	}
	return "host"
}

// regular is a host file with positions.
type regular struct{ fd *host.FD }

// Release closes the descriptor.
func (f *regular) Release() { f.fd.Close() }

// donated is a regular file as it was donated: its current position is the
// host's, which several descriptions (standard output and error) and processes
// outside share.
type donated struct{ regular }

var _ vfs.Positioner = (*donated)(nil)

// Position and SetPosition are the host's offset.
func (f *donated) Position() (int64, error) { return f.fd.Seek(0, linux.SEEK_CUR) }

// SetPosition moves it.
func (f *donated) SetPosition(off int64) {
	_, _ = f.fd.Seek(off, linux.SEEK_SET) // a position that was reached is valid
}

const chunk = 128 << 10

// Read fills dst from off.
func (f *regular) Read(_ vfs.Context, dst *usermem.Buffer, off int64) (int64, error) {
	b := make([]byte, min(dst.Len(), chunk))
	var done int64
	for dst.Len() > 0 {
		n, err := f.fd.ReadAt(b[:min(int64(len(b)), dst.Len())], off+done)
		if err != nil || n == 0 {
			return done, err
		}
		c, err := dst.Fill(b[:n])
		done += int64(c)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Write writes src at off.
func (f *regular) Write(_ vfs.Context, src *usermem.Buffer, off int64) (int64, error) {
	return f.writeAll(src, func(b []byte, done int64) (int, error) { return f.fd.WriteAt(b, off+done) })
}

// Append writes at the end: the host's O_APPEND does it.
func (f *regular) Append(_ vfs.Context, src *usermem.Buffer) (int64, int64, error) {
	n, err := f.writeAll(src, func(b []byte, _ int64) (int, error) { return f.fd.Write(b) })
	end, _ := f.fd.Seek(0, linux.SEEK_CUR)
	return n, end, err
}

func (f *regular) writeAll(src *usermem.Buffer, write func(b []byte, done int64) (int, error)) (int64, error) {
	b := make([]byte, min(src.Len(), chunk))
	var done int64
	for src.Len() > 0 {
		n, err := src.Drain(b[:min(int64(len(b)), src.Len())])
		if n == 0 {
			return done, err
		}
		c, werr := write(b[:n], done)
		done += int64(c)
		if werr != nil || c < n || err != nil {
			if werr == nil {
				werr = err
			}
			return done, werr
		}
	}
	return done, nil
}

// Seek moves; the end is the host's.
func (f *regular) Seek(_ vfs.Context, pos, offset int64, whence int) (int64, error) {
	s, err := host.Stat(f.fd.Number())
	if err != nil {
		return 0, err
	}
	return vfs.SeekSize(pos, offset, whence, int64(s.Size))
}

// Fsync writes back.
func (f *regular) Fsync(vfs.Context) error { return f.fd.Sync() }

// MapFD is the donated descriptor itself: it has the rights that it was opened
// with outside.
func (f *regular) MapFD(vfs.Context, vfs.MapAccess) (int, error) { return f.fd.Number(), nil }

// stream is a host file without positions.
type stream struct {
	fd       *host.FD
	notifier *host.Notifier
	queue    waiter.Queue

	mu      sync.Mutex
	waiters int
}

// Release closes the host file.
func (f *stream) Release() { f.fd.Close() }

// Read reads what is there.
func (f *stream) Read(_ vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	b := make([]byte, min(dst.Len(), chunk))
	n, err := f.fd.ReadNow(b)
	if n <= 0 {
		return 0, err
	}
	c, err := dst.Fill(b[:n])
	return int64(c), err
}

// Write writes what fits. The bytes are taken from src only when they have been
// written.
func (f *stream) Write(_ vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	b := make([]byte, min(src.Len(), chunk))
	n, err := src.Peek(b)
	if n == 0 {
		return 0, err
	}
	c, err := f.fd.WriteNow(b[:n])
	src.Skip(int64(c))
	return int64(c), err
}

// Ready asks the host.
func (f *stream) Ready(want waiter.Events) waiter.Events {
	ev, err := f.fd.Poll(int16(want & 0x3fff))
	if err != nil {
		return waiter.Err
	}
	return waiter.Events(uint16(ev)) & (want | waiter.Always)
}

// Register waits, with the notifier if it is the first.
func (f *stream) Register(e *waiter.Entry) {
	f.queue.Register(e)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiters++
	if f.waiters == 1 {
		const all = 0x2000 | 0x1 | 0x2 | 0x4 // RDHUP, IN, PRI, OUT
		// A file that epoll refuses is always ready: nobody waits long.
		_ = f.notifier.Add(f.fd, all, func(ev uint32) { f.queue.Notify(waiter.Events(ev)) })
	}
}

// Unregister undoes Register.
func (f *stream) Unregister(e *waiter.Entry) {
	f.queue.Unregister(e)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiters--
	if f.waiters == 0 {
		_ = f.notifier.Remove(f.fd)
	}
}

// Ioctl answers FIONREAD.
func (f *stream) Ioctl(_ vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	if cmd != linux.FIONREAD {
		return 0, errno.ENOTTY
	}
	n, err := f.fd.Buffered()
	if err != nil {
		return 0, err
	}
	return 0, usermem.Ptr[int32](arg).Store(m, int32(n))
}
