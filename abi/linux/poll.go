package linux

// Events of poll(2). The same bits name the events of epoll(7), and the kernel
// uses them for readiness everywhere.
const (
	POLLIN     = 0x1
	POLLPRI    = 0x2
	POLLOUT    = 0x4
	POLLERR    = 0x8
	POLLHUP    = 0x10
	POLLNVAL   = 0x20
	POLLRDNORM = 0x40
	POLLRDBAND = 0x80
	POLLWRNORM = 0x100
	POLLWRBAND = 0x200
	POLLMSG    = 0x400
	POLLRDHUP  = 0x2000
)

// PollFD is struct pollfd.
type PollFD struct {
	FD      FD
	Events  int16
	REvents int16
}

// FD_SETSIZE is the number of descriptors in a libc's fd_set. The kernel takes
// any number.
const FD_SETSIZE = 1024

// SigSetArg is the sixth argument of pselect6(2) and the like: where the signal
// mask is, and its size.
type SigSetArg struct {
	Addr uint64
	Size uint64
}
