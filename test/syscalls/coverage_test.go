package syscalls_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/syscalls"
)

// TestEveryImplementedCallIsCovered holds the table of the kernel against the
// `// calls:` lines of the case files. What no case covers stands in
// uncovered.txt with the reason.
func TestEveryImplementedCallIsCovered(t *testing.T) {
	covered := coveredCalls(t)
	excused := readExcused(t)
	implemented := map[string]bool{}
	for _, call := range syscalls.Calls() {
		name := call.ID.String()
		if !call.Support.Implemented() {
			continue
		}
		implemented[name] = true
		if covered[name] == "" && excused[name] == "" {
			t.Errorf("%s is implemented and no case names it: add it to a `// calls:` line, or to uncovered.txt with the reason", name)
		}
	}
	for name := range excused {
		if covered[name] != "" {
			t.Errorf("uncovered.txt: %s is covered by %s", name, covered[name])
		}
	}
	t.Logf("%d calls implemented, %d named by cases, %d excused", len(implemented), len(covered), len(excused))
}

// TestCallsLinesNameRealCalls catches misspelling.
func TestCallsLinesNameRealCalls(t *testing.T) {
	real := map[string]bool{}
	for nr := uint64(0); nr <= sysno.MaxNumber; nr++ {
		if id := sysno.Lookup(sysno.AMD64, nr); id.Valid() {
			real[id.String()] = true
		}
	}
	for name, file := range coveredCalls(t) {
		if !real[name] {
			t.Errorf("%s: no system call %q", file, name)
		}
	}
	for name := range readExcused(t) {
		if !real[name] {
			t.Errorf("uncovered.txt: no system call %q", name)
		}
	}
}

// coveredCalls maps each call named by a case file to that file.
func coveredCalls(t *testing.T) map[string]string {
	t.Helper()
	covered := map[string]string{}
	for _, file := range caseFiles(t) {
		data, err := os.ReadFile(filepath.Join("cases", file+".c"))
		if err != nil {
			t.Fatal(err)
		}
		before := len(covered)
		for _, line := range strings.Split(string(data), "\n") {
			list, found := strings.CutPrefix(line, "// calls:")
			if !found {
				continue
			}
			for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
				covered[name] = file + ".c"
			}
		}
		if len(covered) == before && !strings.Contains(string(data), "// calls:") {
			t.Errorf("%s.c has no `// calls:` line", file)
		}
	}
	return covered
}

// readExcused reads uncovered.txt: lines `CALL REASON`.
func readExcused(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("uncovered.txt")
	if err != nil {
		t.Fatal(err)
	}
	excused := map[string]string{}
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, found := strings.Cut(line, " ")
		if !found {
			t.Fatalf("uncovered.txt:%d: want CALL REASON", i+1)
		}
		excused[name] = reason
	}
	return excused
}
