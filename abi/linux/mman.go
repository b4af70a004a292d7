package linux

// Page sizes of amd64.
const (
	PageShift    = 12
	PageSize     = 1 << PageShift
	HugePageSize = 2 << 20
)

// TaskSize is the first address that a workload on amd64 cannot have.
const TaskSize = 1<<47 - PageSize

// Protection of a mapping.
const (
	PROT_NONE      = 0x0
	PROT_READ      = 0x1
	PROT_WRITE     = 0x2
	PROT_EXEC      = 0x4
	PROT_SEM       = 0x8
	PROT_GROWSDOWN = 0x1000000
	PROT_GROWSUP   = 0x2000000
)

// Flags of mmap(2).
const (
	MAP_SHARED          = 0x1
	MAP_PRIVATE         = 0x2
	MAP_SHARED_VALIDATE = 0x3
	MAP_TYPE            = 0xf
	MAP_FIXED           = 0x10
	MAP_ANONYMOUS       = 0x20
	MAP_32BIT           = 0x40
	MAP_GROWSDOWN       = 0x100
	MAP_DENYWRITE       = 0x800
	MAP_EXECUTABLE      = 0x1000
	MAP_LOCKED          = 0x2000
	MAP_NORESERVE       = 0x4000
	MAP_POPULATE        = 0x8000
	MAP_NONBLOCK        = 0x10000
	MAP_STACK           = 0x20000
	MAP_HUGETLB         = 0x40000
	MAP_SYNC            = 0x80000
	MAP_FIXED_NOREPLACE = 0x100000
	MAP_UNINITIALIZED   = 0x4000000
	MAP_HUGE_SHIFT      = 26
	MAP_HUGE_MASK       = 0x3f
)

// Flags of mremap(2).
const (
	MREMAP_MAYMOVE   = 0x1
	MREMAP_FIXED     = 0x2
	MREMAP_DONTUNMAP = 0x4
)

// Flags of msync(2).
const (
	MS_ASYNC      = 0x1
	MS_INVALIDATE = 0x2
	MS_SYNC       = 0x4
)

// Flags of mlock2(2) and mlockall(2).
const (
	MLOCK_ONFAULT = 0x1
	MCL_CURRENT   = 0x1
	MCL_FUTURE    = 0x2
	MCL_ONFAULT   = 0x4
)

// Advice of madvise(2).
const (
	MADV_NORMAL          = 0
	MADV_RANDOM          = 1
	MADV_SEQUENTIAL      = 2
	MADV_WILLNEED        = 3
	MADV_DONTNEED        = 4
	MADV_FREE            = 8
	MADV_REMOVE          = 9
	MADV_DONTFORK        = 10
	MADV_DOFORK          = 11
	MADV_MERGEABLE       = 12
	MADV_UNMERGEABLE     = 13
	MADV_HUGEPAGE        = 14
	MADV_NOHUGEPAGE      = 15
	MADV_DONTDUMP        = 16
	MADV_DODUMP          = 17
	MADV_WIPEONFORK      = 18
	MADV_KEEPONFORK      = 19
	MADV_COLD            = 20
	MADV_PAGEOUT         = 21
	MADV_POPULATE_READ   = 22
	MADV_POPULATE_WRITE  = 23
	MADV_DONTNEED_LOCKED = 24
	MADV_COLLAPSE        = 25
	MADV_HWPOISON        = 100
	MADV_SOFT_OFFLINE    = 101
	MADV_GUARD_INSTALL   = 102
	MADV_GUARD_REMOVE    = 103
)

// Memory policies of NUMA.
const (
	MPOL_DEFAULT             = 0
	MPOL_PREFERRED           = 1
	MPOL_BIND                = 2
	MPOL_INTERLEAVE          = 3
	MPOL_LOCAL               = 4
	MPOL_PREFERRED_MANY      = 5
	MPOL_WEIGHTED_INTERLEAVE = 6
)

// Flags of the NUMA calls.
const (
	MPOL_F_STATIC_NODES   = 0x8000
	MPOL_F_RELATIVE_NODES = 0x4000
	MPOL_F_NUMA_BALANCING = 0x2000
	MPOL_F_NODE           = 0x1
	MPOL_F_ADDR           = 0x2
	MPOL_F_MEMS_ALLOWED   = 0x4
	MPOL_MF_STRICT        = 0x1
	MPOL_MF_MOVE          = 0x2
	MPOL_MF_MOVE_ALL      = 0x4
)

// Commands of membarrier(2).
const (
	MEMBARRIER_CMD_QUERY                                = 0
	MEMBARRIER_CMD_GLOBAL                               = 1
	MEMBARRIER_CMD_GLOBAL_EXPEDITED                     = 2
	MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED            = 4
	MEMBARRIER_CMD_PRIVATE_EXPEDITED                    = 8
	MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED           = 16
	MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE          = 32
	MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 64
	MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ               = 128
	MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ      = 256
	MEMBARRIER_CMD_GET_REGISTRATIONS                    = 512
)

// Prot is the protection of a mapping.
type Prot uint32

// String returns the protection as strace shows it.
func (p Prot) String() string {
	if p == PROT_NONE {
		return "PROT_NONE"
	}
	return flagsString(uint64(p), protNames)
}

var protNames = []flagName{
	{PROT_READ, "PROT_READ"}, {PROT_WRITE, "PROT_WRITE"}, {PROT_EXEC, "PROT_EXEC"}, {PROT_SEM, "PROT_SEM"},
	{PROT_GROWSDOWN, "PROT_GROWSDOWN"}, {PROT_GROWSUP, "PROT_GROWSUP"},
}

// MapFlags are the flags of mmap(2).
type MapFlags uint32

// String returns the flags as strace shows them.
func (f MapFlags) String() string { return flagsString(uint64(f), mapNames) }

var mapNames = []flagName{
	{MAP_SHARED_VALIDATE, "MAP_SHARED_VALIDATE"}, {MAP_SHARED, "MAP_SHARED"}, {MAP_PRIVATE, "MAP_PRIVATE"},
	{MAP_FIXED, "MAP_FIXED"}, {MAP_ANONYMOUS, "MAP_ANONYMOUS"}, {MAP_32BIT, "MAP_32BIT"},
	{MAP_GROWSDOWN, "MAP_GROWSDOWN"}, {MAP_DENYWRITE, "MAP_DENYWRITE"}, {MAP_EXECUTABLE, "MAP_EXECUTABLE"},
	{MAP_LOCKED, "MAP_LOCKED"}, {MAP_NORESERVE, "MAP_NORESERVE"}, {MAP_POPULATE, "MAP_POPULATE"},
	{MAP_NONBLOCK, "MAP_NONBLOCK"}, {MAP_STACK, "MAP_STACK"}, {MAP_HUGETLB, "MAP_HUGETLB"},
	{MAP_SYNC, "MAP_SYNC"}, {MAP_FIXED_NOREPLACE, "MAP_FIXED_NOREPLACE"},
}
