// Package waiter lets a task wait for objects to become ready: pipes, sockets,
// timers, other tasks. An object has a Queue; who waits registers an Entry
// with the events that it wants and is woken through the Entry's Waker.
//
// Queues hold plain structs only: no goroutine or channel waits inside one, so
// the state of a blocked task can be saved. A Queue never wakes by itself: the
// object calls Notify after it has changed.
//
// Lock order: a queue's lock is innermost. A Waker must not block, take locks
// of the object, or call back into the queue. To avoid a lost wake-up: register
// first, then test the condition, then sleep.
//
// Cost: Notify on an empty queue is one atomic load.
package waiter

import (
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// Events are poll(2)'s bits.
type Events uint32

// The events, with Linux's values.
const (
	In     Events = 0x001
	Pri    Events = 0x002
	Out    Events = 0x004
	Err    Events = 0x008
	Hup    Events = 0x010
	RdNorm Events = 0x040
	RdBand Events = 0x080
	WrNorm Events = 0x100
	WrBand Events = 0x200
	RdHup  Events = 0x2000

	// Readable and Writable are what most objects report.
	Readable = In | RdNorm
	Writable = Out | WrNorm

	// Always are reported whether they were asked for or not.
	Always = Err | Hup
	// All is every event.
	All Events = 0x23df
)

// Waker is told when an event that an Entry waits for happens.
type Waker interface {
	// Wake is called with the queue's lock held: it must be short, must not
	// block and must not touch the queue. It returns whether it used the
	// event, which matters only for entries that are exclusive.
	Wake(e *Entry, ev Events) bool
}

// Entry is one waiter in one queue.
type Entry struct {
	Mask      Events
	Waker     Waker
	Exclusive Exclusivity

	queue      *Queue
	prev, next *Entry
}

// Exclusivity says whether one notification wakes only the first entry.
type Exclusivity uint8

// Shared entries are all woken; of the Exclusive ones only the first that
// uses the event, as EPOLLEXCLUSIVE and wait queues of accept(2) ask.
const (
	Shared Exclusivity = iota
	Exclusive
)

// Waitable is an object that tasks can wait for.
type Waitable interface {
	// Ready returns which of the wanted events hold now.
	Ready(want Events) Events
	// Register adds e to the object's queue, Unregister takes it out and
	// guarantees that no Wake runs for it afterwards.
	Register(e *Entry)
	Unregister(e *Entry)
}

// Queue is a list of entries. The zero value is ready for use.
type Queue struct {
	n          atomic.Int32
	mu         lock.Mutex[lockorder.WaitQueue]
	head, tail *Entry
}

// Register adds e at the end. An entry is in at most one queue.
func (q *Queue) Register(e *Entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.queue != nil {
		panic("waiter: entry registered twice")
	}
	e.queue, e.prev, e.next = q, q.tail, nil
	if q.tail != nil {
		q.tail.next = e
	} else {
		q.head = e
	}
	q.tail = e
	q.n.Add(1)
}

// Unregister removes e if it is there.
func (q *Queue) Unregister(e *Entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.queue != q {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.tail = e.prev
	}
	e.queue, e.prev, e.next = nil, nil, nil
	q.n.Add(-1)
}

// Notify wakes the entries that wait for any of ev.
func (q *Queue) Notify(ev Events) {
	if q.n.Load() == 0 {
		return
	}
	// A Waker may notify the queue of an epoll that watches this object.
	q.mu.LockNested()
	defer q.mu.Unlock()
	used := false
	for e := q.head; e != nil; e = e.next {
		if e.Mask&ev == 0 || (e.Exclusive == Exclusive && used) {
			continue
		}
		if e.Waker.Wake(e, ev) && e.Exclusive == Exclusive {
			used = true
		}
	}
}

// Empty says whether nobody waits.
func (q *Queue) Empty() bool { return q.n.Load() == 0 }
