package vfs

import (
	"math"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Description is an open file description: what descriptors that were dup'ed,
// inherited or passed over a socket share. It is reference-counted; the last
// DecRef releases its File and Path.
//
// The offset has a lock of its own (offMu), which read, write and lseek hold as
// Linux's f_pos lock; it is taken before any lock of the File.
type Description struct {
	refs  atomic.Int64
	path  Path
	file  File
	flags atomic.Uint32 // linux.OpenFlags without creation flags
	creds *cred.Creds   // of the opener
	// denies says that DenyWrite was called for it: it is being executed.
	denies bool
	// counted says that BeginWrite was called for it.
	counted bool

	// The abilities of file, found once.
	reader   Reader
	writer   Writer
	appender Appender
	seeker   Seeker
	wait     waiter.Waitable
	position Positioner

	offMu lock.Mutex[lockorder.FileDescription]
	off   atomic.Int64 // changed under offMu

	// Watchers are told when the description is gone: epoll.
	watchMu  lock.Mutex[lockorder.FileOwner]
	watchers map[DescriptionWatcher]struct{}

	owner signalOwner
}

// DescriptionWatcher is told when a description is released.
type DescriptionWatcher interface{ DescriptionGone(d *Description) }

// NewDescription makes an open file with one reference. It takes over the
// reference of p and the File.
func NewDescription(p Path, f File, flags linux.OpenFlags, creds *cred.Creds) *Description {
	d := &Description{path: p, file: f, creds: creds}
	d.refs.Store(1)
	d.flags.Store(uint32(flags &^ creationFlags))
	d.reader, _ = f.(Reader)
	d.writer, _ = f.(Writer)
	d.appender, _ = f.(Appender)
	d.seeker, _ = f.(Seeker)
	d.wait, _ = f.(waiter.Waitable)
	d.position, _ = f.(Positioner)
	return d
}

const creationFlags = linux.O_CREAT | linux.O_EXCL | linux.O_NOCTTY | linux.O_TRUNC | linux.O_CLOEXEC

// IncRef takes a reference.
func (d *Description) IncRef() { d.refs.Add(1) }

// Refs is the number of references, for those who look for files that only they
// themselves hold.
func (d *Description) Refs() int64 { return d.refs.Load() }

// TryIncRef takes a reference unless the description is gone already.
func (d *Description) TryIncRef() bool {
	for {
		n := d.refs.Load()
		if n == 0 {
			return false
		}
		if d.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// DecRef gives a reference back and releases the file with the last one.
func (d *Description) DecRef() {
	n := d.refs.Add(-1)
	if n > 0 {
		return
	}
	if n < 0 {
		panic("vfs: description released twice: " + d.path.debugName())
	}
	d.watchMu.Lock()
	watchers := d.watchers
	d.watchers = nil
	d.watchMu.Unlock()
	for w := range watchers {
		w.DescriptionGone(d)
	}
	d.released()
	d.file.Release()
	d.path.DecRef()
}

// Watch registers w to be told when d is gone; Unwatch takes it back.
func (d *Description) Watch(w DescriptionWatcher) {
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	if d.watchers == nil {
		d.watchers = map[DescriptionWatcher]struct{}{}
	}
	d.watchers[w] = struct{}{}
}

// Unwatch undoes Watch.
func (d *Description) Unwatch(w DescriptionWatcher) {
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	delete(d.watchers, w)
}

// File is the file system's part: type-assert it for abilities of a family.
func (d *Description) File() File { return d.file }

// Path is where it was opened; borrowed: valid as long as the caller's
// reference on d.
func (d *Description) Path() Path { return d.path }

// Inode is the open file's inode.
func (d *Description) Inode() Inode { return d.path.Dentry.inode }

// Creds are the opener's credentials.
func (d *Description) Creds() *cred.Creds { return d.creds }

// Flags are the access mode and status flags.
func (d *Description) Flags() linux.OpenFlags { return linux.OpenFlags(d.flags.Load()) }

// Readable and Writable say what it was opened for. An O_PATH description is
// neither.
func (d *Description) Readable() bool {
	f := d.Flags()
	return f&linux.O_PATH == 0 && f.Readable()
}

// Writable says whether writes are allowed.
func (d *Description) Writable() bool {
	f := d.Flags()
	return f&linux.O_PATH == 0 && f.Writable()
}

// Seekable says whether the file has positions.
func (d *Description) Seekable() bool { return d.seeker != nil }

// settableFlags are those that F_SETFL changes.
const settableFlags = linux.O_APPEND | linux.O_ASYNC | linux.O_DIRECT | linux.O_NOATIME | linux.O_NONBLOCK

// SetStatusFlags is fcntl(F_SETFL).
func (d *Description) SetStatusFlags(c Context, f linux.OpenFlags) error {
	if fc, ok := d.file.(FlagsChanger); ok {
		if err := fc.SetFlags(c, f&settableFlags); err != nil {
			return err
		}
	}
	for {
		old := d.flags.Load()
		if d.flags.CompareAndSwap(old, old&^uint32(settableFlags)|uint32(f&settableFlags)) {
			return nil
		}
	}
}

// Ready, Register and Unregister make a Description a waiter.Waitable. A file
// that cannot be waited for is always ready for what it was opened for.
func (d *Description) Ready(want waiter.Events) waiter.Events {
	if d.wait != nil {
		return d.wait.Ready(want)
	}
	return want & (waiter.Readable | waiter.Writable)
}

// Register adds e to the file's queue.
func (d *Description) Register(e *waiter.Entry) {
	if d.wait != nil {
		d.wait.Register(e)
	}
}

// Unregister takes e out again.
func (d *Description) Unregister(e *waiter.Entry) {
	if d.wait != nil {
		d.wait.Unregister(e)
	}
}

// Waitable says whether the file can be waited for (epoll refuses others).
func (d *Description) Waitable() bool { return d.wait != nil }

// CurrentOffset as offset argument means: use and advance the description's.
const CurrentOffset = -1

// Read reads at off, or at the current offset. It blocks unless the description
// or nowait says otherwise. It returns a count and an error, of which at most
// one is not zero.
func (d *Description) Read(c Context, dst *usermem.Buffer, off int64, mode IOMode) (int64, error) {
	if !d.Readable() {
		return 0, errno.EBADF
	}
	if d.reader == nil {
		return 0, d.cannot(linux.O_RDONLY)
	}
	off, done, err := d.begin(off)
	if err != nil {
		return 0, err
	}
	var n int64
	if d.seeker != nil || d.wait == nil {
		if dst.Len() > math.MaxInt64-off {
			done(off)
			return 0, errno.EINVAL
		}
		n, err = d.reader.Read(c, dst, off)
	} else {
		n, err = d.blocking(c, waiter.Readable|waiter.RdHup, mode, func() (int64, error) {
			return d.reader.Read(c, dst, off)
		})
	}
	done(off + n)
	if n > 0 {
		d.accessed(c)
		return n, nil
	}
	return 0, err
}

// Write writes at off, or at the current offset, or at the end (O_APPEND). A
// stream that blocks writes everything before it returns.
func (d *Description) Write(c Context, src *usermem.Buffer, off int64, mode IOMode) (int64, error) {
	if !d.Writable() {
		return 0, errno.EBADF
	}
	if d.writer == nil {
		return 0, d.cannot(linux.O_WRONLY)
	}
	off, done, err := d.begin(off)
	if err != nil {
		return 0, err
	}
	var n, end int64
	switch {
	case d.appender != nil && (d.Flags()&linux.O_APPEND != 0 || mode&AtEnd != 0):
		n, end, err = d.appender.Append(c, src)
	case d.seeker != nil || d.wait == nil:
		if src.Len() > math.MaxInt64-off {
			done(off)
			return 0, errno.EINVAL
		}
		n, err = d.writer.Write(c, src, off)
		end = off + n
	default:
		n, err = d.writeStream(c, src, mode)
	}
	if n > 0 {
		done(end)
		d.modified(c)
		return n, nil
	}
	done(off)
	return 0, err
}

// writeStream writes all of src, waiting in between.
func (d *Description) writeStream(c Context, src *usermem.Buffer, mode IOMode) (int64, error) {
	var total int64
	for {
		n, err := d.blocking(c, waiter.Writable, mode, func() (int64, error) {
			return d.writer.Write(c, src, 0)
		})
		total += n
		if err != nil || src.Len() == 0 || n == 0 {
			return total, err
		}
		if mode&NoWait != 0 || d.Flags()&linux.O_NONBLOCK != 0 {
			return total, nil
		}
	}
}

// IOMode modifies one read or write.
type IOMode uint8

// The modes.
const (
	Wait   IOMode = 0
	NoWait IOMode = 1 << iota // RWF_NOWAIT, MSG_DONTWAIT
	AtEnd                     // RWF_APPEND
)

// blocking runs op until it does not return EAGAIN, unless the description is
// non-blocking.
func (d *Description) blocking(c Context, want waiter.Events, mode IOMode, op func() (int64, error)) (int64, error) {
	n, err := op()
	if err != errno.EAGAIN || n > 0 || mode&NoWait != 0 || d.Flags()&linux.O_NONBLOCK != 0 {
		return n, err
	}
	deadline := waiter.Never
	if t, ok := d.file.(Timed); ok {
		deadline = t.IODeadline(want)
	}
	err = waiter.Until(c, d.wait, want, deadline, func() error {
		n, err = op()
		if n > 0 {
			return nil
		}
		return err
	})
	if !deadline.IsNever() {
		err = timedError(err)
	}
	return n, err
}

// timedError is the error of a wait with a time limit: it tells that the time is
// up as if there had been none, and never restarts, which would begin anew.
func timedError(err error) error {
	switch err {
	case errno.ETIMEDOUT:
		return errno.EAGAIN
	case errno.ERESTARTSYS:
		return errno.EINTR
	}
	return err
}

// begin resolves the offset of an operation and locks the current one; done
// stores the new offset.
func (d *Description) begin(off int64) (int64, func(end int64), error) {
	if off != CurrentOffset {
		if off < 0 {
			return 0, nil, errno.EINVAL
		}
		if d.seeker == nil {
			return 0, nil, errno.ESPIPE
		}
		return off, func(int64) {}, nil
	}
	if d.seeker == nil {
		return 0, func(int64) {}, nil
	}
	d.offMu.Lock()
	d.fetchOffset()
	return d.off.Load(), func(end int64) {
		d.storeOffset(end)
		d.offMu.Unlock()
	}, nil
}

// fetchOffset and storeOffset keep the offset where it belongs. The caller holds
// offMu.
func (d *Description) fetchOffset() {
	if d.position == nil {
		return
	}
	if at, err := d.position.Position(); err == nil {
		d.off.Store(at)
	}
}

func (d *Description) storeOffset(off int64) {
	d.off.Store(off)
	if d.position != nil {
		d.position.SetPosition(off)
	}
}

// cannot is the error of a read or write that the file does not have.
func (d *Description) cannot(linux.OpenFlags) error {
	if d.Inode().Attr().Mode.IsDir() {
		return errno.EISDIR
	}
	return errno.EINVAL
}

// Seek is lseek.
func (d *Description) Seek(c Context, offset int64, whence int) (int64, error) {
	if d.Flags()&linux.O_PATH != 0 {
		return 0, errno.EBADF
	}
	d.offMu.Lock()
	defer d.offMu.Unlock()
	if d.seeker == nil {
		if d.path.Dentry.isDir() {
			return d.seekDir(offset, whence)
		}
		return 0, errno.ESPIPE
	}
	d.fetchOffset()
	n, err := d.seeker.Seek(c, d.off.Load(), offset, whence)
	if err != nil {
		return 0, err
	}
	d.storeOffset(n)
	return n, nil
}

// ReadDir emits the entries of a directory from the current position on, "."
// and ".." first, until emit returns false.
//
// Errors: ENOTDIR, ENOENT if the directory has been removed.
func (d *Description) ReadDir(c Context, emit func(Dirent) bool) error {
	dir, ok := d.file.(DirReader)
	if !ok || d.Flags()&linux.O_PATH != 0 {
		if d.Flags()&linux.O_PATH != 0 {
			return errno.EBADF
		}
		return errno.ENOTDIR
	}
	d.offMu.Lock()
	defer d.offMu.Unlock()
	if d.path.Dentry.has(dDeadDir) {
		return errno.ENOENT
	}
	send := func(e Dirent) bool {
		if !emit(e) {
			return false
		}
		d.off.Store(e.Next)
		return true
	}
	for d.off.Load() < 2 {
		if !send(d.dotEntry(c, d.off.Load())) {
			return nil
		}
	}
	err := dir.ReadDir(c, d.off.Load(), send)
	d.accessed(c)
	return err
}

// dotEntry is "." at position 0 and ".." at position 1.
func (d *Description) dotEntry(c Context, pos int64) Dirent {
	self := d.path.Dentry
	if pos == 0 {
		return Dirent{Name: ".", Ino: inodeNumber(c, self.inode), Type: linux.DT_DIR, Next: 1}
	}
	parent, _ := self.where()
	if parent == nil {
		parent = self
	}
	return Dirent{Name: "..", Ino: inodeNumber(c, parent.inode), Type: linux.DT_DIR, Next: 2}
}

// seekDir is lseek on a directory: any position may be returned to.
func (d *Description) seekDir(offset int64, whence int) (int64, error) {
	switch whence {
	case linux.SEEK_SET:
	case linux.SEEK_CUR:
		offset += d.off.Load()
	default:
		return 0, errno.EINVAL
	}
	if offset < 0 {
		return 0, errno.EINVAL
	}
	d.off.Store(offset)
	return offset, nil
}

// Ioctl asks the file. ENOTTY if it knows no such command.
func (d *Description) Ioctl(c Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	f, ok := d.file.(Ioctler)
	if !ok {
		return 0, errno.ENOTTY
	}
	return f.Ioctl(c, m, cmd, arg)
}

// Sync is fsync; EINVAL if the file cannot be synchronised. Directories always
// can.
func (d *Description) Sync(c Context) error {
	if d.Flags()&linux.O_PATH != 0 {
		return errno.EBADF
	}
	if f, ok := d.file.(Syncer); ok {
		return f.Fsync(c)
	}
	if t := d.path.Dentry.fileType(); t == linux.S_IFREG || t == linux.S_IFDIR || t == linux.S_IFBLK {
		return nil
	}
	return errno.EINVAL
}

// Allocate is fallocate.
//
// Errors: EBADF if not open for writing, EINVAL for an empty range, ENODEV and
// ESPIPE for other than files, EFBIG, EOPNOTSUPP.
func (d *Description) Allocate(c Context, mode uint32, off, length int64) error {
	switch t := d.path.Dentry.fileType(); {
	case off < 0 || length <= 0:
		return errno.EINVAL
	case !d.Writable():
		return errno.EBADF
	case t == linux.S_IFIFO:
		return errno.ESPIPE
	case t == linux.S_IFDIR:
		return errno.EISDIR
	case t != linux.S_IFREG && t != linux.S_IFBLK:
		return errno.ENODEV
	case off > math.MaxInt64-length:
		return errno.EFBIG
	}
	f, ok := d.file.(Allocator)
	if !ok {
		return errno.EOPNOTSUPP
	}
	if err := f.Allocate(c, mode, off, length); err != nil {
		return err
	}
	d.modified(c)
	return nil
}

// Flush is told of each close of a descriptor.
func (d *Description) Flush(c Context) error {
	if f, ok := d.file.(Flusher); ok {
		return f.Flush(c)
	}
	return nil
}

// Offset is the current position, for /proc/PID/fdinfo. It does not wait for
// the lock: who reads the fdinfo of the very descriptor that he reads it through
// holds it.
func (d *Description) Offset() int64 {
	if d.offMu.TryLock() {
		defer d.offMu.Unlock()
		d.fetchOffset()
	}
	return d.off.Load()
}

// SeekSize is Seek for a file of the given size, without holes: what most
// Files call.
func SeekSize(pos, offset int64, whence int, size int64) (int64, error) {
	var n int64
	switch whence {
	case linux.SEEK_SET:
		n = offset
	case linux.SEEK_CUR:
		n = pos + offset
	case linux.SEEK_END:
		n = size + offset
	case linux.SEEK_DATA:
		if offset < 0 || offset >= size {
			return 0, errno.ENXIO
		}
		return offset, nil
	case linux.SEEK_HOLE:
		if offset < 0 || offset >= size {
			return 0, errno.ENXIO
		}
		return size, nil
	default:
		return 0, errno.EINVAL
	}
	if n < 0 {
		return 0, errno.EINVAL
	}
	return n, nil
}

// signalOwner is who gets SIGIO (F_SETOWN, F_SETSIG), kept for the kernel, which
// knows what it means.
type signalOwner struct {
	mu    lock.Mutex[lockorder.FileOwner]
	value any
	sig   linux.Signal
	async *waiter.Entry // of O_ASYNC, in the file's queue
}

// SetAsync makes e the file's entry for O_ASYNC, instead of the one before; nil
// takes that away.
func (d *Description) SetAsync(e *waiter.Entry) {
	d.owner.mu.Lock()
	defer d.owner.mu.Unlock()
	if d.owner.async != nil {
		d.Unregister(d.owner.async)
	}
	if d.owner.async = e; e != nil {
		d.Register(e)
	}
}

// SetOwner records who gets signals for the file; Owner returns it. The value
// is the kernel's.
func (d *Description) SetOwner(v any) {
	d.owner.mu.Lock()
	defer d.owner.mu.Unlock()
	d.owner.value = v
}

// Owner is what SetOwner recorded, nil if nothing.
func (d *Description) Owner() any {
	d.owner.mu.Lock()
	defer d.owner.mu.Unlock()
	return d.owner.value
}

// SetSignal and Signal are F_SETSIG and F_GETSIG.
func (d *Description) SetSignal(s linux.Signal) {
	d.owner.mu.Lock()
	defer d.owner.mu.Unlock()
	d.owner.sig = s
}

// Signal is the signal that F_SETSIG set, 0 for SIGIO.
func (d *Description) Signal() linux.Signal {
	d.owner.mu.Lock()
	defer d.owner.mu.Unlock()
	return d.owner.sig
}

// accessed and modified report a successful read and write.
func (d *Description) accessed(Context) { d.path.Dentry.notify(linux.IN_ACCESS) }
func (d *Description) modified(c Context) {
	dropPrivileges(c, d.path, d.file)
	d.path.Dentry.notify(linux.IN_MODIFY)
}

// released undoes what opening did to the inode.
func (d *Description) released() {
	if d.Flags()&linux.O_PATH != 0 {
		return
	}
	d.SetAsync(nil)
	releaseFileLocks(d)
	if d.denies {
		d.Inode().Node().AllowWrite()
	}
	if d.Writable() {
		if d.counted {
			d.Inode().Node().EndWrite()
		}
		d.path.Dentry.notify(linux.IN_CLOSE_WRITE)
		return
	}
	d.path.Dentry.notify(linux.IN_CLOSE_NOWRITE)
}

// MapFD is what a mapping of the file maps; ENODEV if it cannot be mapped.
func (d *Description) MapFD(c Context, a MapAccess) (int, error) {
	m, ok := d.file.(Mapper)
	if !ok {
		return -1, errno.ENODEV
	}
	return m.MapFD(c, a)
}

// MapName is what /proc/PID/maps shows, relative to the real root: who has
// another root asks PathString.
func (d *Description) MapName() string { return d.path.String() }

// MapID is the device and inode number in /proc/PID/maps.
func (d *Description) MapID() (linux.Dev, uint64) {
	s, err := d.Inode().Stat(nil, linux.STATX_INO)
	if err != nil {
		return 0, 0
	}
	return linux.NewDev(s.DevMajor, s.DevMinor), s.Ino
}
