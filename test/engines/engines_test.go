// Package engines tests runsc under the engines that people use: Docker, with
// containerd and its shim, and Podman, with conmon.
//
// An engine is what this host has installed, started with a state of its own, so
// that the host's containers are not touched. The tests take root and some ten
// seconds, and are run only when BULKHEAD_ENGINES is set. What an engine shows
// is compared with what runc would make it show.
package engines

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/test/harness"
)

const limit = 60 * time.Second

func TestMain(m *testing.M) {
	status := m.Run()
	harness.RemoveRunsc()
	os.Exit(status)
}

// engine is a command line that runs containers on runsc.
type engine struct {
	t    *testing.T
	args []string // the program and the flags before any command
	env  []string
	run  []string // flags of run
}

// need skips what cannot be tested here.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv("BULKHEAD_ENGINES") == "" {
		t.Skip("starts engines: set BULKHEAD_ENGINES=1")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, p := range append(programs, "busybox") {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

// command runs an engine's command and returns its output and status.
func (e *engine) command(args ...string) (string, int) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, e.args[0], append(e.args[1:len(e.args):len(e.args)], args...)...)
	cmd.Env = append(os.Environ(), e.env...)
	cmd.WaitDelay = time.Second
	out, _ := cmd.CombinedOutput() // the status tells
	return string(out), cmd.ProcessState.ExitCode()
}

// want runs a command that has to end with this status and print these words.
func (e *engine) want(status int, words string, args ...string) {
	e.t.Helper()
	out, got := e.command(args...)
	if got != status || !strings.Contains(out, words) {
		e.t.Errorf("%s: status %d, want %d with %q: %s", strings.Join(args, " "), got, status, words, out)
	}
}

func (e *engine) runArgs(args ...string) []string {
	return append(append([]string{"run"}, e.run...), args...)
}

// image is a tar file of a root with busybox in it.
func image(t *testing.T) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox: ", err)
	}
	raw, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("/ld-linux")) {
		t.Skip("busybox is not static")
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		add(tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, raw)
	for _, applet := range strings.Fields("sh cat echo ls ps id sleep true touch uname rm mkdir") {
		add(tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// life takes a container through what people do with one.
func (e *engine) life() {
	e.t.Helper()
	e.want(0, "bulkhead", e.runArgs("--rm", "bb", "uname", "-r")...)
	e.want(5, "", e.runArgs("--rm", "bb", "sh", "-c", "exit 5")...)
	e.want(137, "", e.runArgs("--rm", "bb", "sh", "-c", "sleep 1000 & kill -9 $!; wait $!")...)
	e.want(127, "executable file not found", e.runArgs("--rm", "bb", "nope")...)
	e.want(126, "permission denied", e.runArgs("--rm", "bb", "/etc")...)

	e.want(0, "", e.runArgs("-d", "--name", "web", "-e", "A=b", "-w", "/tmp", "--hostname", "hh", "bb",
		"sh", "-c", "echo started; trap 'echo ended; exit 3' TERM; while :; do sleep 0.1; done")...)
	e.want(0, "b /tmp hh", "exec", "web", "sh", "-c", "echo $A $(pwd) $(cat /proc/sys/kernel/hostname)")
	e.want(9, "", "exec", "web", "sh", "-c", "exit 9")
	e.want(0, "uid=33", "exec", "-u", "33", "web", "id")
	e.want(0, "", "pause", "web")
	e.want(0, "", "unpause", "web")
	e.copyIn("web")
	e.want(0, "", "exec", "web", "sh", "-c", "echo new > /new; rm /bin/true")
	e.want(0, "D /bin/true", "diff", "web")
	e.want(0, "", "commit", "web", "bb2")
	e.want(0, "new", e.runArgs("--rm", "bb2", "cat", "/new")...)
	e.want(0, "", "stop", "web")
	e.want(0, "3", "inspect", "-f", "{{.State.ExitCode}}", "web")
	e.want(0, "started\nended", "logs", "web")
	e.want(0, "", "start", "web")
	e.want(0, "", "kill", "web")
	e.want(0, "137", "wait", "web")
	e.want(0, "", "rm", "web")
	e.want(0, "", e.runArgs("-d", "--name", "forced", "--memory", "100m", "--pids-limit", "50", "--read-only", "bb", "sleep", "1000")...)
	e.want(0, "", "rm", "-f", "forced")
}

// copyIn copies a file into a running container. Podman does that in the mount
// namespace of the container's process, where a sandbox has nothing.
func (e *engine) copyIn(id string) {
	e.t.Helper()
	if e.args[0] == "podman" {
		return
	}
	file := filepath.Join(e.t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("from outside"), 0o644); err != nil {
		e.t.Fatal(err)
	}
	e.want(1, "", "exec", id, "cat", "/put")
	e.want(0, "", "cp", file, id+":/put")
	e.want(0, "from outside", "exec", id, "cat", "/put")
}

func TestDocker(t *testing.T) {
	need(t, "dockerd", "docker", "containerd")
	box := harness.Sandboxes(t)[0]
	dir := t.TempDir()
	socket := "unix://" + filepath.Join(dir, "docker.sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	daemon := exec.Command("dockerd", "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"-H", socket, "--pidfile", filepath.Join(dir, "pid"), "--storage-driver", "vfs", "--iptables=false", "--bridge=none",
		"--add-runtime", "runsc="+box.Runsc)
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
	}()
	e := &engine{t: t, args: []string{"docker"}, env: []string{"DOCKER_HOST=" + socket}, run: []string{"--runtime=runsc", "--network=none"}}
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		if _, status := e.command("version"); status == 0 {
			break
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Skipf("dockerd does not start here: %s", text)
		}
	}
	e.want(0, "", "import", image(t), "bb")
	e.life()
	e.want(0, "", e.runArgs("-d", "--name", "top", "bb", "sleep", "1000")...)
	e.want(0, "sleep", "top", "top")
	e.want(0, "", "rm", "-f", "top")
	e.want(0, "", "ps", "-aq")
}

func TestPodman(t *testing.T) {
	need(t, "podman", "conmon")
	box := harness.Sandboxes(t)[0]
	dir := t.TempDir()
	e := &engine{t: t, run: []string{"--network=none"}, args: []string{
		"podman", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", box.Runsc,
	}}
	e.want(0, "", "import", image(t), "bb")
	e.life()
	e.want(0, "", "rm", "-af")
}
