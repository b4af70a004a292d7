package host

import (
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// Append writes at the end of the file, wherever other processes have moved it
// (RWF_APPEND of pwritev2(2)).
func Append(fd int, b []byte) (int, error) {
	return retry(func() (int, error) { return unix.Pwritev2(fd, [][]byte{b}, 0, unix.RWF_APPEND) })
}

// Stat describes the file of a descriptor: all basic attributes and its time of
// birth.
func Stat(fd int) (linux.Statx, error) {
	var st unix.Statx_t
	const mask = unix.STATX_BASIC_STATS | unix.STATX_BTIME
	_, err := retry(func() (int, error) { return 0, unix.Statx(fd, "", unix.AT_EMPTY_PATH, mask, &st) })
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
