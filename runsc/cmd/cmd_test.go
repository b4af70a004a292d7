package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
)

// The test program is runsc too, with a fake kernel, when it is called that way:
// so the processes of a sandbox, which start it again, are real ones.
func TestMain(m *testing.M) {
	if os.Args[0] == "runsc" {
		bootSentry = fakeBoot
		os.Exit(Main(os.Args))
	}
	os.Exit(m.Run())
}

// host is a state directory and a bundle.
type host struct {
	t    *testing.T
	root string
	dir  string
}

func newHost(t *testing.T) *host {
	t.Helper()
	needNamespaces(t)
	h := &host{t: t, root: filepath.Join(t.TempDir(), "state"), dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(h.dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.checkClean)
	return h
}

// needNamespaces skips where the host lets this user make no namespaces.
func needNamespaces(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("a program with the race detector cannot drop its capabilities")
	}
	probe := exec.Command("/proc/self/exe")
	probe.Args = []string{"runsc", "--version"}
	probe.SysProcAttr = &unix.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
	}
	if err := probe.Run(); err != nil {
		t.Skipf("this host does not let user %d make namespaces: %v", os.Geteuid(), err)
	}
}

// bundle writes a config.json for these verbs of the fake kernel.
func (h *host) bundle(change func(*specs.Spec), args ...string) {
	h.t.Helper()
	spec := specconv.Default()
	spec.Process.Terminal = false
	spec.Process.Args = args
	if os.Geteuid() != 0 {
		specconv.MakeRootless(spec, uint32(os.Geteuid()), uint32(os.Getegid()))
	}
	if change != nil {
		change(spec)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "config.json"), raw, 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	h.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = append([]string{"runsc", "--root", h.root}, args...)
	cmd.Dir = h.dir
	return cmd
}

// runsc runs a command and returns what it printed and its status.
func (h *host) runsc(args ...string) (stdout, stderr string, status int) {
	h.t.Helper()
	var out, errOut bytes.Buffer
	cmd := h.command(args...)
	// Files, so that a detached container that keeps them does not hold us up.
	outFile, errFile := h.file("stdout"), h.file("stderr")
	cmd.Stdout, cmd.Stderr = outFile, errFile
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("runsc %v: %v", args, err)
	}
	for f, b := range map[*os.File]*bytes.Buffer{outFile: &out, errFile: &errOut} {
		f.Seek(0, 0)
		b.ReadFrom(f)
		f.Close()
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func (h *host) file(name string) *os.File {
	h.t.Helper()
	f, err := os.CreateTemp(h.t.TempDir(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// must runs a command that has to succeed.
func (h *host) must(args ...string) string {
	h.t.Helper()
	out, errOut, status := h.runsc(args...)
	if status != 0 {
		h.t.Fatalf("runsc %v: status %d: %s", args, status, errOut)
	}
	return out
}

// fails runs a command that has to fail with this status and these words in one
// line.
func (h *host) fails(want int, words []string, args ...string) {
	h.t.Helper()
	_, errOut, status := h.runsc(args...)
	if status != want {
		h.t.Errorf("runsc %v: status %d, want %d: %s", args, status, want, errOut)
	}
	if strings.Count(strings.TrimSpace(errOut), "\n") != 0 {
		h.t.Errorf("runsc %v: more than one line: %s", args, errOut)
	}
	for _, w := range words {
		if !strings.Contains(errOut, w) {
			h.t.Errorf("runsc %v: %q lacks %q", args, errOut, w)
		}
	}
}

func (h *host) status(id string) string {
	h.t.Helper()
	var d description
	if err := json.Unmarshal([]byte(h.must("state", id)), &d); err != nil {
		h.t.Fatal(err)
	}
	return string(d.Status)
}

func (h *host) pid(id string) int {
	h.t.Helper()
	var d description
	if err := json.Unmarshal([]byte(h.must("state", id)), &d); err != nil {
		h.t.Fatal(err)
	}
	return d.PID
}

// waitFor waits until a container has a status.
func (h *host) waitFor(id, status string) {
	h.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); h.status(id) != status; {
		if time.Now().After(deadline) {
			h.t.Fatalf("container %s is %s, want %s", id, h.status(id), status)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// checkClean fails when a test leaves state or processes behind.
func (h *host) checkClean() {
	entries, _ := os.ReadDir(h.root)
	for _, e := range entries {
		h.t.Errorf("left in the state directory: %s", e.Name())
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		left := childProcesses()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			h.t.Errorf("processes left: %v", left)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// childProcesses are the sandbox processes of this very test program.
func childProcesses() (left []string) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		exe, err := os.Readlink(filepath.Join(dir, "exe"))
		if err != nil || exe != self || dir == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		if len(cmdline) > 0 && strings.HasPrefix(string(cmdline), "runsc") && !bytes.Contains(stat, []byte(") Z ")) {
			left = append(left, dir+" "+strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return left
}

func TestLifeCycle(t *testing.T) {
	h := newHost(t)
	h.bundle(nil, "sleep", "")
	pidFile := filepath.Join(t.TempDir(), "pid")
	h.must("create", "--pid-file", pidFile, "a")
	if s := h.status("a"); s != "created" {
		t.Errorf("after create: %s", s)
	}
	if raw, _ := os.ReadFile(pidFile); string(raw) != fmt.Sprint(h.pid("a")) {
		t.Errorf("pid file holds %q, the container's process is %d", raw, h.pid("a"))
	}
	h.fails(1, []string{"already exists", `"a"`}, "create", "a")
	h.must("start", "a")
	if s := h.status("a"); s != "running" {
		t.Errorf("after start: %s", s)
	}
	h.fails(1, []string{"running already", `"a"`}, "start", "a")
	h.fails(1, []string{"not stopped", "running"}, "delete", "a")
	if out := h.must("list", "-q"); out != "a\n" {
		t.Errorf("list -q: %q", out)
	}
	if out := h.must("ps", "a"); !strings.Contains(out, "sleep") || !strings.HasPrefix(out, "UID ") {
		t.Errorf("ps: %q", out)
	}
	h.must("pause", "a")
	if s := h.status("a"); s != "paused" {
		t.Errorf("after pause: %s", s)
	}
	h.fails(execFailed, []string{"paused"}, "exec", "a", "exit", "0")
	h.must("resume", "a")
	h.must("kill", "a", "TERM")
	h.waitFor("a", "stopped")
	h.fails(1, []string{"container not running", `"a"`}, "kill", "a", "TERM")
	h.must("kill", "--all", "a", "9")
	h.fails(execFailed, []string{"stopped", `"a"`}, "exec", "a", "exit", "0")
	h.must("delete", "a")
	h.fails(1, []string{"container does not exist", `"a"`}, "state", "a")
	h.fails(1, []string{"container does not exist", `"a"`}, "delete", "a")
	h.must("delete", "--force", "a")
}

func TestDeleteOfCreated(t *testing.T) {
	h := newHost(t)
	h.bundle(nil, "sleep", "")
	h.must("create", "a")
	h.must("delete", "a")
}

func TestRunExitStatus(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"exit", "0"}, 0},
		{[]string{"exit", "7"}, 7},
		{[]string{"die", "9"}, 137},
		{[]string{"die", "15"}, 143},
	} {
		h.bundle(nil, c.args...)
		if _, errOut, status := h.runsc("run", "a"); status != c.want {
			t.Errorf("run %v: status %d, want %d: %s", c.args, status, c.want, errOut)
		}
	}
}

func TestRunPassesOutputAndSignals(t *testing.T) {
	h := newHost(t)
	h.bundle(nil, "print", "ready", "sleep", "")
	cmd := h.command("run", "a")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 6)
	if _, err := out.Read(buf); err != nil || string(buf) != "ready\n" {
		t.Fatalf("read %q, %v", buf, err)
	}
	cmd.Process.Signal(unix.SIGHUP)
	cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 129 {
		t.Errorf("status %d after SIGHUP, want 129", status)
	}
}

func TestSentryIsConfined(t *testing.T) {
	h := newHost(t)
	h.bundle(nil, "status", "", "stat", "/proc", "stat", "/etc/passwd", "exit", "0")
	out := h.must("run", "a")
	want := "pid=1 uid=65534 caps=00 nnp=1 entries=0 <nil> mkdir=mkdir /x: read-only file system\n" +
		"/proc stat /proc: no such file or directory\n" +
		"/etc/passwd stat /etc/passwd: no such file or directory\n"
	if out != want {
		t.Errorf("got  %q\nwant %q", out, want)
	}
}

func TestCallersDescriptorsStayOutside(t *testing.T) {
	h := newHost(t)
	const left = 200
	if err := unix.Dup3(0, left, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(left)
	if out := h.must("do", "fstat", "200", "exit", "0"); out != "200 bad file descriptor\n" {
		t.Errorf("got %q", out)
	}
}

func TestExec(t *testing.T) {
	h := newHost(t)
	h.bundle(nil, "sleep", "")
	h.must("run", "-d", "a")
	defer h.must("delete", "-f", "a")
	if out := h.must("exec", "a", "print", "hello"); out != "hello\n" {
		t.Errorf("exec: %q", out)
	}
	if _, _, status := h.runsc("exec", "a", "exit", "5"); status != 5 {
		t.Errorf("exec: status %d, want 5", status)
	}
	if _, _, status := h.runsc("exec", "a", "die", "11"); status != 139 {
		t.Errorf("exec: status %d, want 139", status)
	}
	h.fails(execFailed, []string{"exec failed", `"missing"`, "not found"}, "exec", "a", "missing")
	h.fails(execFailed, []string{"exec failed", `"missing"`, "not found"}, "exec", "-d", "a", "missing")
	h.fails(execFailed, []string{"container does not exist", `"b"`}, "exec", "b", "exit", "0")
	h.fails(execFailed, []string{"--user", "x"}, "exec", "-u", "x", "a", "exit", "0")
	// What follows the id is the process's, even if it looks like a flag.
	if out := h.must("exec", "a", "print", "-d"); out != "-d\n" {
		t.Errorf("exec: %q", out)
	}
}

func TestDetachedExecStandsForItsProcess(t *testing.T) {
	h := newHost(t)
	h.bundle(nil, "sleep", "")
	h.must("run", "-d", "a")
	defer h.must("delete", "-f", "a")
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	for _, c := range []struct {
		args []string
		sig  unix.Signal
		want int
	}{
		{[]string{"exit", "3"}, 0, 3},
		{[]string{"sleep", ""}, unix.SIGTERM, 143},
	} {
		pidFile := filepath.Join(t.TempDir(), "pid")
		h.must(append([]string{"exec", "-d", "--pid-file", pidFile, "a"}, c.args...)...)
		raw, err := os.ReadFile(pidFile)
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		fmt.Sscan(string(raw), &pid)
		if c.sig != 0 {
			unix.Kill(pid, c.sig)
		}
		var ws unix.WaitStatus
		if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil || ws.ExitStatus() != c.want {
			t.Errorf("%v: process %d ended with %d, %v; want %d", c.args, pid, ws.ExitStatus(), err, c.want)
		}
	}
}

func TestBadInput(t *testing.T) {
	h := newHost(t)
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o644)
	h.fails(1, []string{"config.json", empty}, "run", "-b", empty, "a")
	h.fails(1, []string{"/nonexistent", "no such file"}, "create", "-b", "/nonexistent", "a")
	h.fails(1, []string{file, "not a directory"}, "create", "-b", file, "a")
	h.fails(1, []string{"invalid container ID", "a/b"}, "create", "a/b")
	h.fails(1, []string{"container does not exist", `"nope"`}, "start", "nope")
	h.fails(1, []string{"container does not exist", `"nope"`}, "kill", "nope", "9")

	for name, c := range map[string]struct {
		change func(*specs.Spec)
		words  []string
	}{
		"rootfs is a file":     {func(s *specs.Spec) { s.Root.Path = file }, []string{file, "not a directory"}},
		"rootfs is missing":    {func(s *specs.Spec) { s.Root.Path = "nope" }, []string{"nope", "no such file"}},
		"no root":              {func(s *specs.Spec) { s.Root = nil }, []string{"root"}},
		"no process":           {func(s *specs.Spec) { s.Process = nil }, []string{"process"}},
		"no args":              {func(s *specs.Spec) { s.Process.Args = nil }, []string{"process.args"}},
		"relative cwd":         {func(s *specs.Spec) { s.Process.Cwd = "x" }, []string{"process.cwd", "x"}},
		"no version":           {func(s *specs.Spec) { s.Version = "" }, []string{"ociVersion"}},
		"mount without source": {bind("/srv/nope", "/data"), []string{"mount /data", "/srv/nope", "no such file"}},
		"unknown file system": {func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Type: "ext9"})
		}, []string{"mount /x", "ext9"}},
		"unknown rlimit": {func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}}
		}, []string{"RLIMIT_X"}},
		"terminal without socket": {func(s *specs.Spec) { s.Process.Terminal = true }, []string{"console socket"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{t: t, root: h.root, dir: h.dir}
			h.bundle(c.change, "exit", "0")
			h.fails(1, append(c.words, "runsc create failed"), "create", "a")
		})
	}
	h.bundle(nil, "missing")
	h.fails(1, []string{"missing", "not found"}, "create", "a")
	h.bundle(nil, "crash-at-boot")
	h.fails(1, []string{"the fake kernel was told to crash"}, "create", "a")
	os.WriteFile(filepath.Join(h.dir, "config.json"), []byte("{\n\n\"process\": 7}"), 0o644)
	h.fails(1, []string{"config.json", "line 3"}, "run", "a")
}

func bind(source, destination string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: destination, Type: "bind", Source: source, Options: []string{"rbind"}})
	}
}

func TestErrorGoesToTheLog(t *testing.T) {
	h := newHost(t)
	log := filepath.Join(t.TempDir(), "log.json")
	h.fails(1, nil, "--log", log, "--log-format", "json", "state", "nope")
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var line struct{ Level, Msg, Time string }
	if err := json.Unmarshal(raw, &line); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if line.Level != "error" || line.Msg != `container does not exist: "nope"` || line.Time == "" {
		t.Errorf("got %+v", line)
	}
}

func TestHooksRunInOrderWithState(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no /bin/sh")
	}
	h := newHost(t)
	log := filepath.Join(t.TempDir(), "log")
	hook := func(name string) []specs.Hook {
		script := fmt.Sprintf(`read -r s || :; echo %s "$s" >> %s`, name, log)
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}}}
	}
	h.bundle(func(s *specs.Spec) {
		s.Annotations = map[string]string{"k": "v"}
		s.Hooks = &specs.Hooks{
			Prestart: hook("prestart"), CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"),
			StartContainer: hook("startContainer"), Poststart: hook("poststart"), Poststop: hook("poststop"),
		}
	}, "exit", "0")
	h.must("run", "a")
	raw, _ := os.ReadFile(log)
	var names, statuses []string
	for line := range strings.Lines(string(raw)) {
		name, doc, _ := strings.Cut(strings.TrimSpace(line), " ")
		var state specs.State
		if err := json.Unmarshal([]byte(doc), &state); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if state.ID != "a" || state.Bundle != h.dir || state.Annotations["k"] != "v" {
			t.Errorf("%s: %+v", name, state)
		}
		if (state.Pid == 0) != (name == "poststop") {
			t.Errorf("%s: pid %d", name, state.Pid)
		}
		names, statuses = append(names, name), append(statuses, string(state.Status))
	}
	if got := strings.Join(names, " "); got != "prestart createRuntime createContainer startContainer poststart poststop" {
		t.Errorf("hooks ran as %s", got)
	}
	if got := strings.Join(statuses, " "); got != "creating creating creating created running stopped" {
		t.Errorf("hooks saw %s", got)
	}
}

func TestFailingHookLeavesNothing(t *testing.T) {
	h := newHost(t)
	h.bundle(func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/nonexistent-hook"}}}
	}, "exit", "0")
	h.fails(1, []string{"createRuntime hook #0", "/nonexistent-hook"}, "create", "a")
	timeout := 1
	h.bundle(func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "100"}, Timeout: &timeout}}}
	}, "exit", "0")
	h.fails(1, []string{"createRuntime hook #0", "timed out"}, "create", "a")
}

func TestKilledSandboxIsStopped(t *testing.T) {
	h := newHost(t)
	h.bundle(nil, "sleep", "")
	h.must("run", "-d", "a")
	unix.Kill(h.pid("a"), unix.SIGKILL)
	h.waitFor("a", "stopped")
	h.must("delete", "a")
}

func TestKilledCreateIsReclaimed(t *testing.T) {
	h := newHost(t)
	mark := filepath.Join(t.TempDir(), "mark")
	h.bundle(func(s *specs.Spec) {
		script := "touch " + mark + "; sleep 100"
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin"}}}}
	}, "exit", "0")
	cmd := h.command("create", "a")
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(mark); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the hook does not run")
		}
	}
	if s := h.status("a"); s != "creating" {
		t.Errorf("while the hook runs: %s", s)
	}
	unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	cmd.Wait()
	h.waitFor("a", "stopped")
	h.bundle(nil, "exit", "0")
	h.must("run", "a")
}

func TestConcurrentDeletesAndCreates(t *testing.T) {
	h := newHost(t)
	h.bundle(nil, "sleep", "")
	race := func(args ...string) (won int) {
		results := make(chan int)
		const racers = 4
		for range racers {
			cmd := h.command(args...)
			go func() {
				cmd.Run()
				results <- cmd.ProcessState.ExitCode()
			}()
		}
		for range racers {
			if <-results == 0 {
				won++
			}
		}
		return won
	}
	if n := race("create", "a"); n != 1 {
		t.Errorf("%d of the racing creates succeeded", n)
	}
	if n := race("start", "a"); n != 1 {
		t.Errorf("%d of the racing starts succeeded", n)
	}
	h.must("kill", "a", "KILL")
	h.waitFor("a", "stopped")
	if n := race("delete", "a"); n != 1 {
		t.Errorf("%d of the racing deletes succeeded", n)
	}
}

func TestDo(t *testing.T) {
	h := newHost(t)
	if out := h.must("do", "print", "hi there", "exit", "0"); out != "hi there\n" {
		t.Errorf("do: %q", out)
	}
	if _, _, status := h.runsc("do", "die", "15"); status != 143 {
		t.Errorf("do: status %d, want 143", status)
	}
	h.fails(programNotFound, []string{"missing", "not found"}, "do", "missing")
	h.fails(1, []string{"--volume", "/nope"}, "do", "--volume", "/nope:/x", "exit", "0")
	h.fails(1, []string{"--root", "/nope"}, "do", "--root", "/nope", "exit", "0")
	h.fails(1, []string{"--cwd", "/nope"}, "do", "--cwd", "/nope", "exit", "0")
	_, errOut, status := h.runsc("do", "crash", "on purpose")
	if status != 2 || !strings.Contains(errOut, "panic: on purpose") || strings.Count(errOut, "\n") != 1 {
		t.Errorf("crash: status %d, %q", status, errOut)
	}
	_, path, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(errOut), ")"), "all of it in ")
	if raw, err := os.ReadFile(path); err != nil || !bytes.Contains(raw, []byte("goroutine ")) {
		t.Errorf("crash log %q: %v", path, err)
	}
	os.Remove(path)
}

func TestKilledDoEndsTheSandbox(t *testing.T) {
	h := newHost(t)
	cmd := h.command("do", "print", "ready", "sleep", "")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if len(childProcesses()) != 3 {
		t.Errorf("processes of a sandbox: %v", childProcesses())
	}
	cmd.Process.Kill()
	cmd.Wait()
	// checkClean sees that they are gone.
}

func TestGoferEndsWithTheSentry(t *testing.T) {
	h := newHost(t)
	h.bundle(nil, "sleep", "")
	h.must("run", "-d", "a")
	unix.Kill(h.pid("a"), unix.SIGKILL)
	for deadline := time.Now().Add(5 * time.Second); len(childProcesses()) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("still there: %v", childProcesses())
		}
		time.Sleep(5 * time.Millisecond)
	}
	h.must("delete", "a")
}

func TestNoMountIsLeftOnTheHost(t *testing.T) {
	h := newHost(t)
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	h.bundle(bind(h.dir, "/data"), "sleep", "")
	h.must("run", "-d", "a")
	after, _ := os.ReadFile("/proc/self/mountinfo")
	if !bytes.Equal(before, after) {
		t.Errorf("mounts changed from\n%s\nto\n%s", before, after)
	}
	h.must("delete", "-f", "a")
}

func TestSpecIsOneThatRuns(t *testing.T) {
	h := newHost(t)
	args := []string{"spec"}
	if os.Geteuid() != 0 {
		args = append(args, "--rootless")
	}
	h.must(args...)
	h.fails(1, []string{"config.json", "exists"}, "spec")
	spec, err := specconv.Load(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := specconv.Convert("a", h.dir, spec, specconv.Options{}); err != nil {
		t.Error(err)
	}
}

func TestCommandLine(t *testing.T) {
	h := &host{t: t, root: t.TempDir(), dir: t.TempDir()}
	if out := h.must("--version"); !strings.HasPrefix(out, "runsc version ") || !strings.Contains(out, "\nspec: 1.") {
		t.Errorf("--version: %q", out)
	}
	h.fails(3, []string{"frobnicate"}, "frobnicate")
	for _, args := range [][]string{{"state"}, {"state", "a", "b"}, {"run", "--frobnicate", "a"}, {"--overlay", "x", "list"}, {"--platform", "x", "list"}, {"--log-format", "x", "list"}} {
		if _, errOut, status := h.runsc(args...); status != 1 || errOut == "" {
			t.Errorf("runsc %v: status %d, %q", args, status, errOut)
		}
	}
	var f struct{ OCIVersionMax string }
	if err := json.Unmarshal([]byte(h.must("features")), &f); err != nil || f.OCIVersionMax != specs.Version {
		t.Errorf("features: %+v, %v", f, err)
	}
	if out := h.must("list", "-f", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("list: %q", out)
	}
	if out := h.must("syscalls"); !strings.Contains(out, "read") || strings.Count(out, "\n") < 300 {
		t.Errorf("syscalls: %q", out)
	}
	if help := h.must("--help"); !strings.Contains(help, "do") {
		t.Errorf("--help: %q", help)
	}
}

func TestGoferServesTheBundle(t *testing.T) {
	h := newHost(t)
	rw, ro := t.TempDir(), t.TempDir()
	file := filepath.Join(t.TempDir(), "single")
	for _, path := range []string{filepath.Join(h.dir, "rootfs/hello"), filepath.Join(rw, "f"), filepath.Join(ro, "f"), file} {
		if err := os.WriteFile(path, []byte(filepath.Base(path)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink("/etc/passwd", filepath.Join(h.dir, "rootfs/out"))
	h.bundle(func(s *specs.Spec) {
		s.Root.Readonly = false
		bind(rw, "/rw")(s)
		bind(ro, "/ro")(s)
		s.Mounts[len(s.Mounts)-1].Options = []string{"rbind", "ro"}
		bind(file, "/single")(s)
	}, "read", "0:hello", "read", "0:out/x", "read", "0:..", "create", "0:new",
		"read", "1:f", "create", "1:new", "read", "2:f", "create", "2:new", "read", "3:", "exit", "0")
	want := `0:hello uid=0 "hello" <nil>
0:out/x symlink to /etc/passwd
0:.. invalid argument
0:new <nil>
1:f uid=0 "f" <nil>
1:new <nil>
2:f uid=0 "f" <nil>
2:new read-only file system
3: "single" <nil>
`
	if got := h.must("run", "a"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, path := range []string{filepath.Join(h.dir, "rootfs/new"), filepath.Join(rw, "new")} {
		if raw, err := os.ReadFile(path); string(raw) != "made inside" {
			t.Errorf("%s on the host: %q, %v", path, raw, err)
		}
	}
}

func TestMountPointsOfReadOnlyRoot(t *testing.T) {
	h := newHost(t)
	outside := t.TempDir()
	os.Symlink(outside, filepath.Join(h.dir, "rootfs/link"))
	file := filepath.Join(t.TempDir(), "single")
	os.WriteFile(file, nil, 0o644)
	h.bundle(func(s *specs.Spec) {
		s.Root.Readonly = true
		bind(t.TempDir(), "/a/b")(s)
		bind(file, "/etc/single")(s)
		bind(t.TempDir(), "/link/c")(s)
	}, "create", "0:new", "exit", "0")
	if got := h.must("run", "a"); got != "0:new read-only file system\n" {
		t.Errorf("got %q", got)
	}
	for path, dir := range map[string]bool{"proc": true, "dev": true, "a/b": true, "etc/single": false, outside + "/c": true} {
		info, err := os.Stat(filepath.Join(h.dir, "rootfs", path))
		if err != nil || info.IsDir() != dir {
			t.Errorf("mount point %s: %v, %v", path, info, err)
		}
	}
	if _, err := os.Stat(filepath.Join(h.dir, "rootfs/dev/pts")); err == nil {
		t.Error("a mount point was made below another mount")
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("a mount point was made outside of the root: %v", entries)
	}
}

func TestDoSeesTheHostReadOnly(t *testing.T) {
	h := newHost(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	volume := t.TempDir()
	got := h.must("do", "--volume", volume+":/v", "read", "0:"+path[1:], "read", "0:etc/hostname-of-nobody", "read", "0:proc/version",
		"create", "0:new-file", "create", "1:new", "exit", "0")
	lines := strings.Split(got, "\n")
	want := []string{
		fmt.Sprintf("0:%s uid=%d \"mine\" <nil>", path[1:], os.Geteuid()),
		"0:etc/hostname-of-nobody walk: no such file or directory",
		"", // hidden, in one of two ways
		"0:new-file read-only file system",
		"1:new <nil>",
		"",
	}
	for i, w := range want {
		if i >= len(lines) || w != "" && lines[i] != w {
			t.Errorf("line %d of\n%s\nis not %q", i, got, w)
		}
	}
	if len(lines) > 2 && !strings.Contains(lines[2], "no such file") && !strings.Contains(lines[2], "permission denied") {
		t.Errorf("/proc is not hidden: %s", lines[2])
	}
	if raw, _ := os.ReadFile(filepath.Join(volume, "new")); string(raw) != "made inside" {
		t.Errorf("volume holds %q", raw)
	}
}

func TestDoShowsOwnersAsTheyAre(t *testing.T) {
	h := newHost(t)
	if got := h.must("do", "read", "0:etc/passwd", "exit", "0"); !strings.HasPrefix(got, "0:etc/passwd uid=0 ") {
		t.Errorf("got %.80s", got)
	}
}
