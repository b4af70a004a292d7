package eventfd

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

type tester struct {
	t *testing.T
	c *vfstest.Context
	d *vfs.Description
}

func newTester(t *testing.T, initial uint32, mode Mode) tester {
	c := vfstest.NewContext()
	return tester{t, c, New(vfs.NewWorld(), c.Creds(), initial, mode, 0)}
}

func (x tester) read(want uint64, wantErr error) {
	x.t.Helper()
	var b [8]byte
	_, err := x.d.Read(x.c, usermem.OwnBuffer(b[:]), vfs.CurrentOffset, vfs.NoWait)
	if got := binary.LittleEndian.Uint64(b[:]); got != want || err != wantErr {
		x.t.Errorf("read: %d, %v; want %d, %v", got, err, want, wantErr)
	}
}

func (x tester) write(v uint64, wantErr error) {
	x.t.Helper()
	b := binary.LittleEndian.AppendUint64(nil, v)
	n, err := x.d.Write(x.c, usermem.OwnBuffer(b), vfs.CurrentOffset, vfs.NoWait)
	if err != wantErr || err == nil && n != 8 {
		x.t.Errorf("write of %d: %d, %v; want %v", v, n, err, wantErr)
	}
}

func TestCounter(t *testing.T) {
	x := newTester(t, 3, Counter)
	x.write(4, nil)
	x.read(7, nil)
	x.read(0, errno.EAGAIN)
	x.write(math.MaxUint64, errno.EINVAL)
	x.write(math.MaxUint64-1, nil)
	x.write(1, errno.EAGAIN)
	x.write(0, nil)
	if ev := x.d.Ready(waiter.All); ev != waiter.In {
		t.Errorf("full: %#x", ev)
	}
	x.read(math.MaxUint64-1, nil)
	if ev := x.d.Ready(waiter.All); ev != waiter.Out {
		t.Errorf("empty: %#x", ev)
	}
	if _, err := x.d.Read(x.c, usermem.OwnBuffer(make([]byte, 7)), vfs.CurrentOffset, vfs.NoWait); err != errno.EINVAL {
		t.Errorf("short read: %v", err)
	}
}

func TestSemaphore(t *testing.T) {
	x := newTester(t, 2, Semaphore)
	x.read(1, nil)
	x.read(1, nil)
	x.read(0, errno.EAGAIN)
}

func TestBlockedWriterGoesOn(t *testing.T) {
	x := newTester(t, 0, Counter)
	x.write(math.MaxUint64-1, nil)
	done := make(chan error)
	go func() {
		b := binary.LittleEndian.AppendUint64(nil, 5)
		_, err := x.d.Write(vfstest.NewContext(), usermem.OwnBuffer(b), vfs.CurrentOffset, vfs.Wait)
		done <- err
	}()
	x.read(math.MaxUint64-1, nil)
	if err := <-done; err != nil {
		t.Errorf("blocked write: %v", err)
	}
	x.read(5, nil)
}
