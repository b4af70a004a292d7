package linux

import (
	"math"
	"strconv"
	"time"
)

const nsPerSec = 1_000_000_000

// Timespec is struct timespec.
type Timespec struct {
	Sec  int64
	Nsec int64
}

// NsecToTimespec returns ns, which may be negative, with 0 <= Nsec < 1e9.
func NsecToTimespec(ns int64) Timespec {
	sec, rest := ns/1e9, ns%1e9
	if rest < 0 {
		sec, rest = sec-1, rest+1e9
	}
	return Timespec{Sec: sec, Nsec: rest}
}

// DurationToTimespec returns d as a Timespec.
func DurationToTimespec(d time.Duration) Timespec { return NsecToTimespec(int64(d)) }

// TimeToTimespec returns the time since 1970.
func TimeToTimespec(t time.Time) Timespec {
	return Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// Valid reports whether t is what clock_nanosleep(2) takes: not negative, and
// less than a second of nanoseconds.
func (t Timespec) Valid() bool { return t.Sec >= 0 && t.Nsec >= 0 && t.Nsec < 1e9 }

// Nanoseconds returns t in nanoseconds; what does not fit becomes the largest
// or smallest value.
func (t Timespec) Nanoseconds() int64 {
	if t.Sec >= math.MaxInt64/nsPerSec {
		return math.MaxInt64
	}
	if t.Sec <= math.MinInt64/nsPerSec {
		return math.MinInt64
	}
	return t.Sec*1e9 + t.Nsec
}

// Duration returns t as a duration; what does not fit becomes the longest.
func (t Timespec) Duration() time.Duration { return time.Duration(t.Nanoseconds()) }

// Time returns t, taken as the time since 1970.
func (t Timespec) Time() time.Time { return time.Unix(t.Sec, t.Nsec) }

// IsZero reports whether both fields are zero.
func (t Timespec) IsZero() bool { return t == Timespec{} }

// Compare returns -1, 0 or 1 as t is before, at or after u.
func (t Timespec) Compare(u Timespec) int {
	switch {
	case t.Sec < u.Sec || t.Sec == u.Sec && t.Nsec < u.Nsec:
		return -1
	case t == u:
		return 0
	}
	return 1
}

// Timeval is struct timeval.
type Timeval struct {
	Sec  int64
	Usec int64
}

// DurationToTimeval returns d as a Timeval, rounded down.
func DurationToTimeval(d time.Duration) Timeval {
	t := DurationToTimespec(d)
	return Timeval{Sec: t.Sec, Usec: t.Nsec / 1e3}
}

// Valid reports whether t is not negative and has less than a second of
// microseconds.
func (t Timeval) Valid() bool { return t.Sec >= 0 && t.Usec >= 0 && t.Usec < 1e6 }

// Timespec returns t as a Timespec.
func (t Timeval) Timespec() Timespec { return Timespec{Sec: t.Sec, Nsec: t.Usec * 1e3} }

// Duration returns t as a duration; what does not fit becomes the longest.
func (t Timeval) Duration() time.Duration { return t.Timespec().Duration() }

// Itimerspec is struct itimerspec.
type Itimerspec struct {
	Interval Timespec
	Value    Timespec
}

// Itimerval is struct itimerval.
type Itimerval struct {
	Interval Timeval
	Value    Timeval
}

// Timezone is struct timezone.
type Timezone struct {
	MinutesWest int32
	DSTTime     int32
}

// Tms is struct tms, in clock ticks.
type Tms struct {
	Utime  int64
	Stime  int64
	CUtime int64
	CStime int64
}

// CLOCKS_PER_SEC is the number of clock ticks in a second: USER_HZ.
const CLOCKS_PER_SEC = 100

// Timex is struct timex.
type Timex struct {
	Modes     uint32
	_         [4]byte
	Offset    int64
	Freq      int64
	MaxError  int64
	EstError  int64
	Status    int32
	_         [4]byte
	Constant  int64
	Precision int64
	Tolerance int64
	Time      Timeval
	Tick      int64
	PPSFreq   int64
	Jitter    int64
	Shift     int32
	_         [4]byte
	Stabil    int64
	JitCnt    int64
	CalCnt    int64
	ErrCnt    int64
	StbCnt    int64
	TAI       int32
	_         [44]byte
}

// ClockID names a clock.
type ClockID int32

// The clocks.
const (
	CLOCK_REALTIME           ClockID = 0
	CLOCK_MONOTONIC          ClockID = 1
	CLOCK_PROCESS_CPUTIME_ID ClockID = 2
	CLOCK_THREAD_CPUTIME_ID  ClockID = 3
	CLOCK_MONOTONIC_RAW      ClockID = 4
	CLOCK_REALTIME_COARSE    ClockID = 5
	CLOCK_MONOTONIC_COARSE   ClockID = 6
	CLOCK_BOOTTIME           ClockID = 7
	CLOCK_REALTIME_ALARM     ClockID = 8
	CLOCK_BOOTTIME_ALARM     ClockID = 9
	CLOCK_TAI                ClockID = 11
)

var clockNames = [...]string{
	0: "CLOCK_REALTIME", 1: "CLOCK_MONOTONIC", 2: "CLOCK_PROCESS_CPUTIME_ID", 3: "CLOCK_THREAD_CPUTIME_ID",
	4: "CLOCK_MONOTONIC_RAW", 5: "CLOCK_REALTIME_COARSE", 6: "CLOCK_MONOTONIC_COARSE", 7: "CLOCK_BOOTTIME",
	8: "CLOCK_REALTIME_ALARM", 9: "CLOCK_BOOTTIME_ALARM", 11: "CLOCK_TAI",
}

// String returns the name, such as "CLOCK_MONOTONIC".
func (c ClockID) String() string {
	if c >= 0 && int(c) < len(clockNames) && clockNames[c] != "" {
		return clockNames[c]
	}
	return "clock " + strconv.Itoa(int(c))
}

// A negative ClockID is the CPU time of a process or thread: its number,
// inverted, above three bits that say which.
const (
	CPUCLOCK_PERTHREAD_MASK = 4
	CPUCLOCK_CLOCK_MASK     = 3
	CPUCLOCK_PROF           = 0
	CPUCLOCK_VIRT           = 1
	CPUCLOCK_SCHED          = 2
	CLOCKFD                 = 3
)

// CPUClockPID returns the process or thread of a CPU-time clock.
func (c ClockID) CPUClockPID() int32 { return int32(^(c >> 3)) }

// The interval timers.
const (
	ITIMER_REAL    = 0
	ITIMER_VIRTUAL = 1
	ITIMER_PROF    = 2
)

// TIMER_ABSTIME makes a time absolute.
const TIMER_ABSTIME = 1

// Flags of the timerfd calls.
const (
	TFD_CLOEXEC             = 0o2000000
	TFD_NONBLOCK            = 0o4000
	TFD_TIMER_ABSTIME       = 1
	TFD_TIMER_CANCEL_ON_SET = 2
	TFD_IOC_SET_TICKS       = 0x40085400
)
