package linux

// Rseq is struct rseq, what a thread shares with the kernel.
type Rseq struct {
	CPUIDStart uint32
	CPUID      uint32
	RseqCS     uint64
	Flags      uint32
	NodeID     uint32
	MMCID      uint32
	_          [4]byte
}

// RseqCS is struct rseq_cs, a critical section.
type RseqCS struct {
	Version          uint32
	Flags            uint32
	StartIP          uint64
	PostCommitOffset uint64
	AbortIP          uint64
}

// Values of rseq(2).
const (
	RSEQ_FLAG_UNREGISTER            = 1
	RSEQ_CPU_ID_UNINITIALIZED       = -1
	RSEQ_CPU_ID_REGISTRATION_FAILED = -2
)
