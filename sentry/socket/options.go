package socket

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Sizes of buffers, as Linux has them by default (socket(7)).
const (
	defaultBuffer = 212992
	maxBuffer     = 212992
	minSendBuffer = 4608
	minRecvBuffer = 2304
)

// Options is what SOL_SOCKET sets, and what it only tells.
type Options struct {
	Domain int
	Kind   Kind

	// Err is SO_ERROR: an errno.Errno that the next call reports.
	Err atomic.Uint32
	// Listening is SO_ACCEPTCONN.
	Listening atomic.Bool
	// PassCred is SO_PASSCRED.
	PassCred atomic.Bool

	sendBuffer, recvBuffer   atomic.Int32
	sendTimeout, recvTimeout atomic.Int64 // nanoseconds, 0: forever
	lowat                    atomic.Int32
	linger                   atomic.Uint64
	plain                    [len(plainOptions)]atomic.Int32
}

// plainOptions are kept and told, and have no other effect here.
var plainOptions = [...]struct {
	name int
	kind plainKind
}{
	{linux.SO_DEBUG, onOff}, {linux.SO_REUSEADDR, onOff}, {linux.SO_DONTROUTE, onOff},
	{linux.SO_BROADCAST, onOff}, {linux.SO_KEEPALIVE, onOff}, {linux.SO_OOBINLINE, onOff},
	{linux.SO_PRIORITY, number}, {linux.SO_REUSEPORT, onOff}, {linux.SO_TIMESTAMP, onOff},
	{linux.SO_TIMESTAMPNS, onOff}, {linux.SO_RXQ_OVFL, onOff}, {linux.SO_NO_CHECK, onOff},
	{linux.SO_PASSSEC, onOff}, {linux.SO_MARK, number}, {linux.SO_BUSY_POLL, number},
}

type plainKind uint8

const (
	onOff plainKind = iota
	number
)

// Init sets the defaults.
func (o *Options) Init(domain int, kind Kind) {
	o.Domain, o.Kind = domain, kind
	o.sendBuffer.Store(defaultBuffer)
	o.recvBuffer.Store(defaultBuffer)
	o.lowat.Store(1)
}

// SendBuffer and RecvBuffer are the sizes in bytes.
func (o *Options) SendBuffer() int64 { return int64(o.sendBuffer.Load()) }

// RecvBuffer is the size of the receive buffer.
func (o *Options) RecvBuffer() int64 { return int64(o.recvBuffer.Load()) }

// TakeError returns and clears SO_ERROR; nil if there is none.
func (o *Options) TakeError() error {
	if o.Err.Load() == 0 {
		return nil
	}
	if e := errno.Errno(o.Err.Swap(0)); e != 0 {
		return e
	}
	return nil
}

// SendDeadline and RecvDeadline are when an operation that begins now gives up.
func (o *Options) SendDeadline() waiter.Deadline { return deadline(o.sendTimeout.Load()) }

// RecvDeadline is when a receive that begins now gives up.
func (o *Options) RecvDeadline() waiter.Deadline { return deadline(o.recvTimeout.Load()) }

func deadline(ns int64) waiter.Deadline {
	if ns == 0 {
		return waiter.Never
	}
	return waiter.After(time.Duration(ns))
}

// Get answers getsockopt(SOL_SOCKET). ENOPROTOOPT for what there is not.
func (o *Options) Get(name int) ([]byte, error) {
	switch name {
	case linux.SO_TYPE:
		return Int(o.Kind.Type), nil
	case linux.SO_DOMAIN:
		return Int(o.Domain), nil
	case linux.SO_PROTOCOL:
		return Int(o.Kind.Protocol), nil
	case linux.SO_ERROR:
		return Int(int(o.Err.Swap(0))), nil
	case linux.SO_ACCEPTCONN:
		return boolean(o.Listening.Load()), nil
	case linux.SO_PASSCRED:
		return boolean(o.PassCred.Load()), nil
	case linux.SO_SNDBUF:
		return Int(int(o.sendBuffer.Load())), nil
	case linux.SO_RCVBUF:
		return Int(int(o.recvBuffer.Load())), nil
	case linux.SO_RCVLOWAT:
		return Int(int(o.lowat.Load())), nil
	case linux.SO_SNDLOWAT:
		return Int(1), nil
	case linux.SO_SNDTIMEO:
		return timeval(o.sendTimeout.Load()), nil
	case linux.SO_RCVTIMEO:
		return timeval(o.recvTimeout.Load()), nil
	case linux.SO_LINGER:
		return binary.LittleEndian.AppendUint64(nil, o.linger.Load()), nil
	}
	if i := plainIndex(name); i >= 0 {
		return Int(int(o.plain[i].Load())), nil
	}
	return nil, errno.ENOPROTOOPT
}

// Privilege says whether CAP_NET_ADMIN is held.
type Privilege bool

// Set does setsockopt(SOL_SOCKET).
//
// Errors: ENOPROTOOPT; EINVAL for a value that is too short; EDOM for a timeout
// that is none; EPERM.
func (o *Options) Set(name int, value []byte, p Privilege) error {
	switch name {
	case linux.SO_SNDTIMEO:
		return setTimeout(&o.sendTimeout, value)
	case linux.SO_RCVTIMEO:
		return setTimeout(&o.recvTimeout, value)
	case linux.SO_LINGER:
		if len(value) < 8 {
			return errno.EINVAL
		}
		o.linger.Store(binary.LittleEndian.Uint64(value))
		return nil
	}
	v, err := IntValue(value)
	if err != nil {
		return err
	}
	switch name {
	case linux.SO_TYPE, linux.SO_DOMAIN, linux.SO_PROTOCOL, linux.SO_ERROR, linux.SO_ACCEPTCONN, linux.SO_SNDLOWAT:
		return errno.ENOPROTOOPT
	case linux.SO_PASSCRED:
		o.PassCred.Store(v != 0)
	case linux.SO_SNDBUF:
		o.sendBuffer.Store(bufferSize(min(v, maxBuffer), minSendBuffer))
	case linux.SO_RCVBUF:
		o.recvBuffer.Store(bufferSize(min(v, maxBuffer), minRecvBuffer))
	case linux.SO_SNDBUFFORCE, linux.SO_RCVBUFFORCE:
		return o.forceBuffer(name, v, p)
	case linux.SO_RCVLOWAT:
		if v < 0 {
			v = math.MaxInt32
		}
		o.lowat.Store(max(v, 1))
	default:
		return o.setPlain(name, v)
	}
	return nil
}

// maxForced bounds what CAP_NET_ADMIN may set: the memory is the Sentry's.
const maxForced = 16 << 20

func (o *Options) forceBuffer(name int, v int32, p Privilege) error {
	if !p {
		return errno.EPERM
	}
	v = min(max(v, 0), maxForced)
	if name == linux.SO_SNDBUFFORCE {
		o.sendBuffer.Store(bufferSize(v, minSendBuffer))
	} else {
		o.recvBuffer.Store(bufferSize(v, minRecvBuffer))
	}
	return nil
}

// bufferSize is twice what was asked for, as Linux makes room for bookkeeping.
func bufferSize(v, least int32) int32 {
	if v < 0 {
		v = maxBuffer // the comparison with the maximum is unsigned on Linux
	}
	return max(v*2, least)
}

func (o *Options) setPlain(name int, v int32) error {
	i := plainIndex(name)
	if i < 0 {
		return errno.ENOPROTOOPT
	}
	if plainOptions[i].kind == onOff && v != 0 {
		v = 1
	}
	o.plain[i].Store(v)
	return nil
}

func plainIndex(name int) int {
	for i := range plainOptions {
		if plainOptions[i].name == name {
			return i
		}
	}
	return -1
}

func setTimeout(to *atomic.Int64, value []byte) error {
	if len(value) < 16 {
		return errno.EINVAL
	}
	tv := linux.Timeval{
		Sec:  int64(binary.LittleEndian.Uint64(value)),
		Usec: int64(binary.LittleEndian.Uint64(value[8:])),
	}
	if tv.Usec < 0 || tv.Usec >= 1e6 {
		return errno.EDOM
	}
	if tv.Sec < 0 {
		// Linux: gives up at once. One nanosecond does that here.
		to.Store(1)
		return nil
	}
	ns := int64(tv.Duration())
	if tv.Sec > math.MaxInt64/int64(2*time.Second) {
		ns = 0 // as good as never
	}
	to.Store(ns)
	return nil
}

func timeval(ns int64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(ns/1e9))
	return binary.LittleEndian.AppendUint64(b, uint64(ns%1e9/1e3))
}

// Int is an int as an option's value.
func Int(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(int32(v))) }

// IntValue reads an option's value: EINVAL if it is shorter than an int.
func IntValue(b []byte) (int32, error) {
	if len(b) < 4 {
		return 0, errno.EINVAL
	}
	return int32(binary.LittleEndian.Uint32(b)), nil
}

func boolean(b bool) []byte {
	if b {
		return Int(1)
	}
	return Int(0)
}
