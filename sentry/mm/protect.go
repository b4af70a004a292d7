package mm

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Protect changes the rights of pages. As on Linux it works from the start of
// the range up to the first page that does not allow it.
//
// Errors: EINVAL for an unaligned address, unknown bits, or PROT_GROWSDOWN on
// a mapping that does not grow; EACCES for a right that the file or its open
// mode does not give; ENOMEM for a hole, too many mappings, or RLIMIT_DATA.
func (m *MM) Protect(by platform.Thread, addr usermem.Addr, length uint64, prot linux.Prot) error {
	grows := prot & (linux.PROT_GROWSDOWN | linux.PROT_GROWSUP)
	prot &^= grows
	if grows == linux.PROT_GROWSDOWN|linux.PROT_GROWSUP || !addr.PageAligned() {
		return errno.EINVAL
	}
	if length == 0 {
		return nil
	}
	end, err := m.checkRange(addr, length)
	if err != nil {
		return errno.ENOMEM
	}
	if prot&^(protAll|linux.PROT_SEM) != 0 {
		return errno.EINVAL
	}
	prot &= protAll

	m.mu.Lock()
	drop, err := m.protectLocked(by, addr, end, prot, grows)
	m.mu.Unlock()
	drop.release()
	return err
}

func (m *MM) protectLocked(by platform.Thread, start, end usermem.Addr, prot, grows linux.Prot) (drop released, err error) {
	there := m.list.overlapping(start, end)
	if len(there) == 0 {
		return nil, errno.ENOMEM
	}
	switch grows {
	case linux.PROT_GROWSDOWN:
		if there[0].flags&vmGrowsDown == 0 {
			return nil, errno.EINVAL
		}
		start = there[0].start
	case linux.PROT_GROWSUP:
		return nil, errno.EINVAL
	}
	if len(m.list.all)+m.list.splits(start, end) > MaxMapCount {
		return nil, errno.ENOMEM
	}
	stop, refusal := m.allowed(there, start, end, prot)
	if stop > start {
		if err := m.as.Protect(by, uintptr(start), uintptr(stop-start), prot); err != nil {
			return nil, errno.Of(err)
		}
		m.list.change(start, stop, &drop, func(v *vma) { v.prot = prot })
	}
	return drop, refusal
}

// allowed returns how far prot may be given from start on, and why no further.
func (m *MM) allowed(there []*vma, start, end usermem.Addr, prot linux.Prot) (stop usermem.Addr, refusal error) {
	data := m.list.data
	stop = start
	for _, v := range there {
		if v.start > stop {
			return stop, errno.ENOMEM
		}
		if prot&^v.may != 0 {
			return stop, errno.EACCES
		}
		w := *v
		w.prot = prot
		if w.isData() && !v.isData() {
			n := uint64(min(v.end, end) - stop)
			if exceeds(data, n, m.limit(linux.RLIMIT_DATA)) {
				return stop, errno.ENOMEM
			}
			data += n
		}
		stop = min(v.end, end)
	}
	if stop < end {
		return stop, errno.ENOMEM
	}
	return stop, nil
}
