package mm

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Randomization says whether a layout is to be random.
type Randomization uint8

// The kinds of layout: Fixed is personality(ADDR_NO_RANDOMIZE).
const (
	Random Randomization = iota
	Fixed
)

// placement is where things go that have no address of their own.
type placement struct {
	randomize Randomization
	base      usermem.Addr // new mappings go below
	stackTop  usermem.Addr // the stack goes below
}

// Figures of Linux's layout on amd64.
const (
	minStackGap    = 128 << 20 // between the stack's top and base, at least
	stackRandomMax = 16 << 30
	mmapRandomMax  = 1 << 40 // 28 bits of pages
	pieRandomMax   = 1 << 40
	brkRandomMax   = 32 << 20
	low32Start     = 0x40000000 // MAP_32BIT searches here
	low32End       = 0x80000000
	hugePage       = linux.HugePageSize
	stackReserve   = 8 << 20
	stackMinimum   = 128 << 10
)

// SetLayout chooses the places of the stack and of mappings, as execve does.
func (m *MM) SetLayout(r Randomization) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gap := m.limit(linux.RLIMIT_STACK)
	gap = min(max(gap, minStackGap), uint64(m.max())/6*5-stackRandomMax-guardGap)
	gap += stackRandomMax + guardGap
	m.place = placement{randomize: r, stackTop: m.max(), base: m.max() - usermem.Addr(gap).PageDown()}
	m.place.stackTop -= r.offset(stackRandomMax)
	m.place.base -= r.offset(min(mmapRandomMax, uint64(m.place.base)/4))
}

// PIEBase is where a position independent program is loaded that has an
// interpreter.
func (m *MM) PIEBase() usermem.Addr {
	m.mu.RLock()
	defer m.mu.RUnlock()
	base := (m.max() / 3 * 2).PageDown()
	room := uint64(m.place.base-base) / 2
	return base + m.place.randomize.offset(min(pieRandomMax, room))
}

// offset is a random number of pages below limit bytes.
func (r Randomization) offset(limit uint64) usermem.Addr {
	if r == Fixed || limit < usermem.PageSize {
		return 0
	}
	var b [8]byte
	rand.Read(b[:]) // never fails
	return usermem.Addr(binary.NativeEndian.Uint64(b[:]) % limit).PageDown()
}

// findFree looks for length free bytes, as high as possible below base, or
// else above the middle of the address space. ENOMEM if there are none.
func (m *MM) findFree(length uint64, align usermem.Addr) (usermem.Addr, error) {
	high := m.place.base
	if length >= m.hintBytes && m.freeHint != 0 {
		high = min(high, m.freeHint)
	}
	if a, ok := m.below(high, m.min(), length, align); ok {
		if align == usermem.PageSize {
			m.freeHint, m.hintBytes = a+usermem.Addr(length), length
		}
		return a, nil
	}
	if a, ok := m.below(m.max(), m.min(), length, usermem.PageSize); ok {
		return a, nil
	}
	return 0, errno.ENOMEM
}

// forgetHint is called when addresses up to end become free.
func (m *MM) forgetHint(end usermem.Addr) {
	if end > m.freeHint {
		m.freeHint, m.hintBytes = 0, 0
	}
}

// below finds the highest free place of length bytes in [low, high).
func (m *MM) below(high, low usermem.Addr, length uint64, align usermem.Addr) (usermem.Addr, bool) {
	n := usermem.Addr(length)
	end := high
	i := m.list.search(high)
	if i < len(m.list.all) {
		end = min(end, m.list.all[i].low())
	}
	for {
		start := low
		if i > 0 {
			start = max(low, m.list.all[i-1].end)
		}
		if end > start && end-start >= n {
			if a := (end - n) &^ (align - 1); a >= start {
				return a, true
			}
		}
		if i == 0 || m.list.all[i-1].start <= low {
			return 0, false
		}
		i--
		end = min(high, m.list.all[i].low())
	}
}

// above finds the lowest free place of length bytes in [low, high).
func (m *MM) above(low, high usermem.Addr, length uint64) (usermem.Addr, bool) {
	n := usermem.Addr(length)
	start := low
	for i := m.list.search(low); ; i++ {
		end := high
		if i < len(m.list.all) {
			end = min(high, m.list.all[i].low())
		}
		if end > start && end-start >= n {
			return start, true
		}
		if i == len(m.list.all) || m.list.all[i].end >= high {
			return 0, false
		}
		start = max(start, m.list.all[i].end)
	}
}

// isFree says whether [start, end) can be taken without replacing anything or
// coming too close to a growing mapping.
func (m *MM) isFree(start, end usermem.Addr) bool {
	i := m.list.search(start)
	return i == len(m.list.all) || m.list.all[i].low() >= end
}

// Executable says whether the stack holds code, from PT_GNU_STACK.
type Executable uint8

// The values of Executable.
const (
	NoExec Executable = iota
	Exec
)

// MapStack maps the main stack and returns its top.
func (m *MM) MapStack(by platform.Thread, x Executable) (usermem.Addr, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := usermem.Addr(min(max(m.limit(linux.RLIMIT_STACK), stackMinimum), stackReserve)).PageDown()
	top, ok := m.below(m.place.stackTop, m.min(), uint64(size), usermem.PageSize)
	if !ok {
		return 0, errno.ENOMEM
	}
	top += size
	// The part that every program touches shall not lie in a range that the
	// host may back by a huge page: zeroing 2 MiB at each exec costs more
	// than all the faults that it saves.
	if off := top & (hugePage - 1); off < hugePage/4 {
		if a := top - off - hugePage/4 - size; m.isFree(a, a+size) {
			top = a + size
		}
	}
	v := &vma{
		start: top - size, end: top, prot: linux.PROT_READ | linux.PROT_WRITE, may: protAll,
		flags: vmGrowsDown, fd: -1,
	}
	if x == Exec {
		v.prot |= linux.PROT_EXEC
	}
	if err := m.checkRoom(v, 0, 0); err != nil {
		return 0, err
	}
	if err := m.mapAnon(by, v.start, v.end, v.prot, linux.MAP_PRIVATE|linux.MAP_NORESERVE); err != nil {
		return 0, err
	}
	var drop released
	m.list.insert(v, &drop)
	m.process.StackStart = top
	return top, nil
}

const protAll = linux.PROT_READ | linux.PROT_WRITE | linux.PROT_EXEC

// mapAnon asks the platform for anonymous memory.
func (m *MM) mapAnon(by platform.Thread, start, end usermem.Addr, prot linux.Prot, flags int) error {
	return toErrno(m.as.Map(by, platform.Mapping{
		Addr: uintptr(start), Length: uintptr(end - start), Prot: prot, Flags: flags, FD: -1,
	}))
}

// toErrno makes sure that what a platform returned is an Errno.
func toErrno(err error) error {
	if err == nil {
		return nil
	}
	return errno.Of(err)
}

// Place finds where length bytes could be mapped, for a program whose segments
// come one by one: at hint or, if that is 0 or taken, where mmap would put them.
//
// Errors: ENOMEM.
func (m *MM) Place(hint usermem.Addr, length uint64, align usermem.Addr) (usermem.Addr, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if length > uint64(m.max()-m.min()) {
		return 0, errno.ENOMEM
	}
	n := usermem.Addr(length)
	if a := hint &^ (align - 1); a >= m.min() && a < m.max() && m.max()-a >= n && m.isFree(a, a+n) {
		return a, nil
	}
	return m.findFree(length, align)
}

// IsFree says whether nothing is mapped in the range and it is the guest's.
func (m *MM) IsFree(addr usermem.Addr, length uint64) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.checkFixed(addr, length) == nil && len(m.list.overlapping(addr, addr+usermem.Addr(length))) == 0
}
