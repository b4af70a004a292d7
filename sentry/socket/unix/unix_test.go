package unix

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/eventfd"
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
type process struct {
	*vfstest.Context
	id string
}

func (process) FS() *vfs.FSContext { return nil }
func (p process) ProcessID() any   { return p.id }

type rig struct {
	t  *testing.T
	w  *vfs.World
	ns *netns
	c  process
}

func newRig(t *testing.T) *rig {
	return &rig{t, vfs.NewWorld(), &netns{}, process{vfstest.NewContext(), "me"}}
}

func (r *rig) new(typ int) *Socket {
	r.t.Helper()
	s, err := Family{}.New(r.c, r.ns, socket.Kind{Type: typ})
	if err != nil {
		r.t.Fatal(err)
	}
	return s.(*Socket)
}

func (r *rig) pair(typ int) (*Socket, *Socket) {
	r.t.Helper()
	a, b, err := Family{}.NewPair(r.c, r.ns, socket.Kind{Type: typ})
	if err != nil {
		r.t.Fatal(err)
	}
	return a.(*Socket), b.(*Socket)
}

func (r *rig) open(s *Socket) *vfs.Description {
	return socket.NewDescription(r.w, s, 0, r.c.Creds())
}

func (r *rig) want(what string, got, want any) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func abstract(s string) socket.Addr { return name{abstract: "\x00" + s}.addr() }

func (r *rig) send(s *Socket, data string, want error) {
	r.t.Helper()
	n, err := s.Send(r.c, &socket.Outgoing{Data: usermem.OwnBuffer([]byte(data))})
	if err != want || err == nil && n != int64(len(data)) {
		r.t.Errorf("send of %d bytes: %d, %v; want %v", len(data), n, err, want)
	}
}

func (r *rig) recv(s *Socket, size int, flags int) (string, *socket.Incoming, error) {
	b := make([]byte, size)
	m := &socket.Incoming{Data: usermem.OwnBuffer(b), Flags: flags}
	n, err := s.Recv(r.c, m)
	return string(b[:min(int(n), size)]), m, err
}

func (r *rig) gets(s *Socket, size int, want string, wantErr error) {
	r.t.Helper()
	got, _, err := r.recv(s, size, 0)
	if got != want || err != wantErr {
		r.t.Errorf("recv: %q, %v; want %q, %v", got, err, want, wantErr)
	}
}

const (
	stream = linux.SOCK_STREAM
	dgram  = linux.SOCK_DGRAM
	seq    = linux.SOCK_SEQPACKET
)

func TestKinds(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		typ, proto int
		want       error
	}{{stream, 0, nil}, {linux.SOCK_RAW, 0, nil}, {stream, 1, nil}, {stream, 6, errno.EPROTONOSUPPORT}, {4, 0, errno.ESOCKTNOSUPPORT}} {
		_, err := Family{}.New(r.c, r.ns, socket.Kind{Type: c.typ, Protocol: c.proto})
		r.want("new", err, c.want)
	}
}

func TestStreamPair(t *testing.T) {
	r := newRig(t)
	a, b := r.pair(stream)
	r.gets(a, 1, "", errno.EAGAIN)
	r.send(a, "hello ", nil)
	r.send(a, "world", nil)
	got, _, _ := r.recv(b, 8, linux.MSG_PEEK)
	r.want("peek", got, "hello wo")
	r.gets(b, 3, "hel", nil)
	r.gets(b, 100, "lo world", nil)
	r.want("ready", a.Ready(waiter.All), waiter.Writable|waiter.WrBand)
	r.send(b, "unread", nil)
	a.Release()
	r.want("after close", b.Ready(waiter.All), waiter.All&^waiter.Pri&^waiter.RdBand)
	r.gets(b, 1, "", errno.ECONNRESET)
	r.gets(b, 1, "", nil)
	r.send(b, "x", errno.EPIPE)
}

func TestShutdown(t *testing.T) {
	r := newRig(t)
	a, b := r.pair(stream)
	r.send(a, "last", nil)
	r.want("shutdown", a.Shutdown(r.c, linux.SHUT_WR), nil)
	r.want("bad how", a.Shutdown(r.c, 3), errno.EINVAL)
	r.send(a, "x", errno.EPIPE)
	r.gets(b, 10, "last", nil)
	r.gets(b, 10, "", nil)
	r.want("half closed", b.Ready(waiter.All), waiter.RdHup|waiter.Readable|waiter.Writable|waiter.WrBand)
	r.send(b, "back", nil)
	r.gets(a, 10, "back", nil)
}

func TestConnectAcceptAndNames(t *testing.T) {
	r := newRig(t)
	l, c := r.new(stream), r.new(stream)
	r.want("unnamed", l.Listen(r.c, 1), errno.EINVAL)
	r.want("fresh", c.Ready(waiter.All), waiter.Hup|waiter.Writable|waiter.WrBand)
	r.want("nobody", c.Connect(r.c, abstract("x")), errno.ECONNREFUSED)
	r.want("bind", l.Bind(r.c, abstract("x")), nil)
	r.want("bind again", l.Bind(r.c, abstract("y")), errno.EINVAL)
	r.want("taken", c.Bind(r.c, abstract("x")), errno.EADDRINUSE)
	r.want("not listening", c.Connect(r.c, abstract("x")), errno.ECONNREFUSED)
	r.want("other type", r.new(seq).Connect(r.c, abstract("x")), errno.EPROTOTYPE)
	_, err := l.Accept(r.c)
	r.want("accept before listen", err, errno.EINVAL)
	r.want("listen", l.Listen(r.c, 0), nil)
	_, err = l.Accept(r.c)
	r.want("nothing to accept", err, errno.EAGAIN)
	r.want("connect", c.Connect(process{vfstest.NewContext(), "client"}, abstract("x")), nil)
	r.want("connect again", c.Connect(r.c, abstract("x")), errno.EISCONN)
	r.want("connect a listener", l.Connect(r.c, abstract("x")), errno.EINVAL)
	r.want("backlog", r.new(stream).Connect(r.c, abstract("x")), errno.EAGAIN)
	r.send(c, "early", nil)
	conn, err := l.Accept(r.c)
	if err != nil {
		t.Fatal(err)
	}
	s := conn.(*Socket)
	r.gets(s, 10, "early", nil)
	r.want("peer of the client", c.PeerIdentity().Process, any("me"))
	r.want("peer of the server", s.PeerIdentity().Process, any("client"))
	n, _ := c.PeerName()
	r.want("peer name", string(n), string(abstract("x")))
	n, _ = s.Name()
	r.want("own name", string(n), string(abstract("x")))
	n, _ = s.PeerName()
	r.want("unnamed peer", string(n), "\x01\x00")

	d := r.new(stream)
	r.want("connect", d.Connect(r.c, abstract("x")), nil)
	l.Release()
	r.gets(d, 1, "", errno.ECONNRESET)
	r.want("gone", r.new(stream).Connect(r.c, abstract("x")), errno.ECONNREFUSED)
	r.want("name is free", r.new(stream).Bind(r.c, abstract("x")), nil)
}

func TestBlockedConnectIsWoken(t *testing.T) {
	r := newRig(t)
	l := r.new(stream)
	_ = l.Bind(r.c, abstract("x"))
	_ = l.Listen(r.c, 0)
	r.want("first", r.new(stream).Connect(r.c, abstract("x")), nil)
	done := make(chan error)
	go func() {
		c := process{vfstest.NewContext(), "other"}
		s := r.new(stream)
		done <- waiter.Until(c, s, waiter.Writable, waiter.After(10*time.Second), func() error {
			return s.Connect(c, abstract("x"))
		})
	}()
	time.Sleep(5 * time.Millisecond)
	_, err := l.Accept(r.c)
	r.want("accept", err, nil)
	r.want("connect", <-done, nil)
}

func TestAutobindAndBadAddresses(t *testing.T) {
	r := newRig(t)
	s := r.new(dgram)
	r.want("autobind", s.Bind(r.c, familyOnly), nil)
	n, _ := s.Name()
	r.want("length", len(n), 8)
	for _, a := range []socket.Addr{nil, {1}, {2, 0, 0, 'x'}, socket.Addr("\x01\x00" + strings.Repeat("x", 109))} {
		r.want("bind", r.new(dgram).Bind(r.c, a), errno.EINVAL)
	}
}

func TestDatagrams(t *testing.T) {
	r := newRig(t)
	a, b := r.new(dgram), r.new(dgram)
	_ = a.Bind(r.c, abstract("a"))
	_ = b.Bind(r.c, abstract("b"))
	r.send(a, "x", errno.ENOTCONN)
	r.want("connect", a.Connect(r.c, abstract("b")), nil)
	r.send(a, "one", nil)
	r.send(a, "", nil)
	r.send(a, "three", nil)
	got, m, err := r.recv(b, 2, linux.MSG_TRUNC)
	r.want("truncated", got, "on")
	r.want("flags", m.OutFlags, linux.MSG_TRUNC)
	r.want("from", string(m.From), string(abstract("a")))
	r.want("err", err, nil)
	r.gets(b, 10, "", nil)
	r.gets(b, 10, "three", nil)
	r.gets(b, 10, "", errno.EAGAIN)
	r.want("b to a", b.Connect(r.c, abstract("a")), nil)
	c := r.new(dgram)
	r.want("not for strangers", c.Connect(r.c, abstract("a")), errno.EPERM)
	b.Release()
	r.send(a, "x", errno.ECONNREFUSED)
	r.send(a, "x", errno.ENOTCONN)
	_, err = a.Send(r.c, &socket.Outgoing{Data: usermem.OwnBuffer(make([]byte, 300000)), To: abstract("a")})
	r.want("too long", err, errno.EMSGSIZE)
}

func TestDatagramQueueIsBounded(t *testing.T) {
	r := newRig(t)
	a, b := r.new(dgram), r.new(dgram)
	_ = b.Bind(r.c, abstract("b"))
	_ = a.Connect(r.c, abstract("b"))
	for range maxQueued + 1 {
		r.send(a, "x", nil)
	}
	r.send(a, "x", errno.EAGAIN)
	r.want("full", a.Ready(waiter.Writable), waiter.Events(0))
	done := make(chan error)
	go func() {
		c := vfstest.NewContext()
		done <- waiter.Until(c, a, waiter.Writable, waiter.After(10*time.Second), func() error {
			_, err := a.Send(c, &socket.Outgoing{Data: usermem.OwnBuffer([]byte("y"))})
			return err
		})
	}()
	time.Sleep(5 * time.Millisecond)
	r.gets(b, 1, "x", nil)
	r.want("blocked send", <-done, nil)
}

func TestSeqpacket(t *testing.T) {
	r := newRig(t)
	a, b := r.pair(seq)
	r.send(a, "one", nil)
	r.send(a, "two", nil)
	r.gets(b, 10, "one", nil)
	r.gets(b, 1, "t", nil)
	r.gets(b, 10, "", errno.EAGAIN)
	a.Release()
	r.gets(b, 10, "", nil)
	r.send(b, "x", errno.EPIPE)
	r.gets(r.new(seq), 1, "", errno.ENOTCONN)
	r.gets(r.new(stream), 1, "", errno.EINVAL)
}

func TestSendBufferBlocksAndDrains(t *testing.T) {
	r := newRig(t)
	a, b := r.pair(stream)
	n := 0
	for {
		if _, err := a.Send(r.c, &socket.Outgoing{Data: usermem.OwnBuffer([]byte{1})}); err == errno.EAGAIN {
			break
		}
		n++
	}
	r.want("single bytes that fit", n, 278) // as on Linux
	r.want("writable", a.Ready(waiter.Writable), waiter.Events(0))
	const total = 1 << 20
	done := make(chan int64)
	go func() {
		d := r.open(a)
		n, _ := d.Write(vfstest.NewContext(), usermem.OwnBuffer(make([]byte, total)), vfs.CurrentOffset, vfs.Wait)
		d.DecRef()
		done <- n
	}()
	var sum int
	d := r.open(b)
	for {
		n, err := d.Read(r.c, usermem.OwnBuffer(make([]byte, 9000)), vfs.CurrentOffset, vfs.Wait)
		if err != nil || n == 0 {
			r.want("end", err, nil)
			break
		}
		sum += int(n)
	}
	r.want("written", <-done, int64(total))
	r.want("read", sum, total+278)
}

func (r *rig) sendFiles(s *Socket, data string, files ...*vfs.Description) {
	r.t.Helper()
	_, err := s.Send(r.c, &socket.Outgoing{Data: usermem.OwnBuffer([]byte(data)), Files: files})
	r.want("send", err, nil)
}

func TestDescriptorsAndCredentials(t *testing.T) {
	r := newRig(t)
	a, b := r.pair(stream)
	b.opts.PassCred.Store(true)
	e := eventfd.New(r.w, r.c.Creds(), 0, eventfd.Counter, 0)
	r.send(a, "before", nil)
	r.sendFiles(a, "with", e)
	r.send(a, "after", nil)
	_, m, _ := r.recv(b, 100, linux.MSG_PEEK)
	r.want("peeked", len(m.Files), 1)
	socket.DropFiles(m.Files)
	got, m, _ := r.recv(b, 100, 0)
	r.want("stops behind the descriptors", got, "beforewith")
	r.want("files", len(m.Files), 1)
	r.want("sender", m.Sender.Process, any("me"))
	r.want("references", m.Files[0].Refs(), int64(1))
	socket.DropFiles(m.Files)
	other := socket.Identity{Process: "other"}
	_, _ = a.Send(r.c, &socket.Outgoing{Data: usermem.OwnBuffer([]byte("as")), As: &other})
	r.gets(b, 100, "after", nil)
	got, m, _ = r.recv(b, 100, 0)
	r.want("another's", got+m.Sender.Process.(string), "asother")

	e = eventfd.New(r.w, r.c.Creds(), 0, eventfd.Counter, 0)
	e.IncRef()
	r.sendFiles(a, "x", e)
	b.Release()
	r.want("released with the socket", e.Refs(), int64(1))
}

func TestUnreachableSocketsAreCollected(t *testing.T) {
	r := newRig(t)
	before := len(flight.count)
	// a and b each hold the other in its queue, and a itself.
	a, b := r.pair(stream)
	da, db := r.open(a), r.open(b)
	da.IncRef()
	db.IncRef()
	da.IncRef()
	r.sendFiles(a, "1", da)
	r.sendFiles(b, "2", db)
	r.sendFiles(b, "3", da)
	// A reachable one that holds a socket keeps it.
	c, d := r.pair(stream)
	keep, kept := r.open(c), r.new(stream)
	dk := r.open(kept)
	r.sendFiles(d, "4", dk)
	da.DecRef()
	db.DecRef()
	r.new(stream).Release() // any close looks for cycles
	if !a.dead || !b.dead {
		t.Error("a cycle of sockets was not collected")
	}
	if kept.dead || c.dead {
		t.Error("a reachable socket was collected")
	}
	keep.DecRef()
	if !kept.dead {
		t.Error("a socket outlives the queue that held it")
	}
	d.Release()
	r.want("in flight", len(flight.count), before)
}

func TestConcurrentUse(t *testing.T) {
	r := newRig(t)
	a, b := r.pair(stream)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				_, _ = a.Send(r.c, &socket.Outgoing{Data: usermem.OwnBuffer([]byte("abc")), Files: []*vfs.Description{r.open(r.new(stream))}})
			}
		})
		wg.Go(func() {
			for range 200 {
				_, m, _ := r.recv(b, 10, 0)
				socket.DropFiles(m.Files)
			}
		})
	}
	wg.Wait()
	a.Release()
	b.Release()
}

func TestOptions(t *testing.T) {
	r := newRig(t)
	o := r.new(dgram).Base()
	r.want("bad", o.Set(999, socket.Int(1), false), errno.ENOPROTOOPT)
	r.want("short", o.Set(linux.SO_SNDBUF, []byte{1}, false), errno.EINVAL)
	r.want("set", o.Set(linux.SO_SNDBUF, socket.Int(1), false), nil)
	v, _ := o.Get(linux.SO_SNDBUF)
	r.want("smallest", string(v), string(socket.Int(4608)))
	r.want("set", o.Set(linux.SO_RCVBUF, socket.Int(1<<30), false), nil)
	v, _ = o.Get(linux.SO_RCVBUF)
	r.want("largest", string(v), string(socket.Int(425984)))
	r.want("read-only", o.Set(linux.SO_TYPE, socket.Int(1), false), errno.ENOPROTOOPT)
	r.want("privileged", o.Set(linux.SO_SNDBUFFORCE, socket.Int(1), false), errno.EPERM)
	r.want("timeout", o.Set(linux.SO_RCVTIMEO, append(make([]byte, 8), 0xff, 0xff, 0xff, 0, 0, 0, 0, 0), false), errno.EDOM)
	r.want("on", o.Set(linux.SO_KEEPALIVE, socket.Int(7), false), nil)
	v, _ = o.Get(linux.SO_KEEPALIVE)
	r.want("is one", string(v), string(socket.Int(1)))
}

func BenchmarkStreamPing(b *testing.B) {
	r := &rig{nil, vfs.NewWorld(), &netns{}, process{vfstest.NewContext(), "me"}}
	x, y, _ := Family{}.NewPair(r.c, r.ns, socket.Kind{Type: stream})
	one := []byte{1}
	for b.Loop() {
		_, _ = x.Send(r.c, &socket.Outgoing{Data: usermem.OwnBuffer(one)})
		_, _ = y.Recv(r.c, &socket.Incoming{Data: usermem.OwnBuffer(one)})
	}
}

// FuzzAddress: an address is refused or names one thing, which has an address
// that names the same.
func FuzzAddress(f *testing.F) {
	f.Add([]byte("\x01\x00/run/x\x00"))
	f.Add([]byte("\x01\x00\x00abstract"))
	f.Add([]byte("\x01\x00"))
	f.Add([]byte("\x02\x00x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parse(b)
		if err != nil {
			if err != errno.EINVAL {
				t.Error(err)
			}
			return
		}
		if (n.path == "") == (n.abstract == "") {
			t.Errorf("%q names %q and %q", b, n.path, n.abstract)
		}
		if strings.ContainsRune(n.path, 0) {
			t.Errorf("a path with a NUL: %q", n.path)
		}
		// A path of 108 bytes has no room for its NUL, and is longer with it.
		if len(n.path) == linux.UnixPathMax {
			return
		}
		if again, err := parse(n.addr()); again != n || err != nil {
			t.Errorf("%q: %v, then %v, %v", b, n, again, err)
		}
	})
}
