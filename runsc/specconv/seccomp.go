package specconv

import (
	"fmt"
	"math"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
)

// Seccomp is the program for linux.seccomp, which every process of the
// container starts with, nil when it asks for none; and warnings.
func Seccomp(spec *specs.Spec) ([]linux.SockFilter, []string, error) {
	if spec == nil || spec.Linux == nil || spec.Linux.Seccomp == nil {
		return nil, nil, nil
	}
	var p Plan
	code, err := p.seccomp(spec.Linux.Seccomp)
	if err != nil {
		return nil, nil, fmt.Errorf("linux.seccomp: %w", err)
	}
	return code, p.Warnings, nil
}

// SeccompActions, SeccompOperators and SeccompArchitectures are what a profile
// may name.
func SeccompActions() []string {
	return sortedKeys(seccompActions)
}

// SeccompOperators lists the comparisons.
func SeccompOperators() []string {
	return []string{
		string(specs.OpEqualTo), string(specs.OpGreaterEqual), string(specs.OpGreaterThan), string(specs.OpLessEqual),
		string(specs.OpLessThan), string(specs.OpMaskedEqual), string(specs.OpNotEqual),
	}
}

// SeccompArchitectures lists the architectures that a guest can have.
func SeccompArchitectures() []string { return []string{string(specs.ArchX86_64)} }

func sortedKeys(m map[specs.LinuxSeccompAction]seccomp.Action) []string {
	var names []string
	for name := range m {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names
}

var seccompActions = map[specs.LinuxSeccompAction]seccomp.Action{
	specs.ActKill:        seccomp.KillThread,
	specs.ActKillThread:  seccomp.KillThread,
	specs.ActKillProcess: seccomp.KillProcess,
	specs.ActTrap:        seccomp.Trap,
	specs.ActErrno:       linux.SECCOMP_RET_ERRNO,
	specs.ActTrace:       seccomp.Trace,
	specs.ActAllow:       seccomp.Allow,
	specs.ActLog:         seccomp.Log,
	specs.ActNotify:      seccomp.Notify,
}

func (p *Plan) seccomp(s *specs.LinuxSeccomp) ([]linux.SockFilter, error) {
	if len(s.Syscalls) == 0 && (s.DefaultAction == "" || s.DefaultAction == specs.ActAllow) {
		return nil, nil // runc reads an empty profile like this too
	}
	if err := checkSeccompFlags(s.Flags); err != nil {
		return nil, err
	}
	f := seccomp.Filter{Foreign: seccomp.KillProcess}
	var err error
	if f.Default, err = seccompAction(s.DefaultAction, s.DefaultErrnoRet); err != nil {
		return nil, fmt.Errorf("defaultAction: %w", err)
	}
	if slices.Contains(s.Architectures, specs.ArchX32) {
		f.Foreign = f.Default // the Sentry knows no call of x32
	}
	var b profile
	for i, call := range s.Syscalls {
		if err := b.add(call, f.Default); err != nil {
			return nil, fmt.Errorf("syscalls[%d]: %w", i, err)
		}
	}
	if b.notifies || f.Default == seccomp.Notify {
		p.warnf("linux.seccomp: a listener is not supported: calls with %s fail with ENOSYS", specs.ActNotify)
	}
	f.Rules = b.rules
	code, err := f.Build()
	if err != nil {
		return nil, err
	}
	if f.Default != seccomp.Allow && f.Default != seccomp.Log {
		code = append(newerIsMissing(b.highest), code...)
	}
	if len(code) > linux.BPF_MAXINSNS {
		return nil, fmt.Errorf("the program has %d instructions, more than %d", len(code), linux.BPF_MAXINSNS)
	}
	return code, nil
}

func checkSeccompFlags(flags []specs.LinuxSeccompFlag) error {
	for _, f := range flags {
		switch f {
		case specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, "SECCOMP_FILTER_FLAG_TSYNC":
			// Without effect: no audit log, no speculation of our own, one thread.
		default:
			return fmt.Errorf("flag %q is not supported", f)
		}
	}
	return nil
}

func seccompAction(name specs.LinuxSeccompAction, data *uint) (seccomp.Action, error) {
	a, ok := seccompActions[name]
	if !ok {
		return 0, fmt.Errorf("action %q is not known", name)
	}
	if a != linux.SECCOMP_RET_ERRNO && a != seccomp.Trace {
		if data != nil {
			return 0, fmt.Errorf("action %s takes no errnoRet", name)
		}
		return a, nil
	}
	v := uint(errno.EPERM)
	if data != nil {
		v = *data
	}
	if v > math.MaxInt16 {
		return 0, fmt.Errorf("errnoRet %d is too large", v)
	}
	return a | seccomp.Action(v), nil
}

// profile gathers rules.
type profile struct {
	rules    []seccomp.Rule
	decided  map[sysno.ID]bool // by a rule without checks
	highest  uint32            // number of a call that the profile names
	notifies bool
}

// add adds the rules of one entry. Names that this architecture has no call for
// are passed over, as profiles are written for all of them.
func (b *profile) add(call specs.LinuxSyscall, otherwise seccomp.Action) error {
	action, err := seccompAction(call.Action, call.ErrnoRet)
	if err != nil {
		return err
	}
	alternatives, err := seccompChecks(call.Args)
	if err != nil {
		return err
	}
	b.notifies = b.notifies || action == seccomp.Notify
	if b.decided == nil {
		b.decided = map[sysno.ID]bool{}
	}
	for _, name := range call.Names {
		id := sysno.Parse(name)
		nr, ok := id.Number(sysno.AMD64)
		if !id.Valid() || !ok {
			continue
		}
		b.highest = max(b.highest, uint32(nr))
		for _, checks := range alternatives {
			if action == otherwise || b.decided[id] {
				continue
			}
			b.rules = append(b.rules, seccomp.Rule{Call: id, Checks: checks, Action: action, Reason: "linux.seccomp"})
			b.decided[id] = len(checks) == 0
		}
	}
	return nil
}

// seccompChecks returns what has to hold: all checks of one of the lists. An
// argument that is named twice makes every check an alternative, as runc has it.
func seccompChecks(args []specs.LinuxSeccompArg) ([][]seccomp.Check, error) {
	var all [6]int
	var checks []seccomp.Check
	never, twice := false, false
	for _, a := range args {
		if a.Index >= uint(len(all)) {
			return nil, fmt.Errorf("there is no argument %d", a.Index)
		}
		all[a.Index]++
		twice = twice || all[a.Index] > 1
		c, can, err := seccompCheck(a)
		if err != nil {
			return nil, err
		}
		if !can {
			never = true
			continue
		}
		checks = append(checks, c)
	}
	if twice {
		var each [][]seccomp.Check
		for _, c := range checks {
			each = append(each, []seccomp.Check{c})
		}
		return each, nil
	}
	if never {
		return nil, nil
	}
	return [][]seccomp.Check{checks}, nil
}

// seccompCheck returns a check, and whether it can hold at all.
func seccompCheck(a specs.LinuxSeccompArg) (_ seccomp.Check, can bool, _ error) {
	i, v := int(a.Index), a.Value
	switch a.Op {
	case specs.OpEqualTo:
		return seccomp.Equal(i, v), true, nil
	case specs.OpNotEqual:
		return seccomp.Check{Arg: i, Op: seccomp.MaskedNotEqual, Mask: math.MaxUint64, Value: v}, true, nil
	case specs.OpLessThan:
		return seccomp.Max(i, v-1), v != 0, nil
	case specs.OpLessEqual:
		return seccomp.Max(i, v), true, nil
	case specs.OpGreaterThan:
		return seccomp.Min(i, v+1), v != math.MaxUint64, nil
	case specs.OpGreaterEqual:
		return seccomp.Min(i, v), true, nil
	case specs.OpMaskedEqual:
		return seccomp.Check{Arg: i, Op: seccomp.MaskedEqual, Mask: v, Value: a.ValueTwo & v}, true, nil
	}
	return seccomp.Check{}, false, fmt.Errorf("operator %q is not known", a.Op)
}

// newerIsMissing is the beginning of a program whose default is not to allow:
// calls that are newer than all that the profile names fail with ENOSYS, for a
// libc tries them and then goes back to older ones only for that error.
func newerIsMissing(highest uint32) []linux.SockFilter {
	const load, jump, ret = linux.BPF_LD | linux.BPF_W | linux.BPF_ABS, linux.BPF_JMP | linux.BPF_K, linux.BPF_RET | linux.BPF_K
	const nr, arch = 0, 4
	return []linux.SockFilter{
		{Code: load, K: arch},
		{Code: jump | linux.BPF_JEQ, K: linux.AUDIT_ARCH_X86_64, JF: 4},
		{Code: load, K: nr},
		{Code: jump | linux.BPF_JGE, K: linux.X32Bit, JT: 2},
		{Code: jump | linux.BPF_JGT, K: highest, JF: 1},
		{Code: ret, K: linux.SECCOMP_RET_ERRNO | uint32(errno.ENOSYS)},
	}
}
