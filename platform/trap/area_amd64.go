package trap

import (
	"sync/atomic"
	"unsafe"

	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// Where things lie in every stub, above all that a guest may map. The assembly
// reads these constants and the offsets in area from go_asm.h.
const (
	pageSize = 4096

	minAddr = 0x10000
	maxAddr = 0x7fff_8000_0000

	// The areas of a process's threads lie in a window, in chunks that are
	// mapped when a thread needs one. The upper half of a thread's address
	// is areaHigh, the top bits of its lower half areaTop.
	areaStart  = 0x7fff_a000_0000
	areaWindow = 0x2000_0000
	areaHigh   = areaStart >> 32
	areaShift  = 29
	areaTop    = areaStart & 0xffff_ffff >> areaShift
	areaSize   = 0x10000
	chunkSize  = 0x100000
	chunkAreas = chunkSize / areaSize
	maxAreas   = areaWindow / areaSize

	stubCode  = 0x7fff_f000_0000
	stubPages = 2
	stubSize  = stubPages * pageSize
	stubTable = stubCode + stubSize - 128 // places in the code, for the signal handler
)

// What the Sentry tells a stub to do.
const (
	commandReturn   = iota // go on behind a system call that came by a trampoline
	commandResume          // go on with any registers
	commandSyscall         // make the system call in args
	commandMapFile         // receive a file and map it
	commandThread          // clone a thread
	commandFork            // clone a process
	commandXSave           // store the floating point state in fp
	commandXRestore        // load it
	commandSwap            // compare and swap a word
)

// What a stub tells the Sentry.
const (
	eventCall        = iota // a system call, by a trampoline
	eventSignal             // a signal; SIGSYS is a system call
	eventInterrupted        // a kick came before the guest was entered
	eventLate               // a delivery failed
	eventBroken             // the stub's own code failed: the guest's doing
)

// What a stub asks of the listener, the first argument of the call that the
// filter passes on.
const (
	noticeBirth = 0x62697274
	noticeFile  = 0x66696c65
)

// The kinds of fast answers: from fastConstant up they are places in
// area.answers.
const (
	fastCalls    = 512
	fastYield    = 1
	fastFutex    = 2
	fastConstant = 3

	// waiterWords is how many counters of futex waiters a process has.
	waiterWords = 1024
)

// area is what a guest thread's stub and its task goroutine share. The guest
// can write all of it at any time: the Sentry copies a field once and checks it,
// and believes nothing that concerns anybody but this guest.
type area struct {
	turn         uint32 // 1: the Sentry's, 0: the stub's
	sentrySleeps uint32 // in futex on turn
	stubSleeps   uint32
	kicked       uint32 // a kick came where the stub could not act on it
	command      uint32
	event        uint32
	spin         uint32 // how often the stub looks at turn before it sleeps
	sentryCPU    uint32 // the processors on which each was last
	result       uint64 // of a command
	packed       uint64 // number of the call and arithmetic flags (eventCall)
	stubCPU      uint32
	begun        uint32 // the stub can take signals
	_            [8]byte
	args         [8]uint64 // of a command

	// Of a signal.
	signo  uint32
	code   int32
	addr   uint64
	call   uint64 // si_syscall, si_arch
	err    uint64
	trapno uint64
	_      [3]uint64

	altStack struct {
		sp    uint64
		flags uint64
		size  uint64
	}
	_ [5]uint64

	regs  platform.Registers
	_     uint64
	flags uint64 // pushfq (eventCall)
	_     [67]uint64

	fast    [fastCalls]uint8
	answers [64]uint64

	// What came along with a call, at the start of data, and what is to be
	// written before the guest goes on.
	fetchedAddr uint64
	fetchedLen  uint32
	deliveries  uint32
	delivery    [maxDeliveries]delivery
	waiterTable uint64 // the address of the process\'s counters, in its first area
	_           [189]uint64
	scratch     [256]uint8 // no stack: only where rsp points while there is none
	fp          [16384]uint8
	data        [16384]uint8
	fetch       [fastCalls]fetchRule
	waiters     [waiterWords]uint32
	stack       [22528]uint8
}

// delivery is len bytes from offset in the area to addr.
type delivery struct {
	addr        uint64
	offset, len uint32
}

// The area's size and what the assembly presumes.
const (
	_ = uint(areaSize - unsafe.Sizeof(area{}))
	_ = uint(unsafe.Sizeof(area{}) - areaSize)
)

const (
	dataOffset  = uint64(unsafe.Offsetof(area{}.data))
	stackOffset = uint64(unsafe.Offsetof(area{}.stack))
)

func (a *area) myTurn() bool { return atomic.LoadUint32(&a.turn) != 0 }
