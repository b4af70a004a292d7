package clock

import (
	"container/heap"
	"sync"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// Expirer is told when a Timer has expired, without a lock held, by a goroutine
// of the Wheel: it must not block. n is how many periods have ended since it
// was told last, at least 1.
type Expirer interface {
	TimerExpired(t *Timer, n uint64)
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
	mu     sync.Mutex
	heap   timerHeap
	driver *time.Timer
	at     time.Time // when driver fires
}

// Set arms the timer, or disarms it if s.Value is 0, and returns what was left.
// After it returns no expiry of the old setting is reported any more, but one
// report may be under way.
func (t *Timer) Set(s Setting, o Origin) Setting {
	w := t.Wheel
	w.mu.Lock()
	defer w.mu.Unlock()
	old := t.leftLocked()
	w.removeLocked(t)
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
	type report struct {
		t *Timer
		n uint64
	}
	var due []report
	for len(w.heap) > 0 && !w.heap[0].wakeAt.After(now) {
		t := w.heap[0]
		w.removeLocked(t)
		if n := t.expireLocked(); n > 0 {
			due = append(due, report{t, n})
		}
		if t.armed {
			w.addLocked(t)
		}
	}
	w.driveLocked()
	w.mu.Unlock()
	for _, r := range due {
		r.t.Expirer.TimerExpired(r.t, r.n)
	}
}

// expireLocked returns how many periods have ended and moves on to the next
// expiry. It returns 0 if the clock is not there yet: a CPU clock, or rounding.
func (t *Timer) expireLocked() uint64 {
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
