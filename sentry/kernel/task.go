package kernel

import (
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/futex"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Task is a guest thread.
type Task struct {
	k     *Kernel
	group *ThreadGroup
	pid   *PID // its thread id
	pidNS *PIDNamespace

	// The task goroutine's own.
	regs       platform.Registers
	thread     platform.Thread
	result     result
	restart    RestartBlock
	clearTID   usermem.Ptr[int32]
	robustList usermem.Ptr[futex.RobustListHead]
	args       [6]uint64 // of the call that is being served
	lastFault  platform.Event
	guestRef   *platform.Thread     // what guest is set to
	transfer   platform.Transferrer // of the thread in guestRef, or nil
	// toldAnswers is Kernel.answers, plus one, when the thread in guestRef
	// was told them.
	toldAnswers uint64
	vfork       *vforkWait // the parent that waits for us to let go of its memory

	// Replaced by the task goroutine, read by others: behind mu.
	mu          lock.Mutex[lockorder.Task]
	mm          *mm.MM
	fds         *fdtable.Table
	fs          *vfs.FSContext
	ns          Namespaces
	comm        string
	sched       Sched
	oomAdj      int32
	personality uint32
	io          IOCounters
	started     time.Time

	creds atomic.Pointer[cred.Creds]

	// seccomp is what binds the task, nil as a rule. It changes behind the
	// signal handlers' lock.
	seccomp atomic.Pointer[seccompMode]

	// Behind the task set's lock.
	parentDeath linux.Signal // PR_SET_PDEATHSIG
	exited      bool

	// Behind the signal handlers' lock.
	sig taskSignals

	// work is set when the task goroutine has to look at its signals or at
	// its group before it runs the guest or goes to sleep.
	work  atomic.Bool
	guest atomic.Pointer[platform.Thread] // guestRef while the guest runs
	state atomic.Int32
	gate  chan verdict  // of a created process that has not started
	wake  chan struct{} // one token; holds no state
	timer *time.Timer

	guestNS atomic.Int64 // nanoseconds in the guest
	sysNS   atomic.Int64 // nanoseconds in the Sentry, not asleep
	// sysSince is when the task entered the Sentry, of Kernel.sinceBoot.
	sysSince int64

	// guestSince is when the task went into the guest, in nanoseconds since
	// boot; 0: it is not there.
	guestSince atomic.Int64
	sleeps     atomic.Int64 // voluntary context switches
	inSysNR    atomic.Int64 // the call that is being served, or -1
}

// Namespaces are the namespaces of a task other than pid (Task.PIDNS), user
// (Creds.UserNS) and mount (with FS).
type Namespaces struct {
	UTS *UTSNamespace
	IPC *IPCNamespace
	Net *NetNamespace
	// PIDForChildren is where clone puts children (unshare, setns).
	PIDForChildren *PIDNamespace
}

// IOCounters are the figures of /proc/PID/io.
type IOCounters struct{ ReadBytes, WriteBytes, Reads, Writes uint64 }

// Sched is what sched_* and nice set.
type Sched struct {
	Policy   int32
	Priority int32
	Nice     int32
	Reset    bool
	IOPrio   int32
	Affinity uint64 // 0: all
	Slack    uint64
}

// State is what ps shows.
type State int32

// The states.
const (
	StateRunning State = iota
	StateSleeping
	StateStopped
	StateZombie
	StateDead
	StateTraced
	StateUninterruptible
)

// Letter is the state as /proc/PID/stat prints it.
func (s State) Letter() byte { return "RSTZXtD"[s] }

// State is the task's state now.
func (t *Task) State() State { return State(t.state.Load()) }

// Kernel is the kernel that the task belongs to.
func (t *Task) Kernel() *Kernel { return t.k }

// World is the virtual file system.
func (t *Task) World() *vfs.World { return t.k.world }

// ThreadGroup is the task's process.
func (t *Task) ThreadGroup() *ThreadGroup { return t.group }

// PIDNS is the pid namespace that the task is in.
func (t *Task) PIDNS() *PIDNamespace { return t.pidNS }

// TID is the thread id in the task's own pid namespace.
func (t *Task) TID() int32 { return t.pid.In(t.pidNS) }

// PID is the task's identity.
func (t *Task) PID() *PID { return t.pid }

// ProcessID identifies the task's process in the credentials of messages: a
// *PID.
func (t *Task) ProcessID() any { return t.group.pid }

// TIDIn is the thread id as ns sees it.
func (t *Task) TIDIn(ns *PIDNamespace) int32 { return t.pid.In(ns) }

// Creds are the task's credentials now.
func (t *Task) Creds() *cred.Creds { return t.creds.Load() }

// SetCreds replaces the credentials. Only the task goroutine changes them, but
// for no_new_privs: another thread's filter for all threads may set it, and it
// never goes away again.
func (t *Task) SetCreds(c *cred.Creds) {
	for {
		old := t.creds.Load()
		if old.NoNewPrivs != 0 && c.NoNewPrivs == 0 {
			c = c.Copy()
			c.NoNewPrivs = 1
		}
		if t.creds.CompareAndSwap(old, c) {
			t.k.answersChanged()
			return
		}
	}
}

// MM is the address space, nil once the task is exiting. The task goroutine
// needs no reference; others use TakeMM.
func (t *Task) MM() *mm.MM { return t.mm }

// Thread carries out the platform operations of the task goroutine.
func (t *Task) Thread() platform.Thread {
	t.settle()
	return t.thread
}

// Regs are the guest's registers: the task goroutine's alone.
func (t *Task) Regs() *platform.Registers { return &t.regs }

// FDs is the descriptor table, nil once the task is exiting.
func (t *Task) FDs() *fdtable.Table { return t.fds }

// FS holds root, working directory and umask, nil once the task is exiting.
func (t *Task) FS() *vfs.FSContext { return t.fs }

// TakeMM returns the address space of any task with a user reference, or nil.
func (t *Task) TakeMM() *mm.MM {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mm != nil {
		t.mm.IncUsers()
	}
	return t.mm
}

// TakeFDs returns the descriptor table of any task with a reference, or nil.
func (t *Task) TakeFDs() *fdtable.Table {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fds != nil {
		t.fds.IncRef()
	}
	return t.fds
}

// TakeFS returns root and working directory of any task with a reference, or nil.
func (t *Task) TakeFS() *vfs.FSContext {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fs != nil {
		t.fs.IncRef()
	}
	return t.fs
}

// Namespaces are those of the task; of an exited one the fields are nil.
func (t *Task) Namespaces() Namespaces {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ns
}

// MountNS is the mount namespace.
func (t *Task) MountNS() *vfs.MountNamespace { return t.fs.Namespace() }

// UTS is the namespace of host and domain name.
func (t *Task) UTS() *UTSNamespace { return t.Namespaces().UTS }

// Comm is the name that ps shows, at most 15 bytes.
func (t *Task) Comm() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.comm
}

// SetComm changes the name.
func (t *Task) SetComm(s string) {
	if len(s) >= linux.TASK_COMM_LEN {
		s = s[:linux.TASK_COMM_LEN-1]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.comm = s
}

// Sched returns and UpdateSched changes the scheduling parameters.
func (t *Task) Sched() Sched {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sched
}

// UpdateSched changes the scheduling parameters.
func (t *Task) UpdateSched(f func(*Sched)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.sched)
}

// OOMScoreAdj is the value of /proc/PID/oom_score_adj.
func (t *Task) OOMScoreAdj() int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.oomAdj
}

// SetOOMScoreAdj changes it.
func (t *Task) SetOOMScoreAdj(v int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.oomAdj = v
}

// CountRead and CountWrite feed /proc/PID/io.
func (t *Task) CountRead(n int64) {
	t.io.Reads++
	t.io.ReadBytes += uint64(n)
}

// CountWrite notes n bytes written.
func (t *Task) CountWrite(n int64) {
	t.io.Writes++
	t.io.WriteBytes += uint64(n)
}

// IO returns the counters; they may be a little behind.
func (t *Task) IO() IOCounters { return t.io }

// StartTime is when the task began.
func (t *Task) StartTime() time.Time { return t.started }

// CPUTime is the time in the guest and in the Sentry.
func (t *Task) CPUTime() (user, system time.Duration) {
	user = time.Duration(t.guestNS.Load())
	if since := t.guestSince.Load(); since != 0 {
		user += max(time.Since(t.k.boot)-time.Duration(since), 0)
	}
	return user, time.Duration(t.sysNS.Load())
}

// ContextSwitches is how often the task slept.
func (t *Task) ContextSwitches() int64 { return t.sleeps.Load() }

// CurrentSyscall is the number of the call that is being served, or -1.
func (t *Task) CurrentSyscall() int64 { return t.inSysNR.Load() }

// SetClearTID is set_tid_address: where exit stores 0 and wakes.
func (t *Task) SetClearTID(p usermem.Ptr[int32]) { t.clearTID = p }

// SetRobustList and RobustList hold the head of the list of held futexes.
func (t *Task) SetRobustList(p usermem.Ptr[futex.RobustListHead]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.robustList = p
}

// RobustList is the head of the list of held futexes.
func (t *Task) RobustList() usermem.Ptr[futex.RobustListHead] {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.robustList
}

// Limit is one of the process's resource limits.
func (t *Task) Limit(r linux.RlimitResource) linux.Rlimit { return t.group.limits.get(r) }

// A Task is a usermem.Memory and a futex.Memory: its current address space.

// CopyIn copies from the task's memory.
func (t *Task) CopyIn(dst []byte, addr usermem.Addr) (int, error) {
	if t.transfer != nil {
		if t.transfer.Fetched(dst, uintptr(addr)) {
			return len(dst), nil
		}
		t.transfer.Settle()
	}
	n, err := t.mm.CopyIn(dst, addr)
	for err == errno.EFAULT && t.grows(addr+usermem.Addr(n)) {
		var more int
		more, err = t.mm.CopyIn(dst[n:], addr+usermem.Addr(n))
		n += more
	}
	return n, err
}

// CopyOut copies into the task's memory.
func (t *Task) CopyOut(addr usermem.Addr, src []byte) (int, error) {
	if t.transfer != nil {
		if len(src) <= maxDelivery && t.mm.Writable(addr, len(src)) && t.transfer.Deliver(uintptr(addr), src) {
			return len(src), nil
		}
		t.transfer.Settle()
	}
	n, err := t.mm.CopyOut(addr, src)
	for err == errno.EFAULT && t.grows(addr+usermem.Addr(n)) {
		var more int
		more, err = t.mm.CopyOut(addr+usermem.Addr(n), src[n:])
		n += more
	}
	return n, err
}

// grows says whether a copy that faulted at addr may be tried again there: a
// stack has grown, as for a fault of the guest's own.
func (t *Task) grows(addr usermem.Addr) bool {
	return t.mm.HandleFault(t.thread, addr) == nil
}

// CopyInVec copies from several ranges of the task's memory.
func (t *Task) CopyInVec(dst []byte, vec []usermem.Range) (int, error) {
	t.settle()
	return t.mm.CopyInVec(dst, vec)
}

// CopyOutVec copies into several ranges of the task's memory.
func (t *Task) CopyOutVec(vec []usermem.Range, src []byte) (int, error) {
	t.settle()
	return t.mm.CopyOutVec(vec, src)
}

// FutexKey names a futex word: by address space or by what is mapped there.
func (t *Task) FutexKey(addr usermem.Addr, scope futex.Scope) (futex.Key, error) {
	return t.mm.FutexKey(addr, scope)
}

// LoadWord reads a futex word.
func (t *Task) LoadWord(addr usermem.Addr) (uint32, error) {
	return usermem.Ptr[uint32](addr).Load(t)
}

// maxDelivery is what may be written on the way into the guest: beyond it a
// call of the host costs less than copying twice.
const maxDelivery = 4096

// settle writes to memory what was to be written on the way into the guest:
// before the task sleeps, or does something to its memory.
func (t *Task) settle() {
	if t.transfer != nil {
		t.transfer.Settle()
	}
}

// CompareAndSwapWord changes a futex word.
func (t *Task) CompareAndSwapWord(addr usermem.Addr, old, new uint32) (uint32, error) {
	t.settle()
	return t.mm.CompareAndSwap32(t.thread, addr, old, new)
}

// Waker is what wakes the task: it is a waiter.Waker itself.
func (t *Task) Waker() waiter.Waker { return t }

// Wake ends the task's Sleep. It may be called with any lock held.
func (t *Task) Wake(*waiter.Entry, waiter.Events) bool {
	t.wakeUp()
	return true
}

func (t *Task) wakeUp() {
	select {
	case t.wake <- struct{}{}:
	default: // a token is there already
	}
}

// interrupt makes the task goroutine look at its signals and its group soon,
// whatever it is doing.
func (t *Task) interrupt() {
	t.work.Store(true)
	if th := t.guest.Load(); th != nil {
		(*th).Interrupt()
	}
	t.wakeUp()
}

// Sleep implements waiter.Sleeper for the task goroutine.
func (t *Task) Sleep(d waiter.Deadline) error { return t.sleep(d, interruptible) }

// sleepKind says what ends a sleep early.
type sleepKind uint8

const (
	interruptible sleepKind = iota // any signal that will be acted on
	killable                       // only what ends the task
)

func (t *Task) sleep(d waiter.Deadline, kind sleepKind) error {
	t.settle()
	if t.work.Load() && t.sleepEnds(kind) {
		return errno.ERESTARTSYS
	}
	var expired <-chan time.Time
	if !d.IsNever() {
		left := time.Until(d.At)
		if left <= 0 {
			return errno.ETIMEDOUT
		}
		if t.timer == nil {
			t.timer = time.NewTimer(left)
		} else {
			t.timer.Reset(left)
		}
		defer t.timer.Stop()
		expired = t.timer.C
	}
	t.state.Store(int32(StateSleeping))
	t.sleeps.Add(1)
	began := time.Now()
	defer func() {
		t.sysNS.Add(-int64(time.Since(began)))
		t.state.Store(int32(StateRunning))
	}()
	select {
	case <-t.wake:
	case <-expired:
		return errno.ETIMEDOUT
	}
	if t.work.Load() && t.sleepEnds(kind) {
		return errno.ERESTARTSYS
	}
	return nil
}

// sleepEnds says whether a signal or the group wants the task.
func (t *Task) sleepEnds(kind sleepKind) bool {
	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.sig.killed || t.group.sig.exiting {
		return true
	}
	if kind == killable {
		return false
	}
	return t.hasWorkLocked()
}

// RestartBlock goes on with a call that a signal without handler interrupted
// and that cannot just begin again (nanosleep, poll with a timeout): its
// Restart is what restart_syscall(2) runs.
type RestartBlock interface {
	Restart(t *Task) (uint64, error)
}

// RestartWith notes how restart_syscall goes on; the handler returns the error
// that it gets from here.
func (t *Task) RestartWith(b RestartBlock) error {
	t.restart = b
	return errno.ERESTART_RESTARTBLOCK
}

// TakeRestart returns what RestartWith noted, once.
func (t *Task) TakeRestart() RestartBlock {
	b := t.restart
	t.restart = nil
	return b
}
