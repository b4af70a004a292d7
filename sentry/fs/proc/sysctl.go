package proc

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/pseudo"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Sysctls are the settings below /proc/sys, shared by all instances of a
// sandbox. Most are values that programs look up and may store; those that mean
// something here have functions.
type Sysctls struct {
	values lock.Guarded[lockorder.Limits, map[string]string]
	rows   map[string]sysctl
	bootID func() string
}

// sysctl is one setting.
type sysctl struct {
	initial string
	check   func(value string) error // nil: read-only
	perm    linux.FileMode           // 0: 0644, or 0444 when read-only

	// show and store replace the stored value; t is the task that asks and
	// may be nil.
	show  func(t *kernel.Task) string
	store func(t *kernel.Task, value string) error
}

// NewSysctls makes the settings of a fresh sandbox.
func NewSysctls() *Sysctls {
	s := &Sysctls{rows: map[string]sysctl{}, bootID: sync.OnceValue(newUUID)}
	*s.values.Lock() = map[string]string{}
	s.values.Unlock()
	for name, r := range s.table() {
		s.rows[name] = r
	}
	return s
}

// Set gives a setting a value before anything runs, as a container's
// configuration asks: name has dots or slashes between its parts.
//
// Errors: ENOENT for a setting that there is not, EACCES for one that cannot be
// changed, EINVAL for a bad value.
func (s *Sysctls) Set(name, value string) error {
	name = strings.ReplaceAll(name, ".", "/")
	r, ok := s.rows[name]
	switch {
	case !ok:
		return errno.ENOENT
	case r.check == nil:
		return errno.EACCES
	}
	return s.set(name, r, value)
}

func (s *Sysctls) set(name string, r sysctl, value string) error {
	value = strings.Trim(value, " \t\n\x00")
	if err := r.check(value); err != nil {
		return err
	}
	values := *s.values.Lock()
	defer s.values.Unlock()
	values[name] = strings.Join(strings.Fields(value), "\t")
	return nil
}

// Get returns the value of a stored setting; "" for one that there is not.
func (s *Sysctls) Get(name string) string {
	name = strings.ReplaceAll(name, ".", "/")
	values := *s.values.Lock()
	defer s.values.Unlock()
	if v, ok := values[name]; ok {
		return v
	}
	return s.rows[name].initial
}

// Int returns a stored setting that is a number, or otherwise 0.
func (s *Sysctls) Int(name string) int64 {
	n, _ := strconv.ParseInt(s.Get(name), 10, 64)
	return n
}

// numbers checks for n numbers between low and high.
func numbers(n int, low, high int64) func(string) error {
	return func(value string) error {
		words := strings.Fields(value)
		if len(words) != n {
			return errno.EINVAL
		}
		for _, w := range words {
			if v, err := strconv.ParseInt(w, 0, 64); err != nil || v < low || v > high {
				return errno.EINVAL
			}
		}
		return nil
	}
}

func anyText(string) error { return nil }

const (
	maxInt  = 1<<31 - 1
	maxLong = 1<<63 - 1
)

// table has each setting once.
func (s *Sysctls) table() map[string]sysctl {
	number := func(initial string, low, high int64) sysctl {
		return sysctl{initial: initial, check: numbers(1, low, high)}
	}
	flag := func(initial string) sysctl { return number(initial, 0, 1) }
	fixed := func(value string) sysctl { return sysctl{initial: value} }
	live := func(show func(*kernel.Task) string) sysctl { return sysctl{show: show} }
	return map[string]sysctl{
		"abi/vsyscall32": flag("1"),

		"debug/exception-trace": flag("1"),

		"fs/aio-max-nr":                     number("65536", 0, maxLong),
		"fs/aio-nr":                         fixed("0"),
		"fs/dentry-state":                   fixed("0\t0\t45\t0\t0\t0"),
		"fs/epoll/max_user_watches":         number("1048576", 0, maxInt),
		"fs/file-max":                       number("9223372036854775807", 0, maxLong),
		"fs/file-nr":                        fixed("0\t0\t9223372036854775807"),
		"fs/inode-nr":                       fixed("0\t0"),
		"fs/inode-state":                    fixed("0\t0\t0\t0\t0\t0\t0"),
		"fs/inotify/max_queued_events":      number("16384", 0, maxInt),
		"fs/inotify/max_user_instances":     number("128", 0, maxInt),
		"fs/inotify/max_user_watches":       number("65536", 0, maxInt),
		"fs/lease-break-time":               number("45", 0, maxInt),
		"fs/leases-enable":                  flag("1"),
		"fs/mount-max":                      number("100000", 1, maxInt),
		"fs/mqueue/msg_default":             number("10", 1, 65536),
		"fs/mqueue/msg_max":                 number("10", 1, 65536),
		"fs/mqueue/msgsize_default":         number("8192", 128, 16777216),
		"fs/mqueue/msgsize_max":             number("8192", 128, 16777216),
		"fs/mqueue/queues_max":              number("256", 0, maxInt),
		"fs/nr_open":                        fixed(strconv.Itoa(kernel.MaxOpenFiles)),
		"fs/overflowgid":                    fixed("65534"),
		"fs/overflowuid":                    fixed("65534"),
		"fs/pipe-max-size":                  number("1048576", linux.PageSize, maxInt),
		"fs/pipe-user-pages-hard":           number("0", 0, maxLong),
		"fs/pipe-user-pages-soft":           number("16384", 0, maxLong),
		"fs/protected_fifos":                number("1", 0, 2),
		"fs/protected_hardlinks":            flag("1"),
		"fs/protected_regular":              number("1", 0, 2),
		"fs/protected_symlinks":             flag("1"),
		"fs/suid_dumpable":                  number("0", 0, 2),
		"kernel/acct_parm":                  fixed("4\t2\t30"),
		"kernel/arch":                       fixed(kernel.Machine),
		"kernel/auto_msgmni":                flag("0"),
		"kernel/cap_last_cap":               fixed(strconv.Itoa(int(linux.CAP_LAST_CAP))),
		"kernel/core_pattern":               sysctl{initial: "core", check: anyText},
		"kernel/core_pipe_limit":            number("0", 0, maxInt),
		"kernel/core_uses_pid":              flag("0"),
		"kernel/dmesg_restrict":             flag("1"),
		"kernel/domainname":                 {show: domainName, store: setDomainName},
		"kernel/hostname":                   {show: hostName, store: setHostName},
		"kernel/io_uring_disabled":          number("2", 0, 2),
		"kernel/keys/maxbytes":              number("20000", 1, maxInt),
		"kernel/keys/maxkeys":               number("200", 1, maxInt),
		"kernel/kptr_restrict":              number("2", 0, 2),
		"kernel/max_lock_depth":             fixed("1024"),
		"kernel/msgmax":                     number("8192", 0, maxInt),
		"kernel/msgmnb":                     number("16384", 0, maxInt),
		"kernel/msgmni":                     number("32000", 0, 32768),
		"kernel/ngroups_max":                fixed(strconv.Itoa(linux.NGROUPS_MAX)),
		"kernel/ns_last_pid":                live(func(t *kernel.Task) string { return lastPID(t) }),
		"kernel/osrelease":                  fixed(kernel.Release),
		"kernel/ostype":                     fixed("Linux"),
		"kernel/overflowgid":                fixed("65534"),
		"kernel/overflowuid":                fixed("65534"),
		"kernel/panic":                      fixed("0"),
		"kernel/panic_on_oops":              fixed("1"),
		"kernel/perf_event_max_sample_rate": fixed("100000"),
		"kernel/perf_event_mlock_kb":        fixed("516"),
		"kernel/perf_event_paranoid":        fixed("4"),
		"kernel/pid_max":                    fixed(strconv.Itoa(kernel.MaxPID)),
		"kernel/printk":                     fixed("4\t4\t1\t7"),
		"kernel/pty/max":                    number("4096", 0, maxInt),
		"kernel/pty/nr":                     fixed("0"),
		"kernel/random/boot_id":             live(func(*kernel.Task) string { return s.bootID() }),
		"kernel/random/entropy_avail":       fixed("256"),
		"kernel/random/poolsize":            fixed("256"),
		"kernel/random/uuid":                live(func(*kernel.Task) string { return newUUID() }),
		"kernel/randomize_va_space":         number("2", 0, 2),
		"kernel/sched_autogroup_enabled":    flag("0"),
		"kernel/sched_child_runs_first":     flag("0"),
		"kernel/sched_rr_timeslice_ms":      fixed("100"),
		"kernel/sched_rt_period_us":         fixed("1000000"),
		"kernel/sched_rt_runtime_us":        fixed("950000"),
		"kernel/seccomp/actions_avail":      fixed("kill_process kill_thread trap errno user_notif trace log allow"),
		"kernel/sem":                        {initial: "32000\t1024000000\t500\t32000", check: numbers(4, 0, maxInt)},
		"kernel/shm_rmid_forced":            flag("0"),
		"kernel/shmall":                     number("18446744073692774", 0, maxLong),
		"kernel/shmmax":                     number("18446744073692774", 0, maxLong),
		"kernel/shmmni":                     number("4096", 0, 32768),
		"kernel/sysctl_writes_strict":       fixed("1"),
		"kernel/sysrq":                      fixed("0"),
		"kernel/tainted":                    fixed("0"),
		"kernel/threads-max":                fixed(strconv.Itoa(kernel.MaxTasks)),
		"kernel/timer_migration":            fixed("0"),
		"kernel/unprivileged_bpf_disabled":  fixed("2"),
		"kernel/unprivileged_userns_clone":  fixed("1"),
		"kernel/version":                    fixed(kernel.Version),
		"kernel/yama/ptrace_scope":          fixed("0"),

		"net/core/netdev_max_backlog":               number("1000", 0, maxInt),
		"net/core/optmem_max":                       number("131072", 0, maxInt),
		"net/core/rmem_default":                     number("212992", 256, maxInt),
		"net/core/rmem_max":                         number("212992", 256, maxInt),
		"net/core/somaxconn":                        number("4096", 0, maxInt),
		"net/core/wmem_default":                     number("212992", 256, maxInt),
		"net/core/wmem_max":                         number("212992", 256, maxInt),
		"net/ipv4/ip_forward":                       flag("0"),
		"net/ipv4/ip_local_port_range":              {initial: "32768\t60999", check: numbers(2, 1, 65535)},
		"net/ipv4/ip_local_reserved_ports":          {initial: "", check: anyText},
		"net/ipv4/ip_nonlocal_bind":                 flag("0"),
		"net/ipv4/ip_unprivileged_port_start":       number("1024", 0, 65535),
		"net/ipv4/ping_group_range":                 {initial: "1\t0", check: numbers(2, 0, 1<<32-1)},
		"net/ipv4/tcp_available_congestion_control": fixed("reno cubic"),
		"net/ipv4/tcp_allowed_congestion_control":   fixed("reno cubic"),
		"net/ipv4/tcp_congestion_control":           fixed("cubic"),
		"net/ipv4/tcp_fin_timeout":                  number("60", 0, maxInt),
		"net/ipv4/tcp_keepalive_intvl":              number("75", 1, 32767),
		"net/ipv4/tcp_keepalive_probes":             number("9", 1, 127),
		"net/ipv4/tcp_keepalive_time":               number("7200", 1, 32767),
		"net/ipv4/tcp_max_syn_backlog":              number("1024", 0, maxInt),
		"net/ipv4/tcp_rmem":                         {initial: "4096\t131072\t6291456", check: numbers(3, 1, maxInt)},
		"net/ipv4/tcp_sack":                         flag("1"),
		"net/ipv4/tcp_syncookies":                   number("1", 0, 2),
		"net/ipv4/tcp_timestamps":                   number("1", 0, 2),
		"net/ipv4/tcp_tw_reuse":                     number("2", 0, 2),
		"net/ipv4/tcp_window_scaling":               flag("1"),
		"net/ipv4/tcp_wmem":                         {initial: "4096\t16384\t4194304", check: numbers(3, 1, maxInt)},
		"net/ipv6/conf/all/disable_ipv6":            flag("0"),
		"net/ipv6/conf/all/forwarding":              flag("0"),
		"net/ipv6/conf/default/disable_ipv6":        flag("0"),
		"net/ipv6/conf/lo/disable_ipv6":             flag("0"),
		"net/unix/max_dgram_qlen":                   number("512", 0, maxInt),

		"user/max_ipc_namespaces":  number("65536", 0, maxInt),
		"user/max_mnt_namespaces":  number("65536", 0, maxInt),
		"user/max_net_namespaces":  number("65536", 0, maxInt),
		"user/max_pid_namespaces":  number("65536", 0, maxInt),
		"user/max_user_namespaces": number("65536", 0, maxInt),
		"user/max_uts_namespaces":  number("65536", 0, maxInt),

		"vm/admin_reserve_kbytes":     number("8192", 0, maxLong),
		"vm/compact_memory":           {perm: 0o200, check: numbers(1, 1, 1)},
		"vm/dirty_background_ratio":   number("10", 0, 100),
		"vm/dirty_ratio":              number("20", 0, 100),
		"vm/drop_caches":              {initial: "0", check: numbers(1, 1, 4)},
		"vm/hugetlb_shm_group":        fixed("0"),
		"vm/legacy_va_layout":         fixed("0"),
		"vm/max_map_count":            fixed(strconv.Itoa(mm.MaxMapCount)),
		"vm/memfd_noexec":             number("0", 0, 2),
		"vm/min_free_kbytes":          number("67584", 0, maxInt),
		"vm/mmap_min_addr":            fixed(strconv.Itoa(int(mm.MinAddr))),
		"vm/mmap_rnd_bits":            fixed("28"),
		"vm/nr_hugepages":             number("0", 0, maxLong),
		"vm/nr_overcommit_hugepages":  number("0", 0, maxLong),
		"vm/oom_dump_tasks":           flag("1"),
		"vm/oom_kill_allocating_task": flag("0"),
		"vm/overcommit_kbytes":        number("0", 0, maxLong),
		"vm/overcommit_memory":        number("0", 0, 2),
		"vm/overcommit_ratio":         number("50", 0, maxInt),
		"vm/page-cluster":             number("3", 0, 31),
		"vm/panic_on_oom":             number("0", 0, 2),
		"vm/swappiness":               number("60", 0, 200),
		"vm/unprivileged_userfaultfd": fixed("0"),
		"vm/user_reserve_kbytes":      number("131072", 0, maxLong),
		"vm/vfs_cache_pressure":       number("100", 0, maxInt),
		"vm/zone_reclaim_mode":        fixed("0"),
	}
}

// names are those of the task's UTS namespace.
func names(t *kernel.Task) (host, domain string) {
	if t == nil || t.UTS() == nil {
		return "", ""
	}
	return t.UTS().Names()
}

func hostName(t *kernel.Task) string {
	host, _ := names(t)
	return host
}

func domainName(t *kernel.Task) string {
	_, domain := names(t)
	return domain
}

func setHostName(t *kernel.Task, value string) error {
	return setName(t, value, (*kernel.UTSNamespace).SetHost)
}

func setDomainName(t *kernel.Task, value string) error {
	return setName(t, value, (*kernel.UTSNamespace).SetDomain)
}

// setName cuts what is too long, as Linux does here.
func setName(t *kernel.Task, value string, set func(*kernel.UTSNamespace, string)) error {
	uts := t.UTS()
	if uts == nil || !t.Creds().HasCapIn(linux.CAP_SYS_ADMIN, uts.UserNS()) {
		return errno.EPERM
	}
	value, _, _ = strings.Cut(value, "\n")
	set(uts, value[:min(len(value), linux.UTSLen-1)])
	return nil
}

func lastPID(t *kernel.Task) string {
	if t == nil {
		return "0"
	}
	return strconv.Itoa(int(t.PIDNS().LastPID()))
}

// newUUID is a random identifier, version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// sys is /proc/sys, made of the table.
func (i *instance) sys() pseudo.Entry {
	if i.Sysctls == nil {
		return pseudo.Folder("sys")
	}
	return pseudo.Folder("sys", i.Sysctls.folder("")...)
}

// folder lists what is directly below prefix.
func (s *Sysctls) folder(prefix string) []pseudo.Entry {
	var all []string
	for name := range s.rows {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			first, _, _ := strings.Cut(rest, "/")
			all = append(all, first)
		}
	}
	slices.Sort(all)
	var entries []pseudo.Entry
	for _, name := range slices.Compact(all) {
		if r, ok := s.rows[prefix+name]; ok {
			entries = append(entries, s.file(name, prefix+name, r))
			continue
		}
		entries = append(entries, pseudo.Folder(name, s.folder(prefix+name+"/")...))
	}
	return entries
}

func (s *Sysctls) file(base, name string, r sysctl) pseudo.Entry {
	perm := r.perm
	var text pseudo.Text
	if perm&0o444 != 0 || perm == 0 {
		text.Show = func(c vfs.Context) ([]byte, error) {
			if r.show != nil {
				return []byte(r.show(caller(c)) + "\n"), nil
			}
			return []byte(s.Get(name) + "\n"), nil
		}
	}
	switch {
	case r.store != nil:
		text.Store = func(c vfs.Context, data []byte) error {
			t := caller(c)
			if t == nil {
				return errno.EPERM
			}
			return r.store(t, strings.TrimRight(string(data), "\n\x00"))
		}
	case r.check != nil:
		text.Store = func(c vfs.Context, data []byte) error {
			if !c.Creds().HasCap(linux.CAP_SYS_ADMIN) {
				return errno.EPERM
			}
			return s.set(name, r, string(data))
		}
	}
	if perm == 0 {
		perm = 0o444
		if text.Store != nil {
			perm = 0o644
		}
	}
	return pseudo.Setting(base, perm, text)
}
