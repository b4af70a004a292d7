// Package pipefs is pipes and FIFOs.
//
// A Pipe is a ring of page-sized slots, filled and drained by Files: the ends
// that pipe(2) returns, or that an open of a FIFO makes. What fits when, which
// writes merge and when it polls as full follows Linux slot by slot; the slots
// lie side by side in one piece of memory, so that a large read or write is one
// copy or two of guest memory instead of one a page.
//
// A pipe never raises SIGPIPE: EPIPE tells the system call layer to.
//
// Lock order: reading, writing, then mu; of two pipes the one with the lower
// number first. Guest memory is copied under mu, as Linux does under its pipe
// mutex. Reading and writing are held by splice over calls into the other file,
// so that no byte is lost or doubled when that takes less than it was offered.
//
// Cost: a read or write takes two uncontended locks and copies; memory of a pipe
// grows with what is in it at once, up to its size.
package pipefs

import (
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Sizes of a pipe.
const (
	pageSize     = usermem.PageSize
	defaultSlots = 16

	// AtomicSize is PIPE_BUF: a write of up to so many bytes is not mixed
	// with others.
	AtomicSize = 4096
	// MaxSize is what fcntl(F_SETPIPE_SZ) gives without privilege:
	// /proc/sys/fs/pipe-max-size.
	MaxSize = 1 << 20
	// maxLinux is Linux's limit for everybody, maxOurs what we would ever
	// give memory for.
	maxLinux = 1 << 31
	maxOurs  = 64 << 20
)

// opened is told to those who wait in open(2) of a FIFO.
const opened waiter.Events = 1 << 20

// Pipe is what both ends share.
type Pipe struct {
	number uint64
	// anonymous is that of pipe(2), which has no name in a file system.
	anonymous bool

	reading lock.Mutex[lockorder.PipeReader]
	writing lock.Mutex[lockorder.PipeWriter]

	queue waiter.Queue

	mu      lock.Mutex[lockorder.PipeInode]
	slots   []slot // the ring; its length is a power of two
	head    int    // of the oldest slot
	used    int    // how many slots hold bytes
	storage []byte // slot i is storage[i*pageSize:], grown as needed

	// How many open files there are, and how many there ever were: a FIFO's
	// open waits for the latter to change.
	readers, writers         int
	readersEver, writersEver uint64
}

// slot is a run of bytes within its page.
type slot struct {
	off, n int
	kind   slotKind
}

// slotKind says whether a slot may grow.
type slotKind uint8

const (
	mergeable slotKind = iota
	packet             // O_DIRECT: a read takes exactly this
)

var numbers atomic.Uint64

func newPipe() *Pipe {
	return &Pipe{number: numbers.Add(1), slots: make([]slot, defaultSlots)}
}

func (p *Pipe) at(i int) int { return (p.head + i) & (len(p.slots) - 1) }

func (p *Pipe) full() bool { return p.used == len(p.slots) }

// memory is that of the slots from index i on, grown if there is none yet.
func (p *Pipe) memory(i, pages int) []byte {
	need := (i + pages) * pageSize
	if len(p.storage) < need {
		grown := min(max(need, 2*len(p.storage)), len(p.slots)*pageSize)
		storage := make([]byte, grown)
		copy(storage, p.storage)
		p.storage = storage
	}
	return p.storage[i*pageSize : need]
}

// read drains the pipe into dst.
//
// Errors: EAGAIN if it is empty and there are writers; EFAULT.
func (p *Pipe) read(dst *usermem.Buffer) (int64, error) {
	if dst.Len() == 0 {
		return 0, nil
	}
	p.reading.Lock()
	defer p.reading.Unlock()
	p.mu.Lock()
	if p.used == 0 {
		defer p.mu.Unlock()
		if p.writers == 0 {
			return 0, nil
		}
		return 0, errno.EAGAIN
	}
	wasFull := p.full()
	n, err := p.drainLocked(func(b []byte) (int, error) { return dst.Fill(b) }, dst.Len)
	nowFull := p.full()
	p.mu.Unlock()
	if wasFull && !nowFull {
		p.queue.Notify(waiter.Writable)
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// drainLocked gives the oldest bytes to take, run by run, and removes what it
// took, until left returns 0, the pipe is empty, a packet has ended, or take
// takes less than it got.
func (p *Pipe) drainLocked(take func([]byte) (int, error), left func() int64) (int64, error) {
	var done int64
	for p.used > 0 && left() > 0 {
		s := &p.slots[p.head]
		isPacket := s.kind == packet
		run := p.runLocked(left())
		n, err := take(run)
		done += int64(n)
		if isPacket && err == nil {
			s.n = n // the rest of a packet is lost
		}
		p.removeLocked(n)
		if err != nil || isPacket || n < len(run) {
			return done, err
		}
	}
	return done, nil
}

// runLocked returns the oldest bytes as far as they lie side by side, at most
// limit.
func (p *Pipe) runLocked(limit int64) []byte {
	s := p.slots[p.head]
	start := p.head*pageSize + s.off
	end := start + s.n
	for i := p.head + 1; s.kind != packet && i < min(p.head+p.used, len(p.slots)); i++ {
		next := p.slots[i]
		if end != i*pageSize || next.off != 0 || next.kind == packet {
			break
		}
		end += next.n
	}
	return p.storage[start:min(int64(end), int64(start)+limit)]
}

// removeLocked removes the n oldest bytes.
func (p *Pipe) removeLocked(n int) {
	for p.used > 0 {
		s := &p.slots[p.head]
		c := min(n, s.n)
		s.off += c
		s.n -= c
		n -= c
		if s.n > 0 {
			return
		}
		p.head = p.at(1)
		p.used--
		if n == 0 {
			break
		}
	}
	if p.used == 0 {
		p.head = 0 // so that little data stays in little memory
	}
}

// write fills the pipe from src. A write of at most AtomicSize bytes is done
// whole or not at all.
//
// Errors: EPIPE if there are no readers; EAGAIN if nothing fits; EFAULT.
func (p *Pipe) write(src *usermem.Buffer, kind slotKind) (int64, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	if p.readers == 0 {
		p.mu.Unlock()
		return 0, errno.EPIPE
	}
	n, err := p.fillLocked(func(b []byte) (int, error) { return src.Drain(b) }, src.Len(), kind)
	p.mu.Unlock()
	if n > 0 {
		// Also if it was not empty: an edge-triggered epoll counts writes.
		p.queue.Notify(waiter.Readable)
		return n, nil
	}
	return 0, err
}

// fillLocked takes up to n bytes from give into the pipe.
func (p *Pipe) fillLocked(give func([]byte) (int, error), n int64, kind slotKind) (int64, error) {
	if n == 0 {
		return 0, nil
	}
	var done int64
	// What goes beyond whole pages is merged into the last slot if all of it
	// fits; see pipe_write in fs/pipe.c.
	if odd := int(n & (pageSize - 1)); odd > 0 && p.used > 0 && kind == mergeable {
		last := p.at(p.used - 1)
		s := &p.slots[last]
		if s.kind == mergeable && s.off+s.n+odd <= pageSize {
			got, err := give(p.memory(last, 1)[s.off+s.n:][:odd])
			s.n += got
			done += int64(got)
			n -= int64(got)
			if err != nil || n == 0 {
				return done, err
			}
		}
	}
	for n > 0 && !p.full() {
		first := p.at(p.used)
		pages := 1
		if kind == mergeable {
			free := len(p.slots) - p.used
			pages = int(min(int64(free), int64(len(p.slots)-first), (n+pageSize-1)/pageSize))
		}
		want := int(min(n, int64(pages)*pageSize))
		got, err := give(p.memory(first, pages)[:want])
		for left := got; left > 0; left -= pageSize {
			p.slots[p.at(p.used)] = slot{n: min(left, pageSize), kind: kind}
			p.used++
		}
		done += int64(got)
		n -= int64(got)
		if err != nil || got < want {
			return done, err
		}
	}
	if done == 0 {
		return 0, errno.EAGAIN
	}
	return done, nil
}

// Buffered is the number of bytes in the pipe: FIONREAD.
func (p *Pipe) Buffered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for i := range p.used {
		n += p.slots[p.at(i)].n
	}
	return n
}

// Size is the capacity in bytes: fcntl(F_GETPIPE_SZ).
func (p *Pipe) Size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots) * pageSize
}

// Privilege says whether CAP_SYS_RESOURCE is held.
type Privilege bool

// SetSize changes the capacity to at least n bytes and returns it:
// fcntl(F_SETPIPE_SZ).
//
// Errors: EINVAL for what is beyond any pipe; EPERM beyond MaxSize without
// privilege; EBUSY if more is in it; ENOMEM.
func (p *Pipe) SetSize(n int64, privileged Privilege) (int, error) {
	if n < 0 || n > maxLinux {
		return 0, errno.EINVAL
	}
	if n > maxOurs {
		return 0, errno.ENOMEM
	}
	slots := 1
	for int64(slots)*pageSize < n {
		slots *= 2
	}
	p.reading.Lock()
	defer p.reading.Unlock()
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	if slots > len(p.slots) && slots*pageSize > MaxSize && !privileged {
		p.mu.Unlock()
		return 0, errno.EPERM
	}
	if slots < p.used {
		p.mu.Unlock()
		return 0, errno.EBUSY
	}
	wasFull := p.full()
	p.resizeLocked(slots)
	nowFull := p.full()
	p.mu.Unlock()
	if wasFull && !nowFull {
		p.queue.Notify(waiter.Writable)
	}
	return slots * pageSize, nil
}

// resizeLocked moves everything to the beginning of a new ring.
func (p *Pipe) resizeLocked(slots int) {
	ring := make([]slot, slots)
	storage := make([]byte, p.used*pageSize)
	for i := range p.used {
		from := p.at(i)
		ring[i] = p.slots[from]
		copy(storage[i*pageSize:][:pageSize], p.storage[from*pageSize:])
	}
	p.slots, p.storage, p.head = ring, storage, 0
}
