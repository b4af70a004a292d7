package linux

// FileMode is a file's type and permission bits, as st_mode holds them.
type FileMode uint16

// File types.
const (
	S_IFMT   = 0o170000
	S_IFSOCK = 0o140000
	S_IFLNK  = 0o120000
	S_IFREG  = 0o100000
	S_IFBLK  = 0o60000
	S_IFDIR  = 0o40000
	S_IFCHR  = 0o20000
	S_IFIFO  = 0o10000
)

// Permission bits.
const (
	S_ISUID = 0o4000
	S_ISGID = 0o2000
	S_ISVTX = 0o1000
	S_IRWXU = 0o700
	S_IRUSR = 0o400
	S_IWUSR = 0o200
	S_IXUSR = 0o100
	S_IRWXG = 0o70
	S_IRGRP = 0o40
	S_IWGRP = 0o20
	S_IXGRP = 0o10
	S_IRWXO = 0o7
	S_IROTH = 0o4
	S_IWOTH = 0o2
	S_IXOTH = 0o1
)

// Combined permission bits.
const (
	S_IRWXUGO = S_IRWXU | S_IRWXG | S_IRWXO
	S_IALLUGO = S_ISUID | S_ISGID | S_ISVTX | S_IRWXUGO
	S_IRUGO   = S_IRUSR | S_IRGRP | S_IROTH
	S_IWUGO   = S_IWUSR | S_IWGRP | S_IWOTH
	S_IXUGO   = S_IXUSR | S_IXGRP | S_IXOTH
)

// Type returns the file type bits.
func (m FileMode) Type() FileMode { return m & S_IFMT }

// Perm returns the permission bits with set-user-ID, set-group-ID and sticky.
func (m FileMode) Perm() FileMode { return m & S_IALLUGO }

// IsRegular reports a regular file.
func (m FileMode) IsRegular() bool { return m&S_IFMT == S_IFREG }

// IsDir reports a directory.
func (m FileMode) IsDir() bool { return m&S_IFMT == S_IFDIR }

// IsSymlink reports a symbolic link.
func (m FileMode) IsSymlink() bool { return m&S_IFMT == S_IFLNK }

// DirentType returns the DT_ value of the file type.
func (m FileMode) DirentType() uint8 { return uint8(m >> 12) }

// String returns the mode as `ls -l` shows it, such as "drwxr-xr-x".
func (m FileMode) String() string {
	const types = "?pc?d?b?-?l?s???"
	out := []byte("?rwxrwxrwx")
	out[0] = types[m>>12]
	for i := range 9 {
		if m&(1<<(8-i)) == 0 {
			out[1+i] = '-'
		}
	}
	special := func(bit FileMode, at int, lower byte) {
		if m&bit == 0 {
			return
		}
		if out[at] == '-' {
			lower -= 'a' - 'A'
		}
		out[at] = lower
	}
	special(S_ISUID, 3, 's')
	special(S_ISGID, 6, 's')
	special(S_ISVTX, 9, 't')
	return string(out)
}

// Stat is struct stat, amd64.
type Stat struct {
	Dev     uint64
	Ino     uint64
	Nlink   uint64
	Mode    uint32
	UID     uint32
	GID     uint32
	_       [4]byte
	Rdev    uint64
	Size    int64
	Blksize int64
	Blocks  int64
	ATime   Timespec
	MTime   Timespec
	CTime   Timespec
	_       [3]int64
}

// StatxTimestamp is struct statx_timestamp.
type StatxTimestamp struct {
	Sec  int64
	Nsec uint32
	_    [4]byte
}

// Statx is struct statx.
type Statx struct {
	Mask           uint32
	Blksize        uint32
	Attributes     uint64
	Nlink          uint32
	UID            uint32
	GID            uint32
	Mode           uint16
	_              [2]byte
	Ino            uint64
	Size           uint64
	Blocks         uint64
	AttributesMask uint64
	ATime          StatxTimestamp
	BTime          StatxTimestamp
	CTime          StatxTimestamp
	MTime          StatxTimestamp
	RdevMajor      uint32
	RdevMinor      uint32
	DevMajor       uint32
	DevMinor       uint32
	MntID          uint64
	DioMemAlign    uint32
	DioOffsetAlign uint32
	_              [12]uint64
}

// Fields of a Statx that a caller wants or gets.
const (
	STATX_TYPE          = 0x1
	STATX_MODE          = 0x2
	STATX_NLINK         = 0x4
	STATX_UID           = 0x8
	STATX_GID           = 0x10
	STATX_ATIME         = 0x20
	STATX_MTIME         = 0x40
	STATX_CTIME         = 0x80
	STATX_INO           = 0x100
	STATX_SIZE          = 0x200
	STATX_BLOCKS        = 0x400
	STATX_BASIC_STATS   = 0x7ff
	STATX_BTIME         = 0x800
	STATX_MNT_ID        = 0x1000
	STATX_DIOALIGN      = 0x2000
	STATX_MNT_ID_UNIQUE = 0x4000
	STATX_ALL           = 0xfff
	STATX__RESERVED     = 0x80000000
)

// Attributes of a Statx.
const (
	STATX_ATTR_COMPRESSED = 0x4
	STATX_ATTR_IMMUTABLE  = 0x10
	STATX_ATTR_APPEND     = 0x20
	STATX_ATTR_NODUMP     = 0x40
	STATX_ATTR_ENCRYPTED  = 0x800
	STATX_ATTR_AUTOMOUNT  = 0x1000
	STATX_ATTR_MOUNT_ROOT = 0x2000
	STATX_ATTR_VERITY     = 0x100000
	STATX_ATTR_DAX        = 0x200000
)

// Special values of tv_nsec for utimensat(2).
const (
	UTIME_NOW  = 0x3fffffff
	UTIME_OMIT = 0x3ffffffe
)

// MakeDev packs a device number as stat(2) reports it in 64 bits.
func MakeDev(major, minor uint32) uint64 {
	return uint64(minor&0xff) | uint64(major&0xfff)<<8 | uint64(minor&^0xff)<<12 | uint64(major&^0xfff)<<32
}

// MajorMinor splits a device number.
func MajorMinor(dev uint64) (major, minor uint32) {
	major = uint32(dev>>8)&0xfff | uint32(dev>>32)&^0xfff
	minor = uint32(dev)&0xff | uint32(dev>>12)&^0xff
	return major, minor
}

// DecodeDev splits the 32-bit device number that mknod(2) takes.
func DecodeDev(dev uint32) (major, minor uint32) {
	return dev >> 8 & 0xfff, dev&0xff | dev>>12&0xfff00
}

// Dev is a device number as stat(2) reports it in 64 bits.
type Dev uint64

// NewDev packs a device number.
func NewDev(major, minor uint32) Dev { return Dev(MakeDev(major, minor)) }

// Major is the major number.
func (d Dev) Major() uint32 { major, _ := MajorMinor(uint64(d)); return major }

// Minor is the minor number.
func (d Dev) Minor() uint32 { _, minor := MajorMinor(uint64(d)); return minor }
