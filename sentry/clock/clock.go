// Package clock is time as the guest sees it: the clocks of clock_gettime(2),
// and timers on them.
//
// The guest reads most clocks by the host's own vDSO, so the clocks here are
// the host's too: nothing is scaled or shifted. A Timer is a plain struct in
// the heap of a Wheel; one Go timer, for the earliest of all, drives the heap.
// CPU clocks belong to tasks, which pass themselves in as a CPUClock.
//
// Not done: a jump of the host's wall clock moves neither armed timers nor
// sleeps on CLOCK_REALTIME; the guest itself cannot set it.
//
// Lock order: a Wheel's lock is taken under the locks of objects that own
// timers; a Timer's Expirer is called without it.
//
// Cost: Now of a common clock is a vDSO read; arming is a heap insertion.
package clock

import (
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// CPUClock counts the CPU time of a thread or process.
type CPUClock interface {
	CPUTime() time.Duration
	// Threads is how many threads may add to it at once: the clock moves at
	// most so many times as fast as real time.
	Threads() int
}

// Clock is a clock that can be read and waited for: one of the system's, or a
// CPU clock.
type Clock struct {
	ID  linux.ClockID
	CPU CPUClock // nil: one of the system's
}

// anchor ties Go's clock to the host's monotonic one. Go's was read second, so
// monotonic() is late by the time between, never early: no sleep ends before
// its time as the guest's vDSO sees it.
var anchor = struct {
	mono time.Duration
	at   time.Time
}{host.ClockGettime(int32(linux.CLOCK_MONOTONIC)), time.Now()}

func monotonic() time.Duration { return anchor.mono + time.Since(anchor.at) }

// Valid says whether the system has the clock.
func Valid(id linux.ClockID) bool {
	switch id {
	case linux.CLOCK_REALTIME, linux.CLOCK_MONOTONIC, linux.CLOCK_MONOTONIC_RAW,
		linux.CLOCK_REALTIME_COARSE, linux.CLOCK_MONOTONIC_COARSE, linux.CLOCK_BOOTTIME,
		linux.CLOCK_REALTIME_ALARM, linux.CLOCK_BOOTTIME_ALARM, linux.CLOCK_TAI:
		return true
	}
	return false
}

// System returns a clock of the system: EINVAL if there is none of that id.
func System(id linux.ClockID) (Clock, error) {
	if !Valid(id) {
		return Clock{}, errno.EINVAL
	}
	return Clock{ID: id}, nil
}

// Now is the time since the clock's zero.
func (c Clock) Now() time.Duration {
	if c.CPU != nil {
		return c.CPU.CPUTime()
	}
	switch c.ID {
	case linux.CLOCK_REALTIME, linux.CLOCK_REALTIME_ALARM:
		return time.Duration(time.Now().UnixNano())
	case linux.CLOCK_BOOTTIME_ALARM:
		return host.ClockGettime(int32(linux.CLOCK_BOOTTIME))
	}
	return host.ClockGettime(int32(c.ID))
}

// Resolution is what clock_getres tells: the coarse clocks tick at 250 Hz.
func (c Clock) Resolution() time.Duration {
	if c.CPU == nil && (c.ID == linux.CLOCK_REALTIME_COARSE || c.ID == linux.CLOCK_MONOTONIC_COARSE) {
		return 4 * time.Millisecond
	}
	return 1
}

// Waitable says whether timers and sleeps may use the clock; the raw and the
// coarse ones cannot (EINVAL on Linux since they have no timers).
func (c Clock) Waitable() bool {
	if c.CPU != nil {
		return true
	}
	switch c.ID {
	case linux.CLOCK_MONOTONIC_RAW, linux.CLOCK_REALTIME_COARSE, linux.CLOCK_MONOTONIC_COARSE:
		return false
	}
	return true
}

// In is the deadline at which the clock has moved on by d; for a CPU clock, the
// earliest time at which it can have.
func (c Clock) In(d time.Duration) waiter.Deadline {
	if c.CPU != nil {
		// Running threads do not wake us; looking more than a thousand
		// times a second would cost more than it tells.
		d = max(d/time.Duration(max(c.CPU.Threads(), 1)), time.Millisecond)
	}
	return waiter.Deadline{At: after(d)}
}

// At is the deadline at which the clock reads t.
func (c Clock) At(t time.Duration) waiter.Deadline {
	if c.CPU == nil && c.ID == linux.CLOCK_MONOTONIC {
		return waiter.Deadline{At: after(saturatingSub(t, monotonic()))}
	}
	return c.In(saturatingSub(t, c.Now()))
}

// farthest is how far ahead a deadline may be: beyond it is as good as never,
// and adding it to the present does not overflow.
const farthest = 100 * 365 * 24 * time.Hour

func after(d time.Duration) time.Time { return time.Now().Add(min(max(d, 0), farthest)) }

func saturatingSub(a, b time.Duration) time.Duration {
	if d := a - b; (d < a) == (b > 0) {
		return d
	}
	if b > 0 {
		return -1 << 63
	}
	return 1<<63 - 1
}

func saturatingAdd(a, b time.Duration) time.Duration {
	if s := a + b; (s > a) == (b > 0) {
		return s
	}
	return 1<<63 - 1
}
