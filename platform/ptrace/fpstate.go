package ptrace

import "encoding/binary"

const (
	// maxState bounds the size of the host's XSAVE area: AVX-512 and AMX fit
	// in 12 KiB.
	maxState = 16384

	// legacyState is the size of the area that FXSAVE fills; behind it is
	// the header, whose first word says which components are present.
	legacyState = 512
	stateHeader = 64
)

// guestStateSize is how much of an XSAVE area a guest sees, as Linux shows it
// to a process that has not asked for the large components (AMX): otherwise
// signal frames would not fit on the stacks that programs set aside for them.
func guestStateSize(area []byte) int {
	if len(area) < legacyState+stateHeader {
		return len(area)
	}
	// Linux leaves the mask of components it manages in the legacy area.
	const components, dynamic, stateLeaf = 464, 1<<17 | 1<<18, 0xd
	mask := binary.LittleEndian.Uint64(area[components:]) &^ dynamic
	size := uint32(legacyState + stateHeader)
	for i := uint32(2); i < 63; i++ {
		if mask>>i&1 != 0 {
			length, offset := cpuid(stateLeaf, i)
			size = max(size, offset+length)
		}
	}
	return min(int(size), len(area))
}

// freshState makes the state of a new process out of any: all components but
// the protection keys, which Linux sets, in their initial state.
func freshState(any []byte) []byte {
	fresh := append([]byte(nil), any...)
	clear(fresh[:legacyState])
	binary.LittleEndian.PutUint16(fresh, 0x37f)       // the x87 control word
	binary.LittleEndian.PutUint32(fresh[24:], 0x1f80) // MXCSR
	if len(fresh) >= legacyState+stateHeader {
		const x87, sse, keys = 1, 2, 1 << 9
		bv := binary.LittleEndian.Uint64(fresh[legacyState:])
		binary.LittleEndian.PutUint64(fresh[legacyState:], bv&keys|x87|sse)
	}
	return fresh
}
