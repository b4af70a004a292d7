package clock

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

func TestClocksAgreeWithTheHost(t *testing.T) {
	for _, id := range []linux.ClockID{linux.CLOCK_REALTIME, linux.CLOCK_MONOTONIC, linux.CLOCK_MONOTONIC_RAW,
		linux.CLOCK_REALTIME_COARSE, linux.CLOCK_MONOTONIC_COARSE, linux.CLOCK_BOOTTIME, linux.CLOCK_TAI} {
		c, err := System(id)
		if err != nil || c.Now() <= 0 {
			t.Errorf("%v: %v, %v", id, c.Now(), err)
		}
	}
	if _, err := System(10); err != errno.EINVAL {
		t.Errorf("clock 10: %v", err)
	}
	mono, _ := System(linux.CLOCK_MONOTONIC)
	if d := mono.Now() - monotonic(); d < 0 || d > time.Second {
		t.Errorf("ours is %v behind the host's", d)
	}
}

func TestDeadlinesDoNotOverflow(t *testing.T) {
	c, _ := System(linux.CLOCK_MONOTONIC)
	if d := c.At(math.MaxInt64); time.Until(d.At) < 24*time.Hour {
		t.Errorf("the farthest deadline is in %v", time.Until(d.At))
	}
	if d := c.At(math.MinInt64); time.Until(d.At) > 0 {
		t.Errorf("the earliest deadline is in %v", time.Until(d.At))
	}
}

type counter struct {
	n  atomic.Uint64
	ch chan uint64
}

func (c *counter) TimerExpired(t *Timer) {
	n := t.TakeExpired()
	c.n.Add(n)
	select {
	case c.ch <- n:
	default:
	}
}

func newTimer(w *Wheel) (*Timer, *counter) {
	c := &counter{ch: make(chan uint64, 100)}
	return &Timer{Wheel: w, Clock: Clock{ID: linux.CLOCK_MONOTONIC}, Expirer: c}, c
}

func TestOneShot(t *testing.T) {
	var w Wheel
	tm, c := newTimer(&w)
	begin := time.Now()
	tm.Set(Setting{Value: 10 * time.Millisecond}, FromNow)
	if left := tm.Left(); left.Value <= 0 || left.Value > 10*time.Millisecond {
		t.Errorf("left: %v", left)
	}
	if n := <-c.ch; n != 1 || time.Since(begin) < 10*time.Millisecond {
		t.Errorf("%d expiries after %v", n, time.Since(begin))
	}
	if left := tm.Left(); left != (Setting{}) {
		t.Errorf("left after the expiry: %v", left)
	}
}

func TestPeriodicCountsMissedPeriods(t *testing.T) {
	var w Wheel
	tm, c := newTimer(&w)
	// Begun three periods ago: the first report counts four.
	start := monotonic() - 35*time.Millisecond
	tm.Set(Setting{Value: start, Interval: 10 * time.Millisecond}, Absolute)
	if n := <-c.ch; n < 4 {
		t.Errorf("first report: %d", n)
	}
	<-c.ch
	if left := tm.Set(Setting{}, FromNow); left.Interval != 10*time.Millisecond {
		t.Errorf("old setting: %v", left)
	}
	if left := tm.Left(); left != (Setting{}) {
		t.Errorf("left when disarmed: %v", left)
	}
}

func TestEarliestOfManyDrives(t *testing.T) {
	var w Wheel
	late, _ := newTimer(&w)
	late.Set(Setting{Value: time.Hour}, FromNow)
	early, c := newTimer(&w)
	early.Set(Setting{Value: time.Millisecond}, FromNow)
	select {
	case <-c.ch:
	case <-time.After(5 * time.Second):
		t.Fatal("the early timer waits for the late one")
	}
	gone, g := newTimer(&w)
	gone.Set(Setting{Value: 5 * time.Millisecond}, FromNow)
	gone.Set(Setting{}, FromNow)
	time.Sleep(10 * time.Millisecond)
	if g.n.Load() != 0 {
		t.Error("a disarmed timer expired")
	}
}

type fakeCPU struct{ ns atomic.Int64 }

func (f *fakeCPU) CPUTime() time.Duration { return time.Duration(f.ns.Load()) }
func (f *fakeCPU) Threads() int           { return 1 }

func TestCPUTimerWaitsForTheClock(t *testing.T) {
	var w Wheel
	cpu := &fakeCPU{}
	c := &counter{ch: make(chan uint64, 1)}
	tm := &Timer{Wheel: &w, Clock: Clock{CPU: cpu}, Expirer: c}
	tm.Set(Setting{Value: 5 * time.Millisecond}, FromNow)
	time.Sleep(12 * time.Millisecond)
	if c.n.Load() != 0 {
		t.Fatal("expired although no CPU time was used")
	}
	cpu.ns.Store(int64(6 * time.Millisecond))
	if n := <-c.ch; n != 1 {
		t.Errorf("%d expiries", n)
	}
}
