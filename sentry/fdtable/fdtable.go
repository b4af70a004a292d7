// Package fdtable is a process's table of descriptors: small numbers for open
// file descriptions.
//
// A descriptor is made in three steps, so that no other thread ever sees one
// whose number its caller does not learn: Reserve takes numbers, the handler
// tells the user, Install makes them visible. Cancel gives back what was not
// installed; it does nothing after Install.
//
// The table holds one reference on each description. Get returns another one to
// its caller. No lock is held while a reference is given back, because that may
// release a file.
//
// Cost: Get is one read lock and one atomic increment.
package fdtable

import (
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Table maps descriptors to descriptions. Tasks made with CLONE_FILES share one.
type Table struct {
	refs atomic.Int64

	mu    lock.RWMutex[lockorder.FDTable]
	slots []slot
	hint  int // no free slot is below
	used  int
}

type slot struct {
	desc     *vfs.Description
	flags    Flags
	reserved bool
}

// Flags are a descriptor's own flags.
type Flags uint8

// CloseOnExec is FD_CLOEXEC.
const CloseOnExec Flags = 1

// FlagsOf are the descriptor flags that open flags (O_CLOEXEC) ask for.
func FlagsOf(f linux.OpenFlags) Flags {
	if f&linux.O_CLOEXEC != 0 {
		return CloseOnExec
	}
	return 0
}

// New is an empty table with one reference.
func New() *Table {
	t := &Table{}
	t.refs.Store(1)
	return t
}

// IncRef takes a reference.
func (t *Table) IncRef() { t.refs.Add(1) }

// Shared says whether more than one task uses the table.
func (t *Table) Shared() bool { return t.refs.Load() > 1 }

// DecRef gives a reference back; the last closes everything.
func (t *Table) DecRef() {
	if t.refs.Add(-1) > 0 {
		return
	}
	t.mu.Lock()
	slots := t.slots
	t.slots, t.used = nil, 0
	t.mu.Unlock()
	for _, s := range slots {
		if s.desc != nil {
			t.release(s.desc)
		}
	}
}

// Fork is a copy with one reference.
func (t *Table) Fork() *Table {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c := New()
	c.slots = make([]slot, len(t.slots))
	for i, s := range t.slots {
		if s.desc != nil {
			s.desc.IncRef()
			c.slots[i] = slot{desc: s.desc, flags: s.flags}
			c.used++
		}
	}
	return c
}

// Get returns the description of fd with a reference for the caller, or EBADF.
func (t *Table) Get(fd linux.FD) (*vfs.Description, error) {
	d, _, err := t.GetFlags(fd)
	return d, err
}

// GetFlags is Get with the descriptor's flags.
func (t *Table) GetFlags(fd linux.FD) (*vfs.Description, Flags, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if fd < 0 || int(fd) >= len(t.slots) || t.slots[fd].desc == nil {
		return nil, 0, errno.EBADF
	}
	s := &t.slots[fd]
	s.desc.IncRef()
	return s.desc, s.flags, nil
}

// SetFlags changes a descriptor's flags.
func (t *Table) SetFlags(fd linux.FD, f Flags) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd < 0 || int(fd) >= len(t.slots) || t.slots[fd].desc == nil {
		return errno.EBADF
	}
	t.slots[fd].flags = f
	return nil
}

// Reserved is numbers that are taken but not visible.
type Reserved struct {
	table *Table
	fds   [2]linux.FD
	more  []linux.FD
	n     int
}

// Reserve takes the n lowest free numbers from min on, all below limit. Errors:
// EMFILE.
func (t *Table) Reserve(n int, min linux.FD, limit uint64) (*Reserved, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &Reserved{table: t}
	at := max(int(min), t.hint)
	if int(min) <= t.hint {
		at = t.hint
	}
	for r.n < n {
		for at < len(t.slots) && (t.slots[at].desc != nil || t.slots[at].reserved) {
			at++
		}
		if uint64(at) >= limit {
			t.cancelLocked(r)
			return nil, errno.EMFILE
		}
		t.growLocked(at)
		t.slots[at].reserved = true
		if int(min) <= t.hint {
			t.hint = at + 1
		}
		r.add(linux.FD(at))
		at++
	}
	return r, nil
}

func (r *Reserved) add(fd linux.FD) {
	if r.n < len(r.fds) {
		r.fds[r.n] = fd
	} else {
		r.more = append(r.more, fd)
	}
	r.n++
}

func (t *Table) growLocked(at int) {
	for at >= len(t.slots) {
		t.slots = append(t.slots, slot{})
	}
}

// FD is the i-th reserved number.
func (r *Reserved) FD(i int) linux.FD {
	if i < len(r.fds) {
		return r.fds[i]
	}
	return r.more[i-len(r.fds)]
}

// Pair are the first two numbers.
func (r *Reserved) Pair() [2]linux.FD { return r.fds }

// Install makes the descriptors visible. It takes over the callers' references.
func (r *Reserved) Install(f Flags, descs ...*vfs.Description) {
	t := r.table
	if t == nil || len(descs) != r.n {
		panic("fdtable: Install of other descriptors than were reserved")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, d := range descs {
		t.slots[r.FD(i)] = slot{desc: d, flags: f}
		t.used++
	}
	r.table = nil
}

// Cancel frees the numbers unless they were installed.
func (r *Reserved) Cancel() {
	t := r.table
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cancelLocked(r)
	r.table = nil
}

func (t *Table) cancelLocked(r *Reserved) {
	for i := range r.n {
		fd := int(r.FD(i))
		t.slots[fd] = slot{}
		t.hint = min(t.hint, fd)
	}
}

// Add installs d at the lowest free number from min on, for calls that tell the
// user by their result. It takes over the caller's reference only if it
// succeeds. Errors: EMFILE.
func (t *Table) Add(d *vfs.Description, f Flags, min linux.FD, limit uint64) (linux.FD, error) {
	r, err := t.Reserve(1, min, limit)
	if err != nil {
		return -1, err
	}
	r.Install(f, d)
	return r.FD(0), nil
}

// Replace installs d at fd and closes what was there: dup2. It takes over the
// reference only if it succeeds. Errors: EBADF beyond limit, EBUSY while another
// thread is opening that number.
func (t *Table) Replace(d *vfs.Description, f Flags, fd linux.FD, limit uint64) error {
	if fd < 0 || uint64(fd) >= limit {
		return errno.EBADF
	}
	t.mu.Lock()
	t.growLocked(int(fd))
	s := &t.slots[fd]
	if s.reserved {
		t.mu.Unlock()
		return errno.EBUSY
	}
	old := s.desc
	*s = slot{desc: d, flags: f}
	if old == nil {
		t.used++
	}
	t.mu.Unlock()
	if old != nil {
		t.release(old)
	}
	return nil
}

// Remove takes fd out of the table and returns its description, whose reference
// becomes the caller's, who closes it with Close. EBADF.
func (t *Table) Remove(fd linux.FD) (*vfs.Description, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd < 0 || int(fd) >= len(t.slots) || t.slots[fd].desc == nil {
		return nil, errno.EBADF
	}
	d := t.slots[fd].desc
	t.removeLocked(int(fd))
	return d, nil
}

func (t *Table) removeLocked(fd int) {
	t.slots[fd] = slot{}
	t.used--
	t.hint = min(t.hint, fd)
}

// Close is close(2).
func (t *Table) Close(fd linux.FD) error {
	d, err := t.Remove(fd)
	if err != nil {
		return err
	}
	t.release(d)
	return nil
}

// release closes a description that has left the table: POSIX locks of the
// table's owner on the file go with any of its descriptors.
func (t *Table) release(d *vfs.Description) {
	if l, ok := any(d).(interface{ ReleaseLocks(owner any) }); ok {
		l.ReleaseLocks(t)
	}
	d.DecRef()
}

// CloseRange closes first..last. SetCloseOnExecRange marks them instead.
func (t *Table) CloseRange(first, last uint32) {
	t.mu.Lock()
	var gone []*vfs.Description
	for i := int(first); i < len(t.slots) && uint32(i) <= last; i++ {
		if d := t.slots[i].desc; d != nil {
			gone = append(gone, d)
			t.removeLocked(i)
		}
	}
	t.mu.Unlock()
	for _, d := range gone {
		t.release(d)
	}
}

// SetCloseOnExecRange is close_range with CLOSE_RANGE_CLOEXEC.
func (t *Table) SetCloseOnExecRange(first, last uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := int(first); i < len(t.slots) && uint32(i) <= last; i++ {
		t.slots[i].flags |= CloseOnExec
	}
}

// Exec closes what is marked CloseOnExec.
func (t *Table) Exec() {
	t.mu.Lock()
	var gone []*vfs.Description
	for i := range t.slots {
		if s := &t.slots[i]; s.desc != nil && s.flags&CloseOnExec != 0 {
			gone = append(gone, s.desc)
			t.removeLocked(i)
		}
	}
	t.mu.Unlock()
	for _, d := range gone {
		t.release(d)
	}
}

// FDs lists the numbers in use, in order, for /proc/PID/fd.
func (t *Table) FDs() []linux.FD {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]linux.FD, 0, t.used)
	for i := range t.slots {
		if t.slots[i].desc != nil {
			all = append(all, linux.FD(i))
		}
	}
	return all
}

// Size is the number of slots, as FDSize in /proc/PID/status.
func (t *Table) Size() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return max(64, (len(t.slots)+63)&^63)
}
