package syscalls

import (
	"crypto/rand"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// What belongs to no other family: names, limits, usage, prctl.
var miscCalls = []Call{
	call1(sysno.Uname, uname, full),
	call2(sysno.Sethostname, sethostname, full),
	call2(sysno.Setdomainname, setdomainname, full),
	call1(sysno.Sysinfo, sysinfo, full),
	call2(sysno.Getrlimit, getrlimit, full),
	call2(sysno.Setrlimit, setrlimit, full),
	call4(sysno.Prlimit64, prlimit64, full),
	call2(sysno.Getrusage, getrusage, full),
	call1(sysno.Times, times, full),
	call3(sysno.Getcpu, getcpu, full),
	call3(sysno.Getrandom, getrandom, full),
	call1(sysno.Personality, personality, except("PER_LINUX32", "READ_IMPLIES_EXEC")),
	call2(sysno.ArchPrctl, archPrctl, except("ARCH_SET_CPUID", "ARCH_SHSTK_ENABLE", "ARCH_REQ_XCOMP_PERM")),
	call5(sysno.Prctl, prctl, except("PR_SET_MM", "PR_SET_SYSCALL_USER_DISPATCH", "PR_SCHED_CORE", "PR_SET_TSC")),
	unconfigured(sysno.Rseq, errno.ENOSYS, "CONFIG_RSEQ: a critical section would have to be aborted at each preemption by the host"),
}

// What uname tells. The release is that of the Linux whose behaviour the Sentry
// follows.
const (
	sysName = "Linux"
	release = kernel.Release
	version = kernel.Version
)

func uname(t *kernel.Task, p usermem.Ptr[linux.Utsname]) (uint64, error) {
	host, domain := t.UTS().Names()
	return 0, p.Store(t, linux.Utsname{
		Sysname:    linux.UTSField(sysName),
		Nodename:   linux.UTSField(host),
		Release:    linux.UTSField(release),
		Version:    linux.UTSField(version),
		Machine:    linux.UTSField(kernel.Machine),
		Domainname: linux.UTSField(domain),
	})
}

// nameArgument loads a host or domain name and checks the right to set it.
func nameArgument(t *kernel.Task, p usermem.Addr, n int32) (string, error) {
	if !t.Creds().HasCapIn(linux.CAP_SYS_ADMIN, t.UTS().UserNS()) {
		return "", errno.EPERM
	}
	if n < 0 || n >= linux.UTSLen {
		return "", errno.EINVAL
	}
	b := make([]byte, n)
	if _, err := t.CopyIn(b, p); err != nil {
		return "", err
	}
	return linux.UTSString(linux.UTSField(string(b))), nil
}

func sethostname(t *kernel.Task, p usermem.Addr, n int32) (uint64, error) {
	s, err := nameArgument(t, p, n)
	if err != nil {
		return 0, err
	}
	t.UTS().SetHost(s)
	return 0, nil
}

func setdomainname(t *kernel.Task, p usermem.Addr, n int32) (uint64, error) {
	s, err := nameArgument(t, p, n)
	if err != nil {
		return 0, err
	}
	t.UTS().SetDomain(s)
	return 0, nil
}

func sysinfo(t *kernel.Task, p usermem.Ptr[linux.Sysinfo]) (uint64, error) {
	k := t.Kernel()
	all, _ := k.CountTasks()
	total, free := k.Memory()
	return 0, p.Store(t, linux.Sysinfo{
		Uptime:   int64(k.Uptime().Seconds()),
		TotalRAM: total,
		FreeRAM:  free,
		Procs:    uint16(min(all, 65535)),
		Unit:     1,
	})
}

func getrlimit(t *kernel.Task, r linux.RlimitResource, p usermem.Ptr[linux.Rlimit]) (uint64, error) {
	if r >= linux.RLIM_NLIMITS {
		return 0, errno.EINVAL
	}
	return 0, p.Store(t, t.Limit(r))
}

func setrlimit(t *kernel.Task, r linux.RlimitResource, p usermem.Ptr[linux.Rlimit]) (uint64, error) {
	if r >= linux.RLIM_NLIMITS {
		return 0, errno.EINVAL
	}
	v, err := p.Load(t)
	if err != nil {
		return 0, err
	}
	return 0, setLimit(t, t.ThreadGroup(), r, v)
}

func setLimit(t *kernel.Task, g *kernel.ThreadGroup, r linux.RlimitResource, v linux.Rlimit) error {
	right := kernel.MayLower
	if t.Creds().HasCap(linux.CAP_SYS_RESOURCE) {
		right = kernel.MayRaise
	}
	return g.SetLimit(r, v, right)
}

// prlimit64 reads and sets a limit of any process.
//
// Errors: EINVAL, ESRCH, EPERM without all ids in common or CAP_SYS_RESOURCE,
// EFAULT.
func prlimit64(t *kernel.Task, pid int32, r linux.RlimitResource, set, old usermem.Ptr[linux.Rlimit]) (uint64, error) {
	if r >= linux.RLIM_NLIMITS {
		return 0, errno.EINVAL
	}
	var v linux.Rlimit
	if set != 0 {
		var err error
		if v, err = set.Load(t); err != nil {
			return 0, err
		}
	}
	g, err := groupByPID(t, pid)
	if err != nil {
		return 0, err
	}
	if g != t.ThreadGroup() && !sameIDs(t.Creds(), g.Leader().Creds()) && !t.Creds().HasCap(linux.CAP_SYS_RESOURCE) {
		return 0, errno.EPERM
	}
	was := g.Limit(r)
	if set != 0 {
		if err := setLimit(t, g, r, v); err != nil {
			return 0, err
		}
	}
	return 0, old.StoreIf(t, was)
}

func sameIDs(c, d *cred.Creds) bool {
	return c.UID == d.EUID && c.UID == d.SUID && c.UID == d.UID &&
		c.GID == d.EGID && c.GID == d.SGID && c.GID == d.GID
}

const (
	rusageSelf     = 0
	rusageChildren = -1
	rusageThread   = 1
)

func getrusage(t *kernel.Task, who int32, p usermem.Ptr[linux.Rusage]) (uint64, error) {
	var u kernel.Usage
	switch who {
	case rusageSelf:
		u = t.ThreadGroup().Usage()
	case rusageChildren:
		u = t.ThreadGroup().ChildUsage()
	case rusageThread:
		u = t.Usage()
	default:
		return 0, errno.EINVAL
	}
	return 0, p.Store(t, u.Rusage())
}

// times stores CPU times and returns the clock ticks since some moment.
func times(t *kernel.Task, p usermem.Ptr[linux.Tms]) (uint64, error) {
	if p != 0 {
		self, kids := t.ThreadGroup().Usage(), t.ThreadGroup().ChildUsage()
		if err := p.Store(t, linux.Tms{
			Utime:  kernel.Ticks(self.User),
			Stime:  kernel.Ticks(self.System),
			CUtime: kernel.Ticks(kids.User),
			CStime: kernel.Ticks(kids.System),
		}); err != nil {
			return 0, err
		}
	}
	return uint64(kernel.Ticks(t.Kernel().Uptime())), nil
}

// getcpu stores where the task last ran, as far as the Sentry knows: CPU 0.
func getcpu(t *kernel.Task, cpu, node usermem.Ptr[uint32], _ usermem.Addr) (uint64, error) {
	if err := cpu.StoreIf(t, 0); err != nil {
		return 0, err
	}
	return 0, node.StoreIf(t, 0)
}

func getrandom(t *kernel.Task, p usermem.Addr, n uint64, flags uint32) (uint64, error) {
	const known = linux.GRND_NONBLOCK | linux.GRND_RANDOM | linux.GRND_INSECURE
	if flags&^known != 0 || flags&(linux.GRND_RANDOM|linux.GRND_INSECURE) == linux.GRND_RANDOM|linux.GRND_INSECURE {
		return 0, errno.EINVAL
	}
	n = min(n, 0x7ffff000)
	buf := usermem.UserBuffer(t, p, int(n))
	chunk := make([]byte, min(n, 64<<10))
	var done uint64
	for done < n {
		b := chunk[:min(uint64(len(chunk)), n-done)]
		rand.Read(b) // never fails
		c, err := buf.Fill(b)
		done += uint64(c)
		if err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, err
		}
		if done < n && t.SignalPending() {
			return done, nil
		}
	}
	return done, nil
}

// personality keeps ADDR_NO_RANDOMIZE and the flags that change nothing here.
func personality(t *kernel.Task, p uint32) (uint64, error) {
	old := t.Personality()
	if p != 0xffffffff {
		t.SetPersonality(p)
	}
	return uint64(old), nil
}

func archPrctl(t *kernel.Task, op int32, addr uint64) (uint64, error) {
	r := t.Regs()
	switch op {
	case linux.ARCH_SET_FS, linux.ARCH_SET_GS:
		if addr >= uint64(t.Kernel().Platform().Layout().Max) {
			return 0, errno.EPERM
		}
		if op == linux.ARCH_SET_FS {
			r.FsBase = addr
		} else {
			r.GsBase = addr
		}
		return 0, nil
	case linux.ARCH_GET_FS:
		return 0, usermem.Ptr[uint64](addr).Store(t, r.FsBase)
	case linux.ARCH_GET_GS:
		return 0, usermem.Ptr[uint64](addr).Store(t, r.GsBase)
	case linux.ARCH_GET_CPUID:
		return 1, nil
	case linux.ARCH_SET_CPUID:
		return 0, errno.ENODEV
	}
	return 0, errno.EINVAL
}
