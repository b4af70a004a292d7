// Package dev is the memory devices: null, zero, full, random and urandom, and
// the list of nodes that /dev of a container has.
//
// They keep no state. Reading /dev/zero costs the copy; /dev/random one host
// call per 4 KiB.
package dev

import (
	"crypto/rand"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

const memMajor = 1

// Register makes the devices known.
func Register(w *vfs.World) {
	for minor, f := range map[uint32]vfs.File{
		3: null{}, 5: zero{}, 7: fullDevice{}, 8: random{}, 9: random{},
	} {
		w.RegisterDevice(linux.S_IFCHR, memMajor, minor,
			func(vfs.Context, vfs.Inode, vfs.Path, linux.OpenFlags) (vfs.File, error) { return f, nil })
	}
}

// Node is a node of /dev.
type Node struct {
	Name         string
	Mode         linux.FileMode
	Major, Minor uint32
}

// Nodes are those that the OCI runtime specification asks for.
func Nodes() []Node {
	const rw = linux.S_IFCHR | 0o666
	return []Node{
		{"null", rw, 1, 3}, {"zero", rw, 1, 5}, {"full", rw, 1, 7},
		{"random", rw, 1, 8}, {"urandom", rw, 1, 9}, {"tty", rw, 5, 0},
	}
}

// Links are the symbolic links of /dev.
func Links() [][2]string {
	return [][2]string{
		{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"},
		{"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
		{"ptmx", "pts/ptmx"},
	}
}

// memory is what all of them share: any position is as good as another.
type memory struct{}

// Release does nothing.
func (memory) Release() {}

// Seek stays where it is.
func (memory) Seek(_ vfs.Context, _, _ int64, _ int) (int64, error) { return 0, nil }

// Write takes everything.
func (memory) Write(_ vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	n := src.Len()
	src.Skip(n)
	return n, nil
}

type null struct{ memory }

// Read is the end of the file.
func (null) Read(vfs.Context, *usermem.Buffer, int64) (int64, error) { return 0, nil }

type zero struct{ memory }

// Read fills with zeros.
func (zero) Read(_ vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	return dst.FillZero(dst.Len())
}

// MapFD maps anonymous memory.
func (zero) MapFD(vfs.Context, vfs.MapAccess) (int, error) { return -1, nil }

type fullDevice struct{ zero }

// Write finds no room.
func (fullDevice) Write(_ vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	if src.Len() == 0 {
		return 0, nil
	}
	return 0, errno.ENOSPC
}

type random struct{ memory }

// Read fills with random bytes.
func (random) Read(_ vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	var b [4096]byte
	var done int64
	for dst.Len() > 0 {
		n := min(dst.Len(), int64(len(b)))
		rand.Read(b[:n]) // never fails
		c, err := dst.Fill(b[:n])
		done += int64(c)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Ioctl tells how much entropy there is.
func (random) Ioctl(_ vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	const (
		rndGetEntCnt = 0x80045200
		poolBits     = 256
	)
	if cmd != rndGetEntCnt {
		return 0, errno.ENOTTY
	}
	return 0, usermem.Ptr[int32](arg).Store(m, poolBits)
}
