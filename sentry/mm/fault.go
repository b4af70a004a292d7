package mm

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/futex"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// growStep is by how much a growing mapping grows at least, if it can: each
// step costs a fault that the guest's thread waits for.
const growStep = 128 << 10

// HandleFault is called for a fault of the guest at addr. Nil says that it was
// repaired and the thread may try again; otherwise the signal of the event is
// due. Only growing mappings below which the fault lies can be repaired: all
// other pages are the platform's.
func (m *MM) HandleFault(by platform.Thread, addr usermem.Addr) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if addr < m.min() || addr >= m.max() {
		return errno.EFAULT
	}
	i := m.list.search(addr)
	if i == len(m.list.all) {
		return errno.EFAULT
	}
	v := m.list.all[i]
	if v.start <= addr || v.flags&vmGrowsDown == 0 {
		return errno.EFAULT
	}
	start := addr.PageDown()
	if wide := v.start - min(v.start, growStep); wide < start && m.canGrow(i, wide) {
		start = wide
	}
	if !m.canGrow(i, start) {
		return errno.EFAULT
	}
	if err := m.mapAnon(by, start, v.start, v.prot, linux.MAP_PRIVATE|linux.MAP_NORESERVE); err != nil {
		return err
	}
	m.list.count(v, -1)
	v.start = start
	m.list.count(v, 1)
	return nil
}

// canGrow says whether the i-th mapping may start at start.
func (m *MM) canGrow(i int, start usermem.Addr) bool {
	v := m.list.all[i]
	if start < m.min() || uint64(v.end-start) > m.limit(linux.RLIMIT_STACK) {
		return false
	}
	if exceeds(m.list.total, uint64(v.start-start), m.limit(linux.RLIMIT_AS)) {
		return false
	}
	if i == 0 {
		return true
	}
	prev := m.list.all[i-1]
	gap := usermem.Addr(guardGap)
	if prev.flags&vmGrowsDown != 0 || prev.prot == linux.PROT_NONE {
		gap = 0
	}
	return prev.end+gap <= start
}

// FaultCode is the si_code of a SIGSEGV at addr: SEGV_ACCERR if something is
// mapped there. A platform whose own pages lie among the guest's cannot tell.
func (m *MM) FaultCode(addr usermem.Addr) int32 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.list.find(addr) == nil {
		return linux.SEGV_MAPERR
	}
	return linux.SEGV_ACCERR
}

// objectID names shared memory in a futex key.
type objectID struct {
	dev linux.Dev
	ino uint64
}

// FutexKey is the key of the futex word at addr: shared memory is named by its
// object, all else by the address space.
//
// Errors: EFAULT if nothing is mapped at addr.
func (m *MM) FutexKey(addr usermem.Addr, scope futex.Scope) (futex.Key, error) {
	if addr >= m.max() {
		return futex.Key{}, errno.EFAULT
	}
	if scope == futex.Private {
		return m.privateKey(addr), nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	v := m.list.find(addr)
	if v == nil || v.prot == linux.PROT_NONE {
		return futex.Key{}, errno.EFAULT
	}
	if v.flags&vmShared == 0 || v.file == nil {
		return m.privateKey(addr), nil
	}
	return futex.Key{Object: objectID{v.dev, v.ino}, Offset: uint64(v.offset) + uint64(addr-v.start)}, nil
}

func (m *MM) privateKey(addr usermem.Addr) futex.Key {
	k := futex.Key{Object: m, Offset: uint64(addr)}
	if c, ok := m.as.(platform.WaiterCounter); ok {
		k.Waiters = c.Waiters(uintptr(addr))
	}
	return k
}

// Barrier makes every thread of the address space that is running pass a memory
// barrier. Taking away a page that is in use does that: the processors that run
// the threads are interrupted to forget it, on every platform, and neither the
// guest nor the host's list of calls has to know of anything new.
//
// Errors: ENOMEM.
func (m *MM) Barrier(by platform.Thread) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.findFree(usermem.PageSize, usermem.PageSize)
	if err != nil {
		return err
	}
	if err := m.mapAnon(by, at, at+usermem.PageSize, linux.PROT_READ|linux.PROT_WRITE, linux.MAP_PRIVATE|linux.MAP_POPULATE); err != nil {
		return err
	}
	m.forgetHint(at + usermem.PageSize)
	return toErrno(m.as.Unmap(by, uintptr(at), usermem.PageSize))
}
