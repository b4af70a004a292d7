package linux

// Flags of eventfd2(2).
const (
	EFD_SEMAPHORE = 0o1
	EFD_NONBLOCK  = 0o4000
	EFD_CLOEXEC   = 0o2000000
)
