package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestLifeCycle(t *testing.T) {
	r := newRig(t)
	r.use("sh", "-c", "trap 'exit 9' TERM; while :; do sleep 1 & wait; done")
	id := r.id("a")
	r.must("create", id)
	if s := r.stateOf(id); s.Status != specs.StateCreated || s.Pid == 0 || s.Bundle != r.bundle {
		t.Errorf("created: %+v", s)
	}
	r.must("start", id)
	if s := r.stateOf(id); s.Status != specs.StateRunning {
		t.Errorf("started: %+v", s)
	}
	if out := r.must("exec", id, "sh", "-c", "echo $0 $HOME; exit 0"); out != "sh /root\n" {
		t.Errorf("exec: %q", out)
	}
	if res := r.run("exec", id, "sh", "-c", "exit 42"); res.status != 42 {
		t.Errorf("exec: status %d, want 42", res.status)
	}
	if res := r.run("exec", id, "sh", "-c", "kill -KILL $$"); res.status != 137 {
		t.Errorf("exec: status %d, want 137", res.status)
	}
	if out := r.must("ps", id); !strings.Contains(out, "sleep 1") || strings.Contains(out, "runsc") {
		t.Errorf("ps: %s", out)
	}
	var pids []int
	if err := json.Unmarshal([]byte(r.must("ps", "-f", "json", id)), &pids); err != nil || len(pids) != 2 {
		t.Errorf("ps -f json: %v, %v", pids, err)
	}
	for _, pid := range pids {
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err != nil || string(comm) == "runsc\n" {
			t.Errorf("host process %d: %q, %v", pid, comm, err)
		}
	}
	r.must("kill", id, "TERM")
	r.await(id, specs.StateStopped)
	r.must("delete", id)
}

func TestRunGivesTheStatus(t *testing.T) {
	r := newRig(t)
	for script, want := range map[string]int{"exit 0": 0, "exit 77": 77, "sleep 1000 & kill -9 $!; wait $!": 137} {
		r.use("sh", "-c", script)
		if res := r.run("run", r.id("a")); res.status != want {
			t.Errorf("%s: status %d, want %d: %s", script, res.status, want, res.err)
		}
	}
}

func TestRunKeep(t *testing.T) {
	r := newRig(t)
	r.use("true")
	id := r.id("a")
	r.must("run", "--keep", id)
	if s := r.stateOf(id); s.Status != specs.StateStopped {
		t.Errorf("after run --keep: %+v", s)
	}
	r.must("delete", id)
}

func TestPause(t *testing.T) {
	r := newRig(t)
	r.use("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > /next; mv /next /count; done")
	id := r.id("a")
	r.must("run", "-d", id)
	for r.run("exec", id, "test", "-s", "/count").status != 0 {
		if t.Failed() {
			return
		}
	}
	r.must("pause", id)
	read := func() string {
		raw, err := os.ReadFile(filepath.Join(r.bundle, "rootfs/count"))
		if err != nil {
			t.Error(err)
		}
		return string(raw)
	}
	before := read()
	r.fails(255, []string{"paused"}, "exec", id, "true")
	r.must("ps", id)
	if after := read(); after != before {
		t.Errorf("a paused container went from %q to %q", before, after)
	}
	r.must("resume", id)
	for deadline := time.Now().Add(10 * time.Second); read() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a resumed container stays at %q", before)
		}
	}
	r.must("pause", id)
	r.must("kill", id, "KILL")
	r.await(id, specs.StateStopped)
	r.must("delete", id)
}

func TestWritesReachTheHost(t *testing.T) {
	r := newRig(t)
	r.use("sh", "-c", "mkdir /new; echo data > /new/file; rm /bin/false; echo x >> /etc/passwd")
	r.must("run", r.id("a"))
	root := filepath.Join(r.bundle, "rootfs")
	if raw, err := os.ReadFile(filepath.Join(root, "new/file")); string(raw) != "data\n" {
		t.Errorf("new file: %q, %v", raw, err)
	}
	if _, err := os.Lstat(filepath.Join(root, "bin/false")); err == nil {
		t.Error("a file removed inside is there outside")
	}
	if raw, _ := os.ReadFile(filepath.Join(root, "etc/passwd")); !strings.HasSuffix(string(raw), "/bin/sh\nx\n") {
		t.Errorf("changed file: %q", raw)
	}
}

// As docker cp does it.
func TestFilesPutIntoARunningContainer(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	id := r.id("a")
	r.must("run", "-d", id)
	defer r.must("delete", "-f", id)
	root := filepath.Join(r.bundle, "rootfs")
	if res := r.run("exec", id, "cat", "/new", "/etc/passwd"); res.status != 1 {
		t.Errorf("before: %+v", res)
	}
	for i := range 3 {
		content := strings.Repeat("x", i+1)
		os.WriteFile(filepath.Join(root, "new"), []byte(content), 0o644)
		// Another file, not the same with another content.
		os.WriteFile(filepath.Join(root, "next"), []byte(content), 0o644)
		os.Rename(filepath.Join(root, "next"), filepath.Join(root, "etc/passwd"))
		if out := r.must("exec", id, "cat", "/new", "/etc/passwd"); out != content+content {
			t.Errorf("round %d: %q, want %q twice", i, out, content)
		}
	}
}

func TestOverlayKeepsWritesInMemory(t *testing.T) {
	r := newRig(t)
	r.use("sh", "-c", "echo data > /file && cat /file && rm /etc/passwd && ls /etc")
	if out := r.must("--overlay=root:memory", "run", r.id("a")); out != "data\n" {
		t.Errorf("inside: %q", out)
	}
	root := filepath.Join(r.bundle, "rootfs")
	if _, err := os.Stat(filepath.Join(root, "file")); err == nil {
		t.Error("a file written to memory is on the host")
	}
	if _, err := os.Stat(filepath.Join(root, "etc/passwd")); err != nil {
		t.Error("a file removed in memory is gone on the host")
	}
}

func TestManyInARow(t *testing.T) {
	r := newRig(t)
	times := 10
	if os.Getenv("BULKHEAD_LONG") != "" {
		times = 200
	}
	r.use("sleep", "1000")
	for i := range times {
		id := r.id(fmt.Sprint(i))
		r.must("create", id)
		r.must("start", id)
		if out := r.must("exec", id, "echo", "hi"); out != "hi\n" {
			t.Fatalf("round %d: exec: %q", i, out)
		}
		r.must("kill", id, "KILL")
		r.await(id, specs.StateStopped)
		r.must("delete", id)
	}
}

func TestManyAtOnce(t *testing.T) {
	r := newRig(t)
	r.use("sh", "-c", "echo up; sleep 1000")
	var all sync.WaitGroup
	const containers = 20
	for i := range containers {
		all.Go(func() {
			id := r.id(fmt.Sprint(i))
			for _, args := range [][]string{{"create", id}, {"start", id}, {"exec", id, "true"}, {"kill", id, "KILL"}, {"delete", "-f", id}} {
				if res := r.run(args...); res.status != 0 {
					t.Errorf("runsc %v: status %d: %s", args, res.status, res.err)
				}
			}
		})
	}
	all.Wait()
}

func TestReadOnlyRoot(t *testing.T) {
	r := newRig(t)
	s := r.spec("sh", "-c", "touch /x; touch /tmp/y; echo $?")
	s.Root.Readonly = true
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/made/for/it", Type: "tmpfs", Source: "tmpfs"})
	r.write(s)
	res := r.run("run", r.id("a"))
	if res.out != "1\n" || strings.Count(res.err, "Read-only file system") != 2 {
		t.Errorf("got %+v", res)
	}
}
