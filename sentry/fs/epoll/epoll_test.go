package epoll

import (
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/eventfd"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

type bench struct {
	t *testing.T
	w *vfs.World
	c *vfstest.Context
}

func newBench(t *testing.T) bench { return bench{t, vfs.NewWorld(), vfstest.NewContext()} }

func (b bench) event(n uint32) *vfs.Description {
	return eventfd.New(b.w, b.c.Creds(), n, eventfd.Counter, linux.O_NONBLOCK)
}

func (b bench) instance() (*vfs.Description, *Instance) {
	d := New(b.w, b.c.Creds(), 0)
	return d, d.File().(*Instance)
}

func (b bench) take(d *vfs.Description) {
	b.t.Helper()
	if _, err := d.Read(b.c, usermem.OwnBuffer(make([]byte, 8)), vfs.CurrentOffset, vfs.NoWait); err != nil {
		b.t.Fatal(err)
	}
}

func add(d *vfs.Description) { _ = d.File().(*eventfd.File).Add(1) }

func ev(events uint32, data uint32) linux.EpollEvent {
	return linux.EpollEvent{Events: events, Data: [2]uint32{data, 0}}
}

func (b bench) collects(ep *Instance, want ...linux.EpollEvent) {
	b.t.Helper()
	got := ep.Collect(100)
	if len(got) != len(want) {
		b.t.Errorf("collected %v, want %v", got, want)
		return
	}
	for i := range want {
		if got[i].EpollEvent != want[i] {
			b.t.Errorf("event %d: %v, want %v", i, got[i].EpollEvent, want[i])
		}
	}
}

func (b bench) want(what string, got, want error) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

const in, out = linux.EPOLLIN, linux.EPOLLOUT

func TestLevelTriggered(t *testing.T) {
	b := newBench(t)
	_, ep := b.instance()
	e := b.event(0)
	b.want("add", ep.Add(e, 3, ev(in, 7)), nil)
	b.want("again", ep.Add(e, 3, ev(in, 7)), errno.EEXIST)
	b.want("other number", ep.Add(e, 4, ev(out, 8)), nil)
	b.collects(ep, ev(out, 8))
	b.want("remove", ep.Remove(e, 4), nil)
	b.want("remove again", ep.Remove(e, 4), errno.ENOENT)
	b.want("modify none", ep.Modify(e, 4, ev(in, 0)), errno.ENOENT)
	b.collects(ep)
	add(e)
	b.collects(ep, ev(in, 7))
	b.collects(ep, ev(in, 7))
	b.take(e)
	b.collects(ep)
	b.want("modify", ep.Modify(e, 3, ev(out, 9)), nil)
	b.collects(ep, ev(out, 9))
}

func TestEdgeTriggeredAndOneShot(t *testing.T) {
	b := newBench(t)
	_, ep := b.instance()
	e := b.event(1)
	b.want("add", ep.Add(e, 3, ev(in|linux.EPOLLET, 1)), nil)
	b.collects(ep, ev(in, 1))
	b.collects(ep)
	add(e)
	b.collects(ep, ev(in, 1))
	b.want("one-shot", ep.Modify(e, 3, ev(in|linux.EPOLLONESHOT, 2)), nil)
	b.collects(ep, ev(in, 2))
	add(e)
	b.collects(ep)
	b.want("rearm", ep.Modify(e, 3, ev(in|linux.EPOLLONESHOT, 3)), nil)
	got := ep.Collect(1)
	ep.PutBack(got)
	b.collects(ep, ev(in, 3))
}

func TestFairness(t *testing.T) {
	b := newBench(t)
	_, ep := b.instance()
	for i := range 3 {
		b.want("add", ep.Add(b.event(1), linux.FD(i), ev(in, uint32(i))), nil)
	}
	var order []uint32
	for range 6 {
		got := ep.Collect(1)
		if len(got) != 1 {
			t.Fatalf("collected %v", got)
		}
		order = append(order, got[0].Data[0])
	}
	for i, d := range order {
		if d != uint32(i%3) {
			t.Fatalf("order %v", order)
		}
	}
}

func TestClosedTargetLeaves(t *testing.T) {
	b := newBench(t)
	d, ep := b.instance()
	e := b.event(1)
	b.want("add", ep.Add(e, 3, ev(in, 1)), nil)
	b.want("add", ep.Add(e, 4, ev(in, 2)), nil)
	e.DecRef()
	b.collects(ep)
	if len(ep.items) != 0 || ep.ready.n != 0 {
		t.Errorf("left behind: %v", ep.items)
	}
	e = b.event(1)
	b.want("add", ep.Add(e, 3, ev(in, 1)), nil)
	d.DecRef()
	e.DecRef()
}

func TestWaitIsWokenAndTimesOut(t *testing.T) {
	b := newBench(t)
	_, ep := b.instance()
	e := b.event(0)
	b.want("add", ep.Add(e, 3, ev(in, 1)), nil)
	_, err := ep.Wait(b.c, 1, waiter.After(time.Millisecond))
	b.want("timeout", err, errno.ETIMEDOUT)
	go add(e)
	got, err := ep.Wait(b.c, 1, waiter.Never)
	if len(got) != 1 || err != nil {
		t.Errorf("wait: %v, %v", got, err)
	}
	b.take(e)
	b.c.Signal()
	_, err = ep.Wait(b.c, 1, waiter.Never)
	b.want("signal", err, errno.ERESTARTSYS)
}

func TestEachEventWakesOneOfManyWaiters(t *testing.T) {
	b := newBench(t)
	_, ep := b.instance()
	e := b.event(0)
	b.want("add", ep.Add(e, 3, ev(in|linux.EPOLLET, 1)), nil)
	const n = 4
	woken := make(chan int, n)
	for range n {
		go func() {
			got, _ := ep.Wait(vfstest.NewContext(), 1, waiter.After(10*time.Second))
			woken <- len(got)
		}()
	}
	for range n {
		time.Sleep(2 * time.Millisecond)
		add(e)
		if got := <-woken; got != 1 {
			t.Errorf("woken with %d events", got)
		}
	}
}

func TestNesting(t *testing.T) {
	b := newBench(t)
	var ds []*vfs.Description
	var eps []*Instance
	for range 7 {
		d, ep := b.instance()
		ds, eps = append(ds, d), append(eps, ep)
	}
	b.want("itself", eps[0].Add(ds[0], 3, ev(in, 0)), errno.EINVAL)
	e := b.event(0)
	b.want("leaf", eps[0].Add(e, 3, ev(in, 5)), nil)
	b.want("nest", eps[1].Add(ds[0], 3, ev(in, 6)), nil)
	b.want("circle", eps[0].Add(ds[1], 3, ev(in, 0)), errno.ELOOP)
	b.collects(eps[1])
	add(e)
	b.collects(eps[1], ev(in, 6))
	b.collects(eps[0], ev(in, 5))
	b.take(e)
	b.collects(eps[1])
	b.want("remove", eps[1].Remove(ds[0], 3), nil)
	b.want("other way", eps[0].Add(ds[1], 3, ev(in, 0)), nil)

	// From the top down, so that only the way up tells the depth.
	for i := 6; i > 2; i-- {
		b.want("chain", eps[i].Add(ds[i-1], 3, ev(in, 0)), nil)
	}
	b.want("too deep", eps[2].Add(ds[0], 3, ev(in, 0)), errno.ELOOP)
	for _, d := range ds {
		d.DecRef()
	}
	if len(eps[1].parents) != 0 {
		t.Errorf("parents left: %v", eps[1].parents)
	}
}

func TestExclusive(t *testing.T) {
	b := newBench(t)
	d, ep := b.instance()
	_, other := b.instance()
	e := b.event(0)
	b.want("with oneshot", ep.Add(e, 3, ev(in|linux.EPOLLEXCLUSIVE|linux.EPOLLONESHOT, 1)), errno.EINVAL)
	b.want("nested", other.Add(d, 3, ev(in|linux.EPOLLEXCLUSIVE, 1)), errno.EINVAL)
	b.want("add", ep.Add(e, 3, ev(in|linux.EPOLLEXCLUSIVE, 1)), nil)
	b.want("modify", ep.Modify(e, 3, ev(in, 1)), errno.EINVAL)
	add(e)
	b.collects(ep, ev(in, 1))
}

func BenchmarkCollectOneOfThousand(b *testing.B) {
	t := bench{nil, vfs.NewWorld(), vfstest.NewContext()}
	_, ep := t.instance()
	var last *vfs.Description
	for i := range 1000 {
		last = t.event(0)
		_ = ep.Add(last, linux.FD(i), ev(in|linux.EPOLLET, 1))
	}
	for b.Loop() {
		add(last)
		if len(ep.Collect(10)) != 1 {
			b.Fatal("nothing collected")
		}
	}
}
