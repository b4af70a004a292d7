package kernel

import "github.com/bulkhead-sandbox/bulkhead/platform"

// This file: results that the platform may give without asking. A task that is
// traced or bound by seccomp filters has none, so nothing escapes them.

// answersChanged says that steady calls have another result from now on, for the
// tasks of the groups too: a guest that runs is made to come and learn them.
func (k *Kernel) answersChanged(groups ...*ThreadGroup) {
	k.answers.Add(1)
	for _, g := range groups {
		for t := range g.tasks {
			if th := t.guest.Load(); th != nil {
				(*th).Interrupt()
			}
		}
	}
}

// tellAnswers tells the platform what changed since it was told last. guest is
// set: who changes something now interrupts.
func (t *Task) tellAnswers(th platform.Thread) {
	now := t.k.answers.Load() + 1
	if t.toldAnswers == now {
		return
	}
	t.toldAnswers = now
	p, ok := th.(platform.Answerer)
	if !ok {
		return
	}
	if t.k.trace != nil || t.seccomp.Load() != nil {
		p.Answer(nil)
		return
	}
	calls := t.k.table.Steady()
	a := platform.Answers{Calls: calls, Values: make([]uint64, len(calls)), Yield: t.k.table.Yield(), Futex: t.k.table.Futex()}
	for i, nr := range calls {
		v, err := t.k.table.Handle(t, nr, &[6]uint64{})
		if err != nil {
			p.Answer(nil)
			return
		}
		a.Values[i] = v
	}
	p.Answer(&a)
}
