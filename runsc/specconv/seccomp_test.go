package specconv

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/bpf"
)

func number[T any](v T) *T { return &v }

func arg(index uint, op specs.LinuxSeccompOperator, v ...uint64) specs.LinuxSeccompArg {
	a := specs.LinuxSeccompArg{Index: index, Op: op, Value: v[0]}
	if len(v) > 1 {
		a.ValueTwo = v[1]
	}
	return a
}

func profileProgram(t *testing.T, s *specs.LinuxSeccomp) bpf.Program {
	t.Helper()
	code, _, err := Seccomp(&specs.Spec{Linux: &specs.Linux{Seccomp: s}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := bpf.New(code)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSeccompProfile(t *testing.T) {
	const eperm, enosys = linux.SECCOMP_RET_ERRNO | uint32(errno.EPERM), linux.SECCOMP_RET_ERRNO | uint32(errno.ENOSYS)
	const allow = linux.SECCOMP_RET_ALLOW
	const read, dup, clone, socket, personality, getppid, clone3, openat2 = 0, 32, 56, 41, 135, 110, 435, 437
	p := profileProgram(t, &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		Flags:         []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "write", "no_such_call"}, Action: specs.ActAllow},
			{Names: []string{"clone"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(0, specs.OpMaskedEqual, 0x7e020000, 0)}},
			{Names: []string{"personality"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
				arg(0, specs.OpEqualTo, 0), arg(0, specs.OpEqualTo, 8)}},
			{Names: []string{"socket"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
				arg(0, specs.OpLessThan, 3), arg(1, specs.OpNotEqual, 2)}},
			{Names: []string{"dup"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(0, specs.OpGreaterThan, 1<<40)}},
			{Names: []string{"dup"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{arg(0, specs.OpLessThan, 0)}},
			{Names: []string{"getppid"}, Action: specs.ActTrap},
			{Names: []string{"getppid"}, Action: specs.ActAllow},
			{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: number(uint(errno.ENOSYS))},
		},
	})
	for _, c := range []struct {
		nr   int32
		args [6]uint64
		want uint32
	}{
		{nr: read, want: allow},
		{nr: clone, args: [6]uint64{17}, want: allow},
		{nr: clone, args: [6]uint64{linux.CLONE_NEWUSER}, want: eperm},
		{nr: personality, args: [6]uint64{8}, want: allow},
		{nr: personality, args: [6]uint64{9}, want: eperm},
		{nr: socket, args: [6]uint64{2, 1}, want: allow},
		{nr: socket, args: [6]uint64{2, 2}, want: eperm},
		{nr: socket, args: [6]uint64{3, 1}, want: eperm},
		{nr: dup, args: [6]uint64{1 << 40}, want: eperm},
		{nr: dup, args: [6]uint64{1<<40 + 1}, want: allow},
		{nr: getppid, want: linux.SECCOMP_RET_TRAP},
		{nr: clone3, want: enosys},
		{nr: 169, want: eperm},      // reboot
		{nr: openat2, want: enosys}, // newer than all that the profile names
		{nr: linux.X32Bit, want: eperm},
	} {
		d := linux.SeccompData{Nr: c.nr, Arch: linux.AUDIT_ARCH_X86_64, Args: c.args}
		if got := p.Run(&d); got != c.want {
			t.Errorf("call %d %v: %#x, want %#x", c.nr, c.args, got, c.want)
		}
	}
}

func TestSeccompThatAllowsEverythingIsNone(t *testing.T) {
	code, warnings, err := Seccomp(&specs.Spec{Linux: &specs.Linux{Seccomp: &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}}})
	if code != nil || warnings != nil || err != nil {
		t.Errorf("%v %v %v", code, warnings, err)
	}
}

func TestSeccompMistakes(t *testing.T) {
	call := func(c specs.LinuxSyscall) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{c}}
	}
	for words, s := range map[string]*specs.LinuxSeccomp{
		"defaultAction":           {Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}}},
		`"SCMP_ACT_MAYBE"`:        {DefaultAction: "SCMP_ACT_MAYBE"},
		"takes no errnoRet":       {DefaultAction: specs.ActKill, DefaultErrnoRet: number(uint(1))},
		"too large":               {DefaultAction: specs.ActErrno, DefaultErrnoRet: number(uint(1 << 20))},
		`flag "SECCOMP_NO"`:       {DefaultAction: specs.ActErrno, Flags: []specs.LinuxSeccompFlag{"SECCOMP_NO"}},
		"no argument 6":           call(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActKill, Args: []specs.LinuxSeccompArg{arg(6, specs.OpEqualTo, 0)}}),
		`operator "SCMP_CMP_ODD"`: call(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActKill, Args: []specs.LinuxSeccompArg{arg(0, "SCMP_CMP_ODD", 0)}}),
	} {
		_, _, err := Seccomp(&specs.Spec{Linux: &specs.Linux{Seccomp: s}})
		if err == nil || !strings.Contains(err.Error(), words) || !strings.HasPrefix(err.Error(), "linux.seccomp: ") {
			t.Errorf("%s: %v", words, err)
		}
	}
}
