package unix

import (
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// flight counts, for each open socket that is itself in flight as control data
// of a message, how many times. A socket whose every reference is in flight can
// be reached only by receiving it; if all who could do that are in the same
// state, nobody ever will.
var flight struct {
	mu    sync.Mutex
	count map[*vfs.Description]int
}

// socketOf returns the socket behind an open file, or nil.
func socketOf(d *vfs.Description) *Socket {
	s, _ := d.File().(*Socket)
	return s
}

// maxFlight bounds how many sockets are in flight at once, and so how long a
// chain of sockets in the queues of sockets can be that one close releases.
const maxFlight = 16384

// flying and landed are told of descriptors that enter and leave queues. They
// cost nothing for those that are no sockets. ETOOMANYREFS if there are too
// many in flight.
func flying(files []*vfs.Description) error {
	for i, d := range files {
		if socketOf(d) == nil {
			continue
		}
		if !takeOff(d) {
			landed(files[:i])
			return errno.ETOOMANYREFS
		}
	}
	return nil
}

func takeOff(d *vfs.Description) bool {
	flight.mu.Lock()
	defer flight.mu.Unlock()
	if len(flight.count) >= maxFlight {
		return false
	}
	if flight.count == nil {
		flight.count = map[*vfs.Description]int{}
	}
	flight.count[d]++
	return true
}

func landed(files []*vfs.Description) {
	for _, d := range files {
		if socketOf(d) == nil {
			continue
		}
		flight.mu.Lock()
		if flight.count[d]--; flight.count[d] == 0 {
			delete(flight.count, d)
		}
		flight.mu.Unlock()
	}
}

// collectIfNeeded empties the queues of sockets that nobody can reach. It is
// called when a socket was closed: only then can others become unreachable. It
// costs a lock if no socket is in flight, and else time in proportion to what
// is in the queues of those.
func collectIfNeeded() {
	var lost []*message
	flight.mu.Lock()
	if len(flight.count) > 0 {
		for _, s := range unreachableLocked() {
			s.mu.Lock()
			lost = append(lost, s.msgs.takeAll())
			for _, p := range s.pending {
				p.mu.Lock()
				lost = append(lost, p.msgs.takeAll())
				p.mu.Unlock()
			}
			s.mu.Unlock()
		}
	}
	flight.mu.Unlock()
	for _, m := range lost {
		discard(m) // may close sockets, and so come here again
	}
}

// unreachableLocked finds the sockets that only unreachable queues refer to.
func unreachableLocked() []*Socket {
	// Candidates are those that have no reference but in flight. How many of
	// these come from queues of candidates decides.
	outside := map[*vfs.Description]int{}
	holds := map[*vfs.Description][]*vfs.Description{}
	for d, n := range flight.count {
		if d.Refs() == int64(n) {
			outside[d] = n
		}
	}
	for d := range outside {
		holds[d] = socketOf(d).holding()
		for _, x := range holds[d] {
			if _, ok := outside[x]; ok {
				outside[x]--
			}
		}
	}
	// Whoever is in a queue that can be received from is reachable, and what
	// is in its own queue too.
	var reachable []*vfs.Description
	for d, n := range outside {
		if n > 0 {
			reachable = append(reachable, d)
		}
	}
	for len(reachable) > 0 {
		d := reachable[len(reachable)-1]
		reachable = reachable[:len(reachable)-1]
		if _, ok := outside[d]; !ok {
			continue
		}
		delete(outside, d)
		reachable = append(reachable, holds[d]...)
	}
	var out []*Socket
	for d := range outside {
		out = append(out, socketOf(d))
	}
	return out
}

// holding lists the sockets that wait in the queue of s and of connections that
// nobody has accepted.
func (s *Socket) holding() []*vfs.Description {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.msgs.sockets(nil)
	for _, p := range s.pending {
		p.mu.Lock()
		out = p.msgs.sockets(out)
		p.mu.Unlock()
	}
	return out
}

func (l *messageList) sockets(out []*vfs.Description) []*vfs.Description {
	for m := l.head; m != nil; m = m.next {
		for _, d := range m.files {
			if socketOf(d) != nil {
				out = append(out, d)
			}
		}
	}
	return out
}
