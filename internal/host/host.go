// Package host is the Sentry's one doorway to the host kernel: descriptors,
// memory of other processes, tracing, futexes, sockets that carry descriptors,
// clocks. What the Sentry may ask of the host is what this package asks, and
// the Sentry's seccomp list says which function needs which call.
//
// Main types: FD, a descriptor with one owner, whose leaks a test can see;
// Notifier, which waits for readiness of many descriptors. Functions are thin:
// they turn arguments into one host call, retry EINTR where nothing can be
// lost, and return errno.Errno values. The package opens no path, knows
// nothing of tasks or files, and keeps no state but the Notifier's.
//
// Calls that may block go through the Go scheduler (syscall.Syscall); those
// that cannot are made directly (RawSyscall), which is cheaper, but would hold
// up a garbage collection if they ever blocked.
package host

import (
	"syscall"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// result turns what a host call returned into an error.
func result(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return errno.FromHost(e)
}
