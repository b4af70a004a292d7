#include "textflag.h"

// The code of a stub. It is position-independent,
// copied into a page of its own (stub.go) and runs in a stub process. Each
// routine ends with END, which tells the copier where to stop; it is never
// executed.
//
// All of it runs under ptrace with registers that the Sentry has set, and ends
// with INT3, at which the Sentry takes over. It uses no stack.

#define END QUAD $0x6c62642d646e650b
#define TRAP BYTE $0xcc
#define SYS_prctl 157
#define SYS_pause 34
#define SYS_exit 60

// func routines() [7]uintptr
TEXT ·routines(SB),NOSPLIT,$0-56
	LEAQ ·stubSyscall(SB), AX
	MOVQ AX, ret_0+0(FP)
	LEAQ ·stubClone(SB), AX
	MOVQ AX, ret_1+8(FP)
	LEAQ ·stubPark(SB), AX
	MOVQ AX, ret_2+16(FP)
	LEAQ ·stubExit(SB), AX
	MOVQ AX, ret_3+24(FP)
	LEAQ ·stubCompareAndSwap(SB), AX
	MOVQ AX, ret_4+32(FP)
	LEAQ ·stubMapFile(SB), AX
	MOVQ AX, ret_5+40(FP)
	LEAQ ·stubProbe(SB), AX
	MOVQ AX, ret_6+48(FP)
	RET

// One system call.
TEXT ·stubSyscall(SB),NOSPLIT|NOFRAME,$0-0
	SYSCALL
	TRAP
	END

// clone. The child asks to be killed when the Sentry is, which the host does
// not inherit, and waits there for its tracer.
TEXT ·stubClone(SB),NOSPLIT|NOFRAME,$0-0
	SYSCALL
	TESTQ AX, AX
	JZ child
	TRAP
child:
	MOVL $SYS_prctl, AX
	MOVL $1, DI // PR_SET_PDEATHSIG
	MOVL $9, SI // SIGKILL
	SYSCALL
wait:
	MOVL $SYS_pause, AX
	SYSCALL
	JMP wait
	END

// A thread that nobody traces waits until the process ends.
TEXT ·stubPark(SB),NOSPLIT|NOFRAME,$0-0
again:
	MOVL $SYS_pause, AX
	SYSCALL
	JMP again
	END

TEXT ·stubExit(SB),NOSPLIT|NOFRAME,$0-0
	MOVL $SYS_exit, AX
	XORL DI, DI
	SYSCALL
	TRAP
	END

// Compare and swap: AX old, DX new, DI address. What was found is in AX.
TEXT ·stubCompareAndSwap(SB),NOSPLIT|NOFRAME,$0-0
	LOCK
	CMPXCHGL DX, (DI)
	TRAP
	END

// Receive a descriptor, map it, close it: the registers hold the arguments of
// recvmsg, and R12 R13 R14 R15 BX those of mmap (address, length, rights,
// flags, offset), and R8 is 0. The number of the descriptor is 1, the lowest that
// is free in a stub. R8 is 1 if a message came; the result is in AX.
TEXT ·stubMapFile(SB),NOSPLIT|NOFRAME,$0-0
	SYSCALL
	TESTQ AX, AX
	JS drop
	MOVQ R12, DI
	MOVQ R13, SI
	MOVQ R14, DX
	MOVQ R15, R10
	MOVL $1, R8
	MOVQ BX, R9
	MOVL $9, AX // mmap
	SYSCALL
drop: // in any case: the host may have put the descriptor there and then failed
	MOVQ AX, R12
	MOVL $1, DI
	MOVL $3, AX // close
	SYSCALL
	MOVQ R12, AX
	TRAP
	END

// clone, as vfork does it. The child, which nobody traces, makes R12 threads
// with the flags in R13, stores how many it could not make at (R14), and exits;
// they stay.
TEXT ·stubProbe(SB),NOSPLIT|NOFRAME,$0-0
	SYSCALL
	TESTQ AX, AX
	JZ child
	TRAP
child:
	MOVL $56, AX // clone
	MOVQ R13, DI
	XORL SI, SI
	SYSCALL
	TESTQ AX, AX
	JZ wait
	JS done
	DECQ R12
	JNZ child
done:
	MOVQ R12, (R14)
	MOVL $SYS_exit, AX
	XORL DI, DI
	SYSCALL
	TRAP
wait:
	MOVL $SYS_pause, AX
	SYSCALL
	JMP wait
	END
