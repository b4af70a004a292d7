package goferfs

import (
	"math"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// file is an open regular file.
type file struct {
	inode *inode
	main  *donated // good for what the file was opened for

	// private is what MapFD gave for reading when main can do more.
	private lock.Guarded[lockorder.HostFile, *donated]
}

func (i *inode) openFile(flags linux.OpenFlags) (vfs.File, error) {
	n := toRead
	switch flags.AccessMode() {
	case linux.O_WRONLY:
		n = toWrite
	case linux.O_RDWR:
		n = toReadWrite
	}
	d, err := i.use(n)
	if err != nil {
		return nil, err
	}
	return &file{inode: i, main: d}, nil
}

// Release implements vfs.File.
func (f *file) Release() {
	f.inode.fs.unuse(f.main)
	p := f.private.Lock()
	d := *p
	*p = nil
	f.private.Unlock()
	if d != nil {
		f.inode.fs.unuse(d)
	}
}

// scratch holds bytes on their way between the host and guest memory.
type scratch [256 << 10]byte

type smallScratch [8 << 10]byte

var (
	scratches      = sync.Pool{New: func() any { return new(scratch) }}
	smallScratches = sync.Pool{New: func() any { return new(smallScratch) }}
)

// withScratch calls f with a buffer for at most n bytes.
func withScratch(n int64, f func([]byte) (int64, error)) (int64, error) {
	if n <= int64(len(smallScratch{})) {
		s := smallScratches.Get().(*smallScratch)
		defer smallScratches.Put(s)
		return f(s[:n])
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	return f(s[:min(n, int64(len(s)))])
}

// Read implements vfs.Reader.
func (f *file) Read(_ vfs.Context, dst *usermem.Buffer, off int64) (int64, error) {
	n, err := withScratch(dst.Len(), func(b []byte) (total int64, err error) {
		for dst.Len() > 0 {
			want := b[:min(int64(len(b)), dst.Len())]
			n, err := f.main.fd.ReadAt(want, off+total)
			if n == 0 {
				return total, err
			}
			filled, err := dst.Fill(want[:n])
			total += int64(filled)
			if err != nil || n < len(want) {
				return total, err
			}
		}
		return total, nil
	})
	if n > 0 {
		f.inode.touched() // the access time
	}
	return n, err
}

// Write implements vfs.Writer.
func (f *file) Write(_ vfs.Context, src *usermem.Buffer, off int64) (int64, error) {
	return f.write(src, func(b []byte, done int64) (int, error) { return f.main.fd.WriteAt(b, off+done) })
}

// Append implements vfs.Appender. The change lock keeps appends whole and the
// end that is returned the one that this append made.
func (f *file) Append(_ vfs.Context, src *usermem.Buffer) (n, end int64, err error) {
	f.inode.change.Lock()
	defer f.inode.change.Unlock()
	n, err = f.write(src, func(b []byte, _ int64) (int, error) { return host.Append(f.main.fd.Number(), b) })
	st, statErr := host.Stat(f.main.fd.Number())
	if statErr != nil {
		return n, n, statErr
	}
	return n, int64(st.Size), err
}

func (f *file) write(src *usermem.Buffer, put func(b []byte, done int64) (int, error)) (int64, error) {
	n, err := withScratch(src.Len(), func(b []byte) (total int64, err error) {
		for src.Len() > 0 {
			n, faulted := src.Drain(b[:min(int64(len(b)), src.Len())])
			for part := b[:n]; len(part) > 0; {
				put, err := put(part, total)
				total += int64(put)
				if err != nil || put == 0 {
					return total, err
				}
				part = part[put:]
			}
			if faulted != nil {
				return total, faulted
			}
		}
		return total, nil
	})
	if n > 0 {
		f.inode.wrote()
	}
	return n, err
}

// wrote says that bytes have been written. The host may have cleared set-id
// bits with them, which Attr must not show any longer.
func (i *inode) wrote() {
	i.touched()
	if i.cachedAttr().Mode&(linux.S_ISUID|linux.S_ISGID) != 0 {
		i.freshAttr()
	}
}

// Seek implements vfs.Seeker.
func (f *file) Seek(_ vfs.Context, pos, offset int64, whence int) (int64, error) {
	switch whence {
	case linux.SEEK_DATA, linux.SEEK_HOLE:
		return f.main.fd.Seek(offset, whence)
	case linux.SEEK_END:
		a, err := f.inode.freshAttr()
		if err != nil {
			return 0, err
		}
		if offset > math.MaxInt64-int64(a.Size) {
			return 0, errno.EOVERFLOW
		}
		return vfs.SeekSize(pos, offset, whence, int64(a.Size))
	}
	return vfs.SeekSize(pos, offset, whence, 0)
}

// Fsync implements vfs.Syncer.
func (f *file) Fsync(vfs.Context) error { return f.main.fd.Sync() }

// Allocate implements vfs.Allocator.
func (f *file) Allocate(_ vfs.Context, mode uint32, off, length int64) error {
	defer f.inode.touched()
	return f.main.fd.Allocate(mode, off, length)
}

// MapFD implements vfs.Mapper. A mapping that may only read gets a descriptor
// that can do no more: the address space's process must not make it writable.
func (f *file) MapFD(_ vfs.Context, access vfs.MapAccess) (int, error) {
	if access == vfs.MapReadWrite {
		if f.main.access != proto.OpenReadWrite {
			return -1, errno.EACCES
		}
		f.inode.cache.Lock().volatile = true
		f.inode.cache.Unlock()
		return f.main.fd.Number(), nil
	}
	if f.main.access == proto.OpenRead {
		return f.main.fd.Number(), nil
	}
	p := f.private.Lock()
	d := *p
	f.private.Unlock()
	if d != nil {
		return d.fd.Number(), nil
	}
	d, err := f.inode.use(toReadOnly)
	if err != nil {
		return -1, err
	}
	p = f.private.Lock()
	if *p == nil {
		*p, d = d, nil
	}
	fd := (*p).fd.Number()
	f.private.Unlock()
	if d != nil { // another mapping was first
		f.inode.fs.unuse(d)
	}
	return fd, nil
}

// mergeHost takes over what a descriptor says of its file. Identity and owner
// stay what the Gofer said: the Sentry's user namespace may show others.
func mergeHost(a *proto.Attr, st *linux.Statx) {
	a.Mode = a.Mode&proto.TypeMask | uint32(st.Mode)&0o7777
	a.Nlink = st.Nlink
	a.Size, a.Blocks, a.BlockSize = st.Size, st.Blocks, st.Blksize
	a.Atime = proto.Time{Sec: st.ATime.Sec, Nsec: st.ATime.Nsec}
	a.Mtime = proto.Time{Sec: st.MTime.Sec, Nsec: st.MTime.Nsec}
	a.Ctime = proto.Time{Sec: st.CTime.Sec, Nsec: st.CTime.Nsec}
}
