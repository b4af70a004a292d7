package stub

import (
	"cmp"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// Bounds are the addresses that a guest may use: [Min, Max). What a platform is
// asked to do to memory, and what it may copy, is checked against them.
type Bounds struct{ Min, Max uintptr }

const (
	// AnyProt are the rights that a mapping can have.
	AnyProt = linux.PROT_READ | linux.PROT_WRITE | linux.PROT_EXEC

	// mapHints are the flags of mmap that a Mapping may have.
	mapHints = unix.MAP_NORESERVE | unix.MAP_POPULATE | unix.MAP_NONBLOCK | unix.MAP_STACK
)

// Check is EINVAL for a range that is empty, not of whole pages, or not the
// guest's.
func (b Bounds) Check(addr, length uintptr) error {
	if addr%pageSize != 0 || length%pageSize != 0 || length == 0 ||
		addr < b.Min || addr >= b.Max || length > b.Max-addr {
		return errno.EINVAL
	}
	return nil
}

// MapFlags checks a mapping and returns the flags of the mmap that makes it.
func (b Bounds) MapFlags(m *platform.Mapping) (uint64, error) {
	if err := b.Check(m.Addr, m.Length); err != nil {
		return 0, err
	}
	kind := m.Flags & unix.MAP_TYPE
	if kind != unix.MAP_SHARED && kind != unix.MAP_PRIVATE || m.Prot&^AnyProt != 0 {
		return 0, errno.EINVAL
	}
	flags := uint64(kind | m.Flags&mapHints | unix.MAP_FIXED)
	if m.FD < 0 {
		flags |= unix.MAP_ANONYMOUS
	}
	return flags, nil
}

// MoveFlags checks a move and returns the flags of the mremap that does it.
func (b Bounds) MoveFlags(old, oldLength, new, newLength uintptr, flags int) (uint64, error) {
	if err := b.Check(old, cmp.Or(oldLength, pageSize)); err != nil {
		return 0, err
	}
	if err := b.Check(new, newLength); err != nil {
		return 0, err
	}
	if old == new {
		return 0, nil // resize in place
	}
	return uint64(unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED | flags&unix.MREMAP_DONTUNMAP), nil
}

// CheckAdvice checks the arguments of an Advise. EPERM for advice that tests the
// host's memory.
func (b Bounds) CheckAdvice(addr, length uintptr, advice int) error {
	const softOffline = unix.MADV_HWPOISON + 1
	if advice == unix.MADV_HWPOISON || advice == softOffline {
		return errno.EPERM
	}
	return b.Check(addr, length)
}

// Within returns how much of a range the guest may have at all.
func (b Bounds) Within(addr uintptr, length int) int {
	if addr >= b.Max {
		return 0
	}
	return int(min(uintptr(length), b.Max-addr))
}

// Read and Write copy from and to the memory of process pid; ReadVec and WriteVec
// from and to several ranges of it. EFAULT if not all could be.
func (b Bounds) Read(pid int, dst []byte, addr uintptr) (int, error) {
	return b.copy(pid, dst, addr, host.ReadProcess)
}

func (b Bounds) Write(pid int, src []byte, addr uintptr) (int, error) {
	return b.copy(pid, src, addr, host.WriteProcess)
}

func (b Bounds) ReadVec(pid int, dst []byte, vec []platform.Range) (int, error) {
	return b.copyVec(pid, dst, vec, host.ReadProcessVec)
}

func (b Bounds) WriteVec(pid int, src []byte, vec []platform.Range) (int, error) {
	return b.copyVec(pid, src, vec, host.WriteProcessVec)
}

func (b Bounds) copy(pid int, p []byte, addr uintptr, move func(int, []byte, uintptr) (int, error)) (int, error) {
	n, err := move(pid, p[:b.Within(addr, len(p))], addr)
	if err != nil || n < len(p) {
		return n, errno.EFAULT
	}
	return n, nil
}

func (b Bounds) copyVec(pid int, p []byte, vec []platform.Range, move func(int, []byte, []host.Span) (int, error)) (int, error) {
	spans := make([]host.Span, 0, len(vec))
	total := 0
	for _, r := range vec {
		if total >= len(p) || r.End < r.Start {
			break
		}
		want := int(min(r.Len(), uintptr(len(p)-total)))
		allowed := b.Within(r.Start, want)
		if allowed > 0 {
			spans = append(spans, host.Span{Addr: r.Start, Len: uintptr(allowed)})
			total += allowed
		}
		if allowed < want {
			break
		}
	}
	n, err := move(pid, p[:total], spans)
	if err != nil || n < len(p) {
		return n, errno.EFAULT
	}
	return n, nil
}
