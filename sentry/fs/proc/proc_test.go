package proc

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

func TestOwnProcess(t *testing.T) {
	inGuest(t, func(x guest) {
		for path, want := range map[string]string{
			"/proc/self/cmdline":           "/prog\x00one two\x00-x\x00",
			"/proc/self/environ":           "A=1\x00B=2\x00",
			"/proc/self/comm":              "prog\n",
			"/proc/thread-self/comm":       "prog\n",
			"/proc/1/task/1/comm":          "prog\n",
			"/proc/self/cgroup":            "0::/\n",
			"/proc/self/oom_score_adj":     "0\n",
			"/proc/self/uid_map":           "         0          0 4294967295\n",
			"/proc/self/setgroups":         "allow\n",
			"/proc/self/personality":       "00000000\n",
			"/proc/self/wchan":             "0",
			"/proc/self/stack":             "",
			"/proc/self/task/1/children":   "",
			"/proc/sys/kernel/hostname":    "box\n",
			"/proc/sys/kernel/pid_max":     "32768\n",
			"/proc/sys/kernel/ostype":      "Linux\n",
			"/proc/sys/fs/nr_open":         "1048576\n",
			"/proc/sys/net/core/somaxconn": "4096\n",
			"/proc/sysvipc/msg":            ipcHeaders[0].header,
			"/proc/2":                      errno.ENOENT.Error(),
			"/proc/01/comm":                errno.ENOENT.Error(),
			"/proc/self/task/2":            errno.ENOENT.Error(),
			"/proc/self/fd/7":              errno.ENOENT.Error(),
		} {
			if got := x.read(path); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
	})
}

func TestLinks(t *testing.T) {
	inGuest(t, func(x guest) {
		for path, want := range map[string]string{
			"/proc/self":         "1",
			"/proc/thread-self":  "1/task/1",
			"/proc/self/exe":     "/prog",
			"/proc/self/cwd":     "/",
			"/proc/self/root":    "/",
			"/proc/mounts":       "self/mounts",
			"/proc/self/ns/user": "user:[4026531837]",
		} {
			if got := x.readlink(path); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
		if got := x.readlink("/proc/self/ns/uts"); !regexp.MustCompile(`^uts:\[\d+\]$`).MatchString(got) {
			t.Errorf("ns/uts: %q", got)
		}
		d, err := x.open("/proc/self/ns/uts", linux.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		defer d.DecRef()
		if f, ok := d.File().(*NamespaceFile); !ok || f.Kind != linux.CLONE_NEWUTS || f.Object != any(x.task.UTS()) {
			t.Errorf("an open namespace is %#v", d.File())
		}
		if got := x.read("/proc/self/exe"); !strings.HasPrefix(got, linux.ELFMagic) {
			t.Errorf("what exe leads to begins with %q", got[:min(len(got), 8)])
		}
	})
}

func TestStatHasTheFieldsOfLinux(t *testing.T) {
	inGuest(t, func(x guest) {
		line := x.read("/proc/self/stat")
		head, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ") ")
		fields := strings.Fields(rest)
		if !ok || head != "1 (prog" || len(fields) != 50 {
			t.Fatalf("%d fields behind the name in %q", len(fields), line)
		}
		for at, want := range map[int]string{3: "R", 4: "0", 5: "1", 6: "1", 7: "0", 8: "-1", 18: "20", 19: "0", 20: "1"} {
			if got := fields[at-3]; got != want {
				t.Errorf("field %d is %s, want %s", at, got, want)
			}
		}
		number := regexp.MustCompile(`^-?\d+$`)
		for i, f := range fields[1:] {
			if !number.MatchString(f) {
				t.Errorf("field %d is %q", i+4, f)
			}
		}
		if got := len(strings.Fields(x.read("/proc/self/statm"))); got != 7 {
			t.Errorf("statm has %d fields", got)
		}
	})
}

func TestStatus(t *testing.T) {
	inGuest(t, func(x guest) {
		text := x.read("/proc/self/status")
		for _, want := range []string{
			"Name:\tprog\n", "Umask:\t0022\n", "State:\tR (running)\n", "Tgid:\t1\n", "PPid:\t0\n", "Uid:\t0\t0\t0\t0\n",
			"NSpid:\t1\n", "Threads:\t1\n", "SigIgn:\t0000000000000000\n", "CapEff:\t000001ffffffffff\n", "Cpus_allowed_list:\t0",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if !regexp.MustCompile(`^[A-Za-z_]+:\t`).MatchString(line) {
				t.Errorf("line %q", line)
			}
		}
	})
}

func TestMaps(t *testing.T) {
	inGuest(t, func(x guest) {
		maps := x.read("/proc/self/maps")
		want := regexp.MustCompile(`(?m)^00400000-00401000 r-xp 00000000 [0-9a-f]{2}:[0-9a-f]{2} \d+ +/prog$`)
		if !want.MatchString(maps) {
			t.Errorf("no line for the program in\n%s", maps)
		}
		if !strings.Contains(maps, "[stack]\n") {
			t.Errorf("no stack in\n%s", maps)
		}
		for _, line := range strings.Split(strings.TrimSuffix(maps, "\n"), "\n") {
			if at := strings.IndexAny(line, "/["); at >= 0 && at != 73 {
				t.Errorf("the name stands in column %d of %q", at, line)
			}
		}
		smaps := x.read("/proc/self/smaps")
		if strings.Count(smaps, "VmFlags:") != strings.Count(maps, "\n") || !strings.Contains(smaps, "Size:                  4 kB\n") {
			t.Errorf("smaps:\n%s", smaps)
		}
		if got := x.read("/proc/self/smaps_rollup"); !strings.Contains(got, "[rollup]\nRss: ") {
			t.Errorf("smaps_rollup:\n%s", got)
		}
	})
}

func TestMem(t *testing.T) {
	inGuest(t, func(x guest) {
		d, err := x.open("/proc/self/mem", linux.O_RDWR)
		if err != nil {
			t.Fatal(err)
		}
		defer d.DecRef()
		got, err := readAt(x, d, 0x400000, 4)
		if err != nil || got != linux.ELFMagic {
			t.Errorf("the program begins with %q, %v", got, err)
		}
		if _, err := readAt(x, d, 0x1000, 4); err != errno.EIO {
			t.Errorf("read of what is not mapped: %v", err)
		}
		if n, err := readAt(x, d, 0x400ff0, 100); err != nil || len(n) != 16 {
			t.Errorf("read across the end: %d bytes, %v", len(n), err)
		}
	})
}

func TestDescriptors(t *testing.T) {
	inGuest(t, func(x guest) {
		d, err := x.open("/prog", linux.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.task.FDs().Add(d, fdtable.CloseOnExec, 5, 100); err != nil {
			t.Fatal(err)
		}
		if got := x.list("/proc/self/fd"); !slices.Equal(got, []string{"5"}) {
			t.Errorf("list %v", got)
		}
		if got := x.readlink("/proc/self/fd/5"); got != "/prog" {
			t.Errorf("link %q", got)
		}
		info := x.read("/proc/self/fdinfo/5")
		if !regexp.MustCompile(`^pos:\t0\nflags:\t02000000\nmnt_id:\t\d+\nino:\t\d+\n`).MatchString(info) {
			t.Errorf("fdinfo %q", info)
		}
		if got := x.read("/proc/self/fd/5"); !strings.HasPrefix(got, linux.ELFMagic) {
			t.Errorf("opening the link gives %q", got[:min(len(got), 20)])
		}
		x.task.FDs().Close(5)
		if got := x.readlink("/proc/self/fd/5"); got != errno.ENOENT.Error() {
			t.Errorf("a closed descriptor: %q", got)
		}
	})
}

func TestWritableFiles(t *testing.T) {
	inGuest(t, func(x guest) {
		for _, c := range []struct {
			path, value string
			err         error
			read        string
		}{
			{"/proc/self/comm", "a-name-that-is-far-too-long\n", nil, "a-name-that-is-\n"},
			{"/proc/self/oom_score_adj", "500", nil, "500\n"},
			{"/proc/self/oom_score_adj", "1001", errno.EINVAL, "500\n"},
			{"/proc/sys/kernel/hostname", "other\n", nil, "other\n"},
			{"/proc/sys/vm/swappiness", "10\n", nil, "10\n"},
			{"/proc/sys/vm/swappiness", "1000\n", errno.EINVAL, "10\n"},
			{"/proc/sys/net/ipv4/ip_local_port_range", "1024 2000\n", nil, "1024\t2000\n"},
			{"/proc/sys/kernel/ostype", "x", errno.EACCES, "Linux\n"},
			{"/proc/version", "x", errno.EIO, x.read("/proc/version")},
			{"/proc/self/timerslack_ns", "70000", nil, "70000\n"},
			{"/proc/self/setgroups", "maybe", errno.EINVAL, "allow\n"},
		} {
			if err := x.write(c.path, c.value); err != c.err {
				t.Errorf("write %q to %s: %v, want %v", c.value, c.path, err, c.err)
			}
			if got := x.read(c.path); got != c.read {
				t.Errorf("then %s is %q, want %q", c.path, got, c.read)
			}
		}
	})
}

func TestNamesCannotBeMade(t *testing.T) {
	inGuest(t, func(x guest) {
		for path, want := range map[string]error{
			"/proc/x": errno.ENOENT, "/proc/1/x": errno.ENOENT, "/proc/1/task/9": errno.ENOENT, "/proc/sys/x": errno.ENOENT,
			"/proc/version": errno.EEXIST, "/proc/1": errno.EEXIST,
		} {
			n := x.task.FS().Name(path)
			if err := vfs.Mkdir(x.task, n, 0o755); err != want {
				t.Errorf("mkdir %s: %v, want %v", path, err, want)
			}
			n.Release()
		}
		n := x.task.FS().Name("/proc/version")
		defer n.Release()
		if err := vfs.Unlink(x.task, n); err != errno.EPERM {
			t.Errorf("unlink: %v", err)
		}
	})
}

func FuzzParseMap(f *testing.F) {
	f.Add([]byte("0 1000 1\n1 100000 65536\n"))
	f.Add([]byte("0 0 4294967295"))
	f.Fuzz(func(t *testing.T, data []byte) {
		maps, err := parseMap(data)
		if err != nil {
			return
		}
		if again, err := parseMap(mapText(maps)); len(mapText(maps)) < linux.PageSize && (err != nil || !slices.Equal(again, maps)) {
			t.Errorf("%q becomes %v, then %v %v", data, maps, again, err)
		}
	})
}

func TestRightsOverOthers(t *testing.T) {
	inGuest(t, func(x guest) {
		stranger := &cred.Creds{UID: 7, EUID: 7, SUID: 7, FSUID: 7, GID: 7, EGID: 7, SGID: 7, FSGID: 7, UserNS: x.task.Creds().UserNS}
		s := &subject{instance: &instance{x.config, x.task.PIDNS()}, group: x.task.ThreadGroup()}
		if err := s.mayInspect(x.task); err != nil {
			t.Errorf("itself: %v", err)
		}
		outsider := contextOf{stranger}
		if err := s.mayInspect(outsider); err != errno.EACCES {
			t.Errorf("another user: %v", err)
		}
		admin := *stranger
		admin.Effective = cred.AllCaps
		if err := s.mayInspect(contextOf{&admin}); err != nil {
			t.Errorf("CAP_SYS_PTRACE: %v", err)
		}
		same := *x.task.Creds()
		same.Effective = 0
		if err := s.mayInspect(contextOf{&same}); err != nil {
			t.Errorf("the same user: %v", err)
		}
		x.task.MM().SetDumpable(0)
		if err := s.mayInspect(contextOf{&same}); err != errno.EACCES {
			t.Errorf("the same user, not dumpable: %v", err)
		}
	})
}

// contextOf is a caller that is not a task.
type contextOf struct{ creds *cred.Creds }

func (c contextOf) Creds() *cred.Creds          { return c.creds }
func (c contextOf) Waker() waiter.Waker         { return nil }
func (c contextOf) Sleep(waiter.Deadline) error { return nil }

func TestEveryFileCanBeReadToItsEnd(t *testing.T) {
	inGuest(t, func(x guest) {
		var walk func(dir string, depth int)
		walk = func(dir string, depth int) {
			for _, name := range x.list(dir) {
				path := dir + "/" + name
				n := x.task.FS().Name(path)
				p, err := vfs.Resolve(x.task, n, vfs.How{Follow: vfs.NoFollow})
				n.Release()
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				mode := p.Inode().Attr().Mode
				p.DecRef()
				switch {
				case mode.IsDir() && depth < 6:
					walk(path, depth+1)
				case mode.IsRegular() && mode&0o444 != 0 && name != "mem":
					text := x.read(path)
					if strings.Contains(text, "%!") {
						t.Errorf("%s has a mistake in its format: %q", path, text)
					}
				}
			}
		}
		walk("/proc", 0)
	})
}

func TestSystemFiles(t *testing.T) {
	inGuest(t, func(x guest) {
		for path, want := range map[string]string{
			"/proc/meminfo":                   `(?m)^MemTotal:        1048576 kB$`,
			"/proc/cpuinfo":                   `(?m)^processor\t: 0\nvendor_id\t: \w+`,
			"/proc/stat":                      `(?m)^cpu  \d+ 0 \d+ \d+ .*\ncpu0 `,
			"/proc/uptime":                    `^\d+\.\d\d \d+\.\d\d\n$`,
			"/proc/loadavg":                   `^0\.00 0\.00 0\.00 \d+/\d+ \d+\n$`,
			"/proc/version":                   `^Linux version `,
			"/proc/filesystems":               `(?m)^nodev\ttmpfs$`,
			"/proc/mounts":                    `(?m)^proc /proc proc rw`,
			"/proc/net/dev":                   `(?m)^    lo:`,
			"/proc/net/unix":                  `^Num       RefCount`,
			"/proc/self/mountinfo":            `(?m)^\d+ \d+ 0:\d+ / /proc rw`,
			"/proc/sys/kernel/random/boot_id": `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$`,
			"/proc/self/limits":               `(?m)^Max open files            1024                 1048576              files     $`,
		} {
			if got := x.read(path); !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("%s does not match %s:\n%s", path, want, got)
			}
		}
	})
}

func TestSysctlSet(t *testing.T) {
	s := NewSysctls()
	for _, c := range []struct {
		name, value string
		err         error
	}{
		{"net.core.somaxconn", "1024", nil},
		{"kernel/shmmax", "65536", nil},
		{"net.core.somaxconn", "many", errno.EINVAL},
		{"kernel.ostype", "x", errno.EACCES},
		{"no.such.thing", "1", errno.ENOENT},
	} {
		if err := s.Set(c.name, c.value); err != c.err {
			t.Errorf("%s = %s: %v, want %v", c.name, c.value, err, c.err)
		}
	}
	if s.Int("net.core.somaxconn") != 1024 || s.Get("kernel.shmmax") != "65536" {
		t.Errorf("values %d %q", s.Int("net.core.somaxconn"), s.Get("kernel.shmmax"))
	}
}

func TestParseMap(t *testing.T) {
	got, err := parseMap([]byte("0 1000 1\n1 100000 65536\n"))
	if err != nil || !slices.Equal(got, []cred.IDMap{{Inside: 0, Outside: 1000, Length: 1}, {Inside: 1, Outside: 100000, Length: 65536}}) {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", "0 0", "0 0 1 1", "-1 0 1", "0 0 4294967296", "a b c", strings.Repeat("0 0 1\n", 400), strings.Repeat(" ", 4096)} {
		if _, err := parseMap([]byte(bad)); err != errno.EINVAL {
			t.Errorf("%q: %v", bad[:min(len(bad), 20)], err)
		}
	}
}

func TestMasks(t *testing.T) {
	for _, c := range []struct {
		mask uint64
		n    int
		text string
		list string
	}{
		{1, 1, "1", "0"}, {3, 2, "3", "0-1"}, {0xb, 6, "0b", "0-1,3"}, {^uint64(0), 64, "ffffffff,ffffffff", "0-63"},
		{1 << 33, 36, "2,00000000", "33"}, {1<<63 | 1, 64, "80000000,00000001", "0,63"},
	} {
		if got := maskText(c.mask, c.n); got != c.text {
			t.Errorf("mask %#x: %q, want %q", c.mask, got, c.text)
		}
		if got := listText(c.mask); got != c.list {
			t.Errorf("list of %#x: %q, want %q", c.mask, got, c.list)
		}
	}
}

func readAt(x guest, d *vfs.Description, off int64, n int) (string, error) {
	buf := make([]byte, n)
	got, err := d.Read(x.task, usermem.OwnBuffer(buf), off, vfs.Wait)
	return string(buf[:got]), err
}

func TestOwnFDInfoDoesNotWaitForItself(t *testing.T) {
	inGuest(t, func(x guest) {
		d, err := x.open("/proc/self/fdinfo", linux.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.task.FDs().Add(d, 0, 3, 100); err != nil {
			t.Fatal(err)
		}
		own, err := x.open("/proc/self/fdinfo/3", linux.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.task.FDs().Replace(own, 0, 3, 100); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := own.Read(x.task, usermem.OwnBuffer(buf), vfs.CurrentOffset, vfs.Wait)
		if err != nil || !strings.HasPrefix(string(buf[:n]), "pos:\t0\n") {
			t.Errorf("%q %v", buf[:n], err)
		}
	})
}
