package main

import (
	"strings"
	"testing"
)

func summarize(t *testing.T, lines ...string) (*summary, string) {
	t.Helper()
	var out strings.Builder
	s := &summary{skips: map[string]int{}, output: map[string]*strings.Builder{}, out: &out}
	if err := s.read(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	s.close()
	return s, out.String()
}

func TestCountsAndSkipReasons(t *testing.T) {
	s, out := summarize(t,
		`{"Action":"pass","Package":"p","Test":"TestA"}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: needs root\n"}`,
		`{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"TestB"}`,
		`{"Action":"pass","Package":"p"}`)
	if s.passed != 1 || s.failed != 0 || s.skipped != 1 {
		t.Errorf("counts: %d %d %d", s.passed, s.failed, s.skipped)
	}
	want := "skipped 1: needs root\n1 passed, 0 failed, 1 skipped\n"
	if out != want {
		t.Errorf("output %q, want %q", out, want)
	}
}

func TestFailureIsToldInFull(t *testing.T) {
	s, out := summarize(t,
		`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: broken\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestA"}`,
		`{"Action":"fail","Package":"p"}`)
	if s.failed != 2 {
		t.Errorf("failed %d, want the test and its package", s.failed)
	}
	if !strings.Contains(out, "FAILED p TestA\n    a_test.go:3: broken\n") {
		t.Errorf("output %q", out)
	}
}

func TestBuildFailureFails(t *testing.T) {
	s, out := summarize(t,
		`{"ImportPath":"p","Action":"build-output","Output":"x.go:1: syntax error\n"}`,
		`{"ImportPath":"p","Action":"build-fail"}`)
	if s.failed == 0 || !strings.Contains(out, "syntax error") {
		t.Errorf("failed %d, output %q", s.failed, out)
	}
}
