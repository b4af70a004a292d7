//go:build !cgo

package inet

import (
	"bytes"
	"io"

	"gvisor.dev/gvisor/pkg/tcpip"
	tcpipwaiter "gvisor.dev/gvisor/pkg/waiter"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

const (
	// maxChunk is how much of a stream is copied in at a time.
	maxChunk = 64 << 10
	// maxDatagram is what fits into a packet beside its headers.
	maxDatagram = 65535
)

// Send implements socket.Socket.
//
// Errors: EAGAIN without room; EPIPE; ENOTCONN; EDESTADDRREQ; EMSGSIZE; an error
// that came in since (SO_ERROR); ENETUNREACH; EFAULT. EOPNOTSUPP for MSG_OOB.
func (s *Socket) Send(_ vfs.Context, m *socket.Outgoing) (int64, error) {
	if m.Flags&linux.MSG_OOB != 0 {
		return 0, errno.EOPNOTSUPP
	}
	if s.isStream() {
		return s.sendStream(m)
	}
	return s.sendDatagram(m)
}

func (s *Socket) sendStream(m *socket.Outgoing) (int64, error) {
	opts := tcpip.WriteOptions{More: m.Flags&linux.MSG_MORE != 0}
	var done int64
	for {
		// Asked first, lest what there is no room for is copied in vain. A
		// socket with an error, or no peer, is writable.
		if s.ep.Readiness(tcpipwaiter.EventOut|tcpipwaiter.EventErr|tcpipwaiter.EventHUp) == 0 {
			return done, unless(done, errno.EAGAIN)
		}
		chunk := make([]byte, min(m.Data.Len(), maxChunk))
		if n, err := m.Data.Peek(chunk); n < len(chunk) {
			if err == nil {
				err = errno.EFAULT
			}
			return done, unless(done, err)
		}
		n, terr := s.ep.Write(bytes.NewReader(chunk), opts)
		m.Data.Skip(n)
		done += n
		if terr != nil {
			return done, unless(done, s.sendError(terr))
		}
		if m.Data.Len() == 0 || n == 0 {
			return done, nil
		}
	}
}

// unless is err where nothing was done before it.
func unless(done int64, err error) error {
	if done > 0 {
		return nil
	}
	return err
}

// sendError is what send(2) says: without a connection a stream is a broken pipe
// (tcp_sendmsg_locked), and while one is made it waits.
func (s *Socket) sendError(err tcpip.Error) error {
	switch err.(type) {
	case *tcpip.ErrNotConnected, *tcpip.ErrInvalidEndpointState:
		return errno.EPIPE
	}
	return errnoOf(err)
}

func (s *Socket) sendDatagram(m *socket.Outgoing) (int64, error) {
	opts := tcpip.WriteOptions{More: m.Flags&linux.MSG_MORE != 0, Atomic: true}
	if m.To != nil {
		to, err := s.family.destination(m.To)
		if err != nil {
			return 0, err
		}
		if to.Port == 0 {
			return 0, errno.EINVAL
		}
		opts.To = &to
	}
	if m.Data.Len() > maxDatagram {
		return 0, errno.EMSGSIZE
	}
	data := make([]byte, m.Data.Len())
	if n, err := m.Data.Peek(data); n < len(data) {
		if err == nil {
			err = errno.EFAULT
		}
		return 0, err
	}
	n, err := s.ep.Write(bytes.NewReader(data), opts)
	if err != nil {
		return 0, errnoOf(err)
	}
	m.Data.Skip(n)
	return n, nil
}

// Recv implements socket.Socket.
//
// Errors: EAGAIN; ENOTCONN; an error that came in since (SO_ERROR); EFAULT.
// EINVAL for MSG_OOB, as on Linux where there is no such data; EAGAIN for
// MSG_ERRQUEUE, which is always empty.
func (s *Socket) Recv(_ vfs.Context, m *socket.Incoming) (int64, error) {
	switch {
	case m.Flags&linux.MSG_ERRQUEUE != 0:
		return 0, errno.EAGAIN
	case m.Flags&linux.MSG_OOB != 0 && s.isStream():
		return 0, errno.EINVAL
	case m.Flags&linux.MSG_OOB != 0:
		return 0, errno.EOPNOTSUPP
	case s.isStream():
		return s.recvStream(m)
	}
	return s.recvDatagram(m)
}

func (s *Socket) recvStream(m *socket.Incoming) (int64, error) {
	if s.opts.Listening.Load() {
		return 0, errno.ENOTCONN
	}
	if m.Data.Len() == 0 {
		return 0, nil
	}
	w := &filler{to: m.Data, room: m.Data.Len(), discard: m.Flags&linux.MSG_TRUNC != 0}
	_, err := s.ep.Read(w, tcpip.ReadOptions{Peek: m.Flags&linux.MSG_PEEK != 0})
	switch {
	case w.n > 0:
		s.ep.ModerateRecvBuf(int(w.n))
		return w.n, nil
	case w.err != nil:
		return 0, w.err
	}
	if _, ended := err.(*tcpip.ErrClosedForReceive); ended {
		return 0, nil
	}
	e := errnoOf(err)
	if e != errno.EAGAIN {
		s.told.Store(true)
	}
	return 0, e
}

func (s *Socket) recvDatagram(m *socket.Incoming) (int64, error) {
	w := &filler{to: m.Data, room: m.Data.Len(), datagram: true}
	res, err := s.ep.Read(w, tcpip.ReadOptions{Peek: m.Flags&linux.MSG_PEEK != 0, NeedRemoteAddr: true})
	if w.err != nil {
		return 0, w.err
	}
	if _, ended := err.(*tcpip.ErrClosedForReceive); ended {
		return 0, nil
	}
	if err != nil {
		return 0, errnoOf(err)
	}
	m.From = s.family.format(res.RemoteAddr)
	if int64(res.Total) > w.n {
		m.OutFlags |= linux.MSG_TRUNC
		if m.Flags&linux.MSG_TRUNC != 0 {
			return int64(res.Total), nil
		}
	}
	return w.n, nil
}

// filler is where the library puts what was received.
type filler struct {
	to       *usermem.Buffer
	room     int64
	n        int64
	err      error
	discard  bool // count bytes, copy none: MSG_TRUNC of a stream
	datagram bool // what is too long is lost
}

// Write implements io.Writer.
func (w *filler) Write(p []byte) (int, error) {
	fit := p[:min(int64(len(p)), w.room-w.n)]
	n := len(fit)
	switch {
	case w.discard:
		w.to.Skip(int64(n))
	case n > 0:
		if n, w.err = w.to.Fill(fit); w.err != nil {
			w.n += int64(n)
			return n, w.err
		}
	}
	w.n += int64(n)
	if n < len(p) && !w.datagram {
		return n, io.ErrShortWrite
	}
	return len(p), nil
}

// Read implements vfs.Reader.
func (s *Socket) Read(c vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	if dst.Len() == 0 {
		return 0, nil
	}
	return s.Recv(c, &socket.Incoming{Data: dst})
}

// Write implements vfs.Writer.
func (s *Socket) Write(c vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	return s.Send(c, &socket.Outgoing{Data: src})
}
