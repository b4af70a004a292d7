package syscalls_test

import (
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
)

// scratch is memory below the stack that a program may use.
func scratch(g *script.Guest) uintptr { return uintptr(g.Regs().Rsp) - 4096 }

// check ends the program with a status that tells which check failed.
func check(g *script.Guest, which uint64, got, want uint64) {
	if got != want {
		exit(g, which)
	}
}

func passes(t *testing.T, prog script.Program) {
	t.Helper()
	if st := run(t, script.New(), prog); st != 0 {
		t.Fatalf("status %#x, want 0: check %d failed", st, st.ExitCode())
	}
}

// pair makes two descriptors with a call that stores them.
func pair(g *script.Guest, at uintptr, call sysno.ID, args ...uint64) (uint64, uint64) {
	check(g, 250, g.Syscall(nr(call), args...), 0)
	return uint64(g.Load32(at)), uint64(g.Load32(at + 4))
}

func TestPipeBetweenProcesses(t *testing.T) {
	passes(t, func(g *script.Guest) {
		at := scratch(g)
		r, w := pair(g, at, sysno.Pipe2, uint64(at), 0)
		back, answer := pair(g, at, sysno.Pipe2, uint64(at), 0)
		fork(g, func(g *script.Guest) {
			at := scratch(g)
			for range 200 {
				check(g, 1, g.Syscall(nr(sysno.Read), r, uint64(at), 4), 4)
				g.Store32(at, g.Load32(at)+1)
				check(g, 2, g.Syscall(nr(sysno.Write), answer, uint64(at), 4), 4)
			}
			exit(g, 0)
		})
		for i := range uint32(200) {
			g.Store32(at, i)
			check(g, 3, g.Syscall(nr(sysno.Write), w, uint64(at), 4), 4)
			check(g, 4, g.Syscall(nr(sysno.Read), back, uint64(at), 4), 4)
			check(g, 5, uint64(g.Load32(at)), uint64(i+1))
		}
		_, st := wait4(g, -1, 0)
		check(g, 6, uint64(st), 0)
		g.Syscall(nr(sysno.Close), answer)
		check(g, 7, g.Syscall(nr(sysno.Read), back, uint64(at), 4), 0)
	})
}

func TestPipe2StoresBeforeItInstalls(t *testing.T) {
	passes(t, func(g *script.Guest) {
		check(g, 1, g.Syscall(nr(sysno.Pipe2), 8, 0), failed(errno.EFAULT))
		check(g, 2, g.Syscall(nr(sysno.Pipe2), uint64(scratch(g)), 1), failed(errno.EINVAL))
		// Nothing stayed open: the lowest numbers are free.
		r, w := pair(g, scratch(g), sysno.Pipe2, uint64(scratch(g)), 0)
		check(g, 3, r, 0)
		check(g, 4, w, 1)
	})
}

func TestEpollSeesASocketOfAnotherProcess(t *testing.T) {
	passes(t, func(g *script.Guest) {
		at := scratch(g)
		mine, its := pair(g, at, sysno.Socketpair, linux.AF_UNIX, linux.SOCK_SEQPACKET, 0, uint64(at))
		ep := g.Syscall(nr(sysno.EpollCreate1), 0)
		g.Store32(at, linux.EPOLLIN)
		g.Store64(at+4, 77)
		check(g, 1, g.Syscall(nr(sysno.EpollCtl), ep, linux.EPOLL_CTL_ADD, mine, uint64(at)), 0)
		check(g, 2, g.Syscall(nr(sysno.EpollWait), ep, uint64(at), 1, 0), 0)
		fork(g, func(g *script.Guest) {
			check(g, 3, g.Syscall(nr(sysno.Write), its, uint64(scratch(g)), 5), 5)
			exit(g, 0)
		})
		check(g, 4, g.Syscall(nr(sysno.EpollWait), ep, uint64(at), 1, ^uint64(0)), 1)
		check(g, 5, g.Load64(at+4), 77)
		check(g, 6, g.Syscall(nr(sysno.Read), mine, uint64(at), 64), 5)
		_, st := wait4(g, -1, 0)
		check(g, 7, uint64(st), 0)
	})
}

func TestSignalfdReadsWhatAChildSends(t *testing.T) {
	passes(t, func(g *script.Guest) {
		at := scratch(g)
		g.Store64(at, uint64(linux.SetOf(linux.SIGUSR1)))
		check(g, 1, g.Syscall(nr(sysno.RtSigprocmask), 0, uint64(at), 0, 8), 0)
		fd := g.Syscall(nr(sysno.Signalfd4), ^uint64(0), uint64(at), 8, 0)
		child := fork(g, func(g *script.Guest) {
			check(g, 2, g.Syscall(nr(sysno.Kill), 1, uint64(linux.SIGUSR1)), 0)
			exit(g, 0)
		})
		check(g, 3, g.Syscall(nr(sysno.Read), fd, uint64(at), 127), failed(errno.EINVAL))
		check(g, 4, g.Syscall(nr(sysno.Read), fd, uint64(at), 128), 128)
		check(g, 5, uint64(g.Load32(at)), uint64(linux.SIGUSR1))
		check(g, 6, uint64(g.Load32(at+12)), child)
	})
}

// TestInitOutlivesBlockedSignals: an init without a handler for a signal may read
// it while it is blocked, and is not harmed by it afterwards.
func TestInitOutlivesBlockedSignals(t *testing.T) {
	passes(t, func(g *script.Guest) {
		at := scratch(g)
		g.Store64(at, uint64(linux.SetOf(linux.SIGTERM)))
		check(g, 1, g.Syscall(nr(sysno.RtSigprocmask), 0, uint64(at), 0, 8), 0)
		fork(g, func(g *script.Guest) {
			check(g, 2, g.Syscall(nr(sysno.Kill), 1, uint64(linux.SIGTERM)), 0)
			exit(g, 0)
		})
		check(g, 3, g.Syscall(nr(sysno.RtSigtimedwait), uint64(at), 0, 0, 8), uint64(linux.SIGTERM))
		check(g, 4, g.Syscall(nr(sysno.Kill), 1, uint64(linux.SIGTERM)), 0)
		check(g, 5, g.Syscall(nr(sysno.RtSigprocmask), 1, uint64(at), 0, 8), 0)
	})
}

func TestFutexBetweenProcessesTimesOut(t *testing.T) {
	passes(t, func(g *script.Guest) {
		at := scratch(g)
		g.Store32(at, 3)
		g.Store64(at+8, 0)
		g.Store64(at+16, 5e6)
		check(g, 1, g.Syscall(nr(sysno.Futex), uint64(at), linux.FUTEX_WAIT, 3, uint64(at+8)), failed(errno.ETIMEDOUT))
		check(g, 2, g.Syscall(nr(sysno.Futex), uint64(at), linux.FUTEX_WAIT, 4, 0), failed(errno.EAGAIN))
		check(g, 3, g.Syscall(nr(sysno.Futex), uint64(at+1), linux.FUTEX_WAIT, 3, 0), failed(errno.EINVAL))
		check(g, 4, g.Syscall(nr(sysno.Futex), uint64(at), 99, 3, 0), failed(errno.ENOSYS))
	})
}
