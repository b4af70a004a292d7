//go:build !cgo

package inet

import (
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// option is a level and a name.
type option struct{ level, name int }

// kept are options that are told as they were set, with their defaults: what they
// ask for has no meaning on a loopback interface, or the library does it anyway.
var kept = map[option]int32{
	{linux.SOL_TCP, linux.TCP_SYNCNT}:       6,
	{linux.SOL_TCP, linux.TCP_LINGER2}:      60,
	{linux.SOL_TCP, linux.TCP_WINDOW_CLAMP}: 0,
	{linux.SOL_TCP, linux.TCP_FASTOPEN}:     0,
	{linux.SOL_TCP, linux.TCP_DEFER_ACCEPT}: 0,

	{linux.SOL_IP, linux.IP_TOS}:                  0,
	{linux.SOL_IP, linux.IP_TTL}:                  64,
	{linux.SOL_IP, linux.IP_MTU_DISCOVER}:         1,
	{linux.SOL_IP, linux.IP_BIND_ADDRESS_NO_PORT}: 0,
	{linux.SOL_IP, linux.IP_RECVERR}:              0,

	{linux.SOL_IPV6, linux.IPV6_UNICAST_HOPS}: 64,
	{linux.SOL_IPV6, linux.IPV6_TCLASS}:       0,
	{linux.SOL_IPV6, linux.IPV6_RECVERR}:      0,
	{linux.SOL_IPV6, linux.IPV6_MTU_DISCOVER}: 1,
}

// GetOption implements socket.Socket.
func (s *Socket) GetOption(_ socket.Context, level, name int) ([]byte, bool, error) {
	switch {
	case level == linux.SOL_SOCKET && name == linux.SO_ERROR:
		e, _ := s.takeError().(errno.Errno)
		return socket.Int(int(e)), true, nil
	case level == linux.SOL_SOCKET:
		return nil, false, nil
	case level == linux.SOL_TCP && !s.isStream(), level == linux.SOL_IPV6 && s.family == V4:
		return nil, true, errno.EOPNOTSUPP
	case level == linux.SOL_IPV6 && name == linux.IPV6_V6ONLY:
		return onOff(s.ep.SocketOptions().GetV6Only()), true, nil
	case level == linux.SOL_TCP:
		if v, ok, err := s.getTCP(name); ok {
			return v, true, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := option{level, name}
	if v, ok := s.plain[o]; ok {
		return socket.Int(int(v)), true, nil
	}
	if v, ok := kept[o]; ok {
		return socket.Int(int(v)), true, nil
	}
	return nil, true, errno.ENOPROTOOPT
}

func (s *Socket) getTCP(name int) ([]byte, bool, error) {
	so := s.ep.SocketOptions()
	switch name {
	case linux.TCP_NODELAY:
		return onOff(!so.GetDelayOption()), true, nil
	case linux.TCP_CORK:
		return onOff(so.GetCorkOption()), true, nil
	case linux.TCP_QUICKACK:
		return onOff(so.GetQuickAck()), true, nil
	case linux.TCP_MAXSEG:
		v, err := s.ep.GetSockOptInt(tcpip.MaxSegOption)
		return socket.Int(v), true, errnoOf(err)
	case linux.TCP_KEEPCNT:
		v, err := s.ep.GetSockOptInt(tcpip.KeepaliveCountOption)
		return socket.Int(v), true, errnoOf(err)
	case linux.TCP_KEEPIDLE:
		var v tcpip.KeepaliveIdleOption
		err := s.ep.GetSockOpt(&v)
		return socket.Int(int(time.Duration(v) / time.Second)), true, errnoOf(err)
	case linux.TCP_KEEPINTVL:
		var v tcpip.KeepaliveIntervalOption
		err := s.ep.GetSockOpt(&v)
		return socket.Int(int(time.Duration(v) / time.Second)), true, errnoOf(err)
	case linux.TCP_USER_TIMEOUT:
		var v tcpip.TCPUserTimeoutOption
		err := s.ep.GetSockOpt(&v)
		return socket.Int(int(time.Duration(v) / time.Millisecond)), true, errnoOf(err)
	case linux.TCP_CONGESTION:
		var v tcpip.CongestionControlOption
		err := s.ep.GetSockOpt(&v)
		return append([]byte(v), make([]byte, 16)...)[:16], true, errnoOf(err)
	case linux.TCP_INFO:
		return s.info(), true, nil
	}
	return nil, false, nil
}

// tcpInfoSize is how much of struct tcp_info is told.
const tcpInfoSize = 104

// info is the part of struct tcp_info that the library knows.
func (s *Socket) info() []byte {
	var v tcpip.TCPInfoOption
	_ = s.ep.GetSockOpt(&v) // the zero value where there is no connection
	b := make([]byte, tcpInfoSize)
	b[0] = stateOf(tcp.EndpointState(s.ep.State()))
	binary.LittleEndian.PutUint32(b[8:], uint32(v.RTO/time.Microsecond))
	binary.LittleEndian.PutUint32(b[68:], uint32(v.RTT/time.Microsecond))
	binary.LittleEndian.PutUint32(b[72:], uint32(v.RTTVar/time.Microsecond))
	binary.LittleEndian.PutUint32(b[76:], v.SndSsthresh)
	binary.LittleEndian.PutUint32(b[80:], v.SndCwnd)
	return b
}

// stateOf is a state by Linux's number (include/net/tcp_states.h).
func stateOf(st tcp.EndpointState) byte {
	switch st {
	case tcp.StateEstablished:
		return 1
	case tcp.StateSynSent, tcp.StateConnecting:
		return 2
	case tcp.StateSynRecv:
		return 3
	case tcp.StateFinWait1:
		return 4
	case tcp.StateFinWait2:
		return 5
	case tcp.StateTimeWait:
		return 6
	case tcp.StateCloseWait:
		return 8
	case tcp.StateLastAck:
		return 9
	case tcp.StateListen:
		return 10
	case tcp.StateClosing:
		return 11
	}
	return 7
}

// SetOption implements socket.Socket.
func (s *Socket) SetOption(c socket.Context, level, name int, value []byte) (bool, error) {
	if level == linux.SOL_SOCKET {
		return s.setSocket(c, name, value)
	}
	if level == linux.SOL_TCP && !s.isStream() || level == linux.SOL_IPV6 && s.family == V4 {
		return true, errno.ENOPROTOOPT
	}
	if level == linux.SOL_TCP && name == linux.TCP_CONGESTION {
		cc := tcpip.CongestionControlOption(value)
		if s.ep.SetSockOpt(&cc) != nil {
			return true, errno.ENOENT
		}
		return true, nil
	}
	v, err := optionValue(level, value)
	if err != nil {
		return true, err
	}
	switch level {
	case linux.SOL_TCP:
		if ok, err := s.setTCP(name, v); ok {
			return true, err
		}
	case linux.SOL_IPV6:
		if name == linux.IPV6_V6ONLY {
			return true, s.setV6Only(v)
		}
	}
	o := option{level, name}
	if _, ok := kept[o]; !ok {
		return true, errno.ENOPROTOOPT
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plain == nil {
		s.plain = map[option]int32{}
	}
	s.plain[o] = v
	return true, nil
}

// optionValue reads a value; of SOL_IP a single byte will do.
func optionValue(level int, value []byte) (int32, error) {
	if level == linux.SOL_IP && len(value) > 0 && len(value) < 4 {
		return int32(value[0]), nil
	}
	return socket.IntValue(value)
}

// setV6Only: EINVAL once the socket has a name.
func (s *Socket) setV6Only(v int32) error {
	if full, err := s.ep.GetLocalAddress(); err == nil && full.Port != 0 {
		return errno.EINVAL
	}
	s.ep.SocketOptions().SetV6Only(v != 0)
	return nil
}

// setSocket hands on what the library has to know, and leaves the value to
// Options.
func (s *Socket) setSocket(c socket.Context, name int, value []byte) (bool, error) {
	if err := s.opts.Set(name, value, socket.Privilege(c.Creds().HasCap(linux.CAP_NET_ADMIN))); err != nil {
		return true, err
	}
	so := s.ep.SocketOptions()
	switch name {
	case linux.SO_SNDBUF, linux.SO_SNDBUFFORCE:
		so.SetSendBufferSize(s.opts.SendBuffer(), true)
		s.queue.Notify(waiter.Writable)
		return true, nil
	case linux.SO_RCVBUF, linux.SO_RCVBUFFORCE:
		so.SetReceiveBufferSize(s.opts.RecvBuffer(), true)
		return true, nil
	case linux.SO_LINGER:
		l := binary.LittleEndian.Uint64(value)
		so.SetLinger(tcpip.LingerOption{Enabled: uint32(l) != 0, Timeout: time.Duration(l>>32) * time.Second})
		return true, nil
	case linux.SO_SNDTIMEO, linux.SO_RCVTIMEO:
		return true, nil
	}
	v, err := socket.IntValue(value)
	if err != nil {
		return true, err
	}
	switch name {
	case linux.SO_REUSEADDR:
		so.SetReuseAddress(v != 0)
	case linux.SO_REUSEPORT:
		so.SetReusePort(v != 0)
	case linux.SO_KEEPALIVE:
		so.SetKeepAlive(v != 0)
	case linux.SO_BROADCAST:
		so.SetBroadcast(v != 0)
	}
	return true, nil
}

func (s *Socket) setTCP(name int, v int32) (bool, error) {
	so := s.ep.SocketOptions()
	switch name {
	case linux.TCP_NODELAY:
		so.SetDelayOption(v == 0)
	case linux.TCP_CORK:
		so.SetCorkOption(v != 0)
	case linux.TCP_QUICKACK:
		so.SetQuickAck(v != 0)
	case linux.TCP_MAXSEG:
		return true, errnoOf(s.ep.SetSockOptInt(tcpip.MaxSegOption, int(v)))
	case linux.TCP_KEEPCNT:
		if v < 1 || v > 127 {
			return true, errno.EINVAL
		}
		return true, errnoOf(s.ep.SetSockOptInt(tcpip.KeepaliveCountOption, int(v)))
	case linux.TCP_KEEPIDLE, linux.TCP_KEEPINTVL:
		if v < 1 || v > 32767 {
			return true, errno.EINVAL
		}
		idle, interval := tcpip.KeepaliveIdleOption(seconds(v)), tcpip.KeepaliveIntervalOption(seconds(v))
		if name == linux.TCP_KEEPIDLE {
			return true, errnoOf(s.ep.SetSockOpt(&idle))
		}
		return true, errnoOf(s.ep.SetSockOpt(&interval))
	case linux.TCP_USER_TIMEOUT:
		if v < 0 {
			return true, errno.EINVAL
		}
		t := tcpip.TCPUserTimeoutOption(time.Duration(v) * time.Millisecond)
		return true, errnoOf(s.ep.SetSockOpt(&t))
	default:
		return false, nil
	}
	return true, nil
}

func seconds(v int32) time.Duration { return time.Duration(v) * time.Second }

func onOff(b bool) []byte {
	if b {
		return socket.Int(1)
	}
	return socket.Int(0)
}
