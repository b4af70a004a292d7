package kernel

import (
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// CloneOptions are clone3's arguments, checked for form by the handler.
type CloneOptions struct {
	Flags      linux.CloneFlags // without the exit signal
	ExitSignal linux.Signal
	Stack      uint64 // the new stack pointer, or 0 to keep it
	TLS        uint64
	ParentTID  usermem.Ptr[int32]
	ChildTID   usermem.Ptr[int32]
	SetTID     []int32
	// Installed is called with the new process before it runs; its error
	// undoes the clone (a pidfd that cannot be stored).
	Installed func(child *Task) error
}

// vforkWait is a parent that waits until the child lets go of its memory.
type vforkWait struct {
	queue waiter.Queue
	done  bool // behind the task set's lock
}

// Clone makes a task that shares with t what the flags say, and returns its id
// as t sees it.
//
// Errors: EINVAL for combinations that make no sense, EAGAIN at a limit, ENOMEM
// when the host has no room, EPERM for a namespace without CAP_SYS_ADMIN,
// EEXIST for a taken SetTID. Nothing is left behind.
func (t *Task) Clone(o *CloneOptions) (int32, error) {
	if err := checkCloneFlags(t, o); err != nil {
		return 0, err
	}
	c, err := t.newChild(o)
	if err != nil {
		return 0, err
	}
	if err := t.publish(c, o); err != nil {
		c.abandon()
		return 0, err
	}
	tid := c.pid.In(t.pidNS)
	if o.Flags&linux.CLONE_PARENT_SETTID != 0 {
		_ = o.ParentTID.Store(t, tid) // Linux ignores the fault too
	}
	if o.Installed != nil {
		if err := o.Installed(c); err != nil {
			c.unpublish()
			c.abandon()
			return 0, err
		}
	}
	if o.Flags&linux.CLONE_CHILD_SETTID != 0 {
		_ = o.ChildTID.Store(c.mm, c.TID())
	}
	var wait *vforkWait
	if o.Flags&linux.CLONE_VFORK != 0 {
		wait = &vforkWait{}
		c.vfork = wait
	}
	t.k.forks.Add(1)
	t.settle() // the child may read what the parent was told
	c.start()
	if wait != nil {
		t.awaitVfork(wait)
	}
	return tid, nil
}

func checkCloneFlags(t *Task, o *CloneOptions) error {
	f := o.Flags
	has := func(bits linux.CloneFlags) bool { return f&bits != 0 }
	const newNS = linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC | linux.CLONE_NEWPID |
		linux.CLONE_NEWNET | linux.CLONE_NEWCGROUP
	switch {
	case has(linux.CLONE_NEWNS) && has(linux.CLONE_FS),
		has(linux.CLONE_NEWUSER) && has(linux.CLONE_FS),
		has(linux.CLONE_THREAD) && !has(linux.CLONE_SIGHAND),
		has(linux.CLONE_SIGHAND) && !has(linux.CLONE_VM),
		has(linux.CLONE_SIGHAND) && has(linux.CLONE_CLEAR_SIGHAND),
		has(linux.CLONE_THREAD) && has(linux.CLONE_NEWPID|linux.CLONE_NEWUSER),
		has(linux.CLONE_PARENT) && t.group.isInitLocked(),
		has(linux.CLONE_NEWIPC) && has(linux.CLONE_SYSVSEM):
		return errno.EINVAL
	case has(linux.CLONE_THREAD) && t.Namespaces().PIDForChildren != t.pidNS:
		return errno.EINVAL
	case has(newNS) && !has(linux.CLONE_NEWUSER) && !t.Creds().HasCap(linux.CAP_SYS_ADMIN):
		return errno.EPERM
	}
	return nil
}

func (g *ThreadGroup) isInitLocked() bool {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.isInit()
}

// newChild makes a task that nobody sees yet, with everything it holds.
func (t *Task) newChild(o *CloneOptions) (_ *Task, err error) {
	f := o.Flags
	c := t.k.newTask()
	defer func() {
		if err != nil {
			c.abandon()
		}
	}()
	c.comm, c.sched = t.Comm(), t.Sched()
	if c.sched.Reset {
		c.sched = Sched{}
	}
	c.oomAdj = t.OOMScoreAdj()
	creds := t.Creds()
	if f&linux.CLONE_NEWUSER != 0 {
		if creds, err = NewUserNSCreds(creds); err != nil {
			return nil, err
		}
	}
	c.creds.Store(creds)
	if f&linux.CLONE_THREAD == 0 {
		// Threads of other users count as well; this bounds what one
		// process tree can take of the sandbox.
		if lim := t.Limit(linux.RLIMIT_NPROC).Cur; t.k.overNPROC(creds, lim) {
			return nil, errno.EAGAIN
		}
	}

	if f&linux.CLONE_FILES != 0 {
		t.fds.IncRef()
		c.fds = t.fds
	} else {
		c.fds = t.fds.Fork()
	}
	if f&linux.CLONE_FS != 0 {
		t.fs.IncRef()
		c.fs = t.fs
	} else {
		c.fs = t.fs.Fork()
	}
	if c.ns, err = t.k.cloneNamespaces(t.Namespaces(), f, creds, c.fs); err != nil {
		return nil, err
	}
	c.pidNS = c.ns.PIDForChildren

	if f&linux.CLONE_VM != 0 {
		if c.thread, err = t.mm.NewThread(t.Thread()); err != nil {
			return nil, err
		}
		t.mm.IncUsers()
		c.mm = t.mm
	} else if c.mm, c.thread, err = t.mm.Fork(t.Thread()); err != nil {
		return nil, err
	}

	c.regs = t.regs
	c.regs.SetReturn(0)
	if o.Stack != 0 {
		c.regs.SetSP(uintptr(o.Stack))
	}
	if f&linux.CLONE_SETTLS != 0 {
		c.regs.SetTLS(uintptr(o.TLS))
	}
	if f&linux.CLONE_CHILD_CLEARTID != 0 {
		c.clearTID = o.ChildTID
	}
	return c, nil
}

func (k *Kernel) newTask() *Task {
	t := &Task{k: k, wake: make(chan struct{}, 1), started: time.Now()}
	t.inSysNR.Store(-1)
	t.sched.Slack = 50000
	return t
}

// abandon gives back what a task holds that never ran.
func (t *Task) abandon() {
	t.releaseSpace()
	t.releaseFiles()
}

// NewUserNSCreds are the credentials of the first task of a new user namespace:
// all capabilities in it.
func NewUserNSCreds(c *cred.Creds) (*cred.Creds, error) {
	ns, err := cred.NewUserNamespace(c)
	if err != nil {
		return nil, err
	}
	n := c.Copy()
	n.UserNS = ns
	n.Permitted, n.Effective, n.Bounding = cred.AllCaps, cred.AllCaps, cred.AllCaps
	n.Inheritable, n.Ambient, n.Securebits = 0, 0, 0
	return n, nil
}

// cloneNamespaces returns the namespaces of a child.
func (k *Kernel) cloneNamespaces(ns Namespaces, f linux.CloneFlags, c *cred.Creds, fs *vfs.FSContext) (Namespaces, error) {
	if f&linux.CLONE_NEWUTS != 0 {
		h, d := ns.UTS.Names()
		ns.UTS = k.NewUTSNamespace(h, d, c.UserNS)
	}
	if f&linux.CLONE_NEWIPC != 0 {
		ns.IPC = k.NewIPCNamespace(c.UserNS)
	}
	if f&linux.CLONE_NEWNET != 0 {
		ns.Net = k.NewNetNamespace(c.UserNS)
	}
	if f&linux.CLONE_NEWPID != 0 {
		if ns.PIDForChildren.level >= 32 {
			return ns, errno.ENOSPC
		}
		ns.PIDForChildren = k.newPIDNamespace(ns.PIDForChildren, c.UserNS)
	}
	if f&linux.CLONE_NEWNS != 0 {
		fs.Unshare(c.UserNS)
	}
	return ns, nil
}

// overNPROC says whether the user has as many tasks as the limit allows.
func (k *Kernel) overNPROC(c *cred.Creds, limit uint64) bool {
	if limit == linux.RLIM_INFINITY || c.UID == cred.Root ||
		c.HasCap(linux.CAP_SYS_RESOURCE) || c.HasCap(linux.CAP_SYS_ADMIN) {
		return false
	}
	n := uint64(0)
	k.tasks.mu.RLock()
	defer k.tasks.mu.RUnlock()
	for t := range k.tasks.live {
		if t.Creds().UID == c.UID {
			n++
		}
	}
	return n >= limit
}

// publish gives c its ids and its place among the tasks.
func (t *Task) publish(c *Task, o *CloneOptions) error {
	f := o.Flags
	s := &t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.live) >= t.k.maxTasks {
		return errno.EAGAIN
	}
	pid, err := c.pidNS.newPIDLocked(o.SetTID)
	if err != nil {
		return err
	}
	c.pid = pid
	pid.task = c

	h := t.group.handlers()
	if f&linux.CLONE_THREAD != 0 {
		h.mu.Lock()
		defer h.mu.Unlock()
		if t.group.sig.exiting || t.sig.killed {
			pid.task = nil
			pid.putLocked()
			return errno.ERESTARTNOINTR
		}
		c.group = t.group
		c.sig.blocked = t.sig.blocked
		c.inheritSeccompLocked(t)
		c.group.tasks[c] = struct{}{}
		c.group.live++
		if c.group.sig.stopping && !c.group.sig.stopped {
			c.group.sig.toStop++
		}
		c.work.Store(c.group.sig.stopping)
		s.live[c] = struct{}{}
		return nil
	}

	g := t.k.newGroup(pid, c)
	g.limits.copyFrom(&t.group.limits)
	if f&linux.CLONE_VM == 0 {
		c.mm.SetLimits(groupLimits{&g.limits})
	}
	g.exitSignal = o.ExitSignal
	parent, by := t.group, t
	if f&linux.CLONE_PARENT != 0 {
		parent, by = t.group.parent, t.group.parentTask
		g.exitSignal = t.group.exitSignal
	}
	g.parent, g.parentTask = parent, by
	if parent != nil {
		parent.children[g] = struct{}{}
		g.hasSubreap = parent.subreaper || parent.hasSubreap
	}
	h.mu.Lock()
	switch {
	case f&linux.CLONE_SIGHAND != 0:
		g.sig.table = h
	default:
		g.sig.table = &SignalHandlers{actions: h.actions}
		if f&linux.CLONE_CLEAR_SIGHAND != 0 {
			g.sig.table.resetHandled()
		}
	}
	c.sig.blocked = t.sig.blocked
	c.inheritSeccompLocked(t)
	if f&linux.CLONE_VM == 0 || f&linux.CLONE_VFORK != 0 {
		c.sig.stack = t.sig.stack
	}
	h.mu.Unlock()
	g.joinLocked(t.group.pgrp)
	if c.pidNS.init == nil {
		c.pidNS.init = g
	}
	s.live[c] = struct{}{}
	if g.Limit(linux.RLIMIT_CPU).Cur != linux.RLIM_INFINITY {
		g.cpuLimit.watch(g)
	}
	return nil
}

func (h *SignalHandlers) resetHandled() {
	for s := range h.actions {
		if h.actions[s].Handler != linux.SIG_IGN {
			h.actions[s] = linux.SigAction{}
		}
	}
}

// newGroup makes a process with one task. The task set is locked.
func (k *Kernel) newGroup(pid *PID, leader *Task) *ThreadGroup {
	g := &ThreadGroup{
		k: k, pid: pid, pidNS: leader.pidNS, leader: leader, live: 1,
		tasks:    map[*Task]struct{}{leader: {}},
		children: map[*ThreadGroup]struct{}{},
		started:  time.Now(),
	}
	leader.group = g
	pid.group = g
	return g
}

// unpublish undoes publish for a task that never ran.
func (t *Task) unpublish() {
	s := &t.k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, t)
	g := t.group
	h := g.handlers()
	h.mu.Lock()
	delete(g.tasks, t)
	g.live--
	h.mu.Unlock()
	t.exited = true
	if g.leader == t {
		g.leavePgrpLocked()
		if g.parent != nil {
			delete(g.parent.children, g)
		}
		g.pid.group = nil
		if g.pidNS.init == g {
			g.pidNS.init = nil
		}
		g.zombie, g.reaped = true, true
	}
	t.pid.task = nil
	t.pid.putLocked()
}

// awaitVfork sleeps until the child has called execve or exited. Only a deadly
// signal ends it before.
func (t *Task) awaitVfork(w *vforkWait) {
	e := waiter.Entry{Mask: waiter.In, Waker: t}
	w.queue.Register(&e)
	defer w.queue.Unregister(&e)
	for {
		t.k.tasks.mu.RLock()
		done := w.done
		t.k.tasks.mu.RUnlock()
		if done || t.sleep(waiter.Never, killable) != nil {
			return
		}
	}
}

// letVforkGo tells the parent that t no longer uses its memory.
func (t *Task) letVforkGo() {
	w := t.vfork
	if w == nil {
		return
	}
	t.vfork = nil
	t.k.tasks.mu.Lock()
	w.done = true
	t.k.tasks.mu.Unlock()
	w.queue.Notify(waiter.In)
}

// Unshare leaves what the flags name, as unshare(2). Flags have been checked.
func (t *Task) Unshare(f linux.CloneFlags) error {
	creds := t.Creds()
	if f&linux.CLONE_NEWUSER != 0 {
		if t.group.Count() > 1 {
			return errno.EINVAL
		}
		c, err := NewUserNSCreds(creds)
		if err != nil {
			return err
		}
		creds = c
	} else if f&(linux.CLONE_NEWNS|linux.CLONE_NEWUTS|linux.CLONE_NEWIPC|linux.CLONE_NEWPID|linux.CLONE_NEWNET|linux.CLONE_NEWCGROUP) != 0 &&
		!creds.HasCap(linux.CAP_SYS_ADMIN) {
		return errno.EPERM
	}
	if f&(linux.CLONE_FS|linux.CLONE_NEWNS) != 0 && t.fs.Shared() {
		t.replaceFS(t.fs.Fork())
	}
	ns, err := t.k.cloneNamespaces(t.Namespaces(), f, creds, t.fs)
	if err != nil {
		return err
	}
	if f&linux.CLONE_FILES != 0 {
		t.unshareFDs()
	}
	t.SetCreds(creds)
	t.mu.Lock()
	t.ns = ns
	t.mu.Unlock()
	return nil
}

// SetNamespaces replaces namespaces: setns(2).
func (t *Task) SetNamespaces(f func(*Namespaces)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.ns)
}

func (t *Task) replaceFS(fs *vfs.FSContext) {
	t.mu.Lock()
	old := t.fs
	t.fs = fs
	t.mu.Unlock()
	old.DecRef()
}

// unshareFDs gives the task a descriptor table of its own.
func (t *Task) unshareFDs() {
	if !t.fds.Shared() {
		return
	}
	t.setFDs(t.fds.Fork())
}

func (t *Task) setFDs(fds *fdtable.Table) {
	t.mu.Lock()
	old := t.fds
	t.fds = fds
	t.mu.Unlock()
	old.DecRef()
}

func (t *Task) setMM(m *mm.MM, th platform.Thread) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	t.mm, t.thread, t.transfer = m, th, nil
}
