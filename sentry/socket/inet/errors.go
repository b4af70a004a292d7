//go:build !cgo

package inet

import (
	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// errnoOf is the library's error as Linux has it; nil for nil. What depends on
// the call (the end of what is received, a connection under way) is decided
// there.
func errnoOf(err tcpip.Error) error {
	if err == nil {
		return nil
	}
	switch err.(type) {
	case *tcpip.ErrWouldBlock:
		return errno.EAGAIN
	case *tcpip.ErrAborted, *tcpip.ErrClosedForSend:
		return errno.EPIPE
	case *tcpip.ErrAddressFamilyNotSupported:
		return errno.EAFNOSUPPORT
	case *tcpip.ErrAlreadyConnected:
		return errno.EISCONN
	case *tcpip.ErrAlreadyConnecting:
		return errno.EALREADY
	case *tcpip.ErrConnectStarted:
		return errno.EINPROGRESS
	case *tcpip.ErrBadAddress, *tcpip.ErrBadBuffer:
		return errno.EFAULT
	case *tcpip.ErrBadLocalAddress, *tcpip.ErrUnknownNICID:
		return errno.EADDRNOTAVAIL
	case *tcpip.ErrNoPortAvailable:
		return errno.EAGAIN
	case *tcpip.ErrPortInUse:
		return errno.EADDRINUSE
	case *tcpip.ErrBroadcastDisabled:
		return errno.EACCES
	case *tcpip.ErrConnectionAborted:
		return errno.ECONNABORTED
	case *tcpip.ErrConnectionRefused:
		return errno.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		return errno.ECONNRESET
	case *tcpip.ErrDestinationRequired:
		return errno.EDESTADDRREQ
	case *tcpip.ErrMessageTooLong:
		return errno.EMSGSIZE
	case *tcpip.ErrNetworkUnreachable, *tcpip.ErrHostUnreachable, *tcpip.ErrNoNet:
		// Beyond lo there is nothing, so no neighbour is silent: it is
		// always the route that is missing.
		return errno.ENETUNREACH
	case *tcpip.ErrHostDown:
		return errno.EHOSTDOWN
	case *tcpip.ErrNoBufferSpace:
		return errno.ENOBUFS
	case *tcpip.ErrNotConnected:
		return errno.ENOTCONN
	case *tcpip.ErrNotPermitted:
		return errno.EPERM
	case *tcpip.ErrNotSupported:
		return errno.EOPNOTSUPP
	case *tcpip.ErrQueueSizeNotSupported:
		return errno.ENOTTY
	case *tcpip.ErrTimeout:
		return errno.ETIMEDOUT
	case *tcpip.ErrUnknownProtocol:
		return errno.EPROTONOSUPPORT
	case *tcpip.ErrUnknownProtocolOption:
		return errno.ENOPROTOOPT
	case *tcpip.ErrUnknownDevice:
		return errno.ENODEV
	}
	return errno.EINVAL
}
