package script_test

import (
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
)

const (
	nrGetpid    = 39
	nrFork      = 57
	nrExit      = 60
	nrSigreturn = 15
)

func start(t *testing.T, p *script.Platform, prog script.Program) (platform.AddressSpace, platform.Thread, *platform.Registers) {
	t.Helper()
	as, th, err := p.NewAddressSpace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { th.Close(); as.Close() })
	regs := &platform.Registers{}
	regs.SetPC(p.Code(prog))
	return as, th, regs
}

func wantSyscall(t *testing.T, th platform.Thread, regs *platform.Registers, nr uint64) {
	t.Helper()
	if ev := th.Switch(regs); ev.Kind != platform.Syscall || regs.SyscallNumber() != nr {
		t.Fatalf("Switch = %+v, call %d; want call %d", ev, regs.SyscallNumber(), nr)
	}
}

func TestSyscallResultAndRestart(t *testing.T) {
	p := script.New()
	_, th, regs := start(t, p, func(g *script.Guest) {
		g.Syscall(nrExit, g.Syscall(nrGetpid, 1, 2, 3, 4, 5, 6))
	})
	wantSyscall(t, th, regs, nrGetpid)
	if got := regs.SyscallArgs(); got != [6]uint64{1, 2, 3, 4, 5, 6} {
		t.Errorf("arguments %v", got)
	}
	regs.RestartSyscall(nrGetpid)
	wantSyscall(t, th, regs, nrGetpid)
	regs.SetReturn(77)
	wantSyscall(t, th, regs, nrExit)
	if regs.Rdi != 77 {
		t.Errorf("the program saw %d", regs.Rdi)
	}
}

func TestForkCopiesMemoryAndRunsTheChild(t *testing.T) {
	p := script.New()
	const addr = 0x20000
	as, th, regs := start(t, p, func(g *script.Guest) {
		g.Store32(addr, 1)
		g.SyscallChild(func(g *script.Guest) {
			g.Store32(addr, 2)
			g.Syscall(nrExit, uint64(g.Load32(addr)), g.Regs().Rax)
		}, nrFork)
		g.Syscall(nrExit, uint64(g.Load32(addr)))
	})
	m := platform.Mapping{Addr: addr, Length: 4096, Prot: linux.PROT_READ | linux.PROT_WRITE, Flags: linux.MAP_PRIVATE, FD: -1}
	if err := as.Map(th, m); err != nil {
		t.Fatal(err)
	}
	wantSyscall(t, th, regs, nrFork)
	cas, cth, err := as.Fork(th)
	if err != nil {
		t.Fatal(err)
	}
	defer cas.Close()
	defer cth.Close()
	cregs := *regs
	cregs.SetReturn(0)
	wantSyscall(t, cth, &cregs, nrExit)
	if cregs.Rdi != 2 || cregs.Rsi != 0 {
		t.Errorf("child saw %d, result %d", cregs.Rdi, cregs.Rsi)
	}
	wantSyscall(t, th, regs, nrExit)
	if regs.Rdi != 1 {
		t.Errorf("parent saw %d", regs.Rdi)
	}
}

func TestHandlerNestsAndReturns(t *testing.T) {
	p := script.New()
	_, th, regs := start(t, p, func(g *script.Guest) {
		g.Spin()
		g.Syscall(nrExit, 5)
	})
	handler := p.Code(func(g *script.Guest) { g.Syscall(nrSigreturn) })
	th.Interrupt()
	if ev := th.Switch(regs); ev.Kind != platform.Interrupted {
		t.Fatal(ev)
	}
	go th.Interrupt()
	if ev := th.Switch(regs); ev.Kind != platform.Interrupted {
		t.Fatal(ev)
	}
	saved := *regs
	regs.SetPC(handler)
	wantSyscall(t, th, regs, nrSigreturn)
	*regs = saved
	wantSyscall(t, th, regs, nrExit)
}

func TestFaults(t *testing.T) {
	p := script.New()
	const addr = 0x20000
	as, th, regs := start(t, p, func(g *script.Guest) {
		g.Store32(addr, 9)
		g.Syscall(nrExit, uint64(g.Load32(addr)))
	})
	ev := th.Switch(regs)
	if ev.Kind != platform.Fault || ev.Signal != linux.SIGSEGV || ev.Code != 1 || ev.Addr != addr || ev.ErrCode&2 == 0 {
		t.Fatalf("event %+v", ev)
	}
	m := platform.Mapping{Addr: addr, Length: 4096, Prot: linux.PROT_READ, Flags: linux.MAP_PRIVATE, FD: -1}
	if err := as.Map(th, m); err != nil {
		t.Fatal(err)
	}
	if ev := th.Switch(regs); ev.Kind != platform.Fault || ev.Code != 2 {
		t.Fatalf("event %+v", ev)
	}
	if _, err := as.WriteAt([]byte{1}, addr); err != errno.EFAULT {
		t.Errorf("WriteAt = %v", err)
	}
	if err := as.Protect(th, addr, 4096, linux.PROT_READ|linux.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	wantSyscall(t, th, regs, nrExit)
	if regs.Rdi != 9 {
		t.Errorf("loaded %d", regs.Rdi)
	}
}

func TestKilledWhileSpinning(t *testing.T) {
	p := script.New()
	as, th, regs := start(t, p, func(g *script.Guest) { g.Spin() })
	go script.Kill(as)
	if ev := th.Switch(regs); ev.Kind != platform.Killed {
		t.Fatal(ev)
	}
	if err := as.Unmap(th, 0x20000, 4096); err == nil {
		t.Error("Unmap in a dead address space")
	}
}
