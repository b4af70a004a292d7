package syscalls

import (
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// sendto sends a buffer, to an address or to the peer.
//
// Errors: EBADF; ENOTSOCK; EFAULT; EINVAL for the address; those of the family.
// EPIPE comes with SIGPIPE from a stream unless MSG_NOSIGNAL is set.
func sendto(t *kernel.Task, fd linux.FD, buf usermem.Addr, n uint64, flags int32, to usermem.Addr, toLen int32) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	m := socket.Outgoing{Data: usermem.UserBuffer(t, buf, int(min(n, linux.MAX_RW_COUNT))), Flags: int(flags)}
	if to != 0 {
		if m.To, err = loadAddr(t, to, toLen); err != nil {
			return 0, err
		}
		if len(m.To) == 0 {
			m.To = nil
		}
	}
	return send(t, d, s, &m)
}

// send sends a message, the whole of it if the socket is a stream that blocks.
func send(t *kernel.Task, d *vfs.Description, s socket.Socket, m *socket.Outgoing) (uint64, error) {
	stream := s.Base().Kind.Type == linux.SOCK_STREAM
	wholly := stream && m.Flags&linux.MSG_DONTWAIT == 0 && !d.Flags().NonBlock()
	total := int64(0)
	err := waitFor(t, d, s, waiter.Writable, m.Flags, func() error {
		n, err := s.Send(t, m)
		total += n
		if err == nil && wholly && n > 0 && m.Data.Len() > 0 {
			return errno.EAGAIN
		}
		return err
	})
	if err == errno.EPIPE && stream && total == 0 && m.Flags&linux.MSG_NOSIGNAL == 0 {
		raiseSIGPIPE(t)
	}
	if total > 0 {
		return uint64(total), nil
	}
	return 0, err
}

// raiseSIGPIPE tells the thread that it wrote where nobody reads.
func raiseSIGPIPE(t *kernel.Task) {
	_ = t.SendSignal(kernel.UserSignal(linux.SIGPIPE, linux.SI_USER, t, t.PIDNS()), kernel.Inside)
}

// recvfrom receives into a buffer. Errors: EBADF; ENOTSOCK; EFAULT; those of the
// family.
func recvfrom(t *kernel.Task, fd linux.FD, buf usermem.Addr, n uint64, flags int32, from usermem.Addr, fromLen usermem.Ptr[int32]) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	m := socket.Incoming{Data: usermem.UserBuffer(t, buf, int(min(n, linux.MAX_RW_COUNT))), Flags: int(flags)}
	got, err := receive(t, d, s, &m)
	socket.DropFiles(m.Files)
	if err != nil {
		return 0, err
	}
	if from != 0 {
		if err := storeAddr(t, m.From, from, fromLen); err != nil {
			return 0, err
		}
	}
	return got, nil
}

// receive receives a message; with MSG_WAITALL from a stream as much as there is
// room for.
func receive(t *kernel.Task, d *vfs.Description, s socket.Socket, m *socket.Incoming) (uint64, error) {
	all := m.Flags&linux.MSG_WAITALL != 0 && m.Flags&linux.MSG_PEEK == 0 && s.Base().Kind.Type == linux.SOCK_STREAM
	total := int64(0)
	err := waitFor(t, d, s, waiter.Readable|waiter.RdHup, m.Flags, func() error {
		n, err := s.Recv(t, m)
		total += n
		if err == nil && all && n > 0 && m.Data.Len() > 0 && m.Files == nil {
			return errno.EAGAIN
		}
		return err
	})
	if total > 0 {
		return uint64(total), nil
	}
	return 0, err
}

// sendmsg sends from several buffers, with control data.
//
// Errors: as sendto; EMSGSIZE for too many buffers; ENOBUFS for too much control
// data; those of control data.
func sendmsg(t *kernel.Task, fd linux.FD, p usermem.Ptr[linux.Msghdr], flags int32) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	h, err := p.Load(t)
	if err != nil {
		return 0, err
	}
	return sendHeader(t, d, s, h, flags)
}

func sendHeader(t *kernel.Task, d *vfs.Description, s socket.Socket, h linux.Msghdr, flags int32) (uint64, error) {
	m := socket.Outgoing{Flags: int(flags)}
	var err error
	if m.To, err = headerAddr(t, h); err != nil {
		return 0, err
	}
	if m.Data, err = headerBuffer(t, h); err != nil {
		return 0, err
	}
	defer func() { socket.DropFiles(m.Files) }() // those that were not sent
	if err := loadControl(t, h, &m); err != nil {
		return 0, err
	}
	return send(t, d, s, &m)
}

// headerAddr reads the address of a message, nil if there is none. Linux cuts
// one that is too long.
func headerAddr(t *kernel.Task, h linux.Msghdr) (socket.Addr, error) {
	if int32(h.Namelen) < 0 {
		return nil, errno.EINVAL
	}
	if h.Name == 0 || h.Namelen == 0 {
		return nil, nil
	}
	return loadAddr(t, usermem.Addr(h.Name), int32(min(h.Namelen, linux.SockaddrStorageSize)))
}

// headerBuffer is the buffers of a message: EMSGSIZE for too many.
func headerBuffer(t *kernel.Task, h linux.Msghdr) (*usermem.Buffer, error) {
	if h.Iovlen > linux.UIO_MAXIOV {
		return nil, errno.EMSGSIZE
	}
	vec, err := iovecs{usermem.Ptr[linux.Iovec](h.Iov), h.Iovlen}.load(t)
	if err != nil {
		return nil, err
	}
	b := usermem.VecBuffer(t, vec)
	b.Limit(linux.MAX_RW_COUNT)
	return b, nil
}

// recvmsg receives into several buffers, with control data.
//
// Errors: as recvfrom; EMSGSIZE for too many buffers. Control data for which
// there is no room is lost, and MSG_CTRUNC tells so.
func recvmsg(t *kernel.Task, fd linux.FD, p usermem.Ptr[linux.Msghdr], flags int32) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return recvHeader(t, d, s, p, flags)
}

func recvHeader(t *kernel.Task, d *vfs.Description, s socket.Socket, p usermem.Ptr[linux.Msghdr], flags int32) (uint64, error) {
	h, err := p.Load(t)
	if err != nil {
		return 0, err
	}
	if int32(h.Namelen) < 0 {
		return 0, errno.EINVAL
	}
	m := socket.Incoming{Flags: int(flags)}
	if m.Data, err = headerBuffer(t, h); err != nil {
		return 0, err
	}
	n, err := receive(t, d, s, &m)
	if err != nil {
		socket.DropFiles(m.Files)
		return 0, err
	}
	if err := storeControl(t, &h, &m); err != nil {
		return 0, err
	}
	if h.Name != 0 {
		if c := min(int(h.Namelen), len(m.From)); c > 0 {
			if _, err := t.CopyOut(usermem.Addr(h.Name), m.From[:c]); err != nil {
				return 0, err
			}
		}
		h.Namelen = uint32(len(m.From))
	}
	h.Flags = int32(m.OutFlags | int(flags)&linux.MSG_CMSG_CLOEXEC)
	return n, p.Store(t, h)
}

// sendmmsg sends several messages and stores how long each was. It returns how
// many were sent; an error only if none was.
func sendmmsg(t *kernel.Task, fd linux.FD, p usermem.Ptr[linux.Mmsghdr], n uint32, flags int32) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	for i := range int(min(n, linux.UIO_MAXIOV)) {
		h, err := p.At(i).Load(t)
		if err == nil {
			var sent uint64
			if sent, err = sendHeader(t, d, s, h.Hdr, flags); err == nil {
				h.Len = uint32(sent)
				err = p.At(i).Store(t, h)
			}
		}
		if err != nil {
			return countOr(uint64(i), err)
		}
	}
	return uint64(min(n, linux.UIO_MAXIOV)), nil
}

// countOr is a count of what was done, or the error if nothing was.
func countOr(n uint64, err error) (uint64, error) {
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// recvmmsg receives several messages. The timeout is looked at after each, and
// then holds what is left.
func recvmmsg(t *kernel.Task, fd linux.FD, p usermem.Ptr[linux.Mmsghdr], n uint32, flags int32, timeout usermem.Ptr[linux.Timespec]) (uint64, error) {
	deadline, err := relativeDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	defer storeLeft(t, timeout, deadline)
	one := flags &^ linux.MSG_WAITFORONE
	for i := range int(min(n, linux.UIO_MAXIOV)) {
		got, err := recvHeader(t, d, s, usermem.Ptr[linux.Msghdr](p.At(i)), one)
		if err == nil {
			// The length stands behind the header.
			err = usermem.Ptr[uint32](p.At(i).Addr()+msghdrSize).Store(t, uint32(got))
		}
		if err != nil {
			return countOr(uint64(i), err)
		}
		if flags&linux.MSG_WAITFORONE != 0 {
			one |= linux.MSG_DONTWAIT
		}
		if !deadline.IsNever() && !deadline.At.After(time.Now()) {
			return uint64(i + 1), nil
		}
	}
	return uint64(min(n, linux.UIO_MAXIOV)), nil
}

// msghdrSize is the size of struct msghdr on 64-bit systems.
const msghdrSize = 56
