package linux

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// Signal is a signal number.
type Signal int32

// The signals of amd64.
const (
	SIGHUP    Signal = 1
	SIGINT    Signal = 2
	SIGQUIT   Signal = 3
	SIGILL    Signal = 4
	SIGTRAP   Signal = 5
	SIGABRT   Signal = 6
	SIGBUS    Signal = 7
	SIGFPE    Signal = 8
	SIGKILL   Signal = 9
	SIGUSR1   Signal = 10
	SIGSEGV   Signal = 11
	SIGUSR2   Signal = 12
	SIGPIPE   Signal = 13
	SIGALRM   Signal = 14
	SIGTERM   Signal = 15
	SIGSTKFLT Signal = 16
	SIGCHLD   Signal = 17
	SIGCONT   Signal = 18
	SIGSTOP   Signal = 19
	SIGTSTP   Signal = 20
	SIGTTIN   Signal = 21
	SIGTTOU   Signal = 22
	SIGURG    Signal = 23
	SIGXCPU   Signal = 24
	SIGXFSZ   Signal = 25
	SIGVTALRM Signal = 26
	SIGPROF   Signal = 27
	SIGWINCH  Signal = 28
	SIGIO     Signal = 29
	SIGPWR    Signal = 30
	SIGSYS    Signal = 31
)

// Second names and bounds.
const (
	SIGIOT          = SIGABRT
	SIGPOLL         = SIGIO
	SIGRTMIN Signal = 32
	SIGRTMAX Signal = 64

	// NumSignals is the number of signals, the largest included.
	NumSignals = 64
)

var signalNames = [...]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
	9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
	16: "SIGSTKFLT", 17: "SIGCHLD", 18: "SIGCONT", 19: "SIGSTOP", 20: "SIGTSTP", 21: "SIGTTIN", 22: "SIGTTOU",
	23: "SIGURG", 24: "SIGXCPU", 25: "SIGXFSZ", 26: "SIGVTALRM", 27: "SIGPROF", 28: "SIGWINCH", 29: "SIGIO",
	30: "SIGPWR", 31: "SIGSYS",
}

// Valid reports whether s is between 1 and 64.
func (s Signal) Valid() bool { return s >= 1 && s <= SIGRTMAX }

// IsRealTime reports whether s is queued each time it is sent.
func (s Signal) IsRealTime() bool { return s >= SIGRTMIN && s <= SIGRTMAX }

// Bit returns the set that holds s alone, or the empty set for an invalid s.
func (s Signal) Bit() SignalSet {
	if !s.Valid() {
		return 0
	}
	return 1 << (s - 1)
}

// String returns the name, such as "SIGINT", or "SIGRT_3" for SIGRTMIN+3, the
// first of the kernel's real-time signals being SIGRTMIN.
func (s Signal) String() string {
	switch {
	case s > 0 && int(s) < len(signalNames):
		return signalNames[s]
	case s.IsRealTime():
		return "SIGRT_" + strconv.Itoa(int(s-SIGRTMIN))
	}
	return "signal " + strconv.Itoa(int(s))
}

// ParseSignal returns the signal with a name ("SIGTERM", "TERM", "term") or a
// number ("15"), and false when there is none.
func ParseSignal(name string) (Signal, bool) {
	if n, err := strconv.Atoi(name); err == nil {
		s := Signal(n)
		return s, s.Valid()
	}
	b := []byte(name)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	if len(b) < 3 || string(b[:3]) != "SIG" {
		b = append([]byte("SIG"), b...)
	}
	switch string(b) {
	case "SIGIOT":
		return SIGIOT, true
	case "SIGPOLL":
		return SIGPOLL, true
	case "SIGCLD":
		return SIGCHLD, true
	}
	for s := Signal(1); int(s) < len(signalNames); s++ {
		if signalNames[s] == string(b) {
			return s, true
		}
	}
	return 0, false
}

// SignalSet is a set of signals, sigset_t: bit 0 is signal 1.
type SignalSet uint64

// SignalSetSize is the size of a SignalSet that the kernel insists on.
const SignalSetSize = 8

// Unblockable are the signals that cannot be blocked, caught or ignored.
const Unblockable SignalSet = 1<<(SIGKILL-1) | 1<<(SIGSTOP-1)

// SetOf returns the set of the given signals.
func SetOf(signals ...Signal) SignalSet {
	var set SignalSet
	for _, s := range signals {
		set |= s.Bit()
	}
	return set
}

// Has reports whether s is in the set.
func (set SignalSet) Has(s Signal) bool { return set&s.Bit() != 0 }

// First returns the signal with the lowest number, or 0 for the empty set.
func (set SignalSet) First() Signal {
	if set == 0 {
		return 0
	}
	return Signal(bits.TrailingZeros64(uint64(set)) + 1)
}

// Len returns the number of signals in the set.
func (set SignalSet) Len() int { return bits.OnesCount64(uint64(set)) }

// String returns the names as strace shows them, such as "[SIGINT SIGTERM]".
func (set SignalSet) String() string {
	out := "["
	for rest := set; rest != 0; rest &= rest - 1 {
		if len(out) > 1 {
			out += " "
		}
		out += rest.First().String()
	}
	return out + "]"
}

// Ways of sigprocmask(2).
const (
	SIG_BLOCK   = 0
	SIG_UNBLOCK = 1
	SIG_SETMASK = 2
)

// Handlers that are not addresses.
const (
	SIG_DFL = 0
	SIG_IGN = 1
)

// Flags of a SigAction.
const (
	SA_NOCLDSTOP      = 0x1
	SA_NOCLDWAIT      = 0x2
	SA_SIGINFO        = 0x4
	SA_UNSUPPORTED    = 0x400
	SA_EXPOSE_TAGBITS = 0x800
	SA_RESTORER       = 0x04000000
	SA_ONSTACK        = 0x8000000
	SA_RESTART        = 0x10000000
	SA_NODEFER        = 0x40000000
	SA_RESETHAND      = 0x80000000
)

// SigAction is struct sigaction as the kernel has it, amd64.
type SigAction struct {
	Handler  uint64
	Flags    uint64
	Restorer uint64
	Mask     SignalSet
}

// StackT is stack_t.
type StackT struct {
	Addr  uint64
	Flags uint32
	_     [4]byte
	Size  uint64
}

// States of an alternate stack.
const (
	SS_ONSTACK    = 1
	SS_DISABLE    = 2
	SS_AUTODISARM = 0x80000000
	MINSIGSTKSZ   = 2048
)

// Codes of a SigInfo that any signal can have.
const (
	SI_USER     = 0
	SI_KERNEL   = 128
	SI_QUEUE    = -1
	SI_TIMER    = -2
	SI_MESGQ    = -3
	SI_ASYNCIO  = -4
	SI_SIGIO    = -5
	SI_TKILL    = -6
	SI_DETHREAD = -7
	SI_ASYNCNL  = -60
)

// Codes of one signal.
const (
	ILL_ILLOPC        = 1
	ILL_ILLOPN        = 2
	ILL_ILLADR        = 3
	ILL_ILLTRP        = 4
	ILL_PRVOPC        = 5
	ILL_PRVREG        = 6
	ILL_COPROC        = 7
	ILL_BADSTK        = 8
	FPE_INTDIV        = 1
	FPE_INTOVF        = 2
	FPE_FLTDIV        = 3
	FPE_FLTOVF        = 4
	FPE_FLTUND        = 5
	FPE_FLTRES        = 6
	FPE_FLTINV        = 7
	FPE_FLTSUB        = 8
	SEGV_MAPERR       = 1
	SEGV_ACCERR       = 2
	SEGV_BNDERR       = 3
	SEGV_PKUERR       = 4
	BUS_ADRALN        = 1
	BUS_ADRERR        = 2
	BUS_OBJERR        = 3
	BUS_MCEERR_AR     = 4
	BUS_MCEERR_AO     = 5
	TRAP_BRKPT        = 1
	TRAP_TRACE        = 2
	TRAP_BRANCH       = 3
	TRAP_HWBKPT       = 4
	CLD_EXITED        = 1
	CLD_KILLED        = 2
	CLD_DUMPED        = 3
	CLD_TRAPPED       = 4
	CLD_STOPPED       = 5
	CLD_CONTINUED     = 6
	POLL_IN           = 1
	POLL_OUT          = 2
	POLL_MSG          = 3
	POLL_ERR          = 4
	POLL_PRI          = 5
	POLL_HUP          = 6
	SYS_SECCOMP       = 1
	SYS_USER_DISPATCH = 2
)

// Ways in which a timer notifies.
const (
	SIGEV_SIGNAL    = 0
	SIGEV_NONE      = 1
	SIGEV_THREAD    = 2
	SIGEV_THREAD_ID = 4
)

// SigEvent is struct sigevent.
type SigEvent struct {
	Value  uint64
	Signo  int32
	Notify int32
	TID    int32
	_      [44]byte
}

// SigInfo is siginfo_t. What follows the code depends on the signal: use the
// methods.
type SigInfo struct {
	Signo  int32
	Errno  int32
	Code   int32
	_      [4]byte
	Fields [112]byte
}

func (s *SigInfo) i32(at int) int32        { return int32(binary.LittleEndian.Uint32(s.Fields[at:])) }
func (s *SigInfo) setI32(at int, v int32)  { binary.LittleEndian.PutUint32(s.Fields[at:], uint32(v)) }
func (s *SigInfo) u64(at int) uint64       { return binary.LittleEndian.Uint64(s.Fields[at:]) }
func (s *SigInfo) setU64(at int, v uint64) { binary.LittleEndian.PutUint64(s.Fields[at:], v) }

// PID is si_pid: the sender, or the child of a SIGCHLD.
func (s *SigInfo) PID() int32 { return s.i32(0) }

// SetPID sets si_pid.
func (s *SigInfo) SetPID(v int32) { s.setI32(0, v) }

// UID is si_uid: the real user ID of the sender or child.
func (s *SigInfo) UID() uint32 { return uint32(s.i32(4)) }

// SetUID sets si_uid.
func (s *SigInfo) SetUID(v uint32) { s.setI32(4, int32(v)) }

// Value is si_value of sigqueue(3) and of POSIX timers.
func (s *SigInfo) Value() uint64 { return s.u64(8) }

// SetValue sets si_value.
func (s *SigInfo) SetValue(v uint64) { s.setU64(8, v) }

// TimerID is si_timerid.
func (s *SigInfo) TimerID() int32 { return s.i32(0) }

// SetTimerID sets si_timerid.
func (s *SigInfo) SetTimerID(v int32) { s.setI32(0, v) }

// Overrun is si_overrun.
func (s *SigInfo) Overrun() int32 { return s.i32(4) }

// SetOverrun sets si_overrun.
func (s *SigInfo) SetOverrun(v int32) { s.setI32(4, v) }

// Status is si_status of a SIGCHLD.
func (s *SigInfo) Status() int32 { return s.i32(8) }

// SetStatus sets si_status.
func (s *SigInfo) SetStatus(v int32) { s.setI32(8, v) }

// Utime is si_utime of a SIGCHLD, in clock ticks.
func (s *SigInfo) Utime() int64 { return int64(s.u64(16)) }

// SetUtime sets si_utime.
func (s *SigInfo) SetUtime(v int64) { s.setU64(16, uint64(v)) }

// Stime is si_stime of a SIGCHLD, in clock ticks.
func (s *SigInfo) Stime() int64 { return int64(s.u64(24)) }

// SetStime sets si_stime.
func (s *SigInfo) SetStime(v int64) { s.setU64(24, uint64(v)) }

// Addr is si_addr of a fault.
func (s *SigInfo) Addr() uint64 { return s.u64(0) }

// SetAddr sets si_addr.
func (s *SigInfo) SetAddr(v uint64) { s.setU64(0, v) }

// Band is si_band of SIGIO.
func (s *SigInfo) Band() int64 { return int64(s.u64(0)) }

// SetBand sets si_band.
func (s *SigInfo) SetBand(v int64) { s.setU64(0, uint64(v)) }

// FD is si_fd of SIGIO.
func (s *SigInfo) FD() FD { return FD(s.i32(8)) }

// SetFD sets si_fd.
func (s *SigInfo) SetFD(v FD) { s.setI32(8, int32(v)) }

// CallAddr is si_call_addr of SIGSYS.
func (s *SigInfo) CallAddr() uint64 { return s.u64(0) }

// SetCallAddr sets si_call_addr.
func (s *SigInfo) SetCallAddr(v uint64) { s.setU64(0, v) }

// Syscall is si_syscall of SIGSYS.
func (s *SigInfo) Syscall() int32 { return s.i32(8) }

// SetSyscall sets si_syscall.
func (s *SigInfo) SetSyscall(v int32) { s.setI32(8, v) }

// Arch is si_arch of SIGSYS, an AUDIT_ARCH value.
func (s *SigInfo) Arch() uint32 { return uint32(s.i32(12)) }

// SetArch sets si_arch.
func (s *SigInfo) SetArch(v uint32) { s.setI32(12, int32(v)) }

// SignalfdSiginfo is struct signalfd_siginfo.
type SignalfdSiginfo struct {
	Signo    uint32
	Errno    int32
	Code     int32
	PID      uint32
	UID      uint32
	FD       int32
	TID      uint32
	Band     uint32
	Overrun  uint32
	Trapno   uint32
	Status   int32
	Int      int32
	Ptr      uint64
	Utime    uint64
	Stime    uint64
	Addr     uint64
	AddrLsb  uint16
	_        [2]byte
	Syscall  int32
	CallAddr uint64
	Arch     uint32
	_        [28]byte
}

// Flags of signalfd4(2).
const (
	SFD_CLOEXEC  = 0o2000000
	SFD_NONBLOCK = 0o4000
)

// Flags of pidfd_open(2) and pidfd_send_signal(2).
const (
	PIDFD_NONBLOCK             = 0x800
	PIDFD_THREAD               = 0x80
	PIDFD_SIGNAL_THREAD        = 1
	PIDFD_SIGNAL_THREAD_GROUP  = 2
	PIDFD_SIGNAL_PROCESS_GROUP = 4
)
