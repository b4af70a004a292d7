package overlay

import (
	"encoding/binary"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// copyHow says whether a file's bytes are copied.
type copyHow uint8

const (
	withData copyHow = iota
	withoutData
)

// copyUp makes sure that the node has an upper file and returns it, borrowed:
// it lives as long as the node.
//
// Errors: what the lower file system says when it is read, ENOSPC and the like
// of the upper one. Nothing is visible before it is complete.
func (n *node) copyUp(c vfs.Context, how copyHow) (vfs.Inode, error) {
	if p := n.parts.Load(); p.upper != nil {
		return p.upper, nil
	}
	n.copyMu.Lock()
	defer n.copyMu.Unlock()
	p := n.parts.Load()
	if p.upper != nil {
		return p.upper, nil
	}
	up, err := n.makeUpper(c, p, how)
	if err != nil {
		return nil, err
	}
	next := &parts{upper: up, lower: p.lower}
	if !up.Attr().Mode.IsDir() {
		// The lower file stays: who has it open may still use it.
		n.fs.mu.Lock()
		n.fs.byUpper[up] = n.self
		n.parts.Store(next)
		n.fs.mu.Unlock()
		return up, nil
	}
	n.parts.Store(next)
	return up, nil
}

// makeUpper makes the upper file, with a reference.
func (n *node) makeUpper(c vfs.Context, p *parts, how copyHow) (vfs.Inode, error) {
	low := p.lower[0]
	s, err := low.Stat(c, linux.STATX_BASIC_STATS)
	if err != nil {
		return nil, err
	}
	a := low.Attr()
	f := vfs.NewFile{Mode: a.Mode, UID: a.UID, GID: a.GID, Rdev: a.Rdev}
	if l, ok := low.(vfs.Symlink); ok && a.Mode.IsSymlink() {
		if f.Target, err = l.Readlink(c); err != nil {
			return nil, err
		}
	}
	if n.gone {
		return n.makeNameless(c, low, s, f, how)
	}
	dir, err := n.parent.copyUp(c, withData)
	if err != nil {
		return nil, err
	}
	parent := dir.(vfs.MutableDirectory)
	before, err := parent.Stat(c, linux.STATX_ATIME|linux.STATX_MTIME)
	if err != nil {
		return nil, err
	}
	up, err := n.place(c, parent, low, s, f, how)
	if err != nil {
		return nil, err
	}
	// Nothing changed in the directory that anybody should see.
	return up, parent.SetAttr(c, timesOf(before))
}

// place makes the copy under the node's name.
func (n *node) place(c vfs.Context, parent vfs.MutableDirectory, low vfs.Inode, s linux.Statx, f vfs.NewFile, how copyHow) (vfs.Inode, error) {
	if !f.Mode.IsRegular() {
		up, err := parent.Create(c, n.name, f)
		if err != nil {
			return nil, err
		}
		if err := n.finish(c, low, up, s); err != nil {
			removeUpper(c, parent, n.name, up)
			return nil, err
		}
		return up, nil
	}
	up, err := n.fill(c, parent, low, s, f, how)
	if err != nil {
		return nil, err
	}
	if err := parent.Link(c, n.name, up); err != nil && err != errno.EEXIST {
		up.Release()
		return nil, err
	}
	// EEXIST: the lower name means another file by now, and that has been
	// copied up. This one goes on without a name.
	return up, nil
}

func removeUpper(c vfs.Context, parent vfs.MutableDirectory, name string, up vfs.Inode) {
	if up.Attr().Mode.IsDir() {
		_ = parent.Rmdir(c, name, up)
	} else {
		_ = parent.Unlink(c, name, up)
	}
	up.Release()
}

// makeNameless copies a file whose last name is gone but that is open.
func (n *node) makeNameless(c vfs.Context, low vfs.Inode, s linux.Statx, f vfs.NewFile, how copyHow) (vfs.Inode, error) {
	root, ok := n.fs.root.parts.Load().upper.(vfs.MutableDirectory)
	if !ok || !f.Mode.IsRegular() {
		return nil, errno.ENOENT
	}
	return n.fill(c, root, low, s, f, how)
}

// fill makes a complete copy of a regular file without a name.
func (n *node) fill(c vfs.Context, parent vfs.MutableDirectory, low vfs.Inode, s linux.Statx, f vfs.NewFile, how copyHow) (vfs.Inode, error) {
	t, ok := parent.(vfs.TmpfileDirectory)
	if !ok {
		return nil, errno.EROFS
	}
	up, err := t.Tmpfile(c, f)
	if err != nil {
		return nil, err
	}
	if how == withData {
		err = copyData(c, low, up, int64(s.Size))
	}
	if err == nil {
		err = n.finish(c, low, up, s)
	}
	if err != nil {
		up.Release()
		return nil, err
	}
	return up, nil
}

// finish copies what is neither data nor given at creation.
func (n *node) finish(c vfs.Context, low, up vfs.Inode, s linux.Statx) error {
	if err := copyXattrs(c, low, up); err != nil {
		return err
	}
	if s.Nlink <= 1 || low.Attr().Mode.IsDir() {
		if err := setOrigin(c, up, n.ino, n.dev); err != nil {
			return err
		}
	} else {
		// Parted from its other names, it must not look like one of them.
		n.ino, n.dev = 0, 0
	}
	return up.SetAttr(c, timesOf(s))
}

func timesOf(s linux.Statx) vfs.SetAttr {
	return vfs.SetAttr{
		Mask:  vfs.SetATime | vfs.SetMTime,
		ATime: linux.Timespec{Sec: s.ATime.Sec, Nsec: int64(s.ATime.Nsec)},
		MTime: linux.Timespec{Sec: s.MTime.Sec, Nsec: int64(s.MTime.Nsec)},
	}
}

// copyAttrs makes the upper root look like the lower one.
func copyAttrs(c vfs.Context, low, up vfs.Inode) error {
	s, err := low.Stat(c, linux.STATX_BASIC_STATS)
	if err != nil {
		return err
	}
	a := low.Attr()
	set := timesOf(s)
	set.Mask |= vfs.SetMode | vfs.SetUID | vfs.SetGID
	set.Mode, set.UID, set.GID = a.Mode.Perm(), a.UID, a.GID
	return up.SetAttr(c, set)
}

func copyXattrs(c vfs.Context, low, up vfs.Inode) error {
	from, ok := low.(vfs.XattrInode)
	to, ok2 := up.(vfs.XattrInode)
	if !ok || !ok2 {
		return nil
	}
	names, err := from.ListXattr(c)
	if err != nil {
		return nil // a file system without them
	}
	for _, name := range names {
		if strings.HasPrefix(name, xattrPrefix) {
			continue
		}
		v, err := from.GetXattr(c, name)
		if err != nil {
			continue // one that the Gofer may list but not read
		}
		if err := to.SetXattr(c, name, v, 0); err != nil && err != errno.EOPNOTSUPP {
			return err
		}
	}
	return nil
}

const copyChunk = 64 << 10

// copyData copies a file's bytes, and leaves holes where there are some.
func copyData(c vfs.Context, low, up vfs.Inode, size int64) error {
	if size == 0 {
		return nil
	}
	src, err := low.Open(c, vfs.Path{}, linux.O_RDONLY)
	if err != nil {
		return err
	}
	defer src.Release()
	dst, err := up.Open(c, vfs.Path{}, linux.O_WRONLY)
	if err != nil {
		return err
	}
	defer dst.Release()
	r, ok := src.(vfs.Reader)
	w, ok2 := dst.(vfs.Writer)
	if !ok || !ok2 {
		return errno.EIO
	}
	buf := make([]byte, min(size, copyChunk))
	for off := int64(0); off < size; {
		data, end := dataAt(c, src, off, size)
		for off = data; off < end; {
			n, err := r.Read(c, usermem.OwnBuffer(buf[:min(int64(len(buf)), end-off)]), off)
			if err != nil {
				return err
			}
			if n == 0 {
				return nil // it got shorter
			}
			if err := writeAll(c, w, buf[:n], off); err != nil {
				return err
			}
			off += n
		}
	}
	return up.SetAttr(c, vfs.SetAttr{Mask: vfs.SetSize, Size: size})
}

// dataAt is the next run of bytes that are not a hole.
func dataAt(c vfs.Context, f vfs.File, off, size int64) (start, end int64) {
	s, ok := f.(vfs.Seeker)
	if !ok || size <= copyChunk {
		return off, size
	}
	start, err := s.Seek(c, 0, off, linux.SEEK_DATA)
	if err == errno.ENXIO {
		return size, size
	}
	if err != nil {
		return off, size
	}
	end, err = s.Seek(c, 0, start, linux.SEEK_HOLE)
	if err != nil || end <= start {
		end = size
	}
	return start, min(end, size)
}

func writeAll(c vfs.Context, w vfs.Writer, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := w.Write(c, usermem.OwnBuffer(b), off)
		if err != nil {
			return err
		}
		if n == 0 {
			return errno.EIO
		}
		b = b[n:]
		off += n
	}
	return nil
}

// setOrigin remembers number and device of the lower file in the upper one.
func setOrigin(c vfs.Context, up vfs.Inode, ino uint64, dev linux.Dev) error {
	x, ok := up.(vfs.XattrInode)
	if !ok {
		return nil
	}
	b := binary.LittleEndian.AppendUint64(nil, ino)
	return x.SetXattr(c, xattrOrigin, binary.LittleEndian.AppendUint64(b, uint64(dev)), 0)
}

func originOf(up vfs.Inode) (ino uint64, dev linux.Dev) {
	x, ok := up.(vfs.XattrInode)
	if !ok {
		return 0, 0
	}
	b, err := x.GetXattr(nil, xattrOrigin)
	if err != nil || len(b) != 16 {
		return 0, 0
	}
	return binary.LittleEndian.Uint64(b), linux.Dev(binary.LittleEndian.Uint64(b[8:]))
}
