package trap

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/platform"
)

const benchCode = 0x400000

// benchGuest starts a guest that runs code, mapped from a file as a program's
// text is.
func benchGuest(tb testing.TB, machine ...byte) (*thread, *platform.Registers) {
	tb.Helper()
	p, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	fd, err := unix.MemfdCreate("text", unix.MFD_CLOEXEC)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, pageSize); err != nil {
		tb.Fatal(err)
	}
	if _, err := unix.Pwrite(fd, machine, 64); err != nil {
		tb.Fatal(err)
	}
	as, th, err := p.NewAddressSpace()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { as.Close(); th.Close() })
	m := platform.Mapping{Addr: benchCode, Length: pageSize, Prot: unix.PROT_READ | unix.PROT_EXEC, Flags: unix.MAP_PRIVATE, FD: fd}
	if err := as.Map(th, m); err != nil {
		tb.Fatal(err)
	}
	regs := new(platform.Registers)
	regs.PrepareExec()
	regs.SetPC(benchCode + 64)
	return th.(*thread), regs
}

// callLoop makes the call in eax for ever, from a site of the given form.
var (
	cmpLoop   = []byte{0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0xeb, 0xf6}
	movLoop   = []byte{0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}
	plainLoop = []byte{0x0f, 0x05, 0xeb, 0xfc}
)

func benchCalls(b *testing.B, machine []byte) {
	t, regs := benchGuest(b, machine...)
	regs.Rax = 39
	for range 10 {
		if ev := t.Switch(regs); ev.Kind != platform.Syscall {
			b.Fatalf("%+v at %#x", ev, regs.Rip)
		}
		regs.SetReturn(39)
	}
	b.ResetTimer()
	for range b.N {
		if ev := t.Switch(regs); ev.Kind != platform.Syscall {
			b.Fatalf("%+v at %#x", ev, regs.Rip)
		}
		regs.SetReturn(39)
	}
}

func BenchmarkCallPatchedMov(b *testing.B) { benchCalls(b, movLoop) }
func BenchmarkCallPatchedCmp(b *testing.B) { benchCalls(b, cmpLoop) }
func BenchmarkCallSignal(b *testing.B)     { benchCalls(b, plainLoop) }

// BenchmarkFork forks, runs the child to its first call and ends it.
func BenchmarkFork(b *testing.B) {
	t, regs := benchGuest(b, plainLoop...)
	t.Switch(regs)
	for b.Loop() {
		as, child, err := t.as.Fork(t)
		if err != nil {
			b.Fatal(err)
		}
		r := *regs
		if ev := child.Switch(&r); ev.Kind != platform.Syscall {
			b.Fatalf("%+v", ev)
		}
		child.Close()
		as.Close()
	}
}

func BenchmarkThread(b *testing.B) {
	t, regs := benchGuest(b, plainLoop...)
	t.Switch(regs)
	for b.Loop() {
		child, err := t.as.NewThread(t)
		if err != nil {
			b.Fatal(err)
		}
		r := *regs
		if ev := child.Switch(&r); ev.Kind != platform.Syscall {
			b.Fatalf("%+v", ev)
		}
		child.Close()
	}
}

func BenchmarkMapAnonymous(b *testing.B) {
	t, regs := benchGuest(b, plainLoop...)
	t.Switch(regs)
	m := platform.Mapping{Addr: 0x10000000, Length: pageSize, Prot: unix.PROT_READ, Flags: unix.MAP_PRIVATE, FD: -1}
	for b.Loop() {
		if err := t.as.Map(t, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMapFile(b *testing.B) {
	t, regs := benchGuest(b, plainLoop...)
	t.Switch(regs)
	fd, err := unix.MemfdCreate("file", unix.MFD_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	m := platform.Mapping{Addr: 0x10000000, Length: pageSize, Prot: unix.PROT_READ, Flags: unix.MAP_PRIVATE, FD: fd}
	for b.Loop() {
		if err := t.as.Map(t, m); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkExec makes an empty address space, as execve does.
func BenchmarkExec(b *testing.B) {
	t, _ := benchGuest(b, plainLoop...)
	for b.Loop() {
		as, th, err := t.as.p.NewAddressSpace()
		if err != nil {
			b.Fatal(err)
		}
		th.Close()
		as.Close()
	}
}

// BenchmarkState saves and loads the floating point state around a call, as the
// way to a signal handler and back does.
func BenchmarkState(b *testing.B) {
	t, regs := benchGuest(b, plainLoop...)
	t.Switch(regs)
	for b.Loop() {
		state, err := t.FPState()
		if err != nil {
			b.Fatal(err)
		}
		if err := t.SetFPState(state); err != nil {
			b.Fatal(err)
		}
		if ev := t.Switch(regs); ev.Kind != platform.Syscall {
			b.Fatalf("%+v", ev)
		}
	}
}
