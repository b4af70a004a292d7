// Package bpf checks and runs classic BPF programs of the kind that seccomp(2)
// takes: filters over a struct seccomp_data.
//
// New accepts what Linux accepts (net/core/filter.c and kernel/seccomp.c) and
// nothing else, so a Program always ends and never reads outside its data; Run
// is then a plain loop without a check of its own. The Sentry runs the filters
// that a workload installs; the tests of internal/seccomp run ours. The package
// never talks to the host.
package bpf

import (
	"fmt"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// dataSize is the size of struct seccomp_data.
const dataSize = 64

// Program is a checked program.
type Program struct {
	code []linux.SockFilter
}

// New checks code and returns it as a program. The error says which instruction
// is wrong, for the log; the system call's answer is EINVAL whatever it says.
func New(code []linux.SockFilter) (Program, error) {
	if len(code) == 0 || len(code) > linux.BPF_MAXINSNS {
		return Program{}, fmt.Errorf("bpf: %d instructions, want 1 to %d", len(code), linux.BPF_MAXINSNS)
	}
	for pc, in := range code {
		if err := checkOne(in, len(code)-pc-1); err != nil {
			return Program{}, fmt.Errorf("bpf: instruction %d: %w", pc, err)
		}
	}
	if code[len(code)-1].Code&0x07 != linux.BPF_RET {
		return Program{}, fmt.Errorf("bpf: instruction %d: the last one does not return", len(code)-1)
	}
	if err := checkScratch(code); err != nil {
		return Program{}, err
	}
	return Program{append([]linux.SockFilter(nil), code...)}, nil
}

// Len returns the number of instructions.
func (p Program) Len() int { return len(p.code) }

// Code returns a copy of the instructions.
func (p Program) Code() []linux.SockFilter { return append([]linux.SockFilter(nil), p.code...) }

// Instructions by code, as seccomp allows them.
const (
	loadAbs   = linux.BPF_LD | linux.BPF_W | linux.BPF_ABS
	loadLen   = linux.BPF_LD | linux.BPF_W | linux.BPF_LEN
	loadImm   = linux.BPF_LD | linux.BPF_IMM
	loadMem   = linux.BPF_LD | linux.BPF_MEM
	loadXLen  = linux.BPF_LDX | linux.BPF_W | linux.BPF_LEN
	loadXImm  = linux.BPF_LDX | linux.BPF_IMM
	loadXMem  = linux.BPF_LDX | linux.BPF_MEM
	store     = linux.BPF_ST
	storeX    = linux.BPF_STX
	addK      = linux.BPF_ALU | linux.BPF_ADD | linux.BPF_K
	addX      = linux.BPF_ALU | linux.BPF_ADD | linux.BPF_X
	subK      = linux.BPF_ALU | linux.BPF_SUB | linux.BPF_K
	subX      = linux.BPF_ALU | linux.BPF_SUB | linux.BPF_X
	mulK      = linux.BPF_ALU | linux.BPF_MUL | linux.BPF_K
	mulX      = linux.BPF_ALU | linux.BPF_MUL | linux.BPF_X
	divK      = linux.BPF_ALU | linux.BPF_DIV | linux.BPF_K
	divX      = linux.BPF_ALU | linux.BPF_DIV | linux.BPF_X
	andK      = linux.BPF_ALU | linux.BPF_AND | linux.BPF_K
	andX      = linux.BPF_ALU | linux.BPF_AND | linux.BPF_X
	orK       = linux.BPF_ALU | linux.BPF_OR | linux.BPF_K
	orX       = linux.BPF_ALU | linux.BPF_OR | linux.BPF_X
	xorK      = linux.BPF_ALU | linux.BPF_XOR | linux.BPF_K
	xorX      = linux.BPF_ALU | linux.BPF_XOR | linux.BPF_X
	shiftLK   = linux.BPF_ALU | linux.BPF_LSH | linux.BPF_K
	shiftLX   = linux.BPF_ALU | linux.BPF_LSH | linux.BPF_X
	shiftRK   = linux.BPF_ALU | linux.BPF_RSH | linux.BPF_K
	shiftRX   = linux.BPF_ALU | linux.BPF_RSH | linux.BPF_X
	neg       = linux.BPF_ALU | linux.BPF_NEG
	jump      = linux.BPF_JMP | linux.BPF_JA
	jumpEqK   = linux.BPF_JMP | linux.BPF_JEQ | linux.BPF_K
	jumpEqX   = linux.BPF_JMP | linux.BPF_JEQ | linux.BPF_X
	jumpGtK   = linux.BPF_JMP | linux.BPF_JGT | linux.BPF_K
	jumpGtX   = linux.BPF_JMP | linux.BPF_JGT | linux.BPF_X
	jumpGeK   = linux.BPF_JMP | linux.BPF_JGE | linux.BPF_K
	jumpGeX   = linux.BPF_JMP | linux.BPF_JGE | linux.BPF_X
	jumpSetK  = linux.BPF_JMP | linux.BPF_JSET | linux.BPF_K
	jumpSetX  = linux.BPF_JMP | linux.BPF_JSET | linux.BPF_X
	returnK   = linux.BPF_RET | linux.BPF_K
	returnA   = linux.BPF_RET | linux.BPF_A
	moveAtoX  = linux.BPF_MISC | linux.BPF_TAX
	moveXtoA  = linux.BPF_MISC | linux.BPF_TXA
	shiftMask = 31
)

// checkOne checks an instruction that has left others behind it.
func checkOne(in linux.SockFilter, left int) error {
	switch in.Code {
	case loadAbs:
		if in.K >= dataSize || in.K%4 != 0 {
			return fmt.Errorf("load at %d", in.K)
		}
	case loadMem, loadXMem, store, storeX:
		if in.K >= linux.BPF_MEMWORDS {
			return fmt.Errorf("scratch word %d", in.K)
		}
	case divK:
		if in.K == 0 {
			return fmt.Errorf("division by zero")
		}
	case shiftLK, shiftRK:
		if in.K > shiftMask {
			return fmt.Errorf("shift by %d", in.K)
		}
	case jump:
		if int64(in.K) >= int64(left) {
			return fmt.Errorf("jump by %d past the end", in.K)
		}
	case jumpEqK, jumpEqX, jumpGtK, jumpGtX, jumpGeK, jumpGeX, jumpSetK, jumpSetX:
		if int(in.JT) >= left || int(in.JF) >= left {
			return fmt.Errorf("jump by %d or %d past the end", in.JT, in.JF)
		}
	case loadLen, loadImm, loadXLen, loadXImm,
		addK, addX, subK, subX, mulK, mulX, divX, andK, andX, orK, orX, xorK, xorX, shiftLX, shiftRX, neg,
		returnK, returnA, moveAtoX, moveXtoA:
	default:
		return fmt.Errorf("code %#x is not one that seccomp allows", in.Code)
	}
	return nil
}

// checkScratch refuses a program that could read a scratch word before it was
// written. known[pc] has a bit for each word that every way to pc has written.
func checkScratch(code []linux.SockFilter) error {
	known := make([]uint16, len(code))
	for i := range known {
		known[i] = ^uint16(0)
	}
	written := uint16(0)
	for pc, in := range code {
		written &= known[pc]
		switch in.Code {
		case store, storeX:
			written |= 1 << in.K
		case loadMem, loadXMem:
			if written&(1<<in.K) == 0 {
				return fmt.Errorf("bpf: instruction %d: scratch word %d is read before it is written", pc, in.K)
			}
		case jump:
			known[pc+1+int(in.K)] &= written
			written = ^uint16(0)
		case jumpEqK, jumpEqX, jumpGtK, jumpGtX, jumpGeK, jumpGeX, jumpSetK, jumpSetX:
			known[pc+1+int(in.JT)] &= written
			known[pc+1+int(in.JF)] &= written
			written = ^uint16(0)
		}
	}
	return nil
}

// Run runs the program over d and returns what it returns. The zero Program
// returns 0.
func (p Program) Run(d *linux.SeccompData) uint32 {
	var a, x uint32
	var scratch [linux.BPF_MEMWORDS]uint32
	for pc := 0; pc < len(p.code); pc++ {
		in := &p.code[pc]
		switch in.Code {
		case returnK:
			return in.K
		case returnA:
			return a
		case loadAbs:
			a = word(d, in.K)
		case loadLen:
			a = dataSize
		case loadImm:
			a = in.K
		case loadMem:
			a = scratch[in.K]
		case loadXLen:
			x = dataSize
		case loadXImm:
			x = in.K
		case loadXMem:
			x = scratch[in.K]
		case store:
			scratch[in.K] = a
		case storeX:
			scratch[in.K] = x
		case moveAtoX:
			x = a
		case moveXtoA:
			a = x
		case jump:
			pc += int(in.K)
		case jumpEqK, jumpEqX, jumpGtK, jumpGtX, jumpGeK, jumpGeX, jumpSetK, jumpSetX:
			if taken(in, a, x) {
				pc += int(in.JT)
			} else {
				pc += int(in.JF)
			}
		default:
			// Linux ends the program with 0 when the divisor in X is 0.
			if in.Code == divX && x == 0 {
				return 0
			}
			a = compute(in, a, x)
		}
	}
	return 0
}

func operand(in *linux.SockFilter, x uint32) uint32 {
	if in.Code&linux.BPF_X != 0 {
		return x
	}
	return in.K
}

func taken(in *linux.SockFilter, a, x uint32) bool {
	v := operand(in, x)
	switch in.Code &^ linux.BPF_X {
	case jumpEqK:
		return a == v
	case jumpGtK:
		return a > v
	case jumpGeK:
		return a >= v
	}
	return a&v != 0
}

func compute(in *linux.SockFilter, a, x uint32) uint32 {
	v := operand(in, x)
	switch in.Code &^ linux.BPF_X {
	case addK:
		return a + v
	case subK:
		return a - v
	case mulK:
		return a * v
	case divK:
		return a / v
	case andK:
		return a & v
	case orK:
		return a | v
	case xorK:
		return a ^ v
	case shiftLK:
		return a << (v & shiftMask)
	case shiftRK:
		return a >> (v & shiftMask)
	}
	return -a
}

// word returns the 32 bits at a multiple of 4 in d, as they lie in memory.
func word(d *linux.SeccompData, at uint32) uint32 {
	switch at {
	case 0:
		return uint32(d.Nr)
	case 4:
		return d.Arch
	}
	v := d.IP
	if at >= 16 {
		v = d.Args[(at-16)/8]
	}
	if at%8 != 0 {
		return uint32(v >> 32)
	}
	return uint32(v)
}
