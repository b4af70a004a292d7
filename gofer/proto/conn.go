package proto

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/internal/wire"
)

// Conn is one end of a channel. It belongs to one goroutine at a time; only
// Shutdown may be called by others.
//
// The socket is in blocking mode and whoever waits, waits in the host call
// itself: a hand-over between two threads through the Go poller costs more
// than the whole round trip.
type Conn struct {
	fd  int
	in  []byte // the message that was received last
	out []byte // scratch for the message to be sent
	oob []byte // scratch for received descriptors
}

// NewConn makes a Conn that owns fd, a SOCK_SEQPACKET socket in blocking mode.
func NewConn(fd int) *Conn {
	return &Conn{fd: fd, in: make([]byte, MaxMessage), oob: make([]byte, unix.CmsgSpace(4))}
}

// Pair makes the two ends of a channel.
func Pair() (a, b int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("make a channel: %w", err)
	}
	return p[0], p[1], nil
}

// Shutdown makes the other end, and whoever waits at this one, see the end.
func (c *Conn) Shutdown() { unix.Shutdown(c.fd, unix.SHUT_RDWR) }

// Close gives the descriptor back. Nobody may be using the Conn.
func (c *Conn) Close() { unix.Close(c.fd) }

// ErrMalformed is a message that breaks the protocol.
var ErrMalformed = errors.New("malformed message")

// errUnsendable is a message of ours that breaks the protocol: a name that is
// none, a value that is too long. Nothing was sent.
var errUnsendable = errors.New("message cannot be sent")

// NextQuestion waits for a question. Its body is valid until the next call;
// descriptors that come with it are dropped. io.EOF is the end.
func (c *Conn) NextQuestion() (Op, wire.Coder, error) {
	n, err := readMessage(c.fd, c.in)
	if err != nil {
		return 0, wire.Coder{}, err
	}
	body := wire.Reader(c.in[:n])
	var h head
	h.Code(&body)
	if body.Err() != nil || h.errno != 0 {
		return 0, wire.Coder{}, ErrMalformed
	}
	return h.op, body, nil
}

// Answer answers op with a body and a descriptor, or with neither: fd is -1
// for none and stays the caller's. A body that has no wire form becomes EIO.
func (c *Conn) Answer(op Op, body wire.Message, fd int) error {
	err := c.send(head{op: op}, body, fd)
	if errors.Is(err, errUnsendable) {
		return c.AnswerErrno(op, unix.EIO)
	}
	return err
}

// AnswerErrno answers op with an error.
func (c *Conn) AnswerErrno(op Op, errno syscall.Errno) error {
	return c.send(head{op: op, errno: uint32(errno)}, &Empty{}, -1)
}

func (c *Conn) send(h head, body wire.Message, fd int) error {
	w := wire.Writer(c.out)
	h.Code(&w)
	body.Code(&w)
	c.out = w.Written()
	if err := w.End(); err != nil {
		return fmt.Errorf("%s: %w: %w", h.op, errUnsendable, err)
	}
	if len(c.out) > MaxMessage {
		return fmt.Errorf("%s: %w: %w", h.op, errUnsendable, wire.ErrTooLong)
	}
	if fd >= 0 {
		return sendDescriptor(c.fd, c.out, fd)
	}
	return writeMessage(c.fd, c.out)
}

// ask sends a question and waits for its answer. The descriptor of the answer
// (or -1) is the caller's, also with an error number; other errors mean that
// the channel is of no more use.
func (c *Conn) ask(op Op, question, answer wire.Message) (fd int, errno syscall.Errno, err error) {
	if err := c.send(head{op: op}, question, -1); err != nil {
		if errors.Is(err, errUnsendable) {
			return -1, unix.EINVAL, nil
		}
		return -1, 0, err
	}
	var n int
	fd = -1
	if mayDonate(op) {
		n, fd, err = readWithDescriptor(c.fd, c.in, c.oob)
	} else {
		n, err = readMessage(c.fd, c.in)
	}
	if err == unix.EMFILE {
		return -1, unix.EMFILE, nil // answered, but the descriptor found no room
	}
	if err != nil {
		return -1, 0, err
	}
	errno, err = decodeAnswer(op, c.in[:n], answer)
	if err == nil && (errno == 0 || fd < 0) {
		return fd, errno, nil
	}
	if fd >= 0 {
		unix.Close(fd)
		fd = -1
	}
	if err == nil {
		err = fmt.Errorf("%s: %w: a descriptor with an error", op, ErrMalformed)
	}
	return -1, 0, err
}

// decodeAnswer reads the answer to op from b.
func decodeAnswer(op Op, b []byte, answer wire.Message) (syscall.Errno, error) {
	r := wire.Reader(b)
	var h head
	h.Code(&r)
	switch {
	case r.Err() != nil:
		return 0, fmt.Errorf("%s: %w: %w", op, ErrMalformed, r.Err())
	case h.op != op:
		return 0, fmt.Errorf("%s: %w: the answer is for %s", op, ErrMalformed, h.op)
	case h.errno >= 4096:
		return 0, fmt.Errorf("%s: %w: error number %d", op, ErrMalformed, h.errno)
	case h.errno != 0:
		return syscall.Errno(h.errno), nil
	}
	answer.Code(&r)
	if err := r.End(); err != nil {
		return 0, fmt.Errorf("%s: %w: %w", op, ErrMalformed, err)
	}
	return 0, nil
}

func mayDonate(op Op) bool {
	switch op {
	case OpChannel, OpWalk, OpOpen, OpCreate, OpTempFile, OpConnect:
		return true
	}
	return false
}

func writeMessage(fd int, b []byte) error {
	for {
		_, err := unix.Write(fd, b)
		if err != unix.EINTR {
			return closedAsEOF(err)
		}
	}
}

func sendDescriptor(fd int, b []byte, donated int) error {
	oob := unix.UnixRights(donated)
	for {
		err := unix.Sendmsg(fd, b, oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return closedAsEOF(err)
		}
	}
}

func readMessage(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, closedAsEOF(err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// readWithDescriptor reads a message and the descriptor that came with it, or
// -1. EMFILE says that there was one but no number for it.
func readWithDescriptor(fd int, b, oob []byte) (int, int, error) {
	for {
		n, oobn, flags, _, err := unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, -1, closedAsEOF(err)
		case n == 0:
			return 0, -1, io.EOF
		}
		donated, err := parseDescriptor(oob[:oobn])
		if err != nil {
			return 0, -1, err
		}
		if flags&unix.MSG_CTRUNC != 0 {
			// The buffer has room for exactly one, so either the table of
			// descriptors is full or more than one were sent.
			if donated >= 0 {
				unix.Close(donated)
			}
			return 0, -1, unix.EMFILE
		}
		return n, donated, nil
	}
}

func parseDescriptor(oob []byte) (int, error) {
	if len(oob) == 0 {
		return -1, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return -1, ErrMalformed
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) > 1 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return -1, ErrMalformed
	}
	if len(fds) == 0 {
		return -1, nil
	}
	return fds[0], nil
}

// closedAsEOF makes the ways in which a peer can be gone one.
func closedAsEOF(err error) error {
	if err == unix.EPIPE || err == unix.ECONNRESET {
		return io.EOF
	}
	return err
}
