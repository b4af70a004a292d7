package host

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CPUSet is a set of processors of the host.
type CPUSet = unix.CPUSet

// Affinity returns the processors on which this thread may run.
func Affinity() (CPUSet, error) {
	var set CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return set, result(err.(unix.Errno))
	}
	return set, nil
}

// SetAffinity limits a thread of this process or of a child to some
// processors. Thread 0 is the calling one.
func SetAffinity(tid int, set *CPUSet) error {
	if err := unix.SchedSetaffinity(tid, set); err != nil {
		return result(err.(unix.Errno))
	}
	return nil
}

// CurrentCPU returns the processor that runs the calling thread, or -1.
func CurrentCPU() int {
	var cpu uint32
	_, _, e := syscall.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0)
	if e != 0 {
		return -1
	}
	return int(cpu)
}

// Gettid returns the number of the calling thread.
func Gettid() int { return unix.Gettid() }

// Yield lets other threads of the host run before this one.
func Yield() { syscall.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
