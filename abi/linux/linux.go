// Package linux holds the numbers and memory layouts of the Linux interface on
// amd64: constants, and structs that a workload reads and writes as bytes. Each
// file is named after the kernel header it follows; names are Linux's.
//
// A struct here has a fixed size, no pointer, no bool, and no padding that is
// not spelled out as a field, so that its bytes can be copied to and from a
// workload's memory as they are; a test walks all of them, and another compares
// sizes and offsets with the system's C headers. Flags are untyped constants;
// what is one of a list (a Signal, a Capability, a ClockID) has a type with a
// String method for the trace.
//
// The package has no behaviour beyond small conversions, imports nothing of the
// project and never calls the host.
package linux

import (
	"strconv"
	"strings"
)

type flagName struct {
	bits uint64
	name string
}

// flagsString joins the names of the bits in v. A name that stands for several
// bits must come before those that stand for part of them.
func flagsString(v uint64, names []flagName) string {
	if v == 0 {
		return "0"
	}
	var parts []string
	for _, n := range names {
		if v&n.bits == n.bits {
			parts = append(parts, n.name)
			v &^= n.bits
		}
	}
	if v != 0 {
		parts = append(parts, "0x"+strconv.FormatUint(v, 16))
	}
	return strings.Join(parts, "|")
}

// cString returns b up to its first NUL, as a string.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
