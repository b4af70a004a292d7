package kernel

import (
	"sync"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// ThreadGroup is a process.
type ThreadGroup struct {
	k     *Kernel
	pid   *PID
	pidNS *PIDNamespace

	limits limitSet

	cpuLimit cpuLimit

	// Behind the task set's lock.
	leader     *Task
	tasks      map[*Task]struct{} // live ones, and a leader that is not reaped
	live       int
	parent     *ThreadGroup
	parentTask *Task // the thread that made it, for PR_SET_PDEATHSIG
	children   map[*ThreadGroup]struct{}
	pgrp       *ProcessGroup
	exitSignal linux.Signal // sent to the parent at the end
	execed     bool         // since the fork (setpgid)
	zombie     bool         // all tasks have exited
	reaped     bool
	status     linux.WaitStatus
	subreaper  bool
	hasSubreap bool // an ancestor is one: inherited
	usage      Usage
	childUsage Usage
	execing    *Task // waits for the other threads to go

	// Behind the signal handlers' lock.
	sig groupSignals

	// childWait is notified when a child changes state; exitWait when the
	// group itself has become a zombie.
	childWait waiter.Queue
	exitWait  waiter.Queue

	started time.Time

	// Owned by families that hang state on processes (POSIX timers, ...).
	attach sync.Map
}

// Usage is CPU time and what else getrusage shows.
type Usage struct {
	User, System time.Duration
	MaxRSS       int64 // KiB
	Switches     int64
}

func (u *Usage) add(v Usage) {
	u.User += v.User
	u.System += v.System
	u.MaxRSS = max(u.MaxRSS, v.MaxRSS)
	u.Switches += v.Switches
}

// Rusage is the usage as getrusage stores it.
func (u Usage) Rusage() linux.Rusage {
	return linux.Rusage{
		Utime:  linux.DurationToTimeval(u.User),
		Stime:  linux.DurationToTimeval(u.System),
		MaxRSS: u.MaxRSS,
		NVCsw:  u.Switches,
	}
}

// Kernel is the kernel that the process belongs to.
func (g *ThreadGroup) Kernel() *Kernel { return g.k }

// ID is the process id in ns; 0 if ns does not see it.
func (g *ThreadGroup) ID(ns *PIDNamespace) int32 { return g.pid.In(ns) }

// PID is the process's identity.
func (g *ThreadGroup) PID() *PID { return g.pid }

// PIDNS is the namespace that the process is in.
func (g *ThreadGroup) PIDNS() *PIDNamespace { return g.pidNS }

// StartTime is when the process was made.
func (g *ThreadGroup) StartTime() time.Time { return g.started }

// Attachment is state that another package hangs on the process under a key of
// its own, made by fresh when it is not there yet.
func (g *ThreadGroup) Attachment(key any, fresh func() any) any {
	if v, ok := g.attach.Load(key); ok {
		return v
	}
	v, _ := g.attach.LoadOrStore(key, fresh())
	return v
}

// HasAttachment returns an attachment only if it was made.
func (g *ThreadGroup) HasAttachment(key any) (any, bool) { return g.attach.Load(key) }

// Ender is an attachment that wants to know when the process's last thread
// exits or it calls execve.
type Ender interface{ ProcessEnded() }

// ExecSurvivor is an attachment that outlives execve.
type ExecSurvivor interface{ SurvivesExec() }

// endAttachments ends them when the process exits, and but for the survivors
// when it executes another program.
func (g *ThreadGroup) endAttachments(why ending) {
	g.attach.Range(func(key, v any) bool {
		if _, ok := v.(ExecSurvivor); ok && why == byExec {
			return true
		}
		if e, ok := v.(Ender); ok {
			e.ProcessEnded()
		}
		g.attach.Delete(key)
		return true
	})
}

type ending uint8

const (
	byExit ending = iota
	byExec
)

// Leader is the first thread.
func (g *ThreadGroup) Leader() *Task {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.leader
}

// Tasks are the threads that have not exited.
func (g *ThreadGroup) Tasks() []*Task {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.tasksLocked()
}

func (g *ThreadGroup) tasksLocked() []*Task {
	all := make([]*Task, 0, len(g.tasks))
	for t := range g.tasks {
		all = append(all, t)
	}
	return all
}

// Count is the number of live threads.
func (g *ThreadGroup) Count() int {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.live
}

// Parent is the parent process, nil for those that the sandbox started.
func (g *ThreadGroup) Parent() *ThreadGroup {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.parent
}

// ParentID is getppid as ns sees it.
func (g *ThreadGroup) ParentID(ns *PIDNamespace) int32 {
	if p := g.Parent(); p != nil {
		return p.pid.In(ns)
	}
	return 0
}

// Children lists the child processes.
func (g *ThreadGroup) Children() []*ThreadGroup {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	all := make([]*ThreadGroup, 0, len(g.children))
	for c := range g.children {
		all = append(all, c)
	}
	return all
}

// ExitSignal is what the parent gets at the end.
func (g *ThreadGroup) ExitSignal() linux.Signal {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.exitSignal
}

// Zombie says whether all threads have exited.
func (g *ThreadGroup) Zombie() bool {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.zombie
}

// ExitStatus is the status of a zombie, and 0 before.
func (g *ThreadGroup) ExitStatus() linux.WaitStatus {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	if !g.zombie {
		return 0
	}
	return g.status
}

// Reaped says whether the process is gone for good.
func (g *ThreadGroup) Reaped() bool {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.reaped
}

// SetSubreaper is prctl(PR_SET_CHILD_SUBREAPER).
func (g *ThreadGroup) SetSubreaper(on bool) {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	g.subreaper = on
}

// Subreaper says whether orphans below come to this process.
func (g *ThreadGroup) Subreaper() bool {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.subreaper
}

// Usage is what the process's threads used, dead ones included.
func (g *ThreadGroup) Usage() Usage {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.usageLocked()
}

func (g *ThreadGroup) usageLocked() Usage {
	u := g.usage
	for t := range g.tasks {
		if !t.exited {
			u.add(t.Usage())
		}
	}
	return u
}

// ChildUsage is what the children that were waited for used.
func (g *ThreadGroup) ChildUsage() Usage {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.childUsage
}

// Usage is what the thread used.
func (t *Task) Usage() Usage {
	user, sys := t.CPUTime()
	u := Usage{User: user, System: sys, Switches: t.sleeps.Load()}
	if m := t.TakeMM(); m != nil {
		u.MaxRSS = int64(m.Resident().Total() >> 10)
		m.DecUsers()
	}
	return u
}

// limitSet is the resource limits of a process.
type limitSet struct {
	mu lock.Mutex[lockorder.Limits]
	v  [linux.RLIM_NLIMITS]linux.Rlimit
}

func (l *limitSet) get(r linux.RlimitResource) linux.Rlimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.v[r]
}

func (l *limitSet) copyFrom(o *limitSet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l.v = o.v
}

// Limit is one resource limit.
func (g *ThreadGroup) Limit(r linux.RlimitResource) linux.Rlimit { return g.limits.get(r) }

// SetLimit changes one. Errors: EINVAL if the soft limit is above the hard
// one, EPERM if the hard one grows and privileged is not set.
func (g *ThreadGroup) SetLimit(r linux.RlimitResource, v linux.Rlimit, by LimitRights) error {
	if v.Cur > v.Max {
		return errno.EINVAL
	}
	if r == linux.RLIMIT_NOFILE && v.Max > MaxOpenFiles {
		return errno.EPERM
	}
	g.limits.mu.Lock()
	defer g.limits.mu.Unlock()
	if v.Max > g.limits.v[r].Max && by != MayRaise {
		return errno.EPERM
	}
	g.limits.v[r] = v
	if r == linux.RLIMIT_CPU {
		g.cpuLimit.watch(g)
	}
	return nil
}

// MaxOpenFiles is fs.nr_open.
const MaxOpenFiles = 1048576

// LimitRights says whether a hard limit may grow (CAP_SYS_RESOURCE).
type LimitRights bool

// The two.
const (
	MayLower LimitRights = false
	MayRaise LimitRights = true
)

// DefaultLimits are those of a process on an ordinary Linux.
func DefaultLimits() [linux.RLIM_NLIMITS]linux.Rlimit {
	var v [linux.RLIM_NLIMITS]linux.Rlimit
	for i := range v {
		v[i] = linux.Rlimit{Cur: linux.RLIM_INFINITY, Max: linux.RLIM_INFINITY}
	}
	v[linux.RLIMIT_STACK].Cur = 8 << 20
	v[linux.RLIMIT_CORE].Cur = 0
	v[linux.RLIMIT_NPROC] = linux.Rlimit{Cur: MaxPID, Max: MaxPID}
	v[linux.RLIMIT_NOFILE] = linux.Rlimit{Cur: 1024, Max: MaxOpenFiles}
	v[linux.RLIMIT_MEMLOCK] = linux.Rlimit{Cur: 8 << 20, Max: 8 << 20}
	v[linux.RLIMIT_SIGPENDING] = linux.Rlimit{Cur: MaxPID, Max: MaxPID}
	v[linux.RLIMIT_MSGQUEUE] = linux.Rlimit{Cur: 819200, Max: 819200}
	v[linux.RLIMIT_NICE] = linux.Rlimit{}
	v[linux.RLIMIT_RTPRIO] = linux.Rlimit{}
	return v
}
