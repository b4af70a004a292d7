package trap

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// thread implements platform.Thread.
type thread struct {
	as     *space
	number int // of its area
	area   *area
	tid    int
	closed bool // set by the owner

	// Interrupt sets wanted and then looks at Running; Switch sets Running
	// and then looks at wanted. One of them sees the other.
	wanted atomic.Bool

	// begun says that the stub has answered once.
	begun atomic.Bool

	// interrupts counts what Interrupt asked for; overdue says that a timer
	// looks whether the guest heeds it.
	interrupts atomic.Uint32
	overdue    atomic.Bool

	// last are the registers as Switch returned them last; byCall says that
	// the stub waits behind a call that came by a trampoline, so that no
	// more than a result has to be loaded if nothing else was changed.
	last   platform.Registers
	byCall bool
	// pc is where the guest's own code was when the stub reported, moves that
	// of patches then.
	pc    uint64
	moves uint32

	// owned says that the owner is locked to its host thread.
	owned  bool
	placed stub.Placed
	spin   spinning

	transfer transfer

	fp []byte
}

// address is where the area lies in the stub, dataAddress its part for data.
func (t *thread) address() uint64 { return areaStart + uint64(t.number)*areaSize }
func (t *thread) dataAddress() uint64 {
	return t.address() + dataOffset
}

// prepare makes the area ready for the stub to wait in.
func (t *thread) prepare() {
	a := t.area
	a.turn = 1
	a.spin, a.sentryCPU = stubSpins, noCPU // what it is to do comes soon
	a.fetch = fetchTable
	a.altStack.sp = t.address() + stackOffset
	a.altStack.size = areaSize - stackOffset
	t.byCall = false
}

// noCPU is the number of no processor.
const noCPU = 0xffff

// Switch implements platform.Thread.
func (t *thread) Switch(regs *platform.Registers) platform.Event {
	if t.closed || t.as.dead.Load() {
		return t.killed()
	}
	t.own()
	p := &t.as.patches
	for {
		t.placed.Running.Store(true)
		if p.busy.Load() != 0 {
			p.pass(t)
			continue
		}
		if t.wanted.Load() && t.wanted.CompareAndSwap(true, false) {
			p.left(t)
			return platform.Event{Kind: platform.Interrupted}
		}
		command, ok := t.load(regs)
		if !ok {
			p.left(t)
			return platform.Event{Kind: platform.Fault, Signal: linux.SIGSEGV, Code: siKernel, TrapNo: trapGeneralProtection}
		}
		t.area.deliveries = uint32(t.transfer.pending)
		t.transfer.pending, t.transfer.used = 0, 0
		t.handOver(command)
		alive := t.await()
		t.transfer.fetched = false
		if !t.begun.Load() {
			t.begun.Store(true)
		}
		t.locate()
		p.left(t)
		if !alive {
			return t.killed()
		}
		if ev, ok := t.event(regs); ok {
			return ev
		}
	}
}

// load puts the registers where the stub finds them and says how it is to go
// on. False: no processor accepts them.
func (t *thread) load(regs *platform.Registers) (command uint32, ok bool) {
	a := t.area
	if t.byCall && t.moves == t.as.patches.moves.Load() {
		t.last.Rax, t.last.OrigRax = regs.Rax, regs.OrigRax
		if t.last == *regs {
			a.regs.Rax = regs.Rax
			return commandReturn, true
		}
	}
	t.byCall = false
	want := *regs
	want.Cs, want.Ss = stub.UserCS, stub.UserSS
	want.Eflags = want.Eflags&userEflags | stub.CleanEflags
	want.OrigRax = stub.NoSyscall
	if !canonical(want.Rip) || !canonical(want.FsBase) || !canonical(want.GsBase) {
		return 0, false
	}
	if want.GsBase == 0 {
		want.GsBase = t.address()
	}
	want.Rip = t.as.patches.resume(want.Rip, want.Eflags&trapFlag != 0)
	a.regs = want
	return commandResume, true
}

// userEflags are the flags that a guest may have: those that Linux lets a
// signal handler's return set.
const (
	userEflags = 0x50dd5
	trapFlag   = 0x100
)

func canonical(addr uint64) bool { return addr < 1<<47 }

// locate finds where the guest is, while trampolines cannot go away.
func (t *thread) locate() {
	p := &t.as.patches
	t.pc, t.moves = p.original(t.area.regs.Rip), p.moves.Load()
}

// event says what the stub reports, or that it means nothing to the guest.
func (t *thread) event(regs *platform.Registers) (platform.Event, bool) {
	a := t.area
	kind := atomic.LoadUint32(&a.event)
	switch kind {
	case eventCall:
		t.callEvent(regs)
		return platform.Event{Kind: platform.Syscall}, true
	case eventSignal, eventInterrupted:
	case eventLate:
		failed := int64(errno.EFAULT)
		regs.SetReturn(uint64(-failed))
		return platform.Event{}, false
	default:
		t.as.kill()
		return t.killed(), true
	}
	*regs = a.regs
	regs.Cs, regs.Ss, regs.OrigRax = stub.UserCS, stub.UserSS, stub.NoSyscall
	t.virtualGS(regs)
	regs.Rip = t.pc
	if kind == eventInterrupted {
		return t.interrupted()
	}
	return t.signalEvent(regs)
}

// virtualGS takes the area's address out of the registers.
func (t *thread) virtualGS(regs *platform.Registers) {
	if regs.GsBase == t.address() {
		regs.GsBase = 0
	}
	regs.Ds, regs.Es, regs.Fs, regs.Gs = 0, 0, 0, 0
}

func (t *thread) interrupted() (platform.Event, bool) {
	return platform.Event{Kind: platform.Interrupted}, t.wanted.CompareAndSwap(true, false)
}

// callEvent reads a call that came by a trampoline.
func (t *thread) callEvent(regs *platform.Registers) {
	a := t.area
	*regs = a.regs
	const arithmetic, of = 0xd5, 0x800
	packed := a.packed
	flags := a.flags&^(arithmetic|of) | packed>>40&arithmetic | packed>>32&1<<11
	flags = flags&userEflags | stub.CleanEflags
	regs.OrigRax = packed & 0xffff_ffff
	regs.Rax = regs.OrigRax
	regs.Cs, regs.Ss = stub.UserCS, stub.UserSS
	regs.Eflags, regs.R11 = flags, flags
	regs.GsBase = t.address()
	t.virtualGS(regs)
	// For the way back, and for a kick on it.
	a.regs.Eflags, a.regs.R11 = flags, flags
	a.regs.Rcx = regs.Rip
	a.regs.GsBase = t.address()
	regs.Rip = t.pc
	regs.Rcx = regs.Rip
	t.transfer.fetched = true
	t.byCall = true
	t.last = *regs
}

const auditArchX8664 = 0xc000003e

// signalEvent says what a signal that the stub took means.
func (t *thread) signalEvent(regs *platform.Registers) (platform.Event, bool) {
	a := t.area
	signal := linux.Signal(a.signo)
	code := a.code
	if code <= 0 && signal != linux.Signal(kick) {
		return platform.Event{}, false // sent by a process of the host
	}
	switch signal {
	case linux.Signal(kick):
		return t.interrupted()
	case linux.SIGSYS:
		call := a.call
		if call>>32 != auditArchX8664 {
			regs.Rip -= 2 // the length of int $0x80
			return platform.Event{Kind: platform.Fault, Signal: linux.SIGSEGV, Code: siKernel, TrapNo: trapGeneralProtection}, true
		}
		regs.OrigRax = regs.Rax
		if t.as.p.patches {
			t.as.patches.hit(t, regs.Rip-syscallLength, regs.OrigRax)
		}
		return platform.Event{Kind: platform.Syscall}, true
	case linux.SIGSEGV, linux.SIGBUS, linux.SIGILL, linux.SIGFPE, linux.SIGTRAP:
		ev := platform.Event{Kind: platform.Fault, Signal: signal, Code: code, TrapNo: a.trapno & 0xff, ErrCode: a.err & 0xffff}
		if code != siKernel {
			ev.Addr = uintptr(a.addr)
		}
		return ev, true
	}
	return platform.Event{}, false
}

const (
	trapGeneralProtection = 13

	siKernel = 0x80
)

// Answer implements platform.Answerer.
func (t *thread) Answer(answers *platform.Answers) {
	a := t.area
	clear(a.fast[:])
	if answers == nil || !t.as.p.answers {
		return
	}
	for i, nr := range answers.Calls {
		kind := fastConstant + i
		if nr < fastCalls && kind < len(a.answers) {
			a.answers[kind] = answers.Values[i]
			a.fast[nr] = uint8(kind)
		}
	}
	if nr := answers.Futex; nr > 0 && nr < fastCalls {
		a.waiterTable = t.as.first.address() + uint64(unsafe.Offsetof(a.waiters))
		a.fast[nr] = fastFutex
	}
	if answers.Yield < fastCalls {
		a.fast[answers.Yield] = fastYield
	}
}

// Waiters implements platform.WaiterCounter.
func (as *space) Waiters(addr uintptr) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&as.first.area.waiters[addr/4%waiterWords]))
}

// killed notes that the address space is gone.
func (t *thread) killed() platform.Event {
	t.as.kill()
	return platform.Event{Kind: platform.Killed}
}

// Interrupt implements platform.Thread.
func (t *thread) Interrupt() {
	if t.wanted.Swap(true) {
		return
	}
	t.interrupts.Add(1)
	if !t.placed.Running.Load() {
		return
	}
	if t.overdue.CompareAndSwap(false, true) {
		t.heed(t.interrupts.Load(), false)
	}
	t.as.life.Lock()
	defer t.as.life.Unlock()
	t.kickLocked()
}

// interruptLimit is how long a guest may take to leave after a kick, twice: one
// that does not has spoiled its stub, which must not keep its owner.
const interruptLimit = time.Minute

// heed looks later whether the n-th interrupt has been heeded, and ends the
// space if not. Again: it looked once already. (Once, the thread may just be
// about to see it.)
func (t *thread) heed(n uint32, again bool) {
	time.AfterFunc(t.as.p.patience, func() {
		stuck := func() bool { return t.wanted.Load() && t.placed.Running.Load() }
		now := t.interrupts.Load()
		switch {
		case stuck() && now == n && again:
			t.as.kill()
		case stuck():
			t.heed(now, now == n)
		default:
			t.overdue.Store(false)
			if stuck() && t.overdue.CompareAndSwap(false, true) {
				t.heed(t.interrupts.Load(), false)
			}
		}
	})
}

// kickLocked stops the thread, if the guest runs. A stub that cannot take a
// signal yet sees kicked on its first way into the guest: it sets begun and then
// looks at kicked, here it is the reverse.
func (t *thread) kickLocked() {
	if t.as.reaped {
		return
	}
	if !t.begun.Load() {
		atomic.StoreUint32(&t.area.kicked, 1)
		if atomic.LoadUint32(&t.area.begun) == 0 {
			return
		}
	}
	host.Tgkill(int(t.as.pid.Load()), t.tid, kick)
}

// commandLimit is how long a stub may take for what the Sentry tells it: one
// that takes longer has been taken over by its guest.
const commandLimit = 2 * time.Minute

// command has the stub, which waits, do something.
func (t *thread) command(command uint32, args ...uint64) (uint64, error) {
	if t.as.dead.Load() {
		return 0, errno.ESRCH
	}
	a := t.area
	copy(a.args[:], args)
	a.event = eventCall
	t.handOver(command)
	if !t.awaitCommand() {
		return 0, errno.ESRCH
	}
	// The registers that it holds are not the guest's any more.
	if a.event == eventBroken {
		t.as.kill()
		return 0, errno.ESRCH
	}
	return stub.CallResult(a.result)
}

func (t *thread) syscall(nr uint64, args ...uint64) (uint64, error) {
	var all [7]uint64
	all[0] = nr
	copy(all[1:], args)
	return t.command(commandSyscall, all[:]...)
}

// mapFile has the stub map a file. space.mu is held: all threads of a stub
// receive descriptors at the same number.
func (t *thread) mapFile(fd int, addr, length, prot, flags, offset uint64) (uint64, error) {
	p := t.as.p
	if t.as.process() == 0 {
		return 0, errno.ESRCH
	}
	p.mu.Lock()
	p.files[uint32(t.tid)] = fd
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.files, uint32(t.tid))
		p.mu.Unlock()
	}()
	return t.command(commandMapFile, 0, addr, length, prot, flags, 0, offset)
}

// FPState implements platform.Thread.
func (t *thread) FPState() ([]byte, error) {
	if t.closed {
		return nil, errno.ESRCH
	}
	clear(t.area.fp[:stub.LegacyState+stub.StateHeader])
	if _, err := t.command(commandXSave, 0); err != nil {
		return nil, err
	}
	size := t.as.p.stateSize
	if t.fp == nil {
		t.fp = make([]byte, size)
	}
	copy(t.fp, t.area.fp[:size])
	const components = 464
	binary.LittleEndian.PutUint64(t.fp[components:], t.as.p.features)
	return t.fp, nil
}

// SetFPState implements platform.Thread.
func (t *thread) SetFPState(state []byte) error {
	if t.closed {
		return errno.ESRCH
	}
	if len(state) == 0 {
		state = t.as.p.fresh
	}
	if len(state) < stub.LegacyState {
		return errno.EINVAL
	}
	area := t.area.fp[:]
	clear(area[:len(t.as.p.fresh)])
	if len(state) < stub.LegacyState+stub.StateHeader {
		// Only the old registers: the others stay.
		if _, err := t.command(commandXSave, 0); err != nil {
			return err
		}
		const x87, sse = 1, 2
		copy(area, state[:stub.LegacyState])
		area[stub.LegacyState] |= x87 | sse
	} else {
		copy(area, state[:min(len(state), len(t.as.p.fresh))])
	}
	if _, err := t.command(commandXRestore, 0); err != nil {
		if err == errno.EFAULT {
			err = errno.EINVAL
		}
		return err
	}
	return nil
}

// revive makes a parked thread one with the state of by. space.mu is held.
func (t *thread) revive(by *thread) error {
	state, err := by.FPState()
	if err != nil {
		return err
	}
	t.closed = false
	t.wanted.Store(false)
	t.byCall = false
	t.transfer = transfer{}
	if err := t.SetFPState(state); err != nil {
		t.closed = true
		return err
	}
	t.as.life.Lock()
	defer t.as.life.Unlock()
	t.as.open++
	return nil
}

// Close implements platform.Thread. The host's thread waits to be used again; it
// ends with its process.
func (t *thread) Close() {
	if t.closed {
		return
	}
	t.closed = true
	t.as.p.placement.Leave(&t.placed)
	t.placed.Stub = 0
	t.spin = spinning{}
	if t.owned {
		t.owned = false
		runtime.UnlockOSThread()
	}
	t.as.p.count(-1)
	t.as.mu.Lock()
	if !t.as.dead.Load() {
		t.as.parked = append(t.as.parked, t)
	}
	t.as.mu.Unlock()
	t.as.life.Lock()
	defer t.as.life.Unlock()
	t.as.open--
	t.as.releaseLocked()
}
