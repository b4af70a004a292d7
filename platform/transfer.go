package platform

// A Transferrer is a Thread that moves small pieces of guest memory by itself
// when it enters and leaves the guest, so that they need no call of the host.
// Its owner calls the methods, between two calls of Switch.
type Transferrer interface {
	// Fetched copies len(dst) bytes at addr that came along with the system
	// call, as they were then. False: they did not.
	Fetched(dst []byte, addr uintptr) bool

	// Deliver has src written to addr before the guest goes on. False: there
	// is no room. The caller has made sure that it can be written; when it
	// cannot be after all, the system call fails with EFAULT.
	Deliver(addr uintptr, src []byte) bool

	// Settle writes now what Deliver took, and forgets what was fetched.
	Settle()
}
