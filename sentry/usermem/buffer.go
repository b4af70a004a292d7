package usermem

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// Buffer is what a read fills or a write drains: ranges of guest memory, or
// bytes of the Sentry's own. It advances as it is used. It is not safe for
// concurrent use.
type Buffer struct {
	mem  Memory // nil: own
	vec  []Range
	one  [1]Range
	own  []byte
	left int64
}

// OwnBuffer is a Buffer over the Sentry's bytes.
func OwnBuffer(b []byte) *Buffer { return &Buffer{own: b, left: int64(len(b))} }

// UserBuffer is a Buffer over one range of guest memory.
func UserBuffer(m Memory, addr Addr, n int) *Buffer {
	b := &Buffer{mem: m, left: int64(n)}
	b.one[0] = Range{addr, n}
	b.vec = b.one[:]
	return b
}

// VecBuffer is a Buffer over several ranges. It takes over vec.
func VecBuffer(m Memory, vec []Range) *Buffer {
	b := &Buffer{mem: m, vec: vec}
	for _, r := range vec {
		b.left += int64(r.Len)
	}
	return b
}

// Len is the number of bytes left.
func (b *Buffer) Len() int64 { return b.left }

// Limit cuts the buffer to at most n bytes from here.
func (b *Buffer) Limit(n int64) {
	if n < b.left {
		b.left = max(n, 0)
	}
}

// Fill copies src into the buffer and advances: the side of a read. It copies
// min(len(src), Len()) bytes; a shorter count comes with EFAULT.
func (b *Buffer) Fill(src []byte) (int, error) {
	if int64(len(src)) > b.left {
		src = src[:b.left]
	}
	if b.mem == nil {
		n := copy(b.own, src)
		b.advance(n)
		return n, nil
	}
	n, err := 0, error(nil)
	if len(src) > 0 {
		b.skipEmpty()
		if b.vec[0].Len >= len(src) {
			n, err = b.mem.CopyOut(b.vec[0].Start, src)
		} else {
			n, err = b.mem.CopyOutVec(b.vec, src)
		}
	}
	b.advance(n)
	return n, err
}

// Drain copies bytes out of the buffer into dst and advances: the side of a
// write. A count below min(len(dst), Len()) comes with EFAULT.
func (b *Buffer) Drain(dst []byte) (int, error) {
	n, err := b.Peek(dst)
	b.advance(n)
	return n, err
}

// Peek is Drain without advancing, for a destination that may take less: what
// it took is then skipped.
func (b *Buffer) Peek(dst []byte) (int, error) {
	if int64(len(dst)) > b.left {
		dst = dst[:b.left]
	}
	if b.mem == nil {
		return copy(dst, b.own), nil
	}
	if len(dst) == 0 {
		return 0, nil
	}
	b.skipEmpty()
	if b.vec[0].Len >= len(dst) {
		return b.mem.CopyIn(dst, b.vec[0].Start)
	}
	return b.mem.CopyInVec(dst, b.vec)
}

// FillZero fills n bytes with zeros.
func (b *Buffer) FillZero(n int64) (int64, error) {
	var done int64
	for done < n && b.left > 0 {
		c, err := b.Fill(zeros[:min(int64(len(zeros)), n-done)])
		done += int64(c)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Skip advances without copying.
func (b *Buffer) Skip(n int64) { b.advance(int(min(n, b.left))) }

// DrainAll copies everything that is left into fresh bytes, at most max of
// them, EINVAL-free: what is beyond max stays in the buffer.
func (b *Buffer) DrainAll(max int64) ([]byte, error) {
	dst := make([]byte, min(b.left, max))
	n, err := b.Drain(dst)
	if n == len(dst) {
		err = nil
	} else if err == nil {
		err = errno.EFAULT
	}
	return dst[:n], err
}

// Next returns the guest address of the next byte. ok is false for a buffer of
// the Sentry's own bytes or an empty one.
func (b *Buffer) Next() (a Addr, ok bool) {
	if b.mem == nil || b.left == 0 {
		return 0, false
	}
	b.skipEmpty()
	return b.vec[0].Start, true
}

func (b *Buffer) skipEmpty() {
	for len(b.vec) > 1 && b.vec[0].Len == 0 {
		b.vec = b.vec[1:]
	}
}

func (b *Buffer) advance(n int) {
	b.left -= int64(n)
	if b.mem == nil {
		b.own = b.own[n:]
		return
	}
	for n > 0 {
		b.skipEmpty()
		c := min(n, b.vec[0].Len)
		if c == 0 {
			panic("usermem: buffer advanced beyond its end")
		}
		b.vec[0].Start += Addr(c)
		b.vec[0].Len -= c
		n -= c
	}
}

var zeros [4096]byte
