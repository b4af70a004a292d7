//go:build !cgo

package inet

import (
	"encoding/binary"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// netns is a network namespace.
type netns struct{ m sync.Map }

func (n *netns) Slot(key any, fresh func() any) any {
	v, _ := n.m.LoadOrStore(key, fresh())
	return v
}

// process is a socket.Context without files.
type process struct{ *vfstest.Context }

func (process) FS() *vfs.FSContext { return nil }
func (process) ProcessID() any     { return nil }

type rig struct {
	t  *testing.T
	ns *netns
	c  process
}

func newRig(t *testing.T) *rig { return &rig{t, &netns{}, process{vfstest.NewContext()}} }

func (r *rig) new(f Family, typ int) *Socket {
	r.t.Helper()
	s, err := f.New(r.c, r.ns, socket.Kind{Type: typ})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(s.Release)
	return s.(*Socket)
}

func (r *rig) bound(f Family, typ int) (*Socket, socket.Addr) {
	r.t.Helper()
	s := r.new(f, typ)
	ip := loopback4
	if f == V6 {
		ip = loopback6
	}
	if err := s.Bind(r.c, f.format(tcpip.FullAddress{Addr: ip})); err != nil {
		r.t.Fatal(err)
	}
	a, err := s.Name()
	if err != nil {
		r.t.Fatal(err)
	}
	return s, a
}

// eventually repeats try while it would block.
func eventually(t *testing.T, try func() error) error {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := try(); err != errno.EAGAIN && err != errno.EINPROGRESS && err != errno.EALREADY {
			return err
		}
	}
	return errno.ETIMEDOUT
}

func (r *rig) pair(f Family) (a, b *Socket) {
	r.t.Helper()
	l, addr := r.bound(f, linux.SOCK_STREAM)
	if err := l.Listen(r.c, 5); err != nil {
		r.t.Fatal(err)
	}
	a = r.new(f, linux.SOCK_STREAM)
	if err := eventually(r.t, func() error { return a.Connect(r.c, addr) }); err != nil {
		r.t.Fatal(err)
	}
	err := eventually(r.t, func() error {
		s, err := l.Accept(r.c)
		if err == nil {
			b = s.(*Socket)
			r.t.Cleanup(b.Release)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return a, b
}

func TestStreamCarriesBytesInOrder(t *testing.T) {
	for _, f := range []Family{V4, V6} {
		r := newRig(t)
		a, b := r.pair(f)
		text := strings.Repeat("0123456789", 50_000)
		go func() {
			src := usermem.OwnBuffer([]byte(text))
			for src.Len() > 0 {
				if _, err := a.Send(r.c, &socket.Outgoing{Data: src}); err != nil && err != errno.EAGAIN {
					t.Error(err)
					return
				}
				runtime.Gosched()
			}
			if err := a.Shutdown(r.c, linux.SHUT_WR); err != nil {
				t.Error(err)
			}
		}()
		var got strings.Builder
		err := eventually(t, func() error {
			for {
				p := make([]byte, 9000)
				n, err := b.Recv(r.c, &socket.Incoming{Data: usermem.OwnBuffer(p)})
				got.Write(p[:n])
				if err != nil || n == 0 {
					return err
				}
			}
		})
		if err != nil || got.String() != text {
			t.Errorf("%d: %d bytes of %d, %v", f.domain, got.Len(), len(text), err)
		}
	}
}

func TestDatagramIsCutAndNamesItsSender(t *testing.T) {
	r := newRig(t)
	a, from := r.bound(V4, linux.SOCK_DGRAM)
	b, to := r.bound(V4, linux.SOCK_DGRAM)
	if _, err := a.Send(r.c, &socket.Outgoing{Data: usermem.OwnBuffer([]byte("hello")), To: to}); err != nil {
		t.Fatal(err)
	}
	if b.Ready(waiter.In) != waiter.In {
		t.Error("not readable")
	}
	p := make([]byte, 2)
	m := socket.Incoming{Data: usermem.OwnBuffer(p)}
	n, err := b.Recv(r.c, &m)
	if n != 2 || err != nil || string(p) != "he" || m.OutFlags != linux.MSG_TRUNC || string(m.From) != string(from) {
		t.Errorf("%d, %v, %q, flags %#x, from %v", n, err, p, m.OutFlags, m.From)
	}
	if _, err := b.Recv(r.c, &m); err != errno.EAGAIN {
		t.Errorf("the rest: %v", err)
	}
}

// TestNamespacesAreApart: the same port is free in another one.
func TestNamespacesAreApart(t *testing.T) {
	r, other := newRig(t), newRig(t)
	_, a := r.bound(V4, linux.SOCK_STREAM)
	if err := other.new(V4, linux.SOCK_STREAM).Bind(other.c, a); err != nil {
		t.Error(err)
	}
	if err := r.new(V4, linux.SOCK_STREAM).Bind(r.c, a); err != errno.EADDRINUSE {
		t.Errorf("the same one: %v", err)
	}
}

func TestErrorOfAConnectionIsToldOnce(t *testing.T) {
	r := newRig(t)
	_, nobody := r.bound(V4, linux.SOCK_STREAM)
	s := r.new(V4, linux.SOCK_STREAM)
	if err := s.Connect(r.c, nobody); err != errno.EINPROGRESS {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); s.Ready(waiter.Err)&waiter.Err == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	for _, want := range []errno.Errno{errno.ECONNREFUSED, 0} {
		v, _, err := s.GetOption(r.c, linux.SOL_SOCKET, linux.SO_ERROR)
		if err != nil || binary.LittleEndian.Uint32(v) != uint32(want) {
			t.Errorf("%v, %v, want %v", v, err, want)
		}
	}
}

// FuzzParseAddress: whatever a guest gives, an address is refused or formats to
// what was meant.
func FuzzParseAddress(f *testing.F) {
	f.Add([]byte(V4.format(tcpip.FullAddress{Addr: loopback4, Port: 80})))
	f.Add([]byte(V6.format(tcpip.FullAddress{Addr: loopback6, Port: 80})))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, family := range []Family{V4, V6} {
			full, err := family.parse(b)
			if err != nil {
				continue
			}
			again, err := family.parse(family.format(full))
			if err != nil || again != full {
				t.Errorf("%v: %v, %v", full, again, err)
			}
		}
	})
}

// TestTableListsOpenSockets: one with a port is a line, until it is closed; and
// to look makes no stack.
func TestTableListsOpenSockets(t *testing.T) {
	r := newRig(t)
	if b := Table(r.ns, V4, linux.SOCK_DGRAM); len(b) != 0 {
		t.Errorf("before: %q", b)
	}
	if _, made := r.ns.m.Load(networkKey{}); made {
		t.Error("reading the table made a stack")
	}
	r.new(V4, linux.SOCK_DGRAM)
	s, _ := r.bound(V4, linux.SOCK_DGRAM)
	if b := string(Table(r.ns, V4, linux.SOCK_DGRAM)); !strings.HasPrefix(b, "    0: 0100007F:") || strings.Count(b, "\n") != 1 {
		t.Errorf("open: %q", b)
	}
	s.Release()
	if b := Table(r.ns, V4, linux.SOCK_DGRAM); len(b) != 0 {
		t.Errorf("closed: %q", b)
	}
}
