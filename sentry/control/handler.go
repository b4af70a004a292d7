package control

import (
	"context"
	"os"
)

// Handler is what a Sentry can be asked to do. Calls come from several
// connections at once. An *Error keeps its kind; any other error is internal.
type Handler interface {
	// Start lets init, which boot has loaded, run its first instruction.
	// KindState when it was started before.
	Start() error
	// Exec starts one more process and returns its pid, as init sees it. The
	// handler owns files, also when it fails.
	Exec(p Process, files []*os.File) (pid int, err error)
	// Wait waits until the process with that pid, which is init or was made by
	// Exec, has ended, and says how. It may be asked again and by many. When ctx
	// ends it returns ctx.Err().
	Wait(ctx context.Context, pid int) (WaitStatus, error)
	// Signal sends a signal.
	Signal(SignalRequest) error
	// Processes lists the container's processes.
	Processes() ([]ProcessInfo, error)
	// Pause stops every process where it is, Resume lets them go on. Pausing
	// what is paused is no error.
	Pause() error
	Resume() error
	// Stats says what the sandbox has used.
	Stats() (Stats, error)
	// Resize sets the size of the terminal that the process with that pid got
	// at its start, and sends SIGWINCH there.
	Resize(pid int, size Winsize) error
}

// WaitStatus is how a process ended.
type WaitStatus struct {
	// ExitCode is the process's own status, 0 to 255, when Signal is 0.
	ExitCode int
	// Signal is the signal that killed it.
	Signal int `json:",omitempty"`
}

// Code is the exit status with which a process standing for it ends: what a
// shell would show, 128+N for signal N.
func (s WaitStatus) Code() int {
	if s.Signal != 0 {
		return 128 + s.Signal
	}
	return s.ExitCode
}

// InitPID is init's process id inside.
const InitPID = 1

// SignalRequest says which signal goes to whom.
type SignalRequest struct {
	Signal int
	// PID is the process. It is not looked at when Scope is ScopeAll.
	PID   int
	Scope Scope
}

// Scope says how far a signal goes.
type Scope string

// The scopes.
const (
	// ScopeProcess is the process alone, as kill(2) with a positive pid.
	ScopeProcess Scope = "process"
	// ScopeForeground is the foreground process group of the terminal that the
	// process got at its start; the process when it has none.
	ScopeForeground Scope = "foreground"
	// ScopeAll is every process of the container.
	ScopeAll Scope = "all"
)

// ProcessInfo is one line of ps.
type ProcessInfo struct {
	PID, PPID int
	UID       uint32
	// StartNS is in nanoseconds since the epoch, CPUNS in nanoseconds used.
	StartNS int64
	CPUNS   int64
	// TTY is "pts/0", or empty.
	TTY string
	// Command is the name, Args the command line (empty for a zombie).
	Command string
	Args    Strings
	Threads int
	// HostPID is the host process that carries the address space, as numbered in
	// the Sentry's pid namespace, or 0.
	HostPID int
}

// Stats is what a sandbox has used.
type Stats struct {
	UserNS, SystemNS int64
	MemoryBytes      uint64
	Processes        int
	Threads          int
}
