package vfs

import (
	"slices"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// lockTable holds the locks of one file: those of fcntl, over ranges, and those
// of flock, which know nothing of each other.
type lockTable struct {
	mu     lock.Mutex[lockorder.FileLocks]
	ranges []FileLock // by Start; those of one owner do not overlap
	flocks []flockEntry
	queue  waiter.Queue
}

type flockEntry struct {
	d    *Description
	kind int16
}

// FileLock is a lock over the bytes from Start to End, inclusive.
type FileLock struct {
	Kind       int16 // F_RDLCK, F_WRLCK or F_UNLCK
	Start, End int64
	PID        int32 // what F_GETLK tells others; -1 for those of a description
	// Owner is a descriptor table, or the *Description of an OFD lock.
	Owner any
}

// LockWait says what happens when a lock is taken.
type LockWait uint8

// A lock that is taken is waited for, or not.
const (
	LockNoWait LockWait = iota
	LockBlocks
)

// lockWaits remembers who waits for whom, to find deadlocks.
type lockWaits struct {
	mu    lock.Mutex[lockorder.FileLockWaits]
	waits map[any]any
}

func (l FileLock) conflicts(m FileLock) bool {
	return l.Owner != m.Owner && l.Start <= m.End && m.Start <= l.End &&
		(l.Kind == linux.F_WRLCK || m.Kind == linux.F_WRLCK)
}

func (t *lockTable) conflict(l FileLock) (FileLock, bool) {
	for _, m := range t.ranges {
		if l.conflicts(m) {
			return m, true
		}
	}
	return FileLock{}, false
}

// GetLock is F_GETLK: a lock that stands in the way of l, or l with F_UNLCK.
func (d *Description) GetLock(l FileLock) FileLock {
	t := &d.Inode().Node().more().locks
	t.mu.Lock()
	defer t.mu.Unlock()
	if m, ok := t.conflict(l); ok {
		return m
	}
	l.Kind = linux.F_UNLCK
	return l
}

// SetLock is F_SETLK and F_SETLKW.
//
// Errors: EAGAIN if the lock is taken, EDEADLK if waiting for it would never
// end, EBADF if the file is not open for that, ERESTARTSYS.
func (d *Description) SetLock(c Context, l FileLock, wait LockWait) error {
	switch {
	case l.Kind == linux.F_RDLCK && !d.Readable(), l.Kind == linux.F_WRLCK && !d.Writable():
		return errno.EBADF
	}
	x := d.Inode().Node().more()
	t := &x.locks
	w := d.path.Mount.world
	if l.Kind == linux.F_UNLCK {
		t.set(l)
		return nil
	}
	if wait == LockNoWait {
		_, err := t.try(l)
		return err
	}
	defer w.locks.done(l.Owner)
	return waiter.Until(c, lockWaiter{&t.queue}, waiter.Readable, waiter.Never, func() error {
		blocker, err := t.try(l)
		if err == errno.EAGAIN && !w.locks.wait(l.Owner, blocker) {
			return errno.EDEADLK
		}
		return err
	})
}

// lockWaiter lets a task wait for a lock table to change.
type lockWaiter struct{ *waiter.Queue }

func (lockWaiter) Ready(waiter.Events) waiter.Events { return 0 }

// try takes the lock, or says who has it.
func (t *lockTable) try(l FileLock) (blocker any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m, ok := t.conflict(l); ok {
		return m.Owner, errno.EAGAIN
	}
	t.setLocked(l)
	return nil, nil
}

func (t *lockTable) set(l FileLock) {
	t.mu.Lock()
	t.setLocked(l)
	t.mu.Unlock()
}

// setLocked replaces what the owner has within the range of l, and joins what
// touches it.
func (t *lockTable) setLocked(l FileLock) {
	var out []FileLock
	for _, m := range t.ranges {
		if m.Owner != l.Owner || !touches(m, l) {
			out = append(out, m)
			continue
		}
		if m.Kind == l.Kind {
			l.Start, l.End = min(l.Start, m.Start), max(l.End, m.End)
			continue
		}
		if m.Start < l.Start {
			before := m
			before.End = min(m.End, l.Start-1)
			out = append(out, before)
		}
		if m.End > l.End {
			after := m
			after.Start = max(m.Start, l.End+1)
			out = append(out, after)
		}
	}
	if l.Kind != linux.F_UNLCK {
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b FileLock) int {
		switch {
		case a.Start < b.Start:
			return -1
		case a.Start > b.Start:
			return 1
		}
		return 0
	})
	t.ranges = out
	// A lock that was narrowed or weakened may let somebody in.
	t.queue.Notify(waiter.Readable)
}

// touches says whether two ranges overlap or lie side by side.
func touches(a, b FileLock) bool {
	return a.Start <= b.End+min(1, maxOffset-b.End) && b.Start <= a.End+min(1, maxOffset-a.End)
}

const maxOffset = 1<<63 - 1

// wait records that owner waits for blocker; false if blocker already waits,
// directly or not, for owner. Owners of OFD locks are not looked at, as on
// Linux.
func (w *lockWaits) wait(owner, blocker any) bool {
	if _, ofd := owner.(*Description); ofd {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for at, ok := blocker, true; ok; at, ok = w.waits[at] {
		if at == owner {
			return false
		}
	}
	if w.waits == nil {
		w.waits = map[any]any{}
	}
	w.waits[owner] = blocker
	return true
}

func (w *lockWaits) done(owner any) {
	w.mu.Lock()
	delete(w.waits, owner)
	w.mu.Unlock()
}

// ReleaseLocks drops the fcntl locks of an owner on the file: any close of a
// descriptor does so.
func (d *Description) ReleaseLocks(owner any) {
	if d.path.IsZero() || d.Inode() == nil {
		return
	}
	x := d.Inode().Node().extra.Load()
	if x == nil {
		return
	}
	x.locks.mu.Lock()
	has := slices.ContainsFunc(x.locks.ranges, func(l FileLock) bool { return l.Owner == owner })
	x.locks.mu.Unlock()
	if has {
		x.locks.set(FileLock{Kind: linux.F_UNLCK, Start: 0, End: maxOffset, Owner: owner})
	}
}

// Flock is flock(2), with LOCK_SH, LOCK_EX or LOCK_UN.
//
// Errors: EAGAIN with LockNoWait, ERESTARTSYS.
func (d *Description) Flock(c Context, kind int, wait LockWait) error {
	t := &d.Inode().Node().more().locks
	switch kind {
	case linux.LOCK_UN:
		t.unflock(d)
		return nil
	case linux.LOCK_SH, linux.LOCK_EX:
	default:
		return errno.EINVAL
	}
	e := flockEntry{d, int16(kind)}
	// A change of kind is not atomic: the old lock goes first; see flock(2).
	if !t.hasFlock(e) {
		t.unflock(d)
	}
	if wait == LockNoWait {
		return t.tryFlock(e)
	}
	return waiter.Until(c, lockWaiter{&t.queue}, waiter.Readable, waiter.Never, func() error { return t.tryFlock(e) })
}

func (t *lockTable) hasFlock(e flockEntry) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.flocks, e)
}

func (t *lockTable) tryFlock(e flockEntry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.flocks {
		if f == e {
			return nil
		}
		if f.d != e.d && (f.kind == linux.LOCK_EX || e.kind == linux.LOCK_EX) {
			return errno.EAGAIN
		}
	}
	t.flocks = append(t.flocks, e)
	return nil
}

func (t *lockTable) unflock(d *Description) {
	t.mu.Lock()
	n := len(t.flocks)
	t.flocks = slices.DeleteFunc(t.flocks, func(f flockEntry) bool { return f.d == d })
	changed := len(t.flocks) != n
	t.mu.Unlock()
	if changed {
		t.queue.Notify(waiter.Readable)
	}
}

// releaseFileLocks drops what belongs to the description itself.
func releaseFileLocks(d *Description) {
	if x := d.Inode().Node().extra.Load(); x != nil {
		x.locks.unflock(d)
		d.ReleaseLocks(d)
	}
}
