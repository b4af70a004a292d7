package proc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/pseudo"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// subject is who a directory tells about: a process, or one of its threads.
type subject struct {
	*instance
	group  *kernel.ThreadGroup
	thread *kernel.Task // nil: the process as a whole
}

// task is the thread, or the process's first.
func (s *subject) task() *kernel.Task {
	if s.thread != nil {
		return s.thread
	}
	return s.group.Leader()
}

// gone says whether the subject has been reaped since its file was opened.
func (s *subject) gone() bool {
	if s.thread != nil {
		return s.ns.Task(s.thread.TIDIn(s.ns)) != s.thread
	}
	return s.ns.ThreadGroup(s.group.ID(s.ns)) != s.group || s.group.Leader() == nil
}

// owner is who a subject's directory belongs to.
func (s *subject) owner() (cred.KUID, cred.KGID) {
	t := s.task()
	if t == nil {
		return cred.Root, cred.RootGID
	}
	c := t.Creds()
	return c.EUID, c.EGID
}

// fileOwner is who its files belong to: root, when the process is not one that
// its owner may look into.
func (s *subject) fileOwner() (cred.KUID, cred.KGID) {
	if t := s.task(); t != nil && isDumpable(t) {
		return s.owner()
	}
	return cred.Root, cred.RootGID
}

func isDumpable(t *kernel.Task) bool {
	m := t.TakeMM()
	if m == nil {
		return false
	}
	defer m.DecUsers()
	return m.Dumpable() == linux.SUID_DUMP_USER
}

// mayInspect allows what ptrace(2) calls PTRACE_MODE_READ_FSCREDS: the process
// itself, its owner while it is dumpable, and CAP_SYS_PTRACE.
func (s *subject) mayInspect(c vfs.Context) error {
	t := s.task()
	if t == nil {
		return errno.ESRCH
	}
	if by := caller(c); by != nil && by.ThreadGroup() == s.group {
		return nil
	}
	mine, its := c.Creds(), t.Creds()
	if mine.HasCapIn(linux.CAP_SYS_PTRACE, its.UserNS) {
		return nil
	}
	sameUser := mine.FSUID == its.UID && mine.FSUID == its.EUID && mine.FSUID == its.SUID
	sameGroup := mine.FSGID == its.GID && mine.FSGID == its.EGID && mine.FSGID == its.SGID
	if !sameUser || !sameGroup || !isDumpable(t) {
		return errno.EACCES
	}
	if mine.UserNS != its.UserNS || its.Permitted&^mine.Permitted != 0 {
		return errno.EACCES
	}
	return nil
}

// taskFile is a row of the table of files.
type taskFile struct {
	name  string
	perm  linux.FileMode
	show  func(*subject, vfs.Context) ([]byte, error)
	store func(*subject, vfs.Context, []byte) error
	guard access
}

// access is who may read a file beyond its permission bits.
type access uint8

const (
	anyone access = iota
	inspector
)

// taskFiles are in the directories of processes and of threads.
var taskFiles = []taskFile{
	{name: "auxv", perm: 0o400, show: (*subject).auxv, guard: inspector},
	{name: "cgroup", perm: 0o444, show: constant("0::/\n")},
	{name: "clear_refs", perm: 0o200, store: (*subject).clearRefs},
	{name: "cmdline", perm: 0o444, show: (*subject).cmdline},
	{name: "comm", perm: 0o644, show: (*subject).comm, store: (*subject).setComm},
	{name: "cpuset", perm: 0o444, show: constant("/\n")},
	{name: "environ", perm: 0o400, show: (*subject).environ, guard: inspector},
	{name: "gid_map", perm: 0o644, show: (*subject).gidMap, store: (*subject).setGIDMap},
	{name: "io", perm: 0o400, show: (*subject).io, guard: inspector},
	{name: "limits", perm: 0o444, show: (*subject).limits},
	{name: "loginuid", perm: 0o644, show: constant("4294967295")},
	{name: "maps", perm: 0o444, show: (*subject).maps, guard: inspector},
	{name: "mountinfo", perm: 0o444, show: (*subject).mountinfo},
	{name: "mounts", perm: 0o444, show: (*subject).mounts},
	{name: "numa_maps", perm: 0o444, show: (*subject).numaMaps, guard: inspector},
	{name: "oom_adj", perm: 0o644, show: (*subject).oomAdj},
	{name: "oom_score", perm: 0o444, show: (*subject).oomScore},
	{name: "oom_score_adj", perm: 0o644, show: (*subject).oomScoreAdj, store: (*subject).setOOMScoreAdj},
	{name: "personality", perm: 0o400, show: (*subject).personality, guard: inspector},
	{name: "projid_map", perm: 0o644, show: constant("         0          0 4294967295\n")},
	{name: "schedstat", perm: 0o444, show: (*subject).schedstat},
	{name: "sessionid", perm: 0o444, show: constant("4294967295")},
	{name: "setgroups", perm: 0o644, show: (*subject).setgroups, store: (*subject).setSetgroups},
	{name: "smaps", perm: 0o444, show: (*subject).smaps, guard: inspector},
	{name: "smaps_rollup", perm: 0o444, show: (*subject).smapsRollup, guard: inspector},
	{name: "stack", perm: 0o400, show: constant(""), guard: inspector},
	{name: "stat", perm: 0o444, show: (*subject).stat},
	{name: "statm", perm: 0o444, show: (*subject).statm},
	{name: "status", perm: 0o444, show: (*subject).status},
	{name: "syscall", perm: 0o400, show: (*subject).syscall, guard: inspector},
	{name: "uid_map", perm: 0o644, show: (*subject).uidMap, store: (*subject).setUIDMap},
	{name: "wchan", perm: 0o444, show: constant("0")},
}

// processFiles are in the directories of processes alone.
var processFiles = []taskFile{
	{name: "autogroup", perm: 0o644, show: constant("/autogroup-1 nice 0\n")},
	{name: "coredump_filter", perm: 0o644, show: constant("00000033\n"), store: ignore},
	{name: "mountstats", perm: 0o400, show: (*subject).mountstats},
	{name: "timers", perm: 0o444, show: constant("")},
	{name: "timerslack_ns", perm: 0o666, show: (*subject).timerslack, store: (*subject).setTimerslack},
}

func constant(s string) func(*subject, vfs.Context) ([]byte, error) {
	return func(*subject, vfs.Context) ([]byte, error) { return []byte(s), nil }
}

func ignore(*subject, vfs.Context, []byte) error { return nil }

// entries makes directory entries of rows.
func (s *subject) entries(rows []taskFile) []pseudo.Entry {
	entries := make([]pseudo.Entry, 0, len(rows)+16)
	for _, r := range rows {
		entries = append(entries, s.entry(r))
	}
	entries = append(entries,
		s.folder("fd", 0o500, descriptors{s, s.fdLink}),
		s.folder("fdinfo", 0o555, descriptors{s, s.fdInfo}),
		s.folder("ns", 0o511, nil, s.namespaces()...),
		s.netFolder(),
		s.magic("cwd", s.cwd), s.magic("exe", s.exe), s.magic("root", s.rootDir),
		pseudo.Entry{Name: "mem", Type: linux.DT_REG, New: func(p pseudo.Place) vfs.Inode {
			return p.Custom(s.meta(0o600, inspector), s.openMem)
		}})
	slices.SortFunc(entries, func(a, b pseudo.Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries
}

// processEntries are what only the directory of a process has.
func (s *subject) processEntries() []pseudo.Entry {
	var entries []pseudo.Entry
	for _, r := range processFiles {
		entries = append(entries, s.entry(r))
	}
	return append(entries, s.folder("task", 0o555, threads{s}))
}

func (s *subject) meta(perm linux.FileMode, who access) pseudo.Meta {
	m := pseudo.Meta{Perm: perm, Owner: s.fileOwner}
	if who == inspector {
		m.Guard = s.mayInspect
	}
	return m
}

func (s *subject) entry(r taskFile) pseudo.Entry {
	return pseudo.Entry{Name: r.name, Type: linux.DT_REG, New: func(p pseudo.Place) vfs.Inode {
		var text pseudo.Text
		if r.show != nil {
			text.Show = func(c vfs.Context) ([]byte, error) {
				if s.gone() {
					return nil, errno.ESRCH
				}
				return r.show(s, c)
			}
		}
		if r.store != nil {
			text.Store = func(c vfs.Context, data []byte) error {
				if s.gone() {
					return errno.ESRCH
				}
				return r.store(s, c, data)
			}
		}
		return p.Text(s.meta(r.perm, r.guard), text)
	}}
}

func (s *subject) file(name string, perm linux.FileMode, show func(*subject, vfs.Context) ([]byte, error)) pseudo.Entry {
	return s.entry(taskFile{name: name, perm: perm, show: show})
}

func (s *subject) folder(name string, perm linux.FileMode, d pseudo.Dynamic, entries ...pseudo.Entry) pseudo.Entry {
	return pseudo.Entry{Name: name, Type: linux.DT_DIR, New: func(p pseudo.Place) vfs.Inode {
		who := anyone
		if name == "fd" || name == "fdinfo" || name == "ns" {
			who = inspector
		}
		return p.Dir(s.meta(perm, who), entries, d)
	}}
}

// threadIDs are the numbers of the living threads, in order. A process whose
// first thread is gone keeps it until it is reaped.
func (s *subject) threadIDs() []int32 {
	var ids []int32
	for _, t := range s.group.Tasks() {
		ids = append(ids, t.TIDIn(s.ns))
	}
	if leader := s.group.Leader(); leader != nil {
		if id := leader.TIDIn(s.ns); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (s *subject) children(vfs.Context) ([]byte, error) {
	var b strings.Builder
	var ids []int32
	for _, g := range s.group.Children() {
		ids = append(ids, g.ID(s.ns))
	}
	slices.Sort(ids)
	for _, id := range ids {
		fmt.Fprintf(&b, "%d ", id)
	}
	return []byte(b.String()), nil
}

func (s *subject) comm(vfs.Context) ([]byte, error) {
	return []byte(s.task().Comm() + "\n"), nil
}

// setComm renames a thread of the caller's own process.
func (s *subject) setComm(c vfs.Context, data []byte) error {
	if by := caller(c); by == nil || by.ThreadGroup() != s.group {
		return errno.EINVAL
	}
	name, _, _ := strings.Cut(string(data), "\x00")
	s.task().SetComm(strings.TrimSuffix(name, "\n"))
	return nil
}

func (s *subject) clearRefs(_ vfs.Context, data []byte) error {
	_, err := pseudo.ParseInt(data, 1, 5)
	return err
}

func (s *subject) io(vfs.Context) ([]byte, error) {
	var sum kernel.IOCounters
	tasks := []*kernel.Task{s.thread}
	if s.thread == nil {
		tasks = s.group.Tasks()
	}
	for _, t := range tasks {
		io := t.IO()
		sum.ReadBytes += io.ReadBytes
		sum.WriteBytes += io.WriteBytes
		sum.Reads += io.Reads
		sum.Writes += io.Writes
	}
	return fmt.Appendf(nil, "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n",
		sum.ReadBytes, sum.WriteBytes, sum.Reads, sum.Writes), nil
}

// limitRows are the lines of limits; their order is that of the resources.
var limitRows = [linux.RLIM_NLIMITS][2]string{
	{"Max cpu time", "seconds"}, {"Max file size", "bytes"}, {"Max data size", "bytes"}, {"Max stack size", "bytes"},
	{"Max core file size", "bytes"}, {"Max resident set", "bytes"}, {"Max processes", "processes"},
	{"Max open files", "files"}, {"Max locked memory", "bytes"}, {"Max address space", "bytes"},
	{"Max file locks", "locks"}, {"Max pending signals", "signals"}, {"Max msgqueue size", "bytes"},
	{"Max nice priority", ""}, {"Max realtime priority", ""}, {"Max realtime timeout", "us"},
}

func (s *subject) limits(vfs.Context) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units")
	for r, row := range limitRows {
		l := s.group.Limit(linux.RlimitResource(r))
		fmt.Fprintf(&b, "%-25s %-20s %-20s %-10s\n", row[0], limitText(l.Cur), limitText(l.Max), row[1])
	}
	return []byte(b.String()), nil
}

func limitText(v uint64) string {
	if v == linux.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}

func (s *subject) oomScoreAdj(vfs.Context) ([]byte, error) {
	return fmt.Appendf(nil, "%d\n", s.task().OOMScoreAdj()), nil
}

func (s *subject) oomAdj(vfs.Context) ([]byte, error) {
	return fmt.Appendf(nil, "%d\n", s.task().OOMScoreAdj()*17/1000), nil
}

func (s *subject) oomScore(vfs.Context) ([]byte, error) {
	total, _ := s.Kernel.Memory()
	score := int64(s.task().OOMScoreAdj()) + 666
	if total > 0 {
		score += int64(memoryUse(s.task()).Total() * 1000 / total)
	}
	return fmt.Appendf(nil, "%d\n", max(score, 0)), nil
}

// setOOMScoreAdj changes the whole process. Only a privileged task makes it
// less likely to be killed.
func (s *subject) setOOMScoreAdj(c vfs.Context, data []byte) error {
	v, err := pseudo.ParseInt(data, -1000, 1000)
	if err != nil {
		return err
	}
	if int32(v) < s.task().OOMScoreAdj() && !c.Creds().HasCap(linux.CAP_SYS_RESOURCE) {
		return errno.EACCES
	}
	for _, t := range s.group.Tasks() {
		t.SetOOMScoreAdj(int32(v))
	}
	return nil
}

func (s *subject) personality(vfs.Context) ([]byte, error) {
	return fmt.Appendf(nil, "%08x\n", s.task().Personality()), nil
}

func (s *subject) schedstat(vfs.Context) ([]byte, error) {
	t := s.task()
	user, sys := t.CPUTime()
	return fmt.Appendf(nil, "%d 0 %d\n", (user + sys).Nanoseconds(), t.ContextSwitches()), nil
}

func (s *subject) syscall(vfs.Context) ([]byte, error) {
	nr := s.task().CurrentSyscall()
	if nr < 0 {
		return []byte("running\n"), nil
	}
	// The registers are the task's own; its arguments are not shown.
	return fmt.Appendf(nil, "%d 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n", nr), nil
}

func (s *subject) timerslack(vfs.Context) ([]byte, error) {
	return fmt.Appendf(nil, "%d\n", max(s.task().Sched().Slack, 1)), nil
}

func (s *subject) setTimerslack(c vfs.Context, data []byte) error {
	if by := caller(c); by != s.task() && !c.Creds().HasCap(linux.CAP_SYS_NICE) {
		return errno.EPERM
	}
	v, err := pseudo.ParseInt(data, 0, int64(time.Hour))
	if err != nil {
		return err
	}
	if v == 0 {
		v = kernel.DefaultTimerSlack
	}
	s.task().UpdateSched(func(p *kernel.Sched) { p.Slack = uint64(v) })
	return nil
}

func (s *subject) mountinfo(vfs.Context) ([]byte, error) {
	return s.mountText((*vfs.MountNamespace).MountInfo)
}

func (s *subject) mounts(vfs.Context) ([]byte, error) {
	return s.mountText((*vfs.MountNamespace).MountTable)
}

func (s *subject) mountstats(vfs.Context) ([]byte, error) {
	return s.mountText((*vfs.MountNamespace).MountStats)
}

func (s *subject) mountText(text func(*vfs.MountNamespace, vfs.Path) string) ([]byte, error) {
	fs := s.task().TakeFS()
	if fs == nil {
		return nil, errno.EINVAL
	}
	defer fs.DecRef()
	root := fs.Root()
	defer root.DecRef()
	return []byte(text(fs.Namespace(), root)), nil
}
