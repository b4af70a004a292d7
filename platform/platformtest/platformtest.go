// Package platformtest is the suite that every platform passes: what the Sentry
// relies on when it runs guests, moves their memory and takes them down, and
// what a hostile guest must not achieve.
//
// Run is its one entry. A test's guest code comes in two forms, machine code
// for real platforms and a Go function for platform/script; what only a real
// processor can do is skipped on script. The package has no state.
package platformtest

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
)

// Run tests a platform that newPlatform makes anew for each test.
func Run(t *testing.T, newPlatform func() (platform.Platform, error)) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := newPlatform()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			if _, fake := p.(*script.Platform); fake && c.needs == processor {
				t.Skip("the script platform runs no machine code")
			}
			c.run(t, p)
		})
	}
}

type needs int

const (
	anything  needs = iota
	processor       // runs machine code that has no Go form
)

var cases = []struct {
	name  string
	needs needs
	run   func(*testing.T, platform.Platform)
}{
	{"SyscallPassesAllRegisters", anything, testSyscallRegisters},
	{"SyscallCanBeRestarted", anything, testRestart},
	{"RegistersKeepTheirValues", anything, testRegistersKept},
	{"LayoutIsSane", anything, testLayout},
	{"VDSOWorks", processor, testVDSO},
	{"NewAddressSpaceIsEmpty", anything, testEmpty},
	{"FaultSaysWhatAndWhere", anything, testFaults},
	{"ProcessorExceptions", processor, testExceptions},
	{"MapProtectUnmap", anything, testMapProtectUnmap},
	{"MapsFiles", anything, testFiles},
	{"FileRightsHold", anything, testFileRights},
	{"MovesPages", anything, testMove},
	{"AdviseDropsPages", anything, testAdvise},
	{"ResidentTellsTouchedPages", anything, testResident},
	{"BadRangesAreErrors", anything, testBadRanges},
	{"CopiesStopAtTheHole", anything, testCopies},
	{"VectorsCopyManyRanges", anything, testVectors},
	{"CompareAndSwap", anything, testCompareAndSwap},
	{"ForkCopiesOnWrite", anything, testFork},
	{"ForkTree", anything, testForkTree},
	{"ThreadsShareMemory", anything, testThreads},
	{"ThreadsCloseInAnyOrder", anything, testThreadClose},
	{"FileMappingsWhileForking", anything, testMapWhileForking},
	{"FloatingPointState", processor, testFPState},
	{"InterruptBeforeSwitch", anything, testInterruptBefore},
	{"InterruptsAreNotLost", anything, testInterrupts},
	{"InterruptStormDisturbsNothing", anything, testInterruptStorm},
	{"CloseEndsARunningGuest", anything, testCloseRunning},
	{"DeadAddressSpaceIsAnError", anything, testDead},
	{"CloseRaces", anything, testCloseRaces},
	{"HostileRegisters", processor, testHostileRegisters},
	{"HostileInstructions", processor, testHostileInstructions},
	{"PlatformCloseEndsEverything", anything, testPlatformClose},
}

const (
	pageSize = 4096

	codeAddr  = 0x400000
	stackAddr = 0x500000 // one page
	dataAddr  = 0x600000 // dataPages pages
	dataPages = 8
	freeAddr  = 0x10000000 // nothing is mapped from here on

	readWrite = linux.PROT_READ | linux.PROT_WRITE
)

// code is a guest program in both forms.
type code struct {
	machine []byte
	script  script.Program
}

// repeat makes a system call with the registers as they are, for ever.
var repeat = code{
	machine: []byte{
		0x0f, 0x05, // syscall
		0xeb, 0xfc, // jmp .-2
	},
	script: func(g *script.Guest) {
		for {
			callAsRegistersSay(g)
		}
	},
}

func callAsRegistersSay(g *script.Guest) {
	r := g.Regs()
	g.Syscall(r.Rax, r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9)
}

// load loads rax from (rdi) and makes a system call, store stores rsi there.
var load = code{
	machine: []byte{
		0x48, 0x8b, 0x07, // mov (%rdi),%rax
		0x0f, 0x05, // syscall
		0xeb, 0xf9, // jmp .-5
	},
	script: func(g *script.Guest) {
		for {
			v := g.Load64(uintptr(g.Regs().Rdi))
			g.Regs().Rax = v
			callAsRegistersSay(g)
		}
	},
}

var store = code{
	machine: []byte{
		0x48, 0x89, 0x37, // mov %rsi,(%rdi)
		0x0f, 0x05, // syscall
		0xeb, 0xf9, // jmp .-5
	},
	script: func(g *script.Guest) {
		for {
			g.Store64(uintptr(g.Regs().Rdi), g.Regs().Rsi)
			callAsRegistersSay(g)
		}
	},
}

// add adds rcx times 1 to the word at (rdi), then makes a system call.
var add = code{
	machine: []byte{
		0xf0, 0xff, 0x07, // lock incl (%rdi)
		0x48, 0xff, 0xc9, // dec %rcx
		0x75, 0xf8, // jnz .-6
		0x0f, 0x05, // syscall
		0xeb, 0xf4, // jmp .-10
	},
	script: func(g *script.Guest) {
		addr := uintptr(g.Regs().Rdi)
		for n := g.Regs().Rcx; n > 0; n-- {
			for old := g.Load32(addr); ; {
				found := g.CompareAndSwap(addr, old, old+1)
				if found == old {
					break
				}
				old = found
			}
		}
		callAsRegistersSay(g)
	},
}

// spin computes for ever.
var spin = code{
	machine: []byte{0xeb, 0xfe}, // jmp .
	script: func(g *script.Guest) {
		for {
			g.Spin()
		}
	},
}

// guest is an address space with a thread of the calling goroutine.
type guest struct {
	t    *testing.T
	p    platform.Platform
	as   platform.AddressSpace
	th   platform.Thread
	regs platform.Registers
	code code
}

// newGuest maps code, a stack and data.
func newGuest(t *testing.T, p platform.Platform, c code) *guest {
	t.Helper()
	as, th, err := p.NewAddressSpace()
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, p: p, as: as, th: th, code: c}
	t.Cleanup(g.close)
	g.mmap(codeAddr, pageSize, readWrite)
	g.write(codeAddr, c.machine)
	g.ok(as.Protect(th, codeAddr, pageSize, linux.PROT_READ|linux.PROT_EXEC))
	g.mmap(stackAddr, pageSize, readWrite)
	g.mmap(dataAddr, dataPages*pageSize, readWrite)
	g.regs.SetPC(g.entry(c))
	g.regs.SetSP(stackAddr + pageSize)
	return g
}

func (g *guest) entry(c code) uintptr {
	if fake, ok := g.p.(*script.Platform); ok {
		return fake.Code(c.script)
	}
	return codeAddr
}

func (g *guest) close() {
	g.th.Close()
	g.as.Close()
}

func (g *guest) ok(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) mmap(addr, length uintptr, prot linux.Prot) {
	g.t.Helper()
	g.ok(g.as.Map(g.th, platform.Mapping{Addr: addr, Length: length, Prot: prot, Flags: linux.MAP_PRIVATE, FD: -1}))
}

func (g *guest) write(addr uintptr, b []byte) {
	g.t.Helper()
	if n, err := g.as.WriteAt(b, addr); err != nil || n != len(b) {
		g.t.Fatalf("WriteAt(%#x, %d bytes) = %d, %v", addr, len(b), n, err)
	}
}

func (g *guest) read(addr uintptr, n int) []byte {
	g.t.Helper()
	b := make([]byte, n)
	if n, err := g.as.ReadAt(b, addr); err != nil || n != len(b) {
		g.t.Fatalf("ReadAt(%#x, %d bytes) = %d, %v", addr, len(b), n, err)
	}
	return b
}

// syscall runs the guest to its next system call, which must be nr.
func (g *guest) syscall(nr uint64) {
	g.t.Helper()
	if ev := g.th.Switch(&g.regs); ev.Kind != platform.Syscall || g.regs.SyscallNumber() != nr {
		g.t.Fatalf("Switch = %+v at %#x, call %d; want call %d", ev, g.regs.PC(), g.regs.SyscallNumber(), nr)
	}
}

// fault runs the guest to a fault.
func (g *guest) fault(signal linux.Signal) platform.Event {
	g.t.Helper()
	ev := g.th.Switch(&g.regs)
	if ev.Kind != platform.Fault || ev.Signal != signal {
		g.t.Fatalf("Switch = %+v at %#x; want a fault with signal %d", ev, g.regs.PC(), signal)
	}
	return ev
}

// soon fails the test if f takes long. F runs on another goroutine.
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

// memfd makes a host file with the given content and closes it after the test.
func memfd(t *testing.T, content string) int {
	t.Helper()
	fd, err := unix.MemfdCreate("platformtest", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.Write(fd, []byte(content)); err != nil {
		t.Fatal(err)
	}
	return fd
}

func wantErr(t *testing.T, what string, err error, want errno.Errno) {
	t.Helper()
	if err != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// Count is how many platforms one Run makes.
func Count() int { return len(cases) }
