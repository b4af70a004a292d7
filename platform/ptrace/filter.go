package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
)

// cloneThread and cloneProcess are the flags of clone that a stub may use.
// CLONE_PARENT makes every stub a child of the Sentry.
const (
	cloneThread  = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	cloneProcess = unix.CLONE_PARENT
	cloneProbe   = unix.CLONE_PARENT | unix.CLONE_VM | unix.CLONE_VFORK
)

// HostCalls lists what the Sentry needs beside seccomp.GoRuntime once New has
// returned.
func HostCalls() []seccomp.Rule { return hostCalls[:] }

var hostCalls = [...]seccomp.Rule{
	{Call: sysno.Ptrace, Action: seccomp.Allow, Reason: "platform/ptrace: running guest threads"},
	{Call: sysno.Wait4, Action: seccomp.Allow, Reason: "platform/ptrace: waiting for guest threads"},
	{Call: sysno.Kill, Checks: []seccomp.Check{seccomp.Equal32(1, uint32(linux.SIGKILL))}, Action: seccomp.Allow, Reason: "platform/ptrace: ending address spaces"},
	{Call: sysno.ProcessVmReadv, Action: seccomp.Allow, Reason: "platform/ptrace: reading guest memory"},
	{Call: sysno.ProcessVmWritev, Action: seccomp.Allow, Reason: "platform/ptrace: writing guest memory"},
	{Call: sysno.Sendmsg, Action: seccomp.Allow, Reason: "platform/ptrace: passing files that guests map"},
	{Call: sysno.Recvfrom, Action: seccomp.Allow, Reason: "platform/ptrace: taking back a file that a guest did not map"},
	{Call: sysno.SchedSetaffinity, Action: seccomp.Allow, Reason: "platform/ptrace: placing a guest thread beside its tracer"},
	{Call: sysno.Getcpu, Action: seccomp.Allow, Reason: "platform/ptrace: placing a guest thread beside its tracer"},
}

// StubCalls is all that the host lets a stub do. Guest code never comes this
// far, because its calls stop at the tracer before the filter is asked; the
// filter holds when that fails.
func StubCalls() []seccomp.Rule { return stubCalls[:] }

var stubCalls = [...]seccomp.Rule{
	{Call: sysno.Mmap, Action: seccomp.Allow, Reason: "AddressSpace.Map"},
	{Call: sysno.Munmap, Action: seccomp.Allow, Reason: "AddressSpace.Unmap"},
	{Call: sysno.Mprotect, Action: seccomp.Allow, Reason: "AddressSpace.Protect"},
	{Call: sysno.Mremap, Action: seccomp.Allow, Reason: "AddressSpace.Move"},
	{Call: sysno.Madvise, Action: seccomp.Allow, Reason: "AddressSpace.Advise"},
	{Call: sysno.Mincore, Action: seccomp.Allow, Reason: "AddressSpace.Resident"},
	{Call: sysno.Clone, Checks: []seccomp.Check{seccomp.Equal(0, cloneProcess)}, Action: seccomp.Allow, Reason: "AddressSpace.Fork"},
	{Call: sysno.Clone, Checks: []seccomp.Check{seccomp.Equal(0, cloneThread)}, Action: seccomp.Allow, Reason: "AddressSpace.NewThread"},
	{Call: sysno.Clone, Checks: []seccomp.Check{seccomp.Equal(0, cloneProbe)}, Action: seccomp.Allow, Reason: "trying how many threads the host allows"},
	{Call: sysno.Recvmsg, Checks: []seccomp.Check{seccomp.Equal(0, 0)}, Action: seccomp.Allow, Reason: "AddressSpace.Map receives the file"},
	{Call: sysno.Close, Checks: []seccomp.Check{seccomp.Equal(0, 1)}, Action: seccomp.Allow, Reason: "AddressSpace.Map closes it again"},
	{Call: sysno.Prctl, Checks: []seccomp.Check{seccomp.Equal(0, linux.PR_SET_PDEATHSIG)}, Action: seccomp.Allow, Reason: "a new stub dies with the Sentry"},
	{Call: sysno.Prctl, Checks: []seccomp.Check{seccomp.Equal(0, linux.PR_SET_NAME)}, Action: seccomp.Allow, Reason: "AddressSpace.SetName"},
	{Call: sysno.Pause, Action: seccomp.Allow, Reason: "a stub without a tracer waits"},
	{Call: sysno.Exit, Action: seccomp.Allow, Reason: "Thread.Close"},

	// The calls behind the fixed page at the top of the address space: the
	// host serves them without asking the tracer, but does ask the filter.
	// They end as a signal, which Switch reports as the call.
	{Call: sysno.Gettimeofday, Action: seccomp.Trap, Reason: "vsyscall page"},
	{Call: sysno.Time, Action: seccomp.Trap, Reason: "vsyscall page"},
	{Call: sysno.Getcpu, Action: seccomp.Trap, Reason: "vsyscall page"},
}

// stubFilter is the program for seccomp(2), as bytes.
func stubFilter() ([]byte, error) {
	filter := seccomp.Filter{Rules: StubCalls(), Default: seccomp.KillProcess, Foreign: seccomp.KillProcess}
	program, err := filter.Build()
	if err != nil {
		return nil, err
	}
	size := len(program) * int(unsafe.Sizeof(program[0]))
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(program))), size), nil
}
