package platformtest

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
)

// This file: running guest code, its registers, faults and the vDSO.

func testSyscallRegisters(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	g.regs.Rax = 12345
	g.regs.Rdi, g.regs.Rsi, g.regs.Rdx, g.regs.R10, g.regs.R8, g.regs.R9 = 1, 2, 3, 4, 5, ^uint64(0)
	pc := g.regs.PC()
	g.syscall(12345)
	if got, want := g.regs.SyscallArgs(), [6]uint64{1, 2, 3, 4, 5, ^uint64(0)}; got != want {
		t.Errorf("arguments %v, want %v", got, want)
	}
	if _, fake := p.(*script.Platform); !fake && g.regs.PC() != pc+2 {
		t.Errorf("program counter %#x, want %#x", g.regs.PC(), pc+2)
	}
	// The result is where the next call takes its number from; -1 and -512
	// are results that the host kernel could mistake for something else.
	for _, result := range []uint64{0, 99, ^uint64(0), ^uint64(511), ^uint64(512), 1 << 63} {
		g.regs.SetReturn(result)
		g.syscall(result)
	}
}

func testRestart(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	g.regs.Rax, g.regs.Rdi = 7, 8
	for range 3 {
		g.syscall(7)
		pc := g.regs.PC()
		g.regs.RestartSyscall(7)
		g.syscall(7)
		if g.regs.PC() != pc || g.regs.Rdi != 8 {
			t.Fatalf("after a restart: pc %#x, want %#x; rdi %d", g.regs.PC(), pc, g.regs.Rdi)
		}
		g.regs.SetReturn(7)
	}
}

func testRegistersKept(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	r := &g.regs
	r.Rax = 1
	for i, reg := range []*uint64{&r.Rbx, &r.Rbp, &r.R12, &r.R13, &r.R14, &r.R15, &r.Rdi, &r.Rsi, &r.Rdx, &r.R8, &r.R9, &r.R10} {
		*reg = 0x1111_1111_1111_1111 * uint64(i+1)
	}
	r.FsBase, r.GsBase = 0x7000_1000, 0x7000_2000
	before := *r
	g.syscall(1)
	r.SetReturn(1)
	g.syscall(1)
	after := *r
	after.Rax, after.OrigRax, after.Rip, after.Rcx, after.R11 = before.Rax, before.OrigRax, before.Rip, before.Rcx, before.R11
	after.Cs, after.Ss, after.Eflags = before.Cs, before.Ss, before.Eflags
	if after != before {
		t.Errorf("registers\n%+v\nwant\n%+v", after, before)
	}
}

func testLayout(t *testing.T, p platform.Platform) {
	l := p.Layout()
	if l.Min < pageSize || l.Min%pageSize != 0 || l.Max%pageSize != 0 || l.Max < 1<<46 {
		t.Errorf("%#x: not what a process needs", l)
	}
	for _, r := range []platform.Range{l.VDSO, l.VVar} {
		if r.End < r.Start || r.Len() > 0 && (r.Start < l.Min || r.End > l.Max) {
			t.Errorf("%#x lies outside of %#x-%#x", r, l.Min, l.Max)
		}
	}
	if p.Name() == "" {
		t.Error("no name")
	}
}

// testVDSO calls clock_gettime in the vDSO, which must work without a system
// call wherever the host's does.
func testVDSO(t *testing.T, p platform.Platform) {
	l := p.Layout()
	if l.VDSO.Len() == 0 {
		t.Skip("the host has no vDSO")
	}
	g := newGuest(t, p, code{machine: []byte{
		0xff, 0xd0, // call *%rax
		0x89, 0xc7, // mov %eax,%edi
		0xb8, 0x3c, 0, 0, 0, // mov $60,%eax
		0x0f, 0x05, // syscall
	}})
	image := g.read(l.VDSO.Start, int(l.VDSO.Len()))
	offset := vdsoSymbol(t, image, "__vdso_clock_gettime")
	g.regs.Rax = uint64(l.VDSO.Start) + offset
	g.regs.Rdi, g.regs.Rsi = unix.CLOCK_MONOTONIC, dataAddr
	var before, after unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &before)
	g.syscall(60)
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &after)
	if g.regs.Rdi != 0 {
		t.Fatalf("clock_gettime = %d", int32(g.regs.Rdi))
	}
	b := g.read(dataAddr, 16)
	now := int64(binary.LittleEndian.Uint64(b))*1e9 + int64(binary.LittleEndian.Uint64(b[8:]))
	if now < before.Nano() || now > after.Nano() {
		t.Errorf("the guest's clock says %d, the host's %d to %d", now, before.Nano(), after.Nano())
	}

	// The guest may unmap it.
	g.ok(g.as.Unmap(g.th, l.VVar.Start, l.VDSO.End-l.VVar.Start))
	if _, err := g.as.ReadAt(make([]byte, 1), l.VDSO.Start); err == nil {
		t.Error("it can be read after Unmap")
	}
}

func testEmpty(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, load)
	l := p.Layout()
	// What lies in this process must not lie in the guest.
	here := make([]byte, 64)
	for _, addr := range []uintptr{l.Min, freeAddr, addressOf(here), l.Max - pageSize, l.Max, l.Max + pageSize, ^uintptr(0) - 100} {
		if n, err := g.as.ReadAt(here, addr); err == nil {
			t.Errorf("ReadAt(%#x) = %d", addr, n)
		}
		if n, err := g.as.WriteAt(here, addr); err == nil {
			t.Errorf("WriteAt(%#x) = %d", addr, n)
		}
	}
	g.regs.Rdi = uint64(addressOf(here))
	if ev := g.fault(linux.SIGSEGV); ev.Addr != addressOf(here) {
		t.Errorf("fault at %#x, want %#x", ev.Addr, addressOf(here))
	}
}

func testFaults(t *testing.T, p platform.Platform) {
	const mapErr, accErr, adrErr = 1, 2, 2
	const write, user = 2, 4 // of the error code
	g := newGuest(t, p, store)
	g.regs.Rdi, g.regs.Rsi, g.regs.Rax = freeAddr, 42, 1
	if ev := g.fault(linux.SIGSEGV); ev.Code != mapErr || ev.Addr != freeAddr || ev.TrapNo != 14 {
		t.Errorf("nothing mapped: %+v", ev)
	}
	g.mmap(freeAddr, pageSize, linux.PROT_READ)
	if ev := g.fault(linux.SIGSEGV); ev.Code != accErr || ev.Addr != freeAddr || ev.ErrCode&(write|user) != write|user {
		t.Errorf("read-only: %+v", ev)
	}
	g.ok(g.as.Protect(g.th, freeAddr, pageSize, readWrite))
	g.syscall(1)
	if b := g.read(freeAddr, 1); b[0] != 42 {
		t.Errorf("the store left %d", b[0])
	}

	// Behind the end of a file.
	fd := memfd(t, "x")
	g.ok(g.as.Map(g.th, platform.Mapping{Addr: freeAddr, Length: 2 * pageSize, Prot: readWrite, Flags: linux.MAP_SHARED, FD: fd}))
	g.regs.Rax, g.regs.Rdi = 1, freeAddr+pageSize
	if ev := g.fault(linux.SIGBUS); ev.Code != adrErr || ev.Addr != freeAddr+pageSize {
		t.Errorf("behind the end of a file: %+v", ev)
	}

	// Running what is not there.
	g.regs.SetPC(freeAddr + 4*pageSize)
	if ev := g.fault(linux.SIGSEGV); ev.Addr != freeAddr+4*pageSize || g.regs.PC() != ev.Addr {
		t.Errorf("jump to nowhere: %+v at %#x", ev, g.regs.PC())
	}
}

// testExceptions raises each exception that a process can.
func testExceptions(t *testing.T, p platform.Platform) {
	const siKernel = 0x80
	for _, c := range []struct {
		name    string
		machine []byte
		signal  linux.Signal
		code    int32
		trap    uint64
		skip    uintptr // bytes from the start to the program counter
	}{
		{"ud2", []byte{0x0f, 0x0b}, linux.SIGILL, 2, 6, 0},
		{"int3", []byte{0xcc}, linux.SIGTRAP, siKernel, 3, 1},
		{"div by zero", []byte{0x31, 0xc9, 0xf7, 0xf1}, linux.SIGFPE, 1, 0, 2},
		{"hlt", []byte{0xf4}, linux.SIGSEGV, siKernel, 13, 0},
		{"cli", []byte{0xfa}, linux.SIGSEGV, siKernel, 13, 0},
		{"in", []byte{0xec}, linux.SIGSEGV, siKernel, 13, 0},
		{"int 0x80", []byte{0xcd, 0x80}, linux.SIGSEGV, siKernel, 13, 0},
		{"int 0x70", []byte{0xcd, 0x70}, linux.SIGSEGV, siKernel, 13, 0},
		// mov $1<<63,%rax; mov (%rax),%rax: not a canonical address
		{"canonical", []byte{0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x48, 0x8b, 0x00}, linux.SIGSEGV, siKernel, 13, 10},
		// mov $-4096,%rax; mov (%rax),%rax: the kernel's
		{"kernel address", []byte{0x48, 0xc7, 0xc0, 0, 0xf0, 0xff, 0xff, 0x48, 0x8b, 0x00}, linux.SIGSEGV, 1, 14, 7},
		// pushf; orl $0x100,(%rsp); popf; nop: single step
		{"trap flag", []byte{0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x90}, linux.SIGTRAP, 2, 1, 10},
		// unmask division by zero in MXCSR and divide: push $0x1d80; ldmxcsr
		// (%rsp); xorps %xmm0,%xmm0; mov $1,%eax; cvtsi2ss %eax,%xmm1; divss
		{"sse divide", []byte{0x68, 0x80, 0x1d, 0, 0, 0x0f, 0xae, 0x14, 0x24, 0x0f, 0x57, 0xc0, 0xb8, 1, 0, 0, 0,
			0xf3, 0x0f, 0x2a, 0xc8, 0xf3, 0x0f, 0x5e, 0xc8}, linux.SIGFPE, 3, 19, 21},
	} {
		g := newGuest(t, p, code{machine: c.machine})
		ev := g.th.Switch(&g.regs)
		if ev.Kind != platform.Fault || ev.Signal != c.signal || ev.Code != c.code || ev.TrapNo != c.trap {
			t.Errorf("%s: %+v, want signal %d code %d exception %d", c.name, ev, c.signal, c.code, c.trap)
		}
		if g.regs.PC() != codeAddr+c.skip {
			t.Errorf("%s: program counter %#x, want %#x", c.name, g.regs.PC(), codeAddr+c.skip)
		}
		// The guest can go on elsewhere.
		g.ok(g.as.Protect(g.th, codeAddr, pageSize, readWrite))
		g.write(codeAddr, repeat.machine)
		g.ok(g.as.Protect(g.th, codeAddr, pageSize, linux.PROT_READ|linux.PROT_EXEC))
		g.regs.SetPC(codeAddr)
		g.regs.Eflags = 0
		g.regs.Rax = 77
		g.syscall(77)
	}
}

func testInterruptBefore(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	g.regs.Rax = 5
	for range 3 {
		g.th.Interrupt()
		g.th.Interrupt()
		if ev := g.th.Switch(&g.regs); ev.Kind != platform.Interrupted {
			t.Fatalf("%+v", ev)
		}
		g.syscall(5)
		g.regs.SetReturn(5)
	}
}

func testInterrupts(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, spin)
	next := make(chan struct{})
	go func() {
		for range next {
			g.th.Interrupt()
		}
	}()
	defer close(next)
	for i := range 300 {
		next <- struct{}{}
		if i%3 == 0 {
			time.Sleep(20 * time.Microsecond) // now the guest is running, now it is not
		}
		// A lost interrupt makes this hang, a spurious one ends it early
		// and would be missed here; so each is awaited.
		if ev := g.th.Switch(&g.regs); ev.Kind != platform.Interrupted {
			t.Fatalf("%d: %+v", i, ev)
		}
	}
}

// testInterruptStorm interrupts all the time while the guest makes system
// calls and mapping operations; every call must come through exactly once.
func testInterruptStorm(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				g.th.Interrupt()
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for i := range 200 {
		g.regs.SetReturn(uint64(i))
		for {
			ev := g.th.Switch(&g.regs)
			if ev.Kind == platform.Interrupted {
				continue
			}
			if ev.Kind != platform.Syscall || g.regs.SyscallNumber() != uint64(i) {
				t.Fatalf("%+v, call %d; want %d", ev, g.regs.SyscallNumber(), i)
			}
			break
		}
		g.mmap(freeAddr, 4*pageSize, readWrite)
		g.write(freeAddr, []byte{1})
		if i%10 == 0 {
			child, th, err := g.as.Fork(g.th)
			g.ok(err)
			child.Close()
			th.Close()
		}
		g.ok(g.as.Unmap(g.th, freeAddr, 4*pageSize))
	}
}
