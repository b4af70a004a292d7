package linux

// Modes and operations of seccomp(2).
const (
	SECCOMP_MODE_DISABLED    = 0
	SECCOMP_MODE_STRICT      = 1
	SECCOMP_MODE_FILTER      = 2
	SECCOMP_SET_MODE_STRICT  = 0
	SECCOMP_SET_MODE_FILTER  = 1
	SECCOMP_GET_ACTION_AVAIL = 2
	SECCOMP_GET_NOTIF_SIZES  = 3
)

// Flags of SECCOMP_SET_MODE_FILTER.
const (
	SECCOMP_FILTER_FLAG_TSYNC              = 0x1
	SECCOMP_FILTER_FLAG_LOG                = 0x2
	SECCOMP_FILTER_FLAG_SPEC_ALLOW         = 0x4
	SECCOMP_FILTER_FLAG_NEW_LISTENER       = 0x8
	SECCOMP_FILTER_FLAG_TSYNC_ESRCH        = 0x10
	SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20
)

// What a filter returns.
const (
	SECCOMP_RET_KILL_PROCESS = 0x80000000
	SECCOMP_RET_KILL_THREAD  = 0x0
	SECCOMP_RET_TRAP         = 0x30000
	SECCOMP_RET_ERRNO        = 0x50000
	SECCOMP_RET_USER_NOTIF   = 0x7fc00000
	SECCOMP_RET_TRACE        = 0x7ff00000
	SECCOMP_RET_LOG          = 0x7ffc0000
	SECCOMP_RET_ALLOW        = 0x7fff0000
	SECCOMP_RET_ACTION_FULL  = 0xffff0000
	SECCOMP_RET_DATA         = 0xffff
)

// Architectures as seccomp and SIGSYS name them.
const (
	AUDIT_ARCH_X86_64  = 0xc000003e
	AUDIT_ARCH_I386    = 0x40000003
	AUDIT_ARCH_AARCH64 = 0xc00000b7
)

// X32Bit marks a system call number of the x32 interface.
const X32Bit = 0x40000000

// SeccompData is struct seccomp_data, what a filter examines.
type SeccompData struct {
	Nr   int32
	Arch uint32
	IP   uint64
	Args [6]uint64
}

// SeccompNotifSizes is struct seccomp_notif_sizes.
type SeccompNotifSizes struct {
	Notif, Resp, Data uint16
}

// Sizes of the structures of a listener.
const (
	SizeofSeccompNotif     = 80
	SizeofSeccompNotifResp = 24
	SizeofSeccompData      = 64
)

// SockFilter is struct sock_filter, one instruction of classic BPF.
type SockFilter struct {
	Code uint16
	JT   uint8
	JF   uint8
	K    uint32
}

// SockFprog is struct sock_fprog.
type SockFprog struct {
	Len    uint16
	_      [6]byte
	Filter uint64
}

// Parts of an instruction's code.
const (
	BPF_LD   = 0x0
	BPF_LDX  = 0x1
	BPF_ST   = 0x2
	BPF_STX  = 0x3
	BPF_ALU  = 0x4
	BPF_JMP  = 0x5
	BPF_RET  = 0x6
	BPF_MISC = 0x7
	BPF_W    = 0x0
	BPF_H    = 0x8
	BPF_B    = 0x10
	BPF_IMM  = 0x0
	BPF_ABS  = 0x20
	BPF_IND  = 0x40
	BPF_MEM  = 0x60
	BPF_LEN  = 0x80
	BPF_MSH  = 0xa0
	BPF_ADD  = 0x0
	BPF_SUB  = 0x10
	BPF_MUL  = 0x20
	BPF_DIV  = 0x30
	BPF_OR   = 0x40
	BPF_AND  = 0x50
	BPF_LSH  = 0x60
	BPF_RSH  = 0x70
	BPF_NEG  = 0x80
	BPF_MOD  = 0x90
	BPF_XOR  = 0xa0
	BPF_JA   = 0x0
	BPF_JEQ  = 0x10
	BPF_JGT  = 0x20
	BPF_JGE  = 0x30
	BPF_JSET = 0x40
	BPF_K    = 0x0
	BPF_X    = 0x8
	BPF_A    = 0x10
	BPF_TAX  = 0x0
	BPF_TXA  = 0x80
)

// Limits of a program.
const (
	BPF_MAXINSNS = 4096
	BPF_MEMWORDS = 16
)
