package cpuid

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestReadMatchesTheHost(t *testing.T) {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip("needs /proc/cpuinfo: ", err)
	}
	host := map[string]string{}
	for _, line := range strings.Split(string(raw), "\n") {
		key, value, _ := strings.Cut(line, ":")
		if key = strings.TrimSpace(key); host[key] == "" {
			host[key] = strings.TrimSpace(value)
		}
	}
	i := Read()
	if i.Vendor != host["vendor_id"] || i.Model != host["model name"] {
		t.Errorf("%q %q, the host says %q %q", i.Vendor, i.Model, host["vendor_id"], host["model name"])
	}
	for _, f := range []string{"sse2", "lm", "syscall", "fxsr", "nx"} {
		if !slices.Contains(i.Flags, f) {
			t.Errorf("no flag %s in %v", f, i.Flags)
		}
	}
	known := strings.Fields(host["flags"])
	var extra []string
	for _, f := range i.Flags {
		if !slices.Contains(known, f) {
			extra = append(extra, f)
		}
	}
	// The host may hide a few that the processor has, not many.
	if len(extra) > 8 {
		t.Errorf("flags that the host does not know: %v", extra)
	}
	t.Logf("extra: %v", extra)
}

func TestSignature(t *testing.T) {
	for a, want := range map[uint32][3]uint32{0x000a0671: {6, 167, 1}, 0x00a20f12: {25, 33, 2}, 0x00000f4a: {15, 4, 10}} {
		var i Info
		i.signature(a)
		if got := [3]uint32{i.Family, i.Number, i.Stepping}; got != want {
			t.Errorf("%#x: %v, want %v", a, got, want)
		}
	}
}
