package loader

import "github.com/bulkhead-sandbox/bulkhead/abi/linux"

// What is particular to amd64.
const (
	machine      = linux.EM_X86_64
	platformName = "x86_64"

	// hwcap2Mask are the bits of AT_HWCAP2 that hold in a guest, too:
	// FSGSBASE, but not MWAIT in user mode.
	hwcap2Mask = 1 << 1
)
