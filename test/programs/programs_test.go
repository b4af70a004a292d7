// Package programs_test runs real programs twice, on the host's kernel and
// inside `runsc do`, and wants the same output and the same exit status.
//
// A program is a file in scripts/: a bash script whose head may say what it
// needs (`# needs: git`), with which status it ends (`# expect: 42`), how long
// it may take (`# limit: 120`, in seconds), and that its directory is to be a
// volume (`# volume: yes`) instead of an overlay's. It runs in an empty directory
// and prints facts, not figures that vary. known.txt lists those that differ,
// with the reason; one that agrees again fails the test until it is taken out.
package programs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/test/harness"
)

const (
	defaultLimit = 60 * time.Second
	// Interception by ptrace costs most; the limit is there for what hangs.
	insideFactor = 3
)

type script struct {
	name, path string
	needs      []string
	expect     int
	limit      time.Duration
	volume     bool
}

var tally struct {
	sync.Mutex
	lines map[string]int
}

func count(what string) {
	tally.Lock()
	defer tally.Unlock()
	if tally.lines == nil {
		tally.lines = map[string]int{}
	}
	tally.lines[what]++
}

func TestMain(m *testing.M) {
	code := m.Run()
	var lines []string
	for what, n := range tally.lines {
		lines = append(lines, fmt.Sprintf("programs %s: %d", what, n))
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
	removeReferences()
	harness.RemoveRunsc()
	os.Exit(code)
}

func TestNative(t *testing.T) {
	for _, s := range scripts(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			native(t, s)
			count("natively")
		})
	}
}

func TestSandbox(t *testing.T) {
	for _, sandbox := range harness.Sandboxes(t) {
		known := readKnown(t, sandbox.Platform)
		t.Run(sandbox.Platform, func(t *testing.T) {
			for _, s := range scripts(t) {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					judge(t, sandbox, s, known[s.name])
				})
			}
		})
	}
}

// judge compares a script's two runs. Both happen in the directory of the same
// name, for a program may print where it is.
func judge(t *testing.T, sandbox harness.Sandbox, s script, known string) {
	ref := native(t, s)
	want := ref.result
	empty(t, ref.dir)
	p := program(s, ref.dir)
	p.Limit *= insideFactor
	if s.volume {
		p.Volume = ref.dir
	}
	got := sandbox.Run(p)
	same := got.Err == nil && !got.TimedOut && got.Status == want.Status && got.Stdout == want.Stdout
	switch {
	case same && known != "":
		t.Errorf("%s agrees now: take it out of known.txt", s.name)
	case same:
		count("same on " + sandbox.Platform)
	case known != "":
		count("known to differ on " + sandbox.Platform)
		t.Logf("known difference: %s", known)
	default:
		t.Errorf("%s differs.\n%s\ninside: %s", s.name, firstDifference(want, got), got)
	}
}

// reference is how a script does on the host, found out once.
type reference struct {
	once   sync.Once
	dir    string
	result harness.Result
	err    error
}

var references struct {
	sync.Mutex
	byName map[string]*reference
}

func referenceOf(name string) *reference {
	references.Lock()
	defer references.Unlock()
	if references.byName == nil {
		references.byName = map[string]*reference{}
	}
	if references.byName[name] == nil {
		references.byName[name] = &reference{}
	}
	return references.byName[name]
}

func removeReferences() {
	for _, ref := range references.byName {
		if ref.dir != "" {
			removeAll(ref.dir)
		}
	}
}

// native runs the script on the host and fails the test when that does not end
// as the script says: it may judge nobody then.
func native(t *testing.T, s script) *reference {
	t.Helper()
	for _, tool := range s.needs {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	ref := referenceOf(s.name)
	ref.once.Do(func() {
		// Not the test's own directory: its name is longer than the name of a
		// unix socket may be.
		if ref.dir, ref.err = os.MkdirTemp("", "prog"); ref.err == nil {
			ref.result = harness.Native(program(s, ref.dir))
		}
	})
	res := ref.result
	if ref.err != nil {
		t.Fatal(ref.err)
	}
	if res.Err != nil || res.TimedOut || res.Status != s.expect {
		t.Fatalf("natively %s should end with status %d: %s", s.name, s.expect, res)
	}
	if res.Stdout == "" {
		t.Fatalf("natively %s prints nothing, so it compares nothing", s.name)
	}
	return ref
}

func program(s script, dir string) harness.Program {
	// What a first run on the host makes, a run inside may read.
	cache, err := harness.CacheDir("programs")
	if err != nil {
		cache = dir
	}
	return harness.Program{
		Args: []string{"/bin/bash", s.path},
		Dir:  dir,
		Env: []string{
			"PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
			"HOME=" + dir, "LC_ALL=C.UTF-8", "TZ=UTC", "TERM=dumb",
			"SCRIPTS=" + filepath.Dir(s.path), "CACHE=" + cache,
		},
		Limit: s.limit,
	}
}

// firstDifference shows the line where two outputs part.
func firstDifference(want, got harness.Result) string {
	if want.Status != got.Status && want.Stdout == got.Stdout {
		return fmt.Sprintf("same output, exit status %d natively, %d inside", want.Status, got.Status)
	}
	a, b := strings.Split(want.Stdout, "\n"), strings.Split(got.Stdout, "\n")
	for i := range max(len(a), len(b)) {
		x, y := lineAt(a, i), lineAt(b, i)
		if x != y {
			return fmt.Sprintf("line %d natively: %s\nline %d inside:   %s", i+1, x, i+1, y)
		}
	}
	return ""
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return strconv.Quote(lines[i])
	}
	return "(no such line)"
}

func scripts(t *testing.T) []script {
	t.Helper()
	paths, err := filepath.Glob("scripts/*.sh")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var all []script
	for _, path := range paths {
		all = append(all, readScript(t, path))
	}
	return all
}

func readScript(t *testing.T, path string) script {
	t.Helper()
	full, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	s := script{name: strings.TrimSuffix(filepath.Base(path), ".sh"), path: full, limit: defaultLimit}
	for _, line := range strings.Split(string(data), "\n") {
		text, comment := strings.CutPrefix(line, "# ")
		if !comment {
			break
		}
		key, value, _ := strings.Cut(text, ": ")
		switch key {
		case "needs":
			s.needs = strings.Fields(value)
		case "volume":
			s.volume = value == "yes"
		case "expect":
			s.expect = number(t, path, value)
		case "limit":
			s.limit = time.Duration(number(t, path, value)) * time.Second
		}
	}
	return s
}

func number(t *testing.T, path, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return n
}

func empty(t *testing.T, dir string) {
	t.Helper()
	removeAll(dir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// removeAll also removes what a script made read-only, as Go's module cache is.
func removeAll(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

// readKnown reads lines `SCRIPT PLATFORM REASON`; PLATFORM may be `all`.
func readKnown(t *testing.T, platform string) map[string]string {
	t.Helper()
	data, err := os.ReadFile("known.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, " ", 3)
		if len(parts) != 3 {
			t.Fatalf("known.txt:%d: want SCRIPT PLATFORM REASON", i+1)
		}
		if _, err := os.Stat("scripts/" + parts[0] + ".sh"); err != nil && !strings.HasPrefix(parts[0], "pty-") {
			t.Errorf("known.txt:%d: no script %s", i+1, parts[0])
		}
		if parts[1] == "all" || parts[1] == platform {
			known[parts[0]] = parts[2]
		}
	}
	return known
}
