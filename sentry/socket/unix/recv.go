package unix

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Recv implements socket.Socket.
//
// Errors: EAGAIN if there is nothing; ECONNRESET; EINVAL (streams) or ENOTCONN
// (packets) if there is no connection; EFAULT. EOPNOTSUPP for MSG_OOB.
func (s *Socket) Recv(_ vfs.Context, m *socket.Incoming) (int64, error) {
	if m.Flags&linux.MSG_OOB != 0 {
		return 0, errno.EOPNOTSUPP
	}
	s.receiving.Lock()
	defer s.receiving.Unlock()
	if s.isStream() {
		return s.recvStream(m)
	}
	return s.recvPacket(m)
}

// recvStream takes bytes, also of several messages: but not of different
// writers if the socket tells who wrote, and nothing behind descriptors.
func (s *Socket) recvStream(m *socket.Incoming) (int64, error) {
	if !s.isConnected() {
		return 0, errno.EINVAL
	}
	var done int64
	var msg *message // the last one that was looked at
	for {
		next, err := s.nextOfStream(msg, m)
		if next == nil {
			if done > 0 {
				return done, nil
			}
			return 0, err
		}
		if done > 0 && m.Sender != nil && next.sender != *m.Sender {
			return done, nil
		}
		msg = next
		n, err := m.Data.Fill(msg.data)
		done += int64(n)
		s.tellSender(m, msg)
		tookFiles := s.takeControl(m, msg)
		full := n < len(msg.data) || m.Data.Len() == 0
		if m.Flags&linux.MSG_PEEK == 0 {
			s.consume(msg, n)
		}
		if err != nil && done == 0 {
			return 0, err
		}
		if err != nil || full || tookFiles {
			return done, nil
		}
	}
}

func (s *Socket) isConnected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == connected
}

// nextOfStream is the message to go on with; nil and nil at the end of the
// stream.
func (s *Socket) nextOfStream(after *message, m *socket.Incoming) (*message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.msgs.head
	if after != nil && m.Flags&linux.MSG_PEEK != 0 {
		next = after.next
	}
	if next != nil {
		return next, nil
	}
	if after != nil {
		return nil, nil // what came is told first, an error the next time
	}
	return nil, s.nothingLocked()
}

// nothingLocked says why there is nothing to receive.
func (s *Socket) nothingLocked() error {
	if err := s.opts.TakeError(); err != nil {
		return err
	}
	if s.shut&shutRead != 0 {
		return nil
	}
	return errno.EAGAIN
}

// consume removes n bytes of the first message.
func (s *Socket) consume(msg *message, n int) {
	s.mu.Lock()
	if s.msgs.head != msg {
		s.mu.Unlock()
		return
	}
	rest := msg.data[n:]
	if len(rest) > 0 {
		s.msgs.bytes -= int64(n)
		msg.data = rest
		s.mu.Unlock()
		return
	}
	s.msgs.pop()
	s.mu.Unlock()
	msg.uncharge()
}

// tellSender says who sent it if the socket wants that.
func (s *Socket) tellSender(m *socket.Incoming, msg *message) {
	if s.opts.PassCred.Load() {
		id := msg.sender
		m.Sender = &id
	}
}

// takeControl hands the descriptors over, or copies of them to one who peeks,
// and says whether there were any.
func (s *Socket) takeControl(m *socket.Incoming, msg *message) bool {
	s.mu.Lock()
	files := msg.files
	if m.Flags&linux.MSG_PEEK != 0 {
		for _, f := range files {
			f.IncRef()
		}
		s.mu.Unlock()
		m.Files = append(m.Files, files...)
		return files != nil
	}
	msg.files = nil
	s.mu.Unlock()
	landed(files)
	m.Files = append(m.Files, files...)
	return files != nil
}

// recvPacket takes one packet; what does not fit is lost.
func (s *Socket) recvPacket(m *socket.Incoming) (int64, error) {
	s.mu.Lock()
	if s.connectionBased() && s.state != connected {
		s.mu.Unlock()
		return 0, errno.ENOTCONN
	}
	msg := s.msgs.head
	if msg == nil {
		defer s.mu.Unlock()
		return 0, s.nothingLocked()
	}
	peek := m.Flags&linux.MSG_PEEK != 0
	var blocked map[*Socket]struct{}
	if !peek {
		s.msgs.pop()
		blocked = s.takeBlockedLocked()
	}
	s.mu.Unlock()
	wakeBlocked(blocked)

	n, err := m.Data.Fill(msg.data)
	total := int64(n)
	if n < len(msg.data) {
		m.OutFlags |= linux.MSG_TRUNC
		if m.Flags&linux.MSG_TRUNC != 0 {
			total = int64(len(msg.data))
		}
	}
	if s.connectionBased() {
		m.OutFlags |= linux.MSG_EOR
	}
	m.From = msg.from
	s.tellSender(m, msg)
	s.takeControl(m, msg)
	if !peek {
		msg.uncharge()
	}
	return total, err
}
