package host

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of ptrace(2) that golang.org/x/sys does not name.
const (
	ptraceSysemu     = 31
	ptraceSetSigMask = 0x420b
	ptraceGetRseq    = 0x420f
)

// The register sets that PtraceGetRegSet knows.
const (
	RegSetFP     = 2     // NT_PRFPREG
	RegSetXState = 0x202 // NT_X86_XSTATE
)

// UserRegs is struct user_regs_struct.
type UserRegs [27]uint64

func ptrace(request, tid int, addr, data uintptr) error {
	_, _, e := syscall.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	return result(e)
}

func ptraceData(request, tid int, addr uintptr, data unsafe.Pointer) error {
	_, _, e := syscall.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, uintptr(data), 0, 0)
	return result(e)
}

// PtraceSeize makes the calling thread the tracer of tid, which keeps running.
func PtraceSeize(tid, options int) error {
	return ptrace(unix.PTRACE_SEIZE, tid, 0, uintptr(options))
}

// PtraceInterrupt stops a seized thread.
func PtraceInterrupt(tid int) error {
	return ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0)
}

// PtraceSetOptions sets the options of a tracee.
func PtraceSetOptions(tid, options int) error {
	return ptrace(unix.PTRACE_SETOPTIONS, tid, 0, uintptr(options))
}

// PtraceCont runs a tracee until a signal; its system calls are the host's.
func PtraceCont(tid int) error { return ptrace(unix.PTRACE_CONT, tid, 0, 0) }

// PtraceSysemu runs a tracee until a signal or a system call, which the host
// does not carry out.
func PtraceSysemu(tid int) error { return ptrace(ptraceSysemu, tid, 0, 0) }

// PtraceDetach lets a tracee go.
func PtraceDetach(tid int) error { return ptrace(unix.PTRACE_DETACH, tid, 0, 0) }

// PtraceGetRegs and PtraceSetRegs copy the general registers of a tracee.
func PtraceGetRegs(tid int, regs *UserRegs) error {
	return ptraceData(unix.PTRACE_GETREGS, tid, 0, unsafe.Pointer(regs))
}

func PtraceSetRegs(tid int, regs *UserRegs) error {
	return ptraceData(unix.PTRACE_SETREGS, tid, 0, unsafe.Pointer(regs))
}

// PtracePokeUser sets the i-th register of UserRegs.
func PtracePokeUser(tid, i int, value uint64) error {
	return ptrace(unix.PTRACE_POKEUSR, tid, uintptr(i)*8, uintptr(value))
}

// PtraceGetRegSet fills buf with a register set and returns its length.
func PtraceGetRegSet(tid, set int, buf []byte) (int, error) {
	return regSet(unix.PTRACE_GETREGSET, tid, set, buf)
}

// PtraceSetRegSet loads a register set. EINVAL or EFAULT if the processor or
// the kernel does not accept it.
func PtraceSetRegSet(tid, set int, buf []byte) error {
	_, err := regSet(unix.PTRACE_SETREGSET, tid, set, buf)
	return err
}

func regSet(request, tid, set int, buf []byte) (int, error) {
	vec := unix.Iovec{Base: unsafe.SliceData(buf), Len: uint64(len(buf))}
	err := ptraceData(request, tid, uintptr(set), unsafe.Pointer(&vec))
	return int(vec.Len), err
}

// SigInfo is the part of siginfo_t that a fault or a kill fills.
type SigInfo struct {
	Signo, Errno, Code int32
	_                  int32
	Addr               uint64 // si_addr of a fault, si_call_addr of SIGSYS
	Syscall            int32  // of SIGSYS
	Arch               uint32
	_                  [96]byte
}

// PtraceGetSigInfo tells about the signal that stopped a tracee.
func PtraceGetSigInfo(tid int, info *SigInfo) error {
	return ptraceData(unix.PTRACE_GETSIGINFO, tid, 0, unsafe.Pointer(info))
}

// PtraceSetSigMask sets the mask of blocked signals of a tracee.
func PtraceSetSigMask(tid int, mask uint64) error {
	return ptraceData(ptraceSetSigMask, tid, 8, unsafe.Pointer(&mask))
}

// Rseq is what a thread has registered with rseq(2); Addr is 0 if nothing.
type Rseq struct {
	Addr                      uint64
	Size, Signature, Flags, _ uint32
}

// PtraceGetRseq tells about a tracee's restartable sequences.
func PtraceGetRseq(tid int, r *Rseq) error {
	return ptraceData(ptraceGetRseq, tid, unsafe.Sizeof(*r), unsafe.Pointer(r))
}

// PtraceSyscallArch tells by which architecture's entry a tracee that stands
// at a system call came in (AUDIT_ARCH_*).
func PtraceSyscallArch(tid int) (uint32, error) {
	var info struct {
		op   uint8
		_    [3]uint8
		arch uint32
		_    [80]byte
	}
	err := ptraceData(unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(info), unsafe.Pointer(&info))
	return info.arch, err
}
