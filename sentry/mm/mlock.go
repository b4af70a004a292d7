package mm

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Memory locks are accounted and shown, and their pages are brought in, but
// the host is not asked to pin them: a sandbox has no right to.

// checkLocked says whether [start, end) may be locked too. EPERM when nothing
// may be locked at all, EAGAIN above the limit.
func (m *MM) checkLocked(start, end usermem.Addr, right LockRight) error {
	if right == LockUnlimited {
		return nil
	}
	limit := m.limit(linux.RLIMIT_MEMLOCK)
	if limit == 0 {
		return errno.EPERM
	}
	_, _, already := m.list.bytesIn(start, end)
	if exceeds(m.list.locked-already, uint64(end-start), limit&^(usermem.PageSize-1)) {
		return errno.EAGAIN
	}
	return nil
}

// Fault says when the pages of a lock are brought in.
type Fault uint8

// The values of Fault: Now is mlock(2), Later is MLOCK_ONFAULT.
const (
	Now Fault = iota
	Later
)

// Lock is mlock(2).
//
// Errors: EINVAL for a range that wraps; EPERM with RLIMIT_MEMLOCK 0 and
// without the right; ENOMEM above the limit, for a hole (what lies before it is
// locked) and beyond MaxMapCount.
func (m *MM) Lock(by platform.Thread, addr usermem.Addr, length uint64, when Fault, right LockRight) error {
	flags := vmLocked
	if when == Later {
		flags |= vmLockOnFault
	}
	start, end, err := m.lockRange(addr, length)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkLocked(start, end, right); err == errno.EAGAIN {
		return errno.ENOMEM
	} else if err != nil {
		return err
	}
	if start == end {
		return nil
	}
	return m.setLock(by, start, end, flags)
}

// Unlock is munlock(2); its errors are those of Lock but for the limits.
func (m *MM) Unlock(by platform.Thread, addr usermem.Addr, length uint64) error {
	start, end, err := m.lockRange(addr, length)
	if err != nil || start == end {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.setLock(by, start, end, 0)
}

func (m *MM) lockRange(addr usermem.Addr, length uint64) (start, end usermem.Addr, err error) {
	start = addr.PageDown()
	length += uint64(addr - start)
	if length == 0 {
		return start, start, nil
	}
	end = start + usermem.Addr((length+usermem.PageSize-1)&^(usermem.PageSize-1))
	if end < start || length < uint64(addr-start) {
		return 0, 0, errno.EINVAL
	}
	return start, end, nil
}

// setLock gives the range the flags as far as it is mapped without a hole.
func (m *MM) setLock(by platform.Thread, start, end usermem.Addr, flags vmFlags) error {
	there := m.list.overlapping(start, end)
	if len(there) == 0 || there[0].start > start {
		return errno.ENOMEM
	}
	if len(m.list.all)+m.list.splits(start, end) > MaxMapCount {
		return errno.ENOMEM
	}
	stop := start
	for _, v := range there {
		if v.start > stop {
			break
		}
		if flags == vmLocked {
			m.populate(by, v, max(v.start, start), min(v.end, end))
		}
		stop = min(v.end, end)
	}
	var drop released // joined parts of one file: references, never the last
	m.list.change(start, stop, &drop, func(v *vma) {
		if v.flags&vmSpecial == 0 {
			v.flags = v.flags&^vmLockFlags | flags
		}
	})
	drop.release()
	if stop < end {
		return errno.ENOMEM
	}
	return nil
}

// populate brings pages in. What cannot be brought in is left: Linux does not
// fail either once the range is marked.
func (m *MM) populate(by platform.Thread, v *vma, start, end usermem.Addr) {
	if v.flags&(vmSpecial|vmGrowsDown) != 0 || v.prot == linux.PROT_NONE {
		return // a growing mapping is mostly reserve here
	}
	advice := linux.MADV_POPULATE_READ
	if v.prot&linux.PROT_WRITE != 0 && v.flags&vmShared == 0 {
		advice = linux.MADV_POPULATE_WRITE
	}
	_ = m.as.Advise(by, uintptr(start), uintptr(end-start), advice)
}

// LockAll is mlockall(2): flags are MCL_*.
//
// Errors: EINVAL for flags; EPERM and ENOMEM as Lock.
func (m *MM) LockAll(by platform.Thread, flags int, right LockRight) error {
	if flags == 0 || flags == linux.MCL_ONFAULT || flags&^(linux.MCL_CURRENT|linux.MCL_FUTURE|linux.MCL_ONFAULT) != 0 {
		return errno.EINVAL
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if right != LockUnlimited {
		limit := m.limit(linux.RLIMIT_MEMLOCK)
		if limit == 0 {
			return errno.EPERM
		}
		if flags&linux.MCL_CURRENT != 0 && exceeds(0, m.list.total, limit) {
			return errno.ENOMEM
		}
	}
	lock := vmLocked
	if flags&linux.MCL_ONFAULT != 0 {
		lock |= vmLockOnFault
	}
	m.lockNext = 0
	if flags&linux.MCL_FUTURE != 0 {
		m.lockNext = lock
	}
	if flags&linux.MCL_CURRENT != 0 {
		m.lockEverything(by, lock)
	}
	return nil
}

// UnlockAll is munlockall(2).
func (m *MM) UnlockAll(by platform.Thread) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lockNext = 0
	m.lockEverything(by, 0)
}

func (m *MM) lockEverything(by platform.Thread, lock vmFlags) {
	if len(m.list.all) == 0 {
		return
	}
	if lock == vmLocked {
		for _, v := range m.list.all {
			m.populate(by, v, v.start, v.end)
		}
	}
	var drop released
	m.list.change(0, m.list.all[len(m.list.all)-1].end, &drop, func(v *vma) {
		if v.flags&vmSpecial == 0 {
			v.flags = v.flags&^vmLockFlags | lock
		}
	})
	drop.release()
}
