package clock

import (
	"container/heap"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// Expirer is told that a Timer has expired, without a lock held, by a goroutine
// of the Wheel: it must not block. It asks the Timer itself how often
// (TakeExpired), which may be not at all if the timer was set anew meanwhile.
type Expirer interface {
	TimerExpired(t *Timer)
}

// Timer is one timer: of timerfd_create, timer_create, setitimer or alarm. Set
// its fields before its first use.
type Timer struct {
	Wheel   *Wheel
	Clock   Clock
	Expirer Expirer

	// The rest is guarded by the Wheel's lock.
	armed    bool
	next     time.Duration // on Clock
	interval time.Duration
	expired  uint64    // not taken yet
	wakeAt   time.Time // when to look, on Go's monotonic clock
	index    int       // in the heap
	queued   bool
}

// Setting is what a timer is set to, and what is left of it: the times of
// struct itimerspec.
type Setting struct {
	Value    time.Duration // 0: disarmed
	Interval time.Duration // 0: once
}

// Origin says what Setting.Value counts from.
type Origin uint8

// The origins.
const (
	FromNow Origin = iota
	Absolute
)

// Wheel holds the armed timers of a kernel. The zero value is ready for use.
type Wheel struct {
	mu     lock.Mutex[lockorder.Clock]
	heap   timerHeap
	driver *time.Timer
	at     time.Time // when driver fires
}

// Set arms the timer, or disarms it if s.Value is 0, and returns what was left.
// Expiries of the old setting that were not taken are forgotten.
func (t *Timer) Set(s Setting, o Origin) Setting {
	w := t.Wheel
	w.mu.Lock()
	defer w.mu.Unlock()
	old := t.leftLocked()
	w.removeLocked(t)
	t.expired = 0
	t.armed = s.Value != 0
	if !t.armed {
		t.interval = 0
		return old
	}
	t.interval = s.Interval
	t.next = s.Value
	if o == FromNow {
		t.next = saturatingAdd(t.now(), s.Value)
	}
	w.addLocked(t)
	return old
}

// Expired is how many periods have ended since they were last taken.
func (t *Timer) Expired() uint64 {
	t.Wheel.mu.Lock()
	defer t.Wheel.mu.Unlock()
	t.catchUpLocked()
	return t.expired
}

// TakeExpired returns Expired and begins to count anew.
func (t *Timer) TakeExpired() uint64 {
	t.Wheel.mu.Lock()
	defer t.Wheel.mu.Unlock()
	t.catchUpLocked()
	n := t.expired
	t.expired = 0
	return n
}

// catchUpLocked counts what has ended although the Wheel's goroutine has not
// come to it yet, so that a time that has passed is always seen as passed.
func (t *Timer) catchUpLocked() {
	// It stays in the heap where it is: the Wheel still has to tell Expirer.
	t.expired += t.expireLocked()
}

// Left returns what is left until the next expiry, and the interval.
func (t *Timer) Left() Setting {
	t.Wheel.mu.Lock()
	defer t.Wheel.mu.Unlock()
	return t.leftLocked()
}

func (t *Timer) leftLocked() Setting {
	if !t.armed {
		return Setting{Interval: t.interval}
	}
	left := saturatingSub(t.next, t.now())
	if left <= 0 {
		// About to expire: 0 would say that it is disarmed.
		left = 1
	}
	return Setting{left, t.interval}
}

// now reads the clock, monotonic without a host call.
func (t *Timer) now() time.Duration { return t.Clock.wheelNow() }

func (c Clock) wheelNow() time.Duration {
	if c.CPU == nil && c.ID == linux.CLOCK_MONOTONIC {
		return monotonic()
	}
	return c.Now()
}

func (w *Wheel) addLocked(t *Timer) {
	t.wakeAt = t.Clock.In(saturatingSub(t.next, t.now())).At
	heap.Push(&w.heap, t)
	t.queued = true
	w.driveLocked()
}

func (w *Wheel) removeLocked(t *Timer) {
	if t.queued {
		heap.Remove(&w.heap, t.index)
		t.queued = false
	}
}

// driveLocked sets the Go timer for the earliest of all. It is never stopped: a
// tick with nothing to do costs less than stopping it each time.
func (w *Wheel) driveLocked() {
	if len(w.heap) == 0 {
		return
	}
	at := w.heap[0].wakeAt
	switch {
	case w.driver == nil:
		w.driver = time.AfterFunc(time.Until(at), w.tick)
	case w.at.IsZero() || at.Before(w.at):
		w.driver.Reset(time.Until(at))
	default:
		return
	}
	w.at = at
}

// tick reports what has expired.
func (w *Wheel) tick() {
	w.mu.Lock()
	w.at = time.Time{}
	now := time.Now()
	var due []*Timer
	for len(w.heap) > 0 && !w.heap[0].wakeAt.After(now) {
		t := w.heap[0]
		w.removeLocked(t)
		t.expired += t.expireLocked()
		if t.expired > 0 {
			due = append(due, t)
		}
		if t.armed {
			w.addLocked(t)
		}
	}
	w.driveLocked()
	w.mu.Unlock()
	for _, t := range due {
		t.Expirer.TimerExpired(t)
	}
}

// expireLocked returns how many periods have ended and moves on to the next
// expiry. It returns 0 if the clock is not there yet: a CPU clock, or rounding.
func (t *Timer) expireLocked() uint64 {
	if !t.armed {
		return 0
	}
	late := saturatingSub(t.now(), t.next)
	if late < 0 {
		return 0
	}
	if t.interval == 0 {
		t.armed = false
		return 1
	}
	periods := late/t.interval + 1
	t.next = saturatingAdd(t.next, periods*t.interval)
	return uint64(periods)
}

// timerHeap orders timers by wakeAt.
type timerHeap []*Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].wakeAt.Before(h[j].wakeAt) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}
