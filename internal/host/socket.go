package host

import (
	"golang.org/x/sys/unix"
)

// SendFD sends one byte and a descriptor on a socket. It does not block:
// EAGAIN if the socket is full.
func SendFD(socket, fd int) error {
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
		return result(err.(unix.Errno))
	}
	return nil
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
