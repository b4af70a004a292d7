package server

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
)

// HostCalls lists what Serve needs beside seccomp.GoRuntime, for a filter that
// is installed after OpenProcFD.
func HostCalls() []seccomp.Rule { return hostCalls[:] }

var hostCalls = [...]seccomp.Rule{
	{Call: sysno.Read, Action: seccomp.Allow, Reason: "questions of the Sentry"},
	{Call: sysno.Write, Action: seccomp.Allow, Reason: "answers without a descriptor; log lines"},
	{Call: sysno.Sendmsg, Action: seccomp.Allow, Reason: "answers with a donated descriptor"},
	{Call: sysno.Shutdown, Action: seccomp.Allow, Reason: "ending channels that another thread sleeps on"},
	{Call: sysno.Socketpair, Checks: []seccomp.Check{seccomp.Equal32(0, linux.AF_UNIX)}, Action: seccomp.Allow, Reason: "further channels of a tree"},
	{Call: sysno.Close, Action: seccomp.Allow, Reason: "forgotten nodes, donated descriptors"},
	{Call: sysno.Umask, Action: seccomp.Allow, Reason: "modes as the Sentry asks for them"},
	{Call: sysno.Prlimit64, Action: seccomp.Allow, Reason: "the budget of nodes"},
	{Call: sysno.Openat2, Action: seccomp.Allow, Reason: "looking up one name beneath a directory"},
	{Call: sysno.Openat, Action: seccomp.Allow, Reason: "creating files, reading directories, opening nodes again through /proc/self/fd"},
	{Call: sysno.Statx, Action: seccomp.Allow, Reason: "attributes"},
	{Call: sysno.Readlinkat, Action: seccomp.Allow, Reason: "targets of symlinks"},
	{Call: sysno.Getdents64, Action: seccomp.Allow, Reason: "reading directories"},
	{Call: sysno.Mkdirat, Action: seccomp.Allow, Reason: "mkdir"},
	{Call: sysno.Mknodat, Action: seccomp.Allow, Reason: "FIFOs, sockets, whiteouts"},
	{Call: sysno.Symlinkat, Action: seccomp.Allow, Reason: "symlink"},
	{Call: sysno.Linkat, Action: seccomp.Allow, Reason: "link"},
	{Call: sysno.Unlinkat, Action: seccomp.Allow, Reason: "unlink and rmdir"},
	{Call: sysno.Renameat2, Action: seccomp.Allow, Reason: "rename"},
	{Call: sysno.Fchownat, Action: seccomp.Allow, Reason: "owners of new files, chown"},
	{Call: sysno.Fchmodat, Action: seccomp.Allow, Reason: "modes of new files, chmod"},
	{Call: sysno.Ftruncate, Action: seccomp.Allow, Reason: "truncate"},
	{Call: sysno.Utimensat, Action: seccomp.Allow, Reason: "utimensat"},
	{Call: sysno.Fgetxattr, Action: seccomp.Allow, Reason: "getxattr"},
	{Call: sysno.Fsetxattr, Action: seccomp.Allow, Reason: "setxattr"},
	{Call: sysno.Flistxattr, Action: seccomp.Allow, Reason: "listxattr"},
	{Call: sysno.Fremovexattr, Action: seccomp.Allow, Reason: "removexattr"},
	{Call: sysno.Fstatfs, Action: seccomp.Allow, Reason: "statfs"},
	{Call: sysno.Fsync, Action: seccomp.Allow, Reason: "fsync of directories"},
	{Call: sysno.Syncfs, Action: seccomp.Allow, Reason: "syncfs"},
	{Call: sysno.Socket, Checks: []seccomp.Check{seccomp.Equal32(0, linux.AF_UNIX)}, Action: seccomp.Allow, Reason: "connecting to sockets in trees that allow it"},
	{Call: sysno.Connect, Action: seccomp.Allow, Reason: "connecting to sockets in trees that allow it"},
	{Call: sysno.Unshare, Checks: []seccomp.Check{seccomp.Equal32(0, linux.CLONE_FS)}, Action: seccomp.Allow, Reason: "a working directory of its own for a thread that connects"},
	{Call: sysno.Fchdir, Action: seccomp.Allow, Reason: "naming the socket to connect to by our descriptor"},
}
