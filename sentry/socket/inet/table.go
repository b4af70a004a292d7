//go:build !cgo

package inet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
)

// sockets are those of one network namespace, for /proc/net. They are kept apart
// from its stack, so that a reader makes none.
type sockets struct {
	mu  sync.Mutex
	all map[*Socket]struct{}
}

type socketsKey struct{}

func socketsOf(ns socket.Namespace) *sockets {
	return ns.Slot(socketsKey{}, func() any { return &sockets{all: map[*Socket]struct{}{}} }).(*sockets)
}

func (l *sockets) add(s *Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[s] = struct{}{}
}

func (l *sockets) remove(s *Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, s)
}

// of lists those of a family and a type, by inode.
func (l *sockets) of(f Family, typ int) []*Socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*Socket
	for s := range l.all {
		if s.family == f && s.opts.Kind.Type == typ {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *Socket) int { return cmp.Compare(a.ino.Load(), b.ino.Load()) })
	return list
}

// Table is the lines of /proc/net/tcp and its like, without their header: those
// of get_tcp4_sock (net/ipv4/tcp_ipv4.c) and udp4_format_sock (net/ipv4/udp.c).
func Table(ns socket.Namespace, f Family, typ int) []byte {
	var b bytes.Buffer
	n := 0
	for _, s := range socketsOf(ns).of(f, typ) {
		local, err := s.ep.GetLocalAddress()
		if err != nil || local.Port == 0 {
			continue
		}
		remote, err := s.ep.GetRemoteAddress()
		if err != nil {
			remote = tcpip.FullAddress{}
		}
		state := byte(7)
		if typ == linux.SOCK_STREAM {
			state = stateOf(tcp.EndpointState(s.ep.State()))
		} else if err == nil {
			state = 1
		}
		line := fmt.Sprintf("%s %s %02X %08X:%08X 00:00000000 00000000 %5d        0 %d 1 0000000000000000",
			f.hex(local), f.hex(remote), state, s.queued(tcpip.SendQueueSizeOption), s.queued(tcpip.ReceiveQueueSizeOption),
			uint32(s.owner), s.ino.Load())
		switch {
		case typ == linux.SOCK_DGRAM:
			fmt.Fprintf(&b, "%5d: %s 0\n", n, line)
		case f == V6:
			fmt.Fprintf(&b, "%4d: %s 100 0 0 10 0\n", n, line)
		default:
			fmt.Fprintf(&b, "%-149s\n", fmt.Sprintf("%4d: %s 100 0 0 10 0", n, line))
		}
		n++
	}
	return b.Bytes()
}

func (s *Socket) queued(which tcpip.SockOptInt) int {
	if s.opts.Listening.Load() {
		return 0
	}
	n, err := s.ep.GetSockOptInt(which)
	if err != nil {
		return 0
	}
	return n
}

// hex is an address as words of this machine's order, and its port.
func (f Family) hex(full tcpip.FullAddress) string {
	a := f.format(full)
	words := a[4:8]
	if f == V6 {
		words = a[8:24]
	}
	text := ""
	for ; len(words) > 0; words = words[4:] {
		text += fmt.Sprintf("%08X", binary.LittleEndian.Uint32(words))
	}
	return fmt.Sprintf("%s:%04X", text, full.Port)
}
