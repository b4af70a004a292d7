package linux

// Options of the wait family.
const (
	WNOHANG    = 0x1
	WUNTRACED  = 0x2
	WSTOPPED   = 0x2
	WEXITED    = 0x4
	WCONTINUED = 0x8
	WNOWAIT    = 0x1000000
	WNOTHREAD  = 0x20000000
	WALL       = 0x40000000
	WCLONE     = 0x80000000
)

// What waitid(2) waits for.
const (
	P_ALL   = 0
	P_PID   = 1
	P_PGID  = 2
	P_PIDFD = 3
)

// WaitStatus is the status that wait4(2) stores.
type WaitStatus uint32

// coreDumped is set beside the signal of a process that left a core.
const coreDumped = 0x80

// ExitStatus returns the status of a process that exited with code.
func ExitStatus(code int32) WaitStatus { return WaitStatus(code&0xff) << 8 }

// KilledStatus returns the status of a process that a signal ended.
func KilledStatus(s Signal) WaitStatus { return WaitStatus(s) & 0x7f }

// CoreStatus returns the status of a process that a signal ended with a core.
func CoreStatus(s Signal) WaitStatus { return KilledStatus(s) | coreDumped }

// StoppedStatus returns the status of a stopped process. event is 0, or the
// PTRACE_EVENT of the stop.
func StoppedStatus(s Signal, event uint32) WaitStatus {
	return WaitStatus(event)<<16 | WaitStatus(s)&0xff<<8 | 0x7f
}

// ContinuedStatus is the status of a process that went on after a stop.
const ContinuedStatus WaitStatus = 0xffff

// Exited reports a normal exit.
func (w WaitStatus) Exited() bool { return w&0x7f == 0 }

// ExitCode is the exit code after Exited.
func (w WaitStatus) ExitCode() int32 { return int32(w >> 8 & 0xff) }

// Signaled reports an end by a signal.
func (w WaitStatus) Signaled() bool { return w&0x7f != 0 && w&0x7f != 0x7f }

// TermSignal is the signal after Signaled.
func (w WaitStatus) TermSignal() Signal { return Signal(w & 0x7f) }

// CoreDumped reports a core after Signaled.
func (w WaitStatus) CoreDumped() bool { return w.Signaled() && w&coreDumped != 0 }

// Stopped reports a stop.
func (w WaitStatus) Stopped() bool { return w&0xff == 0x7f }

// StopSignal is the signal after Stopped.
func (w WaitStatus) StopSignal() Signal { return Signal(w >> 8 & 0xff) }

// Continued reports the end of a stop.
func (w WaitStatus) Continued() bool { return w == ContinuedStatus }
