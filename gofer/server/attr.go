package server

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
)

// setAttr changes owner, mode, size and times, in this order: a change of
// owner clears set-id bits that the mode may bring back, and a change of size
// changes the time that the client may set.
func (t *tree) setAttr(q *proto.SetAttr) (*proto.Attr, error) {
	n, err := t.nodes.pin(q.Node)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(n)
	if q.Set&(proto.SetUID|proto.SetGID) != 0 {
		uid, gid := -1, -1
		if q.Set&proto.SetUID != 0 {
			uid = int(q.UID)
		}
		if q.Set&proto.SetGID != 0 {
			gid = int(q.GID)
		}
		err := retry(func() error { return unix.Fchownat(n.fd, "", uid, gid, unix.AT_EMPTY_PATH) })
		if err != nil {
			return nil, err
		}
	}
	if q.Set&proto.SetMode != 0 {
		if n.kind == proto.TypeSymlink {
			return nil, unix.EOPNOTSUPP
		}
		if err := t.chmod(n.fd, q.Mode); err != nil {
			return nil, err
		}
	}
	if q.Set&proto.SetSize != 0 {
		if err := t.truncate(n, int64(q.Size)); err != nil {
			return nil, err
		}
	}
	if q.Set&(proto.SetAtime|proto.SetMtime) != 0 {
		if err := t.setTimes(n, q); err != nil {
			return nil, err
		}
	}
	return attrOfNode(n)
}

func (t *tree) truncate(n *node, size int64) error {
	fd, err := t.donation(n, proto.OpenWrite, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return retry(func() error { return unix.Ftruncate(fd, size) })
}

// setTimes sets times through /proc: older kernels know no AT_EMPTY_PATH here.
// The link in /proc leads to a symlink itself, when the node is one.
func (t *tree) setTimes(n *node, q *proto.SetAttr) error {
	atime := timespec(q.Set, proto.SetAtime, proto.SetAtimeNow, q.Atime)
	mtime := timespec(q.Set, proto.SetMtime, proto.SetMtimeNow, q.Mtime)
	times := []unix.Timespec{atime, mtime}
	return retry(func() error { return unix.UtimesNanoAt(t.procFD, selfName(n.fd), times, 0) })
}

func timespec(set, which, now uint32, t proto.Time) unix.Timespec {
	switch {
	case set&which == 0:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	case set&now != 0:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	}
	return unix.Timespec{Sec: t.Sec, Nsec: int64(t.Nsec)}
}

// withXattrFD runs f on a descriptor whose extended attributes can be reached,
// which those of O_PATH cannot. Files that may not be opened have none: user
// attributes are for regular files and directories only.
func (t *tree) withXattrFD(id proto.NodeID, f func(fd int) error) error {
	n, err := t.nodes.pin(id)
	if err != nil {
		return err
	}
	defer t.nodes.unpin(n)
	if n.kind != proto.TypeRegular && n.kind != proto.TypeDir {
		return unix.EOPNOTSUPP
	}
	fd, err := t.reopen(n.fd, unix.O_RDONLY)
	if err == unix.EACCES && n.kind == proto.TypeRegular && !t.readOnly {
		// A file that we may write and not read, as an ordinary user.
		fd, err = t.reopen(n.fd, unix.O_WRONLY)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return retry(func() error { return f(fd) })
}

func (t *tree) getXattr(q *proto.Xattr) (*proto.Value, error) {
	a := &proto.Value{}
	err := t.withXattrFD(q.Node, func(fd int) error {
		return growing(&a.Value, func(b []byte) (int, error) { return unix.Fgetxattr(fd, q.Name, b) })
	})
	if err == unix.EOPNOTSUPP {
		err = unix.ENODATA // as for any file without the attribute
	}
	return a, err
}

func (t *tree) listXattr(q *proto.Node) (*proto.Value, error) {
	a := &proto.Value{}
	err := t.withXattrFD(q.Node, func(fd int) error {
		return growing(&a.Value, func(b []byte) (int, error) { return unix.Flistxattr(fd, b) })
	})
	if err == unix.EOPNOTSUPP {
		err = nil
	}
	return a, err
}

// growing calls f with a small buffer, and with the largest if that is not
// enough.
func growing(value *[]byte, f func([]byte) (int, error)) error {
	b := make([]byte, 256)
	n, err := f(b)
	if err == unix.ERANGE {
		b = make([]byte, proto.MaxXattr)
		n, err = f(b)
	}
	if err != nil {
		return err
	}
	*value = b[:n]
	return nil
}

// settable says whether a client may set an attribute: one that a container's
// root could. Labels of the host's security modules are not among them.
func settable(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.") ||
		strings.HasPrefix(name, "system.posix_acl_") || name == "security.capability"
}

func (t *tree) setXattr(q *proto.Xattr) (*proto.Empty, error) {
	if !settable(q.Name) {
		return nil, unix.EOPNOTSUPP
	}
	if q.Flags&^(unix.XATTR_CREATE|unix.XATTR_REPLACE) != 0 {
		return nil, unix.EINVAL
	}
	err := t.withXattrFD(q.Node, func(fd int) error { return unix.Fsetxattr(fd, q.Name, q.Value, int(q.Flags)) })
	return &proto.Empty{}, err
}

func (t *tree) removeXattr(q *proto.Xattr) (*proto.Empty, error) {
	if !settable(q.Name) {
		return nil, unix.EOPNOTSUPP
	}
	err := t.withXattrFD(q.Node, func(fd int) error { return unix.Fremovexattr(fd, q.Name) })
	return &proto.Empty{}, err
}

func (t *tree) statFS(q *proto.Node) (*proto.StatFS, error) {
	n, err := t.nodes.pin(q.Node)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(n)
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(n.fd, &st) }); err != nil {
		return nil, err
	}
	return &proto.StatFS{
		Type: uint64(st.Type), BlockSize: uint64(st.Bsize), Blocks: st.Blocks, Free: st.Bfree, Avail: st.Bavail,
		Files: st.Files, FilesFree: st.Ffree, NameLen: uint64(st.Namelen), FragmentSize: uint64(st.Frsize),
		Flags: uint64(st.Flags), FSID: uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32,
	}, nil
}

// sync writes to the disk. The bytes of a file that the client has written
// through any descriptor are the file's: any descriptor will do.
func (t *tree) sync(q *proto.Sync) (*proto.Empty, error) {
	n, err := t.nodes.pin(q.Node)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(n)
	if n.kind != proto.TypeRegular && n.kind != proto.TypeDir {
		return nil, unix.EINVAL
	}
	fd, err := t.reopen(n.fd, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	host := unix.Fsync
	if q.What == proto.SyncFS {
		host = unix.Syncfs
	}
	return &proto.Empty{}, retry(func() error { return host(fd) })
}
