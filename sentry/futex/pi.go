package futex

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// The bits of a lock word (futex(2), set_robust_list(2)).
const (
	bitWaiters   = 0x80000000
	bitOwnerDied = 0x40000000
	maskTID      = 0x3fffffff

	nobody = 0 // the TID of a free lock
)

// Owner is who takes or gives up a PI lock. All tasks of the guest share the
// host's scheduling, so there is no priority to inherit: what is kept of the
// protocol is that ownership is handed over in the kernel.
type Owner struct {
	Task any // identifies the task; only compared
	TID  uint32

	// Find returns the Task that has a TID, as the owner sees it, or nil.
	Find func(tid uint32) any
}

// piWait is the state of a waiter for a lock, guarded by its bucket.
type piWait struct {
	tid   uint32 // of the waiter
	task  any    // of the waiter
	owner any

	// orphaned is set when the owner exits: the waiter is woken without the
	// lock and takes it over itself, since only it may write its memory.
	orphaned bool
}

// NoWait says whether LockPI may sleep.
type NoWait bool

// The two.
const (
	Block   NoWait = false
	TryOnly NoWait = true
)

// LockPI takes the lock at w for o.
//
// Errors: EDEADLK if o has it; EAGAIN if it is taken and nw is TryOnly; ESRCH
// if the word names no thread; EFAULT; what Sleep returns.
func (t *Manager) LockPI(s waiter.Sleeper, m Memory, w Word, o Owner, d waiter.Deadline, nw NoWait) error {
	k, err := w.key(m)
	if err != nil {
		return err
	}
	e := entry{key: k, bitset: MatchAny, pi: &piWait{tid: o.TID, task: o.Task}}
	e.wake.Waker = s.Waker()
	for {
		taken, err := t.lockOrEnqueue(m, w.Addr, o, &e, nw)
		if taken || err != nil {
			return err
		}
		err = e.sleep(s, d)
		t.piWaiters.Add(-1)
		if err != nil || !e.pi.orphaned {
			return err
		}
	}
}

// lockOrEnqueue takes the lock, or queues e and marks the word so that the owner
// comes to the kernel to unlock it.
func (t *Manager) lockOrEnqueue(m Memory, addr usermem.Addr, o Owner, e *entry, nw NoWait) (taken bool, err error) {
	b := t.bucketOf(e.key)
	b.mu.Lock()
	defer b.mu.Unlock()
	word, err := m.LoadWord(addr)
	for err == nil {
		owner := word & maskTID
		next := word | bitWaiters
		switch {
		case owner == o.TID:
			return false, errno.EDEADLK
		case owner == nobody:
			next = word&bitOwnerDied | o.TID
			if b.piWaiterLocked(e.key) != nil {
				next |= bitWaiters
			}
		case nw == TryOnly:
			return false, errno.EAGAIN
		default:
			e.pi.owner = o.Find(owner)
			if e.pi.owner != nil {
				break
			}
			if !e.pi.orphaned {
				return false, errno.ESRCH
			}
			next = word&bitWaiters | bitOwnerDied | o.TID
			owner = nobody
		}
		var found uint32
		found, err = m.CompareAndSwapWord(addr, word, next)
		if err == nil && found == word {
			if owner == nobody {
				b.setOwnerLocked(b.head, e.key, o.Task)
				return true, nil
			}
			e.pi.orphaned = false
			t.piWaiters.Add(1)
			b.addLocked(e)
			return false, nil
		}
		word = found
	}
	return false, err
}

// piWaiterLocked is the oldest that waits for the lock k.
func (b *bucket) piWaiterLocked(k Key) *entry {
	for e := b.head; e != nil; e = e.next {
		if e.key == k && e.pi != nil {
			return e
		}
	}
	return nil
}

// UnlockPI gives the lock up: to the oldest waiter, if any.
//
// Errors: EPERM if o does not have it; EINVAL; EFAULT.
func (t *Manager) UnlockPI(m Memory, w Word, o Owner) error {
	k, err := w.key(m)
	if err != nil {
		return err
	}
	b := t.bucketOf(k)
	b.mu.Lock()
	defer b.mu.Unlock()
	word, err := m.LoadWord(w.Addr)
	for err == nil {
		if word&maskTID != o.TID {
			return errno.EPERM
		}
		heir := b.piWaiterLocked(k)
		next := b.handedOverLocked(heir)
		var found uint32
		found, err = m.CompareAndSwapWord(w.Addr, word, next)
		if err == nil && found == word {
			b.inheritLocked(heir)
			return nil
		}
		word = found
	}
	return err
}

// handedOverLocked is the lock word once heir, which may be nil, has the lock.
func (b *bucket) handedOverLocked(heir *entry) uint32 {
	if heir == nil {
		return 0
	}
	for e := heir.next; e != nil; e = e.next {
		if e.key == heir.key && e.pi != nil {
			return heir.pi.tid | bitWaiters
		}
	}
	return heir.pi.tid
}

// inheritLocked wakes the new owner and tells the others whom they wait for.
func (b *bucket) inheritLocked(heir *entry) {
	if heir == nil {
		return
	}
	b.setOwnerLocked(heir.next, heir.key, heir.pi.task)
	b.wakeLocked(heir)
}

// setOwnerLocked tells those that wait for the lock k, from e on, who has it.
func (b *bucket) setOwnerLocked(e *entry, k Key, owner any) {
	for ; e != nil; e = e.next {
		if e.key == k && e.pi != nil {
			e.pi.owner = owner
		}
	}
}

// OwnerExited passes on the PI locks that task had: their waiters wake, and the
// first takes the lock, marked with OWNER_DIED. Task must not be found by TID
// any more. It costs one load if nobody waits for any PI lock.
func (t *Manager) OwnerExited(task any) {
	if t.piWaiters.Load() == 0 {
		return
	}
	for i := range t.buckets {
		t.buckets[i].ownerExited(task)
	}
}

func (b *bucket) ownerExited(task any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := b.head; e != nil; {
		next := e.next
		if e.pi != nil && e.pi.owner == task {
			e.pi.orphaned = true
			b.wakeLocked(e)
		}
		e = next
	}
}
