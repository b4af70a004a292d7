package ptrace

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// cloneThread and cloneProcess are the flags of clone that a stub may use.
// CLONE_PARENT makes every stub a child of the Sentry.
const (
	cloneThread  = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	cloneProcess = unix.CLONE_PARENT
)

// A HostCall is a call that a stub makes, with the values that its argument
// arg may have (none: any).
type HostCall struct {
	Number uint32
	Arg    int
	Values []uint32
	Reason string
}

// StubCalls is all that the host lets a stub do. Guest code never comes this
// far, because its calls stop at the tracer before the filter is asked; the
// filter holds when that fails.
var StubCalls = []HostCall{
	{Number: unix.SYS_MMAP, Reason: "AddressSpace.Map"},
	{Number: unix.SYS_MUNMAP, Reason: "AddressSpace.Unmap"},
	{Number: unix.SYS_MPROTECT, Reason: "AddressSpace.Protect"},
	{Number: unix.SYS_MREMAP, Reason: "AddressSpace.Move"},
	{Number: unix.SYS_MADVISE, Reason: "AddressSpace.Advise"},
	{Number: unix.SYS_MINCORE, Reason: "AddressSpace.Resident"},
	{Number: unix.SYS_CLONE, Arg: 0, Values: []uint32{cloneThread, cloneProcess}, Reason: "AddressSpace.Fork and NewThread"},
	{Number: unix.SYS_RECVMSG, Arg: 0, Values: []uint32{0}, Reason: "AddressSpace.Map receives the file"},
	{Number: unix.SYS_CLOSE, Arg: 0, Values: []uint32{1}, Reason: "AddressSpace.Map closes it again"},
	{Number: unix.SYS_PRCTL, Arg: 0, Values: []uint32{unix.PR_SET_PDEATHSIG}, Reason: "a new stub dies with the Sentry"},
	{Number: unix.SYS_PAUSE, Reason: "a stub without a tracer waits"},
	{Number: unix.SYS_EXIT, Reason: "Thread.Close"},
}

// vsyscalls are the calls behind the fixed page at the top of the address
// space. The host serves them without asking the tracer but does ask the
// filter, so they end as a signal, which Switch reports as the call.
var vsyscalls = []uint32{unix.SYS_GETTIMEOFDAY, unix.SYS_TIME, unix.SYS_GETCPU}

// stubFilter is the program for seccomp(2), as bytes.
func stubFilter() []byte {
	const (
		nr, arch, args = 0, 4, 16 // offsets in struct seccomp_data

		auditArchX8664 = 0xc000003e
		trap           = 0x00030000
		allow          = 0x7fff0000
		killProcess    = 0x80000000

		loadWord = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		jumpEq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret      = unix.BPF_RET | unix.BPF_K
	)
	var prog []byte
	emit := func(code uint16, jt, jf uint8, k uint32) {
		prog = binary.LittleEndian.AppendUint16(prog, code)
		prog = append(prog, jt, jf)
		prog = binary.LittleEndian.AppendUint32(prog, k)
	}
	emit(loadWord, 0, 0, arch)
	emit(jumpEq, 1, 0, auditArchX8664)
	emit(ret, 0, 0, killProcess)
	emit(loadWord, 0, 0, nr)
	for _, c := range StubCalls {
		if len(c.Values) == 0 {
			emit(jumpEq, 0, 1, c.Number)
			emit(ret, 0, 0, allow)
			continue
		}
		// The upper half of the argument is zero whenever the stub asks; a
		// value that differs only there is the same to the host's int.
		body := uint8(2*len(c.Values) + 2)
		emit(jumpEq, 0, body, c.Number)
		emit(loadWord, 0, 0, uint32(args+8*c.Arg))
		for _, v := range c.Values {
			emit(jumpEq, 0, 1, v)
			emit(ret, 0, 0, allow)
		}
		emit(ret, 0, 0, killProcess)
	}
	for _, v := range vsyscalls {
		emit(jumpEq, 0, 1, v)
		emit(ret, 0, 0, trap)
	}
	emit(ret, 0, 0, killProcess)
	return prog
}
