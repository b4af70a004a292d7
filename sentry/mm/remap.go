package mm

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// RemapOpts are the arguments of mremap(2).
type RemapOpts struct {
	Old       usermem.Addr
	OldLength uint64
	New       usermem.Addr // with MREMAP_FIXED
	NewLength uint64
	Flags     int
	Lock      LockRight
}

// remap is a checked request: [start, end) becomes newLength bytes.
type remap struct {
	RemapOpts
	start, end usermem.Addr
	length     uint64 // the new one, in whole pages
	v          *vma
}

func (r *remap) oldLength() uint64 { return uint64(r.end - r.start) }

// Remap is mremap(2): it resizes a mapping, in place or elsewhere.
//
// Errors: EINVAL for flags, an unaligned address, a new length of 0, or an
// overlap of old and new; EFAULT when the old range is not within one mapping;
// ENOMEM without room or above the limits; EAGAIN above RLIMIT_MEMLOCK.
func (m *MM) Remap(by platform.Thread, o RemapOpts) (usermem.Addr, error) {
	r, err := m.checkRemap(o)
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	addr, drop, err := m.remapLocked(by, r)
	m.mu.Unlock()
	drop.release()
	return addr, err
}

func (m *MM) checkRemap(o RemapOpts) (*remap, error) {
	if o.Flags&^(linux.MREMAP_FIXED|linux.MREMAP_MAYMOVE|linux.MREMAP_DONTUNMAP) != 0 {
		return nil, errno.EINVAL
	}
	if o.Flags&(linux.MREMAP_FIXED|linux.MREMAP_DONTUNMAP) != 0 && o.Flags&linux.MREMAP_MAYMOVE == 0 {
		return nil, errno.EINVAL
	}
	if o.Flags&linux.MREMAP_DONTUNMAP != 0 && o.OldLength != o.NewLength {
		return nil, errno.EINVAL
	}
	length := (o.NewLength + usermem.PageSize - 1) &^ (usermem.PageSize - 1)
	if length == 0 {
		return nil, errno.EINVAL
	}
	end, err := m.checkRange(o.Old, o.OldLength)
	if err != nil {
		return nil, errno.EINVAL
	}
	r := &remap{RemapOpts: o, start: o.Old, end: end, length: length}
	if o.Flags&linux.MREMAP_FIXED == 0 {
		return r, nil
	}
	if !o.New.PageAligned() || length > uint64(m.max()) || o.New > m.max()-usermem.Addr(length) {
		return nil, errno.EINVAL
	}
	if o.New < r.end && r.start < o.New+usermem.Addr(length) {
		return nil, errno.EINVAL
	}
	if o.New < m.min() {
		return nil, errno.EPERM
	}
	return r, nil
}

func (m *MM) remapLocked(by platform.Thread, r *remap) (usermem.Addr, released, error) {
	moves := r.Flags&(linux.MREMAP_FIXED|linux.MREMAP_DONTUNMAP) != 0
	r.v = m.list.find(r.start)
	if r.v == nil {
		return 0, nil, errno.EFAULT
	}
	if !moves && r.length <= r.oldLength() && r.OldLength != 0 {
		return m.shrink(by, r)
	}
	if err := m.checkGrowth(r); err != nil {
		return 0, nil, err
	}
	if !moves && r.end == r.v.end && r.OldLength != 0 && m.isFree(r.end, r.start+usermem.Addr(r.length)) &&
		r.start+usermem.Addr(r.length) <= m.max() {
		if err := m.growInPlace(by, r); err == nil {
			return r.start, nil, nil
		}
	}
	if r.Flags&linux.MREMAP_MAYMOVE == 0 {
		return 0, nil, errno.ENOMEM
	}
	return m.move(by, r)
}

// shrink keeps the mapping where it is and gives back its end. Other mappings
// may lie in what is given back, as on Linux.
func (m *MM) shrink(by platform.Thread, r *remap) (usermem.Addr, released, error) {
	stop := r.start + usermem.Addr(r.length)
	if stop == r.end {
		if r.v.end < r.end {
			return 0, nil, errno.EFAULT
		}
		return r.start, nil, nil
	}
	drop, err := m.unmapLocked(by, stop, r.end)
	return r.start, drop, err
}

// checkGrowth checks a mapping that grows or moves.
func (m *MM) checkGrowth(r *remap) error {
	v := r.v
	if r.OldLength == 0 && v.flags&vmShared == 0 {
		return errno.EINVAL // a private mapping cannot be had twice
	}
	if r.end > v.end {
		return errno.EFAULT
	}
	if v.flags&vmSpecial != 0 {
		return errno.EINVAL
	}
	more := r.length - min(r.length, r.oldLength())
	if r.Flags&linux.MREMAP_DONTUNMAP != 0 {
		more = r.length
	}
	if v.flags&vmLocked != 0 && r.Lock != LockUnlimited &&
		exceeds(m.list.locked, more, m.limit(linux.RLIMIT_MEMLOCK)) {
		return errno.EAGAIN
	}
	if exceeds(m.list.total, more, m.limit(linux.RLIMIT_AS)) {
		return errno.ENOMEM
	}
	if v.isData() && exceeds(m.list.data, more, m.limit(linux.RLIMIT_DATA)) {
		return errno.ENOMEM
	}
	if len(m.list.all)+3 > MaxMapCount {
		return errno.ENOMEM
	}
	return nil
}

// growInPlace lets the platform resize the very mapping, so that it stays one
// for the host, too: a later move needs that.
func (m *MM) growInPlace(by platform.Thread, r *remap) error {
	err := m.as.Move(by, uintptr(r.start), uintptr(r.oldLength()), uintptr(r.start), uintptr(r.length), 0)
	if err != nil {
		return err
	}
	var drop released
	end := r.start + usermem.Addr(r.length)
	m.list.count(r.v, -1)
	r.v.end = end
	m.list.count(r.v, 1)
	// It may touch its next neighbour now.
	i := m.list.search(r.start)
	m.list.join(i, i+1, &drop)
	drop.release() // never the last reference
	return nil
}

func (m *MM) move(by platform.Thread, r *remap) (usermem.Addr, released, error) {
	to := r.New
	if r.Flags&linux.MREMAP_FIXED == 0 {
		var err error
		if to, err = m.moveTarget(r); err != nil {
			return 0, nil, err
		}
	}
	if r.OldLength == 0 {
		return m.duplicate(by, r, to)
	}
	// A target that is shorter: Linux unmaps the rest first.
	old := min(r.oldLength(), r.length)
	var drop released
	if old < r.oldLength() {
		d, err := m.unmapLocked(by, r.start+usermem.Addr(old), r.end)
		if err != nil {
			return 0, nil, err
		}
		drop = d
		r.end = r.start + usermem.Addr(old)
		r.v = m.list.find(r.start)
	}
	keep := r.Flags & linux.MREMAP_DONTUNMAP
	err := m.as.Move(by, uintptr(r.start), uintptr(old), uintptr(to), uintptr(r.length), keep)
	if err != nil {
		return 0, drop, errno.Of(err)
	}
	w := r.movedVMA(to)
	m.list.remove(to, w.end, &drop)
	if keep != 0 {
		m.list.change(r.start, r.end, &drop, func(v *vma) { v.flags &^= vmLockFlags })
	} else {
		m.list.remove(r.start, r.end, &drop)
		m.forgetHint(r.end)
	}
	m.list.insert(w, &drop)
	return to, drop, nil
}

// movedVMA is the mapping at its new place, with its own reference.
func (r *remap) movedVMA(to usermem.Addr) *vma {
	w := *r.v
	w.start, w.end = to, to+usermem.Addr(r.length)
	if w.file != nil {
		w.offset += int64(r.start - r.v.start)
		w.file.IncRef()
	}
	return &w
}

// moveTarget finds a free place for a mapping that moves; with DONTUNMAP the
// new address is a hint.
func (m *MM) moveTarget(r *remap) (usermem.Addr, error) {
	if a := r.New.PageDown(); r.Flags&linux.MREMAP_DONTUNMAP != 0 && a >= m.min() &&
		r.length <= uint64(m.max()) && a <= m.max()-usermem.Addr(r.length) && m.isFree(a, a+usermem.Addr(r.length)) {
		return a, nil
	}
	align := usermem.Addr(usermem.PageSize)
	if r.v.file == nil && r.length >= hugePage && r.length%hugePage == 0 {
		align = hugePage
	}
	return m.findFree(r.length, align)
}

// duplicate maps the same shared object a second time, which is what an old
// length of 0 asks for.
func (m *MM) duplicate(by platform.Thread, r *remap, to usermem.Addr) (usermem.Addr, released, error) {
	w := r.movedVMA(to)
	err := m.as.Move(by, uintptr(r.start), 0, uintptr(to), uintptr(r.length), 0)
	if err != nil {
		return 0, released{w.file}, errno.Of(err)
	}
	var drop released
	m.list.remove(to, w.end, &drop)
	m.list.insert(w, &drop)
	return to, drop, nil
}
