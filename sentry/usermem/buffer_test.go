package usermem

import (
	"bytes"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// flat is a Memory of a few bytes from address 0.
type flat []byte

func (f flat) CopyIn(dst []byte, addr Addr) (int, error) {
	if int(addr) > len(f) {
		return 0, errno.EFAULT
	}
	n := copy(dst, f[addr:])
	if n < len(dst) {
		return n, errno.EFAULT
	}
	return n, nil
}

func (f flat) CopyOut(addr Addr, src []byte) (int, error) {
	if int(addr) > len(f) {
		return 0, errno.EFAULT
	}
	n := copy(f[addr:], src)
	if n < len(src) {
		return n, errno.EFAULT
	}
	return n, nil
}

func (f flat) CopyInVec(dst []byte, vec []Range) (int, error) {
	done := 0
	for _, r := range vec {
		if done == len(dst) {
			break
		}
		n, err := f.CopyIn(dst[done:min(len(dst), done+r.Len)], r.Start)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (f flat) CopyOutVec(vec []Range, src []byte) (int, error) {
	done := 0
	for _, r := range vec {
		if done == len(src) {
			break
		}
		n, err := f.CopyOut(r.Start, src[done:min(len(src), done+r.Len)])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func TestPeekThenSkipTakesEachByteOnce(t *testing.T) {
	mem := flat("abcdefgh")
	for name, b := range map[string]*Buffer{
		"one range": UserBuffer(mem, 0, 8),
		"ranges":    VecBuffer(mem, []Range{{0, 3}, {3, 0}, {3, 4}, {7, 1}}),
		"own":       OwnBuffer([]byte("abcdefgh")),
	} {
		var got []byte
		for b.Len() > 0 {
			var p [5]byte
			n, err := b.Peek(p[:])
			if err != nil || n == 0 {
				t.Fatalf("%s: Peek with %d left: %d, %v", name, b.Len(), n, err)
			}
			take := min(n, 2)
			got = append(got, p[:take]...)
			b.Skip(int64(take))
		}
		if string(got) != "abcdefgh" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestFillStopsAtTheEndAndAtAFault(t *testing.T) {
	mem := make(flat, 8)
	b := VecBuffer(mem, []Range{{0, 2}, {4, 2}})
	if n, err := b.Fill([]byte("abcdef")); n != 4 || err != nil {
		t.Fatalf("Fill: %d, %v", n, err)
	}
	if !bytes.Equal(mem, flat("ab\x00\x00cd\x00\x00")) {
		t.Fatalf("memory is %q", mem)
	}
	b = UserBuffer(mem, 6, 100)
	if n, err := b.Fill([]byte("xyz")); n != 2 || err != errno.EFAULT {
		t.Fatalf("Fill over the end: %d, %v, want 2, EFAULT", n, err)
	}
}

func TestLoadStringStopsAtTheLimit(t *testing.T) {
	mem := flat("hello\x00world")
	if s, err := LoadString(mem, 0, 100, errno.ENAMETOOLONG); s != "hello" || err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	if _, err := LoadString(mem, 0, 5, errno.ENAMETOOLONG); err != errno.ENAMETOOLONG {
		t.Fatalf("limit: %v", err)
	}
	if _, err := LoadString(mem, 6, 100, errno.ENAMETOOLONG); err != errno.EFAULT {
		t.Fatalf("no end: %v", err)
	}
}
