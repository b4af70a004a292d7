package host

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// Notifier tells when host descriptors become ready. It has one goroutine,
// which sleeps in epoll_wait and calls back; a change of readiness is told
// once (EPOLLET), so whoever is told must find out how things are now.
type Notifier struct {
	epoll int
	wake  *FD // ends the goroutine

	mu    sync.Mutex
	byKey map[uint64]*registration
	byFD  map[*FD]*registration
	next  uint64
}

type registration struct {
	key  uint64
	call func(events uint32)
}

// wakeKey is the key of Notifier.wake; registrations count from 1.
const wakeKey = 0

// NewNotifier makes a Notifier without descriptors.
func NewNotifier() (*Notifier, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, failure(err)
	}
	n := &Notifier{epoll: epoll, byKey: map[uint64]*registration{}, byFD: map[*FD]*registration{}}
	if n.wake, err = EventFD(); err != nil {
		unix.Close(epoll)
		return nil, err
	}
	if err := n.control(unix.EPOLL_CTL_ADD, n.wake, unix.EPOLLIN, wakeKey); err != nil {
		n.wake.Close()
		unix.Close(epoll)
		return nil, err
	}
	go n.run()
	return n, nil
}

// Add calls call with the events (EPOLL*) that are there, now and whenever one
// comes, until Remove. Call runs on the Notifier's goroutine and must not
// block. EEXIST: fd was added before. EPERM: the file is always ready.
func (n *Notifier) Add(fd *FD, events uint32, call func(events uint32)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byFD[fd] != nil {
		return errno.EEXIST
	}
	n.next++
	r := &registration{key: n.next, call: call}
	if err := n.control(unix.EPOLL_CTL_ADD, fd, events|unix.EPOLLET, r.key); err != nil {
		return err
	}
	n.byKey[r.key], n.byFD[fd] = r, r
	return nil
}

// Remove ends what Add began. The function may still be running when Remove
// returns, but does not start any more. It comes before fd.Close.
func (n *Notifier) Remove(fd *FD) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.byFD[fd]
	if r == nil {
		return errno.ENOENT
	}
	delete(n.byFD, fd)
	delete(n.byKey, r.key)
	return failure(unix.EpollCtl(n.epoll, unix.EPOLL_CTL_DEL, fd.Number(), nil))
}

// Close ends the goroutine, soon. Registrations are forgotten.
func (n *Notifier) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.byKey)
	clear(n.byFD)
	n.wake.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0})
}

func (n *Notifier) control(op int, fd *FD, events uint32, key uint64) error {
	// The host gives the 64 bits that x/sys calls Fd and Pad back as they are.
	ev := unix.EpollEvent{Events: events, Fd: int32(uint32(key)), Pad: int32(key >> 32)}
	return failure(unix.EpollCtl(n.epoll, op, fd.Number(), &ev))
}

func (n *Notifier) run() {
	defer unix.Close(n.epoll)
	defer n.wake.Close()
	var events [64]unix.EpollEvent
	for {
		count, err := retry(func() (int, error) { return unix.EpollWait(n.epoll, events[:], -1) })
		if err != nil {
			panic("host: epoll_wait on the notifier's own descriptor: " + err.Error())
		}
		for _, ev := range events[:count] {
			key := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
			if key == wakeKey {
				return
			}
			n.mu.Lock()
			r := n.byKey[key]
			n.mu.Unlock()
			if r != nil {
				r.call(ev.Events)
			}
		}
	}
}
