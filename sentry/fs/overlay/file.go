package overlay

import (
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Open opens the upper file if there is one, or must be since it is opened for
// writing; otherwise the lower one, through a lowerFile.
func (f *fileNode) Open(c vfs.Context, p vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	if flags.Writable() || flags&linux.O_TRUNC != 0 {
		how := withData
		if flags&linux.O_TRUNC != 0 {
			how = withoutData
		}
		if _, err := f.copyUp(c, how); err != nil {
			return nil, err
		}
	}
	parts := f.parts.Load()
	real, err := parts.real().Open(c, p, flags)
	if err != nil || parts.upper != nil {
		return real, err
	}
	return &lowerFile{n: f, lower: real, flags: flags}, nil
}

// lowerFile is a file that was opened for reading while it was only lower. Once
// it is copied up, reads go to the upper file; mappings made before do not.
type lowerFile struct {
	n     *fileNode
	lower vfs.File
	flags linux.OpenFlags

	mu    sync.Mutex
	upper vfs.File // nil until it is needed
}

var (
	_ vfs.Reader    = (*lowerFile)(nil)
	_ vfs.Seeker    = (*lowerFile)(nil)
	_ vfs.Syncer    = (*lowerFile)(nil)
	_ vfs.Mapper    = (*lowerFile)(nil)
	_ vfs.Ioctler   = (*lowerFile)(nil)
	_ vfs.Flusher   = (*lowerFile)(nil)
	_ vfs.Describer = (*lowerFile)(nil)
)

// now is the file that counts.
func (o *lowerFile) now(c vfs.Context) (vfs.File, error) {
	up := o.n.parts.Load().upper
	if up == nil {
		return o.lower, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.upper == nil {
		f, err := up.Open(c, vfs.Path{}, o.flags)
		if err != nil {
			return nil, err
		}
		o.upper = f
	}
	return o.upper, nil
}

// Release closes both.
func (o *lowerFile) Release() {
	o.lower.Release()
	if o.upper != nil {
		o.upper.Release()
	}
}

// Read reads.
func (o *lowerFile) Read(c vfs.Context, dst *usermem.Buffer, off int64) (int64, error) {
	f, err := o.now(c)
	if err != nil {
		return 0, err
	}
	r, ok := f.(vfs.Reader)
	if !ok {
		return 0, errno.EINVAL
	}
	return r.Read(c, dst, off)
}

// Seek is lseek.
func (o *lowerFile) Seek(c vfs.Context, pos, offset int64, whence int) (int64, error) {
	f, err := o.now(c)
	if err != nil {
		return 0, err
	}
	s, ok := f.(vfs.Seeker)
	if !ok {
		return 0, errno.ESPIPE
	}
	return s.Seek(c, pos, offset, whence)
}

// Fsync has nothing to write.
func (o *lowerFile) Fsync(vfs.Context) error { return nil }

// MapFD maps what counts now.
func (o *lowerFile) MapFD(c vfs.Context, a vfs.MapAccess) (int, error) {
	f, err := o.now(c)
	if err != nil {
		return -1, err
	}
	m, ok := f.(vfs.Mapper)
	if !ok {
		return -1, errno.ENODEV
	}
	return m.MapFD(c, a)
}

// Ioctl asks the file.
func (o *lowerFile) Ioctl(c vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	f, err := o.now(c)
	if err != nil {
		return 0, err
	}
	i, ok := f.(vfs.Ioctler)
	if !ok {
		return 0, errno.ENOTTY
	}
	return i.Ioctl(c, m, cmd, arg)
}

// Flush has nothing to write.
func (o *lowerFile) Flush(vfs.Context) error { return nil }

// FDInfo adds nothing.
func (o *lowerFile) FDInfo() string { return "" }
