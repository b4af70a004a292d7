// Package seccomp builds the filters that bind our own processes, and installs
// them.
//
// A Filter is a list of Rules and a default action. A rule names a call, may
// check arguments, says what happens, and says why the process needs the call:
// a rule without a reason does not build. The program looks the call up by
// binary search over ranges of neighbouring calls with the same outcome, then
// checks arguments; a call of another architecture, or of x32, never reaches
// the rules. At the Sentry's forty calls a system call costs six or seven
// comparisons.
//
// Build is pure, and its tests run the program in internal/bpf against the
// rules; Install is the only function that touches the host, and there is no
// way back from it. The package takes no lock.
package seccomp

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
)

// Action is what happens to a call: a SECCOMP_RET value.
type Action uint32

// The actions that need no more than their name.
const (
	Allow       Action = linux.SECCOMP_RET_ALLOW
	Log         Action = linux.SECCOMP_RET_LOG
	Trace       Action = linux.SECCOMP_RET_TRACE
	Notify      Action = linux.SECCOMP_RET_USER_NOTIF
	Trap        Action = linux.SECCOMP_RET_TRAP
	KillThread  Action = linux.SECCOMP_RET_KILL_THREAD
	KillProcess Action = linux.SECCOMP_RET_KILL_PROCESS
)

// Fail makes a call return e without being carried out.
func Fail(e errno.Errno) Action {
	return Action(linux.SECCOMP_RET_ERRNO | uint32(e)&0xfff)
}

// TrapWith is Trap with a value that the SIGSYS handler finds in si_errno.
func TrapWith(data uint16) Action { return Trap | Action(data) }

// Op is how a Check compares.
type Op uint8

// The comparisons. Arguments are unsigned and 64 bits wide.
const (
	// MaskedEqual holds when argument & Mask == Value.
	MaskedEqual Op = iota
	// MaskedNotEqual holds when argument & Mask != Value.
	MaskedNotEqual
	// AtMost holds when argument <= Value.
	AtMost
	// AtLeast holds when argument >= Value.
	AtLeast
)

// Check is a condition on one argument.
type Check struct {
	Arg   int // 0 to 5
	Op    Op
	Mask  uint64 // of MaskedEqual and MaskedNotEqual
	Value uint64
}

// Equal holds when the whole 64-bit argument is v.
func Equal(arg int, v uint64) Check { return Check{arg, MaskedEqual, ^uint64(0), v} }

// Equal32 holds when the argument's lower half is v: for an int or unsigned
// argument, whose upper half the kernel ignores.
func Equal32(arg int, v uint32) Check { return Check{arg, MaskedEqual, 0xffffffff, uint64(v)} }

// NotEqual32 holds when the argument's lower half is not v.
func NotEqual32(arg int, v uint32) Check { return Check{arg, MaskedNotEqual, 0xffffffff, uint64(v)} }

// OnlyBits holds when the argument has no bit outside allowed.
func OnlyBits(arg int, allowed uint64) Check { return Check{arg, MaskedEqual, ^allowed, 0} }

// NoBits holds when the argument has no bit of forbidden.
func NoBits(arg int, forbidden uint64) Check { return Check{arg, MaskedEqual, forbidden, 0} }

// Max holds when the argument is at most v.
func Max(arg int, v uint64) Check { return Check{Arg: arg, Op: AtMost, Value: v} }

// Min holds when the argument is at least v.
func Min(arg int, v uint64) Check { return Check{Arg: arg, Op: AtLeast, Value: v} }

// Rule decides about one call. Where several rules name a call the first whose
// checks all hold decides; where none does, the default.
type Rule struct {
	Call   sysno.ID
	Checks []Check
	Action Action
	Reason string // what in our code makes the call, and for what
}

// Filter is what a process may do.
type Filter struct {
	Rules   []Rule
	Default Action

	// Foreign is for calls of another architecture and of x32. It is as
	// written, so a Filter without it kills the thread.
	Foreign Action
}

// Evaluate says what the filter's rules mean for a call: what the program that
// Build makes returns, found the slow way. Audits and tests use it.
func (f *Filter) Evaluate(d *linux.SeccompData) Action {
	arch, auditArch := native()
	if d.Arch != auditArch || uint32(d.Nr)&linux.X32Bit != 0 || d.Nr < 0 {
		return f.Foreign
	}
	id := sysno.Lookup(arch, uint64(d.Nr))
	for _, r := range f.Rules {
		if r.Call != id || id == sysno.None {
			continue
		}
		if !slices.ContainsFunc(r.Checks, func(c Check) bool { return !c.holds(d.Args[c.Arg]) }) {
			return r.Action
		}
	}
	return f.Default
}

func (c Check) holds(v uint64) bool {
	switch c.Op {
	case MaskedEqual:
		return v&c.Mask == c.Value
	case MaskedNotEqual:
		return v&c.Mask != c.Value
	case AtMost:
		return v <= c.Value
	}
	return v >= c.Value
}

// validate names the first rule that is wrong.
func (f *Filter) validate() error {
	arch, _ := native()
	decided := map[sysno.ID]bool{}
	for i, r := range f.Rules {
		if err := r.validate(arch); err != nil {
			return fmt.Errorf("seccomp: rule %d for %v: %w", i, r.Call, err)
		}
		if decided[r.Call] {
			return fmt.Errorf("seccomp: rule %d for %v: an earlier rule without checks decides already", i, r.Call)
		}
		decided[r.Call] = len(r.Checks) == 0
	}
	return nil
}

func (r Rule) validate(arch sysno.Arch) error {
	if _, ok := r.Call.Number(arch); !ok {
		return fmt.Errorf("the architecture has no such call")
	}
	if strings.TrimSpace(r.Reason) == "" {
		return fmt.Errorf("no reason given")
	}
	for _, c := range r.Checks {
		switch {
		case c.Arg < 0 || c.Arg > 5:
			return fmt.Errorf("no argument %d", c.Arg)
		case c.Op > AtLeast:
			return fmt.Errorf("unknown comparison %d", c.Op)
		case c.Op <= MaskedNotEqual && c.Value&^c.Mask != 0:
			return fmt.Errorf("value %#x has bits outside mask %#x, so no argument is equal", c.Value, c.Mask)
		}
	}
	return nil
}

// native returns the architecture that this program runs on.
func native() (sysno.Arch, uint32) {
	if runtime.GOARCH == "arm64" {
		return sysno.ARM64, linux.AUDIT_ARCH_AARCH64
	}
	return sysno.AMD64, linux.AUDIT_ARCH_X86_64
}
