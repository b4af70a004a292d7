package mm

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// advice says what one value of madvise(2) does: which mappings it refuses,
// which flags change, and whether the platform is told.
type advice struct {
	set, clear vmFlags
	refuse     func(*vma) error
	tell       bool
}

var adviceTable = map[int]advice{
	linux.MADV_NORMAL:          {clear: vmSeqRead | vmRandRead, tell: true},
	linux.MADV_RANDOM:          {set: vmRandRead, clear: vmSeqRead, tell: true},
	linux.MADV_SEQUENTIAL:      {set: vmSeqRead, clear: vmRandRead, tell: true},
	linux.MADV_WILLNEED:        {tell: true},
	linux.MADV_DONTNEED:        {refuse: refuseLocked, tell: true},
	linux.MADV_DONTNEED_LOCKED: {refuse: refuseSpecial, tell: true},
	linux.MADV_FREE:            {refuse: refuseUnlessAnon, tell: true},
	linux.MADV_REMOVE:          {refuse: refuseRemove, tell: true},
	linux.MADV_DONTFORK:        {set: vmDontFork, tell: true},
	linux.MADV_DOFORK:          {clear: vmDontFork, refuse: refuseSpecial, tell: true},
	linux.MADV_WIPEONFORK:      {set: vmWipeOnFork, refuse: refuseUnlessAnon, tell: true},
	linux.MADV_KEEPONFORK:      {clear: vmWipeOnFork, refuse: refuseSpecial, tell: true},
	linux.MADV_MERGEABLE:       {set: vmMergeable},
	linux.MADV_UNMERGEABLE:     {clear: vmMergeable},
	linux.MADV_HUGEPAGE:        {set: vmHugePage, clear: vmNoHugePage, refuse: refuseSpecial, tell: true},
	linux.MADV_NOHUGEPAGE:      {set: vmNoHugePage, clear: vmHugePage, tell: true},
	linux.MADV_DONTDUMP:        {set: vmDontDump},
	linux.MADV_DODUMP:          {clear: vmDontDump, refuse: refuseSpecial},
	linux.MADV_COLD:            {refuse: refuseLocked, tell: true},
	linux.MADV_PAGEOUT:         {refuse: refuseLocked, tell: true},
	linux.MADV_POPULATE_READ:   {tell: true},
	linux.MADV_POPULATE_WRITE:  {tell: true},
	linux.MADV_COLLAPSE:        {refuse: refuseSpecial, tell: true},
	linux.MADV_GUARD_INSTALL:   {refuse: refuseLocked, tell: true},
	linux.MADV_GUARD_REMOVE:    {refuse: refuseSpecial, tell: true},
}

func refuseSpecial(v *vma) error {
	if v.flags&vmSpecial != 0 {
		return errno.EINVAL
	}
	return nil
}

func refuseLocked(v *vma) error {
	if v.flags&(vmSpecial|vmLocked) != 0 {
		return errno.EINVAL
	}
	return nil
}

func refuseUnlessAnon(v *vma) error {
	if !v.isPrivateAnon() {
		return errno.EINVAL
	}
	return nil
}

func refuseRemove(v *vma) error {
	if v.flags&(vmSpecial|vmLocked) != 0 || v.file == nil {
		return errno.EINVAL
	}
	if v.flags&vmShared == 0 || v.may&linux.PROT_WRITE == 0 {
		return errno.EACCES
	}
	return nil
}

// Advise is madvise(2).
//
// Errors: EINVAL for an advice that is unknown or does not suit a mapping, and
// an unaligned or wrapping range; ENOMEM for a hole (the rest of the range is
// done all the same, except when pages are to be brought in); EACCES for
// MADV_REMOVE on what cannot be written; EPERM for MADV_HWPOISON.
func (m *MM) Advise(by platform.Thread, addr usermem.Addr, length uint64, what int) error {
	if what == linux.MADV_HWPOISON || what == linux.MADV_SOFT_OFFLINE {
		return errno.EPERM // Breaking pages of the host is nobody's right here.
	}
	a, ok := adviceTable[what]
	if !ok {
		return errno.EINVAL
	}
	end, err := m.adviseRange(addr, length)
	if err != nil || addr == end {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list.all)+m.list.splits(addr, end) > MaxMapCount && (a.set|a.clear) != 0 {
		return errno.ENOMEM
	}
	return m.adviseLocked(by, addr, end, what, a)
}

// adviseRange does not limit the range to the guest's addresses: what lies
// beyond is a hole.
func (m *MM) adviseRange(addr usermem.Addr, length uint64) (usermem.Addr, error) {
	if !addr.PageAligned() {
		return 0, errno.EINVAL
	}
	n := (length + usermem.PageSize - 1) &^ (usermem.PageSize - 1)
	end := addr + usermem.Addr(n)
	if n < length || end < addr {
		return 0, errno.EINVAL
	}
	return end, nil
}

func (m *MM) adviseLocked(by platform.Thread, start, end usermem.Addr, what int, a advice) error {
	// The flags are changed piece by piece, as far as no mapping refuses:
	// the list may be split and joined meanwhile, so it is walked by address.
	populates := what == linux.MADV_POPULATE_READ || what == linux.MADV_POPULATE_WRITE
	hole := false
	for at := start; at < end; {
		i := m.list.search(at)
		if i == len(m.list.all) || m.list.all[i].start >= end {
			hole = true
			break
		}
		v := m.list.all[i]
		if v.start > at {
			hole = true
			at = v.start
			if populates {
				return errno.ENOMEM
			}
		}
		stop := min(v.end, end)
		if a.refuse != nil {
			if err := a.refuse(v); err != nil {
				return err
			}
		}
		if a.tell {
			if err := m.as.Advise(by, uintptr(at), uintptr(stop-at), what); err != nil {
				return errno.Of(err)
			}
		}
		if v.flags&^a.clear|a.set != v.flags {
			var drop released
			m.list.change(at, stop, &drop, func(v *vma) { v.flags = v.flags&^a.clear | a.set })
			drop.release()
		}
		at = stop
	}
	if hole {
		return errno.ENOMEM
	}
	return nil
}

// Sync is msync(2): what is written is at once visible to everybody who reads
// the file, so only MS_SYNC has something to do: sync is called for each shared
// file of the range.
//
// Errors: EINVAL for flags or an unaligned address; EBUSY for MS_INVALIDATE on
// locked memory; ENOMEM for a hole; what sync returns.
func (m *MM) Sync(addr usermem.Addr, length uint64, flags int, sync func(File) error) error {
	if flags&^(linux.MS_ASYNC|linux.MS_INVALIDATE|linux.MS_SYNC) != 0 ||
		flags&(linux.MS_ASYNC|linux.MS_SYNC) == linux.MS_ASYNC|linux.MS_SYNC {
		return errno.EINVAL
	}
	end, err := m.adviseRange(addr, length)
	if err == errno.EINVAL && addr.PageAligned() {
		return errno.ENOMEM
	}
	if err != nil || addr == end {
		return err
	}
	files, result := m.filesToSync(addr, end, flags)
	defer released(files).release()
	if flags&linux.MS_SYNC == 0 {
		return result
	}
	for _, f := range files {
		if err := sync(f); err != nil {
			return err
		}
	}
	return result
}

// filesToSync returns the shared files of the range, each with a reference.
func (m *MM) filesToSync(start, end usermem.Addr, flags int) (files []File, result error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	at := start
	for _, v := range m.list.overlapping(start, end) {
		if v.start > at {
			result = errno.ENOMEM
		}
		if flags&linux.MS_INVALIDATE != 0 && v.flags&vmLocked != 0 {
			return files, errno.EBUSY
		}
		if v.file != nil && v.flags&vmShared != 0 {
			v.file.IncRef()
			files = append(files, v.file)
		}
		at = v.end
	}
	if at < end {
		result = errno.ENOMEM
	}
	return files, result
}

// Mincore is mincore(2): one byte for each page.
//
// Errors: EINVAL for an unaligned address; ENOMEM for a hole.
func (m *MM) Mincore(by platform.Thread, addr usermem.Addr, vec []byte) error {
	if !addr.PageAligned() {
		return errno.EINVAL
	}
	end := addr + usermem.Addr(len(vec)*usermem.PageSize)
	m.mu.RLock()
	defer m.mu.RUnlock()
	at := addr
	for _, v := range m.list.overlapping(addr, end) {
		if v.start > at {
			break
		}
		at = v.end
	}
	if at < end {
		return errno.ENOMEM
	}
	return toErrno(m.as.Resident(by, uintptr(addr), uintptr(end-addr), vec))
}
