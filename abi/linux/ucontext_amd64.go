package linux

// UContext is struct ucontext as a signal frame of amd64 holds it.
type UContext struct {
	Flags    uint64
	Link     uint64
	Stack    StackT
	MContext SigContext
	SigMask  SignalSet
}

// Flags of a UContext.
const (
	UC_FP_XSTATE         = 0x1
	UC_SIGCONTEXT_SS     = 0x2
	UC_STRICT_RESTORE_SS = 0x4
)

// SigContext is struct sigcontext, the registers in a signal frame.
type SigContext struct {
	R8      uint64
	R9      uint64
	R10     uint64
	R11     uint64
	R12     uint64
	R13     uint64
	R14     uint64
	R15     uint64
	DI      uint64
	SI      uint64
	BP      uint64
	BX      uint64
	DX      uint64
	AX      uint64
	CX      uint64
	SP      uint64
	IP      uint64
	Flags   uint64
	CS      uint16
	GS      uint16
	FS      uint16
	SS      uint16
	Err     uint64
	Trapno  uint64
	OldMask uint64
	CR2     uint64
	FPState uint64
	_       [8]uint64
}

// FPState is struct _fpstate, the legacy area that fxsave writes.
type FPState struct {
	CWD       uint16
	SWD       uint16
	TWD       uint16
	FOP       uint16
	RIP       uint64
	RDP       uint64
	MXCSR     uint32
	MXCSRMask uint32
	ST        [8][16]byte
	XMM       [16][16]byte
	_         [48]byte
	SW        FPXSWBytes
}

// FPXSWBytes is struct _fpx_sw_bytes: where the legacy area ends, software says
// what follows it.
type FPXSWBytes struct {
	Magic1       uint32
	ExtendedSize uint32
	XFeatures    uint64
	XStateSize   uint32
	_            [7]uint32
}

// XStateHeader is struct _xstate_header (struct _header), after the legacy area.
type XStateHeader struct {
	XFeatures uint64
	XCompBV   uint64
	_         [6]uint64
}

// Marks of an extended state in a signal frame: the first in FPXSWBytes, the
// second in the four bytes after XStateSize.
const (
	FP_XSTATE_MAGIC1 = 0x46505853
	FP_XSTATE_MAGIC2 = 0x46505845
)

// Parts of the extended state, bits of XCR0.
const (
	XFEATURE_FP  = 0x1
	XFEATURE_SSE = 0x2
	XFEATURE_YMM = 0x4
)

// Processor exceptions, trapno of a signal frame.
const (
	TRAP_DE = 0
	TRAP_DB = 1
	TRAP_BP = 3
	TRAP_OF = 4
	TRAP_UD = 6
	TRAP_GP = 13
	TRAP_PF = 14
	TRAP_MF = 16
	TRAP_AC = 17
	TRAP_XF = 19
)

// Bits of the flags register.
const (
	X86_EFLAGS_CF    = 0x1
	X86_EFLAGS_FIXED = 0x2
	X86_EFLAGS_TF    = 0x100
	X86_EFLAGS_IF    = 0x200
	X86_EFLAGS_DF    = 0x400
	X86_EFLAGS_RF    = 0x10000
	X86_EFLAGS_AC    = 0x40000
)

// Codes of arch_prctl(2).
const (
	ARCH_SET_GS         = 0x1001
	ARCH_SET_FS         = 0x1002
	ARCH_GET_FS         = 0x1003
	ARCH_GET_GS         = 0x1004
	ARCH_GET_CPUID      = 0x1011
	ARCH_SET_CPUID      = 0x1012
	ARCH_GET_XCOMP_SUPP = 0x1021
	ARCH_GET_XCOMP_PERM = 0x1022
	ARCH_REQ_XCOMP_PERM = 0x1023
	ARCH_CET_STATUS     = 0x3001
	ARCH_SHSTK_ENABLE   = 0x5001
	ARCH_SHSTK_DISABLE  = 0x5002
	ARCH_SHSTK_STATUS   = 0x5005
)
