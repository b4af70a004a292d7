package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
)

// makeState is that of a container whose creator and Sentry are given.
func makeState(id string, creator, sentry sandbox.Process) State {
	return State{ID: id, Bundle: "/b", Reached: Creating, Spec: &specs.Spec{}, Creator: creator, Sentry: sentry}
}

func self(t *testing.T) sandbox.Process {
	t.Helper()
	p, err := sandbox.Self()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := OpenStore(filepath.Join(t.TempDir(), "a/b"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIDs(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "A-b_c.d+e": true, "..a": true,
		"": false, ".": false, "..": false, "a/b": false, "~a": false, "a b": false, "a\n": false, strings.Repeat("x", 256): false,
	} {
		if err := CheckID(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestStatusIsWhatRuns(t *testing.T) {
	alive, gone := self(t), sandbox.Process{PID: os.Getpid(), Start: 1}
	for _, c := range []struct {
		reached         Stage
		paused          bool
		creator, sentry sandbox.Process
		want            Status
	}{
		{Creating, false, alive, gone, StatusCreating},
		{Creating, false, gone, alive, StatusStopped},
		{Created, false, gone, alive, StatusCreated},
		{Started, false, gone, alive, StatusRunning},
		{Started, true, gone, alive, StatusPaused},
		{Started, true, gone, gone, StatusStopped},
		{Created, false, gone, sandbox.Process{}, StatusStopped},
	} {
		container := &Container{State: State{Reached: c.reached, Paused: c.paused, Creator: c.creator, Sentry: c.sentry}}
		if got := container.Status(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestSecondReservationFails(t *testing.T) {
	s := newStore(t)
	c, err := s.reserve(makeState("a", self(t), sandbox.Process{}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.unlock()
	if _, err := s.reserve(makeState("a", self(t), sandbox.Process{})); !errors.Is(err, ErrExist) {
		t.Errorf("got %v", err)
	}
	entries, _ := os.ReadDir(s.dir)
	if len(entries) != 1 {
		t.Errorf("left: %v", entries)
	}
}

func TestCutOffCreationIsTakenOver(t *testing.T) {
	s := newStore(t)
	c, err := s.reserve(makeState("a", sandbox.Process{PID: os.Getpid(), Start: 1}, sandbox.Process{}))
	if err != nil {
		t.Fatal(err)
	}
	c.unlock()
	again, err := s.reserve(makeState("a", self(t), sandbox.Process{}))
	if err != nil {
		t.Fatal(err)
	}
	again.unlock()
}

func TestLockOfARemovedContainer(t *testing.T) {
	s := newStore(t)
	c, err := s.reserve(makeState("a", self(t), sandbox.Process{}))
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Load("a")
	if err != nil {
		t.Fatal(err)
	}
	locked := make(chan error)
	go func() { locked <- other.Lock() }()
	if err := c.remove(); err != nil {
		t.Fatal(err)
	}
	c.unlock()
	if err := <-locked; !errors.Is(err, ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestSweepTakesWhatDeadCommandsLeft(t *testing.T) {
	s := newStore(t)
	const nobody = 1 << 30 // above every process number
	dead := filepath.Join(s.dir, fmt.Sprintf("~a.b.%d", nobody))
	live := filepath.Join(s.dir, fmt.Sprintf("~a.b.%d", os.Getppid()))
	for _, dir := range []string{dead, live} {
		if err := os.MkdirAll(filepath.Join(dir, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.sweep()
	if _, err := os.Stat(dead); err == nil {
		t.Error("what a dead command left is still there")
	}
	if _, err := os.Stat(live); err != nil {
		t.Errorf("what a running command uses: %v", err)
	}
	if all, err := s.List(func(err error) { t.Error(err) }); err != nil || len(all) != 0 {
		t.Errorf("list: %v, %v", all, err)
	}
}

func TestBrokenStateIsReported(t *testing.T) {
	s := newStore(t)
	os.Mkdir(filepath.Join(s.dir, "a"), 0o700)
	os.WriteFile(filepath.Join(s.dir, "a", stateFile), []byte("{"), 0o600)
	if _, err := s.Load("a"); err == nil || !strings.Contains(err.Error(), stateFile) {
		t.Errorf("got %v", err)
	}
	reported := 0
	if _, err := s.List(func(error) { reported++ }); err != nil || reported != 1 {
		t.Errorf("list: %d reports, %v", reported, err)
	}
	if err := s.DeleteBroken("a"); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(s.dir); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
}

func TestPIDFileIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	os.WriteFile(path, []byte("123456789"), 0o644)
	if err := WritePIDFile(path, 42); err != nil {
		t.Fatal(err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != "42" {
		t.Errorf("got %q", raw)
	}
	if err := WritePIDFile(filepath.Join(path, "x"), 1); err == nil {
		t.Error("a pid file below a file")
	}
}
