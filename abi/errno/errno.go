// Package errno is the error type of the kernel: a Linux error number.
//
// Inside the Sentry's kernel an error is an Errno and nothing else; it is
// decided where it is known and returned unchanged to the system call's
// result. Converting an Errno constant to an error does not allocate, and
// neither does a variable one below 256. What comes from the host enters
// through FromHost.
//
// The four restart codes never reach a workload: the end of the system call
// path turns them into a restart or into EINTR, depending on the signal.
package errno

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// Errno is a Linux error number. Zero is success and is never stored in an
// error value.
type Errno uint32

// What a blocked call that was interrupted by a signal asks for.
const (
	// ERESTARTSYS restarts when the handler has SA_RESTART, and when there
	// is no handler.
	ERESTARTSYS Errno = 512
	// ERESTARTNOINTR always restarts.
	ERESTARTNOINTR Errno = 513
	// ERESTARTNOHAND restarts only when no handler runs.
	ERESTARTNOHAND Errno = 514
	// ERESTART_RESTARTBLOCK restarts through restart_syscall(2), with what
	// is left of a timeout, when no handler runs.
	ERESTART_RESTARTBLOCK Errno = 516
)

var restarts = [...]text{
	0: {"ERESTARTSYS", "interrupted system call will restart unless a handler forbids it"},
	1: {"ERESTARTNOINTR", "interrupted system call will restart"},
	2: {"ERESTARTNOHAND", "interrupted system call will restart unless a handler runs"},
	4: {"ERESTART_RESTARTBLOCK", "interrupted system call will restart with its remaining time"},
}

// Error returns the text of strerror(3), in lower case.
func (e Errno) Error() string {
	if t := e.text(); t.message != "" {
		return t.message
	}
	return "errno " + strconv.FormatUint(uint64(e), 10)
}

// String returns the name, such as "ENOENT".
func (e Errno) String() string {
	if t := e.text(); t.name != "" {
		return t.name
	}
	return "errno " + strconv.FormatUint(uint64(e), 10)
}

func (e Errno) text() text {
	if uint64(e) < uint64(len(texts)) {
		return texts[e]
	}
	if i := e - ERESTARTSYS; uint64(i) < uint64(len(restarts)) {
		return restarts[i]
	}
	return text{}
}

// IsRestart reports whether e is one of the codes that ask for a restart.
func (e Errno) IsRestart() bool {
	switch e {
	case ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK:
		return true
	}
	return false
}

// Is makes errors.Is(ENOENT, fs.ErrNotExist) and a comparison with the host's
// number of the same value true, as they are for syscall.Errno.
func (e Errno) Is(target error) bool {
	if host, ok := target.(syscall.Errno); ok {
		return uintptr(e) == uintptr(host)
	}
	return syscall.Errno(e).Is(target)
}

// Of returns the number that a system call gives for err: 0 for nil, the Errno
// itself, and what FromHost says for anything else.
func Of(err error) Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(Errno); ok {
		return e
	}
	return FromHost(err)
}

// FromHost converts an error of a host call, of package os or of this package,
// however it is wrapped. An error that carries no number becomes EIO. It
// returns 0 for nil.
func FromHost(err error) Errno {
	if err == nil {
		return 0
	}
	if host, ok := err.(syscall.Errno); ok {
		return fromNumber(host)
	}
	var e Errno
	if errors.As(err, &e) {
		return e
	}
	var host syscall.Errno
	if errors.As(err, &host) {
		return fromNumber(host)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ENOENT
	case errors.Is(err, fs.ErrExist):
		return EEXIST
	case errors.Is(err, fs.ErrPermission):
		return EPERM
	case errors.Is(err, fs.ErrInvalid):
		return EINVAL
	case errors.Is(err, fs.ErrClosed):
		return EBADF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ETIMEDOUT
	}
	return EIO
}

// fromNumber lets through only what Linux may hand to a process: a number from
// outside the table, or a restart code, would be misread by the kernel.
func fromNumber(host syscall.Errno) Errno {
	if host == 0 || uint64(host) >= uint64(len(texts)) || texts[host].name == "" {
		return EIO
	}
	return Errno(host)
}
