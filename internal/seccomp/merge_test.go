package seccomp

import (
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
)

func TestMergeOfOverlappingListsBuilds(t *testing.T) {
	one := []Rule{
		{Call: sysno.Read, Action: Allow, Reason: "a"},
		{Call: sysno.Kill, Checks: []Check{Equal32(1, 9)}, Action: Allow, Reason: "b"},
	}
	two := []Rule{
		{Call: sysno.Read, Action: Allow, Reason: "c"},
		{Call: sysno.Read, Checks: []Check{Equal32(0, 9)}, Action: Allow, Reason: "d"},
		{Call: sysno.Kill, Checks: []Check{Equal32(1, 15)}, Action: Allow, Reason: "e"},
		{Call: sysno.Write, Action: Allow, Reason: "f"},
	}
	f := Filter{Rules: Merge(one, two), Default: KillProcess}
	if _, err := f.Build(); err != nil {
		t.Fatal(err)
	}
	if len(f.Rules) != 4 {
		t.Fatalf("%d rules, want 4: %+v", len(f.Rules), f.Rules)
	}
	if got := f.Rules[0].Reason; got != "a; c; d" {
		t.Errorf("reasons %q", got)
	}
	_, arch := native()
	a, _ := native()
	for _, c := range []struct {
		call sysno.ID
		arg1 uint64
		want Action
	}{
		{sysno.Read, 0, Allow}, {sysno.Write, 0, Allow},
		{sysno.Kill, 9, Allow}, {sysno.Kill, 15, Allow}, {sysno.Kill, 1, KillProcess},
	} {
		nr, _ := c.call.Number(a)
		d := linux.SeccompData{Nr: int32(nr), Arch: arch, Args: [6]uint64{1: c.arg1}}
		if got := f.Evaluate(&d); got != c.want {
			t.Errorf("%v(_, %d): %#x, want %#x", c.call, c.arg1, got, c.want)
		}
	}
}
