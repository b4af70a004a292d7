package ptrace

import (
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// kick is the signal that stops a running stub thread. The host ignores it in
// a thread that nobody traces.
const kick = unix.SIGURG

// thread implements platform.Thread.
type thread struct {
	stub.Tracee
	as     *space
	leader bool // the first thread of its host process, and the only one
	owned  bool // by the calling goroutine, which traces it
	closed bool // set by the owner

	// Interrupt sets wanted and then looks at Running; Switch sets Running
	// and then looks at wanted. One of them sees the other.
	wanted atomic.Bool

	// gone keeps Interrupt away from a tid that is no longer ours.
	mu   sync.Mutex
	gone bool

	placed stub.Placed
	fp     []byte
}

// own makes the calling goroutine the thread's owner. ESRCH: it has ended.
func (t *thread) own() error {
	if t.Dead || t.closed {
		return errno.ESRCH
	}
	if t.owned {
		return nil
	}
	runtime.LockOSThread()
	t.owned = true
	// Pinned first: the stop is a hand-over between the two already.
	t.as.p.placement.Pin(&t.placed)
	if err := t.Seize(); err != nil {
		// Not traced: whoever kills the process ends it.
		t.Dead = true
		return err
	}
	return nil
}

// Switch implements platform.Thread.
func (t *thread) Switch(regs *platform.Registers) platform.Event {
	if t.own() != nil || t.as.dead.Load() {
		return t.killed()
	}
	t.as.p.placement.Enter(&t.placed)
	for {
		if ev, ok := t.resume(regs); !ok {
			return ev
		}
		status, err := t.Wait()
		t.placed.Running.Store(false)
		if err != nil {
			return t.killed()
		}
		if err := host.PtraceGetRegs(t.TID, stub.UserRegs(&t.Regs)); err != nil {
			t.Lost(err)
			return t.killed()
		}
		t.Stale = false
		*regs = t.Regs
		if ev, ok := t.event(status, regs); ok {
			return ev
		}
	}
}

// resume lets the guest run with *regs. If it cannot, it returns the event
// that says why.
func (t *thread) resume(regs *platform.Registers) (platform.Event, bool) {
	if ev, ok := t.load(regs); !ok {
		return ev, false
	}
	t.placed.Running.Store(true)
	if t.wanted.Load() && t.wanted.CompareAndSwap(true, false) {
		t.placed.Running.Store(false)
		return platform.Event{Kind: platform.Interrupted}, false
	}
	if err := host.PtraceSysemu(t.TID); err != nil {
		t.placed.Running.Store(false)
		t.Lost(err)
		return t.killed(), false
	}
	return platform.Event{}, true
}

// load gives the host the registers, if it does not have them.
func (t *thread) load(regs *platform.Registers) (platform.Event, bool) {
	want := *regs
	// The host restarts a system call of its own making when it sees one
	// that failed with certain numbers; there is none here.
	want.OrigRax = stub.NoSyscall
	// The kernel may have read these from a signal frame. Other selectors
	// than the host's are never right in a 64-bit process.
	if want.Cs != stub.UserCS32 {
		want.Cs = stub.UserCS
	}
	want.Ss = stub.UserSS
	if !t.Stale && onlyResultDiffers(&want, &t.Regs) {
		if err := host.PtracePokeUser(t.TID, regRax, want.Rax); err != nil {
			t.Lost(err)
			return t.killed(), false
		}
		return platform.Event{}, true
	}
	switch err := host.PtraceSetRegs(t.TID, stub.UserRegs(&want)); err {
	case nil:
		return platform.Event{}, true
	case errno.EIO:
		// A segment register or base that no processor accepts.
		t.Stale = true
		return platform.Event{Kind: platform.Fault, Signal: linux.SIGSEGV, Code: siKernel, TrapNo: trapGeneralProtection}, false
	default:
		t.Lost(err)
		return t.killed(), false
	}
}

// regRax is the place of rax in struct user_regs_struct.
const regRax = 10

// onlyResultDiffers says that loading want needs no more than setting rax in a
// thread that has have. The host takes some results for a request to restart;
// with those it must also learn that there is no system call.
func onlyResultDiffers(want, have *platform.Registers) bool {
	if want.Rax >= ^uint64(530) && want.Rax < ^uint64(500) {
		return false
	}
	same := *have
	same.Rax, same.OrigRax = want.Rax, want.OrigRax
	return same == *want
}

// event says what a stop means, or that it means nothing to the guest.
func (t *thread) event(status unix.WaitStatus, regs *platform.Registers) (platform.Event, bool) {
	signal := status.StopSignal()
	if signal == stub.SyscallStop {
		return t.syscallEvent(regs), true
	}
	regs.OrigRax = stub.NoSyscall
	if int(status)>>16 != 0 {
		return platform.Event{}, false
	}
	if signal == kick {
		if t.wanted.CompareAndSwap(true, false) {
			return platform.Event{Kind: platform.Interrupted}, true
		}
		return platform.Event{}, false
	}
	var info host.SigInfo
	if err := host.PtraceGetSigInfo(t.TID, &info); err != nil {
		t.Lost(err)
		return t.killed(), true
	}
	if info.Code <= 0 {
		return platform.Event{}, false // sent by a process of the host
	}
	switch signal {
	case unix.SIGSYS:
		// A call through the vsyscall page; the host has done the return.
		regs.OrigRax = uint64(info.Syscall)
		return platform.Event{Kind: platform.Syscall}, true
	case unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGFPE, unix.SIGTRAP:
		ev := faultEvent(linux.Signal(signal), &info)
		if ev.TrapNo == trapPage {
			ev.ErrCode |= t.accessKind(&ev)
		}
		return ev, true
	}
	return platform.Event{}, false
}

const auditArchX8664 = 0xc000003e

// syscallEvent tells a 64-bit system call, which leaves its return address in
// rcx and the flags in r11, from the 32-bit entries, which a Linux without
// 32-bit emulation does not have.
func (t *thread) syscallEvent(regs *platform.Registers) platform.Event {
	if regs.Cs == stub.UserCS && regs.Rcx == regs.Rip && regs.R11 == regs.Eflags {
		return platform.Event{Kind: platform.Syscall}
	}
	arch, err := host.PtraceSyscallArch(t.TID)
	if err != nil {
		t.Lost(err)
		return t.killed()
	}
	if arch == auditArchX8664 && regs.Cs == stub.UserCS {
		return platform.Event{Kind: platform.Syscall}
	}
	regs.Rip -= 2 // the length of int $0x80
	regs.Rax = regs.OrigRax
	regs.OrigRax = stub.NoSyscall
	return platform.Event{Kind: platform.Fault, Signal: linux.SIGSEGV, Code: siKernel, TrapNo: trapGeneralProtection}
}

// Numbers of exceptions, and si_code of faults that have no address.
const (
	trapDivide            = 0
	trapDebug             = 1
	trapBreakpoint        = 3
	trapInvalidOpcode     = 6
	trapStack             = 12
	trapGeneralProtection = 13
	trapPage              = 14
	trapX87               = 16
	trapAlignment         = 17
	trapSIMD              = 19

	siKernel = 0x80
)

// accessKind finds out for a page fault's error code what the host does not
// tell a tracer either: a fault at the program counter is a fetch, and one on a
// page that can be read a write. Elsewhere a write looks like a read.
func (t *thread) accessKind(ev *platform.Event) uint64 {
	const pfPresent, pfWrite, pfFetch = 1, 2, 16
	if uint64(ev.Addr) == t.Regs.Rip {
		return pfFetch
	}
	var b [1]byte
	if ev.ErrCode&pfPresent == 0 || bounds.Within(ev.Addr, 1) == 0 {
		return 0
	}
	if _, err := host.ReadProcess(t.as.pid, b[:], ev.Addr); err != nil {
		return 0
	}
	return pfWrite
}

// faultEvent derives from the signal what the host does not tell a tracer: the
// exception.
func faultEvent(signal linux.Signal, info *host.SigInfo) platform.Event {
	const (
		segvAccErr, segvPkuErr  = 2, 4
		busAdrAln               = 1
		trapTrace               = 2
		fpeIntDiv, fpeIntOvf    = 1, 2
		pfPresent, pfUser, pfPK = 1, 4, 32
	)
	ev := platform.Event{Kind: platform.Fault, Signal: signal, Code: info.Code, Addr: uintptr(info.Addr)}
	switch signal {
	case linux.SIGSEGV, linux.SIGBUS:
		ev.TrapNo, ev.ErrCode = trapPage, pfUser
		switch {
		case info.Code == siKernel:
			ev.TrapNo, ev.ErrCode, ev.Addr = trapGeneralProtection, 0, 0
		case signal == linux.SIGBUS && info.Code == busAdrAln:
			ev.TrapNo, ev.ErrCode = trapAlignment, 0
		case signal == linux.SIGSEGV && info.Code == segvAccErr:
			ev.ErrCode |= pfPresent
		case signal == linux.SIGSEGV && info.Code == segvPkuErr:
			ev.ErrCode |= pfPresent | pfPK
		}
	case linux.SIGILL:
		ev.TrapNo = trapInvalidOpcode
	case linux.SIGTRAP:
		ev.TrapNo = trapBreakpoint
		if info.Code == trapTrace {
			ev.TrapNo = trapDebug
		}
	case linux.SIGFPE:
		ev.TrapNo = trapSIMD
		if info.Code == fpeIntDiv || info.Code == fpeIntOvf {
			ev.TrapNo = trapDivide
		}
	}
	return ev
}

// killed notes that the address space is gone.
func (t *thread) killed() platform.Event {
	t.as.dead.Store(true)
	t.as.kill()
	return platform.Event{Kind: platform.Killed}
}

// Interrupt implements platform.Thread.
func (t *thread) Interrupt() {
	if t.wanted.Swap(true) {
		return
	}
	if !t.placed.Running.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.gone {
		// It fails only when the thread has ended; then Switch returns.
		host.Tgkill(t.as.pid, t.TID, kick)
	}
}

// FPState implements platform.Thread.
func (t *thread) FPState() ([]byte, error) {
	if err := t.own(); err != nil {
		return nil, err
	}
	if t.fp == nil {
		t.fp = make([]byte, stub.MaxState)
	}
	n, err := host.PtraceGetRegSet(t.TID, host.RegSetXState, t.fp[:cap(t.fp)])
	if err != nil {
		return nil, t.Lost(err)
	}
	return t.fp[:min(n, t.as.p.stateSize)], nil
}

// SetFPState implements platform.Thread.
func (t *thread) SetFPState(state []byte) error {
	if err := t.own(); err != nil {
		return err
	}
	if len(state) == 0 {
		state = t.as.p.freshFP
	}
	if len(state) < stub.LegacyState {
		return errno.EINVAL
	}
	set := host.RegSetXState
	switch size := len(t.as.p.freshFP); {
	case len(state) < stub.LegacyState+stub.StateHeader:
		set, state = host.RegSetFP, state[:stub.LegacyState]
	case len(state) > size:
		state = state[:size]
	case len(state) < size:
		state = append(append(make([]byte, 0, size), state...), make([]byte, size-len(state))...)
	}
	if err := host.PtraceSetRegSet(t.TID, set, state); err != nil {
		if err = t.Lost(err); err != errno.ESRCH {
			err = errno.EINVAL
		}
		return err
	}
	return nil
}

// Close implements platform.Thread.
func (t *thread) Close() {
	if t.closed {
		return
	}
	t.mu.Lock()
	t.gone = true
	t.mu.Unlock()
	if t.owned {
		t.as.p.placement.Leave(&t.placed)
	}
	if t.leader {
		t.park()
	} else {
		t.exit()
	}
	if t.owned {
		runtime.UnlockOSThread()
	}
	t.closed = true
	t.as.threadClosed()
}

// cloneSibling makes another thread of the process.
func (t *thread) cloneSibling() (int, error) {
	if t.leader {
		if err := t.abdicate(); err != nil {
			return 0, err
		}
	}
	return clone(&t.Tracee, cloneThread)
}

// abdicate moves the guest thread from the first thread of its process to a new
// one, a copy, and parks the first. In a process with several threads the
// first must not run a guest: the host does not report its end to its tracer
// before all others are reaped, so if the process were killed while their
// owners are busy in the Sentry, Switch would not return.
func (t *thread) abdicate() error {
	tid, err := clone(&t.Tracee, cloneThread)
	if err != nil {
		return err
	}
	heir := stub.Tracee{TID: tid, Image: image}
	if err := heir.Seize(); err != nil {
		return errno.ESRCH // killed; the next Switch says so
	}
	t.park()
	t.as.p.placement.Replace(&t.placed, func() {
		t.placed.Stub = tid
		t.mu.Lock()
		defer t.mu.Unlock()
		t.Tracee = heir
		t.leader = false
	})
	return nil
}

// park lets the first thread of a process wait for the end of the others,
// because the host finds the memory of a process only through it.
func (t *thread) park() {
	if !t.owned || t.Dead {
		return
	}
	regs := platform.Registers{Rip: entry(doPark), Cs: stub.UserCS, Ss: stub.UserSS, Eflags: stub.CleanEflags, OrigRax: stub.NoSyscall}
	if host.PtraceSetRegs(t.TID, stub.UserRegs(&regs)) == nil {
		// A failure means that it was killed; the space reaps it.
		host.PtraceDetach(t.TID)
	}
}

// exit ends a thread and reaps it.
func (t *thread) exit() {
	if t.own() != nil {
		return
	}
	regs := platform.Registers{Rip: entry(doExit), Cs: stub.UserCS, Ss: stub.UserSS, Eflags: stub.CleanEflags, OrigRax: stub.NoSyscall}
	if err := host.PtraceSetRegs(t.TID, stub.UserRegs(&regs)); err == nil {
		host.PtraceCont(t.TID)
	}
	for !t.Dead {
		if _, err := t.Wait(); err == nil {
			host.PtraceCont(t.TID)
		}
	}
}
