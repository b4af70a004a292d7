package server

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
)

// walk follows names one by one. Each name is looked up in the directory that
// was reached before, never through a link.
func (t *tree) walk(q *proto.Walk) (*proto.Walked, int, error) {
	at, err := t.nodes.pin(q.From)
	if err != nil {
		return nil, -1, err
	}
	defer func() { t.nodes.unpin(at) }()

	a := &proto.Walked{Steps: make([]proto.Step, 0, len(q.Names))}
	for _, name := range q.Names {
		if at.kind != proto.TypeDir {
			if len(a.Steps) == 0 {
				a.Errno = uint32(unix.ENOTDIR)
			}
			break
		}
		step, err := t.lookup(at, name)
		if err != nil {
			a.Errno = uint32(errnoOf(err))
			break
		}
		a.Steps = append(a.Steps, step)
		next, err := t.nodes.pin(step.Node)
		if err != nil {
			// Only a client that forgets what it was not told yet.
			a.Errno = uint32(errnoOf(err))
			break
		}
		t.nodes.unpin(at)
		at = next
	}
	if len(a.Steps) > 0 && at.kind == proto.TypeSymlink {
		if a.Target, err = readlinkFD(at.fd); err != nil {
			a.Target = ""
		}
	}
	fd := -1
	if q.Open != proto.OpenNot && a.Errno == 0 && len(a.Steps) == len(q.Names) && at.kind == proto.TypeRegular {
		fd, err = t.donation(at, q.Open, 0)
		a.OpenErrno = uint32(errnoOf(err))
	}
	return a, fd, nil
}

// lookup gives the client a reference to what name is in dir.
func (t *tree) lookup(dir *node, name string) (proto.Step, error) {
	fd, err := openPath(dir.fd, name)
	if err != nil {
		return proto.Step{}, err
	}
	return t.nodes.add(fd)
}

// openPath opens the one component name in dir as O_PATH, a symlink itself.
// That name is a single component, and not "..", is checked again here because
// everything rests on it.
func openPath(dir int, name string) (int, error) {
	if !proto.CheckName(name) {
		return -1, unix.EINVAL
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS,
	}
	for range 32 {
		fd, err := unix.Openat2(dir, name, &how)
		// EAGAIN: a rename on the host raced with the check for "..".
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

// reopen opens the file of an O_PATH descriptor of ours. Flags must not make a
// file that can harm the server: see donation.
func (t *tree) reopen(fd int, flags int) (int, error) {
	for {
		opened, err := unix.Openat(t.procFD, selfName(fd), flags|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != unix.EINTR {
			return opened, err
		}
	}
}

// selfName is the name of a descriptor of ours below procFD.
func selfName(fd int) string { return strconv.Itoa(fd) }

// donation opens a node for the client.
func (t *tree) donation(n *node, access proto.Access, flags int) (int, error) {
	switch access {
	case proto.OpenRead:
		flags |= unix.O_RDONLY
	case proto.OpenWrite:
		flags |= unix.O_WRONLY
	case proto.OpenReadWrite:
		flags |= unix.O_RDWR
	default:
		return -1, unix.EINVAL
	}
	switch {
	case n.kind == proto.TypeRegular:
	case n.kind == proto.TypeFIFO && t.allow&AllowFIFO != 0:
	case n.kind == proto.TypeDir:
		return -1, unix.EISDIR
	case n.kind == proto.TypeSymlink:
		return -1, unix.ELOOP
	default:
		return -1, unix.ENXIO
	}
	if t.readOnly && n.kind == proto.TypeRegular && (access.Writes() || flags&unix.O_TRUNC != 0) {
		return -1, unix.EROFS
	}
	return t.reopen(n.fd, flags)
}

func (t *tree) openNode(q *proto.Open) (*proto.Attr, int, error) {
	n, err := t.nodes.pin(q.Node)
	if err != nil {
		return nil, -1, err
	}
	defer t.nodes.unpin(n)
	flags := 0
	if q.Trunc {
		flags = unix.O_TRUNC
	}
	fd, err := t.donation(n, q.Access, flags)
	if err != nil {
		return nil, -1, err
	}
	a, err := attrOfNode(n)
	return a, fd, err
}

func (t *tree) stat(q *proto.Node) (*proto.Attr, error) {
	n, err := t.nodes.pin(q.Node)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(n)
	return attrOfNode(n)
}

func (t *tree) attr(id proto.NodeID) (proto.Attr, error) {
	a, err := t.stat(&proto.Node{Node: id})
	if err != nil {
		return proto.Attr{}, err
	}
	return *a, nil
}

func attrOfNode(n *node) (*proto.Attr, error) {
	var st unix.Statx_t
	if err := statFD(n.fd, &st); err != nil {
		return nil, err
	}
	a := attrOf(&st)
	return &a, nil
}

func (t *tree) readlink(q *proto.Node) (*proto.Target, error) {
	n, err := t.nodes.pin(q.Node)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(n)
	if n.kind != proto.TypeSymlink {
		return nil, unix.EINVAL
	}
	target, err := readlinkFD(n.fd)
	return &proto.Target{Target: target}, err
}

func readlinkFD(fd int) (string, error) {
	var b [proto.MaxTarget]byte
	n, err := unix.Readlinkat(fd, "", b[:])
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

func errnoOf(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(unix.Errno); ok {
		return e
	}
	return unix.EIO
}
