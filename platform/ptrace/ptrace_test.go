package ptrace

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

func newPlatform(tb testing.TB) *Platform {
	tb.Helper()
	p, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

const codeAt = 0x400000

// startCode maps a page with machine code and one behind it for data.
func startCode(tb testing.TB, p *Platform, code []byte) (platform.AddressSpace, platform.Thread, *platform.Registers) {
	tb.Helper()
	as, th, err := p.NewAddressSpace()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { th.Close(); as.Close() })
	m := platform.Mapping{Addr: codeAt, Length: 0x2000, Prot: 7, Flags: unix.MAP_PRIVATE, FD: -1}
	if err := as.Map(th, m); err != nil {
		tb.Fatal(err)
	}
	if _, err := as.WriteAt(code, codeAt); err != nil {
		tb.Fatal(err)
	}
	return as, th, &platform.Registers{Rip: codeAt, Rsp: codeAt + 0x2000}
}

// mov $39,%eax; syscall; jmp back
var getpidLoop = []byte{0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}

func TestGetpidLoop(t *testing.T) {
	p := newPlatform(t)
	_, th, regs := startCode(t, p, getpidLoop)
	for i := range 100 {
		ev := th.Switch(regs)
		if ev.Kind != platform.Syscall || regs.SyscallNumber() != 39 {
			t.Fatalf("%d: %+v %+v", i, ev, regs)
		}
		regs.SetReturn(uint64(i))
	}
}

func BenchmarkGetpid(b *testing.B) {
	p := newPlatform(b)
	_, th, regs := startCode(b, p, getpidLoop)
	for b.Loop() {
		if ev := th.Switch(regs); ev.Kind != platform.Syscall {
			b.Fatal(ev)
		}
		regs.SetReturn(7)
	}
}

func BenchmarkMapUnmap(b *testing.B) {
	p := newPlatform(b)
	as, th, regs := startCode(b, p, getpidLoop)
	th.Switch(regs)
	m := platform.Mapping{Addr: 0x10000000, Length: 0x2000, Prot: 3, Flags: unix.MAP_PRIVATE, FD: -1}
	for b.Loop() {
		if err := as.Map(th, m); err != nil {
			b.Fatal(err)
		}
		if err := as.Unmap(th, m.Addr, m.Length); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForkSwitchClose(b *testing.B) {
	p := newPlatform(b)
	as, th, regs := startCode(b, p, getpidLoop)
	th.Switch(regs)
	for b.Loop() {
		child, cth, err := as.Fork(th)
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan platform.Event)
		go func() {
			r := *regs
			ev := cth.Switch(&r)
			cth.Close()
			child.Close()
			done <- ev
		}()
		if ev := <-done; ev.Kind != platform.Syscall {
			b.Fatal(ev)
		}
	}
}

func BenchmarkThread(b *testing.B) {
	p := newPlatform(b)
	as, th, regs := startCode(b, p, getpidLoop)
	th.Switch(regs)
	for b.Loop() {
		cth, err := as.NewThread(th)
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan platform.Event)
		go func() {
			r := *regs
			ev := cth.Switch(&r)
			cth.Close()
			done <- ev
		}()
		if ev := <-done; ev.Kind != platform.Syscall {
			b.Fatal(ev)
		}
	}
}

func BenchmarkExec(b *testing.B) {
	p := newPlatform(b)
	for b.Loop() {
		as, th, err := p.NewAddressSpace()
		if err != nil {
			b.Fatal(err)
		}
		th.Close()
		as.Close()
	}
}

func TestKilledProcessWithAThreadInTheSentry(t *testing.T) {
	p := newPlatform(t)
	as, th, regs := startCode(t, p, []byte{0xeb, 0xfe}) // jmp .
	other, err := as.NewThread(th)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan platform.Event)
	go func() {
		defer other.Close()
		done <- other.Switch(regs)
	}()
	time.Sleep(20 * time.Millisecond)
	unix.Kill(as.(*space).pid, unix.SIGKILL)
	if ev := <-done; ev.Kind != platform.Killed {
		t.Error(ev)
	}
	if ev := th.Switch(regs); ev.Kind != platform.Killed {
		t.Error(ev)
	}
}

func BenchmarkMapFile(b *testing.B) {
	p := newPlatform(b)
	as, th, regs := startCode(b, p, getpidLoop)
	th.Switch(regs)
	fd, err := unix.MemfdCreate("bench", 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	unix.Ftruncate(fd, 0x2000)
	m := platform.Mapping{Addr: 0x10000000, Length: 0x2000, Prot: 1, Flags: unix.MAP_PRIVATE, FD: fd}
	for b.Loop() {
		if err := as.Map(th, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewPlatform(b *testing.B) {
	for b.Loop() {
		newPlatformOnce(b)
	}
}

func newPlatformOnce(b *testing.B) {
	p, err := New()
	if err != nil {
		b.Fatal(err)
	}
	p.Close()
}

func BenchmarkRead64(b *testing.B) {
	p := newPlatform(b)
	as, _, _ := startCode(b, p, getpidLoop)
	buf := make([]byte, 64)
	for b.Loop() {
		if _, err := as.ReadAt(buf, codeAt); err != nil {
			b.Fatal(err)
		}
	}
}

// TestManyThreadsGrowTheRoom makes more threads than this process has from the
// start, and ends them again.
func TestManyThreadsGrowTheRoom(t *testing.T) {
	p := newPlatform(t)
	as, th, regs := startCode(t, p, getpidLoop)
	const count = 3*batch + 5
	threads := make(chan platform.Thread, count)
	for range count {
		next, err := as.NewThread(th)
		if err != nil {
			t.Fatal(err)
		}
		threads <- next
	}
	if used := p.room.used; used != count+1 || p.room.covered < used {
		t.Errorf("room for %d of %d", p.room.covered, used)
	}
	covered := p.room.covered
	var all sync.WaitGroup
	for range count {
		all.Add(1)
		go func() {
			defer all.Done()
			next, r := <-threads, *regs
			defer next.Close()
			if ev := next.Switch(&r); ev.Kind != platform.Syscall {
				t.Error(ev)
			}
		}()
	}
	all.Wait()
	if used := p.room.used; used != 1 || p.room.covered != covered {
		t.Errorf("after the end %d used, %d covered", used, p.room.covered)
	}
	p.room.most = 1
	if _, err := as.NewThread(th); err != errno.EAGAIN {
		t.Errorf("beyond the limit: %v", err)
	}
	next, nth, err := p.NewAddressSpace()
	if err != nil {
		t.Fatalf("execve at the limit: %v", err)
	}
	nth.Close()
	next.Close()
}
