package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/bpf"
)

// Values at which a comparison could go wrong.
var edges = []uint64{
	0, 1, 2, 3, 4, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 1 << 32, 1<<32 + 3, 2 << 32, 0x7fffffffffffffff, 1 << 63, ^uint64(0),
}

func compile(t *testing.T, f *Filter) bpf.Program {
	t.Helper()
	code, err := f.Build()
	if err != nil {
		t.Fatal(err)
	}
	p, err := bpf.New(code)
	if err != nil {
		t.Fatalf("Linux would refuse the program: %v", err)
	}
	return p
}

func agree(t *testing.T, f *Filter, p bpf.Program, d linux.SeccompData) {
	t.Helper()
	if got, want := Action(p.Run(&d)), f.Evaluate(&d); got != want {
		t.Fatalf("call %#x of %#x with %#x: program %#x, rules %#x", uint32(d.Nr), d.Arch, d.Args, got, want)
	}
}

// everyNumber calls the program with each number of interest.
func everyNumber(t *testing.T, f *Filter, p bpf.Program) {
	t.Helper()
	_, arch := native()
	for nr := int32(-2); nr < 520; nr++ {
		for _, d := range []linux.SeccompData{
			{Nr: nr, Arch: arch},
			{Nr: nr, Arch: arch, Args: [6]uint64{1, 2, 3, 1 << 33, 5, ^uint64(0)}},
			{Nr: nr | linux.X32Bit, Arch: arch},
			{Nr: nr, Arch: linux.AUDIT_ARCH_I386},
		} {
			agree(t, f, p, d)
		}
	}
}

func TestEachCheck(t *testing.T) {
	for _, v := range edges {
		for _, c := range []Check{
			Equal(1, v), Equal32(1, uint32(v)), NotEqual32(1, uint32(v)), OnlyBits(1, v), NoBits(1, v), Max(1, v), Min(1, v),
			{1, MaskedNotEqual, ^uint64(0), v}, {1, MaskedEqual, 0xf0f0f0f00f0f0f0f, v & 0xf0f0f0f00f0f0f0f},
		} {
			f := &Filter{
				Rules:   []Rule{{sysno.Ioctl, []Check{c}, Allow, "test"}},
				Default: Fail(errno.EPERM), Foreign: KillProcess,
			}
			p := compile(t, f)
			for _, a := range edges {
				d := linux.SeccompData{Nr: 16, Arch: linux.AUDIT_ARCH_X86_64, Args: [6]uint64{1: a}}
				agree(t, f, p, d)
			}
		}
	}
}

func TestSeveralRulesForOneCall(t *testing.T) {
	f := &Filter{
		Rules: []Rule{
			{sysno.Fcntl, []Check{Equal32(1, linux.F_GETFL)}, Allow, "test"},
			{sysno.Read, nil, Allow, "test"},
			{sysno.Fcntl, []Check{Equal32(1, linux.F_SETFL), OnlyBits(2, linux.O_NONBLOCK)}, Log, "test"},
			{sysno.Fcntl, nil, Trap, "test"},
		},
		Default: KillProcess, Foreign: KillProcess,
	}
	p := compile(t, f)
	_, arch := native()
	nr, _ := sysno.Fcntl.Number(sysno.AMD64)
	for _, c := range []struct {
		cmd, arg uint64
		want     Action
	}{
		{linux.F_GETFL, 0, Allow},
		{linux.F_GETFL | 1<<32, 0, Allow},
		{linux.F_SETFL, linux.O_NONBLOCK, Log},
		{linux.F_SETFL, linux.O_APPEND, Trap},
		{linux.F_DUPFD, 0, Trap},
	} {
		d := linux.SeccompData{Nr: int32(nr), Arch: arch, Args: [6]uint64{0, c.cmd, c.arg}}
		if got := Action(p.Run(&d)); got != c.want {
			t.Errorf("fcntl(%d, %#x): %#x, want %#x", c.cmd, c.arg, got, c.want)
		}
	}
	everyNumber(t, f, p)
}

// TestLargeFilter needs jumps beyond the reach of a conditional jump.
func TestLargeFilter(t *testing.T) {
	f := &Filter{Default: KillProcess, Foreign: KillThread}
	for id := sysno.None + 1; int(id) < sysno.Count; id++ {
		r := Rule{Call: id, Action: Allow, Reason: "test"}
		if id%3 == 0 {
			r.Checks = []Check{Equal(0, uint64(id)), Max(3, 1<<33), Min(1, 2), NotEqual32(2, 9)}
		}
		if id%5 == 0 {
			r.Action = Fail(errno.ENOSYS)
		}
		f.Rules = append(f.Rules, r)
	}
	slices.Reverse(f.Rules)
	p := compile(t, f)
	if p.Len() < 1000 {
		t.Errorf("%d instructions: too few to test long jumps", p.Len())
	}
	everyNumber(t, f, p)
	for id := sysno.None + 1; int(id) < sysno.Count; id++ {
		nr, _ := id.Number(sysno.AMD64)
		for _, args := range [][6]uint64{{uint64(id), 2, 0, 0}, {uint64(id), 2, 9, 0}, {uint64(id), 1, 0, 0}, {uint64(id), 2, 0, 2 << 33}} {
			agree(t, f, p, linux.SeccompData{Nr: int32(nr), Arch: linux.AUDIT_ARCH_X86_64, Args: args})
		}
	}
}

func TestNeighboursShareARange(t *testing.T) {
	f := &Filter{Default: KillProcess, Foreign: KillProcess}
	for _, id := range []sysno.ID{sysno.Read, sysno.Write, sysno.Open, sysno.Close} {
		f.Rules = append(f.Rules, Rule{id, nil, Allow, "test"})
	}
	if p := compile(t, f); p.Len() > 9 {
		t.Errorf("%d instructions for one range", p.Len())
	}
}

func TestEmptyFilter(t *testing.T) {
	f := &Filter{Default: Allow, Foreign: KillProcess}
	everyNumber(t, f, compile(t, f))
}

func TestBadRules(t *testing.T) {
	for _, c := range []struct {
		want  string
		rules []Rule
	}{
		{"no reason", []Rule{{sysno.Read, nil, Allow, " "}}},
		{"no such call", []Rule{{sysno.None, nil, Allow, "test"}}},
		{"no argument 6", []Rule{{sysno.Read, []Check{Equal(6, 0)}, Allow, "test"}}},
		{"outside mask", []Rule{{sysno.Read, []Check{{0, MaskedEqual, 1, 2}}, Allow, "test"}}},
		{"decides already", []Rule{{sysno.Read, nil, Allow, "test"}, {sysno.Read, []Check{Equal(0, 1)}, Trap, "test"}}},
		{"unknown comparison", []Rule{{sysno.Read, []Check{{Op: 9}}, Allow, "test"}}},
	} {
		f := &Filter{Rules: c.rules}
		if _, err := f.Build(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// TestInstall runs itself again as a process that installs a filter, because
// there is no way out of one.
func TestInstall(t *testing.T) {
	if os.Getenv("SECCOMP_TEST_CHILD") != "" {
		installedChild()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestInstall$")
	cmd.Env = append(os.Environ(), "SECCOMP_TEST_CHILD=1")
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "unavailable") {
		t.Skipf("this machine does not let us install a filter: %s", out)
	}
	if err != nil || !strings.Contains(string(out), "the filter works") {
		t.Errorf("child: %v\n%s", err, out)
	}
}

func installedChild() {
	f := &Filter{
		Rules: []Rule{
			{sysno.Getpriority, nil, Fail(errno.EXDEV), "test"},
			{sysno.Mkdirat, []Check{Equal32(2, 0o123)}, Fail(errno.ENOANO), "test"},
		},
		Default: Allow, Foreign: KillProcess,
	}
	if err := f.Install(); err != nil {
		if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
			fmt.Println("unavailable:", err)
			os.Exit(0)
		}
		fmt.Println(err)
		os.Exit(1)
	}
	// Another thread must be bound too.
	errs := make(chan error)
	for range 4 {
		go func() {
			_, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != unix.EXDEV {
			fmt.Println("getpriority:", err)
			os.Exit(1)
		}
	}
	if err := unix.Mkdirat(-1, "x", 0o123); err != unix.ENOANO {
		fmt.Println("mkdirat that a rule names:", err)
		os.Exit(1)
	}
	if err := unix.Mkdirat(-1, "x", 0o124); err != unix.EBADF {
		fmt.Println("mkdirat that no rule names:", err)
		os.Exit(1)
	}
	fmt.Println("the filter works")
	os.Exit(0)
}

// FuzzBuild makes rules out of bytes and compares the program with them.
func FuzzBuild(f *testing.F) {
	f.Add([]byte{1, 0, 1, 0, 2, 0, 17, 1, 5, 5, 200, 3, 9}, uint64(3))
	f.Add([]byte{10, 1, 2, 3, 4, 10, 2, 0, 0, 1, 10, 3, 255, 255, 1}, uint64(1<<32))
	f.Fuzz(func(t *testing.T, raw []byte, arg uint64) {
		filter := &Filter{Default: KillProcess, Foreign: KillThread}
		for ; len(raw) >= 12; raw = raw[12:] {
			r := Rule{Call: sysno.ID(binary.LittleEndian.Uint16(raw)) % sysno.ID(sysno.Count), Action: Action(raw[2]), Reason: "fuzz"}
			for n := raw[3] % 3; n > 0; n-- {
				c := Check{Arg: int(raw[4] % 6), Op: Op(raw[5] % 4), Mask: edges[raw[6]%15], Value: edges[raw[7]%15] + uint64(raw[8]-2)}
				if c.Op <= MaskedNotEqual {
					c.Value &= c.Mask
				}
				if n == 2 {
					c.Arg, c.Mask = int(raw[9]%6), ^uint64(0)
				}
				r.Checks = append(r.Checks, c)
			}
			filter.Rules = append(filter.Rules, r)
		}
		code, err := filter.Build()
		if err != nil {
			return
		}
		p, err := bpf.New(code)
		if err != nil {
			t.Fatalf("Linux would refuse the program: %v", err)
		}
		_, arch := native()
		for _, r := range filter.Rules {
			nr, _ := r.Call.Number(sysno.AMD64)
			for _, v := range append(edges, arg, arg+1, arg-1) {
				agree(t, filter, p, linux.SeccompData{Nr: int32(nr), Arch: arch, Args: [6]uint64{v, v, v, v, v, v}})
				agree(t, filter, p, linux.SeccompData{Nr: int32(nr) + 1, Arch: arch, Args: [6]uint64{v, arg, v, arg, v, arg}})
			}
		}
	})
}
