// Package cgroup is the view that a container has of its own control group: a
// cgroup2 file system with one group, the root of the container's cgroup
// namespace.
//
// Runtimes size themselves by it: Go, the JVM and Node read cpu.max and
// memory.max, and tools list cgroup.procs. What it says comes from Limits; the
// host enforces them, and nothing here counts or limits anything. Groups cannot
// be made below it. The package takes no lock.
package cgroup

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/pseudo"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Limits are what the host's control group allows. Zero is no limit.
type Limits struct {
	Memory, Swap        uint64 // bytes; Swap is besides Memory
	CPUQuota, CPUPeriod int64  // microseconds; a period of 0 is 100,000
	Processes           int64
}

// Config is what all instances of a sandbox share.
type Config struct {
	Kernel *kernel.Kernel
	Limits Limits
	// Initial numbers the processes for readers that are not tasks.
	Initial *kernel.PIDNamespace
}

// Types registers the file system for mount(2), also under the name that
// container configurations use whatever the version.
func (c *Config) Types() []vfs.FSType {
	var types []vfs.FSType
	for _, name := range []string{"cgroup2", "cgroup"} {
		types = append(types, vfs.FSType{
			Name: name, Flags: vfs.FSNoDev | vfs.FSUserNS,
			New: func(_ vfs.Context, w *vfs.World, _, _ string) (vfs.FileSystem, error) { return c.New(w), nil },
		})
	}
	return types
}

// New makes an instance.
func (c *Config) New(w *vfs.World) vfs.FileSystem {
	fs := pseudo.New(w, "cgroup2", linux.CGROUP2_SUPER_MAGIC, func(p pseudo.Place) vfs.Inode {
		return p.Dir(pseudo.Meta{Perm: 0o755}, c.files(), nil)
	})
	fs.SetOptions("nsdelegate")
	return fs
}

const noPressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"

func (c *Config) files() []pseudo.Entry {
	shown := func(name string, perm linux.FileMode, show func(vfs.Context) string) pseudo.Entry {
		return pseudo.File(name, perm, pseudo.Text{Show: func(by vfs.Context) ([]byte, error) { return []byte(show(by)), nil }})
	}
	all := pseudo.Const
	return []pseudo.Entry{
		all("cgroup.controllers", "cpuset cpu io memory pids\n"),
		all("cgroup.events", "populated 1\nfrozen 0\n"),
		all("cgroup.freeze", "0\n"),
		all("cgroup.max.depth", "max\n"),
		all("cgroup.max.descendants", "max\n"),
		pseudo.File("cgroup.procs", 0o644, pseudo.Text{
			Show:  func(by vfs.Context) ([]byte, error) { return c.processes(by), nil },
			Store: c.enter,
		}),
		all("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n"),
		all("cgroup.subtree_control", "\n"),
		pseudo.File("cgroup.threads", 0o644, pseudo.Text{
			Show:  func(by vfs.Context) ([]byte, error) { return c.threads(by), nil },
			Store: c.enter,
		}),
		all("cgroup.type", "domain\n"),
		all("cpu.idle", "0\n"),
		all("cpu.max", c.cpuMax()),
		all("cpu.max.burst", "0\n"),
		all("cpu.pressure", noPressure),
		shown("cpu.stat", 0o444, c.cpuStat),
		all("cpu.weight", "100\n"),
		all("cpu.weight.nice", "0\n"),
		all("cpuset.cpus", "\n"),
		all("cpuset.cpus.effective", c.cpuList()),
		all("cpuset.cpus.partition", "member\n"),
		all("cpuset.mems", "\n"),
		all("cpuset.mems.effective", "0\n"),
		all("io.max", ""),
		all("io.pressure", noPressure),
		all("io.stat", ""),
		shown("memory.current", 0o444, c.memoryCurrent),
		all("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"),
		all("memory.high", "max\n"),
		all("memory.low", "0\n"),
		all("memory.max", limitText(c.Limits.Memory)),
		all("memory.min", "0\n"),
		all("memory.oom.group", "0\n"),
		shown("memory.peak", 0o444, c.memoryCurrent),
		all("memory.pressure", noPressure),
		all("memory.stat", memoryStat),
		all("memory.swap.current", "0\n"),
		all("memory.swap.max", limitText(c.Limits.Swap)),
		shown("pids.current", 0o444, func(vfs.Context) string {
			n, _ := c.Kernel.CountTasks()
			return strconv.Itoa(n) + "\n"
		}),
		all("pids.events", "max 0\n"),
		all("pids.max", limitText(uint64(max(c.Limits.Processes, 0)))),
	}
}

func limitText(v uint64) string {
	if v == 0 {
		return "max\n"
	}
	return strconv.FormatUint(v, 10) + "\n"
}

func (c *Config) cpuMax() string {
	period := c.Limits.CPUPeriod
	if period <= 0 {
		period = 100000
	}
	if c.Limits.CPUQuota <= 0 {
		return fmt.Sprintf("max %d\n", period)
	}
	return fmt.Sprintf("%d %d\n", c.Limits.CPUQuota, period)
}

func (c *Config) cpuList() string {
	n := c.Kernel.CPUs()
	if n == 1 {
		return "0\n"
	}
	return fmt.Sprintf("0-%d\n", n-1)
}

func (c *Config) cpuStat(vfs.Context) string {
	var user, system int64
	for _, g := range c.Kernel.RootPIDNS().ThreadGroups() {
		for _, u := range []kernel.Usage{g.Usage(), g.ChildUsage()} {
			user += u.User.Microseconds()
			system += u.System.Microseconds()
		}
	}
	return fmt.Sprintf("usage_usec %d\nuser_usec %d\nsystem_usec %d\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n",
		user+system, user, system)
}

// memoryCurrent is what the kernel believes is in use, within the limit.
func (c *Config) memoryCurrent(vfs.Context) string {
	total, free := c.Kernel.Memory()
	used := total - min(free, total)
	if c.Limits.Memory > 0 {
		used = min(used, c.Limits.Memory/2)
	}
	return strconv.FormatUint(used, 10) + "\n"
}

const memoryStat = "anon 0\nfile 0\nkernel 0\nkernel_stack 0\npagetables 0\nsock 0\nshmem 0\nfile_mapped 0\nfile_dirty 0\n" +
	"file_writeback 0\nswapcached 0\ninactive_anon 0\nactive_anon 0\ninactive_file 0\nactive_file 0\nunevictable 0\n" +
	"slab_reclaimable 0\nslab_unreclaimable 0\nslab 0\npgfault 0\npgmajfault 0\n"

// namespace is the one in which by reads process IDs.
func (c *Config) namespace(by vfs.Context) *kernel.PIDNamespace {
	if by != nil {
		if t, ok := vfs.Caller(by).(*kernel.Task); ok {
			return t.PIDNS()
		}
	}
	if c.Initial != nil {
		return c.Initial
	}
	return c.Kernel.RootPIDNS()
}

func (c *Config) processes(by vfs.Context) []byte {
	ns := c.namespace(by)
	var b []byte
	for _, g := range ns.ThreadGroups() {
		if !g.Zombie() {
			b = fmt.Appendf(b, "%d\n", g.ID(ns))
		}
	}
	return b
}

func (c *Config) threads(by vfs.Context) []byte {
	ns := c.namespace(by)
	var b []byte
	for _, g := range ns.ThreadGroups() {
		for _, t := range g.Tasks() {
			b = fmt.Appendf(b, "%d\n", t.TIDIn(ns))
		}
	}
	return b
}

// enter moves a process into the group, in which every process is.
//
// Errors: EINVAL for what is no number, ESRCH for no process.
func (c *Config) enter(by vfs.Context, data []byte) error {
	pid, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 32)
	if err != nil || pid < 0 {
		return errno.EINVAL
	}
	if pid != 0 && c.namespace(by).Task(int32(pid)) == nil {
		return errno.ESRCH
	}
	return nil
}
