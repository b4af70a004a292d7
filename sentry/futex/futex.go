// Package futex is futex(2): threads sleep on a word of guest memory until
// another wakes them.
//
// A Manager holds the waiters of all address spaces in hashed buckets. A Key
// names a word independently of where it is mapped: by address space and
// address if the futex is private, by file and offset if it is shared. A task
// is the Memory that loads and compares words and finds their keys.
//
// The waiters are plain structs on the stacks of the tasks that sleep; nothing
// here owns a goroutine or a channel. Guest words are hostile: whatever they
// hold, the worst is that the guest's own threads sleep too long.
//
// Locks: a bucket's lock is held over LoadWord and CompareAndSwapWord, which is
// what makes "the word still has this value" and "I am in the queue" one step.
// Those two must therefore not take locks that are held around calls into this
// package. Two buckets are locked in the order of their index.
//
// Cost: a wake without waiters is one hash and one uncontended lock; a wait is
// that plus one load of guest memory.
package futex

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Key names a futex word. Object is a pointer to the address space or to the
// file; it is only compared.
type Key struct {
	Object any
	Offset uint64

	// Waiters, unless nil, counts the waiters of this word, and perhaps of
	// others, where the guest finds out for itself that there are none. It
	// belongs to Object and Offset, and the guest can write it: it is never
	// read here.
	Waiters *atomic.Uint32
}

func (k Key) count(delta int32) {
	if k.Waiters != nil {
		k.Waiters.Add(uint32(delta))
	}
}

// Scope says how a word is named.
type Scope uint8

// The scopes: Private words belong to one address space, Shared ones to
// whatever is mapped there.
const (
	Shared Scope = iota
	Private
)

// Memory is the address space of the calling task. Addresses that are not
// aligned never get here.
type Memory interface {
	usermem.Memory
	// FutexKey finds the key of the word at addr, EFAULT if nothing that
	// suits is mapped there.
	FutexKey(addr usermem.Addr, scope Scope) (Key, error)
	// LoadWord reads the word in one access.
	LoadWord(addr usermem.Addr) (uint32, error)
	// CompareAndSwapWord stores new if the word is old, and returns what it
	// was.
	CompareAndSwapWord(addr usermem.Addr, old, new uint32) (uint32, error)
}

// Word is a futex as a system call names it.
type Word struct {
	Addr  usermem.Addr
	Scope Scope
}

func (w Word) key(m Memory) (Key, error) {
	if w.Addr&3 != 0 {
		return Key{}, errno.EINVAL
	}
	return m.FutexKey(w.Addr, w.Scope)
}

// MatchAny is the bitset of waits and wakes that do not care.
const MatchAny = ^uint32(0)

// bucketCount is a power of two. Linux takes 256 for each CPU; there is no need
// for as many since the guest's CPUs are few.
const bucketCount = 512

// Manager holds all waiters.
type Manager struct {
	buckets   [bucketCount]bucket
	piWaiters atomic.Int64
}

// NewManager makes one without waiters.
func NewManager() *Manager { return &Manager{} }

type bucket struct {
	mu         lock.Mutex[lockorder.FutexBucket]
	head, tail *entry
}

// entry is one waiter on one word. Key, bucket and links change under the
// bucket's lock only; bucket is atomic so that the sleeper can find the lock
// after another has moved it.
type entry struct {
	key        Key
	bitset     uint32
	bucket     atomic.Pointer[bucket] // nil: woken
	wake       waiter.Entry
	prev, next *entry
	pi         *piWait // nil: an ordinary waiter
}

var seed = maphash.MakeSeed()

func indexOf(k Key) int { return int(maphash.Comparable(seed, k) % bucketCount) }

func (t *Manager) bucketOf(k Key) *bucket { return &t.buckets[indexOf(k)] }

func (b *bucket) addLocked(e *entry) {
	e.key.count(1)
	e.prev, e.next = b.tail, nil
	if b.tail != nil {
		b.tail.next = e
	} else {
		b.head = e
	}
	b.tail = e
	e.bucket.Store(b)
}

func (b *bucket) removeLocked(e *entry) {
	e.key.count(-1)
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		b.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		b.tail = e.prev
	}
	e.prev, e.next = nil, nil
}

// wakeLocked takes e out and ends its sleep. The sleeper may be gone as soon as
// bucket is nil, so the Waker is read before.
func (b *bucket) wakeLocked(e *entry) {
	b.removeLocked(e)
	w := e.wake.Waker
	e.bucket.Store(nil)
	w.Wake(nil, waiter.In)
}

// cancel takes e out of wherever it is; false if it was woken.
func (e *entry) cancel() bool {
	for {
		b := e.bucket.Load()
		if b == nil {
			return false
		}
		b.mu.Lock()
		if e.bucket.Load() == b {
			b.removeLocked(e)
			e.bucket.Store(nil)
			b.mu.Unlock()
			return true
		}
		b.mu.Unlock()
	}
}

// sleep waits until e is woken. An error means that it was not, and is not in
// any queue.
func (e *entry) sleep(s waiter.Sleeper, d waiter.Deadline) error {
	for e.bucket.Load() != nil {
		if err := s.Sleep(d); err != nil && e.cancel() {
			return err
		}
	}
	return nil
}

// Wait sleeps until a wake that shares a bit with bitset, provided that the
// word is val.
//
// Errors: EAGAIN if it is not; EINVAL for an empty bitset or an address that is
// not aligned; EFAULT; and what Sleep returns (ETIMEDOUT, ERESTARTSYS).
func (t *Manager) Wait(s waiter.Sleeper, m Memory, w Word, val, bitset uint32, d waiter.Deadline) error {
	if bitset == 0 {
		return errno.EINVAL
	}
	k, err := w.key(m)
	if err != nil {
		return err
	}
	e := entry{key: k, bitset: bitset}
	e.wake.Waker = s.Waker()
	if err := t.enqueueIf(m, w.Addr, val, &e); err != nil {
		return err
	}
	return e.sleep(s, d)
}

// enqueueIf queues e if the word at addr is val.
func (t *Manager) enqueueIf(m Memory, addr usermem.Addr, val uint32, e *entry) error {
	b := t.bucketOf(e.key)
	b.mu.Lock()
	defer b.mu.Unlock()
	// A guest that changes the word and then sees no waiter must have changed
	// it before it is read here.
	e.key.count(1)
	defer e.key.count(-1)
	got, err := m.LoadWord(addr)
	if err != nil {
		return err
	}
	if got != val {
		return errno.EAGAIN
	}
	b.addLocked(e)
	return nil
}

// Vector is one word of WaitAny.
type Vector struct {
	Word Word
	Val  uint32
}

// WaitAny is futex_waitv: it sleeps until one of the words is woken and returns
// the index of one that was. Errors as Wait.
func (t *Manager) WaitAny(s waiter.Sleeper, m Memory, words []Vector, d waiter.Deadline) (int, error) {
	entries := make([]entry, len(words))
	for i, v := range words {
		k, err := v.Word.key(m)
		if err != nil {
			return 0, err
		}
		entries[i] = entry{key: k, bitset: MatchAny}
		entries[i].wake.Waker = s.Waker()
	}
	for i, v := range words {
		err := t.enqueueIf(m, v.Word.Addr, v.Val, &entries[i])
		if err == nil {
			continue
		}
		// A word that was woken meanwhile must not be lost for an error.
		if woken := cancelAll(entries[:i]); woken >= 0 {
			return woken, nil
		}
		return 0, err
	}
	for {
		for i := range entries {
			if entries[i].bucket.Load() == nil {
				return max(i, cancelAll(entries)), nil
			}
		}
		if err := s.Sleep(d); err != nil {
			if woken := cancelAll(entries); woken >= 0 {
				return woken, nil
			}
			return 0, err
		}
	}
}

// cancelAll takes all entries out and returns the last that was woken, or -1.
func cancelAll(entries []entry) int {
	woken := -1
	for i := range entries {
		if !entries[i].cancel() {
			woken = i
		}
	}
	return woken
}

// Wake wakes at most n waiters of the word whose bitset shares a bit with
// bitset, oldest first, and returns how many.
//
// Errors: EINVAL for an empty bitset, or if the waiters wait for a PI lock;
// EFAULT.
func (t *Manager) Wake(m Memory, w Word, n int, bitset uint32) (int, error) {
	if bitset == 0 {
		return 0, errno.EINVAL
	}
	k, err := w.key(m)
	if err != nil {
		return 0, err
	}
	b := t.bucketOf(k)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wakeKeyLocked(k, n, bitset)
}

// wakeKeyLocked wakes at most n matching waiters of k, but at least one: that
// is what Linux does for a count of 0 or less.
func (b *bucket) wakeKeyLocked(k Key, n int, bitset uint32) (int, error) {
	woken := 0
	for e := b.head; e != nil; {
		next := e.next
		if e.key == k && e.bitset&bitset != 0 {
			if e.pi != nil {
				return woken, errno.EINVAL
			}
			b.wakeLocked(e)
			if woken++; woken >= n {
				return woken, nil
			}
		}
		e = next
	}
	return woken, nil
}

// Compare says whether a requeue checks the first word.
type Compare struct {
	Check bool
	Val   uint32
}

// Requeue wakes at most wake waiters of from and moves at most move others to
// to. It returns how many it did either with.
//
// Errors: EAGAIN if cmp asks for a value that from does not have; EINVAL for
// negative counts or PI waiters; EFAULT.
func (t *Manager) Requeue(m Memory, from, to Word, wake, move int, cmp Compare) (int, error) {
	if wake < 0 || move < 0 {
		return 0, errno.EINVAL
	}
	k1, k2, err := keys(m, from, to)
	if err != nil {
		return 0, err
	}
	b1, b2, unlock := t.lockTwo(k1, k2)
	defer unlock()
	if cmp.Check {
		got, err := m.LoadWord(from.Addr)
		if err != nil {
			return 0, err
		}
		if got != cmp.Val {
			return 0, errno.EAGAIN
		}
	}
	woken, moved := 0, 0
	for e := b1.head; e != nil && (woken < wake || moved < move); {
		next := e.next
		switch {
		case e.key != k1:
		case e.pi != nil:
			return woken + moved, errno.EINVAL
		case woken < wake:
			b1.wakeLocked(e)
			woken++
		default:
			// To the same key too: it goes to the end, as on Linux.
			if k1 != k2 {
				b1.removeLocked(e)
				e.key = k2
				b2.addLocked(e)
			}
			moved++
		}
		e = next
	}
	return woken + moved, nil
}

func keys(m Memory, a, b Word) (Key, Key, error) {
	k1, err := a.key(m)
	if err != nil {
		return k1, k1, err
	}
	k2, err := b.key(m)
	return k1, k2, err
}

// lockTwo locks the buckets of two keys, which may be one bucket, and returns
// them and what unlocks them.
func (t *Manager) lockTwo(k1, k2 Key) (b1, b2 *bucket, unlock func()) {
	i, j := indexOf(k1), indexOf(k2)
	b1, b2 = &t.buckets[i], &t.buckets[j]
	if i == j {
		b1.mu.Lock()
		return b1, b1, b1.mu.Unlock
	}
	t.buckets[min(i, j)].mu.Lock()
	t.buckets[max(i, j)].mu.LockNested() // by number
	return b1, b2, func() {
		b1.mu.Unlock()
		b2.mu.Unlock()
	}
}
