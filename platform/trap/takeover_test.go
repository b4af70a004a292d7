package trap

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// This file: guests that take over their own stub.

// soon fails the test if f takes long. F runs on another goroutine, which owns
// what threads it uses.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s does not end", what)
	}
}

// bystander is a guest beside a hostile one, which must not notice.
type bystander struct {
	t    *testing.T
	as   platform.AddressSpace
	th   platform.Thread
	regs *platform.Registers
}

func newBystander(t *testing.T, p *Platform) *bystander {
	as, th, regs := startCode(t, p, getpidLoop)
	return &bystander{t, as, th, regs}
}

func (b *bystander) live() {
	b.t.Helper()
	m := platform.Mapping{Addr: 0x1000_0000, Length: pageSize, Prot: 3, Flags: unix.MAP_PRIVATE, FD: -1}
	if err := b.as.Map(b.th, m); err != nil {
		b.t.Fatalf("the other guest: %v", err)
	}
	for range 20 {
		if ev := b.th.Switch(b.regs); ev.Kind != platform.Syscall || b.regs.SyscallNumber() != 39 {
			b.t.Fatalf("the other guest: %+v at %#x", ev, b.regs.Rip)
		}
		b.regs.SetReturn(1)
	}
}

// runAWhile lets a guest do what it wants and ends it then. Nothing may hang
// after that, whatever happened.
func runAWhile(t *testing.T, p *Platform, code []byte, regs platform.Registers, d time.Duration) (last platform.Event) {
	t.Helper()
	as, th, start := newCode(t, p, code)
	regs.Rip, regs.Rsp = start.Rip, start.Rsp
	timer := time.AfterFunc(d, as.Close)
	defer timer.Stop()
	soon(t, "a hostile guest", func() {
		defer th.Close()
		for range 200 {
			last = th.Switch(&regs)
			if last.Kind == platform.Killed {
				break
			}
			regs.SetReturn(39)
		}
	})
	soon(t, "closing a hostile guest", as.Close)
	return last
}

// jumpTo is code that jumps to an address; r11 is lost.
func jumpTo(addr uint64) []byte {
	b := append([]byte{0x49, 0xbb}, binary.LittleEndian.AppendUint64(nil, addr)...)
	return append(b, 0x41, 0xff, 0xe3)
}

// stubSyscalls are the system call instructions in the stub.
func stubSyscalls() []uint64 {
	var all []uint64
	for i := 0; i < int(marks[markEnd]); i++ {
		if code.Code[i] == 0x0f && code.Code[i+1] == 0x05 {
			all = append(all, stubCode+uint64(i))
		}
	}
	return all
}

// TestStubsCallsByTheGuest jumps to the stub's system call instructions with
// calls that a stub may make, and some that it may not. What comes of it is the
// guest's, and no process may be left over.
func TestStubsCallsByTheGuest(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	other := newBystander(t, p)
	calls := []struct {
		name string
		regs platform.Registers
	}{
		{"clone process", platform.Registers{Rax: unix.SYS_CLONE, Rdi: cloneProcess}},
		{"clone thread", platform.Registers{Rax: unix.SYS_CLONE, Rdi: cloneThread}},
		{"clone with other flags", platform.Registers{Rax: unix.SYS_CLONE, Rdi: unix.CLONE_NEWUSER}},
		{"birth", platform.Registers{Rax: unix.SYS_MINCORE, Rdi: noticeBirth, Rsi: 1, Rdx: 2}},
		{"file", platform.Registers{Rax: unix.SYS_MINCORE, Rdi: noticeFile}},
		{"futex wait", platform.Registers{Rax: unix.SYS_FUTEX, Rdi: areaStart, Rdx: 0}},
		{"futex wake", platform.Registers{Rax: unix.SYS_FUTEX, Rdi: areaStart, Rsi: 1, Rdx: 1 << 30}},
		{"unmap its area", platform.Registers{Rax: unix.SYS_MUNMAP, Rdi: areaStart, Rsi: areaWindow}},
		{"unmap the stub", platform.Registers{Rax: unix.SYS_MUNMAP, Rdi: stubCode, Rsi: stubSize}},
		{"unmap everything", platform.Registers{Rax: unix.SYS_MUNMAP, Rdi: 0x10000, Rsi: 1<<47 - 0x20000}},
		{"write to the stub", platform.Registers{Rax: unix.SYS_MPROTECT, Rdi: stubCode, Rsi: stubSize, Rdx: 7}},
		{"close", platform.Registers{Rax: unix.SYS_CLOSE}},
		{"prctl", platform.Registers{Rax: unix.SYS_PRCTL, Rdi: unix.PR_SET_NAME, Rsi: codeAt}},
		{"no death signal", platform.Registers{Rax: unix.SYS_PRCTL, Rdi: unix.PR_SET_PDEATHSIG}},
		{"another stack for signals", platform.Registers{Rax: unix.SYS_SIGALTSTACK, Rdi: codeAt + 0x1000}},
		{"kill", platform.Registers{Rax: unix.SYS_KILL, Rdi: 1, Rsi: 9}},
	}
	all := stubSyscalls()
	if len(all) < 8 {
		t.Fatalf("the stub makes calls at %#x", all)
	}
	for i, c := range calls {
		// The first instruction is followed by a breakpoint and the entry;
		// what lies behind the others makes more of registers that it trusts.
		for _, at := range []uint64{all[0], all[1+i%(len(all)-1)]} {
			regs := c.regs
			regs.R15 = areaStart
			last := runAWhile(t, p, jumpTo(at), regs, 20*time.Millisecond)
			if testing.Verbose() {
				t.Logf("%s at %#x: %+v", c.name, at, last)
			}
		}
		other.live()
	}
	soon(t, "closing the platform", p.Close)
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil); err != unix.ECHILD {
		t.Errorf("a process is left behind: %d, %v", pid, err)
	}
}

// TestForgedReports overwrites the area of the first thread from a second one,
// with noise all over it, and with reports that look like ones. Meanwhile the
// first calls, maps and forks. The guest may be lost, and the host call that
// its owner makes at that moment, but nothing else.
func TestForgedReports(t *testing.T) {
	for _, c := range []struct {
		name string
		mask uint32 // how far from the start of the area
		turn bool
	}{
		{"noise all over", areaSize - 1, false},
		{"noise at its head", 0x1ff, false},
		{"reports", 0xff, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlatform(t)
			other := newBystander(t, p)
			lost := 0
			begin := time.Now()
			for time.Since(begin) < 400*time.Millisecond {
				if spoil(t, p, c.mask, c.turn, uint64(lost)) {
					lost++
				}
				other.live()
			}
			t.Logf("the guest was lost %d times", lost)
		})
	}
}

// spoilCode is the code of the second thread.
func spoilCode(mask uint32, turn bool) []byte {
	b := append([]byte{0x48, 0xbb}, binary.LittleEndian.AppendUint64(nil, areaStart)...) // movabs area,%rbx
	loop := len(b)
	b = append(b, 0x48, 0x69, 0xf6) // imul $a,%rsi,%rsi
	b = binary.LittleEndian.AppendUint32(b, 0x19660d)
	b = append(b, 0x48, 0x81, 0xc6) // add $c,%rsi
	b = binary.LittleEndian.AppendUint32(b, 0x3c6ef35f)
	b = append(b, 0x48, 0x89, 0xf1, 0x48, 0xc1, 0xe9, 0x10) // mov %rsi,%rcx; shr $16,%rcx
	b = append(b, 0x81, 0xe1)                               // and $mask,%ecx
	b = binary.LittleEndian.AppendUint32(b, mask)
	b = append(b, 0x40, 0x88, 0x34, 0x0b) // mov %sil,(%rbx,%rcx)
	if turn {
		b = append(b, 0x89, 0xf0, 0xc1, 0xe8, 0x1d) // mov %esi,%eax; shr $29,%eax
		b = append(b, 0x89, 0x43, 20)               // mov %eax,event(%rbx)
		b = append(b, 0xc7, 0x03, 1, 0, 0, 0)       // movl $1,turn(%rbx)
	}
	return append(b, 0xeb, byte(loop-len(b)-2))
}

// spoil runs one such guest for a moment. It says whether it ended by itself.
func spoil(t *testing.T, p *Platform, mask uint32, turn bool, seed uint64) (lost bool) {
	t.Helper()
	page := make([]byte, 256)
	copy(page, getpidLoop)
	page = append(page, spoilCode(mask, turn)...)
	as, th, regs := newCode(t, p, page)
	second, err := as.NewThread(th)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer second.Close()
		r := *regs
		r.Rip, r.Rsi = codeAt+256, seed*0x9e3779b97f4a7c15
		for second.Switch(&r).Kind != platform.Killed {
			r.Rip = codeAt + 256
		}
	}()
	timer := time.AfterFunc(50*time.Millisecond, as.Close)
	defer timer.Stop()
	soon(t, "a guest with noise in its area", func() {
		defer th.Close()
		r := *regs
		m := platform.Mapping{Addr: 0x1000_0000, Length: pageSize, Prot: 3, Flags: unix.MAP_PRIVATE, FD: -1}
		for i := range 1000 {
			if th.Switch(&r).Kind == platform.Killed {
				lost = i > 0
				return
			}
			// The Sentry acts on whatever it was told.
			_ = r.SyscallArgs()
			if i%3 == 0 {
				_ = as.Map(th, m)
				_, _ = as.WriteAt([]byte{1, 2, 3}, uintptr(r.Rdi))
				_, _ = as.ReadAt(make([]byte, 64), 0x1000_0000)
				_ = as.Resident(th, 0x1000_0000, pageSize, make([]byte, 1))
				_, _ = th.FPState()
				_ = th.SetFPState(nil)
				_, _ = as.CompareAndSwap(th, 0x1000_0000, 0, 1)
				_ = th.(*thread).Fetched(make([]byte, 8), uintptr(r.Rsi))
				_ = th.(*thread).Deliver(0x1000_0000, []byte{5})
			}
			if i%7 == 0 {
				if child, cth, err := as.Fork(th); err == nil {
					cth.Close()
					child.Close()
				}
			}
			r.Rip, r.Rsp, r.Eflags = codeAt, codeAt+0x2000, 0x202
			r.FsBase, r.GsBase = 0, 0
		}
	})
	soon(t, "closing a guest with noise in its area", func() { as.Close(); <-ended })
	return lost
}

// TestBirthByAThreadIsNone lets a thread of a guest report as the stub that the
// guest's fork was to make, with the right number: the guest can read that from
// its area. The child must not become a thread of its parent.
func TestBirthByAThreadIsNone(t *testing.T) {
	p := newPlatform(t)
	as, th, regs := newCode(t, p, jumpTo(stubSyscalls()[0]))
	thief, err := as.NewThread(th)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newChunk()
	if err != nil {
		t.Fatal(err)
	}
	child := p.newSpace(c, 0)
	n, _, err := p.expect(child, c.memory)
	if err != nil {
		t.Fatal(err)
	}
	soon(t, "the thief", func() {
		defer thief.Close()
		r := *regs
		r.Rax, r.Rdi, r.Rsi, r.Rdx = unix.SYS_MINCORE, noticeBirth, n[0], n[1]
		thief.Switch(&r)
	})
	if pid := int(child.pid.Load()); pid != 0 {
		t.Errorf("the child is %d, a thread of its parent %d", pid, as.(*space).process())
	}
	th.Close()
	as.Close()
	child.discard()
	select {
	case <-child.end:
	case <-time.After(5 * time.Second):
		t.Error("the child never ends")
	}
}

// TestInterruptEndsAStubThatIsDeaf has the stub report in the area of no thread,
// by the base of gs, and wait there for ever. Its owner must get away when it is
// interrupted: that is how the Sentry kills.
func TestInterruptEndsAStubThatIsDeaf(t *testing.T) {
	p := newPlatform(t)
	p.patience = 50 * time.Millisecond
	g := newText(t, p, 64, append([]byte{0xf3, 0x48, 0x0f, 0xae, 0xdb}, cmpLoop...)) // wrgsbase %rbx
	loop := g.regs.Rip + 5
	g.regs.Rip, g.regs.Rax = loop, 39
	g.calls(20, 39)
	as, th, err := g.as.Fork(g.th)
	g.ok(err)
	defer as.Close()
	soon(t, "an interrupted guest", func() {
		defer th.Close()
		r := g.regs
		r.Rip, r.Rbx, r.Rax = textAt+64, areaStart+areaSize, 39
		time.AfterFunc(20*time.Millisecond, th.Interrupt)
		if ev := th.Switch(&r); ev.Kind != platform.Killed {
			t.Errorf("%+v", ev)
		}
	})
	g.calls(5, 39)
}

// TestDeafStubsDoNotHoldUpOthers changes text while a thread of the same guest
// does not come out of its stub.
func TestDeafStubsDoNotHoldUpOthers(t *testing.T) {
	p := newPlatform(t)
	p.patience = 50 * time.Millisecond
	g := newText(t, p, 64, append([]byte{0xf3, 0x48, 0x0f, 0xae, 0xdb}, cmpLoop...)) // wrgsbase %rbx
	loop := g.regs.Rip + 5
	g.regs.Rip, g.regs.Rax = loop, 39
	g.calls(20, 39)
	deaf, err := g.as.NewThread(g.th)
	g.ok(err)
	ended := make(chan platform.Event, 1)
	go func() {
		defer deaf.Close()
		r := g.regs
		r.Rip, r.Rbx, r.Rax = textAt+64, areaStart+5*areaSize, 39
		ended <- deaf.Switch(&r)
	}()
	time.Sleep(20 * time.Millisecond)
	begin := time.Now()
	_ = g.as.Protect(g.th, textAt, pageSize, 7) // the guest may be lost
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	g.as.Close()
	if ev := <-ended; ev.Kind != platform.Killed {
		t.Errorf("%+v", ev)
	}
}
