package seccomp

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
)

// GoRuntime lists what the Go runtime calls by itself in a process that has
// started: what every filter of ours contains. Calls that it survives without
// are not in it.
func GoRuntime() []Rule { return goRuntime[:] }

// newThread holds for the flags that the runtime makes a thread with (with
// CLONE_SETTLS or without): nothing less, so that no clone makes a process or a
// namespace.
var newThread = Check{Arg: 0, Op: MaskedEqual, Mask: 0xffffffff &^ linux.CLONE_SETTLS, Value: threadFlags}

const threadFlags = linux.CLONE_VM | linux.CLONE_FS | linux.CLONE_FILES | linux.CLONE_SIGHAND |
	linux.CLONE_SYSVSEM | linux.CLONE_THREAD

var goRuntime = [...]Rule{
	{Call: sysno.Futex, Action: Allow, Reason: "go runtime: sleeping and waking threads"},
	{Call: sysno.Clone, Checks: []Check{newThread}, Action: Allow, Reason: "go runtime: new threads"},
	{Call: sysno.Mmap, Action: Allow, Reason: "go runtime: heap and stacks"},
	{Call: sysno.Munmap, Action: Allow, Reason: "go runtime: heap and stacks"},
	{Call: sysno.Madvise, Action: Allow, Reason: "go runtime: giving memory back"},
	{Call: sysno.Prctl, Checks: []Check{Equal32(0, linux.PR_SET_VMA)}, Action: Allow, Reason: "go runtime: naming its memory"},
	{Call: sysno.RtSigprocmask, Action: Allow, Reason: "go runtime: signal masks of threads"},
	{Call: sysno.RtSigaction, Action: Allow, Reason: "go runtime: signal handlers, when a crash is reported"},
	{Call: sysno.RtSigreturn, Action: Allow, Reason: "go runtime: leaving signal handlers"},
	{Call: sysno.Sigaltstack, Action: Allow, Reason: "go runtime: signal stacks of threads"},
	{Call: sysno.Gettid, Action: Allow, Reason: "go runtime: new threads"},
	{Call: sysno.Getpid, Action: Allow, Reason: "go runtime: preempting goroutines"},
	{Call: sysno.Tgkill, Action: Allow, Reason: "go runtime: preempting goroutines"},
	{Call: sysno.SchedYield, Action: Allow, Reason: "go runtime: spinning threads"},
	{Call: sysno.Nanosleep, Action: Allow, Reason: "go runtime: the monitor thread"},
	{Call: sysno.RestartSyscall, Action: Allow, Reason: "sleeps that a stop and continue interrupted"},
	{Call: sysno.ClockGettime, Action: Allow, Reason: "go runtime: time, where the vDSO cannot tell it"},
	{Call: sysno.EpollCreate1, Action: Allow, Reason: "go runtime: the poller"},
	{Call: sysno.EpollCtl, Action: Allow, Reason: "go runtime: the poller"},
	{Call: sysno.EpollPwait, Action: Allow, Reason: "go runtime: the poller"},
	{Call: sysno.Eventfd2, Action: Allow, Reason: "go runtime: waking the poller"},
	{Call: sysno.SchedGetaffinity, Action: Allow, Reason: "go runtime: looking now and then how many processors there are"},
	{Call: sysno.Pread64, Action: Allow, Reason: "go runtime: looking now and then at the cgroup limit of processors"},
	{Call: sysno.Exit, Action: Allow, Reason: "go runtime: threads that end"},
	{Call: sysno.ExitGroup, Action: Allow, Reason: "the end of the process"},
}
