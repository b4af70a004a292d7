package proc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/cpuid"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/pseudo"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// root is what is in /proc besides processes.
func (i *instance) root() []pseudo.Entry {
	shown := func(name string, show func(vfs.Context) ([]byte, error)) pseudo.Entry {
		return pseudo.File(name, 0o444, pseudo.Text{Show: show})
	}
	plain := func(name string, show func() string) pseudo.Entry {
		return shown(name, func(vfs.Context) ([]byte, error) { return []byte(show()), nil })
	}
	link := func(name string, read func(vfs.Context) (string, error)) pseudo.Entry {
		return pseudo.Entry{Name: name, Type: linux.DT_LNK, New: func(p pseudo.Place) vfs.Inode { return p.Link(pseudo.Meta{}, read) }}
	}
	entries := []pseudo.Entry{
		pseudo.Const("buddyinfo", "Node 0, zone   Normal      0      0      0      0      0      0      0      0      0      0      0 \n"),
		pseudo.Const("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"),
		pseudo.Const("cmdline", "quiet\n"),
		pseudo.Const("consoles", ""),
		plain("cpuinfo", i.cpuinfo),
		pseudo.Const("crypto", ""),
		pseudo.Const("devices", devices),
		pseudo.Const("diskstats", ""),
		pseudo.Const("execdomains", "0-0\tLinux           \t[kernel]\n"),
		plain("filesystems", i.filesystems),
		pseudo.Folder("fs"),
		plain("interrupts", i.interrupts),
		pseudo.Const("iomem", ""),
		pseudo.Const("ioports", ""),
		pseudo.Folder("irq"),
		pseudo.Const("kallsyms", ""),
		plain("loadavg", i.loadavg),
		pseudo.Const("locks", ""),
		plain("meminfo", i.meminfo),
		pseudo.Const("misc", ""),
		pseudo.Const("modules", ""),
		pseudo.Symlink("mounts", "self/mounts"),
		pseudo.Symlink("net", "self/net"),
		pseudo.Const("partitions", "major minor  #blocks  name\n\n"),
		pseudo.Folder("pressure",
			pseudo.Const("cpu", pressure("some")), pseudo.Const("io", pressure("some", "full")), pseudo.Const("memory", pressure("some", "full"))),
		link("self", i.self),
		pseudo.Const("softirqs", "                    CPU0       \n"),
		plain("stat", i.stat),
		pseudo.Const("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
		i.sys(),
		i.sysvipc(),
		link("thread-self", i.threadSelf),
		pseudo.Folder("tty", pseudo.Folder("driver"), pseudo.Const("drivers", ttyDrivers), pseudo.Const("ldiscs", "n_tty       0\n")),
		plain("uptime", i.uptime),
		plain("version", func() string {
			return fmt.Sprintf("Linux version %s (bulkhead) %s\n", kernel.Release, kernel.Version)
		}),
		plain("vmstat", i.vmstat),
		pseudo.Const("zoneinfo", "Node 0, zone   Normal\n"),
	}
	return entries
}

const devices = `Character devices:
  1 mem
  4 tty
  5 /dev/tty
  5 /dev/console
  5 /dev/ptmx
 10 misc
128 ptm
136 pts

Block devices:
`

// ttyDrivers tells ps how to name terminals.
const ttyDrivers = `/dev/tty             /dev/tty        5       0 system:/dev/tty
/dev/console         /dev/console    5       1 system:console
/dev/ptmx            /dev/ptmx       5       2 system
pty_slave            /dev/pts      136 0-1048575 pty:slave
pty_master           /dev/ptm      128 0-1048575 pty:master
`

func pressure(kinds ...string) string {
	s := ""
	for _, k := range kinds {
		s += k + " avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
	}
	return s
}

func (i *instance) filesystems() string {
	var b strings.Builder
	for _, t := range i.Kernel.World().FSTypes() {
		if t.Flags&vfs.FSNoDev != 0 {
			b.WriteString("nodev")
		}
		b.WriteString("\t" + t.Name + "\n")
	}
	return b.String()
}

// cpuinfo shows the host's processor, as many times as the guest has.
func (i *instance) cpuinfo() string {
	info := cpuid.Read()
	n := i.Kernel.CPUs()
	var b strings.Builder
	for cpu := range n {
		row := func(name string, value any) { fmt.Fprintf(&b, "%-16s: %v\n", name, value) }
		tab := func(name string, value any) { fmt.Fprintf(&b, "%s\t: %v\n", name, value) }
		tab("processor", cpu)
		tab("vendor_id", info.Vendor)
		tab("cpu family", info.Family)
		tab("model\t", info.Number)
		tab("model name", info.Model)
		tab("stepping", info.Stepping)
		tab("cpu MHz\t", "2000.000")
		tab("cache size", "8192 KB")
		tab("physical id", 0)
		tab("siblings", n)
		tab("core id\t", cpu)
		tab("cpu cores", n)
		tab("apicid\t", cpu)
		tab("initial apicid", cpu)
		tab("fpu\t", "yes")
		tab("fpu_exception", "yes")
		tab("cpuid level", info.MaxLeaf)
		tab("wp\t", "yes")
		tab("flags\t", strings.Join(info.Flags, " "))
		tab("bugs\t", "")
		tab("bogomips", "4000.00")
		tab("clflush size", max(info.CacheLine, 1))
		tab("cache_alignment", max(info.CacheLine, 1))
		tab("address sizes", fmt.Sprintf("%d bits physical, %d bits virtual", info.PhysicalBits, info.LinearBits))
		row("power management", "")
		b.WriteByte('\n')
	}
	return b.String()
}

func (i *instance) interrupts() string {
	var b strings.Builder
	b.WriteString("     ")
	for cpu := range i.Kernel.CPUs() {
		fmt.Fprintf(&b, "       CPU%-4d", cpu)
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

func (i *instance) loadavg() string {
	all, running := i.Kernel.CountTasks()
	return fmt.Sprintf("0.00 0.00 0.00 %d/%d %d\n", max(running, 1), all, i.ns.LastPID())
}

func (i *instance) uptime() string {
	up := i.Kernel.Uptime()
	_, _, idle := i.cpuTime()
	return seconds(up) + " " + fmt.Sprintf("%d.%02d", idle/kernel.ClockTicks, idle%kernel.ClockTicks) + "\n"
}

// cpuTime is what all processors together have done, in clock ticks.
func (i *instance) cpuTime() (user, system, idle int64) {
	var sum kernel.Usage
	for _, g := range i.Kernel.RootPIDNS().ThreadGroups() {
		for _, u := range []kernel.Usage{g.Usage(), g.ChildUsage()} {
			sum.User += u.User
			sum.System += u.System
		}
	}
	user, system = kernel.Ticks(sum.User), kernel.Ticks(sum.System)
	idle = kernel.Ticks(i.Kernel.Uptime())*int64(i.Kernel.CPUs()) - user - system
	return user, system, max(idle, 0)
}

// stat shares what is known of all processors out among them.
func (i *instance) stat() string {
	user, system, idle := i.cpuTime()
	var b strings.Builder
	fmt.Fprintf(&b, "cpu  %d 0 %d %d 0 0 0 0 0 0\n", user, system, idle)
	n := int64(i.Kernel.CPUs())
	for cpu := range n {
		fmt.Fprintf(&b, "cpu%d %d 0 %d %d 0 0 0 0 0 0\n", cpu, user/n, system/n, idle/n)
	}
	_, running := i.Kernel.CountTasks()
	fmt.Fprintf(&b, "intr 0\nctxt 0\nbtime %d\nprocesses %d\nprocs_running %d\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
		i.Kernel.BootTime().Unix(), i.Kernel.Forks(), max(running, 1))
	return b.String()
}

func (i *instance) meminfo() string {
	total, free := i.Kernel.Memory()
	rows := []struct {
		name  string
		bytes uint64
	}{
		{"MemTotal", total}, {"MemFree", free}, {"MemAvailable", free}, {"Buffers", 0}, {"Cached", 0}, {"SwapCached", 0},
		{"Active", 0}, {"Inactive", 0}, {"Active(anon)", 0}, {"Inactive(anon)", 0}, {"Active(file)", 0},
		{"Inactive(file)", 0}, {"Unevictable", 0}, {"Mlocked", 0}, {"SwapTotal", 0}, {"SwapFree", 0}, {"Dirty", 0},
		{"Writeback", 0}, {"AnonPages", total - free}, {"Mapped", 0}, {"Shmem", 0}, {"KReclaimable", 0}, {"Slab", 0},
		{"SReclaimable", 0}, {"SUnreclaim", 0}, {"KernelStack", 0}, {"PageTables", 0}, {"NFS_Unstable", 0}, {"Bounce", 0},
		{"WritebackTmp", 0}, {"CommitLimit", total / 2}, {"Committed_AS", total - free}, {"VmallocTotal", 1<<45 - 1<<10},
		{"VmallocUsed", 0}, {"VmallocChunk", 0}, {"Percpu", 0}, {"AnonHugePages", 0}, {"ShmemHugePages", 0},
		{"ShmemPmdMapped", 0}, {"FileHugePages", 0}, {"FilePmdMapped", 0},
	}
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%-16s%8d kB\n", r.name+":", r.bytes>>10)
	}
	for _, name := range []string{"HugePages_Total", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp"} {
		fmt.Fprintf(&b, "%-16s%8d\n", name+":", 0)
	}
	fmt.Fprintf(&b, "Hugepagesize:   %8d kB\nHugetlb:        %8d kB\n", linux.HugePageSize>>10, 0)
	return b.String()
}

func (i *instance) vmstat() string {
	_, free := i.Kernel.Memory()
	var b strings.Builder
	fmt.Fprintf(&b, "nr_free_pages %d\n", free/linux.PageSize)
	for _, name := range strings.Fields("nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable " +
		"nr_slab_reclaimable nr_slab_unreclaimable nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback nr_shmem " +
		"pgpgin pgpgout pswpin pswpout pgalloc_normal pgfree pgactivate pgdeactivate pgfault pgmajfault oom_kill " +
		"numa_hit numa_miss numa_foreign") {
		b.WriteString(name + " 0\n")
	}
	return b.String()
}

// ipcHeaders are the first lines of the tables of System V objects.
var ipcHeaders = []struct{ name, header string }{
	{"msg", "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n"},
	{"sem", "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"},
	{"shm", "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n"},
}

func (i *instance) sysvipc() pseudo.Entry {
	var entries []pseudo.Entry
	for _, h := range ipcHeaders {
		at := slices.IndexFunc(i.IPC, func(f IPCFile) bool { return f.Name == h.name })
		entries = append(entries, pseudo.File(h.name, 0o444, pseudo.Text{Show: func(c vfs.Context) ([]byte, error) {
			t := caller(c)
			if at < 0 || t == nil || t.Namespaces().IPC == nil {
				return []byte(h.header), nil
			}
			return append([]byte(h.header), i.IPC[at].Show(c, t.Namespaces().IPC)...), nil
		}}))
	}
	return pseudo.Folder("sysvipc", entries...)
}
