package ipc

import (
	"slices"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// semSet is a set of semaphores.
type semSet struct {
	perm
	otime   int64
	sems    []semaphore
	waiters []*semWait
	undo    map[*Undo][]int16 // what each process takes back at its end
	wait    waiter.Queue
}

type semaphore struct {
	value int32
	pid   int32 // who changed it last
}

// semWait is an operation that waits, for GETNCNT and GETZCNT.
type semWait struct {
	num  uint16
	zero bool // for the value to become 0
}

// Undo is what a process takes back from semaphores when it ends (SEM_UNDO).
type Undo struct {
	ns   *Namespace
	pid  int32
	sets map[*semSet]struct{} // behind ns.mu
}

// NewUndo makes an empty one for a process.
func (ns *Namespace) NewUndo(pid int32) *Undo {
	return &Undo{ns: ns, pid: pid, sets: map[*semSet]struct{}{}}
}

// SurvivesExec: the process stays the same.
func (u *Undo) SurvivesExec() {}

// ProcessEnded takes everything back.
func (u *Undo) ProcessEnded() {
	u.ns.mu.Lock()
	defer u.ns.mu.Unlock()
	for s := range u.sets {
		for i, adj := range s.undo[u] {
			if adj != 0 {
				v := &s.sems[i]
				v.value = min(max(v.value+int32(adj), 0), linux.SEMVMX)
				v.pid = u.pid
			}
		}
		delete(s.undo, u)
		s.otime = now()
		s.wait.Notify(waiter.In)
	}
	u.sets = nil
}

// Semget is semget(2).
//
// Errors: EINVAL for a count out of range or larger than that of an existing
// set; ENOENT, EEXIST, EACCES, ENOSPC.
func (ns *Namespace) Semget(by By, key, count, flags int32) (int32, error) {
	if count < 0 || count > linux.SEMMSL {
		return 0, errno.EINVAL
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return get(&ns.sem, by, key, flags, linux.SEMMNI,
		func(s *semSet) error {
			if int(count) > len(s.sems) {
				return errno.EINVAL
			}
			return nil
		},
		func() (*semSet, error) {
			if count == 0 {
				return nil, errno.EINVAL
			}
			return &semSet{sems: make([]semaphore, count), undo: map[*Undo][]int16{}}, nil
		})
}

// Semop is semtimedop(2). Undo is the process's.
//
// Errors: EINVAL, E2BIG, EFBIG for a semaphore that is not there, EACCES,
// ERANGE, EAGAIN for IPC_NOWAIT and after the deadline, EIDRM when the set goes
// meanwhile, EINTR: it is never restarted.
func (ns *Namespace) Semop(by By, id int32, ops []linux.Sembuf, undo *Undo, d waiter.Deadline) error {
	if len(ops) < 1 {
		return errno.EINVAL
	}
	if len(ops) > linux.SEMOPM {
		return errno.E2BIG
	}
	s, err := ns.semSetFor(by, id, ops)
	if err != nil {
		return err
	}
	blocked, err := s.try(ns, by, ops, undo, nil)
	if blocked == nil {
		return err
	}
	e := waiter.Entry{Mask: waiter.In, Waker: by.Waker()}
	s.wait.Register(&e)
	defer s.wait.Unregister(&e)
	for {
		if blocked, err = s.try(ns, by, ops, undo, blocked); blocked == nil {
			return err
		}
		if sleepErr := by.Sleep(d); sleepErr != nil {
			s.stopWaiting(ns, blocked)
			if sleepErr == errno.ETIMEDOUT {
				return errno.EAGAIN
			}
			return errno.EINTR
		}
	}
}

// semSetFor finds a set and checks what does not depend on values.
func (ns *Namespace) semSetFor(by By, id int32, ops []linux.Sembuf) (*semSet, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	s, err := ns.sem.find(id)
	if err != nil {
		return nil, err
	}
	want := uint16(toRead)
	for _, op := range ops {
		if int(op.Num) >= len(s.sems) {
			return nil, errno.EFBIG
		}
		if op.Op != 0 {
			want = toWrite
		}
	}
	return s, s.check(by, want)
}

// try does all operations or none. A result that is not nil says what it waits
// for; was is the result of the last try.
func (s *semSet) try(ns *Namespace, by By, ops []linux.Sembuf, undo *Undo, was *semWait) (*semWait, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if was != nil {
		s.removeWaiter(was)
	}
	if s.gone {
		return nil, errno.EIDRM
	}
	values := make(map[uint16]int32, len(ops))
	adjust := make(map[uint16]int32)
	for _, op := range ops {
		v, ok := values[op.Num]
		if !ok {
			v = s.sems[op.Num].value
		}
		next := v + int32(op.Op)
		if op.Op == 0 && v != 0 || next < 0 {
			if op.Flg&linux.IPC_NOWAIT != 0 {
				return nil, errno.EAGAIN
			}
			w := &semWait{num: op.Num, zero: op.Op == 0}
			s.waiters = append(s.waiters, w)
			return w, nil
		}
		if next > linux.SEMVMX {
			return nil, errno.ERANGE
		}
		values[op.Num] = next
		if op.Flg&linux.SEM_UNDO != 0 {
			adjust[op.Num] -= int32(op.Op)
		}
	}
	if err := s.noteUndo(undo, adjust); err != nil {
		return nil, err
	}
	for num, v := range values {
		s.sems[num] = semaphore{v, by.PID}
	}
	s.otime = now()
	s.wait.Notify(waiter.In)
	return nil, nil
}

// noteUndo adds to what the process takes back. ERANGE.
func (s *semSet) noteUndo(u *Undo, adjust map[uint16]int32) error {
	if len(adjust) == 0 || u.sets == nil {
		return nil // or the process is at its end already
	}
	list := s.undo[u]
	if list == nil {
		list = make([]int16, len(s.sems))
	}
	for num, by := range adjust {
		if v := int32(list[num]) + by; v < -linux.SEMAEM-1 || v > linux.SEMAEM {
			return errno.ERANGE
		}
	}
	for num, by := range adjust {
		list[num] += int16(by)
	}
	s.undo[u] = list
	u.sets[s] = struct{}{}
	return nil
}

func (s *semSet) stopWaiting(ns *Namespace, w *semWait) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	s.removeWaiter(w)
}

func (s *semSet) removeWaiter(w *semWait) {
	if i := slices.Index(s.waiters, w); i >= 0 {
		s.waiters = slices.Delete(s.waiters, i, i+1)
	}
}

// withSet finds a set, checks a right and does something.
func (ns *Namespace) withSet(by By, id int32, may func(*perm, By) error, do func(*semSet) error) error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	s, err := ns.sem.find(id)
	if err != nil {
		return err
	}
	if err := may(&s.perm, by); err != nil {
		return err
	}
	return do(s)
}

func mayRead(p *perm, by By) error  { return p.check(by, toRead) }
func mayWrite(p *perm, by By) error { return p.check(by, toWrite) }

// SemGet is GETVAL, GETPID, GETNCNT and GETZCNT.
//
// Errors: EINVAL, EACCES.
func (ns *Namespace) SemGet(by By, id, num, cmd int32) (v int32, err error) {
	err = ns.withSet(by, id, mayRead, func(s *semSet) error {
		if num < 0 || int(num) >= len(s.sems) {
			return errno.EINVAL
		}
		switch cmd {
		case linux.GETVAL:
			v = s.sems[num].value
		case linux.GETPID:
			v = s.sems[num].pid
		default:
			for _, w := range s.waiters {
				if int32(w.num) == num && w.zero == (cmd == linux.GETZCNT) {
					v++
				}
			}
		}
		return nil
	})
	return v, err
}

// SemSetValue is SETVAL.
//
// Errors: ERANGE, EINVAL, EACCES.
func (ns *Namespace) SemSetValue(by By, id, num, value int32) error {
	if value < 0 || value > linux.SEMVMX {
		return errno.ERANGE
	}
	return ns.withSet(by, id, mayWrite, func(s *semSet) error {
		if num < 0 || int(num) >= len(s.sems) {
			return errno.EINVAL
		}
		for _, list := range s.undo {
			list[num] = 0
		}
		s.sems[num] = semaphore{value, by.PID}
		s.ctime = now()
		s.wait.Notify(waiter.In)
		return nil
	})
}

// SemGetAll is GETALL.
//
// Errors: EINVAL, EACCES.
func (ns *Namespace) SemGetAll(by By, id int32) (all []uint16, err error) {
	err = ns.withSet(by, id, mayRead, func(s *semSet) error {
		for _, v := range s.sems {
			all = append(all, uint16(v.value))
		}
		return nil
	})
	return all, err
}

// SemCount is how many values SETALL takes.
//
// Errors: EINVAL, EACCES.
func (ns *Namespace) SemCount(by By, id int32) (n int, err error) {
	err = ns.withSet(by, id, mayWrite, func(s *semSet) error {
		n = len(s.sems)
		return nil
	})
	return n, err
}

// SemSetAll is SETALL.
//
// Errors: ERANGE, EINVAL, EACCES, EIDRM.
func (ns *Namespace) SemSetAll(by By, id int32, values []uint16) error {
	return ns.withSet(by, id, mayWrite, func(s *semSet) error {
		if len(values) != len(s.sems) {
			return errno.EIDRM // another set by now
		}
		for _, v := range values {
			if v > linux.SEMVMX {
				return errno.ERANGE
			}
		}
		for i, v := range values {
			s.sems[i] = semaphore{int32(v), by.PID}
		}
		for _, list := range s.undo {
			clear(list)
		}
		s.ctime = now()
		s.wait.Notify(waiter.In)
		return nil
	})
}

// SemRemove is IPC_RMID: who waits gets EIDRM.
//
// Errors: EINVAL, EPERM.
func (ns *Namespace) SemRemove(by By, id int32) error {
	return ns.withSet(by, id, (*perm).owner, func(s *semSet) error {
		ns.sem.remove(s)
		for u := range s.undo {
			delete(u.sets, s)
		}
		s.undo = nil
		s.wait.Notify(waiter.In)
		return nil
	})
}

// SemSet is IPC_SET.
//
// Errors: EINVAL, EPERM.
func (ns *Namespace) SemSet(by By, id int32, d linux.SemidDS) error {
	return ns.withSet(by, id, (*perm).owner, func(s *semSet) error {
		return s.set(by, d.Perm.UID, d.Perm.GID, uint16(d.Perm.Mode))
	})
}

// SemStat is IPC_STAT, SEM_STAT and SEM_STAT_ANY.
//
// Errors: EINVAL, EACCES.
func (ns *Namespace) SemStat(by By, n int32, f Find) (linux.SemidDS, int32, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	s, result, err := named(&ns.sem, by, n, f)
	if err != nil {
		return linux.SemidDS{}, 0, err
	}
	return linux.SemidDS{Perm: s.abi(by), OTime: s.otime, CTime: s.ctime, NSems: uint64(len(s.sems))}, result, nil
}

// SemInfo is IPC_INFO, or SEM_INFO with what is in use.
func (ns *Namespace) SemInfo(cmd int32) (linux.Seminfo, int32) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	info := linux.Seminfo{
		Map: linux.SEMMNS, Mni: linux.SEMMNI, Mns: linux.SEMMNS, Mnu: linux.SEMMNS, Msl: linux.SEMMSL,
		Opm: linux.SEMOPM, Ume: linux.SEMOPM, Usz: 20, Vmx: linux.SEMVMX, Aem: linux.SEMAEM,
	}
	if cmd == linux.SEM_INFO {
		info.Usz, info.Aem = int32(ns.sem.count), 0
		for i, s := range ns.sem.slots {
			if ns.sem.used[i] {
				info.Aem += int32(len(s.sems))
			}
		}
	}
	return info, int32(ns.sem.highest())
}
