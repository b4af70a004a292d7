package host

import (
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// Files behind descriptors that were donated to us, or that are memfds of our
// own. Each function repeats what a signal of the Go runtime interrupted.

// ReadAt reads at off. It returns what it got: 0 is the end of the file.
func ReadAt(fd int, b []byte, off int64) (int, error) {
	return counted(func() (int, error) { return unix.Pread(fd, b, off) })
}

// WriteAt writes at off, once: it may return less than all.
func WriteAt(fd int, b []byte, off int64) (int, error) {
	return counted(func() (int, error) { return unix.Pwrite(fd, b, off) })
}

// Append writes at the end of the file, wherever other processes have moved it
// (RWF_APPEND of pwritev2(2)).
func Append(fd int, b []byte) (int, error) {
	return counted(func() (int, error) { return unix.Pwritev2(fd, [][]byte{b}, 0, unix.RWF_APPEND) })
}

// SeekData is lseek(2) for SEEK_DATA and SEEK_HOLE.
func SeekData(fd int, off int64, whence int) (int64, error) {
	n, err := unix.Seek(fd, off, whence)
	return n, wrap(err)
}

// Truncate is ftruncate(2).
func Truncate(fd int, size int64) error {
	return repeated(func() error { return unix.Ftruncate(fd, size) })
}

// Allocate is fallocate(2).
func Allocate(fd int, mode uint32, off, length int64) error {
	return repeated(func() error { return unix.Fallocate(fd, mode, off, length) })
}

// Sync is fsync(2).
func Sync(fd int) error { return repeated(func() error { return unix.Fsync(fd) }) }

// Stat describes the file of a descriptor: all basic attributes and its time of
// birth.
func Stat(fd int) (linux.Statx, error) {
	var st unix.Statx_t
	const mask = unix.STATX_BASIC_STATS | unix.STATX_BTIME
	err := repeated(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, mask, &st) })
	return linux.Statx{
		Mask: st.Mask, Blksize: st.Blksize, Nlink: st.Nlink, UID: st.Uid, GID: st.Gid, Mode: st.Mode,
		Ino: st.Ino, Size: st.Size, Blocks: st.Blocks,
		ATime: statxTime(st.Atime), BTime: statxTime(st.Btime), CTime: statxTime(st.Ctime), MTime: statxTime(st.Mtime),
		RdevMajor: st.Rdev_major, RdevMinor: st.Rdev_minor, DevMajor: st.Dev_major, DevMinor: st.Dev_minor,
	}, err
}

func statxTime(t unix.StatxTimestamp) linux.StatxTimestamp {
	return linux.StatxTimestamp{Sec: t.Sec, Nsec: t.Nsec}
}

// Close gives a descriptor back.
func Close(fd int) { unix.Close(fd) }

func counted(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return max(n, 0), wrap(err)
		}
	}
}

func repeated(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return wrap(err)
		}
	}
}

// wrap keeps nil nil.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	return errno.FromHost(err)
}
