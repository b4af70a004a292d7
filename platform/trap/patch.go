package trap

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// patches are the call sites of a space that jump to the stub, by way of
// trampolines near them.
//
// Two forms of a site can be changed. `mov $nr,%eax; syscall`: the mov becomes
// a jump, and whoever goes straight to the system call instruction finds it as
// it was. `syscall; cmp $-4095,%rax` (or -4096): both become a jump, and the
// comparison is made in the trampoline. There a program counter behind the
// system call instruction lies amid the jump, so the Sentry translates it
// (resume), and no other thread may run guest code while a site is changed.
//
// Only text that was mapped executable and not writable, privately from a file,
// is changed: code that a program writes itself stays as it is. What makes it
// writable, moves it or takes it away puts back what was there.
//
// A trampoline lies where the host has nothing mapped, and no mapping of the
// guest's is in the way: when one is to be made there, the sites go back.
type patches struct {
	// busy keeps threads from the guest while text is changed: they set
	// running before they look at it, whoever changes text does the reverse.
	busy atomic.Int32
	// moves counts trampolines that went away: a thread must not return to
	// one by an address that it had before.
	moves atomic.Uint32
	// All changed bytes lie between low and up.
	low, up atomic.Uint64
	pools   atomic.Pointer[[]*pages]

	mu    sync.Mutex
	over  sync.Cond // busy is 0 again
	idle  sync.Cond // a thread left the guest while busy
	text  []platform.Range
	hits  map[uint64]uint8
	sites map[uint64]*site // by the address of the system call instruction
}

type site struct {
	at       uint64 // the first byte that is changed
	original [8]byte
	length   uint64
	pool     *pages
	slot     int
	active   bool
}

// pages is memory for trampolines. The first slot holds where all of them jump.
type pages struct {
	start uint64
	used  atomic.Int32
	slots [poolSlots]slotUse
}

type slotUse struct {
	site uint64 // the address of the system call instruction
	form form
}

type form uint8

const (
	movForm form = iota
	cmpForm
)

const (
	poolSize  = 4 * pageSize
	slotSize  = 32
	poolSlots = poolSize / slotSize

	// hitsToPatch is how often a site must be hit: changing it costs about
	// as much as that many signals.
	hitsToPatch = 4

	// hopeless is the count of a site that has no form that can be changed:
	// looking again would stop all threads for nothing.
	hopeless = 255

	// mostHits and mostPools bound what a guest with sites without end makes
	// the Sentry keep.
	mostHits  = 4096
	mostPools = 32

	// The places in a trampoline of cmpForm: the system call instruction for
	// guests that use gs, the comparison, the jump back.
	slotCall, slotCompare, slotBack = 13, 15, 21
	// In one of movForm, the place behind the mov.
	slotMoved = 5

	syscallLength, movLength, cmpLength = 2, 5, 6
)

// original says which address of the guest's own code one in a trampoline stands
// for.
func (p *patches) original(pc uint64) uint64 {
	pools := p.pools.Load()
	if pools == nil {
		return pc
	}
	for _, pool := range *pools {
		if pc-pool.start >= poolSize {
			continue
		}
		n := (pc - pool.start) / slotSize
		if int32(n) >= pool.used.Load() {
			return pc
		}
		s, in := pool.slots[n], (pc-pool.start)%slotSize
		switch {
		case s.form == movForm && in < slotMoved:
			return s.site - movLength
		case s.form == movForm || in < slotCompare:
			return s.site
		case in < slotBack:
			return s.site + syscallLength
		}
		return s.site + syscallLength + cmpLength
	}
	return pc
}

// resume says where to go on for a program counter amid a changed site. A single
// step may not begin with the jump to a trampoline: it would end there, which
// stands for where it began, for ever. It begins with what the site had.
func (p *patches) resume(pc uint64, step bool) uint64 {
	if p.pools.Load() == nil {
		return pc
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if step {
		if s := p.sites[pc+movLength]; s != nil && s.active && s.at == pc {
			return s.pool.start + uint64(s.slot)*slotSize
		}
		if s := p.sites[pc]; s != nil && s.active && s.at == pc {
			return s.pool.start + uint64(s.slot)*slotSize + slotCall
		}
	}
	s := p.sites[pc-syscallLength]
	if s == nil || !s.active || s.pool.slots[s.slot].form != cmpForm {
		return pc
	}
	return s.pool.start + uint64(s.slot)*slotSize + slotCompare
}

// pass is called by a thread that is to run and found text being changed. It
// waits until that is over.
func (p *patches) pass(t *thread) {
	t.placed.Running.Store(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle.Broadcast()
	for p.busy.Load() != 0 {
		p.over.Wait()
	}
}

// left is called by a thread that has left the guest.
func (p *patches) left(t *thread) {
	t.placed.Running.Store(false)
	if p.busy.Load() != 0 {
		p.mu.Lock()
		p.idle.Broadcast()
		p.mu.Unlock()
	}
}

// quiet waits until no other thread of the space runs guest code, and keeps it
// so until loud. mu is held; quiet lets go of it while it waits.
func (as *space) quiet(t *thread) {
	p := &as.patches
	p.busy.Add(1)
	// One that has spoiled its stub may never leave.
	overdue := time.AfterFunc(2*as.p.patience, as.kill)
	defer overdue.Stop()
	for as.kickOthers(t) {
		p.idle.Wait()
	}
}

func (as *space) loud() {
	if as.patches.busy.Add(-1) == 0 {
		as.patches.over.Broadcast()
	}
}

// kickOthers makes the other threads leave the guest. It says whether any is in
// there.
func (as *space) kickOthers(t *thread) bool {
	as.life.Lock()
	defer as.life.Unlock()
	any := false
	for o := range as.threads {
		if o != t && o.placed.Running.Load() && !as.reaped {
			any = true
			o.kickLocked()
		}
	}
	return any
}

// changing comes before an operation on mappings: text in the range goes back to
// what it was, and is not changed again; trampolines there go. mu is held.
func (as *space) changing(t *thread, addr, length uintptr) {
	p := &as.patches
	r := platform.Range{Start: addr, End: addr + length}
	if p.changed(r) {
		// Once for both: while it waits, others may change more.
		as.quiet(t)
		defer as.loud()
		p.evacuate(as, t, r)
		p.restore(as, t, r)
	}
	if p.overlaps(r) {
		p.forget(r)
	}
}

// changed says whether there is a changed site or a trampoline in the range.
func (p *patches) changed(r platform.Range) bool {
	if pools := p.pools.Load(); pools != nil && slices.ContainsFunc(*pools, func(x *pages) bool { return x.in(r) }) {
		return true
	}
	for _, s := range p.sites {
		if s.active && s.in(r) {
			return true
		}
	}
	return false
}

func (x *pages) in(r platform.Range) bool {
	return x.start < uint64(r.End) && uint64(r.Start) < x.start+poolSize
}

func (s *site) in(r platform.Range) bool {
	return s.at < uint64(r.End) && uint64(r.Start) < s.at+s.length
}

// overlaps says whether text lies in the range.
func (p *patches) overlaps(r platform.Range) bool {
	return slices.ContainsFunc(p.text, func(x platform.Range) bool { return x.Start < r.End && r.Start < x.End })
}

// forget takes a range from the text and its sites, which restore has put back,
// from the table. Those beside the range stay: they are still in place.
func (p *patches) forget(r platform.Range) {
	var text []platform.Range
	for _, x := range p.text {
		if x.End <= r.Start || r.End <= x.Start {
			text = append(text, x)
			continue
		}
		if x.Start < r.Start {
			text = append(text, platform.Range{Start: x.Start, End: r.Start})
		}
		if r.End < x.End {
			text = append(text, platform.Range{Start: r.End, End: x.End})
		}
	}
	p.text = text
	for at, s := range p.sites {
		if !s.active {
			delete(p.sites, at)
		}
	}
	for at := range p.hits {
		if uint64(r.Start) <= at && at < uint64(r.End) {
			delete(p.hits, at)
		}
	}
}

// mapped notes text.
func (p *patches) mapped(m *platform.Mapping) {
	if m.FD >= 0 && m.Flags&unix.MAP_TYPE == unix.MAP_PRIVATE && m.Prot&(linux.PROT_EXEC|linux.PROT_WRITE) == linux.PROT_EXEC {
		p.text = append(p.text, platform.Range{Start: m.Addr, End: m.Addr + m.Length})
	}
}

// restore puts back the original bytes of all sites in the range. It is quiet.
func (p *patches) restore(as *space, t *thread, r platform.Range) {
	for _, s := range p.sites {
		if s.active && s.in(r) {
			s.active = false
			as.poke(t, s.at, s.original[:s.length])
		}
	}
}

// evacuate gives up trampolines in the range. It is quiet.
func (p *patches) evacuate(as *space, t *thread, r platform.Range) {
	pools := p.pools.Load()
	if pools == nil {
		return
	}
	var rest []*pages
	for _, pool := range *pools {
		if !pool.in(r) {
			rest = append(rest, pool)
			continue
		}
		for at, s := range p.sites {
			if s.pool != pool {
				continue
			}
			if s.active {
				as.poke(t, s.at, s.original[:s.length])
			}
			delete(p.sites, at)
		}
		t.syscall(unix.SYS_MUNMAP, pool.start, poolSize)
	}
	if len(rest) == len(*pools) {
		return
	}
	p.pools.Store(&rest)
	p.moves.Add(1)
}

// poke writes text.
func (as *space) poke(t *thread, at uint64, b []byte) error {
	page := at &^ (pageSize - 1)
	length := (at + uint64(len(b)) - page + pageSize - 1) &^ (pageSize - 1)
	if _, err := t.syscall(unix.SYS_MPROTECT, page, length, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC); err != nil {
		return err
	}
	_, err := as.WriteAt(b, uintptr(at))
	if _, e := t.syscall(unix.SYS_MPROTECT, page, length, unix.PROT_READ|unix.PROT_EXEC); e != nil {
		return e
	}
	return err
}

// hit is told of a system call that came by a signal, from the instruction at pc
// with the number nr.
func (p *patches) hit(t *thread, pc, nr uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hits == nil {
		p.hits, p.sites = map[uint64]uint8{}, map[uint64]*site{}
	}
	if !p.inText(pc) || p.hits[pc] == hopeless {
		return
	}
	if len(p.hits) >= mostHits {
		clear(p.hits) // a guest with that many sites has made them up
	}
	if p.hits[pc]++; p.hits[pc] < hitsToPatch {
		return
	}
	p.hits[pc] = 0
	t.as.quiet(t)
	defer t.as.loud()
	if !p.inText(pc) {
		return // it changed meanwhile
	}
	if err := p.patch(t, pc, nr); err != nil {
		p.hits[pc] = hopeless
	}
}

// inText says whether all bytes that a site at pc can have are text.
func (p *patches) inText(pc uint64) bool {
	start, end := uintptr(pc-movLength), uintptr(pc+syscallLength+cmpLength)
	return slices.ContainsFunc(p.text, func(x platform.Range) bool { return x.Start < start && end <= x.End })
}

// patch changes a site.
func (p *patches) patch(t *thread, pc, nr uint64) error {
	as := t.as
	var b [1 + movLength + syscallLength + cmpLength]byte
	if _, err := as.read(b[:], uintptr(pc)-movLength-1); err != nil {
		return err
	}
	s := p.sites[pc]
	if s == nil {
		s = &site{}
		var f form
		mov, tail := b[1:1+movLength], b[1+movLength+syscallLength:]
		switch {
		case mov[0] == 0xb8 && uint64(binary.LittleEndian.Uint32(mov[1:])) == nr && b[0]&0xf0 != 0x40:
			f, s.at, s.length = movForm, pc-movLength, movLength
		case tail[0] == 0x48 && tail[1] == 0x3d && tail[2]&^1 == 0 && tail[3] == 0xf0 && tail[4] == 0xff && tail[5] == 0xff:
			f, s.at, s.length = cmpForm, pc, syscallLength+cmpLength
		default:
			return errno.ENOEXEC
		}
		copy(s.original[:], b[1+movLength-(pc-s.at):][:s.length])
		if err := p.place(t, s, pc, f); err != nil {
			return err
		}
	}
	slot := s.pool.start + uint64(s.slot)*slotSize
	jump := [8]byte{0xe9, 5: 0x90, 6: 0x90, 7: 0x90}
	binary.LittleEndian.PutUint32(jump[1:], uint32(slot-s.at-5))
	if err := as.poke(t, s.at, jump[:s.length]); err != nil {
		return err
	}
	s.active = true
	p.sites[pc] = s
	if p.up.Load() == 0 {
		p.low.Store(s.at)
	}
	p.low.Store(min(p.low.Load(), s.at))
	p.up.Store(max(p.up.Load(), s.at+s.length))
	return nil
}

// place writes a trampoline for a site.
func (p *patches) place(t *thread, s *site, pc uint64, f form) error {
	pool, err := p.poolFor(t, pc)
	if err != nil {
		return err
	}
	n := pool.used.Load()
	slot := pool.start + uint64(n)*slotSize
	code := trampoline(f, slot, pool.start, pc, &s.original)
	if err := pool.write(t, slot, code); err != nil {
		return err
	}
	pool.slots[n] = slotUse{pc, f}
	pool.used.Store(n + 1)
	s.pool, s.slot = pool, int(n)
	return nil
}

// trampoline is the code of one. Its jump to the stub goes by the pointer at the
// start of the pool.
func trampoline(f form, slot, pool, pc uint64, original *[8]byte) []byte {
	var b []byte
	relative := func(target uint64) {
		b = binary.LittleEndian.AppendUint32(b, uint32(target-slot-uint64(len(b))-4))
	}
	if f == movForm {
		b = append(b, original[:movLength]...)
		b = append(b, 0x48, 0x8d, 0x0d) // lea behind the system call,%rcx
		relative(pc + syscallLength)
		b = append(b, 0xff, 0x25) // jmp *pool
		relative(pool)
		return b
	}
	b = append(b, 0x48, 0x8d, 0x0d) // lea the comparison,%rcx
	relative(slot + slotCompare)
	b = append(b, 0xff, 0x25)
	relative(pool)
	b = append(b, original[:syscallLength+cmpLength]...) // syscall; cmp
	b = append(b, 0xe9)                                  // jmp behind the site
	relative(pc + syscallLength + cmpLength)
	return b
}

// poolFor finds or makes memory for a trampoline that can be reached from pc.
func (p *patches) poolFor(t *thread, pc uint64) (*pages, error) {
	const reach = 0x7ff0_0000
	var all []*pages
	if pools := p.pools.Load(); pools != nil {
		all = *pools
	}
	for _, pool := range all {
		if pool.used.Load() < poolSlots && pool.start-pc+reach < 2*reach {
			return pool, nil
		}
	}
	if len(all) >= mostPools {
		return nil, errno.ENOMEM
	}
	// Far from the text: what a program maps or allocates next to it should
	// not have to push the trampolines away.
	page := pc &^ (pageSize - 1)
	for _, distance := range [...]uint64{0x6000_0000, 0x7000_0000, 0x5000_0000, 0x3000_0000, 0x1000_0000} {
		for _, start := range [...]uint64{page + distance, page - distance} {
			if start < minAddr || start > maxAddr-poolSize {
				continue
			}
			const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED_NOREPLACE
			at, err := t.syscall(unix.SYS_MMAP, start, poolSize, unix.PROT_READ|unix.PROT_EXEC, flags, ^uint64(0), 0)
			if err == errno.EEXIST {
				continue
			}
			if err != nil || at != start {
				return nil, errno.ENOMEM
			}
			pool := &pages{start: start}
			if err := pool.write(t, start, binary.LittleEndian.AppendUint64(nil, mark(markEntry))); err != nil {
				return nil, err
			}
			pool.used.Store(1)
			with := append(slices.Clone(all), pool)
			p.pools.Store(&with)
			return pool, nil
		}
	}
	return nil, errno.ENOMEM
}

func (pool *pages) write(t *thread, at uint64, b []byte) error {
	return t.as.poke(t, at, b)
}

// hide puts the original bytes into what was read from addr.
func (p *patches) hide(b []byte, addr uintptr) {
	start, end := uint64(addr), uint64(addr)+uint64(len(b))
	if end <= p.low.Load() || p.up.Load() <= start {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sites {
		if !s.active || s.at >= end || s.at+s.length <= start {
			continue
		}
		for i := range s.length {
			if at := s.at + i; start <= at && at < end {
				b[at-start] = s.original[i]
			}
		}
	}
}

// fork copies the tables for a child. mu is held.
func (p *patches) fork(child *patches) {
	child.text = slices.Clone(p.text)
	child.low.Store(p.low.Load())
	child.up.Store(p.up.Load())
	if p.hits == nil {
		return
	}
	child.hits, child.sites = map[uint64]uint8{}, map[uint64]*site{}
	pools := p.pools.Load()
	if pools == nil {
		return
	}
	copies := map[*pages]*pages{}
	var all []*pages
	for _, o := range *pools {
		c := &pages{start: o.start, slots: o.slots}
		c.used.Store(o.used.Load())
		copies[o] = c
		all = append(all, c)
	}
	child.pools.Store(&all)
	for at, s := range p.sites {
		c := *s
		c.pool = copies[s.pool]
		child.sites[at] = &c
	}
}
