package kernel

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// PID is an identity that a task, a thread group, a process group or a session
// goes by: one number in each pid namespace from its own up to the root. It
// lives as long as anybody uses it. Guarded by the task set's lock, but for the
// numbers, which never change.
type PID struct {
	ns *PIDNamespace // the deepest
	nr []int32       // by level, 0 the root's

	task    *Task
	group   *ThreadGroup
	pgrp    *ProcessGroup
	session *Session
}

// In is the number in ns, or 0 if it has none there.
func (p *PID) In(ns *PIDNamespace) int32 {
	if p == nil || ns.level >= len(p.nr) {
		return 0
	}
	// The chain of p's namespaces holds ns only if it is the one at ns's level.
	for n := p.ns; n != nil; n = n.parent {
		if n == ns {
			return p.nr[ns.level]
		}
	}
	return 0
}

// Numbers are the numbers from ns inwards, as NSpid in /proc/PID/status.
func (p *PID) Numbers(ns *PIDNamespace) []int32 {
	if p.In(ns) == 0 {
		return nil
	}
	return p.nr[ns.level:]
}

// PIDNamespace numbers tasks. Guarded by the task set's lock.
type PIDNamespace struct {
	parent *PIDNamespace
	level  int
	userNS *cred.UserNamespace
	ino    uint64

	pids map[int32]*PID
	last int32
	init *ThreadGroup // its pid 1
	dead bool         // init has exited: no more tasks
	// mortalInit is set before init runs, see LetInitDie.
	mortalInit bool
	tasksMu    *lock.RWMutex[lockorder.TaskSet]
}

func (k *Kernel) newPIDNamespace(parent *PIDNamespace, u *cred.UserNamespace) *PIDNamespace {
	ns := &PIDNamespace{parent: parent, userNS: u, ino: k.NewNSInode(), pids: map[int32]*PID{}, tasksMu: &k.tasks.mu}
	if parent != nil {
		ns.level = parent.level + 1
	}
	return ns
}

// LetInitDie takes from the namespace's init the protection against signals that
// it has no handler for: for a first process that is to end as it would outside.
// It is called before there are processes.
func (ns *PIDNamespace) LetInitDie() { ns.mortalInit = true }

// Inode and UserNS identify the namespace.
func (ns *PIDNamespace) Inode() uint64               { return ns.ino }
func (ns *PIDNamespace) UserNS() *cred.UserNamespace { return ns.userNS }
func (ns *PIDNamespace) Parent() *PIDNamespace       { return ns.parent }
func (ns *PIDNamespace) LastPID() int32 {
	ns.tasksMu.RLock()
	defer ns.tasksMu.RUnlock()
	return ns.last
}

// newPIDLocked takes the next free number in ns and its ancestors. want, if not
// empty, gives the numbers from the innermost outwards, as clone3's set_tid.
func (ns *PIDNamespace) newPIDLocked(want []int32) (*PID, error) {
	if ns.dead {
		return nil, errno.ENOMEM
	}
	p := &PID{ns: ns, nr: make([]int32, ns.level+1)}
	for n := ns; n != nil; n = n.parent {
		if i := ns.level - n.level; i < len(want) {
			if _, taken := n.pids[want[i]]; taken {
				n.undoLocked(ns, p)
				return nil, errno.EEXIST
			}
			if want[i] < 1 || want[i] >= MaxPID || n.init == nil && want[i] != 1 {
				n.undoLocked(ns, p)
				return nil, errno.EINVAL
			}
			p.nr[n.level] = want[i]
			n.pids[want[i]] = p
			continue
		}
		nr, ok := n.nextLocked()
		if !ok {
			n.undoLocked(ns, p)
			return nil, errno.EAGAIN
		}
		p.nr[n.level] = nr
		n.pids[nr] = p
	}
	return p, nil
}

// undoLocked frees the numbers that p got from namespace `from` up to, but
// without, ns.
func (ns *PIDNamespace) undoLocked(from *PIDNamespace, p *PID) {
	for n := from; n != ns; n = n.parent {
		delete(n.pids, p.nr[n.level])
	}
}

// reservedPIDs is where numbers start again after a wrap, as on Linux.
const reservedPIDs = 300

func (ns *PIDNamespace) nextLocked() (int32, bool) {
	for range MaxPID {
		ns.last++
		if ns.last >= MaxPID {
			ns.last = reservedPIDs
		}
		if _, taken := ns.pids[ns.last]; !taken {
			return ns.last, true
		}
	}
	return 0, false
}

// putLocked frees the numbers if nobody goes by them any more.
func (p *PID) putLocked() {
	if p.task != nil || p.group != nil || p.pgrp != nil || p.session != nil {
		return
	}
	for n := p.ns; n != nil; n = n.parent {
		delete(n.pids, p.nr[n.level])
	}
}

// Lookups by number. All return nil if there is none.

func (ns *PIDNamespace) taskLocked(nr int32) *Task {
	if p := ns.pids[nr]; p != nil {
		return p.task
	}
	return nil
}

func (ns *PIDNamespace) groupLocked(nr int32) *ThreadGroup {
	if p := ns.pids[nr]; p != nil {
		return p.group
	}
	return nil
}

func (ns *PIDNamespace) pgrpLocked(nr int32) *ProcessGroup {
	if p := ns.pids[nr]; p != nil {
		return p.pgrp
	}
	return nil
}

// Task is the task with number nr in ns, dead or alive until it is reaped.
func (ns *PIDNamespace) Task(nr int32) *Task {
	ns.tasksMu.RLock()
	defer ns.tasksMu.RUnlock()
	return ns.taskLocked(nr)
}

// ThreadGroup is the process with number nr in ns.
func (ns *PIDNamespace) ThreadGroup(nr int32) *ThreadGroup {
	ns.tasksMu.RLock()
	defer ns.tasksMu.RUnlock()
	return ns.groupLocked(nr)
}

// ProcessGroup is the process group with number nr in ns.
func (ns *PIDNamespace) ProcessGroup(nr int32) *ProcessGroup {
	ns.tasksMu.RLock()
	defer ns.tasksMu.RUnlock()
	return ns.pgrpLocked(nr)
}

// ThreadGroups lists the processes in ns, ordered by number.
func (ns *PIDNamespace) ThreadGroups() []*ThreadGroup {
	ns.tasksMu.RLock()
	defer ns.tasksMu.RUnlock()
	return ns.groupsLocked()
}

// Init is the namespace's pid 1.
func (ns *PIDNamespace) Init() *ThreadGroup {
	ns.tasksMu.RLock()
	defer ns.tasksMu.RUnlock()
	return ns.init
}
