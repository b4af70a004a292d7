package stub

import "encoding/binary"

const (
	// MaxState bounds the size of the host's XSAVE area: AVX-512 and AMX fit
	// in 12 KiB.
	MaxState = 16384

	// LegacyState is the size of the area that FXSAVE fills; behind it is
	// the header, whose first word says which components are present.
	LegacyState = 512
	StateHeader = 64
)

// GuestStateSize is how much of an XSAVE area a guest sees, as Linux shows it
// to a process that has not asked for the large components (AMX): otherwise
// signal frames would not fit on the stacks that programs set aside for them.
func GuestStateSize(area []byte) int {
	if len(area) < LegacyState+StateHeader {
		return len(area)
	}
	// Linux leaves the mask of components it manages in the legacy area.
	const components, dynamic, stateLeaf = 464, 1<<17 | 1<<18, 0xd
	mask := binary.LittleEndian.Uint64(area[components:]) &^ dynamic
	size := uint32(LegacyState + StateHeader)
	for i := uint32(2); i < 63; i++ {
		if mask>>i&1 != 0 {
			length, offset := cpuid(stateLeaf, i)
			size = max(size, offset+length)
		}
	}
	return min(int(size), len(area))
}

// FreshState makes the state of a new process out of any: all components but
// the protection keys, which Linux sets, in their initial state.
func FreshState(any []byte) []byte {
	fresh := append([]byte(nil), any...)
	clear(fresh[:LegacyState])
	binary.LittleEndian.PutUint16(fresh, 0x37f)       // the x87 control word
	binary.LittleEndian.PutUint32(fresh[24:], 0x1f80) // MXCSR
	if len(fresh) >= LegacyState+StateHeader {
		const x87, sse, keys = 1, 2, 1 << 9
		bv := binary.LittleEndian.Uint64(fresh[LegacyState:])
		binary.LittleEndian.PutUint64(fresh[LegacyState:], bv&keys|x87|sse)
	}
	return fresh
}
