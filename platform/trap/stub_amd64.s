#include "textflag.h"
#include "go_asm.h"

// The code of a stub, copied as one block of position-independent bytes to
// stubCode in every guest process (image.go). It holds no state but what lies in
// the area of its thread (area_amd64.go), which R15 points to, and trusts
// nothing there: whatever the guest does to it, it does to itself.
//
// MARK is an instruction that does nothing and carries a number, by which
// image.go finds the places in the block that others refer to.
#define MARK(n) BYTE $0x0f; BYTE $0x1f; BYTE $0x80; LONG $(0x425500+n)

#define SYS_mmap 9
#define SYS_munmap 11
#define SYS_sched_yield 24
#define SYS_mincore 27
#define SYS_close 3
#define SYS_sigaltstack 131
#define SYS_prctl 157
#define SYS_futex 202

// RESTOREFLAGS sets the arithmetic flags from what the entry packed: AH as
// LAHF left it, and OF in AL. It uses no flag-preserving trick that it need not.
#define RESTOREFLAGS \
	SHRQ $32, AX; \
	ADDB $127, AL; \
	SAHF

// LOADREGS loads what every way into the guest loads: all but rax, rcx, r11,
// r15 and the stack pointer.
#define LOADREGS \
	MOVQ area_regs+8(R15), R14; \
	MOVQ area_regs+16(R15), R13; \
	MOVQ area_regs+24(R15), R12; \
	MOVQ area_regs+32(R15), BP; \
	MOVQ area_regs+40(R15), BX; \
	MOVQ area_regs+56(R15), R10; \
	MOVQ area_regs+64(R15), R9; \
	MOVQ area_regs+72(R15), R8; \
	MOVQ area_regs+96(R15), DX; \
	MOVQ area_regs+104(R15), SI; \
	MOVQ area_regs+112(R15), DI

// CPU puts the number of the processor into cx, from the limit of the segment
// in which Linux keeps it for the vDSO.
#define CPU \
	MOVL $0x7b, CX; \
	BYTE $0x0f; BYTE $0x03; BYTE $0xc9; \
	ANDL $0xfff, CX

TEXT ·stubText(SB),NOSPLIT|NOFRAME,$0-0
	// The first instructions are Image.Call: one system call under ptrace.
	SYSCALL
	BYTE $0xcc

	// A patched site has jumped to its trampoline, and that to here, with the
	// guest's registers: eax is the number, rcx the address to return to, r11
	// free. Neither the stack nor the flags may be touched before they are
	// safe; the flags go to the upper half of r11 by way of rax.
	MARK(const_markEntry)
	MOVL AX, R11
	LAHF
	SETOS AL
	SHLQ $32, AX
	ORQ AX, R11
	// Is gs ours? The guest may have set its base.
	RDGSBASEQ AX
	RORQ $32, AX
	CMPL AX, $const_areaHigh
	JNE slow
	SHRQ $32, AX
	TESTL $0xffff, AX
	JNE slow
	SHRL $const_areaShift, AX
	CMPL AX, $const_areaTop
	JNE slow
	RDGSBASEQ AX
	MARK(const_markTouch)
	MOVQ R11, area_packed(AX)
	MARK(const_markTouched)
	MOVQ DX, area_regs+96(AX)

	// Calls that need no Sentry: the table says how.
	MOVL R11, DX
	CMPL DX, $const_fastCalls
	JAE full
	MOVBLZX area_fast(AX)(DX*1), DX
	TESTL DX, DX
	JNE fast

full:
	MOVQ R15, area_regs+0(AX)
	MOVQ R14, area_regs+8(AX)
	MOVQ R13, area_regs+16(AX)
	MOVQ R12, area_regs+24(AX)
	MOVQ BP, area_regs+32(AX)
	MOVQ BX, area_regs+40(AX)
	MOVQ R10, area_regs+56(AX)
	MOVQ R9, area_regs+64(AX)
	MOVQ R8, area_regs+72(AX)
	MOVQ SI, area_regs+104(AX)
	MOVQ DI, area_regs+112(AX)
	MOVQ CX, area_regs+128(AX)
	MOVQ SP, area_regs+152(AX)
	LEAQ area_flags+8(AX), SP
	BYTE $0x9c // pushfq
	RDFSBASEQ CX
	MOVQ CX, area_regs+168(AX)
	MOVQ AX, R15
	MOVL $const_eventCall, area_event(R15)

	// Bring along what the call's arguments point to (transfer.go).
	MOVL $0, area_fetchedLen(R15)
	MOVL area_packed(R15), DX
	CMPL DX, $const_fastCalls
	JAE unfetched
	MOVL area_fetch(R15)(DX*4), DX
	MOVBLZX DL, AX
	TESTL AX, AX
	JEQ unfetched
	MOVQ (area_regs-8)(R15)(AX*8), SI
	MOVL DX, AX
	SHRL $8, AX
	MOVBLZX AL, CX
	CMPL CX, $const_fixedLength
	JEQ fixed
	MOVQ area_regs(R15)(CX*8), R8
	CMPQ R8, $const_maxFetch
	JHI unfetched
	SHRL $8, AX
	MOVBLZX AL, CX
	SHLQ CL, R8
	CMPQ R8, $const_maxFetch
	JHI unfetched
	JMP clip
fixed:
	MOVL DX, R8
	SHRL $24, R8
	SHLL $2, R8
clip: // to the page: what is behind may not be there
	MOVQ SI, AX
	NEGQ AX
	ANDQ $4095, AX
	JEQ whole
	CMPQ R8, AX
	CMOVQHI AX, R8
whole:
	MOVQ SI, area_fetchedAddr(R15)
	MOVQ R8, CX
	LEAQ area_data(R15), DI
	CLD
	MARK(const_markFetch)
	REP
	MOVSB
	MARK(const_markFetched)
	MOVL R8, area_fetchedLen(R15)
unfetched:
	MARK(const_markUnfetched)

	// Hand over to the Sentry and wait for what it says.
publish:
	CPU
	MOVL CX, area_stubCPU(R15)
	MOVL $1, AX
	XCHGL AX, area_turn(R15)
	CMPL area_sentrySleeps(R15), $0
	JNE wake
wait:
	// Spinning on the Sentry's processor would keep it from running.
	CPU
	CMPL CX, area_sentryCPU(R15)
	JEQ sleep
	MOVL area_spin(R15), CX
spin:
	CMPL area_turn(R15), $0
	JEQ turn
	SUBL $1, CX
	JLE sleep
	PAUSE
	JMP spin
wake:
	MOVL $SYS_futex, AX
	LEAQ area_turn(R15), DI
	MOVL $1, SI // FUTEX_WAKE
	MOVL $1, DX
	SYSCALL
	JMP wait
sleep:
	MOVL $1, AX
	XCHGL AX, area_stubSleeps(R15)
again:
	CMPL area_turn(R15), $0
	JEQ awake
	MOVL $SYS_futex, AX
	LEAQ area_turn(R15), DI
	XORL SI, SI // FUTEX_WAIT
	MOVL $1, DX
	XORL R10, R10
	SYSCALL
	JMP again
awake:
	MOVL $0, area_stubSleeps(R15)
turn:
	MOVL area_command(R15), AX
	CMPL AX, $const_commandResume
	JHI command
	MOVL area_deliveries(R15), R12
	TESTL R12, R12
	JNE deliver
command:
	CMPL AX, $const_commandReturn
	JEQ return
	CMPL AX, $const_commandResume
	JEQ resume
	CMPL AX, $const_commandSyscall
	JEQ syscall
	CMPL AX, $const_commandMapFile
	JEQ mapfile
	CMPL AX, $const_commandThread
	JEQ thread
	CMPL AX, $const_commandFork
	JEQ fork
	CMPL AX, $const_commandXSave
	JEQ xsave
	CMPL AX, $const_commandXRestore
	JEQ xrstor
	CMPL AX, $const_commandSwap
	JEQ swap
	MOVL $const_eventBroken, area_event(R15)
	JMP publish

	// Write what the Sentry has for the guest, then look at the command again.
deliver:
	LEAQ area_delivery(R15), BX
	CLD
next:
	MOVQ 0(BX), DI
	MOVL 8(BX), SI
	ADDQ R15, SI
	MOVL 12(BX), CX
	MARK(const_markDeliver)
	REP
	MOVSB
	MARK(const_markDelivered)
	ADDQ $16, BX
	SUBL $1, R12
	JNE next
	MOVL $0, area_deliveries(R15)
	JMP turn
late:
	MARK(const_markLate)
	MOVL $0, area_deliveries(R15)
	MOVL $const_eventLate, area_event(R15)
	JMP publish

	// The result of a system call: rcx and r11 are as the instruction leaves
	// them. A kick in here starts over at interrupted; nothing is lost, since
	// the area keeps all registers.
return:
	MARK(const_markReturn)
	CMPL area_kicked(R15), $0
	JNE interrupted
	LOADREGS
	MOVQ area_packed(R15), AX
	RESTOREFLAGS
	MOVQ area_regs+48(R15), R11
	MOVQ area_regs+80(R15), AX
	MOVQ area_regs+128(R15), CX
	MOVQ area_regs+152(R15), SP
	MOVQ area_regs+0(R15), R15
	JMP CX
	MARK(const_markReturned)

	// Any registers. iretq takes rip, cs, eflags, rsp and ss in the order in
	// which they lie in the area, and would fault with the guest's NT flag.
resume:
	MARK(const_markResume)
	CMPL area_kicked(R15), $0
	JNE interrupted
	LEAQ area_flags+8(R15), SP
	BYTE $0x68; LONG $0x202 // pushq $0x202
	BYTE $0x9d // popfq
	MOVQ area_regs+168(R15), AX
	WRFSBASEQ AX
	MOVQ area_regs+176(R15), AX
	WRGSBASEQ AX
	LOADREGS
	MOVQ area_regs+48(R15), R11
	MOVQ area_regs+80(R15), AX
	MOVQ area_regs+88(R15), CX
	LEAQ area_regs+128(R15), SP
	MOVQ area_regs+0(R15), R15
	IRETQ
	MARK(const_markResumed)

interrupted:
	MOVL $0, area_kicked(R15)
	MOVL $const_eventInterrupted, area_event(R15)
	JMP publish

	// gs is the guest's: make a system call that the filter traps. The
	// instruction before the return address is one.
slow:
	MARK(const_markSlow)
	MOVQ R11, AX
	RESTOREFLAGS
	MOVL R11, AX
	LEAQ -2(CX), CX
	JMP CX

	// Answers from the area. dx is the kind; ax the area, cx the return
	// address. Behind markFast a kick starts the call over at unfast, as one
	// that goes to the Sentry: what the guest had is in the area, or in place.
fast:
	CMPL DX, $const_fastYield
	JEQ yield
	CMPL DX, $const_fastFutex
	JEQ futex
	MOVQ area_answers(AX)(DX*8), DX
	MOVQ DX, area_result(AX)
answered:
	MARK(const_markFast)
	CMPL area_kicked(AX), $0
	JNE unfast
	MOVQ area_regs+96(AX), DX
	MOVQ area_packed(AX), AX
	RESTOREFLAGS
	BYTE $0x65; BYTE $0x48; BYTE $0x8b; BYTE $0x04; BYTE $0x25; LONG $area_result // mov %gs:area_result,%rax
	JMP CX
	MARK(const_markFastend)
unfast:
	MARK(const_markUnfast)
	MOVQ area_regs+96(AX), DX
	JMP full

	// A private futex: a wait whose word differs, a wake of a word that nobody
	// waits for. r11 is free: the area has what it held.
futex:
	MOVL SI, DX
	TESTL $3, DI
	JNE unfast
	CMPL DX, $0x81 // FUTEX_WAKE_PRIVATE
	JEQ futexwake
	CMPL DX, $0x80 // FUTEX_WAIT_PRIVATE
	JNE unfast
	TESTQ R10, R10
	JNE unfast
	MARK(const_markFutex)
	MOVL (DI), DX
	MARK(const_markFutexend)
	CMPL DX, (area_regs+96)(AX)
	JEQ unfast
	MOVQ $-11, area_result(AX) // EAGAIN
	JMP answered
futexwake:
	MOVQ DI, DX
	SHRQ $47, DX
	JNE unfast
	MOVQ area_waiterTable(AX), R11
	// What the guest wrote before is seen before the counter is read: whoever
	// waits counts first and reads the word then.
	LOCK
	ADDL $0, area_turn(AX)
	MOVL DI, DX
	SHRL $2, DX
	ANDL $(const_waiterWords-1), DX
	CMPL (R11)(DX*4), $0
	JNE unfast
	MOVQ $0, area_result(AX)
	JMP answered

	// sched_yield is the host's.
yield:
	MOVQ CX, area_regs+128(AX)
	MOVQ R15, area_regs+0(AX)
	MOVQ AX, R15
	MOVL $SYS_sched_yield, AX
	SYSCALL
	MOVQ $0, area_result(R15)
	MOVQ R15, AX
	MOVQ area_regs+128(AX), CX
	MOVQ area_packed(AX), R11
	MOVQ area_regs+0(AX), R15
	JMP answered

	// One system call for the Sentry.
syscall:
	MOVQ area_args+0(R15), AX
	MOVQ area_args+8(R15), DI
	MOVQ area_args+16(R15), SI
	MOVQ area_args+24(R15), DX
	MOVQ area_args+32(R15), R10
	MOVQ area_args+40(R15), R8
	MOVQ area_args+48(R15), R9
	SYSCALL
done:
	MOVQ AX, area_result(R15)
	JMP publish

	// Map a file: ask for the descriptor, which becomes number 0; the other
	// registers hold the arguments of mmap.
mapfile:
	MOVL $SYS_mincore, AX
	MOVL $const_noticeFile, DI
	SYSCALL
	TESTQ AX, AX
	JNE done
	MOVL $SYS_mmap, AX
	MOVQ area_args+8(R15), DI
	MOVQ area_args+16(R15), SI
	MOVQ area_args+24(R15), DX
	MOVQ area_args+32(R15), R10
	XORL R8, R8
	MOVQ area_args+48(R15), R9
	SYSCALL
	MOVQ AX, R12
	MOVL $SYS_close, AX
	XORL DI, DI
	SYSCALL
	MOVQ R12, AX
	JMP done

	// A thread. The child's area is the second argument; it waits there.
thread:
	MOVL $56, AX // clone
	MOVQ area_args+8(R15), DI
	MOVQ area_args+16(R15), R12
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	TESTQ AX, AX
	JNE done
	MOVQ R12, R15
	JMP begin

	// A process, which has no area before the Sentry gives it one. R13 and R14
	// prove that it is the one that was asked for.
fork:
	MOVL $56, AX
	MOVQ area_args+8(R15), DI
	MOVQ area_args+16(R15), R13
	MOVQ area_args+24(R15), R14
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL
	TESTQ AX, AX
	JNE done
	MARK(const_markBirth)
	MOVL $SYS_prctl, AX
	MOVL $1, DI // PR_SET_PDEATHSIG
	MOVL $9, SI
	SYSCALL
	MOVL $SYS_mincore, AX
	MOVL $const_noticeBirth, DI
	MOVQ R13, SI
	MOVQ R14, DX
	SYSCALL
	TESTQ AX, AX
	JNE dead
	// The parent's areas go first.
	MOVL $SYS_munmap, AX
	MOVQ $const_areaStart, DI
	MOVQ $const_areaWindow, SI
	SYSCALL
	MOVL $SYS_mmap, AX
	MOVQ R15, DI
	ANDQ $~(const_chunkSize-1), DI
	MOVL $const_chunkSize, SI
	MOVL $3, DX // PROT_READ|PROT_WRITE
	MOVL $0x11, R10 // MAP_SHARED|MAP_FIXED
	XORL R8, R8
	XORL R9, R9
	SYSCALL
	TESTQ AX, AX
	JLT dead
	MOVL $SYS_close, AX
	XORL DI, DI
	SYSCALL
begin:
	LEAQ area_scratch(R15), SP
	WRGSBASEQ R15
	MOVL $SYS_sigaltstack, AX
	LEAQ area_altStack(R15), DI
	XORL SI, SI
	SYSCALL
	MOVL $1, AX
	XCHGL AX, area_begun(R15)
	JMP wait
	// Nobody answers, or this is a stub that nobody asked for. Without its
	// areas there is no stack for the handler, and the fault ends it.
dead:
	MOVL $SYS_munmap, AX
	MOVQ $const_areaStart, DI
	MOVQ $const_areaWindow, SI
	SYSCALL
	HLT

xsave:
	MOVL $-1, AX
	MOVL $-1, DX
	MARK(const_markFix0)
	BYTE $0x49; BYTE $0x0f; BYTE $0xae; BYTE $0xa7; LONG $area_fp // xsave64 area_fp(%r15)
	MARK(const_markFix0end)
	XORL AX, AX
	JMP done
xrstor:
	MOVL $-1, AX
	MOVL $-1, DX
	MARK(const_markFix1)
	BYTE $0x49; BYTE $0x0f; BYTE $0xae; BYTE $0xaf; LONG $area_fp // xrstor64 area_fp(%r15)
	MARK(const_markFix1end)
	XORL AX, AX
	JMP done
swap:
	MOVQ area_args+8(R15), DI
	MOVQ area_args+16(R15), AX
	MOVQ area_args+24(R15), DX
	MARK(const_markFix2)
	LOCK
	CMPXCHGL DX, (DI)
	MARK(const_markFix2end)
	MOVL AX, AX
	JMP done
	MARK(const_markFaulted)
	MOVQ $-14, AX // EFAULT
	JMP done

	// Signals: faults of the guest, system calls that the filter trapped, and
	// the Sentry's kick. The frame lies on the alternate stack, which is part
	// of the area. DX points to the ucontext, whose registers begin at 40.
#define UC 40
	MARK(const_markHandler)
	MOVQ SP, R15
	ANDQ $~0xffff, R15
	MOVQ UC+128(DX), AX // rip
	MOVQ $const_stubCode, CX
	SUBQ CX, AX
	CMPQ AX, $const_stubSize
	JCS inside

	// From the guest: its registers go to the area.
	MOVQ UC+56(DX), AX
	MOVQ AX, area_regs+0(R15)
	MOVQ UC+48(DX), AX
	MOVQ AX, area_regs+8(R15)
	MOVQ UC+40(DX), AX
	MOVQ AX, area_regs+16(R15)
	MOVQ UC+32(DX), AX
	MOVQ AX, area_regs+24(R15)
	MOVQ UC+80(DX), AX
	MOVQ AX, area_regs+32(R15)
	MOVQ UC+88(DX), AX
	MOVQ AX, area_regs+40(R15)
	MOVQ UC+24(DX), AX
	MOVQ AX, area_regs+48(R15)
	MOVQ UC+16(DX), AX
	MOVQ AX, area_regs+56(R15)
	MOVQ UC+8(DX), AX
	MOVQ AX, area_regs+64(R15)
	MOVQ UC+0(DX), AX
	MOVQ AX, area_regs+72(R15)
	MOVQ UC+104(DX), AX
	MOVQ AX, area_regs+80(R15)
	MOVQ UC+112(DX), AX
	MOVQ AX, area_regs+88(R15)
	MOVQ UC+96(DX), AX
	MOVQ AX, area_regs+96(R15)
	MOVQ UC+72(DX), AX
	MOVQ AX, area_regs+104(R15)
	MOVQ UC+64(DX), AX
	MOVQ AX, area_regs+112(R15)
	MOVQ UC+128(DX), AX
	MOVQ AX, area_regs+128(R15)
	MOVWLZX UC+144(DX), AX
	MOVQ AX, area_regs+136(R15)
	MOVQ UC+136(DX), AX
	MOVQ AX, area_regs+144(R15)
	MOVQ UC+120(DX), AX
	MOVQ AX, area_regs+152(R15)
	RDFSBASEQ AX
	MOVQ AX, area_regs+168(R15)
	RDGSBASEQ AX
	MOVQ AX, area_regs+176(R15)
	MOVL DI, area_signo(R15)
	MOVL 8(SI), AX
	MOVL AX, area_code(R15)
	MOVQ 16(SI), AX
	MOVQ AX, area_addr(R15)
	MOVQ 24(SI), AX // si_syscall and si_arch
	MOVQ AX, area_call(R15)
	MOVQ UC+152(DX), AX
	MOVQ AX, area_err(R15)
	MOVQ UC+160(DX), AX
	MOVQ AX, area_trapno(R15)
	// The floating point registers are live from here on; the frame is done
	// with, and the handler is left without returning from it.
	MOVQ UC+184(DX), CX
	MOVL $-1, AX
	MOVL $-1, DX
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x29 // xrstor64 (%rcx)
	MOVL $const_eventSignal, area_event(R15)
	JMP publish

inside:
	// R8 is the offset of the interrupted instruction.
	MOVQ AX, R8
	CMPL DI, $23 // SIGURG
	JEQ kick
	CMPL DI, $5 // SIGTRAP: the guest has the trap flag set
	JEQ back
	CMPL DI, $11
	JEQ fault
	CMPL DI, $7
	JEQ fault
	JMP broken

	// The table behind the code says which places are which (image.go).
kick:
	MOVQ $const_stubTable, R9
	MOVL 0(R9), AX
	MOVL 4(R9), CX
	CMPL R8, AX
	JCS notreturn
	CMPL R8, CX
	JCS abandon
notreturn:
	MOVL 8(R9), AX
	MOVL 12(R9), CX
	CMPL R8, AX
	JCS notresume
	CMPL R8, CX
	JCS abandon
notresume:
	MOVL 16(R9), AX
	MOVL 20(R9), CX
	CMPL R8, AX
	JCS notfast
	CMPL R8, CX
	JCS restart
notfast:
	MOVL $1, area_kicked(R15)
	JMP back

	// On the way into the guest: it has not arrived, and the area has all its
	// registers.
abandon:
	MOVQ UC+184(DX), CX
	MOVL $-1, AX
	MOVL $-1, DX
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x29
	JMP interrupted

restart:
	MOVL $1, area_kicked(R15)
	MOVQ R15, UC+104(DX)
	MOVQ area_packed(R15), AX
	MOVQ AX, UC+24(DX)
	MOVL 68(R9), AX // markUnfast
	JMP goto

fault:
	MOVQ $const_stubTable, R9
	MOVL 24(R9), AX
	MOVL 28(R9), CX
	CMPL R8, AX
	JCS notouch
	CMPL R8, CX
	JCS touch
notouch:
	MOVL 32(R9), AX
	MOVL 36(R9), CX
	CMPL R8, AX
	JCS nofix0
	CMPL R8, CX
	JCS faulted
nofix0:
	MOVL 40(R9), AX
	MOVL 44(R9), CX
	CMPL R8, AX
	JCS nofix1
	CMPL R8, CX
	JCS faulted
nofix1:
	MOVL 48(R9), AX
	MOVL 52(R9), CX
	CMPL R8, AX
	JCS nofix2
	CMPL R8, CX
	JCS faulted
nofix2:
	MOVL 72(R9), AX
	MOVL 76(R9), CX
	CMPL R8, AX
	JCS nofetch
	CMPL R8, CX
	JCS unfetch
nofetch:
	MOVL 80(R9), AX
	MOVL 84(R9), CX
	CMPL R8, AX
	JCS nodeliver
	CMPL R8, CX
	JCS undeliver
nodeliver:
	MOVL 96(R9), AX
	MOVL 100(R9), CX
	CMPL R8, AX
	JCS nofutex
	CMPL R8, CX
	JCS unfutex
nofutex:
broken:
	MOVL $const_eventBroken, area_event(R15)
	JMP publish
unfutex:
	MOVL 68(R9), AX // markUnfast
	JMP goto
unfetch:
	MOVL 88(R9), AX // markUnfetched
	JMP goto
undeliver:
	MOVL 92(R9), AX // markLate
	JMP goto
faulted:
	MOVL 56(R9), AX // markFaulted
	JMP goto
touch: // gs looked like an area's address, and is none
	MOVL 60(R9), AX // markSlow
goto:
	MOVQ $const_stubCode, CX
	ADDQ CX, AX
	MOVQ AX, UC+128(DX)

	// Return to where the signal came. The siginfo has served and becomes
	// what iretq takes.
back:
	MOVQ UC+184(DX), CX
	MOVQ DX, R8
	MOVL $-1, AX
	MOVL $-1, DX
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x29
	MOVQ R8, DX
	MOVQ UC+128(DX), AX
	MOVQ AX, 0(SI)
	MOVQ $0x33, 8(SI)
	MOVQ UC+136(DX), AX
	MOVQ AX, 16(SI)
	MOVQ UC+120(DX), AX
	MOVQ AX, 24(SI)
	MOVQ $0x2b, 32(SI)
	MOVQ SI, SP
	MOVQ UC+0(DX), R8
	MOVQ UC+8(DX), R9
	MOVQ UC+16(DX), R10
	MOVQ UC+24(DX), R11
	MOVQ UC+32(DX), R12
	MOVQ UC+40(DX), R13
	MOVQ UC+48(DX), R14
	MOVQ UC+56(DX), R15
	MOVQ UC+64(DX), DI
	MOVQ UC+72(DX), SI
	MOVQ UC+80(DX), BP
	MOVQ UC+88(DX), BX
	MOVQ UC+104(DX), AX
	MOVQ UC+112(DX), CX
	MOVQ UC+96(DX), DX
	IRETQ
	MARK(const_markEnd)
	RET

// func stubTextAddr() uintptr
TEXT ·stubTextAddr(SB),NOSPLIT,$0-8
	LEAQ ·stubText(SB), AX
	MOVQ AX, ret+0(FP)
	RET
