// Package oci tests runsc as an OCI runtime: containers with real root file
// systems on the real kernel, from create to delete.
//
// The main type is rig, a state directory and a bundle of its own. Tests need a
// host on which `runsc do` works, and a static busybox; those that need root or
// a Debian tree skip and say so. Every test ends by looking for what it left
// behind: state, processes, mounts, cgroups.
package oci

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
	"sync/atomic"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bulkhead-sandbox/bulkhead/test/harness"
)

// limit bounds every command, so that no mistake hangs the suite.
const limit = 60 * time.Second

func TestMain(m *testing.M) {
	status := m.Run()
	harness.RemoveRunsc()
	os.Exit(status)
}

// rig is a bundle and a state directory.
type rig struct {
	t      testing.TB
	runsc  string
	state  string
	bundle string
	// prefix is in the ids and cgroups of this rig's containers.
	prefix string
}

var rigs atomic.Int64

// newRig makes a bundle whose root is busybox.
func newRig(t testing.TB) *rig {
	t.Helper()
	r := bareRig(t)
	root := filepath.Join(r.bundle, "rootfs")
	for _, dir := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "root"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(filepath.Join(root, "tmp"), 0o1777)
	busybox := findBusybox(t)
	// A link where it can be one: a copy of two megabytes for each test is slow.
	inside := filepath.Join(root, "bin/busybox")
	if os.Link(busybox, inside) != nil {
		raw, err := os.ReadFile(busybox)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(inside, raw, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	applets := "sh sleep cat echo ls ps id hostname true false kill grep stat touch mkdir mv mount umask env pwd stty rm test od dnsdomainname"
	for _, name := range strings.Fields(applets) {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/tmp:/bin/sh\n"), 0o644)
	return r
}

// bareRig makes a bundle without a root.
func bareRig(t testing.TB) *rig {
	t.Helper()
	box := harness.Sandboxes(t)[0]
	r := &rig{t: t, runsc: box.Runsc, bundle: t.TempDir(), state: filepath.Join(t.TempDir(), "state"),
		prefix: fmt.Sprintf("oci%d-%d", os.Getpid(), rigs.Add(1))}
	os.Chmod(r.bundle, 0o755)
	t.Cleanup(r.checkClean)
	return r
}

// findBusybox finds a static busybox: a dynamic one needs libraries.
func findBusybox(t testing.TB) string {
	t.Helper()
	for _, path := range []string{"/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static"} {
		raw, err := os.ReadFile(path)
		if err == nil && !bytes.Contains(raw, []byte("/ld-linux")) && !bytes.Contains(raw, []byte("/ld-musl")) {
			return path
		}
	}
	t.Skip("no static busybox on this host (Debian: apt-get install busybox-static)")
	return ""
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// spec is what `runsc spec` writes, for these arguments, without a terminal and
// with a root that can be written.
func (r *rig) spec(args ...string) *specs.Spec {
	r.t.Helper()
	dir := r.t.TempDir()
	command := []string{"spec", "-b", dir}
	if os.Geteuid() != 0 {
		command = append(command, "--rootless")
	}
	r.must(command...)
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	s := new(specs.Spec)
	if err := json.Unmarshal(raw, s); err != nil {
		r.t.Fatal(err)
	}
	s.Process.Terminal, s.Process.Args, s.Root.Readonly = false, args, false
	return s
}

// write makes s the bundle's config.json.
func (r *rig) write(s *specs.Spec) {
	r.t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.bundle, "config.json"), raw, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) use(args ...string) {
	r.t.Helper()
	r.write(r.spec(args...))
}

// id is a container id of this rig.
func (r *rig) id(name string) string { return r.prefix + "-" + name }

// result is how a runsc command ended.
type result struct {
	out, err string
	status   int
}

func (r *rig) command(args ...string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := exec.CommandContext(ctx, r.runsc, append([]string{"--root", r.state}, args...)...)
	cmd.Dir = r.bundle
	return cmd, cancel
}

// run runs a command to its end. Its output goes to files, which a detached
// container may keep open without holding us up.
func (r *rig) run(args ...string) result {
	cmd, cancel := r.command(args...)
	defer cancel()
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp("", "oci")
		if err != nil {
			return result{err: err.Error(), status: -1}
		}
		os.Remove(f.Name())
		defer f.Close()
		files[i] = f
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	err := cmd.Run()
	var res result
	for i, to := range []*string{&res.out, &res.err} {
		var b bytes.Buffer
		files[i].Seek(0, 0)
		b.ReadFrom(files[i])
		*to = b.String()
	}
	res.status = cmd.ProcessState.ExitCode()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		res.err += err.Error()
	}
	return res
}

// must runs a command that has to succeed, and returns its output.
func (r *rig) must(args ...string) string {
	r.t.Helper()
	res := r.run(args...)
	if res.status != 0 {
		r.t.Fatalf("runsc %s: status %d: %s", strings.Join(args, " "), res.status, res.err)
	}
	return res.out
}

// fails runs a command that has to fail with this status, in one line that has
// these words.
func (r *rig) fails(status int, words []string, args ...string) {
	r.t.Helper()
	res := r.run(args...)
	line := strings.TrimSpace(res.err)
	if res.status != status || strings.Contains(line, "\n") {
		r.t.Errorf("runsc %s: status %d, want %d: %s", strings.Join(args, " "), res.status, status, line)
	}
	for _, w := range words {
		if !strings.Contains(line, w) {
			r.t.Errorf("runsc %s: %q lacks %q", strings.Join(args, " "), line, w)
		}
	}
}

// state is the container's state, with an empty status when there is none.
func (r *rig) stateOf(id string) specs.State {
	var s specs.State
	if res := r.run("state", id); res.status == 0 {
		if err := json.Unmarshal([]byte(res.out), &s); err != nil {
			r.t.Errorf("state %s: %v", id, err)
		}
	}
	return s
}

// await waits for a status.
func (r *rig) await(id string, status specs.ContainerState) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := r.stateOf(id)
		if s.Status == status {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("container %s is %q, want %q", id, s.Status, status)
		}
	}
}

// checkClean looks for what a test left behind.
func (r *rig) checkClean() {
	if r.t.Failed() {
		// Not another finding, but the next test must not see it.
		for _, id := range strings.Fields(r.run("list", "-q").out) {
			r.run("delete", "-f", id)
		}
	}
	entries, _ := os.ReadDir(r.state)
	for _, e := range entries {
		r.t.Errorf("state left: %s", e.Name())
	}
	var left []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if left = r.processes(); len(left) == 0 {
			break
		}
	}
	for _, p := range left {
		r.t.Errorf("process left: %s", p)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, r.bundle) || strings.Contains(line, r.state) {
			r.t.Errorf("mount left: %s", line)
		}
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + r.prefix + "*")
	more, _ := filepath.Glob("/sys/fs/cgroup/" + r.prefix + "*")
	for _, g := range append(groups, more...) {
		r.t.Errorf("cgroup left: %s", g)
	}
}

// processes are those of this rig's containers, zombies not counted.
func (r *rig) processes() (found []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		raw, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		args := strings.Split(string(raw), "\x00")
		if len(args) > 2 && args[0] == "runsc" && strings.HasPrefix(args[2], r.prefix+"-") {
			found = append(found, filepath.Base(dir)+" "+strings.Join(args, " "))
		}
	}
	return found
}
