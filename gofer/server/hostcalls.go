package server

import "golang.org/x/sys/unix"

// HostCall is a host call that Serve makes, and what for.
type HostCall struct {
	Nr     uintptr
	Reason string
}

// HostCalls lists what Serve needs beyond the Go runtime, for a seccomp filter
// to be installed after OpenProcFD.
func HostCalls() []HostCall { return hostCalls[:] }

var hostCalls = [...]HostCall{
	{unix.SYS_READ, "questions of the Sentry"},
	{unix.SYS_WRITE, "answers without a descriptor; log lines"},
	{unix.SYS_SENDMSG, "answers with a donated descriptor"},
	{unix.SYS_SHUTDOWN, "ending channels that another thread sleeps on"},
	{unix.SYS_SOCKETPAIR, "further channels of a tree"},
	{unix.SYS_CLOSE, "forgotten nodes, donated descriptors"},
	{unix.SYS_UMASK, "modes as the Sentry asks for them"},
	{unix.SYS_PRLIMIT64, "the budget of nodes"},
	{unix.SYS_OPENAT2, "looking up one name beneath a directory"},
	{unix.SYS_OPENAT, "creating files, reading directories, opening nodes again through /proc/self/fd"},
	{unix.SYS_STATX, "attributes"},
	{unix.SYS_READLINKAT, "targets of symlinks"},
	{unix.SYS_GETDENTS64, "reading directories"},
	{unix.SYS_MKDIRAT, "mkdir"},
	{unix.SYS_MKNODAT, "FIFOs, sockets, whiteouts"},
	{unix.SYS_SYMLINKAT, "symlink"},
	{unix.SYS_LINKAT, "link"},
	{unix.SYS_UNLINKAT, "unlink and rmdir"},
	{unix.SYS_RENAMEAT2, "rename"},
	{unix.SYS_FCHOWNAT, "owners of new files, chown"},
	{unix.SYS_FCHMODAT, "modes of new files, chmod"},
	{unix.SYS_FTRUNCATE, "truncate"},
	{unix.SYS_UTIMENSAT, "utimensat"},
	{unix.SYS_FGETXATTR, "getxattr"},
	{unix.SYS_FSETXATTR, "setxattr"},
	{unix.SYS_FLISTXATTR, "listxattr"},
	{unix.SYS_FREMOVEXATTR, "removexattr"},
	{unix.SYS_FSTATFS, "statfs"},
	{unix.SYS_FSYNC, "fsync of directories"},
	{unix.SYS_SYNCFS, "syncfs"},
	{unix.SYS_SOCKET, "connecting to sockets in trees that allow it"},
	{unix.SYS_CONNECT, "connecting to sockets in trees that allow it"},
	{unix.SYS_UNSHARE, "a working directory of its own for a thread that connects"},
	{unix.SYS_FCHDIR, "naming the socket to connect to by our descriptor"},
}
