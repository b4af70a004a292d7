package script

import (
	"encoding/binary"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// What faults of this platform carry: si_code, the exception number and the
// error code's bits, as an amd64 processor and Linux give them.
const (
	segvMapErr = 1
	segvAccErr = 2
	busAdrErr  = 2

	trapPageFault = 14
	faultWrite    = 1 << 1
	faultUser     = 1 << 2
)

// The size of the floating point state: the legacy area and the header.
const fpSize = 512 + 64

// thread implements platform.Thread.
type thread struct {
	as   *space
	regs platform.Registers // while a program runs, its own

	standing map[uint64]*coroutine // programs standing still, by program counter
	inherits Program               // what runs at the inherited program counter
	inherit  uint64

	forkee Program // what the next child that is made by this thread does

	event     chan platform.Event
	quit      chan struct{}
	interrupt chan struct{}
	fp        []byte
	closed    bool
}

// coroutine is a program that has started.
type coroutine struct {
	resume chan struct{}
}

func (as *space) newThread(inherits Program, pc uint64) *thread {
	return &thread{
		as: as, inherits: inherits, inherit: pc,
		standing:  map[uint64]*coroutine{},
		event:     make(chan platform.Event),
		quit:      make(chan struct{}),
		interrupt: make(chan struct{}, 1),
		fp:        freshFP(),
	}
}

// Fork implements platform.AddressSpace.
func (as *space) Fork(by platform.Thread) (platform.AddressSpace, platform.Thread, error) {
	t, err := ownThread(as, by)
	if err != nil {
		return nil, nil, err
	}
	child := as.fork()
	return child, t.child(child), nil
}

// NewThread implements platform.AddressSpace.
func (as *space) NewThread(by platform.Thread) (platform.Thread, error) {
	t, err := ownThread(as, by)
	if err != nil {
		return nil, err
	}
	return t.child(as), nil
}

func (t *thread) child(as *space) *thread {
	c := as.newThread(t.forkee, t.regs.Rip)
	t.forkee = nil
	c.regs = t.regs
	c.fp = append([]byte(nil), t.fp...)
	return c
}

// Close implements platform.AddressSpace.
func (as *space) Close() {
	as.kill()
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	delete(as.p.spaces, as)
	as.vmas, as.mem = nil, map[uintptr]*page{}
}

func (as *space) kill() { as.deadOnce.Do(func() { close(as.dead) }) }

func (as *space) isDead() bool {
	select {
	case <-as.dead:
		return true
	default:
		return false
	}
}

// Switch implements platform.Thread.
func (t *thread) Switch(regs *platform.Registers) platform.Event {
	if t.closed || t.as.isDead() {
		return platform.Event{Kind: platform.Killed}
	}
	select {
	case <-t.interrupt:
		return platform.Event{Kind: platform.Interrupted}
	default:
	}
	t.regs = *regs
	ev := t.run()
	if ev.Kind != platform.Killed { // then the program may still be running
		*regs = t.regs
	}
	return ev
}

// run continues at the program counter until an event.
func (t *thread) run() platform.Event {
	pc := t.regs.Rip
	if c := t.standing[pc]; c != nil {
		delete(t.standing, pc)
		return t.enter(c)
	}
	// Two bytes before the place where a program stands is the system call
	// instruction that brought it there.
	if c := t.standing[pc+2]; c != nil {
		t.regs.Rip += 2
		t.regs.OrigRax = t.regs.Rax
		return platform.Event{Kind: platform.Syscall}
	}
	if t.inherits != nil && (pc == t.inherit || pc+2 == t.inherit) {
		prog := t.inherits
		t.inherits = nil
		return t.start(prog)
	}
	if prog := t.as.p.program(pc); prog != nil {
		return t.start(prog)
	}
	return platform.Event{
		Kind: platform.Fault, Signal: linux.SIGSEGV, Code: segvMapErr, Addr: uintptr(pc),
		TrapNo: trapPageFault, ErrCode: faultUser,
	}
}

func (t *thread) start(prog Program) platform.Event {
	c := &coroutine{resume: make(chan struct{})}
	g := &Guest{t: t, c: c}
	go func() {
		g.wait()
		prog(g)
		g.ret()
	}()
	return t.enter(c)
}

func (t *thread) enter(c *coroutine) platform.Event {
	c.resume <- struct{}{}
	select {
	case ev := <-t.event:
		if ev.Kind == jump {
			return t.run()
		}
		return ev
	case <-t.as.dead:
		return platform.Event{Kind: platform.Killed}
	}
}

// Interrupt implements platform.Thread.
func (t *thread) Interrupt() {
	select {
	case t.interrupt <- struct{}{}:
	default:
	}
}

// FPState implements platform.Thread.
func (t *thread) FPState() ([]byte, error) { return t.fp, nil }

// SetFPState implements platform.Thread.
func (t *thread) SetFPState(state []byte) error {
	if len(state) == 0 {
		t.fp = freshFP()
		return nil
	}
	const mxcsr, reserved = 24, 0xffff0000
	if len(state) < 512 || binary.NativeEndian.Uint32(state[mxcsr:])&reserved != 0 {
		return errno.EINVAL
	}
	t.fp = append([]byte(nil), state[:min(len(state), fpSize)]...)
	return nil
}

func freshFP() []byte {
	fp := make([]byte, fpSize)
	binary.NativeEndian.PutUint16(fp, 0x37f)       // the x87 control word
	binary.NativeEndian.PutUint32(fp[24:], 0x1f80) // MXCSR
	fp[512] = 3                                    // x87 and SSE are present
	return fp
}

// Close implements platform.Thread.
func (t *thread) Close() {
	if t.closed {
		return
	}
	t.closed = true
	close(t.quit)
}

// jump is the event of a program that went on elsewhere; Switch never returns it.
const jump platform.EventKind = -1

// Guest is the processor as a Program sees it. Its methods may be called only
// by the program that it was passed to, on that goroutine; they do not return
// once the thread is closed.
type Guest struct {
	t *thread
	c *coroutine
}

// Regs are the registers, to read and to change between two events.
func (g *Guest) Regs() *platform.Registers { return &g.t.regs }

// Syscall makes a system call and returns what it leaves in the result
// register.
func (g *Guest) Syscall(nr uint64, args ...uint64) uint64 {
	r := &g.t.regs
	for i, p := range []*uint64{&r.Rdi, &r.Rsi, &r.Rdx, &r.R10, &r.R8, &r.R9} {
		*p = 0
		if i < len(args) {
			*p = args[i]
		}
	}
	r.OrigRax = nr
	r.Rax = nosys
	g.stop(platform.Event{Kind: platform.Syscall})
	return r.Rax
}

const nosys = ^uint64(errno.ENOSYS) + 1

// SyscallChild is Syscall for a call that makes a child, which runs the given
// program where the caller returns from the call.
func (g *Guest) SyscallChild(child Program, nr uint64, args ...uint64) uint64 {
	g.t.forkee = child
	defer func() { g.t.forkee = nil }()
	return g.Syscall(nr, args...)
}

// Load reads memory, Store writes it. What is not there is a fault, and the
// access is tried again when the kernel continues the program.
func (g *Guest) Load(b []byte, addr uintptr)  { g.access(b, addr, toRead) }
func (g *Guest) Store(b []byte, addr uintptr) { g.access(b, addr, toWrite) }

// Load32, Load64, Store32 and Store64 are Load and Store of one word.
func (g *Guest) Load32(addr uintptr) uint32 {
	var b [4]byte
	g.Load(b[:], addr)
	return binary.NativeEndian.Uint32(b[:])
}

func (g *Guest) Load64(addr uintptr) uint64 {
	var b [8]byte
	g.Load(b[:], addr)
	return binary.NativeEndian.Uint64(b[:])
}

func (g *Guest) Store32(addr uintptr, v uint32) {
	g.Store(binary.NativeEndian.AppendUint32(nil, v), addr)
}

func (g *Guest) Store64(addr uintptr, v uint64) {
	g.Store(binary.NativeEndian.AppendUint64(nil, v), addr)
}

// CompareAndSwap is the processor's instruction on a 32-bit word; it returns
// what it found.
func (g *Guest) CompareAndSwap(addr uintptr, old, new uint32) uint32 {
	for {
		found, err := g.t.as.compareAndSwap(addr, old, new)
		if err == nil {
			return found
		}
		g.Store32(addr, g.Load32(addr)) // for the fault
	}
}

// Raise makes Switch return the event; the program goes on at the next Switch.
func (g *Guest) Raise(ev platform.Event) { g.stop(ev) }

// Spin computes until the thread is interrupted and continued.
func (g *Guest) Spin() {
	select {
	case <-g.t.interrupt:
		g.stop(platform.Event{Kind: platform.Interrupted})
	case <-g.t.quit:
		runtime.Goexit()
	}
}

func (g *Guest) access(b []byte, addr uintptr, a access) {
	for len(b) > 0 {
		n := min(len(b), int(pageSize-addr%pageSize))
		g.t.as.p.mu.Lock()
		ev, ok := g.t.as.touchLocked(b[:n], addr, a)
		g.t.as.p.mu.Unlock()
		if !ok {
			g.stop(ev)
			continue
		}
		b, addr = b[n:], addr+uintptr(n)
	}
}

// stop gives the event to Switch and waits until the program is continued.
func (g *Guest) stop(ev platform.Event) {
	token := g.t.as.p.newToken()
	g.t.regs.Rip = token
	if ev.Kind == platform.Syscall {
		g.t.regs.Rcx, g.t.regs.R11 = token, g.t.regs.Eflags
	} else {
		g.t.regs.OrigRax = ^uint64(0)
	}
	g.t.standing[token] = g.c
	g.send(ev)
	g.wait()
}

// ret is the end of a program: it returns to the address on the guest's stack.
func (g *Guest) ret() {
	g.t.regs.Rip = g.Load64(g.t.regs.SP())
	g.t.regs.Rsp += 8
	g.send(platform.Event{Kind: jump})
}

func (g *Guest) send(ev platform.Event) {
	select {
	case g.t.event <- ev:
	case <-g.t.quit:
		runtime.Goexit()
	}
}

func (g *Guest) wait() {
	select {
	case <-g.c.resume:
	case <-g.t.quit:
		runtime.Goexit()
	}
}

// closeWhenUnused and keepAlive tie the descriptor of a backing to its life.
func closeWhenUnused(k *backing) {
	runtime.AddCleanup(k, func(fd int) { unix.Close(fd) }, k.fd)
}

func keepAlive(k *backing) { runtime.KeepAlive(k) }
