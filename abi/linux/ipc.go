package linux

// Flags and commands of the System V calls.
const (
	IPC_CREAT  = 0o1000
	IPC_EXCL   = 0o2000
	IPC_NOWAIT = 0o4000
)
const (
	IPC_PRIVATE = 0
	IPC_RMID    = 0
	IPC_SET     = 1
	IPC_STAT    = 2
	IPC_INFO    = 3
	IPC_64      = 256
)

// Semaphores.
const (
	GETPID       = 11
	GETVAL       = 12
	GETALL       = 13
	GETNCNT      = 14
	GETZCNT      = 15
	SETVAL       = 16
	SETALL       = 17
	SEM_STAT     = 18
	SEM_INFO     = 19
	SEM_STAT_ANY = 20
	SEM_UNDO     = 4096
	SEMVMX       = 32767
	SEMMSL       = 32000
	SEMMNI       = 32000
	SEMOPM       = 500
	SEMMNS       = 1024000000
	SEMAEM       = 32767
)

// Message queues.
const (
	MSG_NOERROR = 0o10000
	MSG_EXCEPT  = 0o20000
	MSG_COPY    = 0o40000
)
const (
	MSG_STAT     = 11
	MSG_INFO     = 12
	MSG_STAT_ANY = 13
	MSGMNI       = 32000
	MSGMAX       = 8192
	MSGMNB       = 16384
)

// Shared memory.
const (
	SHM_RDONLY    = 0o10000
	SHM_RND       = 0o20000
	SHM_REMAP     = 0o40000
	SHM_EXEC      = 0o100000
	SHM_NORESERVE = 0o10000
	SHM_HUGETLB   = 0o4000
	SHM_DEST      = 0o1000
	SHM_LOCKED    = 0o2000
)
const (
	SHM_LOCK     = 11
	SHM_UNLOCK   = 12
	SHM_STAT     = 13
	SHM_INFO     = 14
	SHM_STAT_ANY = 15
	SHMMNI       = 4096
	SHMMIN       = 1
)

// IPCPerm is struct ipc64_perm.
type IPCPerm struct {
	Key  int32
	UID  uint32
	GID  uint32
	CUID uint32
	CGID uint32
	Mode uint32
	Seq  uint16
	_    [22]byte
}

// SemidDS is struct semid64_ds, amd64.
type SemidDS struct {
	Perm  IPCPerm
	OTime int64
	_     uint64
	CTime int64
	_     uint64
	NSems uint64
	_     [2]uint64
}

// Sembuf is struct sembuf.
type Sembuf struct {
	Num uint16
	Op  int16
	Flg int16
}

// Seminfo is struct seminfo.
type Seminfo struct {
	Map int32
	Mni int32
	Mns int32
	Mnu int32
	Msl int32
	Opm int32
	Ume int32
	Usz int32
	Vmx int32
	Aem int32
}

// MsqidDS is struct msqid64_ds.
type MsqidDS struct {
	Perm   IPCPerm
	STime  int64
	RTime  int64
	CTime  int64
	CBytes uint64
	QNum   uint64
	QBytes uint64
	LSPID  int32
	LRPID  int32
	_      [2]uint64
}

// Msginfo is struct msginfo.
type Msginfo struct {
	Pool int32
	Map  int32
	Max  int32
	Mnb  int32
	Mni  int32
	Ssz  int32
	Tql  int32
	Seg  uint16
	_    [2]byte
}

// ShmidDS is struct shmid64_ds.
type ShmidDS struct {
	Perm   IPCPerm
	Segsz  uint64
	ATime  int64
	DTime  int64
	CTime  int64
	CPID   int32
	LPID   int32
	NAttch uint64
	_      [2]uint64
}

// ShmInfo is struct shm_info.
type ShmInfo struct {
	UsedIDs       int32
	_             [4]byte
	Tot           uint64
	RSS           uint64
	Swp           uint64
	SwapAttempts  uint64
	SwapSuccesses uint64
}

// ShmParams is struct shminfo64.
type ShmParams struct {
	Max uint64
	Min uint64
	Mni uint64
	Seg uint64
	All uint64
	_   [4]uint64
}
