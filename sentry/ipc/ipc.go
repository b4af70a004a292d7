// Package ipc is System V IPC: shared memory segments, semaphore sets and
// message queues, and the namespace that they live in.
//
// A Namespace has three tables of objects with keys and ids; its methods are
// the system calls behind shm*, sem* and msg*, with guest memory left to the
// caller. A Segment is what mappings of shared memory refer to, so its number
// of attachments is its number of references. An Undo is what a process takes
// back from semaphores when it ends.
//
// Locks: Namespace.mu (class lockorder.IPCNamespace) guards everything but the
// counts of references. A Segment's reference is never dropped for the last
// time with a lock held.
//
// Cost: a blocked operation is woken at each change of its object and tries
// again; sets and queues with thousands of waiters would notice.
package ipc

import (
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Namespace is an IPC namespace's System V part.
type Namespace struct {
	dev linux.Dev // of shared memory, for /proc/PID/maps

	mu  lock.Mutex[lockorder.IPCNamespace]
	shm table[*Segment]
	sem table[*semSet]
	msg table[*queue]
}

// New makes an empty namespace; dev identifies its shared memory.
func New(dev linux.Dev) *Namespace {
	return &Namespace{dev: dev}
}

// Caller is the task on whose behalf something is done.
type Caller interface {
	waiter.Sleeper
	Creds() *cred.Creds
}

// By is a caller with the process id that objects remember.
type By struct {
	Caller
	PID int32
}

// perm is what all objects have.
type perm struct {
	id         int32
	key        int32
	uid, cuid  cred.KUID
	gid, cgid  cred.KGID
	mode       uint16
	ctime      int64
	gone       bool // removed from the table
	generation uint16
}

func (p *perm) common() *perm { return p }

// object is a *Segment, *semSet or *queue.
type object interface{ common() *perm }

// table holds the objects of one kind. Ids are made as on Linux: a place and
// how often places were given out, so that an old id does not fit a new object.
type table[T object] struct {
	slots []T
	used  []bool
	count int
	keys  map[int32]int // place by key
	seq   uint16
}

const (
	placeBits = 15
	placeMask = 1<<placeBits - 1
	seqMax    = 1<<(31-placeBits) - 1
)

// add puts an object into the lowest free place. ENOSPC above limit.
func (t *table[T]) add(o T, limit int) error {
	if t.count >= limit {
		return errno.ENOSPC
	}
	at := 0
	for at < len(t.used) && t.used[at] {
		at++
	}
	if at == len(t.used) {
		t.slots, t.used = append(t.slots, o), append(t.used, true)
	}
	t.slots[at], t.used[at] = o, true
	t.count++
	p := o.common()
	p.generation = t.seq
	p.id = int32(t.seq)<<placeBits | int32(at)
	t.seq = (t.seq + 1) % seqMax
	if p.key != linux.IPC_PRIVATE {
		if t.keys == nil {
			t.keys = map[int32]int{}
		}
		t.keys[p.key] = at
	}
	return nil
}

func (t *table[T]) remove(o T) {
	p := o.common()
	at := int(p.id & placeMask)
	var none T
	t.slots[at], t.used[at] = none, false
	t.count--
	t.forgetKey(p)
	p.gone = true
}

// forgetKey makes an object one that only its id finds.
func (t *table[T]) forgetKey(p *perm) {
	if p.key != linux.IPC_PRIVATE {
		delete(t.keys, p.key)
		p.key = linux.IPC_PRIVATE
	}
}

// find looks an id up. EINVAL.
func (t *table[T]) find(id int32) (T, error) {
	var none T
	at := int(id & placeMask)
	if id < 0 || at >= len(t.used) || !t.used[at] || t.slots[at].common().id != id {
		return none, errno.EINVAL
	}
	return t.slots[at], nil
}

// at is the object in a place: what *_STAT commands take instead of an id.
func (t *table[T]) at(place int32) (T, error) {
	var none T
	if place < 0 || int(place) >= len(t.used) || !t.used[place] {
		return none, errno.EINVAL
	}
	return t.slots[place], nil
}

// highest is the highest place in use, 0 if there is none.
func (t *table[T]) highest() int {
	for i := len(t.used) - 1; i > 0; i-- {
		if t.used[i] {
			return i
		}
	}
	return 0
}

// get is the common part of shmget, semget and msgget: an existing object, or a
// new one.
//
// Errors: ENOENT, EEXIST, EACCES, ENOSPC, and what fits and make return.
func get[T object](t *table[T], by By, key, flags int32, limit int, fits func(T) error, make func() (T, error)) (int32, error) {
	if key != linux.IPC_PRIVATE {
		if at, ok := t.keys[key]; ok {
			o := t.slots[at]
			if flags&(linux.IPC_CREAT|linux.IPC_EXCL) == linux.IPC_CREAT|linux.IPC_EXCL {
				return 0, errno.EEXIST
			}
			if err := fits(o); err != nil {
				return 0, err
			}
			return o.common().id, o.common().check(by, uint16(flags))
		}
		if flags&linux.IPC_CREAT == 0 {
			return 0, errno.ENOENT
		}
	}
	if t.count >= limit {
		return 0, errno.ENOSPC
	}
	o, err := make()
	if err != nil {
		return 0, err
	}
	p, c := o.common(), by.Creds()
	p.key, p.mode, p.ctime = key, uint16(flags)&0o777, now()
	p.uid, p.cuid, p.gid, p.cgid = c.EUID, c.EUID, c.EGID, c.EGID
	if err := t.add(o, limit); err != nil {
		return 0, err
	}
	return p.id, nil
}

// Access that an operation needs, as permission bits of all three classes.
const (
	toRead  = 0o444
	toWrite = 0o222
)

// check is the permission check. EACCES.
func (p *perm) check(by By, want uint16) error {
	c := by.Creds()
	want = (want>>6 | want>>3 | want) & 7
	granted := p.mode
	switch {
	case c.EUID == p.cuid || c.EUID == p.uid:
		granted >>= 6
	case c.InEGroup(p.cgid) || c.InEGroup(p.gid):
		granted >>= 3
	}
	if want&^granted&7 != 0 && !c.HasCap(linux.CAP_IPC_OWNER) {
		return errno.EACCES
	}
	return nil
}

// owner is the check before an object is changed or removed. EPERM.
func (p *perm) owner(by By) error {
	c := by.Creds()
	if c.EUID != p.uid && c.EUID != p.cuid && !c.HasCap(linux.CAP_SYS_ADMIN) {
		return errno.EPERM
	}
	return nil
}

// set is IPC_SET: owner and mode. EINVAL for ids that do not exist.
func (p *perm) set(by By, uid, gid uint32, mode uint16) error {
	ns := by.Creds().UserNS
	u, ok1 := ns.KUID(uid)
	g, ok2 := ns.KGID(gid)
	if !ok1 || !ok2 {
		return errno.EINVAL
	}
	p.uid, p.gid = u, g
	p.mode = p.mode&^0o777 | mode&0o777
	p.ctime = now()
	return nil
}

// abi is the structure that *_STAT stores, as by sees it.
func (p *perm) abi(by By) linux.IPCPerm {
	ns := by.Creds().UserNS
	return linux.IPCPerm{
		Key: p.key, UID: ns.UID(p.uid), GID: ns.GID(p.gid), CUID: ns.UID(p.cuid), CGID: ns.GID(p.cgid),
		Mode: uint32(p.mode), Seq: p.generation,
	}
}

// Find says how an object is named: by its id, or as a place in the table,
// which is for listing tools.
type Find uint8

// The kinds of names. ByPlaceAny needs no right to read.
const (
	ByID Find = iota
	ByPlace
	ByPlaceAny
)

// named finds an object for *_STAT and checks the right to read it. It returns
// what the call returns: 0 for an id, the id for a place.
func named[T object](t *table[T], by By, n int32, f Find) (o T, result int32, err error) {
	if f == ByID {
		o, err = t.find(n)
	} else {
		o, err = t.at(n)
	}
	if err != nil {
		return o, 0, err
	}
	if f != ByPlaceAny {
		if err := o.common().check(by, toRead); err != nil {
			return o, 0, err
		}
	}
	if f != ByID {
		result = o.common().id
	}
	return o, result, nil
}

func now() int64 { return time.Now().Unix() }
