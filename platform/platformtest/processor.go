package platformtest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// This file: what only machine code can do.

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func vdsoSymbol(t *testing.T, image []byte, name string) uint64 {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == name {
			return s.Value
		}
	}
	t.Fatalf("the vDSO has no %s", name)
	return 0
}

// fpCode stores xmm1 at (rsi), loads it from (rdi), makes a system call.
var fpCode = code{machine: []byte{
	0x0f, 0x11, 0x0e, // movups %xmm1,(%rsi)
	0x0f, 0x10, 0x0f, // movups (%rdi),%xmm1
	0x0f, 0x05, // syscall
	0xeb, 0xf6, // jmp .-8
}}

func testFPState(t *testing.T, p platform.Platform) {
	const in, out = dataAddr, dataAddr + 64
	const xmm1 = 160 + 16 // in the XSAVE area
	g := newGuest(t, p, fpCode)
	g.regs.Rax, g.regs.Rdi, g.regs.Rsi = 1, in, out
	g.write(out, bytes.Repeat([]byte{0xee}, 16))
	g.write(in, []byte("0123456789abcdef"))
	g.syscall(1)
	if b := g.read(out, 16); !bytes.Equal(b, make([]byte, 16)) {
		t.Errorf("a new process starts with xmm1 = %q", b)
	}
	state, err := g.th.FPState()
	g.ok(err)
	if len(state) < 512 || string(state[xmm1:xmm1+16]) != "0123456789abcdef" {
		t.Fatalf("FPState: %d bytes, xmm1 = %q", len(state), state[xmm1:xmm1+16])
	}
	saved := append([]byte(nil), state...)

	// A child has a copy; what the parent does later is its own.
	child := g.fork()
	second := g.thread()
	g.write(in, []byte("----------------"))
	g.regs.SetReturn(1)
	g.syscall(1)
	for what, c := range map[string]*guest{"a child": child, "a thread": second} {
		soon(t, what, func() {
			defer c.th.Close()
			c.regs.Rsi = out + 64
			c.regs.SetReturn(1)
			c.syscall(1)
			if b := c.read(out+64, 16); string(b) != "0123456789abcdef" {
				t.Errorf("%s has xmm1 = %q", what, b)
			}
		})
	}
	child.as.Close()

	// The guest's memory operations leave the state alone; SetFPState changes it.
	g.ok(g.th.SetFPState(saved))
	g.mmap(freeAddr, pageSize, readWrite)
	g.regs.SetReturn(1)
	g.syscall(1)
	if b := g.read(out, 16); string(b) != "0123456789abcdef" {
		t.Errorf("after SetFPState xmm1 = %q", b)
	}
	g.ok(g.th.SetFPState(nil))
	state, err = g.th.FPState()
	g.ok(err)
	if fcw, mxcsr := binary.LittleEndian.Uint16(state), binary.LittleEndian.Uint32(state[24:]); fcw != 0x37f || mxcsr != 0x1f80 {
		t.Errorf("fresh state: control word %#x, MXCSR %#x", fcw, mxcsr)
	}
	g.regs.SetReturn(1)
	g.syscall(1)
	if b := g.read(out, 16); !bytes.Equal(b, make([]byte, 16)) {
		t.Errorf("in a fresh state xmm1 = %q", b)
	}
	testBadFPStates(t, g, saved)
}

// testBadFPStates loads states as a hostile signal frame may hold them.
func testBadFPStates(t *testing.T, g *guest, good []byte) {
	bad := append([]byte(nil), good...)
	binary.LittleEndian.PutUint32(bad[24:], 0xffffffff) // MXCSR with reserved bits
	wantErr(t, "reserved bits of MXCSR", g.th.SetFPState(bad), errno.EINVAL)
	wantErr(t, "a short state", g.th.SetFPState(good[:100]), errno.EINVAL)
	g.ok(g.th.SetFPState(good[:512]))                                  // as FXSAVE makes it
	g.ok(g.th.SetFPState(append(good[:len(good):len(good)], 1, 2, 3))) // as a larger frame holds it
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		bad = append(bad[:0], good...)
		for range 1 + rnd.IntN(20) {
			at := rnd.IntN(len(bad))
			if rnd.IntN(2) == 0 {
				at = 512 + rnd.IntN(64) // the header
			}
			bad[at] = byte(rnd.Uint32())
		}
		if err := g.th.SetFPState(bad); err != nil && err != errno.EINVAL {
			t.Fatalf("a random state: %v", err)
		}
	}
	g.ok(g.th.SetFPState(nil))
	g.regs.SetReturn(1)
	g.syscall(1)
}

// testHostileRegisters runs guests with registers as a hostile signal frame or
// exec could set them. Anything may happen but a hang, a panic or an effect
// elsewhere.
func testHostileRegisters(t *testing.T, p platform.Platform) {
	l := p.Layout()
	interesting := []uint64{
		0, 1, codeAddr, stackAddr, dataAddr, uint64(l.Max), uint64(l.Max) + pageSize, uint64(l.Max) - 1, uint64(l.VDSO.Start),
		1 << 47, 1<<47 - 1, 1 << 63, ^uint64(0), ^uint64(0xfff), 0xffff800000000000, 0xffffffffff600000, ^uint64(511),
		0x23, 0x2b, 0x33, 0x10, 0x18, 3, 0x7b, 0x53, 0xffff, 0x100, 0x202, 0x40000, 0x10000,
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	witness := newGuest(t, p, repeat)
	witness.regs.Rax = 1
	rounds := 400
	if testing.Short() {
		rounds = 50
	}
	as, th, err := p.NewAddressSpace()
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, p: p, as: as, th: th}
	g.mmap(codeAddr, pageSize, readWrite|linux.PROT_EXEC)
	g.write(codeAddr, bytes.Repeat(repeat.machine, pageSize/len(repeat.machine)))
	defer g.close()
	for i := range rounds {
		var r platform.Registers
		for _, f := range []*uint64{
			&r.R15, &r.R14, &r.R13, &r.R12, &r.Rbp, &r.Rbx, &r.R11, &r.R10, &r.R9, &r.R8, &r.Rax, &r.Rcx, &r.Rdx, &r.Rsi, &r.Rdi,
			&r.OrigRax, &r.Rip, &r.Cs, &r.Eflags, &r.Rsp, &r.Ss, &r.FsBase, &r.GsBase, &r.Ds, &r.Es, &r.Fs, &r.Gs,
		} {
			*f = interesting[rnd.IntN(len(interesting))]
			if rnd.IntN(8) == 0 {
				*f = rnd.Uint64()
			}
		}
		if i%2 == 0 {
			r.Rip = codeAddr
		}
		start := r
		timer := time.AfterFunc(20*time.Millisecond, g.th.Interrupt)
		ev := g.th.Switch(&r)
		timer.Stop()
		if ev.Kind == platform.Killed {
			t.Fatalf("registers %+v killed the address space", start)
		}
		if ev.Kind == platform.Fault && (ev.Signal <= 0 || ev.Signal > 31) {
			t.Errorf("registers %+v: %+v", start, ev)
		}
	}
	witness.syscall(1)
	// The guest is as good as new.
	r := platform.Registers{Rip: codeAddr, Rax: 9}
	for {
		ev := g.th.Switch(&r)
		if ev.Kind == platform.Interrupted {
			continue // of the last timer
		}
		if ev.Kind != platform.Syscall || r.SyscallNumber() != 9 {
			t.Fatalf("afterwards: %+v %+v", ev, r)
		}
		break
	}
}

// testHostileInstructions lets the guest attack the platform's own memory and
// use ways into the kernel other than the syscall instruction.
func testHostileInstructions(t *testing.T, p platform.Platform) {
	l := p.Layout()
	movRax := func(v uint64) []byte { return binary.LittleEndian.AppendUint64([]byte{0x48, 0xb8}, v) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	syscall := []byte{0x0f, 0x05}

	attempts := map[string][]byte{
		"store into the first page above": join(movRax(uint64(l.Max)), []byte{0xc6, 0x00, 0xcc}, syscall), // movb $0xcc,(%rax)
		"sysenter":                        {0x0f, 0x34},
		"32-bit syscall by int 0x80":      {0xb8, 1, 0, 0, 0, 0xcd, 0x80},
		// push $0x23; push $codeAddr+100; lretq, to 32-bit code
		"far return to 32-bit code": {0x6a, 0x23, 0x68, 100, 0, 0x40, 0, 0x48, 0xcb},
		"mov to ds":                 {0xb8, 0x7b, 0, 0, 0, 0x8e, 0xd8, 0x0f, 0x05},
		"mov to ss":                 {0x31, 0xc0, 0x8e, 0xd0, 0x0f, 0x05},
		"iretq with garbage":        {0x6a, 0, 0x6a, 0, 0x6a, 0, 0x6a, 0, 0x6a, 0, 0x48, 0xcf},
		"wrmsr":                     {0x0f, 0x30},
		"rdpmc":                     {0x0f, 0x33},
		"lgdt":                      {0x0f, 0x01, 0x10},
		"mov to cr3":                {0x0f, 0x22, 0xd8},
		"prefix flood":              bytes.Repeat([]byte{0x66}, 20),
	}
	// Every address in the platform's first page can be jumped to.
	for i := uint64(0); i < 1024; i += 3 {
		attempts["jump"] = nil
		runHostile(t, p, "jump into the platform's page", join(movRax(uint64(l.Max)+i), []byte{0xff, 0xe0}))
	}
	delete(attempts, "jump")
	for name, machine := range attempts {
		runHostile(t, p, name, machine)
	}

	// time(2) through the vsyscall page is a system call like any other.
	g := newGuest(t, p, code{machine: join(movRax(0xffffffffff600400), []byte{0xff, 0xd0, 0xb8, 60, 0, 0, 0}, syscall)})
	g.regs.Rdi = 0
	ev := g.th.Switch(&g.regs)
	switch {
	case ev.Kind == platform.Fault && ev.Signal == linux.SIGSEGV:
		t.Log("the host has no vsyscall page")
	case ev.Kind == platform.Syscall && g.regs.SyscallNumber() == 201:
		g.regs.SetReturn(1234)
		g.syscall(60)
	default:
		t.Errorf("vsyscall: %+v", ev)
	}
}

// shared by all runHostile of one test would be quicker; a new one shows that
// the address space was lost, if it was.
func runHostile(t *testing.T, p platform.Platform, name string, machine []byte) {
	t.Helper()
	as, th, err := p.NewAddressSpace()
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, p: p, as: as, th: th}
	defer g.close()
	g.mmap(codeAddr, pageSize, readWrite|linux.PROT_EXEC)
	g.mmap(stackAddr, pageSize, readWrite)
	g.write(codeAddr, machine)
	g.regs.SetPC(codeAddr)
	g.regs.SetSP(stackAddr + pageSize - 256)
	for range 5 {
		timer := time.AfterFunc(20*time.Millisecond, th.Interrupt)
		ev := th.Switch(&g.regs)
		timer.Stop()
		switch ev.Kind {
		case platform.Killed:
			t.Errorf("%s: the address space is lost", name)
			return
		case platform.Fault:
			return
		case platform.Syscall:
			g.regs.SetReturn(^uint64(37))
		}
	}
}
