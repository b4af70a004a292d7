package linux

// CloneFlags are the flags of clone(2), clone3(2), unshare(2) and setns(2).
type CloneFlags uint64

// Flags of clone(2).
const (
	CSIGNAL              = 0xff
	CLONE_VM             = 0x100
	CLONE_FS             = 0x200
	CLONE_FILES          = 0x400
	CLONE_SIGHAND        = 0x800
	CLONE_PIDFD          = 0x1000
	CLONE_PTRACE         = 0x2000
	CLONE_VFORK          = 0x4000
	CLONE_PARENT         = 0x8000
	CLONE_THREAD         = 0x10000
	CLONE_NEWNS          = 0x20000
	CLONE_SYSVSEM        = 0x40000
	CLONE_SETTLS         = 0x80000
	CLONE_PARENT_SETTID  = 0x100000
	CLONE_CHILD_CLEARTID = 0x200000
	CLONE_DETACHED       = 0x400000
	CLONE_UNTRACED       = 0x800000
	CLONE_CHILD_SETTID   = 0x1000000
	CLONE_NEWCGROUP      = 0x2000000
	CLONE_NEWUTS         = 0x4000000
	CLONE_NEWIPC         = 0x8000000
	CLONE_NEWUSER        = 0x10000000
	CLONE_NEWPID         = 0x20000000
	CLONE_NEWNET         = 0x40000000
	CLONE_IO             = 0x80000000
	CLONE_CLEAR_SIGHAND  = 0x100000000
	CLONE_INTO_CGROUP    = 0x200000000
	CLONE_NEWTIME        = 0x80
)

var cloneNames = []flagName{
	{CLONE_VM, "CLONE_VM"}, {CLONE_FS, "CLONE_FS"}, {CLONE_FILES, "CLONE_FILES"}, {CLONE_SIGHAND, "CLONE_SIGHAND"},
	{CLONE_PIDFD, "CLONE_PIDFD"}, {CLONE_PTRACE, "CLONE_PTRACE"}, {CLONE_VFORK, "CLONE_VFORK"},
	{CLONE_PARENT, "CLONE_PARENT"}, {CLONE_THREAD, "CLONE_THREAD"}, {CLONE_NEWNS, "CLONE_NEWNS"},
	{CLONE_SYSVSEM, "CLONE_SYSVSEM"}, {CLONE_SETTLS, "CLONE_SETTLS"}, {CLONE_PARENT_SETTID, "CLONE_PARENT_SETTID"},
	{CLONE_CHILD_CLEARTID, "CLONE_CHILD_CLEARTID"}, {CLONE_DETACHED, "CLONE_DETACHED"}, {CLONE_UNTRACED, "CLONE_UNTRACED"},
	{CLONE_CHILD_SETTID, "CLONE_CHILD_SETTID"}, {CLONE_NEWCGROUP, "CLONE_NEWCGROUP"}, {CLONE_NEWUTS, "CLONE_NEWUTS"},
	{CLONE_NEWIPC, "CLONE_NEWIPC"}, {CLONE_NEWUSER, "CLONE_NEWUSER"}, {CLONE_NEWPID, "CLONE_NEWPID"},
	{CLONE_NEWNET, "CLONE_NEWNET"}, {CLONE_IO, "CLONE_IO"}, {CLONE_CLEAR_SIGHAND, "CLONE_CLEAR_SIGHAND"},
	{CLONE_INTO_CGROUP, "CLONE_INTO_CGROUP"},
}

// String returns the flags as strace shows them, the exit signal last.
func (f CloneFlags) String() string {
	sig := Signal(f & CSIGNAL)
	if sig == 0 {
		return flagsString(uint64(f), cloneNames)
	}
	if f &^= CSIGNAL; f == 0 {
		return sig.String()
	}
	return flagsString(uint64(f), cloneNames) + "|" + sig.String()
}

// CloneArgs is struct clone_args.
type CloneArgs struct {
	Flags      uint64
	PIDFD      uint64
	ChildTID   uint64
	ParentTID  uint64
	ExitSignal uint64
	Stack      uint64
	StackSize  uint64
	TLS        uint64
	SetTID     uint64
	SetTIDSize uint64
	Cgroup     uint64
}

// Sizes of the versions of CloneArgs.
const (
	CLONE_ARGS_SIZE_VER0 = 64
	CLONE_ARGS_SIZE_VER1 = 80
	CLONE_ARGS_SIZE_VER2 = 88
)

// Scheduling policies.
const (
	SCHED_NORMAL   = 0
	SCHED_FIFO     = 1
	SCHED_RR       = 2
	SCHED_BATCH    = 3
	SCHED_IDLE     = 5
	SCHED_DEADLINE = 6
)

// SCHED_RESET_ON_FORK is or-ed into a policy.
const (
	SCHED_RESET_ON_FORK = 0x40000000
)

// Flags of a SchedAttr.
const (
	SCHED_FLAG_RESET_ON_FORK  = 0x1
	SCHED_FLAG_RECLAIM        = 0x2
	SCHED_FLAG_DL_OVERRUN     = 0x4
	SCHED_FLAG_KEEP_POLICY    = 0x8
	SCHED_FLAG_KEEP_PARAMS    = 0x10
	SCHED_FLAG_UTIL_CLAMP_MIN = 0x20
	SCHED_FLAG_UTIL_CLAMP_MAX = 0x40
)

// SchedParam is struct sched_param.
type SchedParam struct {
	Priority int32
}

// SchedAttr is struct sched_attr.
type SchedAttr struct {
	Size     uint32
	Policy   uint32
	Flags    uint64
	Nice     int32
	Priority uint32
	Runtime  uint64
	Deadline uint64
	Period   uint64
	UtilMin  uint32
	UtilMax  uint32
}

// SCHED_ATTR_SIZE_VER0 is the size of a SchedAttr without the util fields.
const SCHED_ATTR_SIZE_VER0 = 48

// What getpriority(2) and ioprio_get(2) ask about.
const (
	PRIO_PROCESS       = 0
	PRIO_PGRP          = 1
	PRIO_USER          = 2
	IOPRIO_WHO_PROCESS = 1
	IOPRIO_WHO_PGRP    = 2
	IOPRIO_WHO_USER    = 3
	IOPRIO_CLASS_SHIFT = 13
	IOPRIO_CLASS_NONE  = 0
	IOPRIO_CLASS_RT    = 1
	IOPRIO_CLASS_BE    = 2
	IOPRIO_CLASS_IDLE  = 3
)

// TASK_COMM_LEN is the size of a thread's name with its NUL.
const TASK_COMM_LEN = 16
