package mm

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// SetBrk places the heap: it starts somewhere behind end, where the program's
// own data stop.
func (m *MM) SetBrk(end usermem.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	start, ok := end.PageUp()
	if !ok {
		start = end.PageDown()
	}
	start += m.place.randomize.offset(brkRandomMax)
	m.brkStart, m.brk = start, start
}

// Brk is brk(2): it moves the end of the heap to addr if that is possible, and
// returns where it is.
func (m *MM) Brk(by platform.Thread, addr usermem.Addr) usermem.Addr {
	m.mu.Lock()
	drop, ok := m.moveBrk(by, addr)
	if ok {
		m.brk = addr
	}
	now := m.brk
	m.mu.Unlock()
	drop.release() // files only if the program mapped some into its heap
	return now
}

// moveBrk maps or unmaps for a heap that ends at addr.
func (m *MM) moveBrk(by platform.Thread, addr usermem.Addr) (drop released, ok bool) {
	if addr < m.brkStart || addr >= m.max() {
		return nil, false
	}
	old, ok1 := m.brk.PageUp()
	new, ok2 := addr.PageUp()
	if !ok1 || !ok2 || new > m.max() {
		return nil, false
	}
	if new < old {
		drop, err := m.unmapLocked(by, new, old)
		return drop, err == nil
	}
	return nil, new == old || m.growBrk(by, old, new)
}

func (m *MM) growBrk(by platform.Thread, old, new usermem.Addr) bool {
	// Linux counts the program's data segment, too.
	data := uint64(m.process.DataEnd - m.process.DataStart)
	if exceeds(data, uint64(new-m.brkStart), m.limit(linux.RLIMIT_DATA)) {
		return false
	}
	// One page stays free behind it.
	if !m.isFree(old, new+usermem.PageSize) {
		return false
	}
	v := &vma{
		start: old, end: new, prot: linux.PROT_READ | linux.PROT_WRITE, may: protAll, flags: m.lockNext, fd: -1,
	}
	if m.checkRoom(v, 0, 0) != nil {
		return false
	}
	if v.flags&vmLocked != 0 && m.checkLocked(old, new, LockLimited) != nil {
		return false
	}
	if m.mapAnon(by, old, new, v.prot, linux.MAP_PRIVATE) != nil {
		return false
	}
	var drop released
	m.list.insert(v, &drop)
	return true
}
