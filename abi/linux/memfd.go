package linux

// Flags of memfd_create(2).
const (
	MFD_CLOEXEC       = 0x1
	MFD_ALLOW_SEALING = 0x2
	MFD_HUGETLB       = 0x4
	MFD_NOEXEC_SEAL   = 0x8
	MFD_EXEC          = 0x10
)

// MFD_NAME_MAX is the longest name of a memfd.
const MFD_NAME_MAX = NAME_MAX - len("memfd:")
