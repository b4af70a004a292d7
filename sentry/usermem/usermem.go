// Package usermem is how the Sentry speaks of guest memory: addresses, typed
// pointers that a system call was given, and buffers that a read fills or a
// write drains.
//
// The bytes behind an address are hostile: another guest thread may change
// them between two reads. So each value is copied in once, into a local, and
// checked there. Nothing here maps guest memory into the Sentry.
//
// Cost: on ptrace and trap each CopyIn or CopyOut is one host call of about
// 0.7 us plus the copy; a Buffer over an iovec does one call for as many
// ranges as it can.
package usermem

import (
	"bytes"
	"unsafe"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// PageSize is the size of a guest page.
const PageSize = 4096

// Addr is an address in guest memory.
type Addr uintptr

// PageDown rounds down to a page boundary.
func (a Addr) PageDown() Addr { return a &^ (PageSize - 1) }

// PageUp rounds up to a page boundary; ok is false if that overflows.
func (a Addr) PageUp() (up Addr, ok bool) {
	up = (a + PageSize - 1) &^ (PageSize - 1)
	return up, up >= a
}

// PageAligned says whether a is the start of a page.
func (a Addr) PageAligned() bool { return a&(PageSize-1) == 0 }

// Range is the bytes [Start, Start+Len).
type Range struct {
	Start Addr
	Len   int
}

// Memory reads and writes one address space with the guest's own rights. A
// task is a Memory: its current address space. Short copies come with EFAULT.
type Memory interface {
	CopyIn(dst []byte, addr Addr) (int, error)
	CopyOut(addr Addr, src []byte) (int, error)
	CopyInVec(dst []byte, vec []Range) (int, error)
	CopyOutVec(vec []Range, src []byte) (int, error)
}

// Ptr is a guest pointer to a T, which must be of fixed size and without
// pointers (package abi/linux tests that for its types).
type Ptr[T any] Addr

// IsNil says whether the pointer is null.
func (p Ptr[T]) IsNil() bool { return p == 0 }

// Addr is the address itself.
func (p Ptr[T]) Addr() Addr { return Addr(p) }

// At is the i-th element behind p.
func (p Ptr[T]) At(i int) Ptr[T] {
	var z T
	return p + Ptr[T](uintptr(i)*unsafe.Sizeof(z))
}

// Load copies the value in.
func (p Ptr[T]) Load(m Memory) (T, error) {
	var v T
	_, err := m.CopyIn(bytesOf(&v), Addr(p))
	return v, err
}

// Store copies a value out.
func (p Ptr[T]) Store(m Memory, v T) error {
	_, err := m.CopyOut(Addr(p), bytesOf(&v))
	return err
}

// StoreIf stores v unless the pointer is null, as many calls do with optional
// results.
func (p Ptr[T]) StoreIf(m Memory, v T) error {
	if p == 0 {
		return nil
	}
	return p.Store(m, v)
}

// LoadSlice copies n values in. The caller has bounded n.
func (p Ptr[T]) LoadSlice(m Memory, n int) ([]T, error) {
	if n == 0 {
		return nil, nil
	}
	v := make([]T, n)
	_, err := m.CopyIn(bytesOfSlice(v), Addr(p))
	return v, err
}

// StoreSlice copies values out.
func (p Ptr[T]) StoreSlice(m Memory, v []T) error {
	if len(v) == 0 {
		return nil
	}
	_, err := m.CopyOut(Addr(p), bytesOfSlice(v))
	return err
}

// SizeOf is the size of a T in guest memory.
func SizeOf[T any]() uintptr {
	var v T
	return unsafe.Sizeof(v)
}

// Bytes is the memory image of a fixed-size value.
func Bytes[T any](v *T) []byte { return bytesOf(v) }

func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

func bytesOfSlice[T any](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), uintptr(len(v))*unsafe.Sizeof(v[0]))
}

// LoadString copies in a string that a NUL ends, at most max bytes with the
// NUL. It fails with EFAULT, or with tooLong if there is no NUL within max.
func LoadString(m Memory, addr Addr, max int, tooLong errno.Errno) (string, error) {
	var out []byte
	var chunk [512]byte
	for len(out) < max {
		// Up to a page boundary, so that a string that ends just before an
		// unmapped page is read in full with one call.
		n := int(PageSize - (addr & (PageSize - 1)))
		n = min(n, len(chunk), max-len(out))
		got, err := m.CopyIn(chunk[:n], addr)
		if i := bytes.IndexByte(chunk[:got], 0); i >= 0 {
			return string(append(out, chunk[:i]...)), nil
		}
		if err != nil {
			return "", err
		}
		out = append(out, chunk[:got]...)
		addr += Addr(got)
	}
	return "", tooLong
}
