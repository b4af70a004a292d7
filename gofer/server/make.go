package server

import (
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
)

// Making and removing names. A name is made in one host call that fails if it
// exists, without set-id bits and for the owner alone, and then given its
// owner and its mode: nobody can use it with rights that it is not to have.

// create makes a regular file and donates it.
func (t *tree) create(q *proto.Make) (*proto.Made, int, error) {
	if q.Name == "" {
		return nil, -1, unix.ENOENT
	}
	return t.makeRegular(q, q.Name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW)
}

// tempFile makes a regular file without a name and donates it.
func (t *tree) tempFile(q *proto.Make) (*proto.Made, int, error) {
	if q.Name != "" || !q.Access.Writes() {
		return nil, -1, unix.EINVAL
	}
	return t.makeRegular(q, ".", unix.O_TMPFILE)
}

func (t *tree) makeRegular(q *proto.Make, name string, flags int) (*proto.Made, int, error) {
	if t.readOnly {
		return nil, -1, unix.EROFS
	}
	if q.Mode&^0o7777 != 0 {
		return nil, -1, unix.EINVAL
	}
	switch q.Access {
	case proto.OpenRead:
		flags |= unix.O_RDONLY
	case proto.OpenWrite:
		flags |= unix.O_WRONLY
	case proto.OpenReadWrite:
		flags |= unix.O_RDWR
	default:
		return nil, -1, unix.EINVAL
	}
	dir, err := t.nodes.pinDir(q.Dir)
	if err != nil {
		return nil, -1, err
	}
	defer t.nodes.unpin(dir)

	fd, err := openat(dir.fd, name, flags|unix.O_CLOEXEC, q.Mode&0o700)
	if err != nil {
		return nil, -1, err
	}
	path, err := t.reopen(fd, unix.O_PATH)
	if err != nil {
		unix.Close(fd)
		return nil, -1, t.undo(dir, name, err)
	}
	made, err := t.finish(dir, path, q)
	if err != nil {
		unix.Close(fd)
		return nil, -1, t.undo(dir, name, err)
	}
	return made, fd, nil
}

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func (t *tree) mkdir(q *proto.Make) (*proto.Made, error) {
	if q.Mode&^0o7777 != 0 {
		return nil, unix.EINVAL
	}
	return t.makeName(q, func(dir int) error { return unix.Mkdirat(dir, q.Name, q.Mode&0o700) })
}

func (t *tree) mknod(q *proto.Make) (*proto.Made, error) {
	kind, perm := q.Mode&proto.TypeMask, q.Mode&0o700
	if q.Mode&^(proto.TypeMask|0o7777) != 0 {
		return nil, unix.EINVAL
	}
	dev := 0
	switch kind {
	case proto.TypeFIFO, proto.TypeSocket, proto.TypeRegular:
	case proto.TypeChar, proto.TypeBlock:
		whiteout := kind == proto.TypeChar && q.RdevMajor == 0 && q.RdevMinor == 0
		if !(whiteout && t.allow&AllowWhiteouts != 0) && t.allow&AllowDevices == 0 {
			return nil, unix.EPERM
		}
		dev = int(unix.Mkdev(q.RdevMajor, q.RdevMinor))
	default:
		return nil, unix.EINVAL
	}
	return t.makeName(q, func(dir int) error { return unix.Mknodat(dir, q.Name, kind|perm, dev) })
}

func (t *tree) symlink(q *proto.Make) (*proto.Made, error) {
	return t.makeName(q, func(dir int) error { return unix.Symlinkat(q.Target, dir, q.Name) })
}

// makeName makes a name by host and gives the client a reference to it.
func (t *tree) makeName(q *proto.Make, host func(dir int) error) (*proto.Made, error) {
	if q.Name == "" {
		return nil, unix.ENOENT
	}
	dir, err := t.nodes.pinDir(q.Dir)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(dir)
	if err := retry(func() error { return host(dir.fd) }); err != nil {
		return nil, err
	}
	// Whoever replaced the name since then gets what follows: no more than
	// a chown and chmod that the client could have asked for.
	path, err := openPath(dir.fd, q.Name)
	if err != nil {
		return nil, err
	}
	made, err := t.finish(dir, path, q)
	if err != nil {
		return nil, t.undo(dir, q.Name, err)
	}
	return made, nil
}

// finish gives a new file its owner and mode and the client a reference to it.
// It takes over path, the file's O_PATH descriptor.
func (t *tree) finish(dir *node, path int, q *proto.Make) (*proto.Made, error) {
	if err := t.own(path, q); err != nil {
		unix.Close(path)
		return nil, err
	}
	step, err := t.nodes.add(path)
	if err != nil {
		return nil, err
	}
	made := &proto.Made{Step: step}
	after, err := attrOfNode(dir)
	if err != nil {
		t.nodes.forget(step.Node, 1)
		return nil, err
	}
	made.Dir = *after
	return made, nil
}

// own sets owner and mode of a new file where they differ from those wanted.
func (t *tree) own(path int, q *proto.Make) error {
	var st unix.Statx_t
	if err := statFD(path, &st); err != nil {
		return err
	}
	if st.Uid != q.UID || st.Gid != q.GID {
		err := retry(func() error {
			return unix.Fchownat(path, "", int(q.UID), int(q.GID), unix.AT_EMPTY_PATH)
		})
		// EINVAL: the user namespace has no such user.
		squashed := t.squashOwner && (err == unix.EPERM || err == unix.EINVAL)
		if err != nil && !squashed {
			return err
		}
	}
	// A symlink has no mode of its own.
	if uint32(st.Mode)&proto.TypeMask == proto.TypeSymlink || uint32(st.Mode)&0o7777 == q.Mode&0o7777 && st.Uid == q.UID && st.Gid == q.GID {
		return nil
	}
	return t.chmod(path, q.Mode&0o7777)
}

// chmod sets the mode of an O_PATH descriptor's file, which must not be a
// symlink: fchmod(2) refuses O_PATH.
func (t *tree) chmod(path int, mode uint32) error {
	return retry(func() error { return unix.Fchmodat(t.procFD, selfName(path), mode, 0) })
}

// undo removes a name whose making failed half-way, and returns err.
func (t *tree) undo(dir *node, name string, err error) error {
	if name == "." {
		return err
	}
	if unix.Unlinkat(dir.fd, name, 0) == unix.EISDIR {
		unix.Unlinkat(dir.fd, name, unix.AT_REMOVEDIR)
	}
	return err
}

// link gives a node another name. A node without names has been made by
// TempFile, or is gone for good: the host knows which.
func (t *tree) link(q *proto.Link) (*proto.Linked, error) {
	n, err := t.nodes.pin(q.Node)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(n)
	dir, err := t.nodes.pinDir(q.Dir)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(dir)
	if n.kind == proto.TypeDir {
		return nil, unix.EPERM
	}
	// AT_SYMLINK_FOLLOW follows the link in /proc to our descriptor, and no
	// further; AT_EMPTY_PATH would need a capability.
	err = retry(func() error {
		return unix.Linkat(t.procFD, selfName(n.fd), dir.fd, q.Name, unix.AT_SYMLINK_FOLLOW)
	})
	if err != nil {
		return nil, err
	}
	file, err := attrOfNode(n)
	if err != nil {
		return nil, err
	}
	after, err := attrOfNode(dir)
	if err != nil {
		return nil, err
	}
	return &proto.Linked{File: *file, Dir: *after}, nil
}

func (t *tree) unlink(q *proto.Entry) (*proto.Attr, error) { return t.remove(q, 0) }

func (t *tree) rmdir(q *proto.Entry) (*proto.Attr, error) { return t.remove(q, unix.AT_REMOVEDIR) }

func (t *tree) remove(q *proto.Entry, flags int) (*proto.Attr, error) {
	dir, err := t.nodes.pinDir(q.Dir)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(dir)
	if err := retry(func() error { return unix.Unlinkat(dir.fd, q.Name, flags) }); err != nil {
		return nil, err
	}
	return attrOfNode(dir)
}

const renameFlags = unix.RENAME_NOREPLACE | unix.RENAME_EXCHANGE | unix.RENAME_WHITEOUT

func (t *tree) rename(q *proto.Rename) (*proto.Empty, error) {
	if q.Flags&^renameFlags != 0 {
		return nil, unix.EINVAL
	}
	if q.Flags&unix.RENAME_WHITEOUT != 0 && t.allow&AllowWhiteouts == 0 {
		return nil, unix.EPERM
	}
	from, err := t.nodes.pinDir(q.OldDir)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(from)
	to, err := t.nodes.pinDir(q.NewDir)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(to)
	err = retry(func() error {
		return unix.Renameat2(from.fd, q.OldName, to.fd, q.NewName, uint(q.Flags))
	})
	return &proto.Empty{}, err
}
