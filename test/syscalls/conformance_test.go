// Package syscalls_test judges the kernel by small C programs: every case
// passes on the host's kernel first and only then inside, on each platform.
// README.md beside this file tells how to run one case by hand.
package syscalls_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/test/harness"
)

// fileLimit is for all cases of one file; the slowest take a few seconds
// natively, and a traced system call costs a hundred times a native one.
const (
	fileLimit   = 240 * time.Second
	singleLimit = 40 * time.Second
	// A file that fails broadly is told by its batch alone.
	maxSingleRuns = 12
)

var compileFlags = []string{"-std=gnu11", "-O1", "-g", "-Wall", "-Wno-unused-result",
	"-Wno-stringop-overflow", "-Wno-stringop-overread", "-Wno-nonnull",
	"-fno-toplevel-reorder", "-static", "-pthread"}

// outcome is what one case answered: ok, or skipped, or else why not.
type outcome struct {
	ok, skipped bool
	why         string
}

var tally struct {
	sync.Mutex
	lines map[string]*[4]int // ok, not ok, skipped, known
}

const (
	countOK = iota
	countNotOK
	countSkipped
	countKnown
)

func count(where string, what int) {
	tally.Lock()
	defer tally.Unlock()
	if tally.lines == nil {
		tally.lines = map[string]*[4]int{}
	}
	if tally.lines[where] == nil {
		tally.lines[where] = new([4]int)
	}
	tally.lines[where][what]++
}

func TestMain(m *testing.M) {
	code := m.Run()
	var names []string
	for name := range tally.lines {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		c := tally.lines[name]
		fmt.Printf("conformance on %s: %d ok, %d not ok, %d skipped, %d known differences\n",
			name, c[countOK], c[countNotOK], c[countSkipped], c[countKnown])
	}
	harness.RemoveRunsc()
	os.Exit(code)
}

func TestHost(t *testing.T) {
	for _, file := range caseFiles(t) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			c := compiled(t, file)
			for _, name := range c.names {
				o := c.host[name]
				switch {
				case o.ok:
					count("host", countOK)
				case o.skipped:
					count("host", countSkipped)
					t.Logf("skip %s/%s: %s", file, name, o.why)
				default:
					count("host", countNotOK)
					t.Errorf("%s/%s fails on the host and may judge nobody: %s", file, name, o.why)
				}
			}
		})
	}
}

func TestSandbox(t *testing.T) {
	for _, sandbox := range harness.Sandboxes(t) {
		known := readKnown(t, sandbox.Platform)
		t.Run(sandbox.Platform, func(t *testing.T) {
			for _, file := range caseFiles(t) {
				t.Run(file, func(t *testing.T) {
					t.Parallel()
					judge(t, sandbox, compiled(t, file), known)
				})
			}
		})
		for name := range known {
			if !caseExists(t, name) {
				t.Errorf("known.txt: no case %s", name)
			}
		}
	}
}

// judge runs the cases of a file that pass on the host inside, all in one
// sandbox, and those that fail once more each in a sandbox of its own.
func judge(t *testing.T, sandbox harness.Sandbox, c *program, known map[string]string) {
	where := sandbox.Platform
	var wanted []string
	for _, name := range c.names {
		if c.host[name].ok {
			wanted = append(wanted, name)
		}
	}
	if len(wanted) == 0 {
		t.Skipf("no case of %s passes on the host", c.file)
	}
	res := sandbox.Run(harness.Program{Args: append([]string{c.path}, wanted...), Dir: "/", Env: caseEnv(), Limit: fileLimit})
	got := parseOutcomes(res.Stdout)
	singles := 0
	for _, name := range wanted {
		id := c.file + "/" + name
		o, told := got[name]
		if !told {
			o.why = "the sandbox ended before it: " + res.String()
		}
		if o.skipped {
			o.why = "runs on the host, skipped inside: " + o.why
		}
		reason, isKnown := known[id]
		if !o.ok && !isKnown && singles < maxSingleRuns {
			singles++
			o = again(sandbox, c, name, o)
		}
		switch {
		case o.ok && isKnown:
			count(where, countNotOK)
			t.Errorf("%s passes now: take it out of known.txt", id)
		case o.ok:
			count(where, countOK)
		case isKnown:
			count(where, countKnown)
			t.Logf("known difference %s: %s", id, reason)
		default:
			count(where, countNotOK)
			t.Errorf("%s: %s", id, o.why)
		}
	}
}

// again runs one case alone; it stays a failure even when it passes alone,
// because in company it did not.
func again(sandbox harness.Sandbox, c *program, name string, first outcome) outcome {
	res := sandbox.Run(harness.Program{Args: []string{c.path, name}, Dir: "/", Env: caseEnv(), Limit: singleLimit})
	alone, told := parseOutcomes(res.Stdout)[name]
	switch {
	case !told:
		return outcome{why: first.why + "\nalone: " + res.String()}
	case alone.ok:
		return outcome{why: first.why + "\nalone: passes"}
	}
	return outcome{why: first.why + "\nalone: " + alone.why}
}

// program is one compiled file of cases and how they do on the host.
type program struct {
	file  string // without .c
	path  string
	names []string
	host  map[string]outcome
	err   error
	once  sync.Once
}

var (
	programsMu sync.Mutex
	programs   = map[string]*program{}
)

func compiled(t *testing.T, file string) *program {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler (cc) to build the cases with")
	}
	programsMu.Lock()
	p := programs[file]
	if p == nil {
		p = &program{file: file}
		programs[file] = p
	}
	programsMu.Unlock()
	p.once.Do(func() { p.err = p.prepare(cc) })
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p
}

func (p *program) prepare(cc string) error {
	path, err := compile(cc, p.file)
	if err != nil {
		return err
	}
	p.path = path
	list := harness.Native(harness.Program{Args: []string{path, "--list"}, Dir: "/", Env: caseEnv(), Limit: singleLimit})
	p.names = strings.Fields(list.Stdout)
	if len(p.names) == 0 {
		return fmt.Errorf("%s.c lists no case: %s", p.file, list)
	}
	res := harness.Native(harness.Program{Args: []string{path}, Dir: "/", Env: caseEnv(), Limit: fileLimit})
	p.host = parseOutcomes(res.Stdout)
	for _, name := range p.names {
		if _, told := p.host[name]; !told {
			p.host[name] = outcome{why: "no line for it; the run: " + res.String()}
		}
	}
	return nil
}

// compile builds a file once per content: the name holds a hash of all that
// goes in, so a stale binary is never used.
func compile(cc, file string) (string, error) {
	source := filepath.Join("cases", file+".c")
	sum := sha256.New()
	for _, name := range []string{source, filepath.Join("cases", "case.h")} {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(data))
		sum.Write(data)
	}
	fmt.Fprintf(sum, "%s %q", cc, compileFlags)
	dir, err := harness.CacheDir("cases")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, file+"-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	// Another test process may build the same: rename makes it one step.
	part := fmt.Sprintf("%s.%d", path, os.Getpid())
	args := append(append([]string{}, compileFlags...), "-o", part, source)
	if msg, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile %s: %w\n%s", source, err, msg)
	}
	return path, os.Rename(part, path)
}

func caseFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("cases/*.c")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in %s: %v", "cases", err)
	}
	var names []string
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".c"))
	}
	return names
}

func caseExists(t *testing.T, id string) bool {
	file, name, _ := strings.Cut(id, "/")
	if _, err := os.Stat(filepath.Join("cases", file+".c")); err != nil {
		return false
	}
	for _, n := range compiled(t, file).names {
		if n == name {
			return true
		}
	}
	return false
}

// caseEnv is all that a case sees of the caller's environment.
func caseEnv() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/", "LC_ALL=C"}
}

// parseOutcomes reads the lines a case program prints. The first line of a
// case counts: a child of it may fail first and the case then because of that.
func parseOutcomes(stdout string) map[string]outcome {
	out := map[string]outcome{}
	scan := bufio.NewScanner(strings.NewReader(stdout))
	for scan.Scan() {
		line := scan.Text()
		var name string
		var o outcome
		switch {
		case strings.HasPrefix(line, "ok "):
			name, o.ok = strings.TrimPrefix(line, "ok "), true
		case strings.HasPrefix(line, "not ok "):
			name, o.why, _ = strings.Cut(strings.TrimPrefix(line, "not ok "), ": ")
		case strings.HasPrefix(line, "skip "):
			name, o.why, _ = strings.Cut(strings.TrimPrefix(line, "skip "), ": ")
			o.skipped = true
		default:
			continue
		}
		if _, told := out[name]; !told {
			out[name] = o
		}
	}
	return out
}

// readKnown reads the differences we know of, each with its reason: lines
// `FILE/CASE PLATFORM REASON`, where PLATFORM may be `all`.
func readKnown(t *testing.T, platform string) map[string]string {
	t.Helper()
	data, err := os.ReadFile("known.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, " ", 3)
		if len(parts) != 3 {
			t.Fatalf("known.txt:%d: want FILE/CASE PLATFORM REASON", i+1)
		}
		if parts[1] == "all" || parts[1] == platform {
			known[parts[0]] = parts[2]
		}
	}
	return known
}
