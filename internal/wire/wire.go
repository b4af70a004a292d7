// Package wire turns messages into bytes and back, without reflection.
//
// The one type is Coder. A message describes its fields once, in a Code
// method, and the same method writes or reads them, so that the two directions
// cannot disagree:
//
//	func (m *Rename) Code(c *wire.Coder) {
//		c.U64(&m.From)
//		c.Str(&m.Name, 255)
//	}
//
// Numbers are little-endian and of fixed size; strings and lists carry a
// 32-bit count. A reading Coder treats its bytes as hostile: every access is
// checked against what is left and against the caller's limit, the first
// mistake sticks in Err, and all reads after it give zero values. It never
// panics, and it never allocates more than a small multiple of the bytes that
// are really there. Strings are copied, so that nothing decoded refers to the
// buffer, except what Raw gives.
//
// It holds no locks and makes no host calls. Cost: 1-2 ns a number.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What can be wrong with bytes that are read, or with a message that is
// written.
var (
	ErrShort    = errors.New("message ends early")
	ErrTrailing = errors.New("message has trailing bytes")
	ErrTooLong  = errors.New("field exceeds its limit")
)

// Message is what has a wire form.
type Message interface {
	Code(*Coder)
}

// Coder writes or reads one message. The zero value is a writer.
type Coder struct {
	buf     []byte
	off     int // next byte to read
	reading bool
	err     error
}

// Writer returns a Coder that appends to buf[:0].
func Writer(buf []byte) Coder { return Coder{buf: buf[:0]} }

// Reader returns a Coder that reads buf.
func Reader(buf []byte) Coder { return Coder{buf: buf, reading: true} }

// Reading says whether the fields come from bytes, for the rare message that
// must validate or allocate then.
func (c *Coder) Reading() bool { return c.reading }

// Written is what a writer has produced.
func (c *Coder) Written() []byte { return c.buf }

// Left is the number of bytes that a reader has not read.
func (c *Coder) Left() int { return len(c.buf) - c.off }

// Err is the first mistake, or nil.
func (c *Coder) Err() error { return c.err }

// End returns the first mistake; for a reader, bytes left over are one.
func (c *Coder) End() error {
	if c.err == nil && c.reading && c.off != len(c.buf) {
		c.err = fmt.Errorf("%w: %d", ErrTrailing, len(c.buf)-c.off)
	}
	return c.err
}

// Fail records a mistake that the caller found in a field.
func (c *Coder) Fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// U8 is one byte.
func (c *Coder) U8(v *uint8) {
	if !c.reading {
		c.buf = append(c.buf, *v)
		return
	}
	*v = 0
	if b := c.take(1); b != nil {
		*v = b[0]
	}
}

// Bool is one byte, 0 or 1.
func (c *Coder) Bool(v *bool) {
	var b uint8
	if *v {
		b = 1
	}
	c.U8(&b)
	if b > 1 {
		c.Fail(fmt.Errorf("%w: a truth value of %d", ErrTooLong, b))
	}
	*v = b == 1
}

// U16 is two bytes.
func (c *Coder) U16(v *uint16) {
	if !c.reading {
		c.buf = binary.LittleEndian.AppendUint16(c.buf, *v)
		return
	}
	*v = 0
	if b := c.take(2); b != nil {
		*v = binary.LittleEndian.Uint16(b)
	}
}

// U32 is four bytes.
func (c *Coder) U32(v *uint32) {
	if !c.reading {
		c.buf = binary.LittleEndian.AppendUint32(c.buf, *v)
		return
	}
	*v = 0
	if b := c.take(4); b != nil {
		*v = binary.LittleEndian.Uint32(b)
	}
}

// U64 is eight bytes.
func (c *Coder) U64(v *uint64) {
	if !c.reading {
		c.buf = binary.LittleEndian.AppendUint64(c.buf, *v)
		return
	}
	*v = 0
	if b := c.take(8); b != nil {
		*v = binary.LittleEndian.Uint64(b)
	}
}

// I64 is eight bytes.
func (c *Coder) I64(v *int64) {
	u := uint64(*v)
	c.U64(&u)
	*v = int64(u)
}

// Str is a string of at most max bytes.
func (c *Coder) Str(v *string, max int) {
	if !c.reading {
		c.count(len(*v), max)
		c.buf = append(c.buf, *v...)
		return
	}
	*v = string(c.take(c.count(0, max)))
}

// Bytes is a byte slice of at most max bytes. Reading copies.
func (c *Coder) Bytes(v *[]byte, max int) {
	if !c.reading {
		c.count(len(*v), max)
		c.buf = append(c.buf, *v...)
		return
	}
	*v = append([]byte(nil), c.take(c.count(0, max))...)
}

// Raw is Bytes, but reading refers to the buffer: valid as long as the buffer
// is.
func (c *Coder) Raw(v *[]byte, max int) {
	if !c.reading {
		c.Bytes(v, max)
		return
	}
	*v = c.take(c.count(0, max))
}

// List is a list of at most max elements, each of at least minSize bytes, each
// coded by code.
func List[T any](c *Coder, v *[]T, max, minSize int, code func(*Coder, *T)) {
	n := c.count(len(*v), max)
	if c.reading {
		// A count that the bytes cannot hold must not allocate.
		if n > c.Left()/minSize {
			c.Fail(ErrShort)
			n = 0
		}
		*v = make([]T, n)
	}
	for i := range *v {
		if c.err != nil {
			return
		}
		code(c, &(*v)[i])
	}
}

// count codes the count of a string or list and returns it; 0 after a mistake.
func (c *Coder) count(n, max int) int {
	u := uint32(n)
	if n > max {
		c.Fail(fmt.Errorf("%w: %d of %d", ErrTooLong, n, max))
		u = 0
	}
	c.U32(&u)
	if uint64(u) > uint64(max) {
		c.Fail(fmt.Errorf("%w: %d of %d", ErrTooLong, u, max))
		return 0
	}
	return int(u)
}

// take returns the next n bytes, or nil after a mistake.
func (c *Coder) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.buf)-c.off {
		c.err = ErrShort
		return nil
	}
	b := c.buf[c.off : c.off+n : c.off+n]
	c.off += n
	return b
}
