package platform

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
}
