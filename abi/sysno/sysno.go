// Package sysno names the system calls of Linux independently of an
// architecture. An ID is one call, whatever number the processor's table gives
// it; IDs index the tables of handlers, of traces and of seccomp rules, so that
// the architectures cannot disagree about what a call is.
//
// Every call is declared once, in calls.go, with its Linux name and its amd64
// and arm64 numbers (0 to 461, the table of Linux 6.8). An ID is the call's
// Linux name with each part between underscores capitalised: rt_sigaction is
// RtSigaction. The package holds numbers and has no behaviour; Lookup is one
// bounds check and one array load.
package sysno

import "strconv"

// ID identifies a system call. The zero ID is None.
type ID uint16

// Count is one more than the largest ID: the length of an array indexed by ID.
const Count = len(calls)

// Arch is a processor architecture with a system call table of its own.
type Arch uint8

// The architectures that have a table.
const (
	AMD64 Arch = iota
	ARM64
	archCount
)

// MaxNumber is the largest number that any table holds.
const MaxNumber = 461

// absent is the number of a call that an architecture does not have.
const absent = -1

type call struct {
	name  string
	amd64 int16
	arm64 int16
}

func (c call) number(a Arch) int16 {
	switch a {
	case AMD64:
		return c.amd64
	case ARM64:
		return c.arm64
	}
	return absent
}

// byNumber is derived from calls once, when the program starts.
var byNumber = invert()

func invert() (t [archCount][MaxNumber + 1]ID) {
	for id := range calls {
		for a := range archCount {
			if nr := calls[id].number(a); nr != absent {
				t[a][nr] = ID(id)
			}
		}
	}
	return t
}

// Lookup returns the call that has number nr on a, or None.
func Lookup(a Arch, nr uint64) ID {
	if nr > MaxNumber || a >= archCount {
		return None
	}
	return byNumber[a][nr]
}

// Number returns the call's number on a, and false when a does not have it.
func (id ID) Number(a Arch) (nr int, ok bool) {
	if !id.Valid() {
		return 0, false
	}
	n := calls[id].number(a)
	return int(n), n != absent
}

// Valid reports whether id is a declared call.
func (id ID) Valid() bool { return id != None && int(id) < Count }

// String returns the call's Linux name, such as "rt_sigaction".
func (id ID) String() string {
	if int(id) >= Count {
		return "sysno." + strconv.Itoa(int(id))
	}
	return calls[id].name
}

// Parse returns the call with the given Linux name, or None. It searches the
// table: it is for command lines and start-up, not for the path of a call.
func Parse(name string) ID {
	for id := range calls {
		if id != int(None) && calls[id].name == name {
			return ID(id)
		}
	}
	return None
}
