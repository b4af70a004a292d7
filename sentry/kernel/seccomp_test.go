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
		old := &Seccomp{program: returning(t, c.oldest)}
		s := &Seccomp{program: returning(t, c.newest), older: old}
		if action, data := s.verdict(&linux.SeccompData{}); action != c.action || data != c.data {
			t.Errorf("%#x then %#x: %#x %d, want %#x %d", c.oldest, c.newest, action, data, c.action, c.data)
		}
	}
}

func TestLeadsTo(t *testing.T) {
	a := &Seccomp{}
	b := &Seccomp{older: a}
	other := &Seccomp{older: a}
	if !(*Seccomp)(nil).leadsTo(nil) || !a.leadsTo(b) || !b.leadsTo(b) || other.leadsTo(b) || a.leadsTo(nil) {
		t.Error("leadsTo is wrong")
	}
}
