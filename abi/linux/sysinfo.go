package linux

// Sysinfo is struct sysinfo, amd64.
type Sysinfo struct {
	Uptime    int64
	Loads     [3]uint64
	TotalRAM  uint64
	FreeRAM   uint64
	SharedRAM uint64
	BufferRAM uint64
	TotalSwap uint64
	FreeSwap  uint64
	Procs     uint16
	_         [6]byte
	TotalHigh uint64
	FreeHigh  uint64
	Unit      uint32
	_         [4]byte
}

// SI_LOAD_SHIFT is the number of fraction bits of a load.
const SI_LOAD_SHIFT = 16
