package host

import (
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// maxFDs is how many descriptors the host lets one message carry (SCM_MAX_FD).
const maxFDs = 253

// SendMessage sends a message with descriptors, which stay the caller's. Flags
// are MSG_*; it never raises SIGPIPE.
func (fd *FD) SendMessage(b []byte, fds []*FD, flags int) (int, error) {
	var control []byte
	if len(fds) > 0 {
		numbers := make([]int, len(fds))
		for i, f := range fds {
			numbers[i] = f.Number()
		}
		control = unix.UnixRights(numbers...)
	}
	return retry(func() (int, error) {
		return unix.SendmsgN(fd.Number(), b, control, nil, flags|unix.MSG_NOSIGNAL)
	})
}

// ReceiveMessage receives a message and up to room descriptors with it, which
// become the caller's. EMSGSIZE: more came than there was room for, in b or
// for descriptors; then nothing stays open.
func (fd *FD) ReceiveMessage(b []byte, room, flags int) (int, []*FD, error) {
	control := make([]byte, unix.CmsgSpace(4*min(room, maxFDs)))
	if room == 0 {
		control = nil
	}
	var controlLength, got int
	n, err := retry(func() (n int, err error) {
		n, controlLength, got, _, err = unix.Recvmsg(fd.Number(), b, control, flags|unix.MSG_CMSG_CLOEXEC)
		return n, err
	})
	if err != nil {
		return 0, nil, err
	}
	fds, err := receivedFDs(control[:controlLength])
	if err == nil && got&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errno.EMSGSIZE
	}
	if err != nil {
		for _, f := range fds {
			f.Close()
		}
		return 0, nil, err
	}
	return n, fds, nil
}

func receivedFDs(control []byte) ([]*FD, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, failure(err)
	}
	var fds []*FD
	for _, m := range messages {
		numbers, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // other control messages carry no descriptors
		}
		for _, n := range numbers {
			fds = append(fds, NewFD(n))
		}
	}
	return fds, nil
}

// SendFD sends one byte and a descriptor on a socket. It does not block:
// EAGAIN if the socket is full.
func SendFD(socket, fd int) error {
	return failure(unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL))
}

// DropMessages throws away all messages that wait at a datagram socket, with
// the descriptors in them, which nobody receives.
func DropMessages(socket int) {
	for {
		var b [1]byte
		if _, _, e := unix.Recvfrom(socket, b[:], unix.MSG_DONTWAIT); e != nil {
			return
		}
	}
}
