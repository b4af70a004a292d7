package syscalls_test

import (
	"encoding/binary"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
)

// installFilter puts a program below the stack pointer and gives it to
// seccomp(2).
func installFilter(g *script.Guest, flags uint64, code ...linux.SockFilter) uint64 {
	at := uintptr(g.Regs().Rsp) - 1024
	g.Store64(at, uint64(len(code)))
	g.Store64(at+8, uint64(at)+16)
	for i, in := range code {
		var b [8]byte
		binary.LittleEndian.PutUint16(b[:], in.Code)
		b[2], b[3] = in.JT, in.JF
		binary.LittleEndian.PutUint32(b[4:], in.K)
		g.Store(b[:], at+16+uintptr(8*i))
	}
	return g.Syscall(nr(sysno.Seccomp), linux.SECCOMP_SET_MODE_FILTER, flags, uint64(at))
}

// deny makes one call end with an action.
func deny(id sysno.ID, action uint32) []linux.SockFilter {
	return []linux.SockFilter{
		{Code: linux.BPF_LD | linux.BPF_W | linux.BPF_ABS},
		{Code: linux.BPF_JMP | linux.BPF_JEQ | linux.BPF_K, JF: 1, K: uint32(nr(id))},
		{Code: linux.BPF_RET, K: action},
		{Code: linux.BPF_RET, K: linux.SECCOMP_RET_ALLOW},
	}
}

func TestSeccompFilterBindsChildrenToo(t *testing.T) {
	st := run(t, script.New(), func(g *script.Guest) {
		if installFilter(g, 0, deny(sysno.Getuid, linux.SECCOMP_RET_ERRNO|77)...) != 0 {
			exit(g, 1)
		}
		child := fork(g, func(g *script.Guest) {
			if g.Syscall(nr(sysno.Getuid)) != failed(errno.Errno(77)) {
				exit(g, 9)
			}
			exit(g, 0)
		})
		if _, st := wait4(g, int64(child), 0); st != 0 {
			exit(g, 2)
		}
		if g.Syscall(nr(sysno.Prctl), linux.PR_GET_SECCOMP) != linux.SECCOMP_MODE_FILTER {
			exit(g, 3)
		}
	})
	if st != 0 {
		t.Fatalf("status %#x, want 0", st)
	}
}

func TestSeccompKillsInitAndItsStatusSaysSo(t *testing.T) {
	st := run(t, script.New(), func(g *script.Guest) {
		installFilter(g, 0, deny(sysno.Getuid, linux.SECCOMP_RET_KILL_PROCESS)...)
		g.Syscall(nr(sysno.Getuid))
	})
	if !st.Signaled() || st.TermSignal() != linux.SIGSYS {
		t.Fatalf("status %#x, want killed by SIGSYS", st)
	}
}

func TestSeccompStrictLeavesFourCalls(t *testing.T) {
	st := run(t, script.New(), func(g *script.Guest) {
		child := fork(g, func(g *script.Guest) {
			g.Syscall(nr(sysno.Prctl), linux.PR_SET_SECCOMP, linux.SECCOMP_MODE_STRICT)
			g.Syscall(nr(sysno.Read), 99)
			g.Syscall(nr(sysno.Exit), 6)
		})
		if _, st := wait4(g, int64(child), 0); st.ExitCode() != 6 {
			exit(g, 1)
		}
		child = fork(g, func(g *script.Guest) {
			g.Syscall(nr(sysno.Prctl), linux.PR_SET_SECCOMP, linux.SECCOMP_MODE_STRICT)
			g.Syscall(nr(sysno.ExitGroup), 6)
		})
		if _, st := wait4(g, int64(child), 0); st.TermSignal() != linux.SIGKILL {
			exit(g, 2)
		}
	})
	if st != 0 {
		t.Fatalf("status %#x, want 0", st)
	}
}

// Threads change their credentials and make threads while another one gives
// all of them its filter and no_new_privs: none may lose either.
func TestSeccompSyncReachesBusyThreads(t *testing.T) {
	const flags = linux.CLONE_VM | linux.CLONE_FS | linux.CLONE_FILES | linux.CLONE_SIGHAND | linux.CLONE_THREAD
	st := run(t, script.New(), func(g *script.Guest) {
		bound := func(g *script.Guest) bool { return g.Syscall(nr(sysno.Getuid)) == failed(errno.Errno(77)) }
		check := func(g *script.Guest) {
			for !bound(g) {
				g.Syscall(nr(sysno.Prctl), linux.PR_SET_KEEPCAPS, 1)
				g.Syscall(nr(sysno.Prctl), linux.PR_SET_KEEPCAPS, 0)
			}
			if g.Syscall(nr(sysno.Prctl), linux.PR_GET_NO_NEW_PRIVS) != 1 {
				exit(g, 9)
			}
			g.Syscall(nr(sysno.Exit), 0)
		}
		for range 3 {
			g.SyscallChild(func(g *script.Guest) {
				for range 5 {
					g.SyscallChild(check, nr(sysno.Clone), flags, g.Regs().Rsp)
				}
				check(g)
			}, nr(sysno.Clone), flags, g.Regs().Rsp)
		}
		g.Syscall(nr(sysno.Prctl), linux.PR_SET_NO_NEW_PRIVS, 1)
		if installFilter(g, linux.SECCOMP_FILTER_FLAG_TSYNC, deny(sysno.Getuid, linux.SECCOMP_RET_ERRNO|77)...) != 0 {
			exit(g, 1)
		}
		g.Syscall(nr(sysno.Exit), 0) // the process ends when the others have
	})
	if st != 0 {
		t.Fatalf("status %#x, want 0", st)
	}
}
