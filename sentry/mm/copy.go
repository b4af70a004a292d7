package mm

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

var _ usermem.Memory = (*MM)(nil)

// CopyIn implements usermem.Memory.
func (m *MM) CopyIn(dst []byte, addr usermem.Addr) (int, error) {
	want := len(dst)
	dst = dst[:m.inside(addr, want)]
	if len(dst) == 0 {
		return shortCopy(0, want, nil)
	}
	n, err := m.as.ReadAt(dst, uintptr(addr))
	return shortCopy(n, want, err)
}

// CopyOut implements usermem.Memory.
func (m *MM) CopyOut(addr usermem.Addr, src []byte) (int, error) {
	want := len(src)
	src = src[:m.inside(addr, want)]
	if len(src) == 0 {
		return shortCopy(0, want, nil)
	}
	n, err := m.as.WriteAt(src, uintptr(addr))
	return shortCopy(n, want, err)
}

// Writable says whether the guest may write to a range, as far as its mappings
// tell: a file may be too short.
func (m *MM) Writable(addr usermem.Addr, n int) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	end := addr + usermem.Addr(n)
	if end < addr {
		return false
	}
	for addr < end {
		v := m.list.find(addr)
		if v == nil || v.prot&linux.PROT_WRITE == 0 {
			return false
		}
		addr = v.end
	}
	return true
}

// CopyInVec implements usermem.Memory.
func (m *MM) CopyInVec(dst []byte, vec []usermem.Range) (int, error) {
	var few [8]platform.Range
	ranges, n := m.ranges(few[:0], vec, len(dst))
	if n == 0 {
		return shortCopy(0, len(dst), nil)
	}
	done, err := m.as.ReadVec(dst[:n], ranges)
	return shortCopy(done, len(dst), err)
}

// CopyOutVec implements usermem.Memory.
func (m *MM) CopyOutVec(vec []usermem.Range, src []byte) (int, error) {
	var few [8]platform.Range
	ranges, n := m.ranges(few[:0], vec, len(src))
	if n == 0 {
		return shortCopy(0, len(src), nil)
	}
	done, err := m.as.WriteVec(src[:n], ranges)
	return shortCopy(done, len(src), err)
}

// CompareAndSwap32 replaces the aligned word at addr if it is old, and returns
// what it was.
func (m *MM) CompareAndSwap32(by platform.Thread, addr usermem.Addr, old, new uint32) (uint32, error) {
	if addr&3 != 0 {
		return 0, errno.EINVAL
	}
	if m.inside(addr, 4) < 4 {
		return 0, errno.EFAULT
	}
	v, err := m.as.CompareAndSwap(by, uintptr(addr), old, new)
	return v, toErrno(err)
}

// inside is how many of n bytes at addr are addresses of the guest. The
// platform's own pages lie outside, and no copy may reach them.
func (m *MM) inside(addr usermem.Addr, n int) int {
	low, high := usermem.Addr(m.guest.Min), m.max()
	if addr < low || addr >= high {
		return 0
	}
	return int(min(usermem.Addr(n), high-addr))
}

// ranges turns vec into the platform's form, up to want bytes or the first
// address outside, and returns how many bytes that makes.
func (m *MM) ranges(out []platform.Range, vec []usermem.Range, want int) ([]platform.Range, int) {
	n := 0
	for _, r := range vec {
		length := min(r.Len, want-n)
		if length <= 0 {
			continue
		}
		ok := m.inside(r.Start, length)
		if ok > 0 {
			out = append(out, platform.Range{Start: uintptr(r.Start), End: uintptr(r.Start) + uintptr(ok)})
			n += ok
		}
		if ok < length {
			break
		}
	}
	return out, n
}

// shortCopy makes the result of a copy: EFAULT whenever it is short, unless
// the address space is gone and the platform said so.
func shortCopy(n, want int, err error) (int, error) {
	if n >= want {
		return want, nil
	}
	if err != nil && errno.Of(err) != errno.EFAULT {
		return n, errno.Of(err)
	}
	return n, errno.EFAULT
}
