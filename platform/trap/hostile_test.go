package trap

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// TestStubPagesCannotBeTouched goes through the interface to the pages above
// Layout.Max.
func TestStubPagesCannotBeTouched(t *testing.T) {
	p := newPlatform(t)
	as, th, regs := startCode(t, p, getpidLoop)
	for _, addr := range []uintptr{maxAddr, areaStart, areaStart + areaWindow - pageSize, stubCode, stubCode + stubSize, 1<<47 - pageSize} {
		if err := as.Unmap(th, addr, pageSize); err == nil {
			t.Errorf("Unmap(%#x)", addr)
		}
		if err := as.Protect(th, addr, pageSize, 7); err == nil {
			t.Errorf("Protect(%#x)", addr)
		}
		if err := as.Move(th, addr, pageSize, 0x10000000, pageSize, 0); err == nil {
			t.Errorf("Move(%#x)", addr)
		}
		if err := as.Move(th, codeAt, pageSize, addr, pageSize, 0); err == nil {
			t.Errorf("Move to %#x", addr)
		}
		if err := as.Map(th, platform.Mapping{Addr: addr, Length: pageSize, Prot: 3, Flags: unix.MAP_PRIVATE, FD: -1}); err == nil {
			t.Errorf("Map(%#x)", addr)
		}
		if err := as.Advise(th, addr, pageSize, unix.MADV_DONTNEED); err == nil {
			t.Errorf("Advise(%#x)", addr)
		}
		if err := as.Resident(th, addr, pageSize, make([]byte, 1)); err == nil {
			t.Errorf("Resident(%#x)", addr)
		}
		if _, err := as.CompareAndSwap(th, addr, 0, 0); err == nil {
			t.Errorf("CompareAndSwap(%#x)", addr)
		}
		if n, err := as.ReadAt(make([]byte, 1), addr); err == nil || n != 0 {
			t.Errorf("ReadAt(%#x)", addr)
		}
		r := []platform.Range{{Start: addr, End: addr + 8}}
		if n, err := as.ReadVec(make([]byte, 8), r); err == nil || n != 0 {
			t.Errorf("ReadVec(%#x)", addr)
		}
		if n, err := as.WriteVec(make([]byte, 8), r); err == nil || n != 0 {
			t.Errorf("WriteVec(%#x)", addr)
		}
		if th.(platform.Transferrer).Deliver(addr, []byte{1}) {
			t.Errorf("Deliver(%#x)", addr)
		}
		if n, err := as.WriteAt([]byte{0x90}, addr); err == nil || n != 0 {
			t.Errorf("WriteAt(%#x)", addr)
		}
	}
	// Ranges that begin below and reach into them.
	const below = maxAddr - pageSize
	if err := as.Map(th, platform.Mapping{Addr: below, Length: 2 * pageSize, Prot: 3, Flags: unix.MAP_PRIVATE, FD: -1}); err == nil {
		t.Error("Map across the end")
	}
	if err := as.Unmap(th, below, stubCode-below); err == nil {
		t.Error("Unmap across the end")
	}
	if ev := th.Switch(regs); ev.Kind != platform.Syscall {
		t.Error(ev)
	}
}

// aloneEnv makes this test binary a small Sentry that prints the pids of its
// stubs and waits to be killed.
const aloneEnv = "BULKHEAD_TEST_ALONE"

// TestStubsDieWithTheSentry kills a process that has stubs in every state:
// running, waiting, parked, forked but never run, and made ahead.
func TestStubsDieWithTheSentry(t *testing.T) {
	if os.Getenv(aloneEnv) != "" {
		beAlone(t)
		return
	}
	cmd := reexec(t, "^TestStubsDieWithTheSentry$", aloneEnv)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := ""
	for s := bufio.NewScanner(out); !strings.HasPrefix(line, "pids") && s.Scan(); {
		line = s.Text()
	}
	cmd.Process.Kill()
	cmd.Wait()
	pids := strings.Fields(line)
	if len(pids) != 4 {
		t.Fatalf("the small sentry said %q", line)
	}
	for _, pid := range pids[1:] {
		gone := false
		for range 200 {
			// Whoever adopted the stub reaps it, perhaps later.
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			if err != nil || bytes.Contains(stat, []byte(") Z ")) || bytes.Contains(stat, []byte(") X ")) {
				gone = true
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !gone {
			t.Errorf("stub %s outlives the sentry", pid)
		}
	}
}

func reexec(t *testing.T, test, env string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run="+test, "-test.v")
	cmd.Env = append(os.Environ(), env+"=1")
	return cmd
}

func beAlone(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	as, th, regs := startCode(t, p, []byte{0xeb, 0xfe}) // jmp .
	second, err := as.NewThread(th)
	if err != nil {
		t.Fatal(err)
	}
	third, err := as.NewThread(th)
	if err != nil {
		t.Fatal(err)
	}
	third.Close()
	fork, _, err := as.Fork(th)
	if err != nil {
		t.Fatal(err)
	}
	idle, _, err := p.NewAddressSpace()
	if err != nil {
		t.Fatal(err)
	}
	go second.Switch(regs)
	time.Sleep(10 * time.Millisecond)
	fmt.Printf("pids %d %d %d\n", as.(*space).process(), fork.(*space).process(), idle.(*space).process())
	select {}
}

func newPlatform(tb testing.TB) *Platform {
	tb.Helper()
	p, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

const codeAt = 0x400000

// startCode maps a page with machine code and one behind it for data.
func startCode(tb testing.TB, p *Platform, code []byte) (platform.AddressSpace, platform.Thread, *platform.Registers) {
	tb.Helper()
	as, th, regs := newCode(tb, p, code)
	tb.Cleanup(func() { th.Close(); as.Close() })
	return as, th, regs
}

// newCode is startCode for who closes the guest himself.
func newCode(tb testing.TB, p *Platform, code []byte) (platform.AddressSpace, platform.Thread, *platform.Registers) {
	tb.Helper()
	as, th, err := p.NewAddressSpace()
	if err != nil {
		tb.Fatal(err)
	}
	m := platform.Mapping{Addr: codeAt, Length: 0x2000, Prot: 7, Flags: unix.MAP_PRIVATE, FD: -1}
	if err := as.Map(th, m); err != nil {
		tb.Fatal(err)
	}
	if _, err := as.WriteAt(code, codeAt); err != nil {
		tb.Fatal(err)
	}
	return as, th, &platform.Registers{Rip: codeAt, Rsp: codeAt + 0x2000}
}

// mov $39,%eax; syscall; jmp back
var getpidLoop = []byte{0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}

const namespaceEnv = "BULKHEAD_TEST_NAMESPACE"

// TestWorksAsInitOfAnEmptyNamespace runs as process 1 of a pid namespace, with
// an empty root, no /proc and no capability, as the Sentry does.
func TestWorksAsInitOfAnEmptyNamespace(t *testing.T) {
	if os.Getenv(namespaceEnv) != "" {
		if os.Getpid() != 1 {
			t.Fatalf("pid %d", os.Getpid())
		}
		if _, err := os.Stat("/proc/self"); err == nil {
			t.Fatal("there is a /proc")
		}
		p := newPlatform(t)
		_, th, regs := startCode(t, p, getpidLoop)
		if ev := th.Switch(regs); ev.Kind != platform.Syscall {
			t.Error(ev)
		}
		if p.Layout().VDSO.Len() == 0 {
			t.Error("no vDSO found")
		}
		return
	}
	cmd := reexec(t, "^TestWorksAsInitOfAnEmptyNamespace$", namespaceEnv)
	// The binary runs from a descriptor: there is no file in the new root.
	exe, err := os.Open(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/root", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(cmd.Path, dir+"/root/test"); err != nil {
		copyFile(t, exe, dir+"/root/test")
	}
	cmd.Path, cmd.Dir = "/test", "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS,
		Chroot:      dir + "/root",
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 1, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 1, HostID: os.Getgid(), Size: 1}},
	}
	if raceDetector {
		t.Skip("a binary with the race detector needs the C library in its root")
	}
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "fork/exec") {
		t.Skipf("the host does not let us make namespaces: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func copyFile(t *testing.T, from *os.File, to string) {
	t.Helper()
	b, err := os.ReadFile(from.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}
