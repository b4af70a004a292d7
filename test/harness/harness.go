// Package harness is what the suites under test/ share: it builds the runsc
// of this tree, finds out on which platforms that runsc runs a program here,
// and runs programs natively or inside with a time limit that leaves no
// process behind.
//
// Main types: Sandbox, one platform of one runsc binary, and Result, how a
// program ended. The package never judges a result; the suites do. A Sandbox
// costs one link of runsc (about a second with a warm build cache) and one
// probe per platform, both once per test binary.
package harness

import (
	"bytes"
	"context"
	"errors"
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
)

// knownPlatforms are the values of --platform that are tried, fastest to
// judge first. A platform that cannot run here is reported, not failed.
var knownPlatforms = []string{"trap", "ptrace"}

// platformsEnv names other ones to try instead, separated by spaces, such as a
// platform with parts of it turned off: trap:nopatch.
const platformsEnv = "BULKHEAD_PLATFORMS"

// probeLimit is generous: the probe decides whether a whole suite runs.
const probeLimit = 30 * time.Second

// Sandbox runs programs with `runsc do` on one platform.
type Sandbox struct {
	Runsc    string
	Platform string
}

// Result is how a program ended.
type Result struct {
	Stdout, Stderr string
	Status         int // exit status; 128+N when a signal N ended it
	TimedOut       bool
	Err            error // the program could not be started at all
}

// Program is what to run, natively or inside.
type Program struct {
	Args  []string
	Dir   string
	Env   []string // nil means the caller's environment
	Stdin io.Reader
	Limit time.Duration
	// Volume is a host directory that is itself inside, for writing, and not
	// what the overlay makes of it.
	Volume string
}

// Native runs the program on the host's kernel.
func Native(p Program) Result {
	return run(p, p.Args)
}

// Run runs the program inside.
func (s Sandbox) Run(p Program) Result {
	line := s.CommandLine(nil)
	if p.Volume != "" {
		line = append(line, "--volume", p.Volume+":"+p.Volume)
	}
	return run(p, append(line, p.Args...))
}

// CommandLine is the host command line that runs args inside.
func (s Sandbox) CommandLine(args []string) []string {
	return append([]string{s.Runsc, "--platform=" + s.Platform, "do"}, args...)
}

func (r Result) String() string {
	var b strings.Builder
	switch {
	case r.Err != nil:
		fmt.Fprintf(&b, "not started: %v", r.Err)
	case r.TimedOut:
		b.WriteString("no end within its time limit")
	default:
		fmt.Fprintf(&b, "exit status %d", r.Status)
	}
	fmt.Fprintf(&b, "\nstdout:\n%s\nstderr:\n%s", clip(r.Stdout), clip(r.Stderr))
	return b.String()
}

// clip keeps a failure readable: its start and its end.
func clip(s string) string {
	const keep = 3000
	if len(s) <= 2*keep {
		return s
	}
	return fmt.Sprintf("%s\n[... %d bytes left out ...]\n%s", s[:keep], len(s)-2*keep, s[len(s)-keep:])
}

func run(p Program, args []string) Result {
	ctx, cancel := context.WithTimeout(context.Background(), p.Limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = p.Dir, p.Env, p.Stdin
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A session of its own: no terminal is inherited, so a program behaves
	// the same from a terminal and from CI, and the whole group can be ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return endGroup(cmd.Process.Pid) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if cmd.Process != nil {
		// What the program left in its group would outlive the test.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	res := Result{Stdout: stdout.String(), Stderr: stderr.String(), TimedOut: ctx.Err() != nil}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		res.Status = waitStatus(exit.Sys().(syscall.WaitStatus))
	case err != nil && cmd.ProcessState == nil:
		res.Err = err
	}
	return res
}

// endGroup asks first: runsc then takes its sandbox down itself.
func endGroup(pid int) error {
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	time.Sleep(500 * time.Millisecond)
	return syscall.Kill(-pid, syscall.SIGKILL)
}

func waitStatus(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

var built = sync.OnceValues(buildRunsc)

// Sandboxes gives one Sandbox for each platform on which `runsc do` runs a
// program here. With none it skips the test, saying why, or fails it when
// BULKHEAD_REQUIRE_SANDBOX is set, as CI does: a suite that runs nothing must
// not look like one that passes.
func Sandboxes(t testing.TB) []Sandbox {
	t.Helper()
	runsc, err := built()
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no runsc in this tree yet: %v", err)
	}
	if err != nil {
		t.Fatalf("build runsc: %v", err)
	}
	found, reasons := probed(runsc)
	if len(found) > 0 {
		for _, reason := range reasons {
			t.Logf("platform left out: %s", reason)
		}
		return found
	}
	if os.Getenv("BULKHEAD_REQUIRE_SANDBOX") != "" {
		t.Fatalf("runsc do runs no program here: %s", strings.Join(reasons, "; "))
	}
	t.Skipf("runsc do runs no program here: %s", strings.Join(reasons, "; "))
	return nil
}

var (
	probeOnce    sync.Once
	probeFound   []Sandbox
	probeReasons []string
)

func probed(runsc string) ([]Sandbox, []string) {
	probeOnce.Do(func() {
		platforms := knownPlatforms
		if others := strings.Fields(os.Getenv(platformsEnv)); len(others) > 0 {
			platforms = others
		}
		for _, platform := range platforms {
			s := Sandbox{Runsc: runsc, Platform: platform}
			res := s.Run(Program{Args: []string{"/bin/sh", "-c", "echo inside; exit 3"}, Dir: "/", Limit: probeLimit})
			if res.Status == 3 && res.Stdout == "inside\n" {
				probeFound = append(probeFound, s)
				continue
			}
			probeReasons = append(probeReasons, fmt.Sprintf("%s: %s", platform, oneLine(res.String())))
		}
	})
	return probeFound, probeReasons
}

func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}

func buildRunsc() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	if preset := os.Getenv("BULKHEAD_RUNSC"); preset != "" {
		return preset, nil
	}
	if _, err := os.Stat(filepath.Join(root, "runsc")); err != nil {
		return "", err
	}
	// Beside the other caches and not in a test's own directory: the binary
	// must stay for every test of the run, and be readable inside.
	dir, err := CacheDir("bin")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, fmt.Sprintf("runsc-%d", os.Getpid()))
	if err := noteSources(root); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", out, "./runsc")
	// As it is installed: with cgo there is no network (sentry/socket/inet).
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Dir = root
	if msg, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./runsc: %w\n%s", err, msg)
	}
	return out, nil
}

// noteSources looks at every source file, because `go test` reuses an old
// result unless a file that the test itself looked at has changed, and it does
// not see what `go build` reads.
func noteSources(root string) error {
	return filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !(strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".s")) {
			return err
		}
		_, err = os.Stat(path)
		return err
	})
}

// RemoveRunsc removes what Sandboxes built; a TestMain calls it at its end.
func RemoveRunsc() {
	if os.Getenv("BULKHEAD_RUNSC") != "" {
		return
	}
	if dir, err := CacheDir("bin"); err == nil {
		_ = os.Remove(filepath.Join(dir, fmt.Sprintf("runsc-%d", os.Getpid())))
	}
}

// Root is the folder that holds go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = up
	}
}

// CacheDir gives a folder that outlives the run, for what is costly to make.
func CacheDir(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = filepath.Join(os.TempDir(), fmt.Sprintf("bulkhead-%d", os.Getuid()))
	}
	dir := filepath.Join(base, "bulkhead-test", name)
	return dir, os.MkdirAll(dir, 0o755)
}
