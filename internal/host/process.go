package host

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// Wait waits for a change of the child or tracee tid, whatever its kind, and
// reaps it when it has ended.
func Wait(tid int) (unix.WaitStatus, error) {
	for {
		var status int32
		_, _, e := syscall.Syscall6(unix.SYS_WAIT4, uintptr(tid), uintptr(unsafe.Pointer(&status)), unix.WALL, 0, 0, 0)
		if e == syscall.EINTR {
			continue
		}
		return unix.WaitStatus(status), result(e)
	}
}

// Kill sends a signal to a process, Tgkill to one of its threads.
func Kill(pid int, signal syscall.Signal) error {
	_, _, e := syscall.RawSyscall(unix.SYS_KILL, uintptr(pid), uintptr(signal), 0)
	return result(e)
}

func Tgkill(pid, tid int, signal syscall.Signal) error {
	_, _, e := syscall.RawSyscall(unix.SYS_TGKILL, uintptr(pid), uintptr(tid), uintptr(signal))
	return result(e)
}

// BlockSignals blocks all signals in the calling thread.
func BlockSignals() error {
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	return failure(unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil))
}

// QuietChildStops sets SA_NOCLDSTOP for SIGCHLD, without which the host would
// send this process a signal at every stop of a tracee. It keeps the handler.
func QuietChildStops() error {
	// struct sigaction of the kernel: handler, flags, restorer, mask.
	var act [4]uint64
	_, _, e := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), 0, uintptr(unsafe.Pointer(&act)), 8, 0, 0)
	if e != 0 {
		return result(e)
	}
	const noCldStop = 1
	act[1] |= noCldStop
	_, _, e = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	return result(e)
}

// Span is a range of another process's memory.
type Span struct{ Addr, Len uintptr }

// maxSpans is how many ranges one call takes (UIO_MAXIOV).
const maxSpans = 1024

// ReadProcess copies from the memory of process pid, with that process's own
// rights, and returns how many bytes came before one that cannot be read.
func ReadProcess(pid int, b []byte, addr uintptr) (int, error) {
	return copyProcess(unix.SYS_PROCESS_VM_READV, pid, b, addr)
}

// WriteProcess copies to the memory of process pid.
func WriteProcess(pid int, b []byte, addr uintptr) (int, error) {
	return copyProcess(unix.SYS_PROCESS_VM_WRITEV, pid, b, addr)
}

func copyProcess(call uintptr, pid int, b []byte, addr uintptr) (int, error) {
	spans := [1]Span{{addr, uintptr(len(b))}}
	return copySpans(call, pid, b, spans[:])
}

// ReadProcessVec and WriteProcessVec are ReadProcess and WriteProcess over
// several ranges, whose lengths must sum up to at least len(b).
func ReadProcessVec(pid int, b []byte, spans []Span) (int, error) {
	return copyAllSpans(unix.SYS_PROCESS_VM_READV, pid, b, spans)
}

func WriteProcessVec(pid int, b []byte, spans []Span) (int, error) {
	return copyAllSpans(unix.SYS_PROCESS_VM_WRITEV, pid, b, spans)
}

func copyAllSpans(call uintptr, pid int, b []byte, spans []Span) (int, error) {
	done := 0
	for done < len(b) && len(spans) > 0 {
		some := spans[:min(len(spans), maxSpans)]
		spans = spans[len(some):]
		var want uintptr
		for _, s := range some {
			want += s.Len
		}
		part := b[done:min(uintptr(len(b)), uintptr(done)+want)]
		n, err := copySpans(call, pid, part, some)
		done += n
		if err != nil {
			return done, err
		}
	}
	if done < len(b) {
		return done, errno.EFAULT
	}
	return done, nil
}

func copySpans(call uintptr, pid int, b []byte, spans []Span) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	local := unix.Iovec{Base: unsafe.SliceData(b), Len: uint64(len(b))}
	n, _, e := syscall.Syscall6(call, uintptr(pid), uintptr(unsafe.Pointer(&local)), 1,
		uintptr(unsafe.Pointer(unsafe.SliceData(spans))), uintptr(len(spans)), 0)
	runtime.KeepAlive(b)
	if e != 0 {
		return 0, result(e)
	}
	if int(n) < len(b) {
		return int(n), errno.EFAULT
	}
	return int(n), nil
}
