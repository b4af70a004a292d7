package host

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// LandlockRule allows what Access says (LANDLOCK_ACCESS_FS bits) on the file of
// an O_PATH descriptor and, when that is a directory, on all beneath it.
type LandlockRule struct {
	FD     int
	Access uint64
}

// LandlockVersion is the newest ABI version of landlock(7) that the host has; 0
// when it has none.
func LandlockVersion() int {
	v, _, e := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0
	}
	return int(v)
}

// Landlock denies every thread of this process all of handled that no rule
// allows, for good. It needs no_new_privs. It fails with ENOTSUP in a program
// with the C library, as KeepCapabilities does.
func Landlock(handled uint64, rules []LandlockRule) error {
	// The attribute is its first field alone, as version 1 has it.
	set, _, e := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), unsafe.Sizeof(handled), 0)
	if e != 0 {
		return errno.FromHost(e)
	}
	defer unix.Close(int(set))
	for _, r := range rules {
		beneath := unix.LandlockPathBeneathAttr{Allowed_access: r.Access & handled, Parent_fd: int32(r.FD)}
		_, _, e := syscall.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, set, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&beneath)), 0, 0, 0)
		if e != 0 {
			return errno.FromHost(e)
		}
	}
	_, _, e = syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0)
	return result(e)
}
