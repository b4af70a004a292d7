package trap

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

const (
	textAt  = 0x40_0000
	textLen = 4 * pageSize
	dataAt  = 0x60_0000 // two pages
)

// textGuest is a guest whose text is mapped from a file, as a program's is, so
// that its call sites are patched.
type textGuest struct {
	tb   testing.TB
	as   *space
	th   *thread
	regs platform.Registers
}

// newText puts code at the given offset of the text, and starts there.
func newText(tb testing.TB, p *Platform, offset int64, code []byte) *textGuest {
	tb.Helper()
	fd, err := unix.MemfdCreate("text", unix.MFD_CLOEXEC)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, textLen); err != nil {
		tb.Fatal(err)
	}
	if _, err := unix.Pwrite(fd, code, offset); err != nil {
		tb.Fatal(err)
	}
	as, th, err := p.NewAddressSpace()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { th.Close(); as.Close() })
	m := platform.Mapping{Addr: textAt, Length: textLen, Prot: linux.PROT_READ | linux.PROT_EXEC, Flags: unix.MAP_PRIVATE, FD: fd}
	if err := as.Map(th, m); err != nil {
		tb.Fatal(err)
	}
	m = platform.Mapping{Addr: dataAt, Length: 2 * pageSize, Prot: linux.PROT_READ | linux.PROT_WRITE, Flags: unix.MAP_PRIVATE, FD: -1}
	if err := as.Map(th, m); err != nil {
		tb.Fatal(err)
	}
	g := &textGuest{tb: tb, as: as.(*space), th: th.(*thread)}
	g.regs.PrepareExec()
	g.regs.SetPC(textAt + uintptr(offset))
	g.regs.SetSP(dataAt + 2*pageSize)
	return g
}

// syscall runs the guest to its next call, which must be nr.
func (g *textGuest) syscall(nr uint64) {
	g.tb.Helper()
	if ev := g.th.Switch(&g.regs); ev.Kind != platform.Syscall || g.regs.SyscallNumber() != nr {
		g.tb.Fatalf("Switch = %+v at %#x, call %d; want call %d", ev, g.regs.PC(), g.regs.SyscallNumber(), nr)
	}
}

// calls lets the guest call nr n times, each with nr as its result.
func (g *textGuest) calls(n int, nr uint64) {
	g.tb.Helper()
	for range n {
		g.syscall(nr)
		g.regs.SetReturn(nr)
	}
}

func (g *textGuest) patched() int {
	p := &g.as.patches
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.sites {
		if s.active {
			n++
		}
	}
	return n
}

// raw is what lies in the guest's memory, patched or not.
func (g *textGuest) raw(addr uintptr, n int) []byte {
	g.tb.Helper()
	b := make([]byte, n)
	if _, err := g.as.read(b, addr); err != nil {
		g.tb.Fatal(err)
	}
	return b
}

func (g *textGuest) read(addr uintptr, n int) []byte {
	g.tb.Helper()
	b := make([]byte, n)
	if _, err := g.as.ReadAt(b, addr); err != nil {
		g.tb.Fatal(err)
	}
	return b
}

func (g *textGuest) ok(err error) {
	g.tb.Helper()
	if err != nil {
		g.tb.Fatal(err)
	}
}

// forms are loops around a site of each form, and one that is never patched.
// They call the number in eax, or 39.
var forms = []struct {
	name    string
	code    []byte
	patched int
}{
	{"mov", movLoop, 1},
	{"cmp", cmpLoop, 1},
	{"plain", plainLoop, 0},
}

// eachForm runs a test with a guest that loops around a site that is already
// patched. The loop lies in the middle of the text's first page.
func eachForm(t *testing.T, test func(t *testing.T, g *textGuest, code []byte)) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			g := newText(t, newPlatform(t), 64, f.code)
			g.regs.Rax = 39
			g.calls(20, 39)
			if got := g.patched(); got != f.patched {
				t.Fatalf("%d sites are patched, want %d", got, f.patched)
			}
			test(t, g, f.code)
		})
	}
}

// TestPatchedTextReadsAsItWas looks at patched text by every way there is for
// the Sentry; core files and debuggers show what it reads.
func TestPatchedTextReadsAsItWas(t *testing.T) {
	eachForm(t, func(t *testing.T, g *textGuest, code []byte) {
		if g.patched() > 0 && bytes.Equal(g.raw(textAt+64, len(code)), code) {
			t.Fatal("nothing was changed")
		}
		want := append(make([]byte, 64), code...)
		for from := range len(want) {
			for to := from + 1; to <= len(want); to++ {
				if got := g.read(textAt+uintptr(from), to-from); !bytes.Equal(got, want[from:to]) {
					t.Fatalf("bytes %d to %d: % x", from, to, got)
				}
			}
		}
		b := make([]byte, len(want))
		vec := []platform.Range{{Start: textAt, End: textAt + 66}, {Start: textAt + 66, End: textAt + uintptr(len(want))}}
		if _, err := g.as.ReadVec(b, vec); err != nil || !bytes.Equal(b, want) {
			t.Errorf("ReadVec: % x, %v", b, err)
		}
	})
}

// TestWritableTextIsRestored makes text writable: what the guest itself reads
// and changes then must be its own bytes.
func TestWritableTextIsRestored(t *testing.T) {
	eachForm(t, func(t *testing.T, g *textGuest, code []byte) {
		for _, prot := range []linux.Prot{3, 7, 1, 0} {
			g.ok(g.as.Protect(g.th, textAt, pageSize, prot))
			if prot != 0 && !bytes.Equal(g.raw(textAt+64, len(code)), code) {
				t.Errorf("with rights %d: % x", prot, g.raw(textAt+64, len(code)))
			}
			if n := g.patched(); n != 0 {
				t.Errorf("with rights %d %d sites are patched", prot, n)
			}
			g.ok(g.as.Protect(g.th, textAt, pageSize, 5))
			g.calls(20, 39)
		}
		if n := g.patched(); n != 0 {
			t.Errorf("text that was writable is patched again (%d sites)", n)
		}
	})
}

// TestMovedTextIsRestored moves patched text; its jumps would lead elsewhere.
func TestMovedTextIsRestored(t *testing.T) {
	eachForm(t, func(t *testing.T, g *textGuest, code []byte) {
		const to = 0x2000_0000
		g.ok(g.as.Move(g.th, textAt, textLen, to, textLen, 0))
		if got := g.raw(to+64, len(code)); !bytes.Equal(got, code) {
			t.Fatalf("% x", got)
		}
		g.regs.Rip += to - textAt
		g.calls(20, 39)
	})
}

// TestNeighboursOfChangedTextStayKnown takes away the page beside one with a
// patched site at its very edge: the site stays in place, so it must stay known.
func TestNeighboursOfChangedTextStayKnown(t *testing.T) {
	for _, f := range forms[:2] {
		for _, edge := range []struct {
			name   string
			offset int64 // of the code
			gone   uintptr
		}{
			{"page before", 2*pageSize + 1, textAt + pageSize},
			{"page behind", 2*pageSize - int64(len(f.code)) - 6, textAt + 2*pageSize},
		} {
			t.Run(f.name+", "+edge.name, func(t *testing.T) {
				g := newText(t, newPlatform(t), edge.offset, f.code)
				at := textAt + uintptr(edge.offset)
				g.regs.Rax = 39
				g.calls(20, 39)
				if g.patched() != 1 {
					t.Fatal("the site is not patched")
				}
				g.ok(g.as.Unmap(g.th, edge.gone, pageSize))
				if got := g.read(at, len(f.code)); !bytes.Equal(got, f.code) {
					t.Errorf("the text reads % x", got)
				}
				g.regs.R12++ // so that all registers are loaded
				g.calls(20, 39)
				g.ok(g.as.Protect(g.th, uintptr(at)&^(pageSize-1), pageSize, 7))
				if got := g.raw(at, len(f.code)); !bytes.Equal(got, f.code) {
					t.Errorf("writable, it is % x", got)
				}
				g.calls(20, 39)
			})
		}
	}
}

func (g *textGuest) pools() []uint64 {
	var all []uint64
	if pools := g.as.patches.pools.Load(); pools != nil {
		for _, pool := range *pools {
			all = append(all, pool.start)
		}
	}
	return all
}

// TestTrampolinesMakeWay has the guest use the memory where trampolines lie: it
// is free, as far as the guest knows.
func TestTrampolinesMakeWay(t *testing.T) {
	for _, form := range forms[:2] {
		for _, how := range []string{"map", "unmap", "protect", "move to"} {
			t.Run(form.name+", "+how, func(t *testing.T) {
				g := newText(t, newPlatform(t), 64, form.code)
				g.regs.Rax = 39
				g.calls(20, 39)
				pools := g.pools()
				if len(pools) != 1 {
					t.Fatalf("pools %#x", pools)
				}
				at := uintptr(pools[0]) + pageSize
				mapping := platform.Mapping{Addr: at, Length: pageSize, Prot: 3, Flags: unix.MAP_PRIVATE, FD: -1}
				switch how {
				case "map":
					g.ok(g.as.Map(g.th, mapping))
				case "unmap":
					g.ok(g.as.Unmap(g.th, at, pageSize))
				case "protect":
					if err := g.as.Protect(g.th, at, pageSize, 3); err == nil {
						t.Error("memory that the guest does not have was protected")
					}
				case "move to":
					g.ok(g.as.Move(g.th, dataAt, pageSize, at, pageSize, 0))
				}
				if slices.Contains(g.pools(), pools[0]) {
					t.Error("the trampolines are still there")
				}
				if got := g.raw(textAt+64, len(form.code)); !bytes.Equal(got, form.code) {
					t.Errorf("the text is % x", got)
				}
				if how == "map" || how == "move to" {
					if b := g.read(at, pageSize); !bytes.Equal(b, make([]byte, pageSize)) {
						t.Error("the new memory is not empty")
					}
					if _, err := g.as.ReadAt(make([]byte, 1), at+pageSize); err == nil {
						t.Error("memory of the trampolines is left over")
					}
				}
				g.calls(20, 39)
				if g.patched() != 1 || len(g.pools()) != 1 {
					t.Errorf("later %d sites are patched, by way of %#x", g.patched(), g.pools())
				}
			})
		}
	}
}

// TestForksGoOnFromPatchedSites lets parent and child go on behind a call that
// came by a trampoline, and change their text on their own.
func TestForksGoOnFromPatchedSites(t *testing.T) {
	eachForm(t, func(t *testing.T, g *textGuest, code []byte) {
		g.syscall(39)
		as, th, err := g.as.Fork(g.th)
		g.ok(err)
		c := &textGuest{tb: t, as: as.(*space), th: th.(*thread), regs: g.regs}
		defer func() { th.Close(); as.Close() }()
		c.regs.SetReturn(39)
		g.regs.SetReturn(39)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 50 {
				if ev := c.th.Switch(&c.regs); ev.Kind != platform.Syscall || c.regs.SyscallNumber() != 39 {
					t.Errorf("the child: %+v, call %d at %#x", ev, c.regs.SyscallNumber(), c.regs.Rip)
					return
				}
				c.regs.SetReturn(39)
			}
			if got := c.read(textAt+64, len(code)); !bytes.Equal(got, code) {
				t.Errorf("the child's text reads % x", got)
			}
			if err := c.as.Protect(c.th, textAt, textLen, 7); err != nil {
				t.Error(err)
			}
			if got := c.raw(textAt+64, len(code)); !bytes.Equal(got, code) {
				t.Errorf("writable, the child's text is % x", got)
			}
			if ev := c.th.Switch(&c.regs); ev.Kind != platform.Syscall {
				t.Errorf("the child, restored: %+v", ev)
			}
			c.th.Close()
		}()
		patched := g.patched()
		g.calls(50, 39)
		<-done
		if g.patched() != patched {
			t.Error("the child's restoring changed its parent")
		}
		g.calls(5, 39)
	})
}

// TestRestartAtAPatchedSite restarts calls, as the Sentry does after a signal
// handler, and goes on behind one with all registers loaded.
func TestRestartAtAPatchedSite(t *testing.T) {
	eachForm(t, func(t *testing.T, g *textGuest, code []byte) {
		for i := range 20 {
			g.syscall(39)
			pc := g.regs.Rip
			g.regs.RestartSyscall(39)
			g.syscall(39)
			if g.regs.Rip != pc {
				t.Fatalf("restarted at %#x, not %#x", g.regs.Rip, pc)
			}
			// As a handler's return brings them: nothing is as it was.
			g.regs.SetReturn(39)
			g.regs.R12, g.regs.Rcx, g.regs.R11 = uint64(i), 7, 8
			g.syscall(39)
			if g.regs.Rip != pc || g.regs.R12 != uint64(i) {
				t.Fatalf("went on to %#x with r12 = %d", g.regs.Rip, g.regs.R12)
			}
			g.regs.SetReturn(39)
		}
	})
}

// TestComparisonBehindAPatchedCallHolds branches on the comparison that a
// trampoline makes in the site's stead.
func TestComparisonBehindAPatchedCallHolds(t *testing.T) {
	for _, limit := range []int32{-4095, -4096} {
		code := []byte{0x0f, 0x05, 0x48, 0x3d}
		code = binary.LittleEndian.AppendUint32(code, uint32(limit))
		code = append(code,
			0x0f, 0x93, 0xc3, // setae %bl
			0xb8, 39, 0, 0, 0, // mov $39,%eax
			0xeb, 0xee, // jmp syscall
		)
		g := newText(t, newPlatform(t), 64, code)
		g.regs.Rax = 39
		g.syscall(39)
		for i := range 30 {
			for _, result := range []int64{0, 1, -1, -4094, -4095, -4096, -4097, 1 << 62} {
				g.regs.SetReturn(uint64(result))
				if i%3 == 0 {
					g.regs.R12++ // another way back
				}
				g.syscall(39)
				if got, want := g.regs.Rbx&1 == 1, uint64(result) >= uint64(int64(limit)); got != want {
					t.Fatalf("round %d: cmp $%d with %d: above or equal is %v", i, limit, result, got)
				}
			}
		}
		if g.patched() != 1 {
			t.Error("the site is not patched")
		}
	}
}

// manySites is text with n sites of both forms, one behind the other, which
// calls number i at site i, and from the start again.
func manySites(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, 0xb8)
		b = binary.LittleEndian.AppendUint32(b, uint32(600+i))
		if i%2 == 1 {
			b = append(b, 0x90) // no mov right before the call
		}
		b = append(b, 0x0f, 0x05)
		if i%2 == 1 {
			b = append(b, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff)
		}
	}
	b = append(b, 0xe9)
	return binary.LittleEndian.AppendUint32(b, uint32(-(len(b) + 4)))
}

// TestPatchingWhileOthersRun has threads in all places of text that is being
// changed. Each must see every site once a round, in order.
func TestPatchingWhileOthersRun(t *testing.T) {
	const sites, threads, rounds = 24, 3, 12
	g := newText(t, newPlatform(t), 64, manySites(sites))
	var all sync.WaitGroup
	run := func(th platform.Thread, regs platform.Registers, rounds int) {
		for i := range rounds * sites {
			for {
				ev := th.Switch(&regs)
				if ev.Kind == platform.Interrupted {
					continue
				}
				if ev.Kind != platform.Syscall || regs.SyscallNumber() != uint64(600+i%sites) {
					t.Errorf("call %d: %+v, number %d at %#x", i, ev, regs.SyscallNumber(), regs.Rip)
					return
				}
				break
			}
			regs.SetReturn(0)
		}
	}
	for range threads {
		th, err := g.as.NewThread(g.th)
		g.ok(err)
		all.Add(1)
		go func() {
			defer all.Done()
			defer th.Close()
			run(th, g.regs, rounds)
		}()
	}
	// Meanwhile the sites go back, and are patched again elsewhere.
	for range 4 {
		run(g.th, g.regs, 2)
		for _, pool := range g.pools() {
			g.ok(g.as.Unmap(g.th, uintptr(pool), poolSize))
		}
	}
	run(g.th, g.regs, 6)
	all.Wait()
	if n := g.patched(); n != sites {
		t.Errorf("%d of %d sites are patched", n, sites)
	}
	code := manySites(sites)
	if got := g.read(textAt+64, len(code)); !bytes.Equal(got, code) {
		t.Errorf("the text reads % x", got)
	}
}

// boundaries are the addresses of the instructions in the text of manySites.
func boundaries(sites int) map[uint64]bool {
	at, all := uint64(textAt+64), map[uint64]bool{}
	step := func(n uint64) { all[at] = true; at += n }
	for i := range sites {
		step(5)
		if i%2 == 1 {
			step(1)
		}
		step(2)
		if i%2 == 1 {
			step(6)
		}
	}
	step(5)
	return all
}

// TestSingleStepSeesOnlyTheProgram steps over patched sites. A debugger in the
// guest must see no more than the program's own instructions, and get on.
func TestSingleStepSeesOnlyTheProgram(t *testing.T) {
	const sites, tf = 4, 0x100
	g := newText(t, newPlatform(t), 64, manySites(sites))
	next := 0
	call := func() {
		t.Helper()
		if nr := g.regs.SyscallNumber(); nr != uint64(600+next) {
			t.Fatalf("call %d at %#x, want %d", nr, g.regs.Rip, 600+next)
		}
		next = (next + 1) % sites
		g.regs.SetReturn(0)
	}
	for range 10 * sites {
		if ev := g.th.Switch(&g.regs); ev.Kind != platform.Syscall {
			t.Fatalf("%+v", ev)
		}
		call()
	}
	if g.patched() != sites {
		t.Fatalf("%d sites are patched", g.patched())
	}
	valid := boundaries(sites)
	calls, steps := 0, 0
	for range 300 {
		g.regs.Eflags |= tf
		ev := g.th.Switch(&g.regs)
		if !valid[g.regs.Rip] {
			t.Fatalf("step to %#x, which is no instruction of the program: %+v", g.regs.Rip, ev)
		}
		switch {
		case ev.Kind == platform.Syscall:
			calls++
			call()
		case ev.Kind == platform.Fault && ev.Signal == linux.SIGTRAP && ev.TrapNo == 1:
			steps++
			if g.regs.Eflags&tf == 0 {
				t.Fatalf("at %#x the flag is gone", g.regs.Rip)
			}
		default:
			t.Fatalf("%+v at %#x", ev, g.regs.Rip)
		}
	}
	if calls < 4*sites {
		t.Errorf("%d steps and %d calls: it does not get on", steps, calls)
	}
	// And on at full speed.
	g.regs.Eflags &^= tf
	for range 3 * sites {
		if ev := g.th.Switch(&g.regs); ev.Kind != platform.Syscall {
			t.Fatalf("%+v at %#x", ev, g.regs.Rip)
		}
		call()
	}
}

// TestInterruptsAtPatchedSites interrupts a guest that calls all the time. Every
// call must come through once, and no interrupt may be seen amid what stands in
// for the program's own instructions.
func TestInterruptsAtPatchedSites(t *testing.T) {
	const sites = 8
	g := newText(t, newPlatform(t), 64, manySites(sites))
	r := &g.regs
	for i, reg := range []*uint64{&r.Rbx, &r.Rbp, &r.R12, &r.R13, &r.R14, &r.R15, &r.Rdi, &r.Rsi, &r.Rdx, &r.R8, &r.R9, &r.R10} {
		*reg = 0x1111_1111_1111_1111 * uint64(i+1)
	}
	want := *r
	same := func() bool {
		got := *r
		got.Rax, got.OrigRax, got.Rip, got.Rcx, got.R11, got.Eflags = want.Rax, want.OrigRax, want.Rip, want.Rcx, want.R11, want.Eflags
		return got == want
	}
	valid := boundaries(sites)
	var stop atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for !stop.Load() {
			g.th.Interrupt()
			time.Sleep(time.Microsecond)
		}
	}()
	defer func() { stop.Store(true); <-stopped }()
	interrupts := 0
	for begin, i := time.Now(), 0; time.Since(begin) < 500*time.Millisecond; i++ {
		for {
			ev := g.th.Switch(r)
			if !valid[r.Rip] {
				t.Fatalf("call %d: %+v at %#x, which is no instruction of the program", i, ev, r.Rip)
			}
			if !same() {
				t.Fatalf("call %d: %+v with registers\n%+v\nwant\n%+v", i, ev, *r, want)
			}
			if ev.Kind == platform.Interrupted {
				interrupts++
				continue
			}
			if ev.Kind != platform.Syscall || r.SyscallNumber() != uint64(600+i%sites) {
				t.Fatalf("%+v, call %d at %#x; want %d", ev, r.SyscallNumber(), r.Rip, 600+i%sites)
			}
			break
		}
		r.SetReturn(uint64(i))
	}
	if interrupts == 0 {
		t.Error("no interrupt came")
	}
}

// TestGuestsMayUseGS sets the base that the stub's entry finds its area by, to
// values that are none, and calls by patched sites.
func TestGuestsMayUseGS(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			// wrgsbase %rbx; the loop; before it the guest starts anew
			code := append([]byte{0xf3, 0x48, 0x0f, 0xae, 0xdb}, f.code...)
			g := newText(t, newPlatform(t), 64, code)
			loop := g.regs.Rip + 5
			g.regs.Rip, g.regs.Rax = loop, 39
			g.calls(20, 39)
			for _, base := range []uint64{
				1, dataAt, dataAt + 8, textAt, maxAddr, stubCode, areaStart + areaWindow, 1<<47 - 1, ^uint64(0), 1 << 63 >> 15 << 15,
				areaStart + areaWindow - areaSize, // of no thread
				0,
			} {
				if base != ^uint64(0) && base>>47 != 0 && base>>47 != 1<<17-1 {
					continue // the processor does not take it
				}
				g.regs.Rip, g.regs.Rbx, g.regs.Rax = textAt+64, base, 39
				before := g.regs
				for range 8 {
					g.syscall(39)
					if base>>47 != 0 {
						// No program has such a base; the Sentry may refuse it.
						g.regs.GsBase = 0
						break
					}
					if g.regs.GsBase != base {
						t.Errorf("base %#x became %#x", base, g.regs.GsBase)
					}
					after := g.regs
					after.Rax, after.OrigRax, after.Rip, after.Rcx, after.R11, after.GsBase = before.Rax, before.OrigRax, before.Rip, before.Rcx, before.R11, before.GsBase
					after.Eflags = before.Eflags
					if after != before {
						t.Fatalf("base %#x: registers\n%+v\nwant\n%+v", base, after, before)
					}
					g.regs.SetReturn(39)
				}
			}
			g.regs.Rip, g.regs.Rax, g.regs.GsBase = loop, 39, 0
			g.calls(20, 39)
		})
	}
}

// TestAnswersGoWithoutTheSentry counts the calls that come in spite of an answer.
func TestAnswersGoWithoutTheSentry(t *testing.T) {
	for _, f := range forms[:2] {
		t.Run(f.name, func(t *testing.T) {
			// The loop's call 39, then a call of 700 with its result in rdi.
			code := slices.Clone(f.code[:len(f.code)-2])
			code = append(code,
				0x48, 0x89, 0xc7, // mov %rax,%rdi
				0xb8, 0xbc, 2, 0, 0, // mov $700,%eax
				0x0f, 0x05, // syscall
				0xb8, 39, 0, 0, 0, // mov $39,%eax
			)
			code = append(code, 0xeb, byte(-(len(code) + 2)))
			g := newText(t, newPlatform(t), 64, code)
			g.regs.Rax = 39
			both := func(n int) {
				t.Helper()
				for range n {
					g.calls(1, 39)
					g.syscall(700)
					g.regs.SetReturn(0)
				}
			}
			both(20)
			for _, value := range []uint64{0, 1234, ^uint64(0), 1 << 63, ^uint64(4095)} {
				g.th.Answer(&platform.Answers{Calls: []uint64{186, 39}, Values: []uint64{5, value}, Yield: 24})
				g.regs.Rbx, g.regs.R15, g.regs.Rdx = 1, 2, 3
				for range 10 {
					g.syscall(700)
					if g.regs.Rdi != value {
						t.Fatalf("the answer was %#x, want %#x", g.regs.Rdi, value)
					}
					if g.regs.Rbx != 1 || g.regs.R15 != 2 || g.regs.Rdx != 3 {
						t.Fatalf("it changed registers: %+v", g.regs)
					}
					g.regs.SetReturn(0)
				}
				// The call at hand was answered, the next is not.
				g.th.Answer(nil)
				both(3)
			}
			// Numbers beyond the table are no one's.
			g.th.Answer(&platform.Answers{Calls: []uint64{700, 1 << 40, fastCalls}, Values: []uint64{1, 2, 3}, Yield: ^uint64(0)})
			both(3)
		})
	}
}

// TestSitesWithoutEndAreNotKept counts calls from more places than a program has:
// the Sentry's table stays small, and what is no text is not in it.
func TestSitesWithoutEndAreNotKept(t *testing.T) {
	th := &thread{as: &space{}}
	p := &th.as.patches
	const start = 0x10000000
	p.text = []platform.Range{{Start: start, End: start + 1<<20}}
	for i := range uint64(3 * mostHits) {
		p.hit(th, start+64+2*i, 39)
		p.hit(th, start-4096-2*i, 39)
	}
	if n := len(p.hits); n == 0 || n > mostHits {
		t.Errorf("%d places are counted, want at most %d", n, mostHits)
	}
	for pc := range p.hits {
		if pc < start {
			t.Errorf("%#x is counted, which is no text", pc)
		}
	}
}
