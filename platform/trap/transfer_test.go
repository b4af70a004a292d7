package trap

import (
	"bytes"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/platform"
)

const open, write, eFault = 2, 1, ^uint64(13)

// TestCallsBringTheirArguments opens a path and writes bytes: they come along,
// nothing else does.
func TestCallsBringTheirArguments(t *testing.T) {
	g := newText(t, newPlatform(t), 64, cmpLoop)
	const at = dataAt + 100
	text := bytes.Repeat([]byte("0123456789abcdef"), 128)
	if _, err := g.as.WriteAt(text, at); err != nil {
		t.Fatal(err)
	}
	g.regs.Rax, g.regs.Rdi, g.regs.Rsi, g.regs.Rdx = open, at, at, 300
	if g.th.Fetched(make([]byte, 1), at) {
		t.Error("something was fetched before the first call")
	}
	g.calls(20, open)
	g.syscall(open)
	for _, c := range []struct {
		addr uintptr
		n    int
		want bool
	}{
		{at, 1, true}, {at, 512, true}, {at + 511, 1, true}, {at + 512, 0, true}, {at + 200, 312, true},
		{at, 513, false}, {at - 1, 1, false}, {at + 512, 1, false}, {at + 513, 0, false}, {at + 200, 313, false},
		{0, 1, false}, {^uintptr(0), 1, false}, {maxAddr, 8, false}, {areaStart, 8, false},
	} {
		b := make([]byte, c.n)
		if got := g.th.Fetched(b, c.addr); got != c.want || got && !bytes.Equal(b, text[c.addr-at:][:c.n]) {
			t.Errorf("Fetched(%d bytes at %+d): %v, %q", c.n, int64(c.addr)-at, got, b)
		}
	}
	// At the end of what is mapped, only what is there comes.
	g.regs.Rax, g.regs.Rdi = open, dataAt+2*pageSize-7
	g.syscall(open)
	if !g.th.Fetched(make([]byte, 7), dataAt+2*pageSize-7) || g.th.Fetched(make([]byte, 8), dataAt+2*pageSize-7) {
		t.Error("at the end of the mapping")
	}
	// Nothing there, and more than there is room for.
	for _, addr := range []uint64{0, 8, 0x1000_0000, 1 << 63, maxAddr} {
		g.regs.Rax, g.regs.Rdi = open, addr
		g.syscall(open)
		if g.th.Fetched(make([]byte, 1), uintptr(addr)) {
			t.Errorf("a byte came from %#x", addr)
		}
	}
	for _, length := range []uint64{maxFetch + 1, 1 << 32, ^uint64(0)} {
		g.regs.Rax, g.regs.Rdx = write, length
		g.syscall(write)
		if g.th.Fetched(make([]byte, 1), at) {
			t.Errorf("of %#x bytes to write some came", length)
		}
	}
	g.regs.Rax, g.regs.Rdx = write, 300
	g.syscall(write)
	b := make([]byte, 300)
	if !g.th.Fetched(b, at) || !bytes.Equal(b, text[:300]) || g.th.Fetched(make([]byte, 301), at) {
		t.Errorf("write brought %q", b)
	}
	g.th.Settle()
	if g.th.Fetched(b, at) {
		t.Error("Settle did not forget what was fetched")
	}
}

// TestDeliveriesComeBeforeTheGuestGoesOn lets the guest load what is written on
// its way.
func TestDeliveriesComeBeforeTheGuestGoesOn(t *testing.T) {
	code := []byte{
		0x0f, 0x05, // syscall
		0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, // cmp $-4095,%rax
		0x48, 0x89, 0xc3, // mov %rax,%rbx
		0x4c, 0x8b, 0x26, // mov (%rsi),%r12
		0xb8, 39, 0, 0, 0, // mov $39,%eax
		0xeb, 0xeb, // jmp syscall
	}
	g := newText(t, newPlatform(t), 64, code)
	g.regs.Rax, g.regs.Rsi = 39, dataAt
	g.calls(20, 39)
	for i := range 20 {
		g.syscall(39)
		for n := range maxDeliveries {
			if !g.th.Deliver(dataAt+uintptr(n)*8, bytes.Repeat([]byte{byte(i + n + 1)}, 8)) {
				t.Fatalf("delivery %d has no room", n)
			}
		}
		if g.th.Deliver(dataAt, []byte{0xff}) {
			t.Fatal("there is room for more than promised")
		}
		if g.th.Deliver(maxAddr-4, make([]byte, 8)) || g.th.Deliver(areaStart, []byte{1}) {
			t.Fatal("a delivery beyond the guest's memory")
		}
		switch {
		case i%4 == 1:
			g.th.Settle()
		case i%4 == 2:
			g.regs.R13++ // another way back
		case i%4 == 3:
			g.th.Interrupt()
			if ev := g.th.Switch(&g.regs); ev.Kind != platform.Interrupted {
				t.Fatalf("%+v", ev)
			}
		}
		g.regs.SetReturn(7)
		g.syscall(39)
		if want := uint64(i+1) * 0x0101_0101_0101_0101; g.regs.R12 != want || g.regs.Rbx != 7 {
			t.Fatalf("round %d: the guest loaded %#x, want %#x; result %d", i, g.regs.R12, want, g.regs.Rbx)
		}
		for n := range maxDeliveries {
			if b := g.read(dataAt+uintptr(n)*8, 8); b[7] != byte(i+n+1) {
				t.Fatalf("round %d: delivery %d left % x", i, n, b)
			}
		}
		g.regs.SetReturn(7)
	}

	// Too late: the memory has gone, or is read-only. The call fails.
	for i := range 8 {
		g.syscall(39)
		bad := uintptr(0x1000_0000)
		if i%2 == 1 {
			bad = textAt
		}
		g.th.Deliver(dataAt, bytes.Repeat([]byte{byte(i + 1)}, 8))
		g.th.Deliver(bad, []byte{1, 2, 3})
		g.regs.SetReturn(7)
		if i >= 4 {
			g.regs.R13++
		}
		g.syscall(39)
		if g.regs.Rbx != eFault {
			t.Errorf("a late fault made the call return %#x", g.regs.Rbx)
		}
		if b := g.read(dataAt, 1); b[0] != byte(i+1) {
			t.Error("what was delivered before it is not there")
		}
		g.regs.SetReturn(0)
		g.syscall(39)
		if g.regs.Rbx != 0 {
			t.Errorf("the next call returned %#x", g.regs.Rbx)
		}
		g.regs.SetReturn(0)
	}
}
