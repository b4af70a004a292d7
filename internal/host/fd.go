package host

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// FD is a host descriptor with one owner, who calls Close. After Close every
// method fails with EBADF; Close must not run at the same time as another
// method, because the number may by then mean something else.
//
// Nothing here retries a short read or write. EINTR is retried.
type FD struct{ number atomic.Int32 }

// NewFD takes over an open descriptor.
func NewFD(number int) *FD {
	fd := new(FD)
	fd.number.Store(int32(number))
	leaks.opened(fd)
	return fd
}

// Number is the descriptor's number, -1 after Close. The FD keeps owning it.
func (fd *FD) Number() int { return int(fd.number.Load()) }

// Close closes the descriptor. A second Close is EBADF.
func (fd *FD) Close() error {
	n := fd.number.Swap(-1)
	if n < 0 {
		return errno.EBADF
	}
	leaks.closed(fd)
	return failure(unix.Close(int(n)))
}

// Release gives up the descriptor without closing it and returns its number.
func (fd *FD) Release() int {
	leaks.closed(fd)
	return int(fd.number.Swap(-1))
}

// Dup opens another descriptor for the same file description.
func (fd *FD) Dup() (*FD, error) { return Dup(fd.Number()) }

// failure turns an error of golang.org/x/sys/unix into ours.
func failure(err error) error {
	if err == nil {
		return nil
	}
	return errno.FromHost(err)
}

// Read, Write, ReadAt and WriteAt make one host call. At the end of a file
// Read and ReadAt return 0 and no error.
func (fd *FD) Read(b []byte) (int, error) {
	return retry(func() (int, error) { return unix.Read(fd.Number(), b) })
}

func (fd *FD) Write(b []byte) (int, error) {
	return retry(func() (int, error) { return unix.Write(fd.Number(), b) })
}

func (fd *FD) ReadAt(b []byte, offset int64) (int, error) {
	return retry(func() (int, error) { return unix.Pread(fd.Number(), b, offset) })
}

func (fd *FD) WriteAt(b []byte, offset int64) (int, error) {
	return retry(func() (int, error) { return unix.Pwrite(fd.Number(), b, offset) })
}

// ReadVecAt and WriteVecAt are ReadAt and WriteAt over several buffers.
func (fd *FD) ReadVecAt(bufs [][]byte, offset int64) (int, error) {
	return retry(func() (int, error) { return unix.Preadv(fd.Number(), bufs, offset) })
}

func (fd *FD) WriteVecAt(bufs [][]byte, offset int64) (int, error) {
	return retry(func() (int, error) { return unix.Pwritev(fd.Number(), bufs, offset) })
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, failure(err)
		}
		return n, nil
	}
}

// Stat is fstat(2).
func (fd *FD) Stat(st *unix.Stat_t) error { return failure(unix.Fstat(fd.Number(), st)) }

// Statx asks about the open file itself.
func (fd *FD) Statx(mask int, stx *unix.Statx_t) error {
	return failure(unix.Statx(fd.Number(), "", unix.AT_EMPTY_PATH, mask, stx))
}

// Truncate is ftruncate(2), Allocate fallocate(2).
func (fd *FD) Truncate(length int64) error {
	_, err := retry(func() (int, error) { return 0, unix.Ftruncate(fd.Number(), length) })
	return err
}

func (fd *FD) Allocate(mode uint32, offset, length int64) error {
	_, err := retry(func() (int, error) { return 0, unix.Fallocate(fd.Number(), mode, offset, length) })
	return err
}

// Sync and DataSync are fsync(2) and fdatasync(2).
func (fd *FD) Sync() error     { return failure(unix.Fsync(fd.Number())) }
func (fd *FD) DataSync() error { return failure(unix.Fdatasync(fd.Number())) }

// Seek is lseek(2), of use for SEEK_DATA and SEEK_HOLE.
func (fd *FD) Seek(offset int64, whence int) (int64, error) {
	n, err := unix.Seek(fd.Number(), offset, whence)
	return n, failure(err)
}

// Flags returns the status flags (O_*), SetFlags changes them.
func (fd *FD) Flags() (int, error) {
	n, err := unix.FcntlInt(uintptr(fd.Number()), unix.F_GETFL, 0)
	return n, failure(err)
}

func (fd *FD) SetFlags(flags int) error {
	_, err := unix.FcntlInt(uintptr(fd.Number()), unix.F_SETFL, flags)
	return failure(err)
}

// Seals returns a memfd's seals, AddSeals adds some.
func (fd *FD) Seals() (int, error) {
	n, err := unix.FcntlInt(uintptr(fd.Number()), unix.F_GET_SEALS, 0)
	return n, failure(err)
}

func (fd *FD) AddSeals(seals int) error {
	_, err := unix.FcntlInt(uintptr(fd.Number()), unix.F_ADD_SEALS, seals)
	return failure(err)
}

// Ready says at once which of the poll events are there.
func (fd *FD) Ready(events int16) (int16, error) {
	poll := []unix.PollFd{{Fd: fd.number.Load(), Events: events}}
	_, err := retry(func() (int, error) { return unix.Poll(poll, 0) })
	return poll[0].Revents, err
}

// Map maps a part of the file into this process; Unmap undoes it. The memory
// must never be accessed behind the end of the file.
func (fd *FD) Map(offset int64, length, prot, flags int) ([]byte, error) {
	b, err := unix.Mmap(fd.Number(), offset, length, prot, flags)
	return b, failure(err)
}

// Unmap removes what Map or MapAnonymous returned.
func Unmap(b []byte) error { return failure(unix.Munmap(b)) }

// MapAnonymous maps zero memory that is not the Go heap's.
func MapAnonymous(length, prot int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, length, prot, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	return b, failure(err)
}

// Memfd makes a file in memory. The name is for the host's administrator.
func Memfd(name string, flags int) (*FD, error) {
	n, err := unix.MemfdCreate(name, flags|unix.MFD_CLOEXEC)
	if err != nil {
		return nil, failure(err)
	}
	return NewFD(n), nil
}

// EventFD makes a counter, non-blocking.
func EventFD() (*FD, error) {
	n, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, failure(err)
	}
	return NewFD(n), nil
}

// Socketpair makes two connected unix sockets of the given type (SOCK_*).
func Socketpair(kind int) (*FD, *FD, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, failure(err)
	}
	return NewFD(pair[0]), NewFD(pair[1]), nil
}

// Getrandom fills b.
func Getrandom(b []byte) error {
	for len(b) > 0 {
		n, err := retry(func() (int, error) { return unix.Getrandom(b, 0) })
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// FutexWait sleeps while *word is value, until a wake-up. It may return early.
// The word may be shared with another process.
func FutexWait(word *uint32, value uint32) error {
	const wait = 0
	_, _, e := syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), wait, uintptr(value), 0, 0, 0)
	if e == syscall.EAGAIN || e == syscall.EINTR {
		return nil
	}
	return result(e)
}

// FutexWake wakes up to n sleepers.
func FutexWake(word *uint32, n int) error {
	const wake = 1
	_, _, e := syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), wake, uintptr(n), 0, 0, 0)
	return result(e)
}

// leaks records where descriptors that are still open were made.
var leaks leakRecord

type leakRecord struct {
	on   atomic.Bool
	mu   sync.Mutex
	open map[*FD]string
}

// RecordLeaks starts recording. Tests call it, before anything else.
func RecordLeaks() { leaks.on.Store(true) }

// Leaked returns the stacks of the creation of all descriptors that are open.
func Leaked() []string {
	leaks.mu.Lock()
	defer leaks.mu.Unlock()
	var all []string
	for _, stack := range leaks.open {
		all = append(all, stack)
	}
	return all
}

func (l *leakRecord) opened(fd *FD) {
	if !l.on.Load() {
		return
	}
	stack := make([]byte, 4096)
	stack = stack[:runtime.Stack(stack, false)]
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[*FD]string{}
	}
	l.open[fd] = string(stack)
}

func (l *leakRecord) closed(fd *FD) {
	if !l.on.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, fd)
}

// ReadNow and WriteNow read and write what is possible without waiting, at the
// file's own offset: EAGAIN if that is nothing. They do not change the file's
// flags, which its other users share. One host call where the host supports
// it for the kind of file, two where not.
func (fd *FD) ReadNow(b []byte) (int, error) {
	n, err := retry(func() (int, error) {
		return unix.Preadv2(fd.Number(), [][]byte{b}, -1, unix.RWF_NOWAIT)
	})
	if err != errno.EOPNOTSUPP {
		return n, err
	}
	if err := fd.readyNow(unix.POLLIN); err != nil {
		return 0, err
	}
	return fd.Read(b)
}

// atomicWrite is what a descriptor that polls as writable takes without
// waiting (PIPE_BUF, and what a terminal's driver guarantees).
const atomicWrite = 2048

// WriteNow is the other direction.
func (fd *FD) WriteNow(b []byte) (int, error) {
	n, err := retry(func() (int, error) {
		return unix.Pwritev2(fd.Number(), [][]byte{b}, -1, unix.RWF_NOWAIT)
	})
	if err != errno.EOPNOTSUPP {
		return n, err
	}
	if err := fd.readyNow(unix.POLLOUT); err != nil {
		return 0, err
	}
	return fd.Write(b[:min(len(b), atomicWrite)])
}

func (fd *FD) readyNow(want int16) error {
	ev, err := fd.Poll(want)
	if err != nil {
		return err
	}
	if ev == 0 {
		return errno.EAGAIN
	}
	return nil
}

// Poll returns which of the events (POLL*) hold now.
func (fd *FD) Poll(want int16) (int16, error) {
	p := []unix.PollFd{{Fd: int32(fd.Number()), Events: want}}
	if _, err := retry(func() (int, error) { return unix.Poll(p, 0) }); err != nil {
		return 0, err
	}
	return p[0].Revents, nil
}

// Await waits until one of the events, POLLHUP or POLLERR holds.
func (fd *FD) Await(want int16) (int16, error) {
	p := []unix.PollFd{{Fd: int32(fd.Number()), Events: want}}
	if _, err := retry(func() (int, error) { return unix.Poll(p, -1) }); err != nil {
		return 0, err
	}
	return p[0].Revents, nil
}

// StatusFlags are F_GETFL's.
func (fd *FD) StatusFlags() (int, error) {
	n, err := unix.FcntlInt(uintptr(fd.Number()), unix.F_GETFL, 0)
	return n, failure(err)
}

// Buffered is FIONREAD.
func (fd *FD) Buffered() (int, error) {
	n, err := unix.IoctlGetInt(fd.Number(), unix.TIOCINQ)
	return n, failure(err)
}

// Dup opens another descriptor for the same file description.
func Dup(number int) (*FD, error) {
	n, err := unix.FcntlInt(uintptr(number), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, failure(err)
	}
	return NewFD(n), nil
}
