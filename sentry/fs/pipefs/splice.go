package pipefs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// spliceChunk bounds what one step of a splice holds in memory.
const spliceChunk = 64 << 10

// SpliceOut offers at most n bytes of the pipe to put and removes those that it
// took. Put must not wait.
//
// Errors: EAGAIN if the pipe is empty and has writers; those of put.
func (p *Pipe) SpliceOut(n int64, put func(src *usermem.Buffer) (int64, error)) (int64, error) {
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
	// Copied, since put may wait for the host and mu is not to be held then.
	run := append([]byte(nil), p.runLocked(min(n, spliceChunk))...)
	p.mu.Unlock()

	took, err := put(usermem.OwnBuffer(run))

	p.mu.Lock()
	wasFull := p.full()
	if took > 0 {
		if p.slots[p.head].kind == packet {
			p.slots[p.head].n = int(took)
		}
		p.removeLocked(int(took))
	}
	freed := wasFull && !p.full()
	p.mu.Unlock()
	if freed {
		p.queue.Notify(waiter.Writable)
	}
	return took, err
}

// SpliceIn lets get fill at most n bytes, and no more than there is room for,
// and appends them. Get must not wait.
//
// Errors: EPIPE without readers; EAGAIN if the pipe is full; those of get.
func (p *Pipe) SpliceIn(n int64, get func(dst *usermem.Buffer) (int64, error)) (int64, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	room := int64(len(p.slots)-p.used) * pageSize
	readers := p.readers
	p.mu.Unlock()
	if readers == 0 {
		return 0, errno.EPIPE
	}
	if room == 0 {
		return 0, errno.EAGAIN
	}
	data := make([]byte, min(n, room, spliceChunk))
	got, err := get(usermem.OwnBuffer(data))
	if got <= 0 {
		return 0, err
	}
	p.mu.Lock()
	p.appendLocked(data[:got], mergeable)
	p.mu.Unlock()
	p.queue.Notify(waiter.Readable)
	return got, nil
}

// appendLocked adds what there is room for.
func (p *Pipe) appendLocked(data []byte, kind slotKind) int {
	n, _ := p.fillLocked(func(b []byte) (int, error) {
		c := copy(b, data)
		data = data[c:]
		return c, nil
	}, int64(len(data)), kind)
	return int(n)
}

// Keep says whether a transfer leaves the bytes in the source.
type Keep bool

// The two: Move is splice(2), Copy is tee(2).
const (
	Move Keep = false
	Copy Keep = true
)

// Transfer moves or copies at most n bytes from src to another pipe.
//
// Errors: EINVAL if they are the same; EAGAIN if src is empty but has writers,
// or dst is full; EPIPE if dst has no readers.
func Transfer(dst, src *Pipe, n int64, keep Keep) (int64, error) {
	if dst == src {
		return 0, errno.EINVAL
	}
	src.reading.Lock()
	defer src.reading.Unlock()
	dst.writing.Lock()
	defer dst.writing.Unlock()
	lockBoth(dst, src)
	wasFull := src.full()
	done, err := transferLocked(dst, src, n, keep)
	freed := wasFull && !src.full()
	dst.mu.Unlock()
	src.mu.Unlock()
	if done > 0 {
		dst.queue.Notify(waiter.Readable)
	}
	if freed {
		src.queue.Notify(waiter.Writable)
	}
	return done, err
}

func transferLocked(dst, src *Pipe, n int64, keep Keep) (int64, error) {
	if dst.readers == 0 {
		return 0, errno.EPIPE
	}
	if src.used == 0 && src.writers == 0 {
		return 0, nil
	}
	if src.used == 0 || dst.full() {
		return 0, errno.EAGAIN
	}
	var done int64
	for i := 0; i < src.used && done < n && !dst.full(); {
		at := src.at(i)
		s := src.slots[at]
		c := int(min(int64(s.n), n-done))
		from := src.storage[at*pageSize+s.off:][:c]
		// A slot of its own, as Linux passes the page on.
		to := dst.at(dst.used)
		copy(dst.memory(to, 1), from)
		dst.slots[to] = slot{n: c, kind: s.kind}
		dst.used++
		done += int64(c)
		if keep == Copy {
			i++
			continue
		}
		src.removeLocked(c)
	}
	return done, nil
}

// lockBoth locks mu of both pipes in the order of their numbers.
func lockBoth(a, b *Pipe) {
	if b.number < a.number {
		a, b = b, a
	}
	a.mu.Lock()
	b.mu.LockNested() // by number
}
