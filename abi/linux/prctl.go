package linux

// Operations of prctl(2).
const (
	PR_SET_PDEATHSIG             = 1
	PR_GET_PDEATHSIG             = 2
	PR_GET_DUMPABLE              = 3
	PR_SET_DUMPABLE              = 4
	PR_GET_UNALIGN               = 5
	PR_SET_UNALIGN               = 6
	PR_GET_KEEPCAPS              = 7
	PR_SET_KEEPCAPS              = 8
	PR_GET_FPEMU                 = 9
	PR_SET_FPEMU                 = 10
	PR_GET_FPEXC                 = 11
	PR_SET_FPEXC                 = 12
	PR_GET_TIMING                = 13
	PR_SET_TIMING                = 14
	PR_SET_NAME                  = 15
	PR_GET_NAME                  = 16
	PR_GET_ENDIAN                = 19
	PR_SET_ENDIAN                = 20
	PR_GET_SECCOMP               = 21
	PR_SET_SECCOMP               = 22
	PR_CAPBSET_READ              = 23
	PR_CAPBSET_DROP              = 24
	PR_GET_TSC                   = 25
	PR_SET_TSC                   = 26
	PR_GET_SECUREBITS            = 27
	PR_SET_SECUREBITS            = 28
	PR_SET_TIMERSLACK            = 29
	PR_GET_TIMERSLACK            = 30
	PR_TASK_PERF_EVENTS_DISABLE  = 31
	PR_TASK_PERF_EVENTS_ENABLE   = 32
	PR_MCE_KILL                  = 33
	PR_MCE_KILL_GET              = 34
	PR_SET_MM                    = 35
	PR_SET_PTRACER               = 1499557217
	PR_SET_CHILD_SUBREAPER       = 36
	PR_GET_CHILD_SUBREAPER       = 37
	PR_SET_NO_NEW_PRIVS          = 38
	PR_GET_NO_NEW_PRIVS          = 39
	PR_GET_TID_ADDRESS           = 40
	PR_SET_THP_DISABLE           = 41
	PR_GET_THP_DISABLE           = 42
	PR_MPX_ENABLE_MANAGEMENT     = 43
	PR_MPX_DISABLE_MANAGEMENT    = 44
	PR_CAP_AMBIENT               = 47
	PR_GET_SPECULATION_CTRL      = 52
	PR_SET_SPECULATION_CTRL      = 53
	PR_SET_IO_FLUSHER            = 57
	PR_GET_IO_FLUSHER            = 58
	PR_SET_SYSCALL_USER_DISPATCH = 59
	PR_SCHED_CORE                = 62
	PR_SET_MDWE                  = 65
	PR_GET_MDWE                  = 66
	PR_SET_VMA                   = 1398164801
	PR_GET_AUXV                  = 0x41555856
	PR_SET_MEMORY_MERGE          = 67
	PR_GET_MEMORY_MERGE          = 68
)

// Sub-operations of PR_SET_MM.
const (
	PR_SET_MM_START_CODE  = 1
	PR_SET_MM_END_CODE    = 2
	PR_SET_MM_START_DATA  = 3
	PR_SET_MM_END_DATA    = 4
	PR_SET_MM_START_STACK = 5
	PR_SET_MM_START_BRK   = 6
	PR_SET_MM_BRK         = 7
	PR_SET_MM_ARG_START   = 8
	PR_SET_MM_ARG_END     = 9
	PR_SET_MM_ENV_START   = 10
	PR_SET_MM_ENV_END     = 11
	PR_SET_MM_AUXV        = 12
	PR_SET_MM_EXE_FILE    = 13
	PR_SET_MM_MAP         = 14
	PR_SET_MM_MAP_SIZE    = 15
)

// Sub-operations of others.
const (
	PR_CAP_AMBIENT_IS_SET    = 1
	PR_CAP_AMBIENT_RAISE     = 2
	PR_CAP_AMBIENT_LOWER     = 3
	PR_CAP_AMBIENT_CLEAR_ALL = 4
	PR_SET_VMA_ANON_NAME     = 0
	PR_SYS_DISPATCH_OFF      = 0
	PR_SYS_DISPATCH_ON       = 1
	PR_TSC_ENABLE            = 1
	PR_TSC_SIGSEGV           = 2
	PR_MCE_KILL_CLEAR        = 0
	PR_MCE_KILL_SET          = 1
	PR_MCE_KILL_LATE         = 0
	PR_MCE_KILL_EARLY        = 1
	PR_MCE_KILL_DEFAULT      = 2
	PR_SPEC_STORE_BYPASS     = 0
	PR_SPEC_INDIRECT_BRANCH  = 1
	PR_SPEC_L1D_FLUSH        = 2
)

// PR_SET_PTRACER_ANY lets any process trace the caller.
const PR_SET_PTRACER_ANY = ^uint64(0)

// PrctlMMMap is struct prctl_mm_map.
type PrctlMMMap struct {
	StartCode  uint64
	EndCode    uint64
	StartData  uint64
	EndData    uint64
	StartBrk   uint64
	Brk        uint64
	StartStack uint64
	ArgStart   uint64
	ArgEnd     uint64
	EnvStart   uint64
	EnvEnd     uint64
	Auxv       uint64
	AuxvSize   uint32
	ExeFD      FD
}

// Dumpable states of a process.
const (
	SUID_DUMP_DISABLE = 0
	SUID_DUMP_USER    = 1
	SUID_DUMP_ROOT    = 2
)

// Secure bits of credentials.
const (
	SECBIT_NOROOT                      = 0x1
	SECBIT_NOROOT_LOCKED               = 0x2
	SECBIT_NO_SETUID_FIXUP             = 0x4
	SECBIT_NO_SETUID_FIXUP_LOCKED      = 0x8
	SECBIT_KEEP_CAPS                   = 0x10
	SECBIT_KEEP_CAPS_LOCKED            = 0x20
	SECBIT_NO_CAP_AMBIENT_RAISE        = 0x40
	SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED = 0x80
)

// Execution domains of personality(2).
const (
	PER_LINUX          = 0
	PER_LINUX32        = 8
	PER_MASK           = 0xff
	UNAME26            = 0x20000
	ADDR_NO_RANDOMIZE  = 0x40000
	FDPIC_FUNCPTRS     = 0x80000
	MMAP_PAGE_ZERO     = 0x100000
	ADDR_COMPAT_LAYOUT = 0x200000
	READ_IMPLIES_EXEC  = 0x400000
	ADDR_LIMIT_32BIT   = 0x800000
	SHORT_INODE        = 0x1000000
	WHOLE_SECONDS      = 0x2000000
	STICKY_TIMEOUTS    = 0x4000000
	ADDR_LIMIT_3GB     = 0x8000000
)
