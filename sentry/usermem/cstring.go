package usermem

import (
	"strconv"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// CString is a guest pointer to a string that a NUL ends.
type CString Addr

// PathMax is the longest path, with its NUL.
const PathMax = 4096

// Path copies in a path: ENAMETOOLONG beyond PathMax, EFAULT.
func (p CString) Path(m Memory) (string, error) {
	return LoadString(m, Addr(p), PathMax, errno.ENAMETOOLONG)
}

// Load copies in a string of at most max bytes with its NUL.
func (p CString) Load(m Memory, max int, tooLong errno.Errno) (string, error) {
	return LoadString(m, Addr(p), max, tooLong)
}

// Trace is how a call's trace line shows the string.
func (p CString) Trace(m Memory) string {
	if p == 0 {
		return "NULL"
	}
	s, err := p.Path(m)
	if err != nil {
		return "0x" + strconv.FormatUint(uint64(p), 16)
	}
	const most = 80
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// String and Trace of other pointers are their addresses.
func (p Ptr[T]) String() string {
	if p == 0 {
		return "NULL"
	}
	return "0x" + strconv.FormatUint(uint64(p), 16)
}

// String shows the address.
func (a Addr) String() string {
	if a == 0 {
		return "NULL"
	}
	return "0x" + strconv.FormatUint(uint64(a), 16)
}
