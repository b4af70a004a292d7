// Package epoll is epoll(7): a File that collects which of many open files are
// ready.
//
// An Instance has an interest list of items and a ready list. An item is an
// entry in the queue of its target; when the target reports an event the item
// goes to the ready list, and nothing else happens: what is ready is asked of
// the target when somebody collects. So a wait costs what is ready, not what is
// watched, and a target that nobody collects costs one list insertion.
//
// A closed target (the last reference to its description is gone) takes its
// items out by itself.
//
// Lock order: nesting (the graph of instances that watch instances), then an
// Instance's mu, outer instances first, then the targets' locks. Wakes come
// under the target's queue lock and take only readyMu, and then the queue of
// this Instance: instances form no cycles, so neither do those.
package epoll

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Flags of an interest beside its events.
const (
	flagMask = linux.EPOLLET | linux.EPOLLONESHOT | linux.EPOLLEXCLUSIVE | linux.EPOLLWAKEUP

	exclusiveMay = linux.EPOLLIN | linux.EPOLLOUT | linux.EPOLLERR | linux.EPOLLHUP |
		linux.EPOLLWAKEUP | linux.EPOLLET | linux.EPOLLEXCLUSIVE
)

// Instance is an epoll file.
type Instance struct {
	queue waiter.Queue // of those who wait for the instance

	mu    lock.Mutex[lockorder.EpollInstance]
	items map[*vfs.Description][]*item // nearly always one each
	// released is set by Release: nothing is added any more.
	released bool

	readyMu lock.Mutex[lockorder.WaitQueue]
	ready   itemList

	// parents counts the interests of other instances in this one; guarded
	// by nesting.
	parents map[*Instance]int
}

// item is one interest. The same file under two numbers is two items.
type item struct {
	ep    *Instance
	d     *vfs.Description
	fd    linux.FD
	event linux.EpollEvent // what was asked for; guarded by ep.mu
	entry waiter.Entry

	// Guarded by ep.readyMu.
	onReady    bool
	disabled   bool // a one-shot that has fired
	prev, next *item
}

// New opens an epoll instance.
func New(w *vfs.World, creds *cred.Creds, flags linux.OpenFlags) *vfs.Description {
	ep := &Instance{items: map[*vfs.Description][]*item{}}
	return vfs.NewAnon(w, vfs.NewAnonInode(w, 0o600, creds), "anon_inode:[eventpoll]", ep, linux.O_RDWR|flags, creds)
}

// Add registers interest in d under the number fd.
//
// Errors: EPERM if d cannot be waited for; EEXIST; EINVAL for d being the
// instance itself or flags that exclude each other; ELOOP if instances would
// watch each other or be nested too deeply.
func (ep *Instance) Add(d *vfs.Description, fd linux.FD, ev linux.EpollEvent) error {
	if !d.Waitable() {
		return errno.EPERM
	}
	inner, nested := d.File().(*Instance)
	if inner == ep {
		return errno.EINVAL
	}
	if ev.Events&linux.EPOLLEXCLUSIVE != 0 && (nested || ev.Events&^uint32(exclusiveMay) != 0) {
		return errno.EINVAL
	}
	if nested {
		nesting.Lock()
		defer nesting.Unlock()
		if err := mayNest(ep, inner); err != nil {
			return err
		}
	}
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.findLocked(d, fd) != nil {
		return errno.EEXIST
	}
	if ep.released {
		return errno.EBADF
	}
	it := &item{ep: ep, d: d, fd: fd, event: ev}
	ep.items[d] = append(ep.items[d], it)
	if nested {
		inner.addParent(ep)
	}
	d.Watch(ep)
	it.armLocked()
	return nil
}

// Modify changes an interest.
//
// Errors: ENOENT; EINVAL where EPOLLEXCLUSIVE is or was asked for.
func (ep *Instance) Modify(d *vfs.Description, fd linux.FD, ev linux.EpollEvent) error {
	if ev.Events&linux.EPOLLEXCLUSIVE != 0 {
		return errno.EINVAL
	}
	ep.mu.Lock()
	defer ep.mu.Unlock()
	it := ep.findLocked(d, fd)
	if it == nil {
		return errno.ENOENT
	}
	if it.event.Events&linux.EPOLLEXCLUSIVE != 0 {
		return errno.EINVAL
	}
	d.Unregister(&it.entry)
	it.event = ev
	it.armLocked()
	return nil
}

// Remove ends an interest. ENOENT if there is none.
func (ep *Instance) Remove(d *vfs.Description, fd linux.FD) error {
	if _, nested := d.File().(*Instance); nested {
		nesting.Lock()
		defer nesting.Unlock()
	}
	ep.mu.Lock()
	defer ep.mu.Unlock()
	it := ep.findLocked(d, fd)
	if it == nil {
		return errno.ENOENT
	}
	ep.dropLocked(it)
	rest := slices.DeleteFunc(ep.items[d], func(x *item) bool { return x == it })
	ep.items[d] = rest
	if len(rest) == 0 {
		delete(ep.items, d)
		d.Unwatch(ep)
	}
	return nil
}

func (ep *Instance) findLocked(d *vfs.Description, fd linux.FD) *item {
	for _, it := range ep.items[d] {
		if it.fd == fd {
			return it
		}
	}
	return nil
}

// armLocked puts the item into its target's queue, and on the ready list if
// something is ready already.
func (it *item) armLocked() {
	d := it.d
	it.ep.readyMu.LockNested()
	it.disabled = false
	it.ep.readyMu.Unlock()
	it.entry = waiter.Entry{Mask: it.wants() | waiter.Always, Waker: it}
	if it.event.Events&linux.EPOLLEXCLUSIVE != 0 {
		it.entry.Exclusive = waiter.Exclusive
	}
	d.Register(&it.entry)
	if d.Ready(it.wants())&(it.wants()|waiter.Always) != 0 {
		it.Wake(&it.entry, it.wants()|waiter.Always)
	}
}

func (it *item) wants() waiter.Events { return waiter.Events(it.event.Events &^ uint32(flagMask)) }

// Wake is called by the target's queue: it only notes that the item has to be
// looked at.
func (it *item) Wake(*waiter.Entry, waiter.Events) bool {
	ep := it.ep
	ep.readyMu.LockNested()
	if it.disabled {
		ep.readyMu.Unlock()
		return false
	}
	if !it.onReady {
		ep.ready.push(it)
	}
	ep.readyMu.Unlock()
	waited := !ep.queue.Empty()
	ep.queue.Notify(waiter.Readable)
	return waited
}

// dropLocked takes an item out of everything but ep.items and the target's
// watchers.
func (ep *Instance) dropLocked(it *item) {
	it.d.Unregister(&it.entry)
	ep.readyMu.LockNested()
	it.disabled = true
	if it.onReady {
		ep.ready.remove(it)
	}
	ep.readyMu.Unlock()
	if inner, nested := it.d.File().(*Instance); nested {
		inner.removeParent(ep)
	}
}

// DescriptionGone drops the items of a target that was closed.
func (ep *Instance) DescriptionGone(d *vfs.Description) {
	if _, nested := d.File().(*Instance); nested {
		nesting.Lock()
		defer nesting.Unlock()
	}
	ep.mu.Lock()
	defer ep.mu.Unlock()
	for _, it := range ep.items[d] {
		ep.dropLocked(it)
	}
	delete(ep.items, d)
}

// Release implements vfs.File.
func (ep *Instance) Release() {
	nesting.Lock()
	defer nesting.Unlock()
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.released = true
	for d, items := range ep.items {
		for _, it := range items {
			ep.dropLocked(it)
		}
		d.Unwatch(ep)
	}
	ep.items = nil
}

// Event is what a wait reports of one item.
type Event struct {
	linux.EpollEvent
	item *item
}

// Collect returns what is ready, at most max events. Each item is looked at
// once; those that are level-triggered and still ready go to the end of the
// list.
func (ep *Instance) Collect(max int) []Event {
	ep.readyMu.LockNested()
	n := ep.ready.n
	ep.readyMu.Unlock()
	if n == 0 {
		return nil
	}
	ep.mu.Lock()
	var out []Event
	for ; n > 0 && len(out) < max; n-- {
		it := ep.pop()
		if it == nil {
			break
		}
		wants := it.wants() | waiter.Always
		ev := it.d.Ready(wants) & wants
		if ev == 0 {
			continue
		}
		out = append(out, Event{linux.EpollEvent{Events: uint32(ev), Data: it.event.Data}, it})
		ep.reported(it)
	}
	ep.mu.Unlock()
	if len(out) > 0 && ep.hasReady() {
		// Whoever else waits was woken by nobody for what is left.
		ep.queue.Notify(waiter.Readable)
	}
	return out
}

// pop takes the first item from the ready list.
func (ep *Instance) pop() *item {
	ep.readyMu.LockNested()
	defer ep.readyMu.Unlock()
	it := ep.ready.head
	if it != nil {
		ep.ready.remove(it)
	}
	return it
}

// reported does what the item's flags ask for after an event.
func (ep *Instance) reported(it *item) {
	flags := it.event.Events
	ep.readyMu.LockNested()
	defer ep.readyMu.Unlock()
	switch {
	case flags&linux.EPOLLONESHOT != 0:
		it.disabled = true
		if it.onReady {
			ep.ready.remove(it)
		}
	case flags&linux.EPOLLET == 0 && !it.onReady:
		ep.ready.push(it)
	}
}

// PutBack makes events that could not be delivered be reported again.
func (ep *Instance) PutBack(events []Event) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.readyMu.LockNested()
	defer ep.readyMu.Unlock()
	for _, ev := range events {
		if ep.findLocked(ev.item.d, ev.item.fd) != ev.item {
			continue
		}
		ev.item.disabled = false
		if !ev.item.onReady {
			ep.ready.push(ev.item)
		}
	}
}

// Wait collects, and sleeps as long as there is nothing.
//
// Errors: what Sleep returns (ETIMEDOUT, ERESTARTSYS).
func (ep *Instance) Wait(s waiter.Sleeper, max int, d waiter.Deadline) ([]Event, error) {
	if evs := ep.Collect(max); len(evs) > 0 {
		return evs, nil
	}
	// Exclusive: one event wakes one of several that wait here.
	e := waiter.Entry{Mask: waiter.Readable, Waker: s.Waker(), Exclusive: waiter.Exclusive}
	ep.queue.Register(&e)
	defer ep.queue.Unregister(&e)
	for {
		evs := ep.Collect(max)
		if len(evs) > 0 {
			return evs, nil
		}
		if err := s.Sleep(d); err != nil {
			// The wake-up may have been ours: nobody else saw it.
			if evs := ep.Collect(max); len(evs) > 0 {
				return evs, nil
			}
			return nil, err
		}
	}
}

func (ep *Instance) hasReady() bool {
	ep.readyMu.LockNested()
	defer ep.readyMu.Unlock()
	return ep.ready.n > 0
}

// Ready implements waiter.Waitable: an instance is readable when an item is.
func (ep *Instance) Ready(want waiter.Events) waiter.Events {
	if want&waiter.Readable == 0 || !ep.hasReady() {
		return 0
	}
	// An epoll that watches this one may hold its own.
	ep.mu.LockNested()
	defer ep.mu.Unlock()
	for {
		ep.readyMu.LockNested()
		it := ep.ready.head
		ep.readyMu.Unlock()
		if it == nil {
			return 0
		}
		if wants := it.wants() | waiter.Always; it.d.Ready(wants)&wants != 0 {
			return want & waiter.Readable
		}
		ep.dropStale(it)
	}
}

// dropStale takes an item off the ready list unless it has just become ready
// again.
func (ep *Instance) dropStale(it *item) {
	ep.readyMu.LockNested()
	if it.onReady {
		ep.ready.remove(it)
	}
	ep.readyMu.Unlock()
	// An event between the check and the removal would be lost.
	if wants := it.wants() | waiter.Always; it.d.Ready(wants)&wants != 0 {
		it.Wake(&it.entry, wants)
	}
}

// Register implements waiter.Waitable.
func (ep *Instance) Register(e *waiter.Entry) { ep.queue.Register(e) }

// Unregister implements waiter.Waitable.
func (ep *Instance) Unregister(e *waiter.Entry) { ep.queue.Unregister(e) }

// FDInfo is for /proc/PID/fdinfo.
func (ep *Instance) FDInfo() string {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	var b strings.Builder
	var items []*item
	for _, of := range ep.items {
		items = append(items, of...)
	}
	slices.SortFunc(items, func(a, b *item) int { return int(a.fd) - int(b.fd) })
	for _, it := range items {
		data := uint64(it.event.Data[1])<<32 | uint64(it.event.Data[0])
		fmt.Fprintf(&b, "tfd: %8d events: %8x data: %16x\n", it.fd, it.event.Events, data)
	}
	return b.String()
}

// itemList is a list of items, linked through them.
type itemList struct {
	head, tail *item
	n          int
}

func (l *itemList) push(it *item) {
	it.onReady = true
	it.prev, it.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = it
	} else {
		l.head = it
	}
	l.tail = it
	l.n++
}

func (l *itemList) remove(it *item) {
	if it.prev != nil {
		it.prev.next = it.next
	} else {
		l.head = it.next
	}
	if it.next != nil {
		it.next.prev = it.prev
	} else {
		l.tail = it.prev
	}
	it.prev, it.next, it.onReady = nil, nil, false
	l.n--
}
