package lock

import (
	"strings"
	"sync"
	"testing"
)

type (
	outer  struct{ Outermost }
	middle struct{ Inside[outer] }
	inner  struct{ Inside[middle] }
)

func TestRankIsDepth(t *testing.T) {
	if (outer{}).Rank() != 1 || (middle{}).Rank() != 2 || (inner{}).Rank() != 3 {
		t.Errorf("ranks %d %d %d", outer{}.Rank(), middle{}.Rank(), inner{}.Rank())
	}
}

func TestGuardedExcludes(t *testing.T) {
	var counter Guarded[outer, int]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				n := counter.Lock()
				*n++
				counter.Unlock()
			}
		})
	}
	wg.Wait()
	if n := counter.Lock(); *n != 8000 {
		t.Errorf("counted %d", *n)
	}
	counter.Unlock()
}

func TestRightOrderIsSilent(t *testing.T) {
	var a Mutex[outer]
	var b RWMutex[middle]
	var c, d Mutex[inner]
	for range 2 { // twice, so that nothing is left over
		a.Lock()
		b.RLock()
		c.Lock()
		d.LockNested()
		a.Unlock()
		c.Unlock()
		d.Unlock()
		b.RUnlock()
		AssertNoneHeld()
	}
	if !a.TryLock() || a.TryLock() {
		t.Error("TryLock of a free lock, then of a taken one")
	}
	a.Unlock()
}

func TestInversionsPanic(t *testing.T) {
	if !Checked {
		t.Skip("needs a program built with -tags lockcheck")
	}
	var a Mutex[outer]
	var b RWMutex[middle]
	var b2 RWMutex[middle]
	var g Guarded[inner, int]
	for _, c := range []struct {
		name string
		want string
		run  func()
	}{
		{"outer inside inner", "taking lock.outer (rank 1) while holding lock.inner (rank 3)", func() {
			g.Lock()
			defer g.Unlock()
			a.Lock()
		}},
		{"same class", "taking lock.middle (rank 2) while holding lock.middle (rank 2)", func() {
			b.Lock()
			defer b.Unlock()
			b2.Lock()
		}},
		{"read twice", "taking lock.middle (rank 2) while holding lock.middle (rank 2)", func() {
			b.RLock()
			defer b.RUnlock()
			b.RLock()
		}},
		{"read inside inner", "taking lock.middle (rank 2) while holding lock.inner (rank 3)", func() {
			g.Lock()
			defer g.Unlock()
			b.RLock()
		}},
		{"nested, the same lock", "taking lock.middle (rank 2) while holding lock.middle (rank 2)", func() {
			b.Lock()
			defer b.Unlock()
			b.LockNested()
		}},
		{"nested, another class", "taking lock.outer (rank 1) while holding lock.middle (rank 2)", func() {
			b.Lock()
			defer b.Unlock()
			a.LockNested()
		}},
		{"release of what is not held", "releasing", func() { a.Unlock() }},
		{"blocking", "blocking while holding lock.outer", func() {
			a.Lock()
			defer a.Unlock()
			AssertNoneHeld()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, c.want) {
					t.Errorf("panic %q, want %q", got, c.want)
				}
				AssertNoneHeld()
			}()
			c.run()
		})
	}
}

func TestGoroutinesDoNotShareWhatTheyHold(t *testing.T) {
	var a Mutex[outer]
	var c Mutex[inner]
	c.Lock()
	defer c.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Lock()
		defer a.Unlock()
	}()
	<-done
}

func BenchmarkMutex(b *testing.B) {
	var m Mutex[inner]
	for b.Loop() {
		m.Lock()
		m.Unlock()
	}
}

func BenchmarkSyncMutex(b *testing.B) {
	var m sync.Mutex
	for b.Loop() {
		m.Lock()
		m.Unlock()
	}
}
