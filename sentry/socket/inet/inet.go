//go:build !cgo

package inet

import (
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	tcpipwaiter "gvisor.dev/gvisor/pkg/waiter"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Family is AF_INET or AF_INET6.
type Family struct{ domain int }

// V4 and V6 are the two families.
var (
	V4 = Family{linux.AF_INET}
	V6 = Family{linux.AF_INET6}
)

var _ socket.Family = Family{}

// Domain implements socket.Family.
func (f Family) Domain() int { return f.domain }

// New makes an unbound socket.
//
// Errors: EPERM for a raw socket without CAP_NET_RAW; EPROTONOSUPPORT;
// ESOCKTNOSUPPORT; EINVAL for a protocol that cannot be.
func (f Family) New(c socket.Context, ns socket.Namespace, kind socket.Kind) (socket.Socket, error) {
	kind, transport, err := check(c, kind)
	if err != nil {
		return nil, err
	}
	net := networkOf(ns)
	q := &tcpipwaiter.Queue{}
	ep, terr := net.stack.NewEndpoint(transport, f.network(), q)
	if terr != nil {
		return nil, errnoOf(terr)
	}
	return newSocket(f, net, kind, ep, q, c.Creds().EUID), nil
}

// NewPair implements socket.Family: there are no pairs.
func (f Family) NewPair(c socket.Context, _ socket.Namespace, kind socket.Kind) (socket.Socket, socket.Socket, error) {
	if _, _, err := check(c, kind); err != nil {
		return nil, nil, err
	}
	return nil, nil, errno.EOPNOTSUPP
}

func (f Family) network() tcpip.NetworkProtocolNumber {
	if f.domain == linux.AF_INET6 {
		return ipv6.ProtocolNumber
	}
	return ipv4.ProtocolNumber
}

// check says which kinds there are, and gives a kind without protocol its own;
// see inet_create in net/ipv4/af_inet.c.
func check(c socket.Context, kind socket.Kind) (socket.Kind, tcpip.TransportProtocolNumber, error) {
	if kind.Protocol < 0 || kind.Protocol > maxProtocol {
		return kind, 0, errno.EINVAL
	}
	switch kind.Type {
	case linux.SOCK_STREAM:
		if kind.Protocol != 0 && kind.Protocol != linux.IPPROTO_TCP {
			return kind, 0, errno.EPROTONOSUPPORT
		}
		kind.Protocol = linux.IPPROTO_TCP
		return kind, tcp.ProtocolNumber, nil
	case linux.SOCK_DGRAM:
		if kind.Protocol != 0 && kind.Protocol != linux.IPPROTO_UDP {
			return kind, 0, errno.EPROTONOSUPPORT
		}
		kind.Protocol = linux.IPPROTO_UDP
		return kind, udp.ProtocolNumber, nil
	case linux.SOCK_RAW:
		if kind.Protocol == 0 {
			return kind, 0, errno.EPROTONOSUPPORT
		}
		if !c.Creds().HasCap(linux.CAP_NET_RAW) {
			return kind, 0, errno.EPERM
		}
		return kind, 0, errno.EPROTONOSUPPORT
	case linux.SOCK_RDM, linux.SOCK_SEQPACKET, linux.SOCK_DCCP, linux.SOCK_PACKET:
		return kind, 0, errno.ESOCKTNOSUPPORT
	}
	return kind, 0, errno.EINVAL
}

// maxProtocol is the last that socket(2) takes: IPPROTO_MPTCP is 262.
const maxProtocol = 262

// Socket is one endpoint.
type Socket struct {
	opts   socket.Options
	family Family
	net    *network
	ep     tcpip.Endpoint
	theirs *tcpipwaiter.Queue
	entry  tcpipwaiter.Entry
	queue  waiter.Queue
	ino    atomic.Uint64 // of its open file
	owner  cred.KUID     // who made it
	told   atomic.Bool   // what ended the connection was reported

	mu    sync.Mutex
	plain map[option]int32 // options that are kept and told only
}

var _ socket.Socket = (*Socket)(nil)

func newSocket(f Family, net *network, kind socket.Kind, ep tcpip.Endpoint, q *tcpipwaiter.Queue, owner cred.KUID) *Socket {
	s := &Socket{family: f, net: net, ep: ep, theirs: q, owner: owner}
	s.opts.Init(f.domain, kind)
	s.entry.Init((*notifier)(s), tcpipwaiter.AllEvents)
	q.EventRegister(&s.entry)
	net.sockets.add(s)
	return s
}

// notifier passes the library's events on to those who wait for a Socket.
type notifier Socket

// NotifyEvent implements the library's EventListener. The bits are poll(2)'s on
// both sides.
func (n *notifier) NotifyEvent(ev tcpipwaiter.EventMask) {
	n.queue.Notify(waiter.Events(ev) & waiter.All)
}

// SetInode implements socket.Numbered.
func (s *Socket) SetInode(ino uint64) { s.ino.Store(ino) }

func (s *Socket) isStream() bool { return s.opts.Kind.Type == linux.SOCK_STREAM }

// Base implements socket.Socket.
func (s *Socket) Base() *socket.Options { return &s.opts }

// Release implements vfs.File: the socket is closed. What TCP still has to send
// is sent.
func (s *Socket) Release() {
	s.net.sockets.remove(s)
	s.theirs.EventUnregister(&s.entry)
	s.ep.Close()
}

// Ready implements waiter.Waitable; see tcp_poll in net/ipv4/tcp.c.
func (s *Socket) Ready(want waiter.Events) waiter.Events {
	ev := waiter.Events(s.ep.Readiness(tcpipwaiter.AllEvents)) & waiter.All
	if s.isStream() {
		switch tcp.EndpointState(s.ep.State()) {
		case tcp.StateInitial, tcp.StateBound:
			ev = waiter.Writable | waiter.Hup
		case tcp.StateError:
			if s.told.Load() {
				ev &^= waiter.Err
			}
		default:
			// The library reports one for a connection that ended well.
			ev &^= waiter.Err
		}
	}
	return ev & (want | waiter.Always)
}

// takeError is SO_ERROR. The library keeps what ended a connection; Linux tells
// it once, by whatever call comes first.
func (s *Socket) takeError() error {
	err := errnoOf(s.ep.LastError())
	if err != nil && s.isStream() && tcp.EndpointState(s.ep.State()) == tcp.StateError && s.told.Swap(true) {
		return nil
	}
	return err
}

// Register implements waiter.Waitable.
func (s *Socket) Register(e *waiter.Entry) { s.queue.Register(e) }

// Unregister implements waiter.Waitable.
func (s *Socket) Unregister(e *waiter.Entry) { s.queue.Unregister(e) }
