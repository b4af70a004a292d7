package ptrace

import (
	"bufio"
	"bytes"
	"encoding/binary"
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

// TestGuestSpoilsTheScratchPage maps files while another thread of the guest
// overwrites the memory in which the stub receives them. The guest may lose its
// own mappings; it must never get another's file, and the next guest must get
// its own.
func TestGuestSpoilsTheScratchPage(t *testing.T) {
	p := newPlatform(t)
	// movabs $stubData,%rbx; 1: rdtsc; mov %eax,%ecx; and $0x78,%ecx; mov
	// %rax,(%rbx,%rcx); movq $0,40(%rbx); jmp 1b
	code := append([]byte{0x48, 0xbb}, binary.LittleEndian.AppendUint64(nil, stubData)...)
	code = append(code,
		0x0f, 0x31, // rdtsc
		0x89, 0xc1, // mov %eax,%ecx
		0x83, 0xe1, 0x78, // and $0x78,%ecx
		0x48, 0x89, 0x04, 0x0b, // mov %rax,(%rbx,%rcx)
		0x48, 0xc7, 0x43, 0x28, 0, 0, 0, 0, // movq $0,40(%rbx)
		0xeb, 0xeb, // jmp rdtsc
	)
	as, th, regs := startCode(t, p, code)
	spoiler, err := as.NewThread(th)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan platform.Event, 1)
	go func() {
		defer spoiler.Close()
		for {
			ev := spoiler.Switch(regs)
			if ev.Kind != platform.Interrupted {
				ended <- ev
				return
			}
		}
	}()
	other, oth, _ := startCode(t, p, getpidLoop)

	mine, theirs := testFile(t, "mine"), testFile(t, "theirs")
	m := platform.Mapping{Addr: 0x10000000, Length: pageSize, Prot: 1, Flags: unix.MAP_SHARED}
	failed := 0
	for i := range 300 {
		m.FD = mine
		if err := as.Map(th, m); err != nil {
			failed++
		} else if got := readString(t, as, m.Addr, 4); got != "mine" {
			t.Fatalf("round %d: the guest mapped %q", i, got)
		}
		m.FD = theirs
		if err := other.Map(oth, m); err != nil {
			t.Fatalf("round %d: another guest: %v", i, err)
		}
		if got := readString(t, other, m.Addr, 6); got != "theirs" {
			t.Fatalf("round %d: another guest mapped %q", i, got)
		}
	}
	t.Logf("%d of 300 mappings of the hostile guest failed", failed)
	if len(ended) > 0 {
		t.Errorf("the hostile thread ended: %+v", <-ended)
	}
	as.Close()
	if ev := <-ended; ev.Kind != platform.Killed {
		t.Error(ev)
	}
}

func testFile(t *testing.T, content string) int {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.Write(fd, []byte(content)); err != nil {
		t.Fatal(err)
	}
	return fd
}

func readString(t *testing.T, as platform.AddressSpace, addr uintptr, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := as.ReadAt(b, addr); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStubPagesCannotBeTouched goes through the interface to the pages above
// Layout.Max.
func TestStubPagesCannotBeTouched(t *testing.T) {
	p := newPlatform(t)
	as, th, regs := startCode(t, p, getpidLoop)
	for _, addr := range []uintptr{stubCode, stubData} {
		if err := as.Unmap(th, addr, pageSize); err == nil {
			t.Errorf("Unmap(%#x)", addr)
		}
		if err := as.Protect(th, addr, pageSize, 7); err == nil {
			t.Errorf("Protect(%#x)", addr)
		}
		if err := as.Move(th, addr, pageSize, 0x10000000, pageSize, 0); err == nil {
			t.Errorf("Move(%#x)", addr)
		}
		if n, err := as.WriteAt([]byte{0x90}, addr); err == nil || n != 0 {
			t.Errorf("WriteAt(%#x)", addr)
		}
	}
	if ev := th.Switch(regs); ev.Kind != platform.Syscall {
		t.Error(ev)
	}
}

// aloneEnv makes this test binary a small Sentry that prints the pids of its
// stubs and waits to be killed.
const aloneEnv = "BULKHEAD_TEST_ALONE"

// TestStubsDieWithTheSentry kills a process that has stubs in every state:
// running, stopped, parked, and not yet traced.
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
	second, err := as.NewThread(th)                     // now the first is parked
	if err != nil {
		t.Fatal(err)
	}
	fork, _, err := as.Fork(th) // never traced
	if err != nil {
		t.Fatal(err)
	}
	idle, _, err := p.NewAddressSpace()
	if err != nil {
		t.Fatal(err)
	}
	go second.Switch(regs)
	time.Sleep(10 * time.Millisecond)
	fmt.Printf("pids %d %d %d\n", as.(*space).pid, fork.(*space).pid, idle.(*space).pid)
	select {}
}

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
