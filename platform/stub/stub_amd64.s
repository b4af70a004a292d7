#include "textflag.h"

// func cpuid(leaf, sub uint32) (eax, ebx uint32)
TEXT ·cpuid(SB),NOSPLIT,$0-16
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	RET

// func forkTemplate(child uintptr, action *[4]uint64) (pid int)
//
// Forks the calling thread. The child runs no Go code: it resets all signal
// handlers with action, which is zero, becomes a tracee and jumps to child.
// The caller has blocked all signals.
TEXT ·forkTemplate(SB),NOSPLIT,$0-24
	MOVQ child+0(FP), R12
	MOVQ action+8(FP), R13
	MOVL $56, AX // clone, with no flag and no signal at its end
	XORL DI, DI
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	TESTQ AX, AX
	JZ inchild
	MOVQ AX, pid+16(FP)
	RET
inchild:
	MOVL $1, BX
reset:
	MOVL $13, AX // rt_sigaction
	MOVQ BX, DI
	MOVQ R13, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL
	INCQ BX
	CMPQ BX, $64
	JLE reset
	MOVL $101, AX // ptrace
	XORL DI, DI   // PTRACE_TRACEME
	SYSCALL
	JMP R12
