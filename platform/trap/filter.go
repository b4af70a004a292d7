package trap

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
)

// The flags of clone that a stub may use. CLONE_PARENT makes every stub a child
// of the Sentry.
const (
	cloneThread  = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	cloneProcess = unix.CLONE_PARENT
)

// HostCalls lists what the Sentry needs beside seccomp.GoRuntime once New has
// returned.
func HostCalls() []seccomp.Rule { return hostCalls[:] }

var hostCalls = [...]seccomp.Rule{
	{Call: sysno.Waitid, Action: seccomp.Allow, Reason: "platform/trap: learning which stub has ended"},
	{Call: sysno.Wait4, Action: seccomp.Allow, Reason: "platform/trap: reaping it"},
	{Call: sysno.Kill, Checks: []seccomp.Check{seccomp.Equal32(1, uint32(linux.SIGKILL))}, Action: seccomp.Allow, Reason: "platform/trap: ending address spaces"},
	{Call: sysno.ProcessVmReadv, Action: seccomp.Allow, Reason: "platform/trap: reading guest memory"},
	{Call: sysno.ProcessVmWritev, Action: seccomp.Allow, Reason: "platform/trap: writing guest memory"},
	{Call: sysno.MemfdCreate, Checks: []seccomp.Check{seccomp.NoBits(1, linux.MFD_HUGETLB)}, Action: seccomp.Allow, Reason: "platform/trap: areas of guest threads"},
	{Call: sysno.Ftruncate, Action: seccomp.Allow, Reason: "platform/trap: areas of guest threads"},
	{Call: sysno.Close, Action: seccomp.Allow, Reason: "platform/trap: areas of guest threads"},
	{Call: sysno.SchedSetaffinity, Action: seccomp.Allow, Reason: "platform/trap: placing a stub and its owner"},
	{Call: sysno.Getcpu, Action: seccomp.Allow, Reason: "platform/trap: placing a stub and its owner"},
	{Call: sysno.Getrandom, Action: seccomp.Allow, Reason: "platform/trap: by what a new stub is known"},
	{Call: sysno.Ppoll, Action: seccomp.Allow, Reason: "platform/trap: waiting for notices of stubs"},
	{Call: sysno.Ioctl, Checks: []seccomp.Check{seccomp.Equal32(1, host.NotifyRecv)}, Action: seccomp.Allow, Reason: "platform/trap: notices of stubs"},
	{Call: sysno.Ioctl, Checks: []seccomp.Check{seccomp.Equal32(1, host.NotifySend)}, Action: seccomp.Allow, Reason: "platform/trap: answers to notices"},
	{Call: sysno.Ioctl, Checks: []seccomp.Check{seccomp.Equal32(1, host.NotifyAddFD)}, Action: seccomp.Allow, Reason: "platform/trap: passing files that guests map"},
}

// StubCalls is all that the host lets a stub's own code do. Every call from
// elsewhere in a guest's memory traps.
func StubCalls() []seccomp.Rule { return stubCalls[:] }

var stubCalls = [...]seccomp.Rule{
	{Call: sysno.Mmap, Action: seccomp.Allow, Reason: "AddressSpace.Map"},
	{Call: sysno.Munmap, Action: seccomp.Allow, Reason: "AddressSpace.Unmap"},
	{Call: sysno.Mprotect, Action: seccomp.Allow, Reason: "AddressSpace.Protect"},
	{Call: sysno.Mremap, Action: seccomp.Allow, Reason: "AddressSpace.Move"},
	{Call: sysno.Madvise, Action: seccomp.Allow, Reason: "AddressSpace.Advise"},
	{Call: sysno.Clone, Checks: []seccomp.Check{seccomp.Equal(0, cloneProcess)}, Action: seccomp.Notify, Reason: "AddressSpace.Fork"},
	{Call: sysno.Clone, Checks: []seccomp.Check{seccomp.Equal(0, cloneThread)}, Action: seccomp.Notify, Reason: "AddressSpace.NewThread"},
	{Call: sysno.Close, Checks: []seccomp.Check{seccomp.Equal32(0, 0)}, Action: seccomp.Allow, Reason: "closing a file that was mapped"},
	{Call: sysno.Futex, Checks: []seccomp.Check{seccomp.Min(0, areaStart), {Arg: 1, Op: seccomp.AtMost, Value: 1}}, Action: seccomp.Allow, Reason: "waiting for the Sentry, and waking it"},
	{Call: sysno.SchedYield, Action: seccomp.Allow, Reason: "sched_yield of the guest"},
	{Call: sysno.Sigaltstack, Action: seccomp.Allow, Reason: "the stack on which a new thread takes signals"},
	{Call: sysno.Prctl, Checks: []seccomp.Check{seccomp.Equal32(0, linux.PR_SET_PDEATHSIG), seccomp.Equal(1, uint64(linux.SIGKILL))}, Action: seccomp.Allow, Reason: "a new stub dies with the Sentry"},
	{Call: sysno.Prctl, Checks: []seccomp.Check{seccomp.Equal32(0, linux.PR_SET_NAME)}, Action: seccomp.Allow, Reason: "AddressSpace.SetName"},
	{Call: sysno.Mincore, Action: seccomp.Notify, Reason: "asking the Sentry for a descriptor; AddressSpace.Resident"},
}

// stubFilter is the program for seccomp(2), as bytes: the rules for calls from
// the stub's code, a trap for all others.
func stubFilter() ([]byte, error) {
	filter := seccomp.Filter{Rules: StubCalls(), Default: seccomp.KillProcess, Foreign: seccomp.KillProcess}
	program, err := filter.Build()
	if err != nil {
		return nil, err
	}
	const ipLow, ipHigh = 8, 12
	from := func(code uint16, yes, no uint8, k uint32) linux.SockFilter {
		return linux.SockFilter{Code: code, JT: yes, JF: no, K: k}
	}
	// The program counter is behind the call.
	all := []linux.SockFilter{
		from(linux.BPF_LD|linux.BPF_W|linux.BPF_ABS, 0, 0, ipHigh),
		from(linux.BPF_JMP|linux.BPF_JEQ|linux.BPF_K, 0, 3, stubCode>>32),
		from(linux.BPF_LD|linux.BPF_W|linux.BPF_ABS, 0, 0, ipLow),
		from(linux.BPF_JMP|linux.BPF_JGE|linux.BPF_K, 0, 1, stubCode&0xffffffff),
		from(linux.BPF_JMP|linux.BPF_JGE|linux.BPF_K, 0, 1, stubTable&0xffffffff),
		from(linux.BPF_RET|linux.BPF_K, 0, 0, linux.SECCOMP_RET_TRAP),
	}
	all = append(all, program...)
	size := len(all) * int(unsafe.Sizeof(all[0]))
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(all))), size), nil
}
