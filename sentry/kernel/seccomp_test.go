package kernel

import (
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/bpf"
)

func returning(t *testing.T, v uint32) bpf.Program {
	t.Helper()
	p, err := bpf.New([]linux.SockFilter{{Code: linux.BPF_RET | linux.BPF_K, K: v}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheMostSevereActionWins(t *testing.T) {
	for _, c := range []struct {
		oldest, newest uint32
		action, data   uint32
	}{
		{linux.SECCOMP_RET_ALLOW, linux.SECCOMP_RET_ALLOW, linux.SECCOMP_RET_ALLOW, 0},
		{linux.SECCOMP_RET_ERRNO | 5, linux.SECCOMP_RET_ERRNO | 6, linux.SECCOMP_RET_ERRNO, 6},
		{linux.SECCOMP_RET_ERRNO | 5, linux.SECCOMP_RET_ALLOW, linux.SECCOMP_RET_ERRNO, 5},
		{linux.SECCOMP_RET_KILL_PROCESS, linux.SECCOMP_RET_KILL_THREAD, linux.SECCOMP_RET_KILL_PROCESS, 0},
		{linux.SECCOMP_RET_LOG, linux.SECCOMP_RET_TRAP | 3, linux.SECCOMP_RET_TRAP, 3},
		{linux.SECCOMP_RET_TRAP | 3, linux.SECCOMP_RET_TRACE, linux.SECCOMP_RET_TRAP, 3},
	} {
		old := &seccompMode{program: returning(t, c.oldest)}
		m := &seccompMode{program: returning(t, c.newest), older: old}
		if v := m.run(&linux.SeccompData{}); v != c.action|c.data {
			t.Errorf("%#x then %#x: %#x, want %#x", c.oldest, c.newest, v, c.action|c.data)
		}
	}
}

func TestIncludesOlderFilters(t *testing.T) {
	a := &seccompMode{}
	b := &seccompMode{older: a}
	other := &seccompMode{older: a}
	var none *seccompMode
	if !none.includes(nil) || !b.includes(nil) || !b.includes(a) || !b.includes(b) || b.includes(other) || none.includes(a) {
		t.Error("includes is wrong")
	}
}
