// Package house checks the rules of style that a parser can check: every
// package has exactly one package comment, of at least two sentences, and a test
// that skips says why.
//
// Its test runs Check over the whole module. The command in tools/sizes, which
// lists what is long and never fails, shares Load and Sizes with it. Neither
// needs a build.
package house

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Tree is the parsed Go files of a module, by the package's folder.
type Tree struct {
	Files    *token.FileSet
	Packages map[string][]Source
}

// Source is one parsed file.
type Source struct {
	Path string // below the module's root
	File *ast.File
}

func (s Source) test() bool { return strings.HasSuffix(s.Path, "_test.go") }

// Load parses the module at root.
func Load(root string) (*Tree, error) {
	tree := &Tree{token.NewFileSet(), map[string][]Source{}}
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
		parsed, err := parser.ParseFile(tree.Files, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		folder := filepath.ToSlash(filepath.Dir(rel))
		tree.Packages[folder] = append(tree.Packages[folder], Source{rel, parsed})
		return nil
	})
	return tree, err
}

// Check returns a line for each fault.
func (t *Tree) Check() []string {
	var faults []string
	for folder, sources := range t.Packages {
		faults = append(faults, checkDoc(folder, sources)...)
		for _, s := range sources {
			faults = append(faults, t.checkSkips(s)...)
		}
	}
	slices.Sort(faults)
	return faults
}

func checkDoc(folder string, sources []Source) []string {
	var where []string
	doc := ""
	code := false
	for _, s := range sources {
		if s.test() {
			continue
		}
		code = true
		if s.File.Doc != nil {
			where = append(where, s.Path)
			doc = s.File.Doc.Text()
		}
	}
	switch {
	case !code:
		return nil
	case len(where) == 0:
		return []string{folder + ": no package comment"}
	case len(where) > 1:
		return []string{folder + ": package comments in " + strings.Join(where, " and ")}
	case sentences(doc) < 2:
		return []string{where[0] + ": the package comment has fewer than two sentences"}
	}
	return nil
}

// sentences counts full stops and the like before white space.
func sentences(doc string) int {
	n := 0
	for i, c := range doc {
		if (c == '.' || c == '?' || c == '!') && (i+1 == len(doc) || strings.ContainsRune(" \n\t", rune(doc[i+1]))) {
			n++
		}
	}
	return n
}

// checkSkips reports calls of Skip and Skipf without an argument, and SkipNow,
// on what is named t or b.
func (t *Tree) checkSkips(s Source) []string {
	var faults []string
	ast.Inspect(s.File, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		on, ok := fun.X.(*ast.Ident)
		if !ok || on.Name != "t" && on.Name != "b" && on.Name != "tb" {
			return true
		}
		silent := fun.Sel.Name == "SkipNow" || strings.HasPrefix(fun.Sel.Name, "Skip") && len(call.Args) == 0
		if s.test() && silent {
			faults = append(faults, fmt.Sprintf("%s:%d: skips without a reason", s.Path, t.Files.Position(call.Pos()).Line))
		}
		return true
	})
	return faults
}

// Size is how many lines something has.
type Size struct {
	Lines int
	Name  string
}

// Sizes returns the lines of functions, files and packages, the longest first.
// Tests are left out.
func (t *Tree) Sizes() (functions, files, packages []Size) {
	for folder, sources := range t.Packages {
		total := 0
		for _, s := range sources {
			if s.test() {
				continue
			}
			lines := t.Files.File(s.File.Pos()).LineCount()
			total += lines
			files = append(files, Size{lines, s.Path})
			functions = append(functions, t.functions(s)...)
		}
		if total > 0 {
			packages = append(packages, Size{total, folder})
		}
	}
	for _, list := range [][]Size{functions, files, packages} {
		slices.SortFunc(list, func(a, b Size) int { return cmp.Or(b.Lines-a.Lines, strings.Compare(a.Name, b.Name)) })
	}
	return functions, files, packages
}

func (t *Tree) functions(s Source) []Size {
	var out []Size
	for _, decl := range s.File.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			lines := t.Files.Position(fn.End()).Line - t.Files.Position(fn.Pos()).Line + 1
			out = append(out, Size{lines, s.Path + ": " + fn.Name.Name})
		}
	}
	return out
}
