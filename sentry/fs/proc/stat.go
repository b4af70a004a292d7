package proc

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// terminal is a controlling terminal that has a device number.
type terminal interface{ Rdev() linux.Dev }

// ttyNumber is a terminal's device number as stat prints it: the 32 bits of
// the older interfaces, or 0.
func ttyNumber(g *kernel.ThreadGroup) uint32 {
	tty, ok := g.TTY().(terminal)
	if !ok {
		return 0
	}
	major, minor := linux.MajorMinor(uint64(tty.Rdev()))
	return minor&0xff | major<<8 | minor&^0xff<<12
}

// stat is the line that ps and top read: see proc_pid_stat(5).
func (s *subject) stat(c vfs.Context) ([]byte, error) {
	t, g := s.task(), s.group
	if t == nil {
		return nil, errno.ESRCH
	}
	usage, threads := s.usage(), g.Count()
	children := g.ChildUsage()
	if s.thread != nil {
		children = kernel.Usage{}
	}
	var m memory
	var p mm.Process
	exitCode := linux.WaitStatus(0)
	show := s.mayInspect(c) == nil
	if space := t.TakeMM(); space != nil {
		m, p = memoryOf(space), space.Process()
		space.DecUsers()
	}
	if show {
		exitCode = g.ExitStatus()
	} else {
		// Linux hides addresses from those who may not trace, and shows
		// the start and end of code as 1.
		p = mm.Process{CodeStart: 1, CodeEnd: 1}
	}
	pending, shared := t.AllPending()
	ignored, caught := g.HandledSignals()
	sched := t.Sched()
	priority, rt := int32(20)+sched.Nice, int32(0)
	if sched.Policy == linux.SCHED_FIFO || sched.Policy == linux.SCHED_RR {
		priority, rt = -1-sched.Priority, sched.Priority
	}
	const randomized = 0x400000 // PF_RANDOMIZE, the flag that every program has
	low := func(set linux.SignalSet) uint64 { return uint64(set) & 0x7fffffff }
	fields := []any{
		t.TIDIn(s.ns), "(" + t.Comm() + ")", string(t.State().Letter()), g.ParentID(s.ns), g.Pgid(s.ns), g.Sid(s.ns),
		ttyNumber(g), g.ForegroundID(s.ns), randomized, 0, 0, 0, 0,
		kernel.Ticks(usage.User), kernel.Ticks(usage.System), kernel.Ticks(children.User), kernel.Ticks(children.System),
		priority, sched.Nice, max(threads, 1), 0, s.startTicks(t), m.usage.Total, m.Total() / linux.PageSize,
		g.Limit(linux.RLIMIT_RSS).Cur, uint64(p.CodeStart), uint64(p.CodeEnd), uint64(p.StackStart), 0, 0,
		low(pending | shared), low(t.SignalMask()), low(ignored), low(caught), 0, 0, 0,
		int32(g.ExitSignal()), 0, rt, sched.Policy, 0, 0, 0,
		uint64(p.DataStart), uint64(p.DataEnd), uint64(p.BrkStart), uint64(p.ArgStart), uint64(p.ArgEnd),
		uint64(p.EnvStart), uint64(p.EnvEnd), uint32(exitCode),
	}
	return []byte(joinFields(fields)), nil
}

func joinFields(fields []any) string {
	words := make([]string, len(fields))
	for i, f := range fields {
		words[i] = fmt.Sprint(f)
	}
	return strings.Join(words, " ") + "\n"
}

// usage is the CPU time of the subject.
func (s *subject) usage() kernel.Usage {
	if s.thread != nil {
		return s.thread.Usage()
	}
	return s.group.Usage()
}

// startTicks is when the task began, in clock ticks since the sandbox did.
func (s *subject) startTicks(t *kernel.Task) int64 {
	return kernel.Ticks(max(t.StartTime().Sub(s.Kernel.BootTime()), 0))
}

func (s *subject) statm(vfs.Context) ([]byte, error) {
	const page = linux.PageSize
	m := memoryUse(s.task())
	return fmt.Appendf(nil, "%d %d %d %d 0 %d 0\n", m.usage.Total/page, m.Total()/page, (m.File+m.Shared)/page,
		m.usage.Text/page, (m.usage.Data+m.usage.Stack)/page), nil
}

var stateNames = map[byte]string{
	'R': "running", 'S': "sleeping", 'D': "disk sleep", 'T': "stopped", 't': "tracing stop", 'Z': "zombie", 'X': "dead",
}

func (s *subject) status(c vfs.Context) ([]byte, error) {
	t, g := s.task(), s.group
	if t == nil {
		return nil, errno.ESRCH
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		b.WriteString(name + ":\t")
		fmt.Fprintf(&b, format+"\n", args...)
	}
	line("Name", "%s", escapeName(t.Comm()))
	fdSize := 0
	if fs := t.TakeFS(); fs != nil {
		line("Umask", "%04o", uint32(fs.Umask()))
		fs.DecRef()
	}
	if fds := t.TakeFDs(); fds != nil {
		fdSize = fds.Size()
		fds.DecRef()
	}
	letter := t.State().Letter()
	line("State", "%c (%s)", letter, stateNames[letter])
	line("Tgid", "%d", g.ID(s.ns))
	line("Ngid", "0")
	line("Pid", "%d", t.TIDIn(s.ns))
	line("PPid", "%d", g.ParentID(s.ns))
	line("TracerPid", "0")
	s.statusCreds(c, line, fdSize)
	s.statusMemory(&b, t)
	line("Threads", "%d", g.Count())
	s.statusSignals(line)
	s.statusCaps(line)
	s.statusCPUs(line)
	line("voluntary_ctxt_switches", "%d", t.ContextSwitches())
	line("nonvoluntary_ctxt_switches", "0")
	return []byte(b.String()), nil
}

// escapeName keeps a name on its line.
func escapeName(s string) string {
	return strings.NewReplacer("\n", `\n`, `\`, `\\`).Replace(s)
}

type lineFunc func(name, format string, args ...any)

func (s *subject) statusCreds(c vfs.Context, line lineFunc, fdSize int) {
	t := s.task()
	its, view := t.Creds(), t.Creds().UserNS
	if c != nil {
		view = c.Creds().UserNS
	}
	line("Uid", "%d\t%d\t%d\t%d", view.UID(its.UID), view.UID(its.EUID), view.UID(its.SUID), view.UID(its.FSUID))
	line("Gid", "%d\t%d\t%d\t%d", view.GID(its.GID), view.GID(its.EGID), view.GID(its.SGID), view.GID(its.FSGID))
	line("FDSize", "%d", max(fdSize, 64))
	var groups strings.Builder
	for _, g := range its.Groups {
		fmt.Fprintf(&groups, "%d ", view.GID(g))
	}
	if groups.Len() == 0 {
		groups.WriteByte(' ')
	}
	line("Groups", "%s", groups.String())
	ids := func(p *kernel.PID) string {
		var words []string
		for _, n := range p.Numbers(s.ns) {
			words = append(words, strconv.Itoa(int(n)))
		}
		return strings.Join(words, "\t")
	}
	line("NStgid", "%s", ids(s.group.PID()))
	line("NSpid", "%s", ids(t.PID()))
	line("NSpgid", "%d", s.group.Pgid(s.ns))
	line("NSsid", "%d", s.group.Sid(s.ns))
	line("Kthread", "0")
}

func (s *subject) statusMemory(b *strings.Builder, t *kernel.Task) {
	m := memoryUse(t)
	if m.usage.Total == 0 {
		return
	}
	kb := func(name string, bytes uint64) { fmt.Fprintf(b, "%s:\t%8d kB\n", name, bytes>>10) }
	kb("VmPeak", m.usage.Total)
	kb("VmSize", m.usage.Total)
	kb("VmLck", m.usage.Locked)
	kb("VmPin", 0)
	kb("VmHWM", m.Total())
	kb("VmRSS", m.Total())
	kb("RssAnon", m.Anon)
	kb("RssFile", m.File)
	kb("RssShmem", m.Shared)
	kb("VmData", m.usage.Data)
	kb("VmStk", m.usage.Stack)
	kb("VmExe", m.code)
	kb("VmLib", m.usage.Text-min(m.code, m.usage.Text))
	kb("VmPTE", m.usage.Total/linux.HugePageSize*linux.PageSize)
	kb("VmSwap", 0)
	kb("HugetlbPages", 0)
	b.WriteString("CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n")
}

func (s *subject) statusSignals(line lineFunc) {
	t := s.task()
	pending, shared := t.AllPending()
	ignored, caught := s.group.HandledSignals()
	line("SigQ", "%d/%d", pending.Len()+shared.Len(), s.group.Limit(linux.RLIMIT_SIGPENDING).Cur)
	for _, l := range []struct {
		name string
		set  linux.SignalSet
	}{{"SigPnd", pending}, {"ShdPnd", shared}, {"SigBlk", t.SignalMask()}, {"SigIgn", ignored}, {"SigCgt", caught}} {
		line(l.name, "%016x", uint64(l.set))
	}
}

func (s *subject) statusCaps(line lineFunc) {
	c := s.task().Creds()
	line("CapInh", "%016x", uint64(c.Inheritable))
	line("CapPrm", "%016x", uint64(c.Permitted))
	line("CapEff", "%016x", uint64(c.Effective))
	line("CapBnd", "%016x", uint64(c.Bounding))
	line("CapAmb", "%016x", uint64(c.Ambient))
	line("NoNewPrivs", "%d", c.NoNewPrivs)
	mode, filters := s.task().SeccompMode()
	line("Seccomp", "%d", mode)
	line("Seccomp_filters", "%d", filters)
	line("Speculation_Store_Bypass", "vulnerable")
	line("SpeculationIndirectBranch", "conditional enabled")
}

func (s *subject) statusCPUs(line lineFunc) {
	cpus := s.Kernel.CPUs()
	all := ^uint64(0) >> (64 - min(cpus, 64))
	mask := s.task().Sched().Affinity & all
	if mask == 0 {
		mask = all
	}
	line("Cpus_allowed", "%s", maskText(mask, cpus))
	line("Cpus_allowed_list", "%s", listText(mask))
	line("Mems_allowed", "1")
	line("Mems_allowed_list", "0")
}

// maskText is a bit map of n bits in words of 32, the highest first.
func maskText(mask uint64, n int) string {
	if n > 32 {
		return fmt.Sprintf("%0*x,%08x", (n-32+3)/4, mask>>32, uint32(mask))
	}
	return fmt.Sprintf("%0*x", (n+3)/4, mask)
}

// listText is a bit map as ranges, "0-3,7".
func listText(mask uint64) string {
	var parts []string
	for mask != 0 {
		first := bits.TrailingZeros64(mask)
		n := bits.TrailingZeros64(^(mask >> first))
		if n == 1 {
			parts = append(parts, strconv.Itoa(first))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", first, first+n-1))
		}
		if first+n >= 64 {
			break
		}
		mask = mask >> (first + n) << (first + n)
	}
	return strings.Join(parts, ",")
}

// seconds prints a duration with two digits behind the point.
func seconds(d time.Duration) string {
	return fmt.Sprintf("%d.%02d", d/time.Second, d%time.Second/(10*time.Millisecond))
}
