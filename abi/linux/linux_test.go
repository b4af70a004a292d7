package linux

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestStrings(t *testing.T) {
	for _, c := range []struct {
		value fmt.Stringer
		want  string
	}{
		{OpenFlags(0), "O_RDONLY"},
		{OpenFlags(O_RDWR | O_CREAT | O_CLOEXEC), "O_RDWR|O_CREAT|O_CLOEXEC"},
		{OpenFlags(O_WRONLY | O_SYNC), "O_WRONLY|O_SYNC"},
		{OpenFlags(O_WRONLY | O_DSYNC), "O_WRONLY|O_DSYNC"},
		{OpenFlags(O_TMPFILE | O_RDWR), "O_RDWR|O_TMPFILE"},
		{OpenFlags(O_DIRECTORY | 0x80000000), "O_RDONLY|O_DIRECTORY|0x80000000"},
		{Prot(0), "PROT_NONE"},
		{Prot(PROT_READ | PROT_WRITE), "PROT_READ|PROT_WRITE"},
		{MapFlags(MAP_PRIVATE | MAP_ANONYMOUS), "MAP_PRIVATE|MAP_ANONYMOUS"},
		{MapFlags(MAP_SHARED_VALIDATE), "MAP_SHARED_VALIDATE"},
		{CloneFlags(SIGCHLD), "SIGCHLD"},
		{CloneFlags(CLONE_VM|CLONE_VFORK) | CloneFlags(SIGCHLD), "CLONE_VM|CLONE_VFORK|SIGCHLD"},
		{CloneFlags(CLONE_NEWPID), "CLONE_NEWPID"},
		{SIGTERM, "SIGTERM"},
		{SIGRTMIN, "SIGRT_0"},
		{Signal(34), "SIGRT_2"},
		{Signal(0), "signal 0"},
		{Signal(-5), "signal -5"},
		{SetOf(SIGINT, SIGTERM), "[SIGINT SIGTERM]"},
		{SignalSet(0), "[]"},
		{CLOCK_MONOTONIC, "CLOCK_MONOTONIC"},
		{ClockID(10), "clock 10"},
		{ClockID(-6), "clock -6"},
		{RLIMIT_NOFILE, "RLIMIT_NOFILE"},
		{RlimitResource(99), "rlimit 99"},
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
		{Capability(41), "capability 41"},
		{FileMode(S_IFDIR | 0o1777), "drwxrwxrwt"},
		{FileMode(S_IFREG | 0o4755), "-rwsr-xr-x"},
		{FileMode(S_IFREG | 0o2644), "-rw-r-Sr--"},
		{FileMode(S_IFLNK | 0o777), "lrwxrwxrwx"},
	} {
		if got := c.value.String(); got != c.want {
			t.Errorf("%T: %q, want %q", c.value, got, c.want)
		}
	}
}

func TestSignalNumbersMatchTheirNames(t *testing.T) {
	for s := Signal(1); s < SIGRTMIN; s++ {
		got, ok := ParseSignal(s.String())
		if !ok || got != s {
			t.Errorf("ParseSignal(%q) = %d %v, want %d", s, got, ok, s)
		}
	}
	for _, name := range []string{"term", "SIGTERM", "15", "TERM"} {
		if got, ok := ParseSignal(name); !ok || got != SIGTERM {
			t.Errorf("ParseSignal(%q) = %v %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "SIG", "0", "65", "-1", "nonsense"} {
		if got, ok := ParseSignal(name); ok {
			t.Errorf("ParseSignal(%q) = %v", name, got)
		}
	}
}

func TestSignalSet(t *testing.T) {
	set := SetOf(SIGHUP, SIGRTMAX, 0, 65)
	if set != 1|1<<63 || set.Len() != 2 || !set.Has(SIGHUP) || set.Has(0) || set.Has(SIGINT) {
		t.Errorf("set %#x", uint64(set))
	}
	if set.First() != SIGHUP || SignalSet(0).First() != 0 || SignalSet(1<<63).First() != SIGRTMAX {
		t.Error("First is wrong")
	}
}

func TestCapabilityNamesRoundTrip(t *testing.T) {
	for c := Capability(0); c.Valid(); c++ {
		if got, ok := ParseCapability(c.String()); !ok || got != c {
			t.Errorf("ParseCapability(%q) = %d %v", c, got, ok)
		}
	}
	if _, ok := ParseCapability("CAP_NONE"); ok {
		t.Error("CAP_NONE parses")
	}
}

func TestRlimitNamesRoundTrip(t *testing.T) {
	for r := RlimitResource(0); r < RLIM_NLIMITS; r++ {
		if got, ok := ParseRlimit(r.String()); !ok || got != r {
			t.Errorf("ParseRlimit(%q) = %d %v", r, got, ok)
		}
	}
}

func TestTimespec(t *testing.T) {
	for _, ns := range []int64{0, 1, -1, 999999999, 1e9, -1e9, -1500000000, math.MaxInt64 / 2} {
		ts := NsecToTimespec(ns)
		if ts.Nsec < 0 || ts.Nsec >= 1e9 || ts.Nanoseconds() != ns {
			t.Errorf("NsecToTimespec(%d) = %+v, back %d", ns, ts, ts.Nanoseconds())
		}
	}
	if got := (Timespec{Sec: math.MaxInt64}).Nanoseconds(); got != math.MaxInt64 {
		t.Errorf("too long: %d", got)
	}
	if got := (Timespec{Sec: math.MinInt64}).Nanoseconds(); got != math.MinInt64 {
		t.Errorf("too early: %d", got)
	}
	if (Timespec{Sec: -1}).Valid() || (Timespec{Nsec: 1e9}).Valid() || !(Timespec{Nsec: 999999999}).Valid() {
		t.Error("Valid is wrong")
	}
	if DurationToTimeval(1500*time.Millisecond) != (Timeval{Sec: 1, Usec: 500000}) {
		t.Error("DurationToTimeval is wrong")
	}
	a, b := Timespec{1, 5}, Timespec{2, 0}
	if a.Compare(b) != -1 || b.Compare(a) != 1 || a.Compare(a) != 0 {
		t.Error("Compare is wrong")
	}
}

func TestCPUClocks(t *testing.T) {
	// What clock_getcpuclockid(3) makes of process 77.
	id := ClockID(^int32(77)<<3 | CPUCLOCK_SCHED)
	if id.CPUClockPID() != 77 {
		t.Errorf("process %d", id.CPUClockPID())
	}
}

func TestWaitStatus(t *testing.T) {
	if w := ExitStatus(3); !w.Exited() || w.ExitCode() != 3 || w.Signaled() || w.Stopped() {
		t.Errorf("exit: %#x", uint32(w))
	}
	if w := CoreStatus(SIGSEGV); !w.Signaled() || w.TermSignal() != SIGSEGV || !w.CoreDumped() || w.Exited() {
		t.Errorf("core: %#x", uint32(w))
	}
	if w := KilledStatus(SIGKILL); !w.Signaled() || w.CoreDumped() {
		t.Errorf("killed: %#x", uint32(w))
	}
	if w := StoppedStatus(SIGTRAP, PTRACE_EVENT_EXEC); !w.Stopped() || w.StopSignal() != SIGTRAP || uint32(w) != 0x4057f {
		t.Errorf("stopped: %#x", uint32(w))
	}
	if w := ContinuedStatus; !w.Continued() || w.Stopped() || w.Exited() || w.Signaled() {
		t.Errorf("continued: %#x", uint32(w))
	}
}

func TestDeviceNumbers(t *testing.T) {
	for _, c := range [][2]uint32{{0, 0}, {1, 3}, {136, 5}, {0xfff, 0xff}, {0xfffff000, 0xffffff00}, {259, 1048575}} {
		major, minor := MajorMinor(MakeDev(c[0], c[1]))
		if major != c[0] || minor != c[1] {
			t.Errorf("%v becomes %d %d", c, major, minor)
		}
	}
	if MakeDev(8, 1) != 0x801 {
		t.Errorf("MakeDev(8, 1) = %#x", MakeDev(8, 1))
	}
	if major, minor := DecodeDev(0x103); major != 1 || minor != 3 {
		t.Errorf("DecodeDev: %d %d", major, minor)
	}
}

func TestUTSField(t *testing.T) {
	long := fmt.Sprintf("%0100d", 7)
	if got := UTSString(UTSField(long)); got != long[:64] {
		t.Errorf("%q", got)
	}
	if got := UTSString(UTSField("web")); got != "web" {
		t.Errorf("%q", got)
	}
}
