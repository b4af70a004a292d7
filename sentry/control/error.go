package control

import (
	"errors"
	"fmt"
)

// Kind classifies a failure for programs; the text is for people.
type Kind string

// The kinds of failure.
const (
	// KindInternal is everything without a kind of its own.
	KindInternal Kind = "internal"
	// KindNoProcess: there is no process with that number.
	KindNoProcess Kind = "no-process"
	// KindState: the container is not in a state that allows the call.
	KindState Kind = "state"
	// KindNoProgram: the program to be run was not found.
	KindNoProgram Kind = "no-program"
	// KindNotExecutable: the program was found and cannot be run.
	KindNotExecutable Kind = "not-executable"
	// KindInvalid: the request makes no sense.
	KindInvalid Kind = "invalid"
	// KindUnsupported: this Sentry cannot do that.
	KindUnsupported Kind = "unsupported"
)

// Error is a failure that keeps its kind on the way from the Sentry to runsc.
type Error struct {
	Kind Kind
	Text string
}

// Errorf makes an Error.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Error gives the text alone.
func (e *Error) Error() string { return e.Text }

// IsKind says whether err is, or wraps, an Error of that kind.
func IsKind(err error, kind Kind) bool {
	e := new(Error)
	return errors.As(err, &e) && e.Kind == kind
}
