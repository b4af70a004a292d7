package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// Offsets in struct seccomp_data.
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

// Build makes the filter's program.
func (f *Filter) Build() ([]linux.SockFilter, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	arch, auditArch := native()

	// A program is assembled from its end to its beginning, because jumps go
	// forward only: the distance to a target is then known when the jump to
	// it is written.
	var b builder
	b.byCall(f.spans(func(r Rule) uint32 {
		nr, _ := r.Call.Number(arch)
		return uint32(nr)
	}), f.Default)
	rules := b.here()
	foreign := b.action(f.Foreign)
	// Everything from the x32 bit up, negative numbers too, is foreign.
	b.branch(linux.BPF_JGE, linux.X32Bit, foreign, rules)
	b.load(offsetNr)
	start := b.here()
	b.branch(linux.BPF_JEQ, auditArch, start, foreign)
	b.load(offsetArch)

	if len(b.code) > linux.BPF_MAXINSNS {
		return nil, fmt.Errorf("seccomp: the program has %d instructions, Linux takes %d", len(b.code), linux.BPF_MAXINSNS)
	}
	slices.Reverse(b.code)
	return b.code, nil
}

// span is a range of call numbers that have the same outcome: the rules of one
// call, or one action for all of them.
type span struct {
	first, last uint32
	rules       []Rule // of a single call; nil when action is for the span
	action      Action
}

func (s span) simple() bool { return s.rules == nil }

// spans returns the calls that have rules, in order, neighbours with the same
// action as one.
func (f *Filter) spans(number func(Rule) uint32) []span {
	rules := slices.Clone(f.Rules)
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(number(a), number(b)) })
	var spans []span
	for len(rules) > 0 {
		nr := number(rules[0])
		n := 1
		for n < len(rules) && number(rules[n]) == nr {
			n++
		}
		s := span{first: nr, last: nr, rules: rules[:n]}
		rules = rules[n:]
		if len(s.rules[0].Checks) == 0 {
			s.action, s.rules = s.rules[0].Action, nil
		}
		if p := len(spans) - 1; p >= 0 && s.simple() && spans[p].simple() && spans[p].action == s.action && spans[p].last+1 == nr {
			spans[p].last = nr
			continue
		}
		spans = append(spans, s)
	}
	return spans
}

// A builder holds a program in reverse.
type builder struct {
	code []linux.SockFilter
}

// label names an instruction by how many follow it.
type label int

// here is the instruction that was written last, the first to run of those that
// there are.
func (b *builder) here() label { return label(len(b.code) - 1) }

func (b *builder) emit(code uint16, k uint32) {
	b.code = append(b.code, linux.SockFilter{Code: code, K: k})
}

func (b *builder) load(offset uint32) { b.emit(linux.BPF_LD|linux.BPF_W|linux.BPF_ABS, offset) }

// action returns a label that returns a.
func (b *builder) action(a Action) label {
	b.emit(linux.BPF_RET|linux.BPF_K, uint32(a))
	return b.here()
}

// branch writes a conditional jump, with a hop in between when a target is
// farther than the 8 bits of a conditional jump reach.
func (b *builder) branch(op uint16, k uint32, yes, no label) {
	const reach = 255
	// Two hops may be written before the branch itself.
	far := func(l label) bool { return len(b.code)+1-int(l) > reach }
	if far(yes) {
		yes = b.hop(yes)
	}
	if far(no) {
		no = b.hop(no)
	}
	b.code = append(b.code, linux.SockFilter{
		Code: linux.BPF_JMP | op | linux.BPF_K,
		JT:   b.distance(yes),
		JF:   b.distance(no),
		K:    k,
	})
}

// distance is how many instructions lie between the next one to be written and l.
func (b *builder) distance(l label) uint8 { return uint8(len(b.code) - int(l) - 1) }

func (b *builder) hop(l label) label {
	target := b.code[l]
	if target.Code == linux.BPF_RET|linux.BPF_K {
		b.code = append(b.code, target)
	} else {
		b.emit(linux.BPF_JMP|linux.BPF_JA, uint32(len(b.code)-int(l)-1))
	}
	return b.here()
}

// byCall writes the search for the number in A. Spans are in order.
func (b *builder) byCall(spans []span, otherwise Action) {
	if len(spans) == 0 {
		b.action(otherwise)
		return
	}
	if len(spans) == 1 {
		b.bySpan(spans[0], otherwise)
		return
	}
	mid := len(spans) / 2
	b.byCall(spans[mid:], otherwise)
	upper := b.here()
	b.byCall(spans[:mid], otherwise)
	lower := b.here()
	b.branch(linux.BPF_JGE, spans[mid].first, upper, lower)
}

func (b *builder) bySpan(s span, otherwise Action) {
	no := b.action(otherwise)
	if s.simple() {
		yes := b.action(s.action)
		if s.first == s.last {
			b.branch(linux.BPF_JEQ, s.first, yes, no)
			return
		}
		b.branch(linux.BPF_JGT, s.last, no, yes)
		b.branch(linux.BPF_JGE, s.first, b.here(), no)
		return
	}
	next := no
	for i := len(s.rules) - 1; i >= 0; i-- {
		next = b.rule(s.rules[i], next)
	}
	b.branch(linux.BPF_JEQ, s.first, next, no)
}

// rule writes the checks of r, which go to no when one fails.
func (b *builder) rule(r Rule, no label) label {
	yes := b.action(r.Action)
	for i := len(r.Checks) - 1; i >= 0; i-- {
		yes = b.check(r.Checks[i], yes, no)
	}
	return yes
}

func (b *builder) check(c Check, yes, no label) label {
	low := uint32(offsetArgs + 8*c.Arg)
	high := low + 4
	switch c.Op {
	case MaskedNotEqual:
		yes, no = no, yes
		fallthrough
	case MaskedEqual:
		lowYes := b.maskedEqual(low, uint32(c.Mask), uint32(c.Value), yes, no)
		return b.maskedEqual(high, uint32(c.Mask>>32), uint32(c.Value>>32), lowYes, no)
	case AtMost:
		return b.compare(low, c.Value, linux.BPF_JGT, no, yes)
	}
	return b.compare(low, c.Value, linux.BPF_JGE, yes, no)
}

// maskedEqual writes one half of a comparison; a half of which nothing is asked
// costs nothing.
func (b *builder) maskedEqual(offset, mask, value uint32, yes, no label) label {
	if mask == 0 {
		return yes
	}
	b.branch(linux.BPF_JEQ, value, yes, no)
	if mask != ^uint32(0) {
		b.emit(linux.BPF_ALU|linux.BPF_AND|linux.BPF_K, mask)
	}
	b.load(offset)
	return b.here()
}

// compare writes argument op v in 64 bits, where op is JGT or JGE on the lower
// half: a greater upper half decides for yes, a smaller one for no.
func (b *builder) compare(low uint32, v uint64, op uint16, yes, no label) label {
	b.branch(op, uint32(v), yes, no)
	b.load(low)
	lower := b.here()
	b.branch(linux.BPF_JEQ, uint32(v>>32), lower, no)
	same := b.here()
	b.branch(linux.BPF_JGT, uint32(v>>32), yes, same)
	b.load(low + 4)
	return b.here()
}
