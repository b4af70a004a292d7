// Package unix is sockets of the AF_UNIX family: streams, datagrams and
// sequenced packets, bound to paths, to abstract names or to nothing, with
// descriptors and credentials as control data.
//
// A Socket is one endpoint. A message goes from the sender straight into the
// receiver's queue; until it is received it counts against the sender's buffer.
// What was sent but not received is owned by the receiver's Socket, so that
// closing it releases the descriptors in flight. Sockets that are only held by
// descriptors in flight to each other are found and emptied (gc.go).
//
// Never: it does not wait, does not copy guest memory under a Socket's lock, and
// does not release a descriptor under one.
//
// Lock order: binding, receiving, then mu; of two Sockets the older first. A
// namespace's lock is taken inside those. Cost: a message is one allocation for
// its bytes and one for its bookkeeping.
package unix

import (
	"sync"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Family is AF_UNIX.
type Family struct{}

var _ socket.Family = Family{}

// Domain implements socket.Family.
func (Family) Domain() int { return linux.AF_UNIX }

// New makes an unconnected socket.
func (Family) New(_ socket.Context, ns socket.Namespace, kind socket.Kind) (socket.Socket, error) {
	kind, err := check(kind)
	if err != nil {
		return nil, err
	}
	return newSocket(namesOf(ns), kind), nil
}

// NewPair makes two sockets that are connected to each other.
func (Family) NewPair(c socket.Context, ns socket.Namespace, kind socket.Kind) (socket.Socket, socket.Socket, error) {
	kind, err := check(kind)
	if err != nil {
		return nil, nil, err
	}
	a, b := newSocket(namesOf(ns), kind), newSocket(namesOf(ns), kind)
	me := socket.IdentityOf(c)
	a.peer, b.peer = b, a
	a.state, b.state = connected, connected
	a.peerID, b.peerID = me, me
	return a, b, nil
}

// check says which types there are. SOCK_RAW is an old name of SOCK_DGRAM here.
func check(kind socket.Kind) (socket.Kind, error) {
	if kind.Protocol != 0 && kind.Protocol != linux.AF_UNIX {
		return kind, errno.EPROTONOSUPPORT
	}
	switch kind.Type {
	case linux.SOCK_STREAM, linux.SOCK_DGRAM, linux.SOCK_SEQPACKET:
		return kind, nil
	case linux.SOCK_RAW:
		kind.Type = linux.SOCK_DGRAM
		return kind, nil
	}
	return kind, errno.ESOCKTNOSUPPORT
}

// state is how far a socket is.
type state uint8

const (
	unconnected state = iota
	listening
	connected // and stays so when the peer is gone
)

// shut is a set of directions that have ended.
type shut uint8

const (
	shutRead shut = 1 << iota
	shutWrite
	shutBoth = shutRead | shutWrite
)

// Socket is one endpoint.
type Socket struct {
	opts   socket.Options
	names  *names
	number uint64 // in the order of creation
	queue  waiter.Queue

	binding   sync.Mutex // held while bind makes a name
	receiving sync.Mutex // held while a receiver copies

	// sent is the charge for what was sent and not received yet.
	sent atomic.Int64

	mu    sync.Mutex
	state state
	shut  shut
	dead  bool
	peer  *Socket

	addr socket.Addr // what getsockname tells; nil: unbound
	path vfs.Path    // of a bound socket file, with a reference

	msgs    messageList
	backlog int
	pending []*Socket // connections that nobody has accepted yet
	blocked map[*Socket]struct{}

	selfID socket.Identity // of who called listen
	peerID socket.Identity
}

var (
	_ socket.Socket = (*Socket)(nil)
	_ vfs.Reader    = (*Socket)(nil)
	_ vfs.Writer    = (*Socket)(nil)
	_ vfs.Ioctler   = (*Socket)(nil)
)

var numbers atomic.Uint64

func newSocket(n *names, kind socket.Kind) *Socket {
	s := &Socket{names: n, number: numbers.Add(1), peerID: nobody}
	s.opts.Init(linux.AF_UNIX, kind)
	return s
}

// nobody is what SO_PEERCRED tells of a socket that has no peer.
var nobody = socket.Identity{UID: cred.NoUID, GID: cred.NoGID}

// Base implements socket.Socket.
func (s *Socket) Base() *socket.Options { return &s.opts }

// PeerIdentity is SO_PEERCRED: who connected, or who listens.
func (s *Socket) PeerIdentity() socket.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peerID
}

// connectionBased says whether the socket is a stream or a seqpacket.
func (s *Socket) connectionBased() bool { return s.opts.Kind.Type != linux.SOCK_DGRAM }

func (s *Socket) isStream() bool { return s.opts.Kind.Type == linux.SOCK_STREAM }

// lockPair locks two sockets, which must differ.
func lockPair(a, b *Socket) {
	if b.number < a.number {
		a, b = b, a
	}
	a.mu.Lock()
	b.mu.Lock()
}

func unlockPair(a, b *Socket) {
	a.mu.Unlock()
	b.mu.Unlock()
}

// Release implements vfs.File: the socket is closed.
func (s *Socket) Release() {
	s.close(accepted)
	collectIfNeeded()
}

// origin says whether anybody has ever seen a socket.
type origin uint8

const (
	accepted origin = iota
	unaccepted
)

func (s *Socket) close(o origin) {
	s.mu.Lock()
	s.dead = true
	s.shut = shutBoth
	peer, pending, blocked := s.peer, s.pending, s.blocked
	unread := s.msgs.takeAll()
	s.pending, s.blocked, s.peer = nil, nil, nil
	s.mu.Unlock()
	s.unbind()
	if peer != nil && s.connectionBased() {
		peer.mu.Lock()
		peer.shut = shutBoth
		if unread != nil || o == unaccepted {
			peer.opts.Err.Store(uint32(errno.ECONNRESET))
		}
		peer.mu.Unlock()
		peer.queue.Notify(waiter.All)
	}
	for _, p := range pending {
		p.close(unaccepted)
	}
	discard(unread)
	wakeBlocked(blocked)
	s.queue.Notify(waiter.All)
}

// discard drops messages that nobody will receive.
func discard(m *message) {
	for ; m != nil; m = m.next {
		m.uncharge()
		m.dropFiles()
	}
}

// wakeBlocked lets those try again who found no room.
func wakeBlocked(blocked map[*Socket]struct{}) {
	for b := range blocked {
		b.queue.Notify(waiter.Writable)
	}
}

// Ready implements waiter.Waitable; see unix_poll and unix_dgram_poll in
// net/unix/af_unix.c.
func (s *Socket) Ready(want waiter.Events) waiter.Events {
	s.mu.Lock()
	var ev waiter.Events
	if s.opts.Err.Load() != 0 {
		ev |= waiter.Err
	}
	if s.shut == shutBoth {
		ev |= waiter.Hup
	}
	if s.shut&shutRead != 0 {
		ev |= waiter.RdHup | waiter.Readable
	}
	if s.msgs.head != nil || len(s.pending) > 0 {
		ev |= waiter.Readable
	}
	if s.connectionBased() && s.state == unconnected {
		ev |= waiter.Hup
	}
	writable := s.state != listening && s.writable()
	peer := s.peer
	s.mu.Unlock()
	if writable && (s.connectionBased() || peer == nil || !peer.blocks(s)) {
		ev |= waiter.Writable | waiter.WrBand
	}
	return ev & (want | waiter.Always)
}

// writable says whether at most a quarter of the buffer is in use.
func (s *Socket) writable() bool { return s.sent.Load()*4 <= s.opts.SendBuffer() }

// Register implements waiter.Waitable.
func (s *Socket) Register(e *waiter.Entry) { s.queue.Register(e) }

// Unregister implements waiter.Waitable.
func (s *Socket) Unregister(e *waiter.Entry) { s.queue.Unregister(e) }

// Read implements vfs.Reader: a receive without control data.
func (s *Socket) Read(c vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	if dst.Len() == 0 {
		return 0, nil
	}
	m := socket.Incoming{Data: dst}
	n, err := s.Recv(c, &m)
	socket.DropFiles(m.Files)
	return n, err
}

// Write implements vfs.Writer.
func (s *Socket) Write(c vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	return s.Send(c, &socket.Outgoing{Data: src})
}

// IODeadline implements vfs.Timed.
func (s *Socket) IODeadline(want waiter.Events) waiter.Deadline {
	if want&waiter.Out != 0 {
		return s.opts.SendDeadline()
	}
	return s.opts.RecvDeadline()
}

// Ioctl implements SIOCINQ (which is FIONREAD) and SIOCOUTQ.
func (s *Socket) Ioctl(_ vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	var v int64
	switch cmd {
	case linux.SIOCINQ:
		s.mu.Lock()
		if s.state == listening {
			s.mu.Unlock()
			return 0, errno.EINVAL
		}
		v = s.msgs.bytes
		if !s.connectionBased() && s.msgs.head != nil {
			v = int64(len(s.msgs.head.data))
		}
		s.mu.Unlock()
	case linux.SIOCOUTQ:
		v = s.sent.Load()
	default:
		return 0, errno.ENOTTY
	}
	return 0, usermem.Ptr[int32](arg).Store(m, int32(v))
}

// GetOption implements socket.Socket: there is nothing of the family's own but
// SO_PEERCRED, which needs the caller's namespaces; see PeerIdentity.
func (s *Socket) GetOption(_ socket.Context, level, _ int) ([]byte, bool, error) {
	if level != linux.SOL_SOCKET {
		return nil, true, errno.EOPNOTSUPP
	}
	return nil, false, nil
}

// SetOption implements socket.Socket.
func (s *Socket) SetOption(_ socket.Context, level, _ int, _ []byte) (bool, error) {
	if level != linux.SOL_SOCKET {
		return true, errno.EOPNOTSUPP
	}
	return false, nil
}
