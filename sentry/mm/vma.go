package mm

import (
	"fmt"
	"sort"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// vmFlags are the properties of a mapping beside its rights.
type vmFlags uint32

const (
	vmShared vmFlags = 1 << iota
	vmGrowsDown
	vmLocked
	vmLockOnFault
	vmNoReserve
	vmDontFork
	vmWipeOnFork
	vmDontDump
	vmHugePage
	vmNoHugePage
	vmMergeable
	vmSeqRead
	vmRandRead
	vmVDSO
	vmVVar

	vmSpecial   = vmVDSO | vmVVar
	vmLockFlags = vmLocked | vmLockOnFault
)

// vma is one mapping. The list owns a reference to file for each vma.
type vma struct {
	start, end usermem.Addr
	prot, may  linux.Prot // rights now, and the most that mprotect may give
	flags      vmFlags
	file       File
	fd         int   // the host descriptor that is mapped, or -1; the file's
	offset     int64 // of start in file
	dev        linux.Dev
	ino        uint64
	name       string // PR_SET_VMA_ANON_NAME
}

func (v *vma) length() uint64 { return uint64(v.end - v.start) }

// private anonymous memory that counts as data: what RLIMIT_DATA limits.
func (v *vma) isData() bool {
	return v.prot&linux.PROT_WRITE != 0 && v.flags&(vmShared|vmGrowsDown|vmSpecial) == 0
}

func (v *vma) isPrivateAnon() bool {
	return v.fd < 0 && v.flags&(vmShared|vmSpecial) == 0
}

// low is the lowest address that others must keep free of: growing mappings
// have a guard gap below.
func (v *vma) low() usermem.Addr {
	if v.flags&vmGrowsDown == 0 {
		return v.start
	}
	if v.start < guardGap {
		return 0
	}
	return v.start - guardGap
}

// guardGap is Linux's stack_guard_gap: 256 pages.
const guardGap = 256 * usermem.PageSize

// follows says whether w continues v, so that both can be one.
func (v *vma) follows(w *vma) bool {
	if v.end != w.start || v.prot != w.prot || v.may != w.may || v.flags != w.flags ||
		v.flags&vmSpecial != 0 || v.name != w.name {
		return false
	}
	if v.file == nil || w.file == nil {
		return v.file == nil && w.file == nil
	}
	return v.file == w.file && v.fd == w.fd && v.offset+int64(v.length()) == w.offset
}

// vmas is the list of mappings: ordered, without overlap, neighbours that can
// be one are one. A slice is moved faster than a tree is walked up to the
// number of mappings that Linux allows.
type vmas struct {
	all    []*vma
	total  uint64 // bytes
	data   uint64 // bytes of isData
	locked uint64 // bytes of vmLocked
}

// search returns the index of the first vma that ends above addr.
func (l *vmas) search(addr usermem.Addr) int {
	return sort.Search(len(l.all), func(i int) bool { return l.all[i].end > addr })
}

// find returns the vma that contains addr, or nil.
func (l *vmas) find(addr usermem.Addr) *vma {
	if i := l.search(addr); i < len(l.all) && l.all[i].start <= addr {
		return l.all[i]
	}
	return nil
}

// overlapping returns the vmas that have bytes in [start, end).
func (l *vmas) overlapping(start, end usermem.Addr) []*vma {
	i := l.search(start)
	j := i
	for j < len(l.all) && l.all[j].start < end {
		j++
	}
	return l.all[i:j]
}

// bytesIn is how many bytes of [start, end) are mapped, data and locked.
func (l *vmas) bytesIn(start, end usermem.Addr) (total, data, locked uint64) {
	for _, v := range l.overlapping(start, end) {
		n := uint64(min(v.end, end) - max(v.start, start))
		total += n
		if v.isData() {
			data += n
		}
		if v.flags&vmLocked != 0 {
			locked += n
		}
	}
	return total, data, locked
}

func (l *vmas) count(v *vma, sign int64) {
	n := uint64(sign * int64(v.length()))
	l.total += n
	if v.isData() {
		l.data += n
	}
	if v.flags&vmLocked != 0 {
		l.locked += n
	}
}

// splits is how many vmas carve would add for [start, end).
func (l *vmas) splits(start, end usermem.Addr) int {
	n := 0
	if v := l.find(start); v != nil && v.start < start {
		n++
	}
	if v := l.find(end); v != nil && v.start < end {
		n++
	}
	return n
}

// carve splits vmas at start and end and returns the indexes of those that lie
// between.
func (l *vmas) carve(start, end usermem.Addr) (i, j int) {
	l.splitAt(start)
	l.splitAt(end)
	i = l.search(start)
	for j = i; j < len(l.all) && l.all[j].start < end; j++ {
	}
	return i, j
}

func (l *vmas) splitAt(addr usermem.Addr) {
	i := l.search(addr)
	if i == len(l.all) || l.all[i].start >= addr {
		return
	}
	v := l.all[i]
	w := *v
	w.start = addr
	if w.file != nil {
		w.offset += int64(addr - v.start)
		w.file.IncRef()
	}
	v.end = addr
	l.all = append(l.all, nil)
	copy(l.all[i+2:], l.all[i+1:])
	l.all[i+1] = &w
}

// remove takes [start, end) out of the list and adds the files to drop.
func (l *vmas) remove(start, end usermem.Addr, drop *released) {
	i, j := l.carve(start, end)
	for _, v := range l.all[i:j] {
		l.count(v, -1)
		drop.add(v)
	}
	l.all = append(l.all[:i], l.all[j:]...)
}

// insert adds v, whose range is free, and joins it with its neighbours.
func (l *vmas) insert(v *vma, drop *released) {
	i := l.search(v.start)
	if i < len(l.all) && l.all[i].start < v.end {
		panic(fmt.Sprintf("mm: insert %#x-%#x over %#x-%#x", v.start, v.end, l.all[i].start, l.all[i].end))
	}
	l.all = append(l.all, nil)
	copy(l.all[i+1:], l.all[i:])
	l.all[i] = v
	l.count(v, 1)
	l.join(i, i+1, drop)
}

// change applies fn to every vma of [start, end), split at the bounds.
func (l *vmas) change(start, end usermem.Addr, drop *released, fn func(*vma)) {
	i, j := l.carve(start, end)
	for _, v := range l.all[i:j] {
		l.count(v, -1)
		fn(v)
		l.count(v, 1)
	}
	l.join(i, j, drop)
}

// join merges what can be one among the vmas [i, j) and their neighbours.
func (l *vmas) join(i, j int, drop *released) {
	i = max(i-1, 0)
	j = min(j+1, len(l.all))
	if i >= j {
		return
	}
	out := i
	for k := i + 1; k < j; k++ {
		v, w := l.all[out], l.all[k]
		if v.follows(w) {
			v.end = w.end
			drop.add(w)
			continue
		}
		out++
		l.all[out] = w
	}
	if out+1 < j {
		l.all = append(l.all[:out+1], l.all[j:]...)
	}
}

// forked is the list of a child of fork.
func (l *vmas) forked() vmas {
	c := vmas{all: make([]*vma, 0, len(l.all))}
	for _, v := range l.all {
		if v.flags&vmDontFork != 0 {
			continue
		}
		w := *v
		w.flags &^= vmLockFlags // mlock is not inherited
		if w.file != nil {
			w.file.IncRef()
		}
		c.all = append(c.all, &w)
		c.count(&w, 1)
	}
	return c
}

// addSpecial notes a mapping that the platform brings.
func (m *MM) addSpecial(r platform.Range, kind vmFlags) {
	if r.Len() == 0 {
		return
	}
	v := &vma{
		start: usermem.Addr(r.Start), end: usermem.Addr(r.End), prot: linux.PROT_READ,
		may: linux.PROT_READ, flags: kind | vmDontDump, fd: -1,
	}
	if kind == vmVDSO {
		v.prot |= linux.PROT_EXEC
		v.may |= linux.PROT_EXEC
		v.flags &^= vmDontDump
	}
	var drop released
	m.list.insert(v, &drop)
}
