// Package platform is the edge to untrusted code: it runs the threads of the
// workload and hands every system call, fault and trap to the Sentry.
//
// A Platform makes address spaces; an AddressSpace holds pages; a Thread runs
// guest instructions in one. The Sentry's mm keeps the list of mappings (what,
// where, which rights, backed by what); the pages themselves are the
// platform's: demand paging, copy-on-write after fork and file mappings are
// done by whoever is below this interface, at its own speed. On ptrace and
// trap an address space is a host process (a stub), and its private anonymous
// memory is that process's own; on kvm the package keeps page tables.
//
// Rules for every implementation:
//   - Everything a guest can write (registers, memory, shared pages) is
//     hostile. The worst a guest can do is to lose its own address space:
//     then Switch returns Killed and every other method an error.
//   - A guest never gets more rights over a mapped file than the descriptor
//     that is passed to Map has.
//   - Methods return errno.Errno values and never panic for what a guest did.
//   - No method but Switch and those that say so may block for long.
//
// Mapping operations take the Thread that carries them out: it belongs to the
// calling goroutine and runs in that address space. On ptrace this is what
// lets the caller's own host thread do the work without a hand-over.
//
// Locks: implementations take their own and never call up into the Sentry.
package platform

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// Platform makes address spaces.
type Platform interface {
	// Name is what --platform calls it.
	Name() string

	// Layout tells which addresses a guest may use and what is mapped in
	// every address space from the start.
	Layout() Layout

	// NewAddressSpace makes an empty address space, as execve needs it, with
	// one thread in it, not yet run. The thread's registers are zero.
	NewAddressSpace() (AddressSpace, Thread, error)

	// Close ends every address space and gives back all host resources.
	Close()
}

// Layout describes the address space that a platform offers.
type Layout struct {
	Min, Max uintptr // guest mappings lie in [Min, Max)

	// VDSO and VVar are the host's own vDSO and its data pages, mapped in
	// each new address space. Either may be empty. The guest may unmap them.
	VDSO, VVar Range
}

// Range is [Start, End), both page-aligned.
type Range struct{ Start, End uintptr }

// Len is the length in bytes.
func (r Range) Len() uintptr { return r.End - r.Start }

// AddressSpace is a set of pages. All methods may be called from any
// goroutine; those with a `by Thread` only by the goroutine that owns it.
type AddressSpace interface {
	// Map maps length bytes at addr, replacing what is there. FD is -1 for
	// anonymous memory. Flags holds MAP_SHARED or MAP_PRIVATE and hints such
	// as MAP_NORESERVE, MAP_GROWSDOWN is never passed.
	Map(by Thread, m Mapping) error

	// Unmap removes all pages of the range.
	Unmap(by Thread, addr, length uintptr) error

	// Protect changes the rights of the range.
	Protect(by Thread, addr, length uintptr, prot linux.Prot) error

	// Move moves (and resizes) pages as mremap with MREMAP_FIXED does; with
	// MREMAP_DONTUNMAP in flags the old range stays, empty. With new equal to
	// old it resizes in place, or fails with ENOMEM; what lies behind is free.
	// With oldLength 0, shared pages at old come to be at new as well.
	Move(by Thread, old, oldLength, new, newLength uintptr, flags int) error

	// Advise is madvise; advice that discards data acts on the pages.
	Advise(by Thread, addr, length uintptr, advice int) error

	// Fork makes a copy-on-write copy with one thread, whose registers and
	// floating point state are a copy of by's.
	Fork(by Thread) (AddressSpace, Thread, error)

	// NewThread adds a thread, whose registers and floating point state are
	// a copy of by's.
	NewThread(by Thread) (Thread, error)

	// ReadAt and WriteAt copy between the Sentry and guest memory with the
	// guest's own rights. They return the number of bytes done before a page
	// that is not there or not allowed, and EFAULT if that is fewer than
	// len(b).
	ReadAt(b []byte, addr uintptr) (int, error)
	WriteAt(b []byte, addr uintptr) (int, error)

	// ReadVec and WriteVec are ReadAt and WriteAt over several ranges, in as
	// few host calls as possible.
	ReadVec(b []byte, vec []Range) (int, error)
	WriteVec(b []byte, vec []Range) (int, error)

	// CompareAndSwap replaces the aligned 32-bit word at addr by new if it
	// equals old and returns the word that was found. EFAULT if the page
	// cannot be written.
	CompareAndSwap(by Thread, addr uintptr, old, new uint32) (uint32, error)

	// Resident says for each page of the range whether it is in memory.
	Resident(by Thread, addr, length uintptr, vec []byte) error

	// Close ends the address space and all its threads, running or not.
	Close()
}

// Mapping says what Map is to do.
type Mapping struct {
	Addr, Length uintptr
	Prot         linux.Prot
	Flags        int // MAP_SHARED or MAP_PRIVATE, and hints
	FD           int // host descriptor, or -1
	Offset       int64
}

// A Namer is an AddressSpace that is a host process and can tell the host's
// ps(1) what runs in it, for people who look from outside.
type Namer interface {
	// SetName sets the name, of which the first 15 bytes count.
	SetName(by Thread, name string) error
}

// HostName is the name of a platform's host process that runs no program.
const HostName = "runsc-stub"

// Thread runs guest code. It belongs to one goroutine at a time: whoever calls
// anything but Interrupt first becomes its owner until Close. On ptrace the
// owner is locked to its host thread meanwhile.
type Thread interface {
	// Switch runs the guest with *regs until something happens, and stores
	// the registers then in *regs. It blocks as long as the guest runs.
	Switch(regs *Registers) Event

	// Interrupt makes a Switch that is running, or the next one, return an
	// Interrupted event soon. It may be called from any goroutine, any
	// number of times; spurious events may result, lost ones may not.
	Interrupt()

	// FPState returns the floating point and vector state in the layout of
	// XSAVE (amd64), as a signal frame holds it. The slice is the thread's
	// own: valid until the next call of any method.
	FPState() ([]byte, error)

	// SetFPState loads a state that may come from guest memory; an invalid
	// one is EINVAL. An empty state means that of a fresh process.
	SetFPState(state []byte) error

	// Close ends the host thread. The owner calls it last.
	Close()
}

// EventKind says why Switch returned.
type EventKind int

// The kinds of events.
const (
	// Syscall: regs hold the call as the architecture passes it; the
	// program counter is behind the instruction.
	Syscall EventKind = iota
	// Fault: the guest raised an exception; Event's fields tell which.
	Fault
	// Interrupted: Interrupt was called.
	Interrupted
	// Killed: the address space is gone (the host killed it, for instance
	// because memory ran out). Nothing but Close may follow.
	Killed
)

// Event is what ended a Switch.
type Event struct {
	Kind EventKind

	// For Fault: the signal that Linux would send, its si_code, the
	// address (si_addr), and the exception's number and error code as a
	// signal frame reports them (amd64: trapno and err).
	Signal  linux.Signal
	Code    int32
	Addr    uintptr
	TrapNo  uint64
	ErrCode uint64
}
