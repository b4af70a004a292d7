package syscalls

import (
	"math"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Moving bytes between files and memory, and between files.
var readWriteCalls = []Call{
	call3(sysno.Read, read, full),
	call3(sysno.Write, write, full),
	call4(sysno.Pread64, pread64, full),
	call4(sysno.Pwrite64, pwrite64, full),
	call3(sysno.Readv, readv, full),
	call3(sysno.Writev, writev, full),
	call4(sysno.Preadv, preadv, full),
	call4(sysno.Pwritev, pwritev, full),
	call6(sysno.Preadv2, preadv2, full),
	call6(sysno.Pwritev2, pwritev2, full),
	call3(sysno.Lseek, lseek, full),
	call4(sysno.Sendfile, sendfile, full),
	call6(sysno.CopyFileRange, copyFileRange, full),
	call4(sysno.Fallocate, fallocate, except("FALLOC_FL_COLLAPSE_RANGE", "FALLOC_FL_INSERT_RANGE")),
	call4(sysno.Fadvise64, fadvise64, full),
	call3(sysno.Readahead, readahead, full),
	call0(sysno.Sync, syncAll, full),
	call1(sysno.Syncfs, syncfs, full),
	call1(sysno.Fsync, fsync, full),
	call1(sysno.Fdatasync, fsync, full),
	call4(sysno.SyncFileRange, syncFileRange, full),
	call2(sysno.Truncate, truncate, full),
	call2(sysno.Ftruncate, ftruncate, full),
}

// userBuffer is memory that a call names. EFAULT if it cannot be the guest's,
// EINVAL if it is absurdly long.
func userBuffer(t *kernel.Task, addr usermem.Addr, n uint64) (*usermem.Buffer, error) {
	if n > math.MaxInt64 {
		return nil, errno.EINVAL
	}
	if uint64(addr)+n < n || uint64(addr)+n > linux.TaskSize {
		return nil, errno.EFAULT
	}
	return usermem.UserBuffer(t, addr, int(min(n, linux.MAX_RW_COUNT))), nil
}

// maxIovecs is UIO_MAXIOV.
const maxIovecs = 1024

// vecBuffer is memory that an iovec array names.
//
// Errors: EINVAL for too many or too long ones, EFAULT.
func vecBuffer(t *kernel.Task, p usermem.Ptr[linux.Iovec], n uint64) (*usermem.Buffer, error) {
	if n > maxIovecs {
		return nil, errno.EINVAL
	}
	vec, err := p.LoadSlice(t, int(n))
	if err != nil {
		return nil, err
	}
	ranges := make([]usermem.Range, len(vec))
	left := uint64(linux.MAX_RW_COUNT)
	for i, v := range vec {
		if v.Len > math.MaxInt64 {
			return nil, errno.EINVAL
		}
		if v.Base+v.Len < v.Base || v.Base+v.Len > linux.TaskSize {
			return nil, errno.EFAULT
		}
		v.Len = min(v.Len, left)
		left -= v.Len
		ranges[i] = usermem.Range{Start: usermem.Addr(v.Base), Len: int(v.Len)}
	}
	return usermem.VecBuffer(t, ranges), nil
}

// readInto reads from fd; off may be vfs.CurrentOffset.
func readInto(t *kernel.Task, fd linux.FD, dst *usermem.Buffer, off int64, mode vfs.IOMode) (uint64, error) {
	d, err := openFile(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	n, err := d.Read(t, dst, off, mode)
	if err != nil {
		return 0, err
	}
	t.CountRead(n)
	return uint64(n), nil
}

// writeFrom writes to fd. Who writes into a pipe without readers, or beyond the
// file size limit, gets a signal as well as the error.
func writeFrom(t *kernel.Task, fd linux.FD, src *usermem.Buffer, off int64, mode vfs.IOMode) (uint64, error) {
	d, err := openFile(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	n, err := writeTo(t, d, src, off, mode)
	return uint64(n), err
}

func writeTo(t *kernel.Task, d *vfs.Description, src *usermem.Buffer, off int64, mode vfs.IOMode) (int64, error) {
	if err := limitWrite(t, d, src, off, mode); err != nil {
		return 0, err
	}
	n, err := d.Write(t, src, off, mode)
	if err == errno.EPIPE && !d.Seekable() {
		t.SendSignal(kernel.UserSignal(linux.SIGPIPE, linux.SI_USER, t, t.PIDNS()), kernel.Outside)
	}
	if err != nil {
		return 0, err
	}
	t.CountWrite(n)
	return n, nil
}

// limitWrite shortens a write to what RLIMIT_FSIZE allows: EFBIG and SIGXFSZ if
// that is nothing.
func limitWrite(t *kernel.Task, d *vfs.Description, src *usermem.Buffer, off int64, mode vfs.IOMode) error {
	limit := t.Limit(linux.RLIMIT_FSIZE).Cur
	if limit > math.MaxInt64 || !d.Inode().Attr().Mode.IsRegular() || !d.Writable() {
		return nil
	}
	switch {
	case d.Flags()&linux.O_APPEND != 0 || mode&vfs.AtEnd != 0:
		s, err := d.Inode().Stat(t, linux.STATX_SIZE)
		if err != nil {
			return err
		}
		off = int64(s.Size)
	case off == vfs.CurrentOffset:
		off = d.Offset()
	}
	if off >= int64(limit) && src.Len() > 0 {
		return overFileLimit(t)
	}
	src.Limit(int64(limit) - off)
	return nil
}

func overFileLimit(t *kernel.Task) error {
	t.SendSignal(kernel.UserSignal(linux.SIGXFSZ, linux.SI_USER, t, t.PIDNS()), kernel.Outside)
	return errno.EFBIG
}

func read(t *kernel.Task, fd linux.FD, addr usermem.Addr, n uint64) (uint64, error) {
	return pread(t, fd, addr, n, vfs.CurrentOffset)
}

func write(t *kernel.Task, fd linux.FD, addr usermem.Addr, n uint64) (uint64, error) {
	return pwrite(t, fd, addr, n, vfs.CurrentOffset)
}

// pread64 reads at an offset, which must not be negative: EINVAL.
func pread64(t *kernel.Task, fd linux.FD, addr usermem.Addr, n uint64, off int64) (uint64, error) {
	if off < 0 {
		return 0, errno.EINVAL
	}
	return pread(t, fd, addr, n, off)
}

func pwrite64(t *kernel.Task, fd linux.FD, addr usermem.Addr, n uint64, off int64) (uint64, error) {
	if off < 0 {
		return 0, errno.EINVAL
	}
	return pwrite(t, fd, addr, n, off)
}

// pread and pwrite take vfs.CurrentOffset. A bad descriptor is found before bad
// memory, as on Linux.
func pread(t *kernel.Task, fd linux.FD, addr usermem.Addr, n uint64, off int64) (uint64, error) {
	dst, err := userBuffer(t, addr, n)
	if err != nil {
		return 0, badFileFirst(t, fd, (*vfs.Description).Readable, err)
	}
	return readInto(t, fd, dst, off, vfs.Wait)
}

func pwrite(t *kernel.Task, fd linux.FD, addr usermem.Addr, n uint64, off int64) (uint64, error) {
	src, err := userBuffer(t, addr, n)
	if err != nil {
		return 0, badFileFirst(t, fd, (*vfs.Description).Writable, err)
	}
	return writeFrom(t, fd, src, off, vfs.Wait)
}

func badFileFirst(t *kernel.Task, fd linux.FD, allowed func(*vfs.Description) bool, otherwise error) error {
	d, err := openFile(t, fd)
	if err != nil {
		return err
	}
	defer d.DecRef()
	if !allowed(d) {
		return errno.EBADF
	}
	return otherwise
}

func readv(t *kernel.Task, fd linux.FD, vec usermem.Ptr[linux.Iovec], n uint64) (uint64, error) {
	return vectored(t, fd, vec, n, vfs.CurrentOffset, 0, readInto)
}

func writev(t *kernel.Task, fd linux.FD, vec usermem.Ptr[linux.Iovec], n uint64) (uint64, error) {
	return vectored(t, fd, vec, n, vfs.CurrentOffset, 0, writeFrom)
}

func preadv(t *kernel.Task, fd linux.FD, vec usermem.Ptr[linux.Iovec], n uint64, off int64) (uint64, error) {
	if off < 0 {
		return 0, errno.EINVAL
	}
	return vectored(t, fd, vec, n, off, 0, readInto)
}

func pwritev(t *kernel.Task, fd linux.FD, vec usermem.Ptr[linux.Iovec], n uint64, off int64) (uint64, error) {
	if off < 0 {
		return 0, errno.EINVAL
	}
	return vectored(t, fd, vec, n, off, 0, writeFrom)
}

// preadv2 takes flags, and -1 for the current offset. The upper half of the
// offset is an argument of its own that 64-bit architectures ignore.
func preadv2(t *kernel.Task, fd linux.FD, vec usermem.Ptr[linux.Iovec], n uint64, off int64, _ uint64, flags int32) (uint64, error) {
	if off < -1 {
		return 0, errno.EINVAL
	}
	return vectored(t, fd, vec, n, off, flags, readInto)
}

func pwritev2(t *kernel.Task, fd linux.FD, vec usermem.Ptr[linux.Iovec], n uint64, off int64, _ uint64, flags int32) (uint64, error) {
	if off < -1 {
		return 0, errno.EINVAL
	}
	return vectored(t, fd, vec, n, off, flags, writeFrom)
}

type mover func(*kernel.Task, linux.FD, *usermem.Buffer, int64, vfs.IOMode) (uint64, error)

// vectored reads or writes several ranges.
//
// Errors: EOPNOTSUPP for unknown RWF_ flags, EINVAL, EFAULT, EBADF.
func vectored(t *kernel.Task, fd linux.FD, vec usermem.Ptr[linux.Iovec], n uint64, off int64, flags int32, move mover) (uint64, error) {
	const known = linux.RWF_HIPRI | linux.RWF_DSYNC | linux.RWF_SYNC | linux.RWF_NOWAIT | linux.RWF_APPEND
	d, err := openFile(t, fd)
	if err != nil {
		return 0, err
	}
	d.DecRef()
	if flags&^known != 0 {
		return 0, errno.EOPNOTSUPP
	}
	b, err := vecBuffer(t, vec, n)
	if err != nil {
		return 0, err
	}
	mode := vfs.Wait
	if flags&linux.RWF_NOWAIT != 0 {
		mode |= vfs.NoWait
	}
	if flags&linux.RWF_APPEND != 0 {
		mode |= vfs.AtEnd
	}
	return move(t, fd, b, off, mode)
}

func lseek(t *kernel.Task, fd linux.FD, off int64, whence int32) (uint64, error) {
	d, err := openFile(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	n, err := d.Seek(t, off, int(whence))
	return uint64(n), err
}

// copyChunk is how much a copy between files moves at once.
const copyChunk = 64 << 10

// sendfile copies from a file that can be read at an offset to any file.
//
// Errors: EBADF, EINVAL, EFAULT, and what reading and writing say if nothing was
// copied before.
func sendfile(t *kernel.Task, outFD, inFD linux.FD, offset usermem.Ptr[int64], count uint64) (uint64, error) {
	in, err := openFile(t, inFD)
	if err != nil {
		return 0, err
	}
	defer in.DecRef()
	out, err := openFile(t, outFD)
	if err != nil {
		return 0, err
	}
	defer out.DecRef()
	if !in.Readable() || !out.Writable() {
		return 0, errno.EBADF
	}
	if !in.Seekable() {
		if offset != 0 {
			return 0, errno.ESPIPE
		}
		return 0, errno.EINVAL
	}
	if out.Flags()&linux.O_APPEND != 0 || count > math.MaxInt64 {
		return 0, errno.EINVAL
	}
	at := in.Offset()
	if offset != 0 {
		if at, err = offset.Load(t); err != nil {
			return 0, err
		}
		if at < 0 {
			return 0, errno.EINVAL
		}
	}
	n, err := copyBytes(t, out, vfs.CurrentOffset, in, at, min(count, linux.MAX_RW_COUNT))
	if offset != 0 {
		if err := offset.Store(t, at+n); err != nil {
			return 0, err
		}
	} else if n > 0 {
		in.Seek(t, at+n, linux.SEEK_SET)
	}
	if n > 0 {
		return uint64(n), nil
	}
	return 0, err
}

// copyBytes copies count bytes from one file to another through memory of ours.
func copyBytes(t *kernel.Task, out *vfs.Description, outOff int64, in *vfs.Description, inOff int64, count uint64) (int64, error) {
	buf := make([]byte, min(count, copyChunk))
	var total int64
	for uint64(total) < count {
		part := buf[:min(uint64(len(buf)), count-uint64(total))]
		n, err := in.Read(t, usermem.OwnBuffer(part), inOff+total, vfs.Wait)
		if n <= 0 || err != nil {
			return total, err
		}
		at := outOff
		if at != vfs.CurrentOffset {
			at += total
		}
		w, err := writeTo(t, out, usermem.OwnBuffer(part[:n]), at, vfs.Wait)
		total += w
		if err != nil || w < n {
			return total, err
		}
	}
	return total, nil
}

// copyFileRange copies between regular files.
//
// Errors: EINVAL, EISDIR, EBADF (also for O_APPEND), EFAULT, and what reading
// and writing say if nothing was copied before.
func copyFileRange(t *kernel.Task, inFD linux.FD, inOff usermem.Ptr[int64], outFD linux.FD, outOff usermem.Ptr[int64], count uint64, flags uint32) (uint64, error) {
	in, err := openFile(t, inFD)
	if err != nil {
		return 0, err
	}
	defer in.DecRef()
	out, err := openFile(t, outFD)
	if err != nil {
		return 0, err
	}
	defer out.DecRef()
	if err := checkCopy(in, out, flags); err != nil {
		return 0, err
	}
	from, err := offsetArgument(t, in, inOff)
	if err != nil {
		return 0, err
	}
	to, err := offsetArgument(t, out, outOff)
	if err != nil {
		return 0, err
	}
	count = min(count, linux.MAX_RW_COUNT)
	if in.Inode() == out.Inode() && from < to+int64(count) && to < from+int64(count) {
		return 0, errno.EINVAL
	}
	n, err := copyBytes(t, out, to, in, from, count)
	if n == 0 {
		return 0, err
	}
	if err := storeOffset(t, in, inOff, from+n); err != nil {
		return 0, err
	}
	return uint64(n), storeOffset(t, out, outOff, to+n)
}

func checkCopy(in, out *vfs.Description, flags uint32) error {
	from, to := in.Inode().Attr().Mode, out.Inode().Attr().Mode
	switch {
	case flags != 0:
		return errno.EINVAL
	case from.IsDir() || to.IsDir():
		return errno.EISDIR
	case !from.IsRegular() || !to.IsRegular():
		return errno.EINVAL
	case !in.Readable() || !out.Writable() || out.Flags()&linux.O_APPEND != 0:
		return errno.EBADF
	}
	return nil
}

// offsetArgument is the offset at p, or the file's own if p is null.
func offsetArgument(t *kernel.Task, d *vfs.Description, p usermem.Ptr[int64]) (int64, error) {
	if p == 0 {
		return d.Offset(), nil
	}
	off, err := p.Load(t)
	if err == nil && off < 0 {
		err = errno.EINVAL
	}
	return off, err
}

func storeOffset(t *kernel.Task, d *vfs.Description, p usermem.Ptr[int64], off int64) error {
	if p != 0 {
		return p.Store(t, off)
	}
	_, err := d.Seek(t, off, linux.SEEK_SET)
	return err
}

func fallocate(t *kernel.Task, fd linux.FD, mode uint32, off, length int64) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error {
		limit := t.Limit(linux.RLIMIT_FSIZE).Cur
		if mode&linux.FALLOC_FL_KEEP_SIZE == 0 && off >= 0 && length > 0 && limit <= math.MaxInt64 && uint64(off)+uint64(length) > limit {
			return overFileLimit(t)
		}
		return d.Allocate(t, mode, off, length)
	})
}

// fadvise64 checks its arguments; the host's page cache needs no advice.
func fadvise64(t *kernel.Task, fd linux.FD, _, length int64, advice int32) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error {
		switch {
		case d.Inode().Attr().Mode.Type() == linux.S_IFIFO:
			return errno.ESPIPE
		case length < 0, advice < linux.POSIX_FADV_NORMAL, advice > linux.POSIX_FADV_NOREUSE:
			return errno.EINVAL
		}
		return nil
	})
}

func readahead(t *kernel.Task, fd linux.FD, _ int64, _ uint64) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error {
		switch {
		case !d.Readable():
			return errno.EBADF
		case !d.Inode().Attr().Mode.IsRegular():
			return errno.EINVAL
		}
		return nil
	})
}

// syncAll never fails.
func syncAll(t *kernel.Task) (uint64, error) {
	t.MountNS().Sync(t)
	return 0, nil
}

func syncfs(t *kernel.Task, fd linux.FD) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error {
		return d.Path().Mount.FileSystem().Sync(t)
	})
}

func fsync(t *kernel.Task, fd linux.FD) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error { return d.Sync(t) })
}

// syncFileRange may write more than was asked for.
func syncFileRange(t *kernel.Task, fd linux.FD, off, length int64, flags uint32) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error {
		const known = linux.SYNC_FILE_RANGE_WAIT_BEFORE | linux.SYNC_FILE_RANGE_WRITE | linux.SYNC_FILE_RANGE_WAIT_AFTER
		if flags&^known != 0 || off < 0 || length < 0 || off+length < off {
			return errno.EINVAL
		}
		switch d.Inode().Attr().Mode.Type() {
		case linux.S_IFREG, linux.S_IFDIR, linux.S_IFBLK, linux.S_IFLNK:
			return d.Sync(t)
		}
		return errno.ESPIPE
	})
}

// truncate changes the size of a named file.
//
// Errors: EINVAL, EFBIG with SIGXFSZ, and those of vfs.Truncate.
func truncate(t *kernel.Task, path Path, size int64) (uint64, error) {
	if size < 0 {
		return 0, errno.EINVAL
	}
	return path.with(t, linux.AT_FDCWD, 0, func(p vfs.Path) error {
		if uint64(size) > t.Limit(linux.RLIMIT_FSIZE).Cur && p.Inode().Attr().Mode.IsRegular() {
			return overFileLimit(t)
		}
		return vfs.Truncate(t, p, size)
	})
}

func ftruncate(t *kernel.Task, fd linux.FD, size int64) (uint64, error) {
	if size < 0 {
		return 0, errno.EINVAL
	}
	return withFile(t, fd, func(d *vfs.Description) error {
		if uint64(size) > t.Limit(linux.RLIMIT_FSIZE).Cur && d.Writable() {
			return overFileLimit(t)
		}
		return d.Truncate(t, size)
	})
}
