package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A dynamically linked runsc could not drop its capabilities on all threads, and
// these packages link the C library when there is a C compiler.
func TestNoPackageBringsTheCLibrary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	for _, p := range []string{"net", "os/user", "runtime/cgo", "plugin"} {
		if slices.Contains(deps, p) {
			t.Errorf("runsc depends on package %s", p)
		}
	}
}
