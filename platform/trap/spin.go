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
	all     host.CPUSet
	most    int32        // running guest threads up to which everybody spins
	running atomic.Int32 // guest threads in Switch
}

const (
	// Rounds of a spinning wait, the Sentry's and the stub's, of about 25 ns
	// each on the processors that were looked at. They must outlast the
	// wake-up of another processor, or else one that sleeps makes the other
	// sleep, too: with 400 rounds a call took 3 us, with 1600 0.6 us.
	sentrySpins = 1600
	stubSpins   = 1600
)

func (p *pace) init() error {
	var err error
	p.all, err = host.Affinity()
	p.most = int32(p.all.Count() / 2)
	return err
}

// spinWait looks at *word until it is not 0, at most n times.
func spinWait(word *uint32, n int32) bool

// currentCPU is the processor that the caller runs on, now.
func currentCPU() uint32

// handOver lets the stub run.
func (t *thread) handOver(command uint32) {
	p := &t.as.p.pace
	a := t.area
	a.command = command
	a.spin = 0
	cpu := currentCPU()
	a.sentryCPU = cpu
	if p.running.Add(1) <= p.most {
		a.spin = stubSpins
		if a.stubCPU == cpu && t.apart() {
			t.separate(cpu)
			return
		}
	}
	t.release()
}

func (t *thread) release() {
	a := t.area
	atomic.SwapUint32(&a.turn, 0)
	if atomic.LoadUint32(&a.stubSleeps) != 0 {
		host.FutexWake(&a.turn, 1)
	}
}

// apart says whether it is time to move the stub to another processor: not
// each time that the host's scheduler brings them together.
func (t *thread) apart() bool {
	t.together++
	if t.together < togetherCalls {
		return false
	}
	t.together = 0
	return true
}

// togetherCalls is how many calls on one processor are worth a move.
const togetherCalls = 16

// separate is release to another processor than this one. Once there, the stub
// stays where the host's scheduler likes.
func (t *thread) separate(cpu uint32) {
	p := &t.as.p.pace
	others := p.all
	others.Clear(int(cpu))
	if others.Count() == 0 || host.SetAffinity(t.tid, &others) != nil {
		t.release()
		return
	}
	t.release()
	host.SetAffinity(t.tid, &p.all)
}

// spins says whether it pays to look for the stub's answer.
func (t *thread) spins() bool {
	p := &t.as.p.pace
	return p.running.Load() <= p.most && t.area.stubCPU != t.area.sentryCPU
}

// await waits for the stub. False: it has ended.
func (t *thread) await() bool {
	defer t.as.p.pace.running.Add(-1)
	if t.spins() && spinWait(&t.area.turn, sentrySpins) {
		return !t.as.dead.Load()
	}
	return t.sleep()
}

// awaitCommand is await for what does not take long.
func (t *thread) awaitCommand() bool {
	defer t.as.p.pace.running.Add(-1)
	if t.spins() && spinWait(&t.area.turn, sentrySpins) {
		return !t.as.dead.Load()
	}
	if t.area.myTurn() {
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
