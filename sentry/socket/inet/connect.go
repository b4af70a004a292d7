//go:build !cgo

package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
)

// Bind implements socket.Socket.
//
// Errors: those of parse; EACCES for a low port without CAP_NET_BIND_SERVICE;
// EADDRNOTAVAIL for an address that this network has not; EADDRINUSE; EINVAL for
// a socket that has a name.
func (s *Socket) Bind(c socket.Context, a socket.Addr) error {
	full, err := s.family.parse(unspecifiedFamily(s.family, a))
	if err != nil {
		return err
	}
	if full.Port != 0 && full.Port < firstFreePort && !c.Creds().HasCap(linux.CAP_NET_BIND_SERVICE) {
		return errno.EACCES
	}
	return errnoOf(s.ep.Bind(full))
}

// firstFreePort is net.ipv4.ip_unprivileged_port_start.
const firstFreePort = 1024

// unspecifiedFamily lets bind(2) take AF_UNSPEC for AF_INET with INADDR_ANY, as
// old programs do; see inet_bind_sk in net/ipv4/af_inet.c.
func unspecifiedFamily(f Family, a socket.Addr) socket.Addr {
	if f.domain != linux.AF_INET || len(a) < lenIn || a.Family() != linux.AF_UNSPEC || [4]byte(a[4:8]) != [4]byte{} {
		return a
	}
	b := append(socket.Addr{linux.AF_INET, 0}, a[2:]...)
	return b
}

// Listen implements socket.Socket. Errors: EOPNOTSUPP; EINVAL for a connected
// socket; EADDRINUSE.
func (s *Socket) Listen(_ socket.Context, backlog int) error {
	if !s.isStream() {
		return errno.EOPNOTSUPP
	}
	if backlog < 0 || backlog > linux.SOMAXCONN {
		backlog = linux.SOMAXCONN // compared unsigned on Linux
	}
	if err := s.ep.Listen(backlog); err != nil {
		return errnoOf(err)
	}
	s.opts.Listening.Store(true)
	return nil
}

// Accept implements socket.Socket. Errors: EAGAIN; EOPNOTSUPP; EINVAL for a
// socket that does not listen.
func (s *Socket) Accept(socket.Context) (socket.Socket, error) {
	if !s.isStream() {
		return nil, errno.EOPNOTSUPP
	}
	ep, q, err := s.ep.Accept(nil)
	if err != nil {
		return nil, errnoOf(err)
	}
	return newSocket(s.family, s.net, s.opts.Kind, ep, q, s.owner), nil
}

// Connect implements socket.Socket; an address of AF_UNSPEC takes the peer away.
//
// Errors: those of parse; EINPROGRESS when a connection begins and EALREADY while
// it is made; EISCONN; ECONNREFUSED; ETIMEDOUT; ENETUNREACH.
func (s *Socket) Connect(_ socket.Context, a socket.Addr) error {
	if len(a) < 2 {
		return errno.EINVAL
	}
	if a.Family() == linux.AF_UNSPEC {
		return errnoOf(s.ep.Disconnect())
	}
	full, err := s.family.destination(a)
	if err != nil {
		return err
	}
	if s.isStream() && s.opts.Listening.Load() {
		return errno.EISCONN
	}
	return errnoOf(s.ep.Connect(full))
}

// Shutdown implements socket.Socket. Errors: EINVAL; ENOTCONN.
func (s *Socket) Shutdown(_ socket.Context, how int) error {
	var flags tcpip.ShutdownFlags
	switch how {
	case linux.SHUT_RD:
		flags = tcpip.ShutdownRead
	case linux.SHUT_WR:
		flags = tcpip.ShutdownWrite
	case linux.SHUT_RDWR:
		flags = tcpip.ShutdownRead | tcpip.ShutdownWrite
	default:
		return errno.EINVAL
	}
	if err := s.ep.Shutdown(flags); err != nil {
		return errnoOf(err)
	}
	if s.opts.Listening.Load() && flags&tcpip.ShutdownRead != 0 {
		s.opts.Listening.Store(false)
	}
	return nil
}

// Name implements socket.Socket.
func (s *Socket) Name() (socket.Addr, error) {
	full, err := s.ep.GetLocalAddress()
	if err != nil {
		return nil, errnoOf(err)
	}
	return s.family.format(full), nil
}

// PeerName implements socket.Socket. Errors: ENOTCONN.
func (s *Socket) PeerName() (socket.Addr, error) {
	if s.isStream() && !hasPeer(tcp.EndpointState(s.ep.State())) {
		return nil, errno.ENOTCONN
	}
	full, err := s.ep.GetRemoteAddress()
	if err != nil {
		return nil, errno.ENOTCONN
	}
	return s.family.format(full), nil
}

// hasPeer says whether getpeername tells one; see inet_getname.
func hasPeer(st tcp.EndpointState) bool {
	switch st {
	case tcp.StateInitial, tcp.StateBound, tcp.StateListen, tcp.StateConnecting, tcp.StateSynSent, tcp.StateClose, tcp.StateError:
		return false
	}
	return true
}
