package linux

import "strconv"

// RlimitResource names a limit of a process.
type RlimitResource uint32

// The limits.
const (
	RLIMIT_CPU        RlimitResource = 0
	RLIMIT_FSIZE      RlimitResource = 1
	RLIMIT_DATA       RlimitResource = 2
	RLIMIT_STACK      RlimitResource = 3
	RLIMIT_CORE       RlimitResource = 4
	RLIMIT_RSS        RlimitResource = 5
	RLIMIT_NPROC      RlimitResource = 6
	RLIMIT_NOFILE     RlimitResource = 7
	RLIMIT_MEMLOCK    RlimitResource = 8
	RLIMIT_AS         RlimitResource = 9
	RLIMIT_LOCKS      RlimitResource = 10
	RLIMIT_SIGPENDING RlimitResource = 11
	RLIMIT_MSGQUEUE   RlimitResource = 12
	RLIMIT_NICE       RlimitResource = 13
	RLIMIT_RTPRIO     RlimitResource = 14
	RLIMIT_RTTIME     RlimitResource = 15
)

// RLIM_NLIMITS is the number of limits.
const RLIM_NLIMITS = 16

// RLIM_INFINITY is no limit.
const RLIM_INFINITY = ^uint64(0)

var rlimitNames = [RLIM_NLIMITS]string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
	"RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE",
	"RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

// String returns the name, such as "RLIMIT_NOFILE".
func (r RlimitResource) String() string {
	if r < RLIM_NLIMITS {
		return rlimitNames[r]
	}
	return "rlimit " + strconv.Itoa(int(r))
}

// ParseRlimit returns the limit with a name such as "RLIMIT_NOFILE".
func ParseRlimit(name string) (RlimitResource, bool) {
	for r, n := range rlimitNames {
		if n == name {
			return RlimitResource(r), true
		}
	}
	return 0, false
}

// Rlimit is struct rlimit64, and struct rlimit on 64-bit machines.
type Rlimit struct {
	Cur uint64
	Max uint64
}

// Rusage is struct rusage.
type Rusage struct {
	Utime    Timeval
	Stime    Timeval
	MaxRSS   int64
	IxRSS    int64
	IdRSS    int64
	IsRSS    int64
	MinFlt   int64
	MajFlt   int64
	NSwap    int64
	InBlock  int64
	OuBlock  int64
	MsgSnd   int64
	MsgRcv   int64
	NSignals int64
	NVCsw    int64
	NIvCsw   int64
}

// Who getrusage(2) asks about.
const (
	RUSAGE_SELF     = 0
	RUSAGE_CHILDREN = -1
	RUSAGE_THREAD   = 1
	RUSAGE_BOTH     = -2
)
