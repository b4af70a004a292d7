package layers

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestModuleKeepsToItsLayers(t *testing.T) {
	r, err := os.Open("rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rules, err := ParseRules(r)
	if err != nil {
		t.Fatalf("rules.txt: %v", err)
	}
	files, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file found")
	}
	for _, fault := range rules.Check(files) {
		t.Error(fault)
	}
}

const testRules = `
layer low  low/...
layer fs   top/fs/...
layer top  top/...
order low top fs
apart top/fs
deny top/... example.com/oci/...  it knows nothing of them
unsafe low/mem
host top/door  it is the door
`

func TestCheckSeesEachFault(t *testing.T) {
	rules, err := ParseRules(strings.NewReader(testRules))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		file File
		want string // "" for no fault
	}{
		{"down", File{Path: "top/a/a.go", Imports: []string{Module + "/low/b"}}, ""},
		{"same layer", File{Path: "top/a/a.go", Imports: []string{Module + "/top/b"}}, ""},
		{"up", File{Path: "low/b/b.go", Imports: []string{Module + "/top/a"}}, "lies above it"},
		{"up from a test", File{Path: "low/b/b_test.go", Test: true, Imports: []string{Module + "/top/a"}}, "lies above it"},
		{"sibling", File{Path: "top/fs/x/x.go", Imports: []string{Module + "/top/fs/y"}}, "do not know one another"},
		{"sibling in a test", File{Path: "top/fs/x/x_test.go", Test: true, Imports: []string{Module + "/top/fs/y"}}, ""},
		{"own child", File{Path: "top/fs/x/x.go", Imports: []string{Module + "/top/fs/x/z"}}, ""},
		{"denied", File{Path: "top/a/a.go", Imports: []string{"example.com/oci/spec"}}, "knows nothing"},
		{"no layer", File{Path: "stray/a.go"}, "in no layer"},
		{"root", File{Path: "doc.go"}, ""},
		{"unsafe", File{Path: "low/b/b.go", Imports: []string{"unsafe"}}, "unsafe"},
		{"unsafe where allowed", File{Path: "low/mem/b.go", Imports: []string{"unsafe"}}, ""},
		{"cgo", File{Path: "low/b/b_test.go", Test: true, Imports: []string{"C"}}, "cgo"},
	} {
		got := rules.Check([]File{c.file})
		switch {
		case c.want == "" && len(got) != 0:
			t.Errorf("%s: %v", c.name, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
			t.Errorf("%s: %v, want %q", c.name, got, c.want)
		}
	}
}

func TestHostCallsHaveOneDoorway(t *testing.T) {
	rules, err := ParseRules(strings.NewReader("layer s sentry/...\norder s\nhost sentry/door reason"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		bad  bool
	}{{"sentry/a/a.go", true}, {"sentry/door/a.go", false}} {
		got := rules.Check([]File{{Path: c.path, Imports: []string{"golang.org/x/sys/unix"}}})
		if (len(got) != 0) != c.bad {
			t.Errorf("%s: %v", c.path, got)
		}
	}
}

func TestDescribeSeesInitAndLinkname(t *testing.T) {
	src := "package p\n\nimport \"fmt\"\n\n//go:linkname a b\nfunc a()\n\nfunc init() { fmt.Println() }\n\ntype t int\n\nfunc (t) init() {}\n"
	parsed, err := parser.ParseFile(token.NewFileSet(), "p.go", src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	f := describe("p/p.go", parsed)
	if len(f.Faults) != 2 || !slices.Equal(f.Imports, []string{"fmt"}) {
		t.Errorf("faults %q, imports %q", f.Faults, f.Imports)
	}
}

func TestBadRules(t *testing.T) {
	for _, text := range []string{"layers a b", "layer a", "layer a b/...", "deny a b"} {
		if _, err := ParseRules(strings.NewReader(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
