package unix

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Listen makes a bound socket accept connections, or changes its backlog.
//
// Errors: EOPNOTSUPP for datagrams; EINVAL if it has no name or is connected.
func (s *Socket) Listen(c socket.Context, backlog int) error {
	if !s.connectionBased() {
		return errno.EOPNOTSUPP
	}
	if backlog < 0 || backlog > linux.SOMAXCONN {
		backlog = linux.SOMAXCONN // Linux compares without sign
	}
	s.mu.Lock()
	if s.addr == nil || s.state == connected {
		s.mu.Unlock()
		return errno.EINVAL
	}
	s.state, s.backlog = listening, backlog
	s.selfID = socket.IdentityOf(c)
	s.peerID = s.selfID
	s.opts.Listening.Store(true)
	blocked := s.takeBlockedLocked()
	s.mu.Unlock()
	wakeBlocked(blocked)
	return nil
}

// Accept takes the oldest connection.
//
// Errors: EAGAIN; EOPNOTSUPP for datagrams; EINVAL if it does not listen.
func (s *Socket) Accept(socket.Context) (socket.Socket, error) {
	if !s.connectionBased() {
		return nil, errno.EOPNOTSUPP
	}
	s.mu.Lock()
	if s.state != listening {
		s.mu.Unlock()
		return nil, errno.EINVAL
	}
	if len(s.pending) == 0 {
		defer s.mu.Unlock()
		if s.shut&shutRead != 0 {
			return nil, errno.EINVAL
		}
		return nil, errno.EAGAIN
	}
	p := s.pending[0]
	s.pending = s.pending[1:]
	blocked := s.takeBlockedLocked()
	s.mu.Unlock()
	wakeBlocked(blocked)
	return p, nil
}

func (s *Socket) takeBlockedLocked() map[*Socket]struct{} {
	b := s.blocked
	s.blocked = nil
	return b
}

// blockLocked notes that who found no room in s.
func (s *Socket) blockLocked(who *Socket) {
	if s.blocked == nil {
		s.blocked = map[*Socket]struct{}{}
	}
	s.blocked[who] = struct{}{}
}

// Connect connects to whoever has the name a.
//
// Errors: those of find; EISCONN, EINVAL if the socket is connected or listens;
// ECONNREFUSED if the other does not listen; EAGAIN if its backlog is full;
// EPERM if it is a datagram socket that is connected to somebody else.
func (s *Socket) Connect(c socket.Context, a socket.Addr) error {
	if !s.connectionBased() {
		return s.connectDatagram(c, a)
	}
	if err := s.mayConnect(); err != nil {
		return err
	}
	other, err := s.find(c, a)
	if err != nil {
		return err
	}
	if s.opts.PassCred.Load() {
		if err := s.autobind(); err != nil {
			return err
		}
	}
	if other == s {
		return errno.ECONNREFUSED
	}
	server := newSocket(s.names, s.opts.Kind)
	server.state, server.peer = connected, s
	server.peerID = socket.IdentityOf(c)
	if err := s.enqueueAt(other, server); err != nil {
		return err
	}
	other.queue.Notify(waiter.Readable)
	s.queue.Notify(waiter.Writable)
	return nil
}

func (s *Socket) mayConnect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayConnectLocked()
}

func (s *Socket) mayConnectLocked() error {
	switch s.state {
	case connected:
		return errno.EISCONN
	case listening:
		return errno.EINVAL
	}
	return nil
}

// enqueueAt puts server, the other end of s, into the backlog of a listener.
func (s *Socket) enqueueAt(listener, server *Socket) error {
	lockPair(s, listener)
	defer unlockPair(s, listener)
	if err := s.mayConnectLocked(); err != nil {
		return err
	}
	if listener.state != listening || listener.dead || listener.shut&shutRead != 0 {
		return errno.ECONNREFUSED
	}
	if len(listener.pending) > listener.backlog {
		listener.blockLocked(s)
		return errno.EAGAIN
	}
	server.addr = listener.addr
	server.opts.PassCred.Store(listener.opts.PassCred.Load())
	s.state, s.peer, s.peerID = connected, server, listener.selfID
	listener.pending = append(listener.pending, server)
	return nil
}

// connectDatagram sets where datagrams go, and from whom they are taken.
func (s *Socket) connectDatagram(c socket.Context, a socket.Addr) error {
	var other *Socket
	if !unspecified(a) {
		var err error
		if other, err = s.find(c, a); err != nil {
			return err
		}
		if s.opts.PassCred.Load() {
			if err := s.autobind(); err != nil {
				return err
			}
		}
		if !other.acceptsFrom(s) {
			return errno.EPERM
		}
	}
	s.mu.Lock()
	before := s.peer
	s.peer = other
	var lost *message
	if before != nil && before != other {
		lost = s.msgs.takeAll()
	}
	s.mu.Unlock()
	if lost != nil {
		before.resetBy(s)
		discard(lost)
	}
	s.queue.Notify(waiter.Writable)
	return nil
}

// acceptsFrom says whether datagrams of from get here: a connected socket takes
// them from its peer only.
func (s *Socket) acceptsFrom(from *Socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer == nil || s.peer == from
}

// resetBy tells a datagram socket that its peer has turned away from it, and
// that messages are lost.
func (s *Socket) resetBy(peer *Socket) {
	s.mu.Lock()
	mine := s.peer == peer && !s.dead
	s.mu.Unlock()
	if mine {
		s.opts.Err.Store(uint32(errno.ECONNRESET))
		s.queue.Notify(waiter.Err)
	}
}

// Shutdown ends directions; of a connection also those of the other end.
// EINVAL for an unknown how.
func (s *Socket) Shutdown(_ socket.Context, how int) error {
	var mine, theirs shut
	switch how {
	case linux.SHUT_RD:
		mine, theirs = shutRead, shutWrite
	case linux.SHUT_WR:
		mine, theirs = shutWrite, shutRead
	case linux.SHUT_RDWR:
		mine, theirs = shutBoth, shutBoth
	default:
		return errno.EINVAL
	}
	s.mu.Lock()
	s.shut |= mine
	peer := s.peer
	s.mu.Unlock()
	if peer != nil && s.connectionBased() {
		peer.mu.Lock()
		peer.shut |= theirs
		peer.mu.Unlock()
		peer.queue.Notify(waiter.All)
	}
	s.queue.Notify(waiter.All)
	return nil
}
