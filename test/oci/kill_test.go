package oci

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// killOne kills the first process whose second argument is command.
func (r *rig) killOne(command string) {
	for _, p := range r.processes() {
		pid, rest, _ := strings.Cut(p, " ")
		if n, err := strconv.Atoi(pid); err == nil && strings.HasPrefix(rest, "runsc "+command+" ") {
			unix.Kill(n, unix.SIGKILL)
			return
		}
	}
}

func TestKilledSentry(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	r.must("run", "-d", r.id("a"))
	r.killOne("boot")
	r.await(r.id("a"), specs.StateStopped)
	r.fails(1, []string{"container not running"}, "kill", r.id("a"), "TERM")
	r.must("delete", r.id("a"))
}

func TestKilledGoferEndsTheSandbox(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	r.must("run", "-d", r.id("a"))
	r.killOne("gofer")
	r.await(r.id("a"), specs.StateStopped)
	r.must("delete", r.id("a"))
}

// TestKilledAtRandomMoments kills each of the processes at random moments of
// create and start. Whatever comes of it, delete --force leaves nothing.
func TestKilledAtRandomMoments(t *testing.T) {
	r := newRig(t)
	r.use("sh", "-c", "sleep 1000")
	random := rand.New(rand.NewPCG(1, 2))
	rounds := 12
	if os.Getenv("BULKHEAD_LONG") != "" {
		rounds = 200
	}
	for i := range rounds {
		id := r.id(fmt.Sprint(i))
		delay := time.Duration(random.IntN(60)) * time.Millisecond
		cmd, cancel := r.command("run", id)
		cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		switch i % 3 {
		case 0:
			cmd.Process.Kill()
		case 1:
			r.killOne("boot")
		case 2:
			r.killOne("gofer")
		}
		if i%3 != 0 && len(r.processes()) > 0 {
			// It may have missed: the container then runs until it is deleted.
			time.Sleep(20 * time.Millisecond)
		}
		if res := r.run("delete", "-f", id); res.status != 0 {
			t.Errorf("round %d: delete: %s", i, res.err)
		}
		cmd.Process.Kill()
		cmd.Wait()
		cancel()
		if res := r.run("delete", "-f", id); res.status != 0 {
			t.Errorf("round %d: second delete: %s", i, res.err)
		}
	}
}

func TestKillDuringStart(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	for i := range 5 {
		id := r.id(fmt.Sprint(i))
		r.must("create", id)
		var all sync.WaitGroup
		var start, kill result
		all.Go(func() { start = r.run("start", id) })
		all.Go(func() { kill = r.run("kill", id, "KILL") })
		all.Wait()
		if kill.status != 0 {
			t.Errorf("kill: %s", kill.err)
		}
		if start.status != 0 && !strings.Contains(start.err, "stopped") && !strings.Contains(start.err, "not running") {
			t.Errorf("start: %s", start.err)
		}
		r.await(id, specs.StateStopped)
		r.must("delete", id)
	}
}

// Linux spares the first process of a pid namespace all signals but SIGKILL and
// SIGSTOP that it has no handler for, from wherever they come.
func TestInitIsSparedSignalsWithoutHandler(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	id := r.id("a")
	r.must("run", "-d", id)
	for _, sig := range []string{"TERM", "INT", "15", "SIGHUP"} {
		r.must("kill", id, sig)
	}
	r.must("exec", id, "kill", "-9", "1")
	if out := r.must("ps", id); !strings.Contains(out, "sleep 1000") {
		t.Errorf("ps: %s", out)
	}
	r.must("kill", id, "KILL")
	r.await(id, specs.StateStopped)
	r.must("delete", id)
}

func TestConcurrentDeletes(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	id := r.id("a")
	r.must("run", "-d", id)
	r.must("kill", id, "KILL")
	r.await(id, specs.StateStopped)
	results := make(chan result)
	const racers = 5
	for range racers {
		go func() { results <- r.run("delete", id) }()
	}
	won := 0
	for range racers {
		res := <-results
		switch {
		case res.status == 0:
			won++
		case !strings.Contains(res.err, "container does not exist"):
			t.Errorf("delete: %s", res.err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d deletes succeeded", won, racers)
	}
}

func TestKilledDoLeavesNothing(t *testing.T) {
	r := newRig(t)
	cmd, cancel := r.command("do", "sleep", "1000")
	defer cancel()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("do-%d", cmd.Process.Pid)
	count := func() (n int) {
		dirs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range dirs {
			if raw, err := os.ReadFile(path); err == nil && strings.Contains(string(raw), "\x00"+name) {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(10 * time.Second); count() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d processes of a sandbox", count())
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); count() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d processes are left", count())
		}
	}
}
