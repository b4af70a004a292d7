package linux

// Limits of names and paths.
const (
	NAME_MAX       = 255
	PATH_MAX       = 4096
	XATTR_NAME_MAX = 255
	XATTR_SIZE_MAX = 65536
	XATTR_LIST_MAX = 65536
	PIPE_BUF       = 4096
	NGROUPS_MAX    = 65536
	ARG_MAX        = 131072
)

// More limits.
const (
	SYMLINK_MAX  = 40
	MAX_RW_COUNT = 0x7ffff000
)

// Statfs is struct statfs, amd64.
type Statfs struct {
	Type    int64
	Bsize   int64
	Blocks  uint64
	Bfree   uint64
	Bavail  uint64
	Files   uint64
	Ffree   uint64
	FSID    [2]int32
	Namelen int64
	Frsize  int64
	Flags   int64
	_       [4]int64
}

// Flags of a Statfs.
const (
	ST_RDONLY      = 0x1
	ST_NOSUID      = 0x2
	ST_NODEV       = 0x4
	ST_NOEXEC      = 0x8
	ST_SYNCHRONOUS = 0x10
	ST_VALID       = 0x20
	ST_MANDLOCK    = 0x40
	ST_NOATIME     = 0x400
	ST_NODIRATIME  = 0x800
	ST_RELATIME    = 0x1000
	ST_NOSYMFOLLOW = 0x2000
)

// What statfs(2) calls the type of a file system.
const (
	EXT4_SUPER_MAGIC      = 0xef53
	OVERLAYFS_SUPER_MAGIC = 0x794c7630
	TMPFS_MAGIC           = 0x1021994
	RAMFS_MAGIC           = 0x858458f6
	PROC_SUPER_MAGIC      = 0x9fa0
	SYSFS_MAGIC           = 0x62656572
	DEVPTS_SUPER_MAGIC    = 0x1cd1
	CGROUP_SUPER_MAGIC    = 0x27e0eb
	CGROUP2_SUPER_MAGIC   = 0x63677270
	PIPEFS_MAGIC          = 0x50495045
	SOCKFS_MAGIC          = 0x534f434b
	ANON_INODE_FS_MAGIC   = 0x9041934
	NSFS_MAGIC            = 0x6e736673
	V9FS_MAGIC            = 0x1021997
	HUGETLBFS_MAGIC       = 0x958458f6
	FUSE_SUPER_MAGIC      = 0x65735546
	BPF_FS_MAGIC          = 0xcafe4a11
	DEBUGFS_MAGIC         = 0x64626720
	TRACEFS_MAGIC         = 0x74726163
	SECURITYFS_MAGIC      = 0x73636673
	EROFS_SUPER_MAGIC_V1  = 0xe0f5e1e2
	XFS_SUPER_MAGIC       = 0x58465342
	BTRFS_SUPER_MAGIC     = 0x9123683e
	NFS_SUPER_MAGIC       = 0x6969
	MQUEUE_MAGIC          = 0x19800202
	PID_FS_MAGIC          = 0x50494446
)

// Flags of mount(2).
const (
	MS_RDONLY      = 0x1
	MS_NOSUID      = 0x2
	MS_NODEV       = 0x4
	MS_NOEXEC      = 0x8
	MS_SYNCHRONOUS = 0x10
	MS_REMOUNT     = 0x20
	MS_MANDLOCK    = 0x40
	MS_DIRSYNC     = 0x80
	MS_NOSYMFOLLOW = 0x100
	MS_NOATIME     = 0x400
	MS_NODIRATIME  = 0x800
	MS_BIND        = 0x1000
	MS_MOVE        = 0x2000
	MS_REC         = 0x4000
	MS_SILENT      = 0x8000
	MS_POSIXACL    = 0x10000
	MS_UNBINDABLE  = 0x20000
	MS_PRIVATE     = 0x40000
	MS_SLAVE       = 0x80000
	MS_SHARED      = 0x100000
	MS_RELATIME    = 0x200000
	MS_KERNMOUNT   = 0x400000
	MS_I_VERSION   = 0x800000
	MS_STRICTATIME = 0x1000000
	MS_LAZYTIME    = 0x2000000
	MS_MGC_VAL     = 0xc0ed0000
	MS_MGC_MSK     = 0xffff0000
)

// Flags of umount2(2).
const (
	MNT_FORCE       = 1
	MNT_DETACH      = 2
	MNT_EXPIRE      = 4
	UMOUNT_NOFOLLOW = 8
)

// Flags and commands of the newer mount calls.
const (
	OPEN_TREE_CLONE          = 0x1
	OPEN_TREE_CLOEXEC        = 0x80000
	MOVE_MOUNT_F_SYMLINKS    = 0x1
	MOVE_MOUNT_F_AUTOMOUNTS  = 0x2
	MOVE_MOUNT_F_EMPTY_PATH  = 0x4
	MOVE_MOUNT_T_SYMLINKS    = 0x10
	MOVE_MOUNT_T_AUTOMOUNTS  = 0x20
	MOVE_MOUNT_T_EMPTY_PATH  = 0x40
	MOVE_MOUNT_SET_GROUP     = 0x100
	FSOPEN_CLOEXEC           = 0x1
	FSPICK_CLOEXEC           = 0x1
	FSPICK_SYMLINK_NOFOLLOW  = 0x2
	FSPICK_NO_AUTOMOUNT      = 0x4
	FSPICK_EMPTY_PATH        = 0x8
	FSCONFIG_SET_FLAG        = 0x0
	FSCONFIG_SET_STRING      = 0x1
	FSCONFIG_SET_BINARY      = 0x2
	FSCONFIG_SET_PATH        = 0x3
	FSCONFIG_SET_PATH_EMPTY  = 0x4
	FSCONFIG_SET_FD          = 0x5
	FSCONFIG_CMD_CREATE      = 0x6
	FSCONFIG_CMD_RECONFIGURE = 0x7
	FSMOUNT_CLOEXEC          = 0x1
	MOUNT_ATTR_RDONLY        = 0x1
	MOUNT_ATTR_NOSUID        = 0x2
	MOUNT_ATTR_NODEV         = 0x4
	MOUNT_ATTR_NOEXEC        = 0x8
	MOUNT_ATTR__ATIME        = 0x70
	MOUNT_ATTR_RELATIME      = 0x0
	MOUNT_ATTR_NOATIME       = 0x10
	MOUNT_ATTR_STRICTATIME   = 0x20
	MOUNT_ATTR_NODIRATIME    = 0x80
	MOUNT_ATTR_IDMAP         = 0x100000
	MOUNT_ATTR_NOSYMFOLLOW   = 0x200000
)

// MountAttr is struct mount_attr.
type MountAttr struct {
	AttrSet     uint64
	AttrClr     uint64
	Propagation uint64
	UserNSFD    uint64
}

// Flags of renameat2(2).
const (
	RENAME_NOREPLACE = 0x1
	RENAME_EXCHANGE  = 0x2
	RENAME_WHITEOUT  = 0x4
)

// Flags of fallocate(2).
const (
	FALLOC_FL_KEEP_SIZE      = 0x1
	FALLOC_FL_PUNCH_HOLE     = 0x2
	FALLOC_FL_NO_HIDE_STALE  = 0x4
	FALLOC_FL_COLLAPSE_RANGE = 0x8
	FALLOC_FL_ZERO_RANGE     = 0x10
	FALLOC_FL_INSERT_RANGE   = 0x20
	FALLOC_FL_UNSHARE_RANGE  = 0x40
)

// Flags of setxattr(2).
const (
	XATTR_CREATE  = 0x1
	XATTR_REPLACE = 0x2
)

// Namespaces of extended attributes.
const (
	XATTR_SECURITY_PREFIX = "security."
	XATTR_SYSTEM_PREFIX   = "system."
	XATTR_TRUSTED_PREFIX  = "trusted."
	XATTR_USER_PREFIX     = "user."
)

// Types of a directory entry.
const (
	DT_UNKNOWN = 0
	DT_FIFO    = 1
	DT_CHR     = 2
	DT_DIR     = 4
	DT_BLK     = 6
	DT_REG     = 8
	DT_LNK     = 10
	DT_SOCK    = 12
	DT_WHT     = 14
)

// Dirent64 is struct linux_dirent64 without the name and the NUL that follow
// at offset DirentNameOffset. The record is padded to a multiple of 8; Reclen
// counts all of it.
type Dirent64 struct {
	Ino    uint64
	Off    int64
	Reclen uint16
	Type   uint8
	_      [5]byte
}

// Dirent64NameOffset is where the name of a linux_dirent64 begins: in what
// would be the padding of the struct.
const Dirent64NameOffset = 19

// DirentNameOffset is where the name begins in the struct linux_dirent of the
// older getdents(2): ino and off of 8 bytes, reclen of 2. The type is the last
// byte of the record.
const DirentNameOffset = 18

// Requests of ioctl(2) on any file.
const (
	FIFREEZE          = 0xc0045877
	FITHAW            = 0xc0045878
	FS_IOC_GETFLAGS   = 0x80086601
	FS_IOC_SETFLAGS   = 0x40086602
	FS_IOC_GETVERSION = 0x80087601
	FS_IOC_FIEMAP     = 0xc020660b
	FS_IOC_FSGETXATTR = 0x801c581f
	FS_IOC_FSSETXATTR = 0x401c5820
	FICLONE           = 0x40049409
	FICLONERANGE      = 0x4020940d
	FIDEDUPERANGE     = 0xc0189436
	FIGETBSZ          = 0x2
	FIBMAP            = 0x1
	BLKGETSIZE64      = 0x80081272
	BLKGETSIZE        = 0x1260
	BLKROGET          = 0x125e
	BLKSSZGET         = 0x1268
	NS_GET_USERNS     = 0xb701
	NS_GET_PARENT     = 0xb702
	NS_GET_NSTYPE     = 0xb703
	NS_GET_OWNER_UID  = 0xb704
)

// Attribute flags of FS_IOC_GETFLAGS.
const (
	FS_SECRM_FL     = 0x1
	FS_IMMUTABLE_FL = 0x10
	FS_APPEND_FL    = 0x20
	FS_NODUMP_FL    = 0x40
	FS_NOATIME_FL   = 0x80
	FS_EXTENT_FL    = 0x80000
)

// Flags of preadv2(2) and pwritev2(2).
const (
	RWF_HIPRI    = 0x1
	RWF_DSYNC    = 0x2
	RWF_SYNC     = 0x4
	RWF_NOWAIT   = 0x8
	RWF_APPEND   = 0x10
	RWF_NOAPPEND = 0x20
)

// FileCloneRange is struct file_clone_range.
type FileCloneRange struct {
	SrcFD      int64
	SrcOffset  uint64
	SrcLength  uint64
	DestOffset uint64
}
