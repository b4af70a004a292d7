//go:build !cgo

package inet

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
)

// Lengths of addresses. Linux takes a sockaddr_in6 without its scope, as RFC 2133
// had it.
const (
	lenIn     = 16
	lenIn6    = 28
	minLenIn6 = 24
)

var (
	loopback4 = tcpip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = tcpip.AddrFrom16([16]byte{15: 1})
)

// parse takes an address apart; an unspecified one has no Addr.
//
// Errors: EINVAL where it is too short; EAFNOSUPPORT for that of another family.
func (f Family) parse(a socket.Addr) (tcpip.FullAddress, error) {
	if f.domain == linux.AF_INET6 && a.Family() != linux.AF_INET {
		return parse6(a)
	}
	if len(a) < lenIn {
		return tcpip.FullAddress{}, errno.EINVAL
	}
	if f.domain != linux.AF_INET || a.Family() != linux.AF_INET {
		return tcpip.FullAddress{}, errno.EAFNOSUPPORT
	}
	full := tcpip.FullAddress{Port: binary.BigEndian.Uint16(a[2:])}
	if ip := tcpip.AddrFrom4Slice(a[4:8]); !ip.Unspecified() {
		full.Addr = ip
	}
	return full, nil
}

func parse6(a socket.Addr) (tcpip.FullAddress, error) {
	if len(a) < minLenIn6 {
		return tcpip.FullAddress{}, errno.EINVAL
	}
	if a.Family() != linux.AF_INET6 {
		return tcpip.FullAddress{}, errno.EAFNOSUPPORT
	}
	full := tcpip.FullAddress{Port: binary.BigEndian.Uint16(a[2:])}
	ip := tcpip.AddrFrom16Slice(a[8:24])
	if !ip.Unspecified() {
		full.Addr = ip
	}
	if a[8] == 0xfe && a[9]&0xc0 == 0x80 && len(a) >= lenIn6 {
		full.NIC = tcpip.NICID(binary.LittleEndian.Uint32(a[24:]))
	}
	return full, nil
}

// destination is an address to send to: the unspecified one is this machine.
func (f Family) destination(a socket.Addr) (tcpip.FullAddress, error) {
	full, err := f.parse(a)
	if err == nil && full.Addr.Len() == 0 {
		full.Addr = loopback4
		if f.domain == linux.AF_INET6 {
			full.Addr = loopback6
		}
	}
	return full, err
}

// format is an address as the guest sees it: one of IPv4 at a socket of IPv6 is
// mapped.
func (f Family) format(full tcpip.FullAddress) socket.Addr {
	if f.domain == linux.AF_INET {
		a := make(socket.Addr, lenIn)
		binary.LittleEndian.PutUint16(a, linux.AF_INET)
		binary.BigEndian.PutUint16(a[2:], full.Port)
		copy(a[4:8], full.Addr.AsSlice())
		return a
	}
	a := make(socket.Addr, lenIn6)
	binary.LittleEndian.PutUint16(a, linux.AF_INET6)
	binary.BigEndian.PutUint16(a[2:], full.Port)
	switch full.Addr.Len() {
	case 4:
		a[18], a[19] = 0xff, 0xff
		copy(a[20:24], full.Addr.AsSlice())
	case 16:
		copy(a[8:24], full.Addr.AsSlice())
	}
	if a[8] == 0xfe && a[9]&0xc0 == 0x80 {
		binary.LittleEndian.PutUint32(a[24:], uint32(full.NIC))
	}
	return a
}
