package host

import "golang.org/x/sys/unix"

// Auxv returns the value of a key in the auxiliary vector that the host gave to
// this process, such as AT_HWCAP; 0 if it is not there.
func Auxv(key uint64) uint64 {
	entries, err := unix.Auxv()
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if uint64(e[0]) == key {
			return uint64(e[1])
		}
	}
	return 0
}
