// Package sentry states what the Sentry's process may ask of the host: the
// seccomp allow-list that sentry/boot installs once the kernel stands. The
// kernel itself is in the packages below.
//
// A host call that the Sentry comes to need is one more line in hostCalls, with
// the reason; calls that only the platform makes are stated by the platform.
// Nothing that opens a path, makes a process, changes credentials or namespaces
// or reaches a network is ever in the list.
package sentry

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
)

// HostCalls returns the filter of a Sentry on a platform that needs the given
// calls. Any other call is not made, and raises SIGSYS, at which the Go runtime
// ends the process and prints who made it.
func HostCalls(platform []seccomp.Rule) *seccomp.Filter {
	return &seccomp.Filter{
		Rules:   seccomp.Merge(seccomp.GoRuntime(), hostCalls[:], platform),
		Default: seccomp.Trap,
		Foreign: seccomp.KillProcess,
	}
}

var hostCalls = [...]seccomp.Rule{
	// Files: donated by the Gofer or inherited at the start, and memfds.
	{Call: sysno.Read, Action: seccomp.Allow, Reason: "the container's standard input; answers of the Gofer; control requests"},
	{Call: sysno.Write, Action: seccomp.Allow, Reason: "the container's output; questions to the Gofer; control answers; log lines"},
	{Call: sysno.Pwrite64, Action: seccomp.Allow, Reason: "writing donated files and memfds"},
	{Call: sysno.Preadv, Action: seccomp.Allow, Reason: "reading donated files and memfds into several buffers"},
	{Call: sysno.Pwritev, Action: seccomp.Allow, Reason: "writing donated files and memfds from several buffers"},
	{Call: sysno.Preadv2, Action: seccomp.Allow, Reason: "reading inherited descriptors without blocking"},
	{Call: sysno.Pwritev2, Action: seccomp.Allow, Reason: "O_APPEND on donated files; writing inherited descriptors without blocking"},
	{Call: sysno.Lseek, Action: seccomp.Allow, Reason: "SEEK_DATA and SEEK_HOLE on donated files and memfds"},
	{Call: sysno.Fstat, Action: seccomp.Allow, Reason: "kind and size of inherited descriptors and memfds"},
	{Call: sysno.Statx, Action: seccomp.Allow, Reason: "attributes of donated files"},
	{Call: sysno.Ftruncate, Action: seccomp.Allow, Reason: "truncate on donated files and memfds"},
	{Call: sysno.Fallocate, Action: seccomp.Allow, Reason: "fallocate on donated files and memfds"},
	{Call: sysno.Fsync, Action: seccomp.Allow, Reason: "fsync on donated files"},
	{Call: sysno.Fdatasync, Action: seccomp.Allow, Reason: "fdatasync on donated files"},
	{Call: sysno.MemfdCreate, Checks: []seccomp.Check{seccomp.NoBits(1, linux.MFD_HUGETLB)}, Action: seccomp.Allow, Reason: "files of tmpfs, shared memory"},
	{Call: sysno.Fcntl, Action: seccomp.Allow, Reason: "duplicates, status flags and seals of descriptors"},
	{Call: sysno.Close, Action: seccomp.Allow, Reason: "descriptors of all kinds"},

	// Readiness of inherited descriptors.
	{Call: sysno.Ppoll, Action: seccomp.Allow, Reason: "asking whether an inherited descriptor is ready"},
	{Call: sysno.EpollWait, Action: seccomp.Allow, Reason: "the notifier's sleep"},
	{Call: sysno.Ioctl, Checks: []seccomp.Check{seccomp.Equal32(1, linux.TIOCINQ)}, Action: seccomp.Allow, Reason: "FIONREAD on inherited descriptors"},

	// Consoles.
	{Call: sysno.Ioctl, Checks: []seccomp.Check{seccomp.Equal32(1, linux.TCGETS)}, Action: seccomp.Allow, Reason: "the settings that a console starts with"},
	{Call: sysno.Ioctl, Checks: []seccomp.Check{seccomp.Equal32(1, linux.TCSETS)}, Action: seccomp.Allow, Reason: "raw mode of a console, and back"},
	{Call: sysno.Ioctl, Checks: []seccomp.Check{seccomp.Equal32(1, linux.TIOCGWINSZ)}, Action: seccomp.Allow, Reason: "the window size of a console"},
	{Call: sysno.Ioctl, Checks: []seccomp.Check{seccomp.Equal32(1, linux.TIOCSWINSZ)}, Action: seccomp.Allow, Reason: "resizing a console from inside"},

	// Messages with descriptors.
	{Call: sysno.Sendmsg, Action: seccomp.Allow, Reason: "control answers"},
	{Call: sysno.Recvmsg, Action: seccomp.Allow, Reason: "descriptors from the Gofer and from runsc"},
	{Call: sysno.Accept4, Action: seccomp.Allow, Reason: "control connections"},
	{Call: sysno.Shutdown, Action: seccomp.Allow, Reason: "ending channels to the Gofer that another thread sleeps on"},

	{Call: sysno.Getrandom, Action: seccomp.Allow, Reason: "getrandom, AT_RANDOM, /dev/urandom"},
}
