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
