// Testsum reads `go test -json` from standard input and writes what a person
// reads: a line per package, the full output of each test that failed, the
// skipped tests with their reasons, and a closing line of counts.
//
// Its main type is summary. It never changes a verdict: it exits 1 when a test
// or a package failed and when no test ran at all, for a run that tests
// nothing must not look like one that passes. It holds the output of running
// tests in memory and nothing else.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

type summary struct {
	passed, failed, skipped int
	skips                   map[string]int // reason to how many
	output                  map[string]*strings.Builder
	out                     io.Writer
}

func main() {
	s := &summary{skips: map[string]int{}, output: map[string]*strings.Builder{}, out: os.Stdout}
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	s.close()
	if s.failed > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

func (s *summary) read(r io.Reader) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var e event
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil {
			// A build failure of an older go tool comes as plain text.
			fmt.Fprintln(s.out, scan.Text())
			continue
		}
		s.event(e)
	}
	return scan.Err()
}

func (s *summary) event(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		if s.output[key] == nil {
			s.output[key] = &strings.Builder{}
		}
		s.output[key].WriteString(e.Output)
		return
	case "build-fail":
		s.failed++
		s.tell(key)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	if e.Test == "" {
		s.endPackage(e, key)
		return
	}
	switch e.Action {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		fmt.Fprintf(s.out, "FAILED %s %s\n", e.Package, e.Test)
		s.tell(key)
	case "skip":
		s.skipped++
		s.skips[reason(s.output[key])]++
	}
	delete(s.output, key)
}

func (s *summary) endPackage(e event, key string) {
	if e.Action == "fail" {
		s.failed++
		s.tell(key)
	}
	// What a TestMain prints belongs to no test; it is short and worth seeing.
	if b := s.output[key]; b != nil && e.Action == "pass" {
		for _, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
			if line != "PASS" && line != "" {
				fmt.Fprintln(s.out, line)
			}
		}
	}
	delete(s.output, key)
}

// tell prints what was said under key.
func (s *summary) tell(key string) {
	if b := s.output[key]; b != nil {
		fmt.Fprint(s.out, b.String())
	}
}

// reason is the last line a skipped test logged, without its file name.
func reason(b *strings.Builder) string {
	if b == nil {
		return "no reason given"
	}
	last := "no reason given"
	for _, line := range strings.Split(b.String(), "\n") {
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "---") || strings.HasPrefix(text, "===") {
			continue
		}
		last = text
	}
	if _, after, found := strings.Cut(last, ": "); found && strings.Contains(last, ".go:") {
		return after
	}
	return last
}

func (s *summary) close() {
	var reasons []string
	for r := range s.skips {
		reasons = append(reasons, r)
	}
	sort.Strings(reasons)
	for _, r := range reasons {
		fmt.Fprintf(s.out, "skipped %d: %s\n", s.skips[r], r)
	}
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}
