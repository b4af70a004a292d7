package wire

import (
	"errors"
	"reflect"
	"testing"
)

type sample struct {
	A uint8
	B uint16
	C uint32
	D uint64
	E int64
	F bool
	S string
	R []byte
	L []string
}

func (m *sample) Code(c *Coder) {
	c.U8(&m.A)
	c.U16(&m.B)
	c.U32(&m.C)
	c.U64(&m.D)
	c.I64(&m.E)
	c.Bool(&m.F)
	c.Str(&m.S, 16)
	c.Bytes(&m.R, 16)
	List(c, &m.L, 4, 4, func(c *Coder, s *string) { c.Str(s, 8) })
}

func encode(t testing.TB, m Message) []byte {
	w := Writer(nil)
	m.Code(&w)
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return w.Written()
}

var full = sample{1, 2, 3, 4, -5, true, "six", []byte("seven"), []string{"", "eight"}}

func TestRoundTrip(t *testing.T) {
	b := encode(t, &full)
	var got sample
	r := Reader(b)
	got.Code(&r)
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, full) {
		t.Errorf("got %+v, want %+v", got, full)
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	b := encode(t, &full)
	for n := range b {
		var got sample
		r := Reader(b[:n])
		got.Code(&r)
		if err := r.End(); !errors.Is(err, ErrShort) {
			t.Errorf("%d of %d bytes: %v, want %v", n, len(b), err, ErrShort)
		}
	}
}

func TestTrailingBytesAreAnError(t *testing.T) {
	var got sample
	r := Reader(append(encode(t, &full), 0))
	got.Code(&r)
	if err := r.End(); !errors.Is(err, ErrTrailing) {
		t.Errorf("got %v, want %v", err, ErrTrailing)
	}
}

func TestWritingBeyondALimitIsAnError(t *testing.T) {
	m := sample{S: "longer than sixteen bytes"}
	w := Writer(nil)
	m.Code(&w)
	if err := w.End(); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v, want %v", err, ErrTooLong)
	}
}

func TestHugeCountAllocatesNothing(t *testing.T) {
	b := []byte{0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0}
	var l []string
	allocs := testing.AllocsPerRun(10, func() {
		r := Reader(b)
		List(&r, &l, 1<<31-1, 4, func(c *Coder, s *string) { c.Str(s, 8) })
		if r.Err() == nil {
			t.Fatal("accepted")
		}
	})
	if allocs > 1 || len(l) != 0 {
		t.Errorf("%v allocations, %d elements", allocs, len(l))
	}
}

func FuzzReader(f *testing.F) {
	f.Add(encode(f, &full))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m sample
		r := Reader(b)
		m.Code(&r)
		if r.End() != nil {
			return
		}
		// What was accepted must be what the writer would say.
		if again := encode(t, &m); string(again) != string(b) {
			t.Errorf("read %x, wrote %x", b, again)
		}
	})
}
