package trap

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// handmade is a thread without a stub, with the tables of a space that has
// patched sites.
func handmade() *thread {
	p := &Platform{births: map[nonce]*birth{}}
	as := &space{p: p, born: make(chan struct{}), end: make(chan struct{}), threads: map[*thread]bool{}}
	t := &thread{as: as, area: new(area), tid: 1}
	pool := &pages{start: 0x6040_0000}
	s := &site{at: textAt, length: syscallLength + cmpLength, pool: pool, slot: 1, active: true}
	pool.slots[1] = slotUse{textAt, cmpForm}
	pool.slots[2] = slotUse{textAt + 0x100, movForm}
	pool.used.Store(3)
	as.patches.pools.Store(&[]*pages{pool})
	as.patches.hits = map[uint64]uint8{}
	as.patches.sites = map[uint64]*site{
		textAt:         s,
		textAt + 0x100: {at: textAt + 0x100 - movLength, length: movLength, pool: pool, slot: 2, active: true},
	}
	as.patches.low.Store(textAt)
	as.patches.up.Store(textAt + 0x200)
	t.prepare()
	return t
}

// areaSeed is the start of an area with some fields set.
func areaSeed(set func(a *area)) []byte {
	a := new(area)
	set(a)
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(a)), unsafe.Offsetof(a.scratch))...)
}

// FuzzArea has the Sentry read an area that the guest filled. Whatever is there,
// the registers and the event must be some that a guest may have, and nothing
// may be read but what came along.
func FuzzArea(f *testing.F) {
	for _, event := range []uint32{eventCall, eventSignal, eventInterrupted, eventLate, eventBroken, 99} {
		f.Add(areaSeed(func(a *area) {
			a.event, a.turn, a.packed = event, 1, 1<<63|257
			a.regs.Rip, a.regs.GsBase = 0x6040_0000+slotSize+slotCompare, areaStart
			a.signo, a.code, a.call = 31, 1, auditArchX8664<<32|1
			a.fetchedAddr, a.fetchedLen = textAt, 100
		}), uint64(textAt), uint16(64))
	}
	f.Add(areaSeed(func(a *area) {
		a.event, a.fetchedAddr, a.fetchedLen, a.deliveries = eventCall, ^uint64(0), ^uint32(0), ^uint32(0)
	}), ^uint64(0)-8, uint16(maxFetch))
	f.Fuzz(func(test *testing.T, b []byte, addr uint64, length uint16) {
		t := handmade()
		a := t.area
		copy(unsafe.Slice((*byte)(unsafe.Pointer(a)), areaSize), b)
		t.wanted.Store(len(b)%2 == 0)

		var regs platform.Registers
		t.locate()
		ev, ok := t.event(&regs)
		kind := atomic.LoadUint32(&a.event)
		if ok && ev.Kind != platform.Killed {
			if regs.Cs != 0x33 || regs.Ss != 0x2b || regs.Ds|regs.Es|regs.Fs|regs.Gs != 0 {
				test.Errorf("segments of %+v", regs)
			}
			if kind == eventCall && regs.Eflags&^uint64(userEflags|0x202) != 0 {
				test.Errorf("flags %#x", regs.Eflags)
			}
			switch ev.Kind {
			case platform.Fault:
				if ev.Signal < 1 || ev.Signal > 31 {
					test.Errorf("%+v", ev)
				}
			case platform.Syscall, platform.Interrupted:
			default:
				test.Errorf("%+v", ev)
			}
			if pool := (*t.as.patches.pools.Load())[0]; regs.Rip-pool.start < 3*slotSize && regs.Rip-pool.start >= slotSize {
				test.Errorf("the program counter is in a trampoline: %#x", regs.Rip)
			}
		}
		if ok && ev.Kind == platform.Killed && kind <= eventLate {
			test.Error("killed without reason")
		}

		dst := make([]byte, length)
		if t.Fetched(dst, uintptr(addr)) {
			at := addr - a.fetchedAddr
			if kind != eventCall || at > maxFetch || uint64(length) > maxFetch-at {
				test.Errorf("fetched %d bytes at %#x after event %d", length, addr, kind)
			}
		}

		// The other direction: what the guest left must not get in the way.
		if command, ok := t.load(&regs); ok && command != commandReturn && command != commandResume {
			test.Errorf("command %d", command)
		}
		for range maxDeliveries + 2 {
			t.Deliver(uintptr(addr), dst)
		}
		if t.transfer.pending > maxDeliveries || t.transfer.used > len(a.data)-maxFetch+64 {
			test.Errorf("%d deliveries of %d bytes", t.transfer.pending, t.transfer.used)
		}
		n := 64
		if len(b) >= 2 {
			n = int(binary.LittleEndian.Uint16(b))
		}
		t.as.patches.hide(make([]byte, n), uintptr(addr))
	})
}
