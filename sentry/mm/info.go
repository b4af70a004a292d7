package mm

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Region is one mapping as /proc/PID/maps and smaps show it.
type Region struct {
	Start, End usermem.Addr
	Prot       linux.Prot
	Shared     bool
	Offset     uint64
	Dev        linux.Dev
	Ino        uint64
	Name       string // "", a path, "[heap]", "[stack]", "[vdso]", "[vvar]" or "[anon:x]"
	Flags      string // smaps' VmFlags line, each flag followed by a blank
	Locked     bool
	Anonymous  bool // private memory without a file
}

// ForEach calls fn for a copy of the list, in the order of addresses, until it
// returns false.
func (m *MM) ForEach(fn func(Region) bool) {
	m.mu.RLock()
	regions := make([]Region, 0, len(m.list.all))
	for _, v := range m.list.all {
		regions = append(regions, m.region(v))
	}
	m.mu.RUnlock()
	for _, r := range regions {
		if !fn(r) {
			return
		}
	}
}

// Find returns the mapping that contains addr.
func (m *MM) Find(addr usermem.Addr) (Region, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if v := m.list.find(addr); v != nil {
		return m.region(v), true
	}
	return Region{}, false
}

// FileAt returns the file that is mapped at addr, with a reference for the
// caller, and the start of its mapping; nil if there is none.
func (m *MM) FileAt(addr usermem.Addr) (f File, start usermem.Addr, offset int64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v := m.list.find(addr)
	if v == nil || v.file == nil {
		return nil, 0, 0
	}
	v.file.IncRef()
	return v.file, v.start, v.offset
}

func (m *MM) region(v *vma) Region {
	r := Region{
		Start: v.start, End: v.end, Prot: v.prot, Shared: v.flags&vmShared != 0,
		Locked: v.flags&vmLocked != 0, Anonymous: v.isPrivateAnon(), Flags: v.flagNames(),
	}
	switch {
	case v.file != nil:
		r.Offset = uint64(v.offset)
		r.Dev, r.Ino = v.dev, v.ino
		r.Name = v.file.MapName()
	case v.flags&vmVDSO != 0:
		r.Name = "[vdso]"
	case v.flags&vmVVar != 0:
		r.Name = "[vvar]"
	case m.brk > m.brkStart && v.start <= m.brk && v.end > m.brkStart:
		r.Name = "[heap]"
	case v.start <= m.process.StackStart && m.process.StackStart <= v.end && v.flags&vmGrowsDown != 0:
		r.Name = "[stack]"
	case v.name != "":
		r.Name = "[anon:" + v.name + "]"
	}
	return r
}

func (v *vma) flagNames() string {
	b := make([]byte, 0, 48)
	add := func(on bool, name string) {
		if on {
			b = append(append(b, name...), ' ')
		}
	}
	add(v.prot&linux.PROT_READ != 0, "rd")
	add(v.prot&linux.PROT_WRITE != 0, "wr")
	add(v.prot&linux.PROT_EXEC != 0, "ex")
	add(v.flags&vmShared != 0, "sh")
	add(v.may&linux.PROT_READ != 0, "mr")
	add(v.may&linux.PROT_WRITE != 0, "mw")
	add(v.may&linux.PROT_EXEC != 0, "me")
	add(v.flags&vmShared != 0 && v.may&linux.PROT_WRITE != 0, "ms")
	add(v.flags&vmGrowsDown != 0, "gd")
	add(v.flags&vmLocked != 0, "lo")
	add(v.flags&vmSeqRead != 0, "sr")
	add(v.flags&vmRandRead != 0, "rr")
	add(v.flags&vmDontFork != 0, "dc")
	add(v.flags&vmSpecial != 0, "de")
	add(v.isData() && v.flags&vmNoReserve == 0, "ac")
	add(v.flags&vmNoReserve != 0, "nr")
	add(v.flags&vmWipeOnFork != 0, "wf")
	add(v.flags&vmDontDump != 0, "dd")
	add(v.flags&vmHugePage != 0, "hg")
	add(v.flags&vmNoHugePage != 0, "nh")
	add(v.flags&vmMergeable != 0, "mg")
	return string(b)
}

// Usage is how much address space is used for what, in bytes: what
// /proc/PID/status and statm show. Memory in use is the platform's to tell.
type Usage struct {
	Total, Data, Locked, Stack, Text, Shared uint64
	Maps                                     int
}

// Usage sums up the list.
func (m *MM) Usage() Usage {
	m.mu.RLock()
	defer m.mu.RUnlock()
	u := Usage{Total: m.list.total, Data: m.list.data, Locked: m.list.locked, Maps: len(m.list.all)}
	for _, v := range m.list.all {
		switch {
		case v.flags&vmGrowsDown != 0:
			u.Stack += v.length()
		case v.prot&linux.PROT_EXEC != 0 && v.prot&linux.PROT_WRITE == 0:
			u.Text += v.length()
		}
		if v.flags&vmShared != 0 {
			u.Shared += v.length()
		}
	}
	return u
}

// Resident is an estimate of the memory in use, in bytes.
type Resident struct{ Anon, File, Shared uint64 }

// Total is all of it.
func (r Resident) Total() uint64 { return r.Anon + r.File + r.Shared }

// residentCap bounds what one mapping counts for in the estimate.
const residentCap = 1 << 20

// Resident estimates how much of the mapping is in memory: all of it, if it can
// be accessed, but not more than residentCap. The pages are the platform's,
// which cannot say without stopping the guest.
func (r Region) Resident() uint64 {
	if r.Prot == linux.PROT_NONE {
		return 0
	}
	return min(uint64(r.End-r.Start), residentCap)
}

// Resident sums up the estimates of all mappings.
func (m *MM) Resident() Resident {
	var sum Resident
	m.ForEach(func(r Region) bool {
		switch n := r.Resident(); {
		case r.Shared:
			sum.Shared += n
		case r.Anonymous:
			sum.Anon += n
		default:
			sum.File += n
		}
		return true
	})
	return sum
}

// SetName is prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME): an empty name takes it
// away. The caller has checked the characters.
//
// Errors: EINVAL for an unaligned range; ENOMEM for a hole or beyond
// MaxMapCount; EBADF for memory with a file.
func (m *MM) SetName(addr usermem.Addr, length uint64, name string) error {
	end, err := m.adviseRange(addr, length)
	if err != nil || addr == end {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list.all)+m.list.splits(addr, end) > MaxMapCount {
		return errno.ENOMEM
	}
	at := addr
	for _, v := range m.list.overlapping(addr, end) {
		if v.file != nil {
			return errno.EBADF
		}
		if v.start > at {
			err = errno.ENOMEM
		}
		at = v.end
	}
	if at < end {
		err = errno.ENOMEM
	}
	var drop released // anonymous memory: stays empty
	m.list.change(addr, end, &drop, func(v *vma) { v.name = name })
	return err
}

// Max is the end of the guest's addresses.
func (m *MM) Max() usermem.Addr { return m.max() }
