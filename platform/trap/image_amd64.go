package trap

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// The numbers that MARK carries in stub_amd64.s.
const (
	markEntry = iota + 1
	markTouch
	markTouched
	markReturn
	markReturned
	markResume
	markResumed
	markFast
	markFastend
	markUnfast
	markSlow
	markBirth
	markFix0
	markFix0end
	markFix1
	markFix1end
	markFix2
	markFix2end
	markFaulted
	markHandler
	markFetch
	markFetched
	markUnfetched
	markDeliver
	markDelivered
	markLate
	markFutex
	markFutexend
	markEnd
	markCount
)

func stubTextAddr() uintptr

// code is the image of the stub, and where its marks lie.
var code, marks = stubImage()

// mark is the address of a mark in a stub.
func mark(n int) uint64 { return stubCode + uint64(marks[n]) }

func stubImage() (*stub.Image, [markCount]uint32) {
	image := make([]byte, stubSize)
	for i := range image {
		image[i] = stub.Breakpoint
	}
	text := unsafe.Slice((*byte)(unsafe.Add(nil, stubTextAddr())), stubSize)
	var marks [markCount]uint32
	end := 0
	for i := 0; end == 0; i++ {
		if i > stubSize-128-8 {
			panic("trap: the code of the stub has no end, or is too long")
		}
		if text[i] != 0x0f || text[i+1] != 0x1f || text[i+2] != 0x80 {
			continue
		}
		n := binary.LittleEndian.Uint32(text[i+3:])
		if n>>8 != 0x4255 || n&0xff >= markCount {
			continue
		}
		marks[n&0xff] = uint32(i)
		if n&0xff == markEnd {
			end = i
		}
	}
	copy(image, text[:end])
	for n := markEntry; n < markCount; n++ {
		if marks[n] == 0 {
			panic(fmt.Sprintf("trap: mark %d is not in the code of the stub", n))
		}
	}
	for i, n := range [...]int{
		markReturn, markReturned, markResume, markResumed, markFast, markFastend, markTouch, markTouched,
		markFix0, markFix0end, markFix1, markFix1end, markFix2, markFix2end, markFaulted, markSlow, 0, markUnfast,
		markFetch, markFetched, markDeliver, markDelivered, markUnfetched, markLate, markFutex, markFutexend,
	} {
		binary.LittleEndian.PutUint32(image[stubTable-stubCode+4*i:], marks[n])
	}
	return &stub.Image{Code: image, Base: stubCode, Call: 0, Gap: 3}, marks
}
