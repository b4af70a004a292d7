package syscalls_test

import (
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/tmpfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/syscalls"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// run runs a program as the init of a fresh kernel and returns its status. A
// program that does not end in time fails the test.
func run(t *testing.T, p *script.Platform, prog script.Program) linux.WaitStatus {
	t.Helper()
	t.Cleanup(p.Close)
	w := vfs.NewWorld()
	k := kernel.New(kernel.Options{Platform: p, World: w, Syscalls: syscalls.NewTable(sysno.AMD64)})
	u := k.RootUserNS()
	ns := w.NewNamespace(tmpfs.New(w, tmpfs.Options{}), "none", 0, u)
	g, err := k.CreateProcess(kernel.ProcessOptions{
		Entry:  p.Code(func(g *script.Guest) { prog(g); exit(g, 0) }),
		Cwd:    "/",
		Creds:  &cred.Creds{UserNS: u, Permitted: cred.AllCaps, Effective: cred.AllCaps, Bounding: cred.AllCaps},
		Limits: kernel.DefaultLimits(),
		FDs:    fdtable.New(),
		FS:     vfs.NewFSContext(ns),
		Namespaces: kernel.Namespaces{
			UTS:            k.NewUTSNamespace("test", "", u),
			IPC:            k.NewIPCNamespace(u),
			Net:            k.NewNetNamespace(u),
			PIDForChildren: k.NewPIDNamespace(k.RootPIDNS(), u),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	ended := make(chan linux.WaitStatus, 1)
	go func() { ended <- g.AwaitExit() }()
	select {
	case st := <-ended:
		k.KillAll()
		k.AwaitAll()
		return st
	case <-time.After(20 * time.Second):
		k.KillAll()
		t.Fatal("the program did not end within 20 s")
		return 0
	}
}

func nr(id sysno.ID) uint64 {
	n, ok := id.Number(sysno.AMD64)
	if !ok {
		panic("no such call")
	}
	return uint64(n)
}

func exit(g *script.Guest, code uint64) { g.Syscall(nr(sysno.ExitGroup), code) }

func fork(g *script.Guest, child script.Program) uint64 {
	return g.SyscallChild(child, nr(sysno.Fork))
}

// wait4 waits for a child and returns its pid and status.
func wait4(g *script.Guest, pid int64, options uint64) (int64, linux.WaitStatus) {
	at := uintptr(g.Regs().Rsp) - 256
	r := g.Syscall(nr(sysno.Wait4), uint64(pid), uint64(at), options, 0)
	if int64(r) < 0 {
		return int64(r), 0
	}
	return int64(r), linux.WaitStatus(g.Load32(at))
}

func failed(e errno.Errno) uint64 { return -uint64(e) }

func TestExitStatusReachesTheOutside(t *testing.T) {
	st := run(t, script.New(), func(g *script.Guest) { exit(g, 42) })
	if !st.Exited() || st.ExitCode() != 42 {
		t.Fatalf("status %#x, want exit 42", st)
	}
}

func TestForkAndWait(t *testing.T) {
	st := run(t, script.New(), func(g *script.Guest) {
		if g.Syscall(nr(sysno.Getpid)) != 1 {
			exit(g, 1)
		}
		child := fork(g, func(g *script.Guest) {
			if g.Syscall(nr(sysno.Getppid)) != 1 {
				exit(g, 9)
			}
			exit(g, 7)
		})
		pid, st := wait4(g, -1, 0)
		if uint64(pid) != child || st.ExitCode() != 7 {
			exit(g, 2)
		}
		if r, _ := wait4(g, -1, 0); uint64(r) != failed(errno.ECHILD) {
			exit(g, 3)
		}
	})
	if st != 0 {
		t.Fatalf("status %#x, want 0", st)
	}
}

func TestKilledChildAndStopAndContinue(t *testing.T) {
	st := run(t, script.New(), func(g *script.Guest) {
		child := fork(g, func(g *script.Guest) {
			for {
				g.Spin()
			}
		})
		kill := func(s linux.Signal) { g.Syscall(nr(sysno.Kill), child, uint64(s)) }
		kill(linux.SIGSTOP)
		if _, st := wait4(g, int64(child), linux.WUNTRACED); !st.Stopped() || st.StopSignal() != linux.SIGSTOP {
			exit(g, 1)
		}
		kill(linux.SIGCONT)
		if _, st := wait4(g, int64(child), linux.WCONTINUED); !st.Continued() {
			exit(g, 2)
		}
		kill(linux.SIGTERM)
		if _, st := wait4(g, int64(child), 0); !st.Signaled() || st.TermSignal() != linux.SIGTERM {
			exit(g, 3)
		}
	})
	if st != 0 {
		t.Fatalf("status %#x, want 0", st)
	}
}

func TestThreadsEndWithExitGroup(t *testing.T) {
	const flags = linux.CLONE_VM | linux.CLONE_FS | linux.CLONE_FILES | linux.CLONE_SIGHAND | linux.CLONE_THREAD
	st := run(t, script.New(), func(g *script.Guest) {
		for range 20 {
			tid := g.SyscallChild(func(g *script.Guest) {
				for {
					g.Syscall(nr(sysno.Pause))
				}
			}, nr(sysno.Clone), flags, g.Regs().Rsp)
			if int64(tid) <= 1 {
				exit(g, 1)
			}
		}
		exit(g, 5)
	})
	if st.ExitCode() != 5 {
		t.Fatalf("status %#x, want exit 5", st)
	}
}

func TestInitOfANamespaceTakesEverybodyAlong(t *testing.T) {
	st := run(t, script.New(), func(g *script.Guest) {
		for range 5 {
			fork(g, func(g *script.Guest) {
				fork(g, func(g *script.Guest) { g.Syscall(nr(sysno.Pause)) })
				g.Syscall(nr(sysno.Pause))
			})
		}
	})
	if st != 0 {
		t.Fatalf("status %#x, want 0", st)
	}
}

func TestOrphansComeToInit(t *testing.T) {
	st := run(t, script.New(), func(g *script.Guest) {
		fork(g, func(g *script.Guest) {
			fork(g, func(g *script.Guest) { exit(g, 3) })
			exit(g, 4)
		})
		seen := map[int32]bool{}
		for range 2 {
			_, st := wait4(g, -1, 0)
			seen[st.ExitCode()] = true
		}
		if !seen[3] || !seen[4] {
			exit(g, 1)
		}
	})
	if st != 0 {
		t.Fatalf("status %#x, want 0", st)
	}
}

func TestEveryCallIsDeclaredOnce(t *testing.T) {
	seen := map[sysno.ID]bool{}
	for _, c := range syscalls.Calls() {
		if seen[c.ID] {
			t.Errorf("%v is declared twice", c.ID)
		}
		seen[c.ID] = true
		if !c.Support.Implemented() && c.Support.Reason == "" {
			t.Errorf("%v is not implemented and does not say why", c.ID)
		}
	}
	for nr := range uint64(sysno.MaxNumber + 1) {
		id := sysno.Lookup(sysno.AMD64, nr)
		if id.Valid() && !seen[id] {
			t.Errorf("call %d, %v, is not declared: with its handler, or in absent.go with the reason", nr, id)
		}
	}
}
