//go:build !cgo

package inet

import (
	"runtime"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
)

// network is the stack of one network namespace.
type network struct {
	stack   *stack.Stack
	sockets *sockets
}

type networkKey struct{}

func networkOf(ns socket.Namespace) *network {
	return ns.Slot(networkKey{}, func() any { return newNetwork(socketsOf(ns)) }).(*network)
}

// The loopback interface, as Linux has it.
const (
	loIndex = 1
	loName  = "lo"
	loMTU   = 65536
)

// Sizes of TCP's buffers. They bound the memory of a connection: what is sent
// counts until it is acknowledged, what is received until it is read.
const (
	minBuffer  = 4 << 10
	defaultTCP = 256 << 10
	maxBuffer  = 4 << 20
)

// newNetwork makes a stack with lo up. It is taken down when nothing refers to
// the network any more: a namespace has no end of its own.
func newNetwork(l *sockets) *network {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
		HandleLocal:        true,
	})
	must(s.CreateNICWithOptions(loIndex, loopback.New(), stack.NICOptions{Name: loName}))
	v4 := tcpip.AddressWithPrefix{Address: loopback4, PrefixLen: 8}
	v6 := tcpip.AddressWithPrefix{Address: loopback6, PrefixLen: 128}
	for _, a := range []tcpip.ProtocolAddress{
		{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: v4},
		{Protocol: ipv6.ProtocolNumber, AddressWithPrefix: v6},
	} {
		must(s.AddProtocolAddress(loIndex, a, stack.AddressProperties{}))
	}
	s.SetRouteTable([]tcpip.Route{{Destination: v4.Subnet(), NIC: loIndex}, {Destination: v6.Subnet(), NIC: loIndex}})
	setLimits(s)
	n := &network{stack: s, sockets: l}
	runtime.AddCleanup(n, func(s *stack.Stack) { s.Close() }, s)
	return n
}

func setLimits(s *stack.Stack) {
	must(s.SetOption(tcpip.SendBufferSizeOption{Min: minBuffer, Default: 212992, Max: maxBuffer}))
	must(s.SetOption(tcpip.ReceiveBufferSizeOption{Min: minBuffer, Default: 212992, Max: maxBuffer}))
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &tcpip.TCPSendBufferSizeRangeOption{Min: minBuffer, Default: defaultTCP, Max: maxBuffer}))
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &tcpip.TCPReceiveBufferSizeRangeOption{Min: minBuffer, Default: defaultTCP, Max: maxBuffer}))
	sack, nagle := tcpip.TCPSACKEnabled(true), tcpip.TCPDelayEnabled(true)
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &nagle))
	must(s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
}

// must is for what only a mistake of ours can make fail: nothing of a guest's
// comes in here.
func must(err tcpip.Error) {
	if err != nil {
		panic("inet: making a stack: " + err.String())
	}
}
