//go:build !cgo

package inet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// IODeadline implements vfs.Timed.
func (s *Socket) IODeadline(want waiter.Events) waiter.Deadline {
	if want&waiter.Out != 0 {
		return s.opts.SendDeadline()
	}
	return s.opts.RecvDeadline()
}

// Ioctl answers for queues (SIOCINQ, which is FIONREAD, and SIOCOUTQ) and for
// interfaces (netdevice(7)).
//
// Errors: ENOTTY; EINVAL for the queue of a listener; ENODEV; EFAULT.
func (s *Socket) Ioctl(_ vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	switch cmd {
	case linux.SIOCINQ:
		return 0, s.queueSize(m, tcpip.ReceiveQueueSizeOption, arg)
	case linux.SIOCOUTQ:
		return 0, s.queueSize(m, tcpip.SendQueueSizeOption, arg)
	case linux.SIOCGIFCONF:
		return 0, interfaces(m, usermem.Ptr[linux.Ifconf](arg))
	}
	p := usermem.Ptr[linux.Ifreq](arg)
	if cmd < linux.SIOCGIFNAME || cmd > linux.SIOCGIFTXQLEN {
		return 0, errno.ENOTTY
	}
	req, err := p.Load(m)
	if err != nil {
		return 0, err
	}
	if err := describe(cmd, &req); err != nil {
		return 0, err
	}
	return 0, p.Store(m, req)
}

func (s *Socket) queueSize(m usermem.Memory, which tcpip.SockOptInt, arg uint64) error {
	if s.opts.Listening.Load() {
		return errno.EINVAL
	}
	n, err := s.ep.GetSockOptInt(which)
	if err != nil {
		n = 0 // a datagram is gone as soon as it is sent
	}
	return usermem.Ptr[int32](arg).Store(m, int32(n))
}

// describe answers one question about an interface.
func describe(cmd uint32, req *linux.Ifreq) error {
	put := func(v uint32) { binary.LittleEndian.PutUint32(req.Data[:], v) }
	if cmd == linux.SIOCGIFNAME {
		if binary.LittleEndian.Uint32(req.Data[:]) != loIndex {
			return errno.ENODEV
		}
		req.Name = [linux.IFNAMSIZ]byte{'l', 'o'}
		return nil
	}
	if req.Name[0] != 'l' || req.Name[1] != 'o' || req.Name[2] != 0 {
		return errno.ENODEV
	}
	clear(req.Data[:16])
	switch cmd {
	case linux.SIOCGIFFLAGS:
		put(linux.IFF_UP | linux.IFF_LOOPBACK | linux.IFF_RUNNING)
	case linux.SIOCGIFINDEX:
		put(loIndex)
	case linux.SIOCGIFMTU:
		put(loMTU)
	case linux.SIOCGIFTXQLEN:
		put(1000)
	case linux.SIOCGIFMETRIC:
		put(0)
	case linux.SIOCGIFHWADDR:
		put(arphrdLoopback)
	case linux.SIOCGIFADDR, linux.SIOCGIFDSTADDR:
		copy(req.Data[:], V4.format(tcpip.FullAddress{Addr: loopback4}))
	case linux.SIOCGIFNETMASK:
		copy(req.Data[:], V4.format(tcpip.FullAddress{Addr: tcpip.AddrFrom4([4]byte{255, 0, 0, 0})}))
	case linux.SIOCGIFBRDADDR:
		copy(req.Data[:], V4.format(tcpip.FullAddress{}))
	default:
		return errno.ENOTTY
	}
	return nil
}

// arphrdLoopback is ARPHRD_LOOPBACK.
const arphrdLoopback = 772

// ifreqSize is the size of struct ifreq.
const ifreqSize = 40

// interfaces is SIOCGIFCONF: those that have an IPv4 address.
func interfaces(m usermem.Memory, p usermem.Ptr[linux.Ifconf]) error {
	c, err := p.Load(m)
	if err != nil {
		return err
	}
	if c.Buf == 0 {
		c.Len = ifreqSize
		return p.Store(m, c)
	}
	n := int32(0)
	if c.Len >= ifreqSize {
		req := linux.Ifreq{Name: [linux.IFNAMSIZ]byte{'l', 'o'}}
		copy(req.Data[:], V4.format(tcpip.FullAddress{Addr: loopback4}))
		if err := usermem.Ptr[linux.Ifreq](c.Buf).Store(m, req); err != nil {
			return err
		}
		n = ifreqSize
	}
	c.Len = n
	return p.Store(m, c)
}
