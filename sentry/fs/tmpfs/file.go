package tmpfs

import (
	"math"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// file is a regular file.
type file struct {
	inode
	// writeMu is held over a whole write, truncation or move to a memfd.
	writeMu sync.Mutex
	// Guarded by inode.mu.
	data  content
	memfd bool // made by memfd_create: has seals; never changes
	seals uint32
}

func (fs *FS) newFile(n vfs.NewFile, nlink uint32) *file {
	f := &file{seals: linux.F_SEAL_SEAL}
	f.init(fs, n, nlink)
	f.free = func() { f.data.release(fs) }
	return f
}

// Stat adds size and blocks.
func (f *file) Stat(_ vfs.Context, mask uint32) (linux.Statx, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	s := f.statLocked()
	s.Size = uint64(f.data.size)
	if mask&linux.STATX_BLOCKS != 0 {
		s.Blocks = uint64(f.data.blocks())
	}
	return s, nil
}

// SetAttr also changes the size.
//
// Errors: EPERM by a seal, EFBIG, ENOSPC.
func (f *file) SetAttr(_ vfs.Context, a vfs.SetAttr) error {
	if a.Mask&vfs.SetSize != 0 {
		if err := f.truncate(a.Size); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.Mask&vfs.SetMode != 0 && f.seals&linux.F_SEAL_EXEC != 0 && (a.Mode^f.attr.Mode)&linux.S_IXUGO != 0 {
		return errno.EPERM
	}
	f.setAttrLocked(a)
	if a.Mask&vfs.SetSize != 0 {
		f.m = f.c
	}
	return nil
}

func (f *file) truncate(size int64) error {
	if size < 0 {
		return errno.EINVAL
	}
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case size < f.data.size && f.seals&linux.F_SEAL_SHRINK != 0,
		size > f.data.size && f.seals&linux.F_SEAL_GROW != 0:
		return errno.EPERM
	}
	return f.data.resize(f.fs, size)
}

// Open makes an open file.
func (f *file) Open(_ vfs.Context, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	o := &openFile{f: f, noATime: flags&linux.O_NOATIME != 0}
	if f.memfd {
		return &memfdFile{o}, nil
	}
	return o, nil
}

// openFile is an open regular file. The description holds the inode.
type openFile struct {
	f       *file
	noATime bool
}

var (
	_ vfs.Reader    = (*openFile)(nil)
	_ vfs.Writer    = (*openFile)(nil)
	_ vfs.Appender  = (*openFile)(nil)
	_ vfs.Seeker    = (*openFile)(nil)
	_ vfs.Syncer    = (*openFile)(nil)
	_ vfs.Allocator = (*openFile)(nil)
	_ vfs.Mapper    = (*openFile)(nil)
)

// Release does nothing: the inode is the description's.
func (o *openFile) Release() {}

// chunk is how many bytes are copied at once.
const chunk = 64 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// Read copies bytes out of the file, then into the buffer.
func (o *openFile) Read(_ vfs.Context, dst *usermem.Buffer, off int64) (int64, error) {
	f := o.f
	if !o.noATime {
		f.accessed()
	}
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	var total int64
	for dst.Len() > 0 {
		want := min(dst.Len(), chunk)
		f.mu.RLock()
		n, err := f.data.readAt(buf[:want], off)
		f.mu.RUnlock()
		if n == 0 || err != nil {
			return total, err
		}
		done, err := dst.Fill(buf[:n])
		total += int64(done)
		off += int64(done)
		if err != nil || int64(n) < want {
			return total, err
		}
	}
	return total, nil
}

// Write writes at off.
func (o *openFile) Write(_ vfs.Context, src *usermem.Buffer, off int64) (int64, error) {
	o.f.writeMu.Lock()
	defer o.f.writeMu.Unlock()
	return o.f.write(src, off)
}

// Append writes at the end.
func (o *openFile) Append(_ vfs.Context, src *usermem.Buffer) (n, end int64, err error) {
	f := o.f
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	f.mu.RLock()
	off := f.data.size
	f.mu.RUnlock()
	n, err = f.write(src, off)
	return n, off + n, err
}

// write writes all of src. The caller holds writeMu.
func (f *file) write(src *usermem.Buffer, off int64) (int64, error) {
	if src.Len() == 0 {
		return 0, nil
	}
	if src.Len() > math.MaxInt64-off {
		src.Limit(math.MaxInt64 - off)
		if src.Len() == 0 {
			return 0, errno.EFBIG
		}
	}
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	var total int64
	var err error
	for src.Len() > 0 && err == nil {
		var n, done int
		n, err = src.Drain(buf[:min(src.Len(), chunk)])
		if n == 0 {
			break
		}
		var werr error
		f.mu.Lock()
		if werr = f.mayWrite(off, int64(n)); werr == nil {
			done, werr = f.data.writeAt(f.fs, buf[:n], off)
		}
		f.mu.Unlock()
		total += int64(done)
		off += int64(done)
		if werr != nil {
			err = werr
		}
	}
	if total > 0 {
		f.touchModified()
	}
	return total, err
}

// mayWrite holds a write against the seals.
func (f *file) mayWrite(off, n int64) error {
	if f.seals&(linux.F_SEAL_WRITE|linux.F_SEAL_FUTURE_WRITE) != 0 {
		return errno.EPERM
	}
	if f.seals&linux.F_SEAL_GROW != 0 && off+n > f.data.size {
		return errno.EPERM
	}
	return nil
}

// Seek is lseek, with holes.
func (o *openFile) Seek(_ vfs.Context, pos, offset int64, whence int) (int64, error) {
	f := o.f
	f.mu.RLock()
	defer f.mu.RUnlock()
	if whence == linux.SEEK_DATA || whence == linux.SEEK_HOLE {
		return f.data.seek(offset, whence)
	}
	return vfs.SeekSize(pos, offset, whence, f.data.size)
}

// Fsync does nothing: memory is all there is.
func (o *openFile) Fsync(vfs.Context) error { return nil }

// Allocate supports plain allocation and holes, as Linux does for tmpfs.
//
// Errors: EOPNOTSUPP, EPERM by a seal, ENOSPC, EFBIG.
func (o *openFile) Allocate(_ vfs.Context, mode uint32, off, length int64) error {
	f := o.f
	if mode&^(linux.FALLOC_FL_KEEP_SIZE|linux.FALLOC_FL_PUNCH_HOLE) != 0 || mode == linux.FALLOC_FL_PUNCH_HOLE {
		return errno.EOPNOTSUPP
	}
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if mode&linux.FALLOC_FL_PUNCH_HOLE != 0 {
		if f.seals&(linux.F_SEAL_WRITE|linux.F_SEAL_FUTURE_WRITE) != 0 {
			return errno.EPERM
		}
		return f.data.punch(f.fs, off, length)
	}
	if f.seals&linux.F_SEAL_GROW != 0 && mode&linux.FALLOC_FL_KEEP_SIZE == 0 && off+length > f.data.size {
		return errno.EPERM
	}
	return f.data.allocate(f.fs, mode, off, length)
}

// MapFD moves the file to a memfd and returns that. A sealed file cannot be
// mapped for writing.
func (o *openFile) MapFD(_ vfs.Context, a vfs.MapAccess) (int, error) {
	f := o.f
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if a == vfs.MapReadWrite && f.seals&(linux.F_SEAL_WRITE|linux.F_SEAL_FUTURE_WRITE) != 0 {
		return -1, errno.EPERM
	}
	if err := f.data.toMemfd(f.fs); err != nil {
		return -1, err
	}
	if s := f.seals & (linux.F_SEAL_WRITE | linux.F_SEAL_FUTURE_WRITE); s != 0 {
		// Set while the bytes were ours: now the host must know as well.
		if err := f.data.fd.AddSeals(int(s)); err != nil {
			return -1, err
		}
	}
	return f.data.fd.Number(), nil
}
