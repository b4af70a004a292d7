package unix

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

const (
	// maxChunk is the largest message that a stream is cut into.
	maxChunk = 64 << 10
	// maxQueued is how many datagrams wait at a receiver, beyond one:
	// /proc/sys/net/unix/max_dgram_qlen.
	maxQueued = 10
)

// Send implements socket.Socket.
//
// Errors: EAGAIN without room; EPIPE if the other end does not read any more;
// ENOTCONN; EISCONN; ECONNREFUSED, ECONNRESET; ETOOMANYREFS; EMSGSIZE for a packet that never
// fits; EFAULT; those of find. EOPNOTSUPP for MSG_OOB, and for an address on an
// unconnected stream.
func (s *Socket) Send(c vfs.Context, m *socket.Outgoing) (int64, error) {
	if m.Flags&linux.MSG_OOB != 0 {
		return 0, errno.EOPNOTSUPP
	}
	if s.isStream() {
		return s.sendStream(c, m)
	}
	return s.sendPacket(c, m)
}

func (s *Socket) sendStream(c vfs.Context, m *socket.Outgoing) (int64, error) {
	peer, err := s.streamPeer(m)
	if err != nil {
		return 0, err
	}
	limit := s.opts.SendBuffer()
	var done int64
	for m.Data.Len() > 0 {
		if s.sent.Load() >= limit {
			err = errno.EAGAIN
			break
		}
		n := min(m.Data.Len(), limit/2-64, maxChunk)
		var msg *message
		if msg, err = s.newMessage(c, m, n); err != nil {
			break
		}
		sent := int64(len(msg.data))
		if err = s.deliver(peer, msg, m); err != nil {
			break
		}
		done += sent
	}
	if done > 0 {
		return done, nil
	}
	return 0, err
}

// streamPeer is the other end of a connected stream that may be written to.
func (s *Socket) streamPeer(m *socket.Outgoing) (*Socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.To != nil && s.state == connected:
		return nil, errno.EISCONN
	case m.To != nil:
		return nil, errno.EOPNOTSUPP
	case s.peer == nil:
		return nil, errno.ENOTCONN
	case s.shut&shutWrite != 0:
		return nil, errno.EPIPE
	}
	return s.peer, s.opts.TakeError()
}

// newMessage copies n bytes in and charges for them.
func (s *Socket) newMessage(c vfs.Context, m *socket.Outgoing, n int64) (*message, error) {
	msg := &message{data: make([]byte, n), owner: s, charge: n + overhead, sender: socket.IdentityOf(c)}
	if m.As != nil {
		msg.sender = *m.As
	}
	s.sent.Add(msg.charge)
	if err := drain(m.Data, msg.data); err != nil {
		msg.uncharge()
		return nil, err
	}
	return msg, nil
}

func drain(from *usermem.Buffer, to []byte) error {
	n, err := from.Drain(to)
	if n == len(to) {
		return nil
	}
	if err == nil {
		err = errno.EFAULT
	}
	return err
}

// receive queues a message: EPIPE if nobody will read it.
func (s *Socket) receive(msg *message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead && !s.connectionBased() {
		return errno.ECONNREFUSED
	}
	if s.dead || s.shut&shutRead != 0 {
		return errno.EPIPE
	}
	s.msgs.push(msg)
	return nil
}

func (s *Socket) sendPacket(c vfs.Context, m *socket.Outgoing) (int64, error) {
	other, err := s.packetTarget(c, m)
	if err != nil {
		return 0, err
	}
	n := m.Data.Len()
	if n > s.opts.SendBuffer()-32 {
		return 0, errno.EMSGSIZE
	}
	if s.sent.Load() >= s.opts.SendBuffer() || other.blocks(s) {
		return 0, errno.EAGAIN
	}
	// From here on there is room: another sender that comes in between makes
	// the queue longer by one, which harms nobody.
	msg, err := s.newMessage(c, m, n)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	msg.from = s.addr
	s.mu.Unlock()
	if err := s.deliver(other, msg, m); err != nil {
		return 0, err
	}
	return n, nil
}

// deliver queues a message with the descriptors that m has, or takes it back.
func (s *Socket) deliver(other *Socket, msg *message, m *socket.Outgoing) error {
	if err := flying(m.Files); err != nil {
		msg.uncharge()
		return err
	}
	msg.files = m.Files
	if err := other.receive(msg); err != nil {
		landed(m.Files)
		msg.uncharge()
		return err
	}
	m.Files = nil
	other.queue.Notify(waiter.Readable)
	return nil
}

// packetTarget is where a packet goes.
func (s *Socket) packetTarget(c vfs.Context, m *socket.Outgoing) (*Socket, error) {
	s.mu.Lock()
	peer, st, sh := s.peer, s.state, s.shut
	s.mu.Unlock()
	if s.connectionBased() && st != connected {
		return nil, errno.ENOTCONN
	}
	if err := s.opts.TakeError(); err != nil {
		return nil, err
	}
	if sh&shutWrite != 0 {
		return nil, errno.EPIPE
	}
	if m.To != nil && !s.connectionBased() {
		return s.addressee(c, m.To)
	}
	if peer == nil {
		return nil, errno.ENOTCONN
	}
	if !s.connectionBased() {
		return peer, s.stillThere(peer)
	}
	return peer, nil
}

// addressee is the socket that a datagram names.
func (s *Socket) addressee(c vfs.Context, to socket.Addr) (*Socket, error) {
	sc, ok := c.(socket.Context)
	if !ok {
		return nil, errno.EINVAL
	}
	if s.opts.PassCred.Load() {
		if err := s.autobind(); err != nil {
			return nil, err
		}
	}
	other, err := s.find(sc, to)
	if err != nil {
		return nil, err
	}
	if !other.acceptsFrom(s) {
		return nil, errno.EPERM
	}
	return other, nil
}

// stillThere forgets a datagram peer that was closed: ECONNREFUSED.
func (s *Socket) stillThere(peer *Socket) error {
	peer.mu.Lock()
	dead, its := peer.dead, peer.peer
	peer.mu.Unlock()
	if !dead {
		if its != nil && its != s {
			return errno.EPERM
		}
		return nil
	}
	s.mu.Lock()
	if s.peer == peer {
		s.peer = nil
	}
	lost := s.msgs.takeAll()
	s.mu.Unlock()
	discard(lost)
	return errno.ECONNREFUSED
}

// fullForLocked: the queue limit is for strangers only; see
// unix_dgram_sendmsg.
func (s *Socket) fullForLocked(from *Socket) bool {
	return s != from && s.peer != from && s.msgs.n > maxQueued
}

// blocks says whether from has to wait before it sends to s, and lets it know
// when there is room.
func (s *Socket) blocks(from *Socket) bool {
	if s == from {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fullForLocked(from) {
		return false
	}
	s.blockLocked(from)
	return true
}
