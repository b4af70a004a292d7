#include "textflag.h"

// func spinWait(word *uint32, n int32) bool
TEXT ·spinWait(SB),NOSPLIT,$0-17
	MOVQ word+0(FP), DI
	MOVL n+8(FP), CX
look:
	CMPL (DI), $0
	JNE yes
	SUBL $1, CX
	JLE no
	PAUSE
	JMP look
yes:
	MOVB $1, ret+16(FP)
	RET
no:
	MOVB $0, ret+16(FP)
	RET

// func currentCPU() uint32
TEXT ·currentCPU(SB),NOSPLIT,$0-4
	MOVL $0x7b, CX
	BYTE $0x0f; BYTE $0x03; BYTE $0xc9 // lsl %ecx,%ecx
	ANDL $0xfff, CX
	MOVL CX, ret+0(FP)
	RET
