package mm

import (
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// MapOpts says what Map is to do.
type MapOpts struct {
	Addr   usermem.Addr // a hint, or the place with MAP_FIXED
	Length uint64
	Prot   linux.Prot
	Flags  linux.MapFlags
	File   File // nil for anonymous memory; Map takes a reference of its own
	Offset int64

	// FD is the host descriptor of File, which stays open as long as
	// somebody has a reference to File; -1 if such a file (/dev/zero) is
	// mapped as anonymous memory. A mapping for which WantsWrite holds needs
	// one that can be written. Without a File it has no meaning.
	FD int

	// MaxProt are the rights that mprotect may give later: for a file what
	// its open mode and its mount allow. Zero means all, for anonymous memory.
	MaxProt linux.Prot

	// Lock says whether the caller may exceed RLIMIT_MEMLOCK.
	Lock LockRight
}

// LockRight says whether CAP_IPC_LOCK lifts RLIMIT_MEMLOCK.
type LockRight uint8

// The values of LockRight.
const (
	LockLimited LockRight = iota
	LockUnlimited
)

// flags of mmap that are known; the rest is refused with MAP_SHARED_VALIDATE
// and ignored otherwise, as Linux does.
const mapKnown = linux.MAP_SHARED | linux.MAP_PRIVATE | linux.MAP_FIXED | linux.MAP_ANONYMOUS |
	linux.MAP_DENYWRITE | linux.MAP_EXECUTABLE | linux.MAP_UNINITIALIZED | linux.MAP_GROWSDOWN |
	linux.MAP_LOCKED | linux.MAP_NORESERVE | linux.MAP_POPULATE | linux.MAP_NONBLOCK | linux.MAP_STACK |
	linux.MAP_HUGETLB | linux.MAP_32BIT | linux.MAP_FIXED_NOREPLACE | linux.MAP_HUGE_MASK<<linux.MAP_HUGE_SHIFT

// Map maps memory or a file and returns where.
//
// Errors: EINVAL for length 0, no type, an unaligned address or offset; ENOMEM
// without room, above the limits and beyond MaxMapCount; EEXIST for
// MAP_FIXED_NOREPLACE; EPERM below vm.mmap_min_addr; EACCES when MaxProt lacks
// a right; EAGAIN above RLIMIT_MEMLOCK; EOVERFLOW for an offset that wraps;
// EOPNOTSUPP for a flag unknown to MAP_SHARED_VALIDATE; what the host says.
// Nothing has changed then.
func (m *MM) Map(by platform.Thread, o MapOpts) (usermem.Addr, error) {
	length, err := checkMap(&o)
	if err != nil {
		return 0, err
	}
	v := newVMA(&o)
	if v.fd < 0 && v.flags&vmShared != 0 {
		v.file, v.offset = newSharedAnon(), 0
	}
	if v.file != nil {
		v.dev, v.ino = v.file.MapID()
		v.file.IncRef()
	}
	addr, drop, err := m.mapVMA(by, &o, v, length)
	if err != nil && v.file != nil {
		drop = append(drop, v.file)
	}
	drop.release()
	return addr, err
}

// WantsWrite says whether the host descriptor of a mapping must allow writing.
func WantsWrite(flags linux.MapFlags, maxProt linux.Prot) bool {
	return flags&linux.MAP_TYPE != linux.MAP_PRIVATE && maxProt&linux.PROT_WRITE != 0
}

// checkMap checks what does not depend on the list and returns the length in
// whole pages.
func checkMap(o *MapOpts) (uint64, error) {
	if o.Length == 0 {
		return 0, errno.EINVAL
	}
	length := (o.Length + usermem.PageSize - 1) &^ (usermem.PageSize - 1)
	if length < o.Length || length > linux.TaskSize {
		return 0, errno.ENOMEM
	}
	if o.Offset&(usermem.PageSize-1) != 0 {
		return 0, errno.EINVAL
	}
	// Linux counts offsets in pages, unsigned.
	if uint64(o.Offset)>>12+length>>12 > 1<<52 || o.Offset < 0 && o.File != nil {
		return 0, errno.EOVERFLOW
	}
	switch o.Flags & linux.MAP_TYPE {
	case linux.MAP_PRIVATE:
	case linux.MAP_SHARED_VALIDATE:
		if o.File == nil {
			return 0, errno.EINVAL
		}
		if o.Flags&^mapKnown != 0 {
			return 0, errno.EOPNOTSUPP
		}
	case linux.MAP_SHARED:
	default:
		return 0, errno.EINVAL
	}
	if o.Flags&linux.MAP_GROWSDOWN != 0 && (o.File != nil || o.Flags&linux.MAP_TYPE != linux.MAP_PRIVATE) {
		return 0, errno.EINVAL
	}
	if o.Flags&linux.MAP_HUGETLB != 0 && o.File == nil {
		return 0, errno.ENOMEM // as with an empty pool of huge pages
	}
	if o.MaxProt == 0 && o.File == nil {
		o.MaxProt = protAll
	}
	o.Prot &= protAll
	if o.Prot&^o.MaxProt != 0 {
		return 0, errno.EACCES
	}
	return length, nil
}

func newVMA(o *MapOpts) *vma {
	v := &vma{prot: o.Prot, may: o.MaxProt, file: o.File, fd: -1}
	if o.File != nil {
		v.fd, v.offset = o.FD, o.Offset
	}
	if o.Flags&linux.MAP_TYPE != linux.MAP_PRIVATE {
		v.flags |= vmShared
	}
	for _, f := range [...]struct {
		from linux.MapFlags
		to   vmFlags
	}{{linux.MAP_GROWSDOWN, vmGrowsDown}, {linux.MAP_LOCKED, vmLocked}, {linux.MAP_NORESERVE, vmNoReserve}} {
		if o.Flags&f.from != 0 {
			v.flags |= f.to
		}
	}
	return v
}

// mapVMA chooses the place, maps and notes v.
func (m *MM) mapVMA(by platform.Thread, o *MapOpts, v *vma, length uint64) (usermem.Addr, released, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v.flags |= m.lockNext
	addr, err := m.choose(o, length)
	if err != nil {
		return 0, nil, err
	}
	v.start, v.end = addr, addr+usermem.Addr(length)
	if v.flags&vmLocked != 0 {
		if err := m.checkLocked(v.start, v.end, o.Lock); err != nil {
			return 0, nil, err
		}
	}
	total, data, _ := m.list.bytesIn(v.start, v.end)
	if err := m.checkRoom(v, total, data); err != nil {
		return 0, nil, err
	}
	flags := linux.MAP_PRIVATE
	if v.flags&vmShared != 0 {
		flags = linux.MAP_SHARED
	}
	flags |= int(o.Flags & (linux.MAP_NORESERVE | linux.MAP_POPULATE | linux.MAP_NONBLOCK | linux.MAP_STACK))
	err = m.as.Map(by, platform.Mapping{
		Addr: uintptr(v.start), Length: uintptr(length), Prot: v.prot, Flags: flags, FD: v.fd, Offset: v.offset,
	})
	if err != nil {
		return 0, nil, errno.Of(err)
	}
	var drop released
	m.list.remove(v.start, v.end, &drop)
	m.list.insert(v, &drop)
	return addr, drop, nil
}

// choose finds the address of a new mapping.
func (m *MM) choose(o *MapOpts, length uint64) (usermem.Addr, error) {
	n := usermem.Addr(length)
	if o.Flags&(linux.MAP_FIXED|linux.MAP_FIXED_NOREPLACE) != 0 {
		if err := m.checkFixed(o.Addr, length); err != nil {
			return 0, err
		}
		if o.Flags&linux.MAP_FIXED_NOREPLACE != 0 && len(m.list.overlapping(o.Addr, o.Addr+n)) > 0 {
			return 0, errno.EEXIST
		}
		return o.Addr, nil
	}
	if length > uint64(m.max()-m.min()) {
		return 0, errno.ENOMEM
	}
	if o.Addr != 0 {
		if a, ok := o.Addr.PageUp(); ok {
			a = max(a, m.min())
			if a < m.max() && m.max()-a >= n && m.isFree(a, a+n) {
				return a, nil
			}
		}
	}
	if o.Flags&linux.MAP_32BIT != 0 {
		if a, ok := m.above(low32Start, low32End, length); ok {
			return a, nil
		}
		return 0, errno.ENOMEM
	}
	// Whole huge pages at their natural place, as Linux does since 6.7.
	if o.File == nil && length >= hugePage && length%hugePage == 0 {
		return m.findFree(length, hugePage)
	}
	return m.findFree(length, usermem.PageSize)
}

// checkFixed checks the place that a caller insists on.
func (m *MM) checkFixed(addr usermem.Addr, length uint64) error {
	if !addr.PageAligned() {
		return errno.EINVAL
	}
	if addr >= m.max() || uint64(m.max()-addr) < length {
		return errno.ENOMEM
	}
	if addr < m.min() {
		return errno.EPERM
	}
	return nil
}

// checkRoom says whether v may be added to the list when total and data bytes
// of what is there go.
func (m *MM) checkRoom(v *vma, total, data uint64) error {
	if len(m.list.all)+m.list.splits(v.start, v.end)+1 > MaxMapCount {
		return errno.ENOMEM
	}
	if exceeds(m.list.total-total, v.length(), m.limit(linux.RLIMIT_AS)) {
		return errno.ENOMEM
	}
	if v.isData() && exceeds(m.list.data-data, v.length(), m.limit(linux.RLIMIT_DATA)) {
		return errno.ENOMEM
	}
	return nil
}

func exceeds(have, more, limit uint64) bool {
	return limit != linux.RLIM_INFINITY && have+more > limit
}

// Unmap removes whole pages. Addresses at which nothing is mapped are no error.
//
// Errors: EINVAL for length 0, an unaligned address or one outside; ENOMEM
// when a split would exceed MaxMapCount.
func (m *MM) Unmap(by platform.Thread, addr usermem.Addr, length uint64) error {
	end, err := m.checkRange(addr, length)
	if err != nil || length == 0 {
		return errno.EINVAL
	}
	m.mu.Lock()
	drop, err := m.unmapLocked(by, addr, end)
	m.mu.Unlock()
	drop.release()
	return err
}

func (m *MM) unmapLocked(by platform.Thread, start, end usermem.Addr) (drop released, err error) {
	there := m.list.overlapping(start, end)
	if len(there) == 0 {
		return nil, nil
	}
	if len(there) == 1 && there[0].start < start && end < there[0].end && len(m.list.all) >= MaxMapCount {
		return nil, errno.ENOMEM
	}
	// Only from the first page to the last that is mapped: the range may
	// reach beyond what the platform gives to guests.
	start, end = max(start, there[0].start), min(end, there[len(there)-1].end)
	if err := m.as.Unmap(by, uintptr(start), uintptr(end-start)); err != nil {
		return nil, errno.Of(err)
	}
	m.list.remove(start, end, &drop)
	m.forgetHint(end)
	return drop, nil
}

// checkRange checks an aligned address and a length that is rounded up to
// pages, and returns the end. EINVAL if it is not within the guest's addresses.
func (m *MM) checkRange(addr usermem.Addr, length uint64) (end usermem.Addr, err error) {
	if !addr.PageAligned() {
		return 0, errno.EINVAL
	}
	n := (length + usermem.PageSize - 1) &^ (usermem.PageSize - 1)
	if n < length || addr > m.max() || n > uint64(m.max()-addr) {
		return 0, errno.EINVAL
	}
	return addr + usermem.Addr(n), nil
}

// sharedAnon is the identity of shared anonymous memory. The pages are the
// platform's, which keeps them shared over Fork; here it only has a name, so
// that futexes in it can be told apart.
type sharedAnon struct{ ino uint64 }

var sharedAnonCount atomic.Uint64

func newSharedAnon() *sharedAnon { return &sharedAnon{sharedAnonCount.Add(1)} }

// SharedAnonDev is the device number of shared anonymous memory.
const SharedAnonDev = 1

func (s *sharedAnon) MapName() string            { return "/dev/zero (deleted)" }
func (s *sharedAnon) MapID() (linux.Dev, uint64) { return SharedAnonDev, s.ino }
func (s *sharedAnon) IncRef()                    {}
func (s *sharedAnon) DecRef()                    {}
