package linux

// Requests of ptrace(2).
const (
	PTRACE_TRACEME                = 0
	PTRACE_PEEKTEXT               = 1
	PTRACE_PEEKDATA               = 2
	PTRACE_PEEKUSR                = 3
	PTRACE_POKETEXT               = 4
	PTRACE_POKEDATA               = 5
	PTRACE_POKEUSR                = 6
	PTRACE_CONT                   = 7
	PTRACE_KILL                   = 8
	PTRACE_SINGLESTEP             = 9
	PTRACE_GETREGS                = 12
	PTRACE_SETREGS                = 13
	PTRACE_GETFPREGS              = 14
	PTRACE_SETFPREGS              = 15
	PTRACE_ATTACH                 = 16
	PTRACE_DETACH                 = 17
	PTRACE_SYSCALL                = 24
	PTRACE_ARCH_PRCTL             = 30
	PTRACE_SYSEMU                 = 31
	PTRACE_SYSEMU_SINGLESTEP      = 32
	PTRACE_SETOPTIONS             = 0x4200
	PTRACE_GETEVENTMSG            = 0x4201
	PTRACE_GETSIGINFO             = 0x4202
	PTRACE_SETSIGINFO             = 0x4203
	PTRACE_GETREGSET              = 0x4204
	PTRACE_SETREGSET              = 0x4205
	PTRACE_SEIZE                  = 0x4206
	PTRACE_INTERRUPT              = 0x4207
	PTRACE_LISTEN                 = 0x4208
	PTRACE_PEEKSIGINFO            = 0x4209
	PTRACE_GETSIGMASK             = 0x420a
	PTRACE_SETSIGMASK             = 0x420b
	PTRACE_GET_SYSCALL_INFO       = 0x420e
	PTRACE_GET_RSEQ_CONFIGURATION = 0x420f
)

// Options of PTRACE_SETOPTIONS.
const (
	PTRACE_O_TRACESYSGOOD    = 0x1
	PTRACE_O_TRACEFORK       = 0x2
	PTRACE_O_TRACEVFORK      = 0x4
	PTRACE_O_TRACECLONE      = 0x8
	PTRACE_O_TRACEEXEC       = 0x10
	PTRACE_O_TRACEVFORKDONE  = 0x20
	PTRACE_O_TRACEEXIT       = 0x40
	PTRACE_O_TRACESECCOMP    = 0x80
	PTRACE_O_EXITKILL        = 0x100000
	PTRACE_O_SUSPEND_SECCOMP = 0x200000
	PTRACE_O_MASK            = 0x3000ff
)

// Events of a tracing stop.
const (
	PTRACE_EVENT_FORK       = 1
	PTRACE_EVENT_VFORK      = 2
	PTRACE_EVENT_CLONE      = 3
	PTRACE_EVENT_EXEC       = 4
	PTRACE_EVENT_VFORK_DONE = 5
	PTRACE_EVENT_EXIT       = 6
	PTRACE_EVENT_SECCOMP    = 7
	PTRACE_EVENT_STOP       = 128
)

// PtracePeekSiginfoArgs is struct __ptrace_peeksiginfo_args.
type PtracePeekSiginfoArgs struct {
	Off   uint64
	Flags uint32
	Nr    int32
}

// PtraceSyscallInfo is struct ptrace_syscall_info; Data depends on Op.
type PtraceSyscallInfo struct {
	Op   uint8
	_    [3]byte
	Arch uint32
	IP   uint64
	SP   uint64
	Data [64]byte
}

// Values of PtraceSyscallInfo.Op.
const (
	PTRACE_SYSCALL_INFO_NONE    = 0
	PTRACE_SYSCALL_INFO_ENTRY   = 1
	PTRACE_SYSCALL_INFO_EXIT    = 2
	PTRACE_SYSCALL_INFO_SECCOMP = 3
)
