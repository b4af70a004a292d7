package host

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// KeepCapabilities leaves every thread of this process these capabilities,
// permitted and effective, and no others. It fails with ENOTSUP in a program
// with the C library, where the Go runtime does not reach all threads.
func KeepCapabilities(bits uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(bits), Permitted: uint32(bits)},
		{Effective: uint32(bits >> 32), Permitted: uint32(bits >> 32)},
	}
	_, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	return result(e)
}

// SetNoNewPrivs makes sure that no execve of this process or its children adds
// a privilege.
func SetNoNewPrivs() error {
	_, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	return result(e)
}
