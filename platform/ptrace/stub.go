package ptrace

import (
	"encoding/binary"
	"unsafe"

	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// Where the stub's own two pages lie in every address space: above all that a
// guest may map. The first holds code and cannot be written, the second is
// scratch memory, which the guest can overwrite at any time.
const (
	pageSize = 4096

	minAddr    = 0x10000
	maxAddr    = 0x7fff_ffff_0000
	stubCode   = maxAddr
	stubData   = maxAddr + pageSize
	routineGap = 128 // bytes for each routine
)

// The routines of stub_amd64.s, by the order in which they lie in the page.
const (
	doSyscall = iota
	doClone
	doPark
	doExit
	doCompareAndSwap
	doMapFile
	doProbe
	routineCount
)

// entry is the address of a routine in a stub.
func entry(routine int) uint64 { return stubCode + uint64(routine)*routineGap }

// image is the code page.
var image = stubImage()

func stubImage() *stub.Image {
	code := make([]byte, pageSize)
	for i := range code {
		code[i] = stub.Breakpoint
	}
	for i, addr := range routines() {
		copy(code[i*routineGap:], routineBytes(addr))
	}
	return &stub.Image{Code: code, Base: stubCode, Call: doSyscall * routineGap, Gap: routineGap}
}

// endMark is END in stub_amd64.s.
const endMark = 0x6c62642d646e650b

func routineBytes(addr uintptr) []byte {
	// The routines are text of this program: at most routineGap bytes and
	// the mark, and the linker puts other text behind them.
	text := unsafe.Slice((*byte)(unsafe.Add(nil, addr)), routineGap+8)
	for n := range routineGap {
		if binary.LittleEndian.Uint64(text[n:]) == endMark {
			return text[:n]
		}
	}
	panic("ptrace: a routine of the stub has no end")
}

func routines() [routineCount]uintptr
