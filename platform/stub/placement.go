package stub

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/internal/host"
)

// Placement keeps the two host threads of a guest thread, the stub's and its
// owner's, on one processor while the guest makes system calls often.
//
// They never run at the same time, but the host's scheduler does not know: it
// wakes each on an idle processor, and a wake-up across processors costs more
// than all the rest of a system call (measured: 11 to 58 us a call, against 4.4
// on one processor). A guest thread starts pinned to where its owner was
// placed. A guest that computes, a processor with more pinned pairs than
// others, and a pin of some age are set free, so that the host's scheduler
// decides again; a free thread that makes several calls in a row is pinned
// where it runs then.
//
// A goroutine looks after the pins while pinned threads are active and ends
// when they are not, so that an idle sandbox does nothing.
type Placement struct {
	all  host.CPUSet
	cpus int

	watching atomic.Bool // the goroutine exists

	mu     sync.Mutex
	pinned map[*Placed]*pin
}

// pin is what the watcher knows of a pinned thread.
type pin struct {
	cpu      int
	switches uint64 // of the thread at the last look
	ticks    int    // looks since it was pinned
}

const (
	watchPeriod = 5 * time.Millisecond
	pinTicks    = 40 // the life of a pin

	// A thread that entered the guest frequentSwitches times in a row with
	// less than frequentNS between is pinned.
	frequentSwitches = 4
	frequentNS       = 200_000
)

// NewPlacement uses the processors that the calling thread may.
func NewPlacement() (*Placement, error) {
	all, err := host.Affinity()
	if err != nil {
		return nil, err
	}
	return &Placement{all: all, cpus: all.Count(), pinned: map[*Placed]*pin{}}, nil
}

// Placed is a guest thread's part.
type Placed struct {
	Stub    int         // the stub's thread
	Running atomic.Bool // the guest may run; the owner of the Placed changes it

	pinnedNow atomic.Bool
	switches  atomic.Uint64 // entries into the guest, changed by the owner only
	owner     int           // this process's thread
	last      time.Time     // the last entry, while not pinned
	frequent  int           // entries in a row that came soon after another
}

// Enter is called by the owner before the stub runs.
func (s *Placement) Enter(t *Placed) {
	t.switches.Store(t.switches.Load() + 1)
	if t.pinnedNow.Load() {
		if !s.watching.Load() {
			s.watch()
		}
		return
	}
	if s.cpus < 2 {
		return
	}
	now := time.Now()
	if now.Sub(t.last) < frequentNS {
		t.frequent++
	} else {
		t.frequent = 0
	}
	t.last = now
	if t.frequent >= frequentSwitches {
		s.Pin(t)
	}
}

// Pin is called by the owner.
func (s *Placement) Pin(t *Placed) {
	if s.cpus < 2 {
		return
	}
	cpu := host.CurrentCPU()
	if cpu < 0 || !s.all.IsSet(cpu) {
		return
	}
	var one host.CPUSet
	one.Set(cpu)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.frequent = 0
	if host.SetAffinity(0, &one) != nil {
		return
	}
	if host.SetAffinity(t.Stub, &one) != nil {
		host.SetAffinity(0, &s.all)
		return
	}
	t.owner = host.Gettid()
	s.pinned[t] = &pin{cpu: cpu, switches: t.switches.Load()}
	t.pinnedNow.Store(true)
}

// Apart lets the stub run on other processors than its owner's, so that both can
// run at the same time; Together undoes it. The owner calls them. Apart returns
// false where the two are not pinned, or there is one processor.
func (s *Placement) Apart(t *Placed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pinned[t]
	if p == nil {
		return false
	}
	others := s.all
	others.Clear(p.cpu)
	return others.Count() > 0 && host.SetAffinity(t.Stub, &others) == nil
}

func (s *Placement) Together(t *Placed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pinned[t]; p != nil {
		var one host.CPUSet
		one.Set(p.cpu)
		host.SetAffinity(t.Stub, &one)
	}
}

// Pinned says whether the two have processors of their own. It is for the owner.
func (t *Placed) Pinned() bool { return t.pinnedNow.Load() }

// Processors is how many there are.
func (s *Placement) Processors() int { return s.cpus }

// Leave is called by the owner before it gives up the thread.
func (s *Placement) Leave(t *Placed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pinned[t] != nil {
		s.freeLocked(t)
	}
}

// Replace calls change, which gives the thread another host thread that was
// made by the one it had, and so runs on the same processors.
func (s *Placement) Replace(t *Placed, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *Placement) freeLocked(t *Placed) {
	delete(s.pinned, t)
	t.pinnedNow.Store(false)
	// The stub may be gone; the owner is a thread of this process, which
	// stays while it is locked to the owner.
	host.SetAffinity(t.Stub, &s.all)
	host.SetAffinity(t.owner, &s.all)
}

func (s *Placement) watch() {
	if s.watching.Swap(true) {
		return
	}
	go func() {
		ticker := time.NewTicker(watchPeriod)
		defer ticker.Stop()
		for range ticker.C {
			if !s.look() {
				// A thread that enters the guest now starts the next one.
				s.watching.Store(false)
				return
			}
		}
	}()
}

// look frees what should be placed anew. It says whether any pinned thread was
// active since the last look.
func (s *Placement) look() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	active := map[int][]*Placed{}
	any := false
	for t, p := range s.pinned {
		p.ticks++
		switches := t.switches.Load()
		busy := switches != p.switches
		p.switches = switches
		if !busy && !t.Running.Load() {
			continue // blocked in the Sentry
		}
		any = true
		if !busy || p.ticks > pinTicks {
			s.freeLocked(t)
			continue
		}
		active[p.cpu] = append(active[p.cpu], t)
	}
	s.balanceLocked(active)
	return any
}

// balanceLocked frees one thread of the processor that has most, if another
// has two less. Where it goes, the host decides.
func (s *Placement) balanceLocked(active map[int][]*Placed) {
	var most []*Placed
	least := len(s.pinned)
	for _, threads := range active {
		if len(threads) > len(most) {
			most = threads
		}
		least = min(least, len(threads))
	}
	if len(active) < s.cpus {
		least = 0
	}
	if len(most) >= least+2 {
		s.freeLocked(most[0])
	}
}
