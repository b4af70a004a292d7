package oci

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/runsc/console"
)

// screen is the user's end of a terminal: it types, and keeps what is shown.
type screen struct {
	t      *testing.T
	master *os.File

	mu    sync.Mutex
	shown strings.Builder
}

func newScreen(t *testing.T, master *os.File) *screen {
	s := &screen{t: t, master: master}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.shown.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// expect waits until the terminal shows words that it had not shown before.
func (s *screen) expect(words string) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		before, after, found := strings.Cut(s.shown.String(), words)
		if found {
			s.shown.Reset()
			s.shown.WriteString(after)
		}
		s.mu.Unlock()
		if found {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the terminal does not show %q: %q", words, before)
		}
	}
}

func (s *screen) typed(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.master, keys); err != nil {
		s.t.Fatal(err)
	}
}

// on starts a command on a terminal of its own.
func (r *rig) on(t *testing.T, args ...string) (*screen, *exec.Cmd) {
	t.Helper()
	pty, err := console.New()
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	console.SetSize(pty.Master, 30, 90)
	cmd, cancel := r.command(args...)
	t.Cleanup(cancel)
	t.Cleanup(pty.Close)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pty.Slave, pty.Slave, pty.Slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return newScreen(t, pty.Master), cmd
}

// converse tries what a person does with a shell on a terminal. The words are
// split by quotes where they are typed, so that the echo is not the answer.
func converse(s *screen) {
	s.t.Helper()
	s.typed("stty size; echo si''ze\n")
	s.expect("30 90\r\n")
	console.SetSize(s.master, 40, 120)
	time.Sleep(100 * time.Millisecond) // for the size to travel
	s.typed("stty size\n")
	s.expect("40 120\r\n")
	s.typed("sleep 1000; echo status $?\n")
	time.Sleep(300 * time.Millisecond) // for sleep to run
	s.typed("\x03")
	s.expect("^C")
	s.typed("echo af''ter $?\n")
	s.expect("after 130\r\n")
	s.typed("exit 4\n")
}

func TestRunOnTerminal(t *testing.T) {
	r := newRig(t)
	spec := r.spec("sh")
	spec.Process.Terminal = true
	r.write(spec)
	s, cmd := r.on(t, "run", r.id("a"))
	converse(s)
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 4 {
		t.Errorf("status %d, want 4: %s", status, s.text())
	}
}

func TestExecOnTerminal(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	r.must("run", "-d", r.id("a"))
	defer r.must("delete", "-f", r.id("a"))
	s, cmd := r.on(t, "exec", "-t", r.id("a"), "sh")
	converse(s)
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 4 {
		t.Errorf("status %d, want 4: %s", status, s.text())
	}
}

func TestDoOnTerminal(t *testing.T) {
	r := bareRig(t)
	s, cmd := r.on(t, "do", "/bin/sh")
	converse(s)
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 4 {
		t.Errorf("status %d, want 4: %s", status, s.text())
	}
}

// receiveMaster accepts one connection and takes the terminal that comes.
func receiveMaster(t *testing.T, path string) <-chan *os.File {
	t.Helper()
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(l) })
	if err := unix.Bind(l, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 1); err != nil {
		t.Fatal(err)
	}
	masters := make(chan *os.File, 1)
	go func() {
		defer close(masters)
		c, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		defer unix.Close(c)
		oob := make([]byte, unix.CmsgSpace(4))
		_, n, _, _, err := unix.Recvmsg(c, make([]byte, 100), oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			return
		}
		messages, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil || len(messages) != 1 {
			return
		}
		if fds, err := unix.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
			masters <- os.NewFile(uintptr(fds[0]), "master")
		}
	}()
	return masters
}

func TestConsoleSocket(t *testing.T) {
	r := newRig(t)
	spec := r.spec("sh")
	spec.Process.Terminal = true
	r.write(spec)
	id := r.id("a")
	r.fails(1, []string{"console socket"}, "create", id)
	dir := t.TempDir()
	masters := receiveMaster(t, filepath.Join(dir, "s"))
	r.must("create", "--console-socket", filepath.Join(dir, "s"), id)
	master := <-masters
	if master == nil {
		t.Fatal("no terminal came")
	}
	defer master.Close()
	console.SetSize(master, 30, 90)
	r.must("start", id)
	converse(newScreen(t, master))
	r.await(id, "stopped")
	r.must("delete", id)
}

func TestDetachedExecOnTerminal(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	id := r.id("a")
	r.must("run", "-d", id)
	defer r.must("delete", "-f", id)
	dir := t.TempDir()
	masters := receiveMaster(t, filepath.Join(dir, "s"))
	pidFile := filepath.Join(dir, "pid")
	r.must("exec", "-d", "-t", "--console-socket", filepath.Join(dir, "s"), "--pid-file", pidFile, id, "sh")
	master := <-masters
	if master == nil {
		t.Fatal("no terminal came")
	}
	defer master.Close()
	console.SetSize(master, 30, 90)
	time.Sleep(100 * time.Millisecond)
	converse(newScreen(t, master))
	var pid int
	raw, _ := os.ReadFile(pidFile)
	fmt.Sscan(string(raw), &pid)
	for deadline := time.Now().Add(10 * time.Second); pid != 0 && unix.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); strings.Contains(string(stat), ") Z ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the process that stands for the shell stays")
		}
	}
}
