package syscalls

import (
	"slices"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
)

// Calls that fail as on a Linux without the feature.
var absentCalls = slices.Concat(
	// Numbers that no longer have, or never had, an entry on 64-bit machines.
	absent("no entry in Linux's own table for 64-bit programs",
		sysno.Uselib, sysno.Sysctl, sysno.CreateModule, sysno.GetKernelSyms, sysno.QueryModule, sysno.Nfsservctl,
		sysno.Getpmsg, sysno.Putpmsg, sysno.AfsSyscall, sysno.Tuxcall, sysno.Security, sysno.SetThreadArea,
		sysno.GetThreadArea, sysno.LookupDcookie, sysno.EpollCtlOld, sysno.EpollWaitOld, sysno.Vserver),
	absent("CONFIG_X86_IOPL_IOPERM: a guest has no ports", sysno.Iopl, sysno.Ioperm),
	absent("CONFIG_MODIFY_LDT_SYSCALL: only 16 and 32-bit code needs segments of its own", sysno.ModifyLdt),
	absent("CONFIG_MODULES: the kernel cannot be extended", sysno.InitModule, sysno.FinitModule, sysno.DeleteModule),
	absent("CONFIG_KEXEC: there is no machine to start another kernel on", sysno.KexecLoad, sysno.KexecFileLoad),
	absent("CONFIG_BPF_SYSCALL: programs inside the kernel are not taken", sysno.Bpf),
	absent("CONFIG_PRINTK: there is no kernel log to read", sysno.Syslog),
	absent("CONFIG_BSD_PROCESS_ACCT", sysno.Acct),
	absent("CONFIG_KEYS: key rings are planned", sysno.AddKey, sysno.RequestKey, sysno.Keyctl),
	absent("CONFIG_AIO: asynchronous I/O is planned", sysno.IoSetup, sysno.IoDestroy, sysno.IoGetevents,
		sysno.IoSubmit, sysno.IoCancel, sysno.IoPgetevents),
	absent("CONFIG_IO_URING: planned", sysno.IoUringSetup, sysno.IoUringEnter, sysno.IoUringRegister),
	absent("CONFIG_FANOTIFY: planned", sysno.FanotifyInit, sysno.FanotifyMark),
	absent("CONFIG_SECURITY_LANDLOCK: planned", sysno.LandlockCreateRuleset, sysno.LandlockAddRule,
		sysno.LandlockRestrictSelf),
	absent("CONFIG_SECURITY: there are no security modules", sysno.LsmGetSelfAttr, sysno.LsmSetSelfAttr,
		sysno.LsmListModules),
	absent("CONFIG_CHECKPOINT_RESTORE: planned", sysno.Kcmp),
	absent("CONFIG_PERF_EVENTS: counters are planned", sysno.PerfEventOpen),
	absent("CONFIG_CACHESTAT_SYSCALL: the page cache is the host's", sysno.Cachestat),
	absent("tracing inside the sandbox is planned; Linux cannot be built without it", sysno.Ptrace),
)

// absent declares calls that fail with ENOSYS for one reason.
func absent(reason string, ids ...sysno.ID) []Call {
	calls := make([]Call, len(ids))
	for i, id := range ids {
		calls[i] = unconfigured(id, errno.ENOSYS, reason)
	}
	return calls
}
