package trap

import (
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/internal/host"
)

// pace decides who spins: looking at a word costs a processor, sleeping costs
// the wake-up. It pays while there are processors for the guest threads that run
// and for those who wait for them.
type pace struct {
	most    int32        // running guest threads up to which everybody spins
	running atomic.Int32 // guest threads in Switch
}

const (
	// Rounds of a spinning wait, of about 25 ns each on the processors that
	// were looked at: the Sentry's and the stub's.
	sentrySpins = 400
	stubSpins   = 400
)

func (p *pace) init() error {
	all, err := host.Affinity()
	if err != nil {
		return err
	}
	p.most = int32(all.Count() / 2)
	return nil
}

// spinWait looks at *word until it is not 0, at most n times.
func spinWait(word *uint32, n int32) bool

// handOver lets the stub run.
func (t *thread) handOver(command uint32) {
	a := t.area
	a.command = command
	a.spin = 0
	if t.as.p.pace.running.Add(1) <= t.as.p.pace.most {
		a.spin = stubSpins
	}
	atomic.SwapUint32(&a.turn, 0)
	if atomic.LoadUint32(&a.stubSleeps) != 0 {
		host.FutexWake(&a.turn, 1)
	}
}

// await waits for the stub. False: it has ended.
func (t *thread) await() bool {
	p := &t.as.p.pace
	defer p.running.Add(-1)
	a := t.area
	if p.running.Load() <= p.most && spinWait(&a.turn, sentrySpins) {
		return !t.as.dead.Load()
	}
	return t.sleep()
}

// awaitCommand is await for what does not take long.
func (t *thread) awaitCommand() bool {
	p := &t.as.p.pace
	defer p.running.Add(-1)
	a := t.area
	if p.running.Load() <= p.most && spinWait(&a.turn, sentrySpins) {
		return !t.as.dead.Load()
	}
	if a.myTurn() {
		return !t.as.dead.Load()
	}
	overdue := time.AfterFunc(commandLimit, t.as.kill)
	defer overdue.Stop()
	return t.sleep()
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
