package platformtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// This file: mappings and copies.

func testMapProtectUnmap(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, load)
	g.write(dataAddr, []byte("before"))
	g.mmap(dataAddr, pageSize, readWrite) // replaces
	if b := g.read(dataAddr, 6); !bytes.Equal(b, make([]byte, 6)) {
		t.Errorf("a new page holds %q", b)
	}
	g.write(dataAddr, []byte{9})
	g.regs.Rdi = dataAddr
	g.syscall(9)

	g.ok(g.as.Protect(g.th, dataAddr, pageSize, linux.PROT_NONE))
	if _, err := g.as.ReadAt(make([]byte, 1), dataAddr); err != errno.EFAULT {
		t.Errorf("reading PROT_NONE: %v", err)
	}
	g.fault(linux.SIGSEGV)
	g.ok(g.as.Protect(g.th, dataAddr, pageSize, linux.PROT_READ))
	g.syscall(9)
	if _, err := g.as.WriteAt([]byte{1}, dataAddr); err != errno.EFAULT {
		t.Errorf("writing PROT_READ: %v", err)
	}
	wantErr(t, "Protect of a hole", g.as.Protect(g.th, freeAddr, pageSize, readWrite), errno.ENOMEM)

	g.ok(g.as.Unmap(g.th, dataAddr, pageSize))
	g.ok(g.as.Unmap(g.th, dataAddr, pageSize)) // of nothing
	g.fault(linux.SIGSEGV)
	if b := g.read(dataAddr+pageSize, 1); b[0] != 0 {
		t.Error("the next page changed")
	}
	const large = 64 << 30
	g.ok(g.as.Map(g.th, platform.Mapping{Addr: freeAddr, Length: large, Prot: readWrite, Flags: linux.MAP_PRIVATE | linux.MAP_NORESERVE, FD: -1}))
	g.write(freeAddr+large-1, []byte{1})
	g.ok(g.as.Unmap(g.th, freeAddr, large))
}

func testFiles(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, store)
	content := bytes.Repeat([]byte("0123456789abcdef"), 2*pageSize/16)
	fd := memfd(t, string(content))
	m := platform.Mapping{Addr: freeAddr, Length: pageSize, Prot: readWrite, Flags: linux.MAP_SHARED, FD: fd, Offset: pageSize}
	g.ok(g.as.Map(g.th, m))
	m.Addr, m.Flags = freeAddr+pageSize, linux.MAP_PRIVATE
	g.ok(g.as.Map(g.th, m))
	for _, at := range []uintptr{freeAddr, freeAddr + pageSize} {
		if b := g.read(at, 16); string(b) != "0123456789abcdef" {
			t.Errorf("at %#x: %q", at, b)
		}
	}
	// The guest stores: through to the file if shared, not if private.
	g.regs.Rax, g.regs.Rdi, g.regs.Rsi = 1, freeAddr+8, 0x4848484848484848
	g.syscall(1)
	g.regs.SetReturn(1)
	g.regs.Rdi, g.regs.Rsi = freeAddr+pageSize, 0x4949494949494949
	g.syscall(1)
	b := make([]byte, 16)
	if _, err := unix.Pread(fd, b, pageSize); err != nil || string(b) != "01234567HHHHHHHH" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if b := g.read(freeAddr+pageSize, 16); string(b) != "IIIIIIII89abcdef" && string(b) != "IIIIIIIIHHHHHHHH" {
		t.Errorf("the private page holds %q", b)
	}
	// And the other way.
	if _, err := unix.Pwrite(fd, []byte("new"), pageSize); err != nil {
		t.Fatal(err)
	}
	if b := g.read(freeAddr, 3); string(b) != "new" {
		t.Errorf("the shared page holds %q", b)
	}
	// The mapping does not need the descriptor any more.
	other := memfd(t, "second")
	g.ok(g.as.Map(g.th, platform.Mapping{Addr: freeAddr, Length: pageSize, Prot: linux.PROT_READ, Flags: linux.MAP_PRIVATE, FD: other}))
	if b := g.read(freeAddr, 8); string(b) != "second\x00\x00" {
		t.Errorf("a second file: %q", b)
	}
}

func testFileRights(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, store)
	path := fmt.Sprintf("%s/file", t.TempDir())
	if err := os.WriteFile(path, make([]byte, pageSize), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(mode int) int {
		fd, err := unix.Open(path, mode|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	readOnly, writeOnly := open(unix.O_RDONLY), open(unix.O_WRONLY)
	m := platform.Mapping{Addr: freeAddr, Length: pageSize, Prot: readWrite, Flags: linux.MAP_SHARED, FD: readOnly}
	wantErr(t, "shared, writable, of a read-only descriptor", g.as.Map(g.th, m), errno.EACCES)
	m.FD = writeOnly
	wantErr(t, "of a write-only descriptor", g.as.Map(g.th, m), errno.EACCES)
	m.FD = 1 << 20
	wantErr(t, "of a number that is not open", g.as.Map(g.th, m), errno.EBADF)
	m.FD, m.Prot = readOnly, linux.PROT_READ
	g.ok(g.as.Map(g.th, m))
	if err := g.as.Protect(g.th, freeAddr, pageSize, readWrite); err != errno.EACCES {
		t.Errorf("making it writable later: %v, want EACCES", err)
	}
	m.Prot, m.Flags = readWrite, linux.MAP_PRIVATE
	g.ok(g.as.Map(g.th, m))
	g.write(freeAddr, []byte("private"))

	// After an error the next mapping gets its own file, not the one before.
	g.ok(g.as.Map(g.th, platform.Mapping{Addr: freeAddr, Length: pageSize, Prot: linux.PROT_READ, Flags: linux.MAP_SHARED, FD: memfd(t, "right")}))
	if b := g.read(freeAddr, 5); string(b) != "right" {
		t.Errorf("it holds %q", b)
	}
}

func testMove(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, load)
	g.write(dataAddr, []byte("moved"))
	start := g.regs.PC()
	g.ok(g.as.Move(g.th, dataAddr, pageSize, freeAddr, 3*pageSize, 0))
	if b := g.read(freeAddr, 5); string(b) != "moved" {
		t.Errorf("%q", b)
	}
	g.write(freeAddr+3*pageSize-1, []byte{1}) // it grew
	g.regs.Rdi = dataAddr
	g.fault(linux.SIGSEGV)

	g.ok(g.as.Move(g.th, freeAddr, 3*pageSize, dataAddr, pageSize, 0)) // and shrinks
	if b := g.read(dataAddr, 5); string(b) != "moved" {
		t.Errorf("%q", b)
	}
	g.regs.Rdi = freeAddr + pageSize
	g.regs.SetPC(start)
	g.fault(linux.SIGSEGV)

	g.ok(g.as.Move(g.th, dataAddr, pageSize, freeAddr, pageSize, linux.MREMAP_DONTUNMAP))
	if b := g.read(freeAddr, 5); string(b) != "moved" {
		t.Errorf("%q", b)
	}
	if b := g.read(dataAddr, 5); !bytes.Equal(b, make([]byte, 5)) {
		t.Errorf("left behind: %q", b)
	}
	g.ok(g.as.Move(g.th, freeAddr, pageSize, freeAddr, 4*pageSize, 0)) // grows in place
	g.write(freeAddr+3*pageSize, []byte("end"))
	if b := g.read(freeAddr, 5); string(b) != "moved" {
		t.Errorf("%q", b)
	}
	g.ok(g.as.Move(g.th, freeAddr, 4*pageSize, freeAddr, 2*pageSize, 0)) // and shrinks
	g.regs.Rdi = freeAddr + 2*pageSize
	g.regs.SetPC(start)
	g.fault(linux.SIGSEGV)
	g.mmap(freeAddr+2*pageSize, pageSize, linux.PROT_READ)
	wantErr(t, "growing into a neighbour", g.as.Move(g.th, freeAddr, 2*pageSize, freeAddr, 3*pageSize, 0), errno.ENOMEM)
	wantErr(t, "a move of nothing", g.as.Move(g.th, freeAddr+16*pageSize, pageSize, dataAddr, pageSize, 0), errno.EFAULT)
}

func testAdvise(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, load)
	g.write(dataAddr, []byte("data"))
	g.write(dataAddr+pageSize, []byte("kept"))
	g.ok(g.as.Advise(g.th, dataAddr, pageSize, linux.MADV_DONTNEED))
	if b := g.read(dataAddr, 4); !bytes.Equal(b, make([]byte, 4)) {
		t.Errorf("after MADV_DONTNEED: %q", b)
	}
	if b := g.read(dataAddr+pageSize, 4); string(b) != "kept" {
		t.Errorf("the page behind: %q", b)
	}
	g.ok(g.as.Advise(g.th, dataAddr, dataPages*pageSize, linux.MADV_WILLNEED))
	if err := g.as.Advise(g.th, dataAddr, pageSize, 100); err == nil { // MADV_HWPOISON
		t.Log("MADV_HWPOISON is ignored")
	}
	g.read(dataAddr, 1)
}

func testResident(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, load)
	g.mmap(freeAddr, 5000*pageSize, readWrite)
	g.ok(g.as.Advise(g.th, freeAddr, 5000*pageSize, linux.MADV_NOHUGEPAGE))
	for _, i := range []uintptr{0, 2, 4095, 4096, 4999} {
		g.write(freeAddr+i*pageSize, []byte{1})
	}
	vec := make([]byte, 5000)
	g.ok(g.as.Resident(g.th, freeAddr, 5000*pageSize, vec))
	for i, v := range vec {
		want := byte(0)
		switch i {
		case 0, 2, 4095, 4096, 4999:
			want = 1
		}
		if v&1 != want {
			t.Errorf("page %d: %d, want %d", i, v, want)
		}
	}
	wantErr(t, "a hole", g.as.Resident(g.th, freeAddr-pageSize, 2*pageSize, vec), errno.ENOMEM)
	wantErr(t, "a short vector", g.as.Resident(g.th, freeAddr, 2*pageSize, vec[:1]), errno.EINVAL)
}

// testBadRanges: the guest chooses addresses and lengths, so that all of these
// come from there.
func testBadRanges(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	l := p.Layout()
	top := ^uintptr(0) &^ (pageSize - 1)
	ranges := [][2]uintptr{
		{dataAddr + 1, pageSize}, {dataAddr, 1}, {dataAddr, 0},
		{0, pageSize}, {l.Min - pageSize, pageSize}, {l.Min - pageSize, 2 * pageSize},
		{l.Max, pageSize}, {l.Max - pageSize, 2 * pageSize}, {l.Max + pageSize, pageSize},
		{dataAddr, top}, {dataAddr, l.Max}, {top, pageSize}, {top, 2 * pageSize}, {1 << 63, pageSize},
		{l.Max &^ (1<<21 - 1), 1 << 21}, {l.Max - pageSize, top},
	}
	vec := make([]byte, 16)
	for _, r := range ranges {
		addr, length := r[0], r[1]
		if addr%pageSize == 0 && length > 0 && length%pageSize == 0 && addr >= l.Min && addr+length <= l.Max && addr+length > addr {
			continue // fits after all
		}
		for what, err := range map[string]error{
			"Map":      g.as.Map(g.th, platform.Mapping{Addr: addr, Length: length, Prot: readWrite, Flags: linux.MAP_PRIVATE, FD: -1}),
			"Unmap":    g.as.Unmap(g.th, addr, length),
			"Protect":  g.as.Protect(g.th, addr, length, linux.PROT_NONE),
			"MoveFrom": g.as.Move(g.th, addr, length, freeAddr, pageSize, 0),
			"MoveTo":   g.as.Move(g.th, dataAddr, pageSize, addr, length, 0),
			"Advise":   g.as.Advise(g.th, addr, length, linux.MADV_DONTNEED),
			"Resident": g.as.Resident(g.th, addr, length, vec),
		} {
			if err == nil {
				t.Errorf("%s(%#x, %#x) succeeded", what, addr, length)
			}
		}
	}
	for what, err := range map[string]error{
		"no kind":        g.as.Map(g.th, platform.Mapping{Addr: dataAddr, Length: pageSize, Prot: readWrite, FD: -1}),
		"strange rights": g.as.Map(g.th, platform.Mapping{Addr: dataAddr, Length: pageSize, Prot: 1 << 20, Flags: linux.MAP_PRIVATE, FD: -1}),
	} {
		if err == nil {
			t.Errorf("%s: Map succeeded", what)
		}
	}
	g.regs.Rax = 3
	g.syscall(3) // it is all still there
}

func testCopies(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	big := make([]byte, dataPages*pageSize)
	for i := range big {
		big[i] = byte(i * 7)
	}
	g.write(dataAddr, big)
	if !bytes.Equal(g.read(dataAddr, len(big)), big) {
		t.Error("a large copy differs")
	}
	end := uintptr(dataAddr + dataPages*pageSize)
	for _, n := range []int{1, 7, pageSize, pageSize + 1, 3 * pageSize} {
		b := make([]byte, n+100)
		if got, err := g.as.ReadAt(b, end-uintptr(n)); got != n || err != errno.EFAULT {
			t.Errorf("ReadAt of %d with %d there = %d, %v", len(b), n, got, err)
		}
		if !bytes.Equal(b[:n], big[len(big)-n:]) {
			t.Errorf("the %d bytes differ", n)
		}
		if got, err := g.as.WriteAt(b, end-uintptr(n)); got != n || err != errno.EFAULT {
			t.Errorf("WriteAt of %d with %d there = %d, %v", len(b), n, got, err)
		}
	}
	if n, err := g.as.ReadAt(nil, freeAddr); n != 0 || err != nil {
		t.Errorf("ReadAt of nothing = %d, %v", n, err)
	}
	// A page in the middle.
	g.ok(g.as.Protect(g.th, dataAddr+2*pageSize, pageSize, linux.PROT_NONE))
	if n, err := g.as.ReadAt(big, dataAddr); n != 2*pageSize || err != errno.EFAULT {
		t.Errorf("ReadAt across PROT_NONE = %d, %v", n, err)
	}
	// The end of the address space.
	if n, err := g.as.ReadAt(make([]byte, pageSize), ^uintptr(0)-8); n != 0 || err != errno.EFAULT {
		t.Errorf("ReadAt around the end = %d, %v", n, err)
	}
}

func testVectors(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	const count = 3000
	var vec []platform.Range
	var want []byte
	g.mmap(freeAddr, 12*pageSize, readWrite) // holds count times 16 bytes
	for i := range uintptr(count) {
		vec = append(vec, platform.Range{Start: freeAddr + i*16, End: freeAddr + i*16 + i%9})
		for range i % 9 {
			want = append(want, byte(i))
		}
	}
	if n, err := g.as.WriteVec(want, vec); n != len(want) || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, len(want))
	if n, err := g.as.ReadVec(got, vec); n != len(want) || err != nil || !bytes.Equal(got, want) {
		t.Fatal(n, err)
	}
	// Less than the ranges, and more.
	if n, err := g.as.ReadVec(got[:10], vec); n != 10 || err != nil {
		t.Error(n, err)
	}
	if n, err := g.as.ReadVec(make([]byte, 100), vec[:3]); n != 3 || err != errno.EFAULT {
		t.Error(n, err)
	}
	// A hole in the middle.
	vec = []platform.Range{{Start: dataAddr, End: dataAddr + 5}, {Start: 16, End: 21}, {Start: dataAddr, End: dataAddr + 5}}
	if n, err := g.as.WriteVec(got[:15], vec); n != 5 || err != errno.EFAULT {
		t.Error(n, err)
	}
	vec[1] = platform.Range{Start: p.Layout().Max - 2, End: p.Layout().Max + 8}
	if n, err := g.as.ReadVec(got[:15], vec); n != 5 || err != errno.EFAULT {
		t.Error(n, err)
	}
	vec[1] = platform.Range{Start: 100, End: 50}
	if n, err := g.as.ReadVec(got[:15], vec); n > 10 || err != errno.EFAULT {
		t.Error("a range that ends before it starts:", n, err)
	}
}

func testCompareAndSwap(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	word := func() uint32 { return binary.LittleEndian.Uint32(g.read(dataAddr+4, 4)) }
	if found, err := g.as.CompareAndSwap(g.th, dataAddr+4, 0, 5); found != 0 || err != nil || word() != 5 {
		t.Error(found, err, word())
	}
	if found, err := g.as.CompareAndSwap(g.th, dataAddr+4, 0, 6); found != 5 || err != nil || word() != 5 {
		t.Error(found, err, word())
	}
	if found, err := g.as.CompareAndSwap(g.th, dataAddr+4, 5, 1<<31+9); found != 5 || err != nil || word() != 1<<31+9 {
		t.Error(found, err, word())
	}
	bad := func(what string, addr uintptr, want errno.Errno) {
		t.Helper()
		_, err := g.as.CompareAndSwap(g.th, addr, 0, 1)
		wantErr(t, what, err, want)
	}
	bad("unaligned", dataAddr+2, errno.EINVAL)
	bad("nothing there", freeAddr, errno.EFAULT)
	bad("not the guest's", p.Layout().Max+pageSize, errno.EFAULT)
	bad("the kernel's", 1<<63, errno.EFAULT)
	g.ok(g.as.Protect(g.th, dataAddr, pageSize, linux.PROT_READ))
	bad("read-only", dataAddr+4, errno.EFAULT)
	g.regs.Rax = 1
	g.syscall(1) // the failures left no trace in the thread
}
