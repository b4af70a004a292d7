//go:build !lockcheck

package lock

// Checked reports whether this program was built to check the order.
const Checked = false

// AssertNoneHeld panics, in a checked program, when the calling goroutine holds
// a lock. A function that blocks for an unbounded time calls it.
func AssertNoneHeld() {}

func acquiring[C Class](any)       {}
func acquiringNested[C Class](any) {}
func acquired[C Class](any)        {}
func releasing(any)                {}
