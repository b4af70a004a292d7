package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModuleKeepsTheHouseRules(t *testing.T) {
	tree, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range tree.Check() {
		t.Error(fault)
	}
}

func write(t *testing.T, files map[string]string) *Tree {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestCheckSeesEachFault(t *testing.T) {
	tree := write(t, map[string]string{
		"good/a.go":       "// Package good is here. It does nothing.\npackage good\n",
		"good/a_test.go":  "package good\n\nfunc f(t T) { t.Skip(\"needs root\"); x.Skip() }\n",
		"bare/a.go":       "package bare\n",
		"brief/a.go":      "// Package brief is version 1.2 of it\npackage brief\n",
		"twice/a.go":      "// Package twice is here. And here.\npackage twice\n",
		"twice/b.go":      "// Package twice is here. And here.\npackage twice\n",
		"skip/a_test.go":  "package skip\n\nfunc f(t T) {\n\tt.Skip()\n\tt.SkipNow()\n}\n",
		"x/testdata/a.go": "not Go at all",
	})
	got := strings.Join(tree.Check(), "\n")
	want := strings.Join([]string{
		"bare: no package comment",
		"brief/a.go: the package comment has fewer than two sentences",
		"skip/a_test.go:4: skips without a reason",
		"skip/a_test.go:5: skips without a reason",
		"twice: package comments in twice/a.go and twice/b.go",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSizes(t *testing.T) {
	tree := write(t, map[string]string{
		"p/a.go":      "package p\n\nfunc short() {}\n\nfunc long() {\n\n\n}\n",
		"p/b.go":      "package p\n",
		"p/a_test.go": "package p\n\n\n\n\n\n\n\n\n\n\n\n\n",
	})
	functions, files, packages := tree.Sizes()
	if len(functions) != 2 || functions[0] != (Size{4, "p/a.go: long"}) {
		t.Errorf("functions %v", functions)
	}
	if len(files) != 2 || files[0].Name != "p/a.go" {
		t.Errorf("files %v", files)
	}
	if len(packages) != 1 || packages[0].Lines != files[0].Lines+files[1].Lines {
		t.Errorf("packages %v", packages)
	}
}

// TestDependenciesAreExplained holds docs/dependencies.md against go.mod.
func TestDependenciesAreExplained(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mod), "\n") {
		words := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(words) < 2 || !strings.Contains(words[0], ".") || strings.Contains(line, "// indirect") {
			continue
		}
		if !strings.Contains(string(doc), "| "+words[0]+" |") {
			t.Errorf("docs/dependencies.md has no line for %s", words[0])
		}
	}
}
