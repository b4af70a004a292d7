package platformtest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
)

// This file: forks, threads and ends.

// adopt makes a guest of a child that Fork or NewThread has made of g, to be
// used by one other goroutine. Nothing closes it by itself.
func (g *guest) adopt(as platform.AddressSpace, th platform.Thread) *guest {
	child := &guest{t: g.t, p: g.p, as: as, th: th, regs: g.regs, code: g.code}
	if fake, ok := g.p.(*script.Platform); ok {
		// A Go function cannot be copied at where it stands.
		child.regs.SetPC(fake.Code(g.code.script))
	}
	return child
}

func (g *guest) fork() *guest {
	g.t.Helper()
	as, th, err := g.as.Fork(g.th)
	g.ok(err)
	return g.adopt(as, th)
}

func (g *guest) thread() *guest {
	g.t.Helper()
	th, err := g.as.NewThread(g.th)
	g.ok(err)
	return g.adopt(g.as, th)
}

func testFork(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, load)
	fd := memfd(t, string(make([]byte, pageSize)))
	g.ok(g.as.Map(g.th, platform.Mapping{Addr: freeAddr, Length: pageSize, Prot: readWrite, Flags: linux.MAP_SHARED, FD: -1}))
	g.ok(g.as.Map(g.th, platform.Mapping{Addr: freeAddr + pageSize, Length: pageSize, Prot: readWrite, Flags: linux.MAP_SHARED, FD: fd}))
	g.write(dataAddr, []byte{1})
	g.regs.Rdi = dataAddr
	g.syscall(1)

	c := g.fork()
	soon(t, "the child", func() {
		defer c.close()
		c.syscall(1)
		c.write(dataAddr, []byte{2})
		c.write(freeAddr, []byte{3})
		c.write(freeAddr+pageSize, []byte{4})
		c.syscall(2)
		c.mmap(dataAddr+pageSize, pageSize, linux.PROT_NONE)
	})
	g.syscall(1) // its own page
	g.regs.Rdi = freeAddr
	g.syscall(3) // the shared ones
	g.regs.Rdi = freeAddr + pageSize
	g.syscall(4)
	g.read(dataAddr+pageSize, 1) // mappings are its own
}

// testForkTree forks children that fork, and ends them in different orders.
func testForkTree(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, load)
	g.write(dataAddr, []byte{1})
	g.regs.Rdi = dataAddr
	g.syscall(1)
	var family sync.WaitGroup
	var grow func(parent *guest, depth int)
	grow = func(parent *guest, depth int) {
		for range 3 {
			c := parent.fork()
			family.Add(1)
			go func() {
				defer family.Done()
				c.syscall(1)
				c.write(dataAddr, []byte{byte(depth)})
				if depth > 0 {
					grow(c, depth-1)
				}
				c.syscall(uint64(depth))
				c.write(dataAddr, []byte{1})
				if depth%2 == 0 {
					c.as.Close()
					c.th.Close()
					return
				}
				c.close()
			}()
			// A child's children expect what a parent's page holds at the fork.
			parent.write(dataAddr, []byte{1})
		}
		parent.write(dataAddr, []byte{byte(depth + 1)})
	}
	grow(g, 1)
	soon(t, "the family", family.Wait)
	g.syscall(2)
}

func testThreads(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, add)
	const threads, rounds = 64, 300
	g.regs.Rdi, g.regs.Rcx, g.regs.Rax = dataAddr, rounds, 60
	var all sync.WaitGroup
	for i := range threads {
		c := g.thread()
		c.regs.SetPC(g.regs.PC())
		c.regs.FsBase = uint64(0x10000 * (i + 1))
		all.Add(1)
		go func() {
			defer all.Done()
			defer c.th.Close()
			c.syscall(60)
			if c.regs.FsBase != uint64(0x10000*(i+1)) {
				t.Errorf("thread %d: FS base %#x", i, c.regs.FsBase)
			}
			addr := uintptr(freeAddr + i*2*pageSize)
			c.mmap(addr, pageSize, readWrite)
			c.write(addr, []byte{byte(i)})
		}()
	}
	g.syscall(60)
	soon(t, "a thread", all.Wait)
	if got := binary.LittleEndian.Uint32(g.read(dataAddr, 4)); got != (threads+1)*rounds {
		t.Errorf("the threads counted to %d, want %d", got, (threads+1)*rounds)
	}
	for i := range threads {
		if b := g.read(uintptr(freeAddr+i*2*pageSize), 1); b[0] != byte(i) {
			t.Errorf("thread %d left %d", i, b[0])
		}
	}
}

// testThreadClose ends the first thread before others, which go on.
func testThreadClose(t *testing.T, p platform.Platform) {
	for _, order := range []string{"first first", "first last", "never run"} {
		as, th, err := p.NewAddressSpace()
		if err != nil {
			t.Fatal(err)
		}
		g := &guest{t: t, p: p, as: as, th: th, code: repeat}
		g.mmap(codeAddr, pageSize, readWrite|linux.PROT_EXEC)
		g.write(codeAddr, repeat.machine)
		g.regs.SetPC(g.entry(repeat))
		g.regs.Rax = 1
		c := g.thread()
		c.regs.SetPC(g.regs.PC())
		ran, done := make(chan struct{}), make(chan struct{})
		if order == "never run" {
			c.th.Close()
			g.syscall(1)
			g.close()
			continue
		}
		go func() {
			defer close(done)
			c.syscall(1)
			if order == "first first" {
				<-ran
			}
			for i := range 5 {
				c.regs.SetReturn(uint64(i))
				c.syscall(uint64(i))
			}
			c.mmap(dataAddr, pageSize, readWrite)
			c.write(dataAddr, []byte{1})
			child := c.fork()
			child.close()
			c.th.Close()
		}()
		if order == "first last" {
			<-done
			g.syscall(1)
		}
		g.th.Close()
		close(ran)
		<-done
		g.as.Close()
	}
}

// testMapWhileForking checks that a mapping gets the file that was asked for,
// whatever other threads and processes do at the same time.
func testMapWhileForking(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	g.regs.Rax = 1
	g.syscall(1)
	var all sync.WaitGroup
	for i := range 4 {
		content := fmt.Sprintf("file %d", i)
		fd := memfd(t, content)
		child := g.thread
		if i%2 == 1 {
			child = g.fork
		}
		c := child()
		all.Add(1)
		go func() {
			defer all.Done()
			if c.as != g.as {
				defer c.as.Close()
			}
			defer c.th.Close()
			addr := uintptr(freeAddr + i*pageSize)
			for range 50 {
				c.ok(c.as.Map(c.th, platform.Mapping{Addr: addr, Length: pageSize, Prot: linux.PROT_READ, Flags: linux.MAP_SHARED, FD: fd}))
				if b := c.read(addr, len(content)); string(b) != content {
					t.Errorf("%q, want %q", b, content)
				}
			}
		}()
	}
	for range 20 {
		c := g.fork()
		c.close()
	}
	soon(t, "a guest", all.Wait)
}

func testCloseRunning(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, spin)
	c := g.fork()
	others := make(chan platform.Event)
	go func() {
		second := c.thread()
		go func() {
			ev := second.th.Switch(&second.regs)
			second.th.Close()
			others <- ev
		}()
		ev := c.th.Switch(&c.regs)
		c.th.Close()
		others <- ev
	}()
	time.Sleep(5 * time.Millisecond)
	c.as.Close()
	soon(t, "a thread that runs", func() {
		for range 2 {
			if ev := <-others; ev.Kind != platform.Killed {
				t.Errorf("%+v", ev)
			}
		}
	})
}

func testDead(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, repeat)
	g.regs.Rax = 1
	g.syscall(1)
	g.as.Close()
	b := make([]byte, 8)
	for what, f := range map[string]func() error{
		"Map": func() error {
			return g.as.Map(g.th, platform.Mapping{Addr: freeAddr, Length: pageSize, Prot: readWrite, Flags: linux.MAP_PRIVATE, FD: -1})
		},
		"Unmap":     func() error { return g.as.Unmap(g.th, dataAddr, pageSize) },
		"Protect":   func() error { return g.as.Protect(g.th, dataAddr, pageSize, readWrite) },
		"Fork":      func() error { _, _, err := g.as.Fork(g.th); return err },
		"NewThread": func() error { _, err := g.as.NewThread(g.th); return err },
		"ReadAt":    func() error { _, err := g.as.ReadAt(b, dataAddr); return err },
		"WriteAt":   func() error { _, err := g.as.WriteAt(b, dataAddr); return err },
		"ReadVec": func() error {
			_, err := g.as.ReadVec(b, []platform.Range{{Start: dataAddr, End: dataAddr + 8}})
			return err
		},
		"CompareAndSwap": func() error { _, err := g.as.CompareAndSwap(g.th, dataAddr, 0, 1); return err },
	} {
		if f() == nil {
			t.Errorf("%s succeeded", what)
		}
	}
	g.th.Interrupt()
	if ev := g.th.Switch(&g.regs); ev.Kind != platform.Killed {
		t.Errorf("Switch: %+v", ev)
	}
	g.th.Close()
	g.th.Interrupt()
	if ev := g.th.Switch(&g.regs); ev.Kind != platform.Killed {
		t.Errorf("Switch after Close: %+v", ev)
	}
}

// testCloseRaces ends threads and address spaces while other threads run,
// fork, map and are interrupted.
func testCloseRaces(t *testing.T, p platform.Platform) {
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		as, th, err := p.NewAddressSpace()
		if err != nil {
			t.Fatal(err)
		}
		g := &guest{t: t, p: p, as: as, th: th, code: repeat}
		g.mmap(codeAddr, pageSize, readWrite|linux.PROT_EXEC)
		g.write(codeAddr, repeat.machine)
		g.regs.SetPC(g.entry(repeat))
		g.regs.Rax = 1
		var all sync.WaitGroup
		var threads []*guest
		for range 4 {
			c := g.thread()
			c.regs.SetPC(g.regs.PC())
			threads = append(threads, c)
			all.Add(1)
			go func() {
				defer all.Done()
				defer c.th.Close()
				for {
					switch c.th.Switch(&c.regs).Kind {
					case platform.Killed:
						return
					case platform.Syscall:
						if child, th, err := c.as.Fork(c.th); err == nil {
							th.Close()
							child.Close()
						}
						c.as.Map(c.th, platform.Mapping{Addr: freeAddr, Length: pageSize, Prot: readWrite, Flags: linux.MAP_PRIVATE, FD: -1})
					}
				}
			}()
		}
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
		for _, c := range threads {
			c.th.Interrupt()
		}
		if rnd.IntN(2) == 0 {
			g.th.Close()
			as.Close()
		} else {
			as.Close()
			g.th.Close()
		}
		for _, c := range threads {
			c.th.Interrupt()
		}
		soon(t, "a thread", all.Wait)
	}
}

func testPlatformClose(t *testing.T, p platform.Platform) {
	g := newGuest(t, p, spin)
	c := g.fork()
	ended := make(chan platform.Event)
	go func() {
		ev := c.th.Switch(&c.regs)
		c.th.Close()
		ended <- ev
	}()
	time.Sleep(2 * time.Millisecond)
	soon(t, "Close", p.Close)
	soon(t, "the guest", func() {
		if ev := <-ended; ev.Kind != platform.Killed {
			t.Errorf("%+v", ev)
		}
	})
	if ev := g.th.Switch(&g.regs); ev.Kind != platform.Killed {
		t.Errorf("%+v", ev)
	}
	if _, _, err := p.NewAddressSpace(); err == nil {
		if _, fake := p.(*script.Platform); !fake {
			t.Error("NewAddressSpace after Close")
		}
	}
}
