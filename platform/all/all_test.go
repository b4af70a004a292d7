package all

import (
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Platforms() {
		if seen[e.Name] {
			t.Errorf("%s is listed twice", e.Name)
		}
		seen[e.Name] = true
		if got, err := Lookup(e.Name); err != nil || got.Name != e.Name {
			t.Errorf("Lookup(%q) = %q, %v", e.Name, got.Name, err)
		}
		for _, r := range e.HostCalls() {
			if r.Reason == "" {
				t.Errorf("%s: %v has no reason", e.Name, r.Call)
			}
		}
	}
	if Default().Name != Platforms()[0].Name {
		t.Error("the default is not the first")
	}
	if _, err := Lookup(Default().Name + ":none"); err == nil {
		t.Error("an unknown option was taken")
	}
	if _, err := Lookup("none"); err == nil || !strings.Contains(err.Error(), Default().Name) {
		t.Errorf("an unknown name: %v", err)
	}
}

// TestNamesMatch makes each platform, where the host allows it.
func TestNamesMatch(t *testing.T) {
	for _, e := range Platforms() {
		p, err := e.Make()
		if err != nil {
			t.Skipf("%s: %v", e.Name, err)
		}
		if p.Name() != e.Name {
			t.Errorf("%s calls itself %s", e.Name, p.Name())
		}
		p.Close()
	}
}
