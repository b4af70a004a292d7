package host

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// Requests of ioctl(2) on a listener of seccomp's user notifications.
const (
	NotifyRecv  = 0xc0502100
	NotifySend  = 0xc0182101
	NotifyAddFD = 0x40182103

	notifySetFlags = 0x40082104
)

// FilterNewListener makes seccomp(2) return a listener.
const FilterNewListener = 1 << 3

// Notification is struct seccomp_notif: a call that another process waits to be
// told the result of.
type Notification struct {
	ID   uint64
	PID  uint32 // the thread
	_    uint32
	Nr   int32
	Arch uint32
	IP   uint64
	Args [6]uint64
}

// Receive waits for a notification. ENOENT: whoever made the call was killed
// meanwhile.
func (fd *FD) Receive(n *Notification) error {
	*n = Notification{}
	_, _, e := syscall.Syscall(unix.SYS_IOCTL, uintptr(fd.Number()), NotifyRecv, uintptr(unsafe.Pointer(n)))
	return result(e)
}

// WakeInPlace has the host wake whoever waits for a notification, or for its
// answer, on the processor of the one that made it. Linux before 6.6 cannot.
func (fd *FD) WakeInPlace() error {
	const syncWakeUp = 1
	_, _, e := syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd.Number()), notifySetFlags, syncWakeUp)
	return result(e)
}

// Answer ends a notification: its call returns value or fails with e.
// ENOENT: nobody waits any more.
func (fd *FD) Answer(id uint64, value int64, e errno.Errno) error {
	return fd.answer(id, value, e, 0)
}

// Continue has the host carry out the call.
func (fd *FD) Continue(id uint64) error {
	const flagContinue = 1
	return fd.answer(id, 0, 0, flagContinue)
}

func (fd *FD) answer(id uint64, value int64, e errno.Errno, flags uint32) error {
	response := struct {
		id    uint64
		value int64
		err   int32
		flags uint32
	}{id, value, -int32(e), flags}
	_, _, errno := syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd.Number()), NotifySend, uintptr(unsafe.Pointer(&response)))
	return result(errno)
}

// GiveFD makes descriptor number of the process that waits a copy of ours, and
// ends the notification with the number as its result.
func (fd *FD) GiveFD(id uint64, ours, number int) error {
	const flagSetFD, flagSend = 1, 2
	request := struct {
		id                            uint64
		flags, src, number, fileFlags uint32
	}{id, flagSetFD | flagSend, uint32(ours), uint32(number), 0}
	for {
		_, _, e := syscall.Syscall(unix.SYS_IOCTL, uintptr(fd.Number()), NotifyAddFD, uintptr(unsafe.Pointer(&request)))
		if e != syscall.EINTR {
			return result(e)
		}
	}
}

// TakeFD copies a descriptor of a process that the caller may trace.
func TakeFD(pid, number int) (*FD, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, failure(err)
	}
	defer unix.Close(pidfd)
	n, err := unix.PidfdGetfd(pidfd, number, 0)
	if err != nil {
		return nil, failure(err)
	}
	return NewFD(n), nil
}

// EndedChild waits until a child of the calling thread has ended and returns its
// number; Reap takes it away. ECHILD: the thread has no children.
func EndedChild() (int, error) {
	var info struct {
		signo, errno, code, _ int32
		pid                   int32
		_                     [108]byte
	}
	const wnothread = 0x20000000
	for {
		_, _, e := syscall.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)),
			unix.WEXITED|unix.WNOWAIT|unix.WALL|wnothread, 0, 0)
		if e == syscall.EINTR {
			continue
		}
		return int(info.pid), result(e)
	}
}
