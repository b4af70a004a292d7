package pipefs

import (
	"bytes"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

type ends struct {
	t    *testing.T
	c    *vfstest.Context
	r, w *vfs.Description
}

func newEnds(t *testing.T, flags linux.OpenFlags) *ends {
	c := vfstest.NewContext()
	r, w := New(vfs.NewWorld(), c.Creds(), flags)
	return &ends{t, c, r, w}
}

func (e *ends) pipe() *Pipe { return Of(e.r.File()) }

func (e *ends) write(n int, want int64, wantErr error) {
	e.t.Helper()
	got, err := e.w.Write(e.c, usermem.OwnBuffer(make([]byte, n)), vfs.CurrentOffset, vfs.NoWait)
	if got != want || err != wantErr {
		e.t.Errorf("write of %d: %d, %v; want %d, %v", n, got, err, want, wantErr)
	}
}

func (e *ends) read(n int, want int64, wantErr error) {
	e.t.Helper()
	got, err := e.r.Read(e.c, usermem.OwnBuffer(make([]byte, n)), vfs.CurrentOffset, vfs.NoWait)
	if got != want || err != wantErr {
		e.t.Errorf("read of %d: %d, %v; want %d, %v", n, got, err, want, wantErr)
	}
}

func (e *ends) ready(r, w waiter.Events) {
	e.t.Helper()
	if got := e.r.Ready(waiter.All); got != r {
		e.t.Errorf("reading end is ready for %#x, want %#x", got, r)
	}
	if got := e.w.Ready(waiter.All); got != w {
		e.t.Errorf("writing end is ready for %#x, want %#x", got, w)
	}
}

func TestCapacityGoesBySlots(t *testing.T) {
	e := newEnds(t, 0)
	e.ready(0, waiter.Writable)
	e.read(1, 0, errno.EAGAIN)
	e.write(100000, 65536, nil)
	e.ready(waiter.Readable, 0)
	e.write(1, 0, errno.EAGAIN)
	e.read(1, 1, nil)
	e.write(1, 0, errno.EAGAIN) // no slot is free
	e.ready(waiter.Readable, 0)
	e.read(4095, 4095, nil)
	e.ready(waiter.Readable, waiter.Writable)
	e.write(5000, 4096, nil)
	e.read(100000, 65536, nil)
	e.read(1, 0, errno.EAGAIN)

	// Writes that do not fit behind the last take a slot each.
	for range 16 {
		e.write(3000, 3000, nil)
	}
	e.write(3000, 0, errno.EAGAIN)
	e.write(1000, 1000, nil) // merges into the last one
	e.write(4097, 1, nil)    // its odd byte does too
	if n := e.pipe().Buffered(); n != 16*3000+1001 {
		t.Errorf("buffered: %d", n)
	}
}

func TestBytesKeepTheirOrder(t *testing.T) {
	e := newEnds(t, 0)
	var in, out []byte
	next := byte(0)
	sizes := []int{1, 4096, 5000, 70000, 3, 4095, 8192, 12289, 2, 65536}
	for i := range 400 {
		b := make([]byte, sizes[i%len(sizes)])
		for j := range b {
			b[j] = next + byte(j*7)
		}
		n, err := e.w.Write(e.c, usermem.OwnBuffer(b), vfs.CurrentOffset, vfs.NoWait)
		if err != nil && err != errno.EAGAIN {
			t.Fatal(err)
		}
		in = append(in, b[:n]...)
		next += 13
		r := make([]byte, sizes[(i*3+1)%len(sizes)])
		n, _ = e.r.Read(e.c, usermem.OwnBuffer(r), vfs.CurrentOffset, vfs.NoWait)
		out = append(out, r[:n]...)
	}
	rest := make([]byte, MaxSize)
	n, _ := e.r.Read(e.c, usermem.OwnBuffer(rest), vfs.CurrentOffset, vfs.NoWait)
	out = append(out, rest[:n]...)
	if !bytes.Equal(in, out) {
		t.Fatalf("%d bytes went in, %d came out, different", len(in), len(out))
	}
}

func TestEndOfFileAndEPIPE(t *testing.T) {
	e := newEnds(t, 0)
	e.write(3, 3, nil)
	e.w.DecRef()
	if got := e.r.Ready(waiter.All); got != waiter.Readable|waiter.Hup {
		t.Errorf("ready: %#x", got)
	}
	e.read(10, 3, nil)
	e.read(10, 0, nil)
	e.r.DecRef()

	e = newEnds(t, 0)
	e.r.DecRef()
	e.write(1, 0, errno.EPIPE)
	if got := e.w.Ready(waiter.All); got != waiter.Writable|waiter.Err {
		t.Errorf("ready: %#x", got)
	}
}

func TestPacketMode(t *testing.T) {
	e := newEnds(t, linux.O_DIRECT)
	e.write(10, 10, nil)
	e.write(20, 20, nil)
	e.write(5000, 5000, nil) // two packets
	e.read(4, 4, nil)        // the rest is lost
	e.read(100, 20, nil)
	e.read(9000, 4096, nil)
	e.read(9000, 904, nil)
	e.read(9000, 0, errno.EAGAIN)
	if err := e.w.SetStatusFlags(e.c, 0); err != nil {
		t.Fatal(err)
	}
	e.write(1, 1, nil)
	e.write(1, 1, nil)
	e.read(10, 2, nil)
}

func TestBlockingWriterAndReader(t *testing.T) {
	e := newEnds(t, 0)
	const total = 300000
	done := make(chan int64)
	go func() {
		c := vfstest.NewContext()
		n, _ := e.w.Write(c, usermem.OwnBuffer(make([]byte, total)), vfs.CurrentOffset, vfs.Wait)
		e.w.DecRef()
		done <- n
	}()
	var sum int64
	for {
		n, err := e.r.Read(e.c, usermem.OwnBuffer(make([]byte, 10000)), vfs.CurrentOffset, vfs.Wait)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		sum += n
	}
	if n := <-done; n != total || sum != total {
		t.Errorf("wrote %d, read %d", n, sum)
	}
}

func TestInterruptedRead(t *testing.T) {
	e := newEnds(t, 0)
	e.c.Signal()
	_, err := e.r.Read(e.c, usermem.OwnBuffer(make([]byte, 1)), vfs.CurrentOffset, vfs.Wait)
	if err != errno.ERESTARTSYS {
		t.Errorf("read: %v", err)
	}
}

func TestSetSize(t *testing.T) {
	e := newEnds(t, 0)
	p := e.pipe()
	e.write(10000, 10000, nil)
	for _, c := range []struct {
		n    int64
		want int
		err  error
	}{{1, 0, errno.EBUSY}, {8193, 16384, nil}, {100000, 131072, nil}, {MaxSize + 1, 0, errno.EPERM}, {1 << 40, 0, errno.EINVAL}} {
		got, err := p.SetSize(c.n, false)
		if got != c.want || err != c.err {
			t.Errorf("SetSize(%d): %d, %v", c.n, got, err)
		}
	}
	if got, err := p.SetSize(2*MaxSize, true); got != 2*MaxSize || err != nil {
		t.Errorf("privileged: %d, %v", got, err)
	}
	e.read(20000, 10000, nil)
	if p.Size() != 2*MaxSize {
		t.Errorf("size: %d", p.Size())
	}
}

func TestSpliceAndTee(t *testing.T) {
	a, b := newEnds(t, 0), newEnds(t, 0)
	a.w.Write(a.c, usermem.OwnBuffer([]byte("hello world")), vfs.CurrentOffset, vfs.NoWait)
	n, err := Transfer(b.pipe(), a.pipe(), 5, Copy)
	if n != 5 || err != nil || a.pipe().Buffered() != 11 {
		t.Errorf("tee: %d, %v", n, err)
	}
	n, err = Transfer(b.pipe(), a.pipe(), 100, Move)
	if n != 11 || err != nil || a.pipe().Buffered() != 0 {
		t.Errorf("splice: %d, %v", n, err)
	}
	if _, err = Transfer(b.pipe(), a.pipe(), 1, Move); err != errno.EAGAIN {
		t.Errorf("from an empty pipe: %v", err)
	}
	if _, err = Transfer(b.pipe(), b.pipe(), 1, Move); err != errno.EINVAL {
		t.Errorf("to itself: %v", err)
	}
	var got []byte
	for {
		n, err := b.pipe().SpliceOut(7, func(src *usermem.Buffer) (int64, error) {
			x, _ := src.DrainAll(3) // takes less than it is offered
			got = append(got, x...)
			return int64(len(x)), nil
		})
		if n == 0 || err != nil {
			break
		}
	}
	if string(got) != "hellohello world" {
		t.Errorf("got %q", got)
	}
	n, err = b.pipe().SpliceIn(100, func(dst *usermem.Buffer) (int64, error) {
		n, err := dst.Fill([]byte("in"))
		return int64(n), err
	})
	if n != 2 || err != nil || b.pipe().Buffered() != 2 {
		t.Errorf("splice in: %d, %v", n, err)
	}
}

func TestFIFOOpen(t *testing.T) {
	w := vfs.NewWorld()
	c := vfstest.NewContext()
	inode := vfs.NewAnonInode(w, linux.S_IFIFO|0o600, c.Creds())
	open := func(c *vfstest.Context, flags linux.OpenFlags) (*File, error) {
		f, err := OpenFIFO(c, inode, vfs.Path{}, flags)
		if err != nil {
			return nil, err
		}
		return f.(*File), nil
	}
	if _, err := open(c, linux.O_WRONLY|linux.O_NONBLOCK); err != errno.ENXIO {
		t.Errorf("writer without reader: %v", err)
	}
	r, err := open(c, linux.O_RDONLY|linux.O_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if ev := r.Ready(waiter.All); ev != 0 {
		t.Errorf("before the first writer: %#x", ev)
	}
	wr, err := open(c, linux.O_WRONLY|linux.O_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	wr.Release()
	if ev := r.Ready(waiter.All); ev != waiter.Hup {
		t.Errorf("after the last writer: %#x", ev)
	}
	r.Release()

	got := make(chan error)
	go func() {
		f, err := open(vfstest.NewContext(), linux.O_RDONLY)
		if err == nil {
			f.Release()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("a reader did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	wr, err = open(c, linux.O_WRONLY)
	if err != nil || <-got != nil {
		t.Fatalf("rendezvous: %v", err)
	}
	wr.Release()

	c.Signal()
	if _, err := open(c, linux.O_RDONLY); err != errno.ERESTARTSYS {
		t.Errorf("interrupted open: %v", err)
	}
	rw, err := open(c, linux.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	rw.Release()
	p := rw.p
	if p.readers != 0 || p.writers != 0 {
		t.Errorf("left open: %d readers, %d writers", p.readers, p.writers)
	}
}

func BenchmarkPingByte(b *testing.B) {
	c := vfstest.NewContext()
	r, w := New(vfs.NewWorld(), c.Creds(), 0)
	one := []byte{1}
	for b.Loop() {
		_, _ = w.Write(c, usermem.OwnBuffer(one), vfs.CurrentOffset, vfs.Wait)
		_, _ = r.Read(c, usermem.OwnBuffer(one), vfs.CurrentOffset, vfs.Wait)
	}
}
