package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

func in(code uint16, k uint32) linux.SockFilter { return linux.SockFilter{Code: code, K: k} }

const allow = linux.SECCOMP_RET_ALLOW

// TestChecks has what a Linux 6.18 said of the same programs.
func TestChecks(t *testing.T) {
	for _, c := range []struct {
		name string
		ok   bool
		code []linux.SockFilter
	}{
		{"empty", false, nil},
		{"modulo", false, []linux.SockFilter{in(loadImm, 7), in(linux.BPF_ALU|linux.BPF_MOD|linux.BPF_K, 2), in(returnK, allow)}},
		{"shift by 32", false, []linux.SockFilter{in(shiftLK, 32), in(returnK, allow)}},
		{"shift by 31", true, []linux.SockFilter{in(shiftLK, 31), in(returnK, allow)}},
		{"division by constant 0", false, []linux.SockFilter{in(divK, 0), in(returnK, allow)}},
		{"division by X", true, []linux.SockFilter{in(divX, 0), in(returnK, allow)}},
		{"unwritten scratch", false, []linux.SockFilter{in(loadMem, 3), in(returnK, allow)}},
		{"scratch 16", false, []linux.SockFilter{in(store, 16), in(returnK, allow)}},
		{"load at 62", false, []linux.SockFilter{in(loadAbs, 62), in(returnK, allow)}},
		{"load at 64", false, []linux.SockFilter{in(loadAbs, 64), in(returnK, allow)}},
		{"load at 60", true, []linux.SockFilter{in(loadAbs, 60), in(returnK, allow)}},
		{"load byte", false, []linux.SockFilter{in(linux.BPF_LD|linux.BPF_B|linux.BPF_ABS, 60), in(returnK, allow)}},
		{"load half", false, []linux.SockFilter{in(linux.BPF_LD|linux.BPF_H|linux.BPF_ABS, 0), in(returnK, allow)}},
		{"load length", true, []linux.SockFilter{in(loadLen, 0), in(returnK, allow)}},
		{"return X", false, []linux.SockFilter{in(linux.BPF_RET|linux.BPF_X, 0)}},
		{"no return", false, []linux.SockFilter{in(loadImm, 7)}},
		{"jump past the end", false, []linux.SockFilter{in(jump, 1), in(returnK, allow)}},
		{"jump far past the end", false, []linux.SockFilter{in(jump, ^uint32(0)), in(returnK, allow)}},
		{"branch past the end", false, []linux.SockFilter{{Code: jumpEqK, JT: 0, JF: 1}, in(returnK, allow)}},
		{"scratch written on one way only", false, []linux.SockFilter{
			{Code: jumpEqK, JT: 1, JF: 0}, in(store, 1), in(loadMem, 1), in(returnK, allow)}},
		{"scratch written before a branch", true, []linux.SockFilter{
			in(store, 3), {Code: jumpEqK, JT: 0, JF: 1, K: 7}, in(loadMem, 3), in(returnK, allow)}},
		{"too long", false, make([]linux.SockFilter, 4097)},
	} {
		if _, err := New(c.code); (err == nil) != c.ok {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

func TestRun(t *testing.T) {
	data := linux.SeccompData{Nr: 59, Arch: linux.AUDIT_ARCH_X86_64, IP: 0x1122334455667788, Args: [6]uint64{1: 0xaabbccdd00000005}}
	for _, c := range []struct {
		name string
		want uint32
		code []linux.SockFilter
	}{
		{"number", 59, []linux.SockFilter{in(loadAbs, 0), in(returnA, 0)}},
		{"architecture", linux.AUDIT_ARCH_X86_64, []linux.SockFilter{in(loadAbs, 4), in(returnA, 0)}},
		{"address, low", 0x55667788, []linux.SockFilter{in(loadAbs, 8), in(returnA, 0)}},
		{"address, high", 0x11223344, []linux.SockFilter{in(loadAbs, 12), in(returnA, 0)}},
		{"argument 1, low", 5, []linux.SockFilter{in(loadAbs, 24), in(returnA, 0)}},
		{"argument 1, high", 0xaabbccdd, []linux.SockFilter{in(loadAbs, 28), in(returnA, 0)}},
		{"division by zero in X", 0, []linux.SockFilter{in(divX, 0), in(returnK, allow)}},
		{"shift by 32 in X", 5, []linux.SockFilter{in(loadImm, 5), in(loadXImm, 32), in(shiftLX, 0), in(returnA, 0)}},
		{"arithmetic", 0xfffffff2, []linux.SockFilter{
			in(loadImm, 20), in(subK, 6), in(moveAtoX, 0), in(loadImm, 0), in(subX, 0), in(returnA, 0)}},
		{"negation", 0xffffffff, []linux.SockFilter{in(loadImm, 1), in(neg, 0), in(returnA, 0)}},
		{"scratch", 9, []linux.SockFilter{in(loadImm, 9), in(store, 2), in(loadImm, 1), in(loadXMem, 2), in(moveXtoA, 0), in(returnA, 0)}},
		{"bits", 1, []linux.SockFilter{
			in(loadImm, 6), {Code: jumpSetK, K: 4, JT: 0, JF: 1}, in(returnK, 1), in(returnK, 2)}},
		{"jump", 2, []linux.SockFilter{in(jump, 1), in(returnK, 1), in(returnK, 2)}},
	} {
		p, err := New(c.code)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := p.Run(&data); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

// FuzzProgram holds that whatever New accepts runs to an end.
func FuzzProgram(f *testing.F) {
	f.Add([]byte{0x20, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0xff, 0x7f}, uint32(1), uint64(2))
	f.Add([]byte{0x3c, 0, 0, 0, 0, 0, 0, 0, 0x15, 0, 0, 1, 4, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0x16, 0, 0, 0, 0, 0, 0, 0}, uint32(0), uint64(9))
	f.Fuzz(func(t *testing.T, raw []byte, nr uint32, arg uint64) {
		var code []linux.SockFilter
		for ; len(raw) >= 8; raw = raw[8:] {
			code = append(code, linux.SockFilter{
				Code: binary.LittleEndian.Uint16(raw), JT: raw[2], JF: raw[3], K: binary.LittleEndian.Uint32(raw[4:]),
			})
		}
		p, err := New(code)
		if err != nil {
			return
		}
		data := linux.SeccompData{Nr: int32(nr), Arch: linux.AUDIT_ARCH_X86_64, Args: [6]uint64{arg, arg, arg, arg, arg, arg}}
		if p.Run(&data) != p.Run(&data) {
			t.Error("two runs differ")
		}
	})
}
