package sysno

import (
	"strings"
	"testing"
)

// firstUnused and firstCommon bound the hole that Linux left in the amd64
// table when numbers became common to all architectures.
const firstUnused, firstCommon = 335, 424

func TestAMD64TableIsComplete(t *testing.T) {
	for nr := uint64(0); nr <= MaxNumber; nr++ {
		got := Lookup(AMD64, nr)
		if hole := nr >= firstUnused && nr < firstCommon; hole != (got == None) {
			t.Errorf("Lookup(AMD64, %d) = %v", nr, got)
		}
	}
	if got := Lookup(AMD64, MaxNumber+1); got != None {
		t.Errorf("Lookup past the end = %v", got)
	}
	if got := Lookup(AMD64, ^uint64(0)); got != None {
		t.Errorf("Lookup(max) = %v", got)
	}
}

func TestKnownNumbers(t *testing.T) {
	for _, c := range []struct {
		id           ID
		name         string
		amd64, arm64 int
	}{
		{Read, "read", 0, 63},
		{Pipe2, "pipe2", 293, 59},
		{RtSigreturn, "rt_sigreturn", 15, 139},
		{Newfstatat, "newfstatat", 262, 79},
		{Clone3, "clone3", 435, 435},
		{LsmListModules, "lsm_list_modules", 461, 461},
		{Fork, "fork", 57, -1},
	} {
		if c.id.String() != c.name {
			t.Errorf("%d: name %q, want %q", c.id, c.id, c.name)
		}
		if n, _ := c.id.Number(AMD64); n != c.amd64 {
			t.Errorf("%v: amd64 number %d, want %d", c.id, n, c.amd64)
		}
		if n, ok := c.id.Number(ARM64); n != c.arm64 || ok != (c.arm64 >= 0) {
			t.Errorf("%v: arm64 number %d %v, want %d", c.id, n, ok, c.arm64)
		}
	}
}

func TestNumbersAndNamesAreUnique(t *testing.T) {
	names := map[string]bool{}
	for id := None + 1; int(id) < Count; id++ {
		if names[id.String()] || id.String() == "" || strings.ToLower(id.String()) != id.String() {
			t.Errorf("ID %d: name %q is empty, twice declared or not lower case", id, id)
		}
		names[id.String()] = true
		if Parse(id.String()) != id {
			t.Errorf("Parse(%q) = %v", id, Parse(id.String()))
		}
		for _, a := range []Arch{AMD64, ARM64} {
			if nr, ok := id.Number(a); ok && Lookup(a, uint64(nr)) != id {
				t.Errorf("arch %d: number %d is both %v and %v", a, nr, id, Lookup(a, uint64(nr)))
			}
		}
	}
}
