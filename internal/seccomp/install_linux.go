package seccomp

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// Install binds every thread of the calling process, and all that it starts
// from now on, to the filter. It sets no_new_privs, which an unprivileged
// process needs and nothing of ours may do without.
func (f *Filter) Install() error {
	code, err := f.Build()
	if err != nil {
		return err
	}
	return InstallProgram(code)
}

// InstallProgram installs a program made by Build.
func InstallProgram(code []linux.SockFilter) error {
	if len(code) == 0 || len(code) > linux.BPF_MAXINSNS {
		return fmt.Errorf("seccomp: %d instructions, want 1 to %d", len(code), linux.BPF_MAXINSNS)
	}
	// no_new_privs belongs to a thread, and must be set on the one that
	// installs; TSYNC then gives both to the others.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("seccomp: set no_new_privs: %w", err)
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: (*unix.SockFilter)(unsafe.Pointer(&code[0]))}
	tid, _, e := unix.Syscall(unix.SYS_SECCOMP, linux.SECCOMP_SET_MODE_FILTER,
		linux.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(code)
	if e != 0 {
		return fmt.Errorf("seccomp: install a filter of %d instructions: %w", len(code), e)
	}
	if tid != 0 {
		return fmt.Errorf("seccomp: install a filter: thread %d has filters of its own", tid)
	}
	return nil
}
