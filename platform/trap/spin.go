package trap

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/internal/host"
)

// This file: how a stub and its owner wait for one another.
//
// Looking at a word all the time costs a processor and answers in a tenth of a
// microsecond; sleeping answers in two when both are on one processor, and in
// ten to thirty when not, because another one has to be woken. So the two are
// pinned to one processor and sleep. Only while they are alone, with a processor
// to spare for each, and the guest calls often, they are put on two and spin.
// (Both spinning on one processor, or more pairs than processors, is the worst
// there is: 20 to 90 us a call.)

const (
	// Rounds of a spinning wait, the Sentry's and the stub's, of about 25 ns
	// each on the processors that were looked at. They must outlast the
	// wake-up of another processor, or else one that sleeps makes the other
	// sleep, too: with 400 rounds a call took 3 us, with 1600 0.6 us.
	sentrySpins = 1600
	stubSpins   = 1600

	// spinAfter is how many calls in a row nobody else must have run before
	// a thread spins. A wait that took longer than spinning does costs as
	// much as missCost that did not; missLimit ends the spinning.
	spinAfter = 64
	missCost  = 8
	missLimit = 64
)

// spinning is a thread's part.
type spinning struct {
	now    bool // both spin, on two processors
	alone  int  // hand-overs in a row while no other guest thread ran
	misses int
}

// spinWait looks at *word until it is not 0, at most n times.
func spinWait(word *uint32, n int32) bool

// currentCPU is the processor that the caller runs on, now.
func currentCPU() uint32

// own locks the calling goroutine to its host thread, and that and the stub's
// to a processor.
func (t *thread) own() {
	if !t.owned {
		runtime.LockOSThread()
		t.owned = true
	}
	if t.placed.Stub == 0 {
		if t.as.pid.Load() == 0 {
			return // its stub has not reported yet
		}
		t.as.life.Lock()
		t.placed.Stub = t.tid
		t.as.life.Unlock()
		t.as.p.placement.Pin(&t.placed)
	}
}

// handOver lets the stub run.
func (t *thread) handOver(command uint32) {
	p := t.as.p
	a := t.area
	if t.placed.Stub != 0 {
		p.placement.Enter(&t.placed)
	}
	t.pace(p.running.Add(1))
	a.command = command
	a.spin = 0
	a.sentryCPU = currentCPU()
	if t.spin.now {
		a.spin = stubSpins
	}
	atomic.SwapUint32(&a.turn, 0)
	if atomic.LoadUint32(&a.stubSleeps) != 0 {
		host.FutexWake(&a.turn, 1)
	}
}

// pace decides whether to spin, with so many guest threads running.
func (t *thread) pace(running int32) {
	s := &t.spin
	if running > t.as.p.spinners {
		t.calm()
		return
	}
	if s.now {
		if !t.placed.Pinned() {
			s.now, s.alone = false, 0
		}
		return
	}
	if s.alone++; s.alone >= spinAfter && t.placed.Pinned() {
		s.alone = 0
		s.now = t.as.p.placement.Apart(&t.placed)
	}
}

// calm ends the spinning.
func (t *thread) calm() {
	s := &t.spin
	if s.now {
		t.as.p.placement.Together(&t.placed)
	}
	*s = spinning{}
}

// await waits for the stub. False: it has ended.
func (t *thread) await() bool {
	defer t.as.p.running.Add(-1)
	if t.look() {
		return !t.as.dead.Load()
	}
	return t.sleep()
}

// awaitCommand is await for what does not take long.
func (t *thread) awaitCommand() bool {
	defer t.as.p.running.Add(-1)
	if t.look() || t.area.myTurn() {
		return !t.as.dead.Load()
	}
	overdue := time.AfterFunc(commandLimit, t.as.kill)
	defer overdue.Stop()
	return t.sleep()
}

// look spins, if it pays. It says whether the stub has answered.
func (t *thread) look() bool {
	s := &t.spin
	if !s.now {
		return false
	}
	if spinWait(&t.area.turn, sentrySpins) {
		s.misses = max(s.misses-1, 0)
		return true
	}
	if s.misses += missCost; s.misses > missLimit {
		t.calm()
	}
	return false
}

func (t *thread) sleep() bool {
	a := t.area
	atomic.StoreUint32(&a.sentrySleeps, 1)
	for !a.myTurn() && !t.ended() {
		host.FutexWait(&a.turn, 0)
	}
	atomic.StoreUint32(&a.sentrySleeps, 0)
	return !t.as.dead.Load()
}

// ended says whether the process has ended, not only been told to.
func (t *thread) ended() bool {
	select {
	case <-t.as.end:
		return true
	default:
		return false
	}
}
