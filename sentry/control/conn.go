package control

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// maxMessageBytes bounds a message for the same reason as maxConfigBytes.
	maxMessageBytes = 16 << 20
	// maxFiles is how many descriptors the kernel passes at once (SCM_MAX_FD).
	maxFiles    = 253
	headerBytes = 8 // length of the body, number of descriptors; little endian
)

// conn sends and receives messages on a unix stream socket. Descriptors travel
// with the first byte of the header, so that a receiver has them before it has
// to decide about the body. An os.File lets blocked calls wait in the runtime's
// poller, which is what keeps an idle sandbox from holding threads.
type conn struct {
	f *os.File
	r io.Reader
}

// newConn takes over f, a connected stream socket.
func newConn(f *os.File) (*conn, error) {
	if err := unix.SetNonblock(int(f.Fd()), true); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// os.File decides at creation whether its descriptor can be polled.
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	f.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return &conn{f: os.NewFile(uintptr(fd), "control socket")}, nil
}

func (c *conn) Close() error { return c.f.Close() }

// send sends v with files, which stay the caller's.
func (c *conn) send(v any, files []*os.File) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	if len(body) > maxMessageBytes || len(files) > maxFiles {
		return Errorf(KindInvalid, "control message of %d bytes with %d files is too large", len(body), len(files))
	}
	packet := make([]byte, headerBytes, headerBytes+len(body))
	binary.LittleEndian.PutUint32(packet, uint32(len(body)))
	binary.LittleEndian.PutUint32(packet[4:], uint32(len(files)))
	packet = append(packet, body...)

	n, err := c.sendFirst(packet, files)
	if err != nil {
		return fmt.Errorf("send control message: %w", err)
	}
	if _, err := c.f.Write(packet[n:]); err != nil {
		return fmt.Errorf("send control message: %w", err)
	}
	return nil
}

// sendFirst sends a part of packet, at least a byte, together with files.
func (c *conn) sendFirst(packet []byte, files []*os.File) (n int, err error) {
	if len(files) == 0 {
		return 0, nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	rights := unix.UnixRights(fds...)
	err = c.retry(write, func(fd int) error {
		n, err = unix.SendmsgN(fd, packet, rights, nil, unix.MSG_NOSIGNAL)
		return err
	})
	return n, err
}

// receive reads a message into v. With room for no files, descriptors that come
// along are dropped by the kernel. The caller owns the files, also on failure.
func (c *conn) receive(v any, room int) ([]*os.File, error) {
	header := make([]byte, headerBytes)
	files, err := c.receiveFirst(header, room)
	if err != nil {
		return files, err
	}
	length := binary.LittleEndian.Uint32(header)
	if length > maxMessageBytes {
		return files, Errorf(KindInvalid, "control message of %d bytes is too large", length)
	}
	if want := binary.LittleEndian.Uint32(header[4:]); uint32(len(files)) != want && room > 0 {
		return files, Errorf(KindInvalid, "control message came with %d descriptors instead of %d", len(files), want)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.f, body); err != nil {
		return files, fmt.Errorf("receive control message: %w", noEOF(err))
	}
	if err := json.Unmarshal(body, v); err != nil {
		return files, Errorf(KindInvalid, "control message: %v", err)
	}
	return files, nil
}

// receiveFirst fills header and takes the descriptors that came with it. A
// connection that ends between messages gives io.EOF.
func (c *conn) receiveFirst(header []byte, room int) (files []*os.File, err error) {
	var oob []byte
	if room > 0 {
		oob = make([]byte, unix.CmsgSpace(room*4))
	}
	var n, oobn, flags int
	err = c.retry(read, func(fd int) (err error) {
		n, oobn, flags, _, err = unix.Recvmsg(fd, header, oob, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("receive control message: %w", err)
	}
	if n == 0 {
		return nil, io.EOF
	}
	files = takeRights(oob[:oobn])
	if room > 0 && flags&unix.MSG_CTRUNC != 0 {
		return files, Errorf(KindInvalid, "control message came with more than %d descriptors", room)
	}
	if _, err := io.ReadFull(c.f, header[n:]); err != nil {
		return files, fmt.Errorf("receive control message: %w", noEOF(err))
	}
	return files, nil
}

// takeRights makes files of all descriptors in oob.
func takeRights(oob []byte) (files []*os.File) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files
}

type direction int

const (
	read direction = iota
	write
)

// retry runs a non-blocking call until it can proceed.
func (c *conn) retry(d direction, call func(fd int) error) error {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	try := func(fd uintptr) bool {
		for {
			callErr = call(int(fd))
			if callErr != unix.EINTR {
				return callErr != unix.EAGAIN
			}
		}
	}
	if d == read {
		err = raw.Read(try)
	} else {
		err = raw.Write(try)
	}
	if err != nil {
		return err
	}
	return callErr
}

// noEOF turns an end in the middle of a message into what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
