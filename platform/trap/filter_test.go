package trap

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/platformtest"
)

// confined tells this test binary to install the Sentry's filter.
const confined = "BULKHEAD_TEST_CONFINED"

// TestHostCallsSuffice runs the suite in a process whose filter kills it for
// any call that HostCalls does not list. What the tests themselves and the
// making of platforms need is added.
func TestHostCallsSuffice(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes host calls of its own")
	}
	if os.Getenv(confined) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self, "-test.run=^TestHostCallsSuffice$", "-test.v", "-test.short")
		cmd.Env = append(os.Environ(), confined+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	// Platforms are made before the filter is there; stubs would inherit it.
	var ready []*Platform
	for range platformtest.Count() {
		ready = append(ready, newPlatform(t))
	}
	filter := seccomp.Filter{
		Rules:   append(append(seccomp.GoRuntime(), HostCalls()...), testCalls()...),
		Default: seccomp.KillProcess,
		Foreign: seccomp.KillProcess,
	}
	if err := filter.Install(); err != nil {
		t.Fatal(err)
	}
	platformtest.Run(t, func() (platform.Platform, error) {
		p := ready[0]
		ready = ready[1:]
		return p, nil
	})
}

// testCalls are what the suite does itself: files, output, time.
func testCalls() []seccomp.Rule {
	listed := map[sysno.ID]bool{}
	for _, r := range append(seccomp.GoRuntime(), HostCalls()...) {
		listed[r.Call] = len(r.Checks) == 0
	}
	var rules []seccomp.Rule
	for _, id := range []sysno.ID{
		sysno.Write, sysno.Read, sysno.Close, sysno.MemfdCreate, sysno.Openat, sysno.Pwrite64, sysno.Pread64,
		sysno.Fstat, sysno.Newfstatat, sysno.Unlinkat, sysno.Mkdirat, sysno.Fcntl, sysno.Getdents64, sysno.Fchmod, sysno.Getrandom,
		sysno.Lseek, sysno.Umask,
	} {
		if listed[id] {
			continue
		}
		rules = append(rules, seccomp.Rule{Call: id, Action: seccomp.Allow, Reason: "the test"})
	}
	return rules
}

func TestStubCallsAreFewAndReasoned(t *testing.T) {
	filter := seccomp.Filter{Rules: StubCalls(), Default: seccomp.KillProcess, Foreign: seccomp.KillProcess}
	if _, err := filter.Build(); err != nil {
		t.Fatal(err)
	}
	allowed := map[sysno.ID]bool{}
	for _, r := range StubCalls() {
		if r.Reason == "" {
			t.Errorf("call %v has no reason", r.Call)
		}
		if r.Action == seccomp.Allow || r.Action == seccomp.Notify {
			allowed[r.Call] = true
		}
	}
	if len(allowed) > 12 {
		t.Errorf("a stub may make %d calls, more than the 12 that the design promises", len(allowed))
	}
	check := func(call sysno.ID, want seccomp.Action, args ...uint64) {
		t.Helper()
		nr, _ := call.Number(sysno.AMD64)
		d := linux.SeccompData{Nr: int32(nr), Arch: linux.AUDIT_ARCH_X86_64}
		copy(d.Args[:], args)
		if got := filter.Evaluate(&d); got != want {
			t.Errorf("%v(%#x): %#x, want %#x", call, args, got, want)
		}
	}
	check(sysno.Clone, seccomp.Notify, cloneProcess)
	check(sysno.Clone, seccomp.Notify, cloneThread)
	for _, flags := range []uint64{
		0, linux.CLONE_NEWUSER, linux.CLONE_VM, cloneProcess | linux.CLONE_NEWPID, 1<<32 | cloneProcess,
		cloneThread | cloneProcess, cloneThread | unix.CLONE_UNTRACED, cloneProcess | uint64(linux.SIGCHLD), 1<<32 | cloneThread,
	} {
		check(sysno.Clone, seccomp.KillProcess, flags)
	}

	// A futex elsewhere could be one that guests share, and other operations
	// reach further than one word.
	const wait, wake, requeue, lockPI = 0, 1, 3, 6
	check(sysno.Futex, seccomp.Allow, areaStart, wait)
	check(sysno.Futex, seccomp.Allow, areaStart+areaWindow-areaSize, wake)
	for _, addr := range []uint64{0, codeAt, maxAddr - 4, areaStart - 4} {
		check(sysno.Futex, seccomp.KillProcess, addr, wait)
		check(sysno.Futex, seccomp.KillProcess, addr, wake)
	}
	for _, op := range []uint64{requeue, lockPI, 1 << 32, 128} {
		check(sysno.Futex, seccomp.KillProcess, areaStart, op)
	}

	check(sysno.Close, seccomp.Allow, 0)
	check(sysno.Close, seccomp.KillProcess, 1)
	check(sysno.Prctl, seccomp.Allow, linux.PR_SET_PDEATHSIG, uint64(linux.SIGKILL))
	check(sysno.Prctl, seccomp.KillProcess, linux.PR_SET_PDEATHSIG, 0)
	check(sysno.Prctl, seccomp.KillProcess, unix.PR_SET_DUMPABLE, 0)
	check(sysno.Setpgid, seccomp.KillProcess, 0, 0)
	check(sysno.Kill, seccomp.KillProcess, 1, 9)
	check(sysno.Execve, seccomp.KillProcess)
}
