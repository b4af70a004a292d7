// Package layers checks the module's imports against rules.txt, so that the
// folders stay what docs/architecture.md says they are: a package imports only
// its own layer and lower ones, file systems do not know one another, and the
// host is reached through one doorway.
//
// Load reads a tree's Go files, ParseRules reads the rules, and Check lists
// what breaks them, one line for each fault with the file's name. The package's
// test runs Check over the module; it needs no build and takes a moment.
package layers

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the module whose packages the rules name.
const Module = "github.com/bulkhead-sandbox/bulkhead"

// File is what the rules look at in one Go file.
type File struct {
	Path    string   // below the module's root
	Test    bool     // whether it is a _test.go file
	Imports []string // import paths
	Faults  []string // what is wrong wherever the file lies
}

// Package is the path of the file's package below the module's root.
func (f File) Package() string { return path.Dir(f.Path) }

// Rules is a parsed rules.txt.
type Rules struct {
	layers []patternOf // a pattern and its layer
	order  []string
	apart  []string
	deny   []denial
	only   []denial
	unsafe []string
	host   []string
}

type patternOf struct{ pattern, layer string }

type denial struct{ from, to, reason string }

// ParseRules reads rules.
func ParseRules(r io.Reader) (*Rules, error) {
	rules := &Rules{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := rules.add(words[0], words[1:]); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	for _, l := range rules.layers {
		if !slices.Contains(rules.order, l.layer) {
			return nil, fmt.Errorf("layer %s is not in the order", l.layer)
		}
	}
	return rules, nil
}

func (r *Rules) add(word string, args []string) error {
	need := map[string]int{"layer": 2, "order": 1, "apart": 1, "deny": 3, "only": 3, "unsafe": 1, "host": 2}
	n, known := need[word]
	if !known {
		return fmt.Errorf("unknown rule %q", word)
	}
	if len(args) < n {
		return fmt.Errorf("%s wants at least %d words", word, n)
	}
	switch word {
	case "layer":
		for _, p := range args[1:] {
			r.layers = append(r.layers, patternOf{p, args[0]})
		}
	case "order":
		r.order = args
	case "apart":
		r.apart = append(r.apart, args...)
	case "deny":
		r.deny = append(r.deny, denial{args[0], args[1], strings.Join(args[2:], " ")})
	case "only":
		r.only = append(r.only, denial{args[0], args[1], strings.Join(args[2:], " ")})
	case "unsafe":
		r.unsafe = append(r.unsafe, args...)
	case "host":
		r.host = append(r.host, args[0])
	}
	return nil
}

// matches reports whether package pkg matches pattern: it is the package, or
// the pattern ends in /... and pkg is that or below it.
func matches(pattern, pkg string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == below || strings.HasPrefix(pkg, below+"/")
	}
	return pattern == pkg
}

func anyMatches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// layer returns the layer's place in the order, or -1.
func (r *Rules) layer(pkg string) int {
	for _, l := range r.layers {
		if matches(l.pattern, pkg) {
			return slices.Index(r.order, l.layer)
		}
	}
	return -1
}

// Check returns a line for each fault, in the order of the files.
func (r *Rules) Check(files []File) []string {
	var faults []string
	for _, f := range files {
		report := func(format string, args ...any) {
			faults = append(faults, f.Path+": "+fmt.Sprintf(format, args...))
		}
		if f.Package() != "." && r.layer(f.Package()) < 0 {
			report("package %s is in no layer", f.Package())
		}
		for _, fault := range f.Faults {
			report("%s", fault)
		}
		for _, imp := range f.Imports {
			if fault := r.checkImport(f, imp); fault != "" {
				report("%s", fault)
			}
		}
	}
	return faults
}

func (r *Rules) checkImport(f File, imp string) string {
	pkg := f.Package()
	own, isOwn := strings.CutPrefix(imp, Module+"/")
	target := imp
	if isOwn {
		target = own
	}
	for _, d := range r.deny {
		if matches(d.from, pkg) && matches(d.to, target) {
			return fmt.Sprintf("imports %s: %s", target, d.reason)
		}
	}
	for _, o := range r.only {
		if matches(o.to, target) && !matches(o.from, pkg) {
			return fmt.Sprintf("imports %s, which only %s may: %s", target, o.from, o.reason)
		}
	}
	switch {
	case isOwn:
		return r.checkOwn(f, own)
	case imp == "C":
		return "uses cgo"
	case f.Test:
		// A test may measure what it likes.
		return ""
	case imp == "unsafe" && !anyMatches(r.unsafe, pkg):
		return "imports unsafe, which only the folders in rules.txt may"
	case slices.Contains(hostPackages, imp) && matches("sentry/...", pkg) && !anyMatches(r.host, pkg):
		return fmt.Sprintf("imports %s: the sentry calls the host through internal/host", imp)
	}
	return ""
}

// hostPackages make host calls.
var hostPackages = []string{"syscall", "golang.org/x/sys/unix", "os", "os/exec", "os/signal", "os/user", "net", "io/ioutil"}

func (r *Rules) checkOwn(f File, target string) string {
	pkg := f.Package()
	from, to := r.layer(pkg), r.layer(target)
	if to > from {
		return fmt.Sprintf("imports %s, which lies above it", target)
	}
	if f.Test {
		// A test may use a sibling as the other side of what it tests.
		return ""
	}
	for _, group := range r.apart {
		a, b := member(group, pkg), member(group, target)
		if a != "" && b != "" && a != b {
			return fmt.Sprintf("imports %s: packages of %s do not know one another", target, group)
		}
	}
	return ""
}

// member returns the part of pkg's path that names a member of the group, or "".
func member(group, pkg string) string {
	rest, ok := strings.CutPrefix(pkg, group+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// Load reads the Go files of the module at root.
func Load(root string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && p != root && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := loadFile(root, p)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func loadFile(root, p string) (File, error) {
	rel, err := filepath.Rel(root, p)
	if err != nil {
		return File{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments)
	if err != nil {
		return File{}, err
	}
	return describe(filepath.ToSlash(rel), parsed), nil
}

func describe(rel string, parsed *ast.File) File {
	f := File{Path: rel, Test: strings.HasSuffix(rel, "_test.go")}
	for _, spec := range parsed.Imports {
		if imp, err := strconv.Unquote(spec.Path.Value); err == nil {
			f.Imports = append(f.Imports, imp)
		}
	}
	for _, decl := range parsed.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			f.Faults = append(f.Faults, "has an init function: registries are lists that one can read")
		}
	}
	for _, group := range parsed.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:linkname") {
				f.Faults = append(f.Faults, "uses go:linkname")
			}
		}
	}
	return f
}
