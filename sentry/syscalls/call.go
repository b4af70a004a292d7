// Package syscalls holds the system call handlers and their table. A handler
// reads like its manual page: check flags, look up objects, do it, store
// results. What it works on lives in the packages below.
//
// A call is declared once, with its handler, in the list of its family:
//
//	call2(sysno.Pipe2, pipe2, except("O_NOTIFICATION_PIPE"))
//
// and the dispatch of every architecture, the trace line, the support page and
// the list that the conformance tests walk follow from it. The types of the
// handler's parameters say how registers are read (Linux truncates an int
// argument, and so does the conversion) and how a trace prints them.
//
// A call that Linux leaves out when a feature is not configured is declared
// with unconfigured, the errno and the reason; one that is in no list does not
// pass the tests.
//
// Cost: dispatch through the typed adapters is about 8 ns.
package syscalls

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Call is one declared system call.
type Call struct {
	ID      sysno.ID
	Support Support

	handle func(t *kernel.Task, a *[6]uint64) (uint64, error)
	steady bool
	args   []func(m usermem.Memory, v uint64) string
}

// Support says how much of a call there is.
type Support struct {
	// Errno is zero for an implemented call; otherwise what the call fails
	// with, as on a Linux without the feature.
	Errno errno.Errno
	// Missing lists flags or commands of an implemented call that fail.
	Missing []string
	// Reason says why something is missing.
	Reason string
}

// Implemented says whether there is a handler.
func (s Support) Implemented() bool { return s.Errno == 0 }

// full is a call with everything that Linux has.
var full = Support{}

// except is a call without the named flags or commands.
func except(missing ...string) Support { return Support{Missing: missing} }

// unconfigured declares a call that fails as it does on a Linux built without
// the feature.
func unconfigured(id sysno.ID, e errno.Errno, reason string) Call {
	return Call{
		ID:      id,
		Support: Support{Errno: e, Reason: reason},
		handle:  func(*kernel.Task, *[6]uint64) (uint64, error) { return 0, e },
	}
}

// steady declares that a call's result depends on the task alone, and changes
// only where the kernel says so (Kernel.answersChanged).
func steady(c Call) Call {
	c.steady = true
	return c
}

// arg is what a register can be read as.
type arg interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

func call0(id sysno.ID, f func(*kernel.Task) (uint64, error), s Support) Call {
	return Call{ID: id, Support: s,
		handle: func(t *kernel.Task, _ *[6]uint64) (uint64, error) { return f(t) }}
}

func call1[A arg](id sysno.ID, f func(*kernel.Task, A) (uint64, error), s Support) Call {
	return Call{ID: id, Support: s, args: []traceArg{trace[A]},
		handle: func(t *kernel.Task, a *[6]uint64) (uint64, error) { return f(t, A(a[0])) }}
}

func call2[A, B arg](id sysno.ID, f func(*kernel.Task, A, B) (uint64, error), s Support) Call {
	return Call{ID: id, Support: s, args: []traceArg{trace[A], trace[B]},
		handle: func(t *kernel.Task, a *[6]uint64) (uint64, error) { return f(t, A(a[0]), B(a[1])) }}
}

func call3[A, B, C arg](id sysno.ID, f func(*kernel.Task, A, B, C) (uint64, error), s Support) Call {
	return Call{ID: id, Support: s, args: []traceArg{trace[A], trace[B], trace[C]},
		handle: func(t *kernel.Task, a *[6]uint64) (uint64, error) { return f(t, A(a[0]), B(a[1]), C(a[2])) }}
}

func call4[A, B, C, D arg](id sysno.ID, f func(*kernel.Task, A, B, C, D) (uint64, error), s Support) Call {
	return Call{ID: id, Support: s, args: []traceArg{trace[A], trace[B], trace[C], trace[D]},
		handle: func(t *kernel.Task, a *[6]uint64) (uint64, error) {
			return f(t, A(a[0]), B(a[1]), C(a[2]), D(a[3]))
		}}
}

func call5[A, B, C, D, E arg](id sysno.ID, f func(*kernel.Task, A, B, C, D, E) (uint64, error), s Support) Call {
	return Call{ID: id, Support: s, args: []traceArg{trace[A], trace[B], trace[C], trace[D], trace[E]},
		handle: func(t *kernel.Task, a *[6]uint64) (uint64, error) {
			return f(t, A(a[0]), B(a[1]), C(a[2]), D(a[3]), E(a[4]))
		}}
}

func call6[A, B, C, D, E, F arg](id sysno.ID, f func(*kernel.Task, A, B, C, D, E, F) (uint64, error), s Support) Call {
	return Call{ID: id, Support: s, args: []traceArg{trace[A], trace[B], trace[C], trace[D], trace[E], trace[F]},
		handle: func(t *kernel.Task, a *[6]uint64) (uint64, error) {
			return f(t, A(a[0]), B(a[1]), C(a[2]), D(a[3]), E(a[4]), F(a[5]))
		}}
}

type traceArg = func(m usermem.Memory, v uint64) string

// trace prints one argument by its type: a Trace method may look at memory, a
// String method names flags, anything else is a number.
func trace[A arg](m usermem.Memory, v uint64) string {
	switch x := any(A(v)).(type) {
	case interface{ Trace(usermem.Memory) string }:
		return x.Trace(m)
	case fmt.Stringer:
		return x.String()
	case uint64, uintptr:
		if v > 0xffff {
			return "0x" + strconv.FormatUint(v, 16)
		}
	}
	return fmt.Sprint(A(v))
}

// enter is the trace line of a call before its result.
func (c *Call) enter(m usermem.Memory, a *[6]uint64) string {
	var b strings.Builder
	b.WriteString(c.ID.String())
	b.WriteByte('(')
	for i, f := range c.args {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f(m, a[i]))
	}
	b.WriteByte(')')
	return b.String()
}
