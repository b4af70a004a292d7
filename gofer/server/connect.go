package server

import (
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
)

// connect connects to a host socket in the tree and donates the connection.
func (t *tree) connect(q *proto.Connect) (*proto.Empty, int, error) {
	if t.allow&AllowConnect == 0 {
		return nil, -1, unix.ECONNREFUSED
	}
	switch q.Type {
	case unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET:
	default:
		return nil, -1, unix.EPROTOTYPE
	}
	n, err := t.nodes.pin(q.Node)
	if err != nil {
		return nil, -1, err
	}
	defer t.nodes.unpin(n)
	if n.kind != proto.TypeSocket {
		return nil, -1, unix.ECONNREFUSED
	}
	fd, err := unix.Socket(unix.AF_UNIX, int(q.Type)|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, -1, err
	}
	if err := t.connectTo(fd, n.fd); err != nil {
		unix.Close(fd)
		return nil, -1, err
	}
	return &proto.Empty{}, fd, nil
}

// connectTo connects to the socket of an O_PATH descriptor. A socket's address
// is a path and has no directory descriptor, so a thread of its own, whose
// working directory is /proc/self/fd, does it, and ends then: its working
// directory must not become that of others.
func (t *tree) connectTo(fd, path int) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Fchdir(t.procFD)
		}
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: selfName(path)})
		}
		done <- err
	}()
	return <-done
}
