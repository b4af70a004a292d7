package linux

// FD is a file descriptor number of a task.
type FD int32

// AT_FDCWD stands for the working directory where a directory descriptor is
// expected.
const AT_FDCWD FD = -100

// OpenFlags are the flags of open(2), pipe2(2), dup3(2) and the like, and the
// status flags of fcntl(F_GETFL).
type OpenFlags uint32

// Flags for open(2), amd64. O_LARGEFILE is the kernel's value, which a 64-bit
// libc hides.
const (
	O_RDONLY    = 0o0
	O_WRONLY    = 0o1
	O_RDWR      = 0o2
	O_ACCMODE   = 0o3
	O_CREAT     = 0o100
	O_EXCL      = 0o200
	O_NOCTTY    = 0o400
	O_TRUNC     = 0o1000
	O_APPEND    = 0o2000
	O_NONBLOCK  = 0o4000
	O_DSYNC     = 0o10000
	O_ASYNC     = 0o20000
	FASYNC      = 0o20000
	O_DIRECT    = 0o40000
	O_LARGEFILE = 0o100000
	O_DIRECTORY = 0o200000
	O_NOFOLLOW  = 0o400000
	O_NOATIME   = 0o1000000
	O_CLOEXEC   = 0o2000000
	O_SYNC      = 0o4010000
	O_PATH      = 0o10000000
	O_TMPFILE   = 0o20200000
)

// O_NDELAY is the old name of O_NONBLOCK.
const O_NDELAY = O_NONBLOCK

// AccessMode returns O_RDONLY, O_WRONLY, O_RDWR, or the undocumented 3, which
// opens for ioctl only.
func (f OpenFlags) AccessMode() OpenFlags { return f & O_ACCMODE }

// Readable reports whether the access mode allows reading.
func (f OpenFlags) Readable() bool {
	m := f & O_ACCMODE
	return m == O_RDONLY || m == O_RDWR
}

// Writable reports whether the access mode allows writing.
func (f OpenFlags) Writable() bool {
	m := f & O_ACCMODE
	return m == O_WRONLY || m == O_RDWR
}

// Has reports whether all bits of want are set.
func (f OpenFlags) Has(want OpenFlags) bool { return f&want == want }

// CloseOnExec reports O_CLOEXEC.
func (f OpenFlags) CloseOnExec() bool { return f&O_CLOEXEC != 0 }

// NonBlock reports O_NONBLOCK.
func (f OpenFlags) NonBlock() bool { return f&O_NONBLOCK != 0 }

var openFlagNames = []flagName{
	{O_CREAT, "O_CREAT"}, {O_EXCL, "O_EXCL"}, {O_NOCTTY, "O_NOCTTY"}, {O_TRUNC, "O_TRUNC"},
	{O_APPEND, "O_APPEND"}, {O_NONBLOCK, "O_NONBLOCK"}, {O_SYNC, "O_SYNC"}, {O_DSYNC, "O_DSYNC"},
	{O_ASYNC, "O_ASYNC"}, {O_DIRECT, "O_DIRECT"}, {O_LARGEFILE, "O_LARGEFILE"}, {O_TMPFILE, "O_TMPFILE"},
	{O_DIRECTORY, "O_DIRECTORY"}, {O_NOFOLLOW, "O_NOFOLLOW"}, {O_NOATIME, "O_NOATIME"},
	{O_CLOEXEC, "O_CLOEXEC"}, {O_PATH, "O_PATH"},
}

// String returns the flags as strace shows them, such as "O_RDWR|O_CREAT".
func (f OpenFlags) String() string {
	modes := [...]string{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"}
	mode := modes[f&O_ACCMODE]
	if rest := f &^ O_ACCMODE; rest != 0 {
		return mode + "|" + flagsString(uint64(rest), openFlagNames)
	}
	return mode
}

// Flags of the calls that take a directory descriptor.
const (
	AT_SYMLINK_NOFOLLOW   = 0x100
	AT_EACCESS            = 0x200
	AT_REMOVEDIR          = 0x200
	AT_SYMLINK_FOLLOW     = 0x400
	AT_NO_AUTOMOUNT       = 0x800
	AT_EMPTY_PATH         = 0x1000
	AT_STATX_SYNC_TYPE    = 0x6000
	AT_STATX_SYNC_AS_STAT = 0x0
	AT_STATX_FORCE_SYNC   = 0x2000
	AT_STATX_DONT_SYNC    = 0x4000
	AT_RECURSIVE          = 0x8000
)

// Commands of fcntl(2).
const (
	F_DUPFD            = 0
	F_GETFD            = 1
	F_SETFD            = 2
	F_GETFL            = 3
	F_SETFL            = 4
	F_GETLK            = 5
	F_SETLK            = 6
	F_SETLKW           = 7
	F_SETOWN           = 8
	F_GETOWN           = 9
	F_SETSIG           = 10
	F_GETSIG           = 11
	F_SETOWN_EX        = 15
	F_GETOWN_EX        = 16
	F_GETOWNER_UIDS    = 17
	F_OFD_GETLK        = 36
	F_OFD_SETLK        = 37
	F_OFD_SETLKW       = 38
	F_SETLEASE         = 1024
	F_GETLEASE         = 1025
	F_NOTIFY           = 1026
	F_DUPFD_QUERY      = 1027
	F_DUPFD_CLOEXEC    = 1030
	F_CANCELLK         = 1029
	F_SETPIPE_SZ       = 1031
	F_GETPIPE_SZ       = 1032
	F_ADD_SEALS        = 1033
	F_GET_SEALS        = 1034
	F_GET_RW_HINT      = 1035
	F_SET_RW_HINT      = 1036
	F_GET_FILE_RW_HINT = 1037
	F_SET_FILE_RW_HINT = 1038
)

// FD_CLOEXEC is the only descriptor flag.
const FD_CLOEXEC = 1

// Types of a lock.
const (
	F_RDLCK = 0
	F_WRLCK = 1
	F_UNLCK = 2
	F_EXLCK = 4
	F_SHLCK = 8
)

// Operations of flock(2).
const (
	LOCK_SH = 1
	LOCK_EX = 2
	LOCK_NB = 4
	LOCK_UN = 8
)

// Owner types of F_SETOWN_EX.
const (
	F_OWNER_TID  = 0
	F_OWNER_PID  = 1
	F_OWNER_PGRP = 2
)

// Seals of a memfd.
const (
	F_SEAL_SEAL         = 0x1
	F_SEAL_SHRINK       = 0x2
	F_SEAL_GROW         = 0x4
	F_SEAL_WRITE        = 0x8
	F_SEAL_FUTURE_WRITE = 0x10
	F_SEAL_EXEC         = 0x20
)

// Where lseek(2) counts from.
const (
	SEEK_SET  = 0
	SEEK_CUR  = 1
	SEEK_END  = 2
	SEEK_DATA = 3
	SEEK_HOLE = 4
)

// Access modes of access(2).
const (
	F_OK = 0
	X_OK = 1
	W_OK = 2
	R_OK = 4
)

// Advice of posix_fadvise(2).
const (
	POSIX_FADV_NORMAL     = 0
	POSIX_FADV_RANDOM     = 1
	POSIX_FADV_SEQUENTIAL = 2
	POSIX_FADV_WILLNEED   = 3
	POSIX_FADV_DONTNEED   = 4
	POSIX_FADV_NOREUSE    = 5
)

// Flags of splice(2), tee(2) and vmsplice(2).
const (
	SPLICE_F_MOVE     = 1
	SPLICE_F_NONBLOCK = 2
	SPLICE_F_MORE     = 4
	SPLICE_F_GIFT     = 8
)

// Flags of sync_file_range(2).
const (
	SYNC_FILE_RANGE_WAIT_BEFORE = 0x1
	SYNC_FILE_RANGE_WRITE       = 0x2
	SYNC_FILE_RANGE_WAIT_AFTER  = 0x4
)

// Flags of close_range(2).
const (
	CLOSE_RANGE_UNSHARE = 0x2
	CLOSE_RANGE_CLOEXEC = 0x4
)

// Resolution rules of openat2(2).
const (
	RESOLVE_NO_XDEV       = 0x1
	RESOLVE_NO_MAGICLINKS = 0x2
	RESOLVE_NO_SYMLINKS   = 0x4
	RESOLVE_BENEATH       = 0x8
	RESOLVE_IN_ROOT       = 0x10
	RESOLVE_CACHED        = 0x20
)

// OpenHow is struct open_how.
type OpenHow struct {
	Flags   uint64
	Mode    uint64
	Resolve uint64
}

// Flock is struct flock.
type Flock struct {
	Type   int16
	Whence int16
	_      [4]byte
	Start  int64
	Len    int64
	PID    int32
	_      [4]byte
}

// FOwnerEx is struct f_owner_ex.
type FOwnerEx struct {
	Type int32
	PID  int32
}

// FileHandle is struct file_handle without the bytes that follow.
type FileHandle struct {
	Bytes uint32
	Type  int32
}

// MAX_HANDLE_SZ bounds the bytes after a FileHandle.
const MAX_HANDLE_SZ = 128
