package script

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// space implements platform.AddressSpace.
type space struct {
	p *Platform

	// Guarded by p.mu.
	vmas []vma             // sorted, disjoint
	mem  map[uintptr]*page // private pages that exist, by page address

	dead     chan struct{} // closed when the address space is gone
	deadOnce sync.Once
}

type page [pageSize]byte

// vma is a range of pages with one meaning. Memory that is not private, or not
// yet written, is that of backing.
type vma struct {
	start, end uintptr
	prot       linux.Prot
	private    bool
	backing    *backing // nil for private anonymous memory
	offset     int64    // in backing, of start
}

// backing is shared memory: a file's, through a descriptor of our own, or
// anonymous. It lives until the garbage collector finds no user.
type backing struct {
	fd       int // -1 for anonymous memory
	readOnly bool
	pages    map[int64]*page
}

// access says what an access needs.
type access int

const (
	toRead access = iota
	toWrite
)

// Map implements platform.AddressSpace.
func (as *space) Map(by platform.Thread, m platform.Mapping) error {
	if _, err := ownThread(as, by); err != nil {
		return err
	}
	if err := checkRange(m.Addr, m.Length); err != nil {
		return err
	}
	kind := m.Flags & linux.MAP_TYPE
	if kind != linux.MAP_SHARED && kind != linux.MAP_PRIVATE || m.Prot&^anyProt != 0 {
		return errno.EINVAL
	}
	v := vma{
		start: m.Addr, end: m.Addr + m.Length, prot: m.Prot,
		private: kind == linux.MAP_PRIVATE,
		offset:  m.Offset,
	}
	if m.FD >= 0 {
		b, err := fileBacking(m.FD, m.Prot, v.private)
		if err != nil {
			return err
		}
		v.backing = b
	} else if !v.private {
		v.backing = &backing{fd: -1, pages: map[int64]*page{}}
	}
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	as.removeLocked(m.Addr, m.Addr+m.Length)
	as.insertLocked(v)
	return nil
}

func checkRange(addr, length uintptr) error {
	if addr%pageSize != 0 || length%pageSize != 0 || length == 0 ||
		addr < minAddr || addr >= maxAddr || length > maxAddr-addr {
		return errno.EINVAL
	}
	return nil
}

const anyProt = linux.PROT_READ | linux.PROT_WRITE | linux.PROT_EXEC

// fileBacking checks the rights as mmap does and takes a descriptor of its own.
func fileBacking(fd int, prot linux.Prot, private bool) (*backing, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, errno.FromHost(err)
	}
	mode := flags & unix.O_ACCMODE
	if mode == unix.O_WRONLY || mode == unix.O_RDONLY && !private && prot&linux.PROT_WRITE != 0 {
		return nil, errno.EACCES
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errno.FromHost(err)
	}
	b := &backing{fd: own, readOnly: mode == unix.O_RDONLY}
	closeWhenUnused(b)
	return b, nil
}

// Unmap implements platform.AddressSpace.
func (as *space) Unmap(by platform.Thread, addr, length uintptr) error {
	if _, err := ownThread(as, by); err != nil {
		return err
	}
	if err := checkRange(addr, length); err != nil {
		return err
	}
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	as.removeLocked(addr, addr+length)
	return nil
}

// Protect implements platform.AddressSpace. ENOMEM if a page of the range is
// not mapped; those before it have changed then, as in Linux.
func (as *space) Protect(by platform.Thread, addr, length uintptr, prot linux.Prot) error {
	if _, err := ownThread(as, by); err != nil {
		return err
	}
	if err := checkRange(addr, length); err != nil {
		return err
	}
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	as.splitLocked(addr)
	as.splitLocked(addr + length)
	next := addr
	for i := range as.vmas {
		v := &as.vmas[i]
		if v.end <= addr || v.start >= addr+length {
			continue
		}
		if v.start != next {
			return errno.ENOMEM
		}
		if prot&linux.PROT_WRITE != 0 && !v.private && v.backing.readOnly {
			return errno.EACCES
		}
		v.prot = prot
		next = v.end
	}
	if next != addr+length {
		return errno.ENOMEM
	}
	return nil
}

// Move implements platform.AddressSpace.
func (as *space) Move(by platform.Thread, old, oldLength, new, newLength uintptr, flags int) error {
	if _, err := ownThread(as, by); err != nil {
		return err
	}
	if err := checkRange(old, cmp.Or(oldLength, pageSize)); err != nil {
		return err
	}
	if err := checkRange(new, newLength); err != nil {
		return err
	}
	if oldLength == 0 {
		return as.duplicate(old, new, newLength)
	}
	if old == new {
		return as.resize(old, oldLength, newLength)
	}
	if old < new+newLength && new < old+oldLength {
		return errno.EINVAL
	}
	if flags&linux.MREMAP_DONTUNMAP != 0 && oldLength != newLength {
		return errno.EINVAL
	}
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	if newLength < oldLength {
		as.removeLocked(old+newLength, old+oldLength)
		oldLength = newLength
	}
	v := as.findLocked(old)
	if v == nil || v.end < old+oldLength {
		return errno.EFAULT
	}
	moved := *v
	moved.offset += int64(old - v.start)
	moved.start, moved.end = new, new+newLength
	left := *v
	left.offset += int64(old - v.start)
	left.start, left.end = old, old+oldLength

	pages := map[uintptr]*page{}
	for a, pg := range as.mem {
		if a >= old && a < old+oldLength {
			pages[new+a-old] = pg
		}
	}
	as.removeLocked(old, old+oldLength)
	as.removeLocked(new, new+newLength)
	as.insertLocked(moved)
	for a, pg := range pages {
		as.mem[a] = pg
	}
	if flags&linux.MREMAP_DONTUNMAP != 0 {
		as.insertLocked(left)
	}
	return nil
}

// duplicate maps what is shared at old a second time.
func (as *space) duplicate(old, new, length uintptr) error {
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	v := as.findLocked(old)
	if v == nil || v.private {
		return errno.EINVAL
	}
	dup := *v
	dup.offset += int64(old - v.start)
	dup.start, dup.end = new, new+length
	as.removeLocked(new, new+length)
	as.insertLocked(dup)
	return nil
}

// resize grows or shrinks a mapping where it is.
func (as *space) resize(start, oldLength, newLength uintptr) error {
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	if newLength <= oldLength {
		as.removeLocked(start+newLength, start+oldLength)
		return nil
	}
	for i := range as.vmas {
		if v := &as.vmas[i]; v.start < start+newLength && v.end > start+oldLength {
			return errno.ENOMEM
		}
	}
	v := as.findLocked(start)
	if v == nil || v.end != start+oldLength {
		return errno.EFAULT
	}
	v.end = start + newLength
	return nil
}

// Advise implements platform.AddressSpace: MADV_DONTNEED and MADV_FREE drop
// private pages, everything else is accepted and ignored.
func (as *space) Advise(by platform.Thread, addr, length uintptr, advice int) error {
	if _, err := ownThread(as, by); err != nil {
		return err
	}
	if err := checkRange(addr, length); err != nil {
		return err
	}
	if advice != linux.MADV_DONTNEED && advice != linux.MADV_FREE {
		return nil
	}
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	as.dropLocked(addr, addr+length)
	return nil
}

// Resident implements platform.AddressSpace: pages that were written are.
func (as *space) Resident(by platform.Thread, addr, length uintptr, vec []byte) error {
	if _, err := ownThread(as, by); err != nil {
		return err
	}
	if err := checkRange(addr, length); err != nil {
		return err
	}
	if uintptr(len(vec)) < length/pageSize {
		return errno.EINVAL
	}
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	for i := range vec[:length/pageSize] {
		a := addr + uintptr(i)*pageSize
		v := as.findLocked(a)
		if v == nil {
			return errno.ENOMEM
		}
		vec[i] = 0
		if as.mem[a] != nil || v.backing != nil {
			vec[i] = 1
		}
	}
	return nil
}

// ReadAt implements platform.AddressSpace.
func (as *space) ReadAt(b []byte, addr uintptr) (int, error) {
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	return as.copyLocked(b, addr, toRead)
}

// WriteAt implements platform.AddressSpace.
func (as *space) WriteAt(b []byte, addr uintptr) (int, error) {
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	return as.copyLocked(b, addr, toWrite)
}

// ReadVec implements platform.AddressSpace.
func (as *space) ReadVec(b []byte, vec []platform.Range) (int, error) {
	return eachRange(b, vec, as.ReadAt)
}

// WriteVec implements platform.AddressSpace.
func (as *space) WriteVec(b []byte, vec []platform.Range) (int, error) {
	return eachRange(b, vec, as.WriteAt)
}

func eachRange(b []byte, vec []platform.Range, copyAt func([]byte, uintptr) (int, error)) (int, error) {
	done := 0
	for _, r := range vec {
		n, err := copyAt(b[done:min(uintptr(len(b)), uintptr(done)+r.Len())], r.Start)
		done += n
		if err != nil {
			return done, err
		}
	}
	if done < len(b) {
		return done, errno.EFAULT
	}
	return done, nil
}

// CompareAndSwap implements platform.AddressSpace.
func (as *space) CompareAndSwap(by platform.Thread, addr uintptr, old, new uint32) (uint32, error) {
	if _, err := ownThread(as, by); err != nil {
		return 0, err
	}
	return as.compareAndSwap(addr, old, new)
}

func (as *space) compareAndSwap(addr uintptr, old, new uint32) (uint32, error) {
	if addr%4 != 0 {
		return 0, errno.EINVAL
	}
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	var b [4]byte
	if _, err := as.copyLocked(b[:], addr, toRead); err != nil {
		return 0, err
	}
	found := binary.NativeEndian.Uint32(b[:])
	// The processor's instruction needs the right to write either way.
	value := found
	if found == old {
		value = new
	}
	binary.NativeEndian.PutUint32(b[:], value)
	if _, err := as.copyLocked(b[:], addr, toWrite); err != nil {
		return 0, err
	}
	return found, nil
}

// fork copies the memory.
func (as *space) fork() *space {
	child := as.p.newSpace()
	as.p.mu.Lock()
	defer as.p.mu.Unlock()
	child.vmas = slices.Clone(as.vmas)
	for a, pg := range as.mem {
		dup := *pg
		child.mem[a] = &dup
	}
	return child
}

// copyLocked copies between b and guest memory with the guest's rights.
func (as *space) copyLocked(b []byte, addr uintptr, a access) (int, error) {
	done := 0
	for done < len(b) {
		at := addr + uintptr(done)
		n := min(len(b)-done, int(pageSize-at%pageSize))
		if _, ok := as.touchLocked(b[done:done+n], at, a); !ok {
			return done, errno.EFAULT
		}
		done += n
	}
	return done, nil
}

// touchLocked accesses memory within one page. When that is not possible it
// returns the fault that the guest would get.
func (as *space) touchLocked(b []byte, addr uintptr, a access) (platform.Event, bool) {
	fault := platform.Event{
		Kind: platform.Fault, Signal: linux.SIGSEGV, Code: segvMapErr, Addr: addr,
		TrapNo: trapPageFault, ErrCode: faultUser,
	}
	if a == toWrite {
		fault.ErrCode |= faultWrite
	}
	v := as.findLocked(addr)
	if v == nil || addr >= maxAddr {
		return fault, false
	}
	need := linux.Prot(linux.PROT_READ)
	if a == toWrite {
		need = linux.PROT_WRITE
	}
	// On amd64 a page that can be written or executed can be read.
	allowed := v.prot
	if allowed&(linux.PROT_WRITE|linux.PROT_EXEC) != 0 {
		allowed |= linux.PROT_READ
	}
	if allowed&need == 0 {
		fault.Code = segvAccErr
		return fault, false
	}
	base := addr &^ (pageSize - 1)
	in := int(addr - base)
	if v.private {
		pg := as.privateLocked(v, base, a)
		if pg == nil {
			fault.Signal, fault.Code = linux.SIGBUS, busAdrErr
			return fault, false
		}
		move(pg[in:in+len(b)], b, a)
		return platform.Event{}, true
	}
	if !v.backing.touch(b, v.offset+int64(base-v.start), in, a) {
		fault.Signal, fault.Code = linux.SIGBUS, busAdrErr
		return fault, false
	}
	return platform.Event{}, true
}

// privateLocked returns the private page at base; for a read of one that was
// never written it may be a copy of what lies behind.
func (as *space) privateLocked(v *vma, base uintptr, a access) *page {
	if pg := as.mem[base]; pg != nil {
		return pg
	}
	pg := new(page)
	if v.backing != nil && !v.backing.touch(pg[:], v.offset+int64(base-v.start), 0, toRead) {
		return nil
	}
	if a == toWrite {
		as.mem[base] = pg
	}
	return pg
}

// touch copies between b and the page at offset, from byte in on. It is false
// behind the end of the file.
func (k *backing) touch(b []byte, offset int64, in int, a access) bool {
	if k.fd < 0 {
		pg := k.pages[offset]
		if pg == nil {
			pg = new(page)
			k.pages[offset] = pg
		}
		move(pg[in:in+len(b)], b, a)
		return true
	}
	defer keepAlive(k)
	var st unix.Stat_t
	if unix.Fstat(k.fd, &st) != nil || offset >= st.Size {
		return false
	}
	// What lies in the last page behind the end of the file reads as zero,
	// and what is written there is lost.
	valid := int(max(0, min(int64(len(b)), st.Size-offset-int64(in))))
	if a == toWrite {
		n, err := unix.Pwrite(k.fd, b[:valid], offset+int64(in))
		return err == nil && n == valid
	}
	clear(b[valid:])
	n, err := unix.Pread(k.fd, b[:valid], offset+int64(in))
	return err == nil && n == valid
}

func move(guest, b []byte, a access) {
	if a == toWrite {
		copy(guest, b)
		return
	}
	copy(b, guest)
}

func (as *space) findLocked(addr uintptr) *vma {
	i, _ := slices.BinarySearchFunc(as.vmas, addr, func(v vma, a uintptr) int {
		if v.end <= a {
			return -1
		}
		return 1
	})
	if i < len(as.vmas) && as.vmas[i].start <= addr {
		return &as.vmas[i]
	}
	return nil
}

// splitLocked makes addr a boundary.
func (as *space) splitLocked(addr uintptr) {
	for i, v := range as.vmas {
		if v.start < addr && addr < v.end {
			low, high := v, v
			low.end, high.start = addr, addr
			high.offset += int64(addr - v.start)
			as.vmas = slices.Replace(as.vmas, i, i+1, low, high)
			return
		}
	}
}

func (as *space) insertLocked(v vma) {
	i, _ := slices.BinarySearchFunc(as.vmas, v, func(x, y vma) int {
		if x.start < y.start {
			return -1
		}
		return 1
	})
	as.vmas = slices.Insert(as.vmas, i, v)
}

func (as *space) removeLocked(start, end uintptr) {
	as.splitLocked(start)
	as.splitLocked(end)
	as.vmas = slices.DeleteFunc(as.vmas, func(v vma) bool { return v.start >= start && v.end <= end })
	as.dropLocked(start, end)
}

// dropLocked forgets private pages.
func (as *space) dropLocked(start, end uintptr) {
	for a := range as.mem {
		if a >= start && a < end {
			delete(as.mem, a)
		}
	}
}
