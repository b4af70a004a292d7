// Package sys is sysfs: what programs look up about the machine. There is no
// hardware to show, so the tree is what C libraries, language runtimes and tools
// such as lscpu, lsblk and ip open: processors and their topology, one memory
// node, huge page settings, the loopback interface, and the empty directories
// that file systems are mounted on.
//
// New makes an instance from a Machine. Everything in it is fixed when it is
// made; nothing is writable, whatever its mode bits say, and nothing here calls
// the host or takes a lock.
package sys

import (
	"fmt"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/pseudo"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Machine is what the tree tells of.
type Machine struct {
	CPUs     int    // at least 1
	MemTotal uint64 // in bytes
}

// New makes a sysfs.
func New(w *vfs.World, m Machine) vfs.FileSystem {
	m.CPUs = max(m.CPUs, 1)
	return pseudo.New(w, "sysfs", linux.SYSFS_MAGIC, func(p pseudo.Place) vfs.Inode {
		return p.Dir(pseudo.Meta{Perm: 0o555}, m.root(), nil)
	})
}

// Type registers sysfs for mount(2).
func Type(m Machine) vfs.FSType {
	return vfs.FSType{
		Name: "sysfs", Flags: vfs.FSNoDev | vfs.FSUserNS,
		New: func(_ vfs.Context, w *vfs.World, _, _ string) (vfs.FileSystem, error) { return New(w, m), nil },
	}
}

var folder = pseudo.Folder

// constant is a file that never changes and that nobody writes.
func constant(name, content string) pseudo.Entry {
	return pseudo.Setting(name, 0o444, pseudo.Text{Show: func(vfs.Context) ([]byte, error) { return []byte(content), nil }})
}

func (m Machine) root() []pseudo.Entry {
	return []pseudo.Entry{
		folder("block"),
		folder("bus", folder("cpu"), folder("node"), folder("pci", folder("devices"), folder("drivers"))),
		folder("class",
			folder("block"), folder("mem"), folder("misc"),
			folder("net", pseudo.Symlink("lo", "../../devices/virtual/net/lo")),
			folder("power_supply"), folder("thermal"), folder("tty")),
		folder("dev", folder("block"), folder("char")),
		m.devices(),
		folder("firmware"),
		folder("fs", folder("bpf"), folder("cgroup"), folder("fuse", folder("connections")), folder("pstore")),
		kernel(),
		folder("module"),
		folder("power", constant("state", "\n")),
	}
}

func (m Machine) devices() pseudo.Entry {
	return folder("devices",
		folder("system",
			folder("clocksource", folder("clocksource0",
				constant("available_clocksource", "tsc \n"), constant("current_clocksource", "tsc\n"))),
			m.cpu(),
			m.node()),
		folder("virtual", folder("net", loopback())))
}

func (m Machine) cpu() pseudo.Entry {
	all := constant
	list := m.list()
	entries := []pseudo.Entry{
		all("isolated", "\n"),
		all("kernel_max", "8191\n"),
		all("offline", "\n"),
		all("online", list),
		all("possible", list),
		all("present", list),
		folder("smt", all("active", "0\n"), all("control", "notsupported\n")),
		folder("vulnerabilities"),
	}
	for n := range m.CPUs {
		self := fmt.Sprintf("%d\n", n)
		one := cpuMask(n, n+1, m.CPUs)
		every := cpuMask(0, m.CPUs, m.CPUs)
		entries = append(entries, folder(fmt.Sprintf("cpu%d", n),
			pseudo.Symlink("node0", "../../node/node0"),
			all("online", "1\n"),
			folder("topology",
				all("cluster_id", "-1\n"), all("core_cpus", one), all("core_cpus_list", self), all("core_id", self),
				all("core_siblings", every), all("core_siblings_list", list), all("die_id", "0\n"),
				all("package_cpus", every), all("package_cpus_list", list), all("physical_package_id", "0\n"),
				all("thread_siblings", one), all("thread_siblings_list", self))))
	}
	return folder("cpu", entries...)
}

func (m Machine) node() pseudo.Entry {
	all := constant
	entries := []pseudo.Entry{
		all("cpulist", m.list()),
		all("cpumap", cpuMask(0, m.CPUs, m.CPUs)),
		all("distance", "10\n"),
		all("meminfo", fmt.Sprintf("Node 0 MemTotal:       %8d kB\nNode 0 MemFree:        %8d kB\n", m.MemTotal>>10, m.MemTotal>>11)),
		all("numastat", "numa_hit 0\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\nlocal_node 0\nother_node 0\n"),
	}
	for n := range m.CPUs {
		entries = append(entries, pseudo.Symlink(fmt.Sprintf("cpu%d", n), fmt.Sprintf("../../cpu/cpu%d", n)))
	}
	return folder("node",
		all("has_cpu", "0\n"), all("has_memory", "0\n"), all("has_normal_memory", "0\n"),
		folder("node0", entries...),
		all("online", "0\n"), all("possible", "0\n"))
}

// list is all processors as a list, "0-3".
func (m Machine) list() string {
	if m.CPUs == 1 {
		return "0\n"
	}
	return fmt.Sprintf("0-%d\n", m.CPUs-1)
}

// cpuMask is the processors from first up to end as a bit map in words of 32,
// the highest first.
func cpuMask(first, end, cpus int) string {
	words := make([]uint32, (cpus+31)/32)
	for n := first; n < end; n++ {
		words[len(words)-1-n/32] |= 1 << (n % 32)
	}
	var b strings.Builder
	for i, w := range words {
		switch {
		case i > 0:
			fmt.Fprintf(&b, ",%08x", w)
		case cpus%32 != 0:
			fmt.Fprintf(&b, "%0*x", (cpus%32+3)/4, w)
		default:
			fmt.Fprintf(&b, "%08x", w)
		}
	}
	return b.String() + "\n"
}

func loopback() pseudo.Entry {
	all := constant
	var statistics []pseudo.Entry
	for _, name := range []string{"collisions", "multicast", "rx_bytes", "rx_dropped", "rx_errors", "rx_packets",
		"tx_bytes", "tx_dropped", "tx_errors", "tx_packets"} {
		statistics = append(statistics, all(name, "0\n"))
	}
	return folder("lo",
		all("addr_assign_type", "0\n"), all("addr_len", "6\n"), all("address", "00:00:00:00:00:00\n"),
		all("broadcast", "00:00:00:00:00:00\n"), all("carrier", "1\n"), all("dev_id", "0x0\n"), all("dev_port", "0\n"),
		all("dormant", "0\n"), all("flags", "0x9\n"), all("ifindex", "1\n"), all("iflink", "1\n"),
		all("link_mode", "0\n"), all("mtu", "65536\n"), all("operstate", "unknown\n"),
		folder("statistics", statistics...),
		pseudo.Symlink("subsystem", "../../../../class/net"),
		all("tx_queue_len", "1000\n"), all("type", "772\n"), all("uevent", "INTERFACE=lo\nIFINDEX=1\n"))
}

func kernel() pseudo.Entry {
	all := constant
	return folder("kernel",
		folder("cgroup", all("delegate", "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n"), all("features", "nsdelegate\n")),
		folder("config"),
		folder("debug"),
		folder("mm",
			folder("hugepages", folder("hugepages-2048kB",
				all("free_hugepages", "0\n"), all("nr_hugepages", "0\n"), all("nr_overcommit_hugepages", "0\n"),
				all("resv_hugepages", "0\n"), all("surplus_hugepages", "0\n"))),
			folder("ksm", all("run", "0\n")),
			folder("transparent_hugepage",
				all("defrag", "always defer defer+madvise [madvise] never\n"),
				all("enabled", "always [madvise] never\n"),
				all("hpage_pmd_size", fmt.Sprintf("%d\n", linux.HugePageSize)),
				folder("khugepaged", all("defrag", "1\n"), all("max_ptes_none", "511\n"), all("pages_to_scan", "4096\n")),
				all("shmem_enabled", "always within_size advise [never] deny force\n"),
				all("use_zero_page", "1\n"))),
		folder("security"),
		folder("tracing"),
		all("uevent_seqnum", "0\n"))
}
