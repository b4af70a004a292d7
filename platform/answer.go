package platform

import "sync/atomic"

// An Answerer is a Thread that can answer system calls without leaving the guest.
// Its owner calls the methods, while the guest does not run.
type Answerer interface {
	// Answer has the calls fail or succeed as values says, whatever their
	// arguments: Values[i] is the result of number Calls[i]. It replaces what
	// was there; a nil Answers answers nothing.
	Answer(a *Answers)
}

// Answers are results of system calls that do not change while the guest runs.
type Answers struct {
	Calls  []uint64
	Values []uint64

	// Yield is the number of sched_yield, which the host may carry out.
	Yield uint64

	// Futex is the number of futex: a wait whose word has another value, and
	// a wake of a word for which WaiterCounter's counter is 0, both of them
	// private, may be answered. 0: it is not.
	Futex uint64
}

// A WaiterCounter is an AddressSpace whose threads answer a futex wake by
// themselves when a counter says that nobody waits.
type WaiterCounter interface {
	// Waiters is the counter for the word at addr, which other words may
	// share. It can be used while any thread is open.
	Waiters(addr uintptr) *atomic.Uint32
}
