// Package kernel is the heart of the Sentry: tasks, thread groups, process
// groups, sessions, namespaces, signals, clone, execve, exit and wait.
//
// A Task is a guest thread. It has one goroutine, its task goroutine, which
// alternates between running the guest (platform.Thread.Switch) and serving
// what the guest asked for. A task's own fields are its goroutine's alone unless
// they say otherwise; what others see of it lies behind one of two locks:
//
//   - Kernel.tasks (lockorder.TaskSet) guards the relations of tasks: parents,
//     children, thread groups, process groups, sessions, pids, exit states.
//   - SignalHandlers.mu guards signal state of every task that shares the
//     handlers: actions, masks, pending signals, group stops and group exits.
//
// TaskSet is taken before SignalHandlers. Neither is held over a host call or a
// copy of guest memory. A task is woken through one token channel, which holds
// no state: what woke it is in the structs.
//
// Nothing here decides about a file, a mapping or a socket; and nothing the
// guest does may panic: a broken guest ends by a signal.
package kernel

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/clock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/futex"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Kernel is one Linux: everything in it is shared by all containers of the
// sandbox.
type Kernel struct {
	platform platform.Platform
	world    *vfs.World
	table    SyscallTable
	futexes  *futex.Manager
	timers   clock.Wheel
	trace    Tracer
	answers  atomic.Uint64 // counts changes of what steady calls return

	tasks      taskSet
	rootUserNS *cred.UserNamespace
	boot       time.Time
	memory     MemoryInfo
	onPanic    func()
	maxTasks   int

	pause         pauseGate
	unimplemented [512]atomic.Uint64
	nextNSInode   atomic.Uint64
	forks         atomic.Uint64
}

// SyscallTable runs system calls. Package syscalls has it.
type SyscallTable interface {
	Handle(t *Task, nr uint64, args *[6]uint64) (uint64, error)
	TraceEnter(t *Task, nr uint64, args *[6]uint64) string
	TraceExit(v uint64, err error) string

	// Steady lists the calls whose result depends on the task alone, whatever
	// the arguments, and changes only where the kernel says so
	// (Kernel.answersChanged). Yield is sched_yield, Futex futex.
	Steady() []uint64
	Yield() uint64
	Futex() uint64
}

// Tracer receives the lines of --strace; nil if it is off.
type Tracer io.Writer

// Options are what a kernel is made of.
type Options struct {
	Platform platform.Platform
	World    *vfs.World
	Syscalls SyscallTable
	Trace    Tracer
	Memory   MemoryInfo
	// MaxTasks bounds the container's tasks further than MaxTasks does; 0
	// does not.
	MaxTasks int
	// OnPanic is deferred by each task goroutine; nil does nothing.
	OnPanic func()
}

// New makes a kernel without tasks.
func New(o Options) *Kernel {
	k := &Kernel{
		platform:   o.Platform,
		world:      o.World,
		table:      o.Syscalls,
		trace:      o.Trace,
		memory:     o.Memory,
		onPanic:    o.OnPanic,
		maxTasks:   MaxTasks,
		futexes:    futex.NewManager(),
		rootUserNS: cred.NewRootUserNamespace(),
		boot:       time.Now(),
	}
	if o.MaxTasks > 0 {
		k.maxTasks = min(o.MaxTasks, MaxTasks)
	}
	k.nextNSInode.Store(0xf0000000)
	k.tasks.init(k)
	k.pause.init()
	return k
}

// Platform is what runs the guests.
func (k *Kernel) Platform() platform.Platform { return k.platform }

// World is the virtual file system.
func (k *Kernel) World() *vfs.World { return k.world }

// Futexes are the futexes of all tasks.
func (k *Kernel) Futexes() *futex.Manager { return k.futexes }

// Timers drives the timers of all tasks and files.
func (k *Kernel) Timers() *clock.Wheel { return &k.timers }

// RootUserNS is the user namespace in which ids are what they are.
func (k *Kernel) RootUserNS() *cred.UserNamespace { return k.rootUserNS }

// BootTime is when the sandbox began.
func (k *Kernel) BootTime() time.Time { return k.boot }

// Forks counts tasks that were made, for /proc/stat.
func (k *Kernel) Forks() uint64 { return k.forks.Load() }

// CountUnimplemented notes that a guest asked for a call that there is not.
func (k *Kernel) CountUnimplemented(nr uint64) {
	if nr < uint64(len(k.unimplemented)) {
		k.unimplemented[nr].Add(1)
	}
}

// Unimplemented returns how often each missing call was asked for.
func (k *Kernel) Unimplemented() map[uint64]uint64 {
	m := map[uint64]uint64{}
	for nr := range k.unimplemented {
		if n := k.unimplemented[nr].Load(); n > 0 {
			m[uint64(nr)] = n
		}
	}
	return m
}

// NewNSInode numbers a namespace, as /proc/PID/ns shows it.
func (k *Kernel) NewNSInode() uint64 { return k.nextNSInode.Add(1) }

// pauseGate holds all tasks back while the sandbox is paused.
type pauseGate struct {
	mu     sync.Mutex
	cond   *sync.Cond
	closed atomic.Bool
}

func (g *pauseGate) init() { g.cond = sync.NewCond(&g.mu) }

// pass blocks while the gate is closed.
func (g *pauseGate) pass() {
	if !g.closed.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.closed.Load() {
		g.cond.Wait()
	}
}

// Pause stops every task at its next way into the guest. Resume lets them go.
func (k *Kernel) Pause() {
	k.pause.closed.Store(true)
	k.tasks.forEach(func(t *Task) { t.interrupt() })
}

// Resume undoes Pause.
func (k *Kernel) Resume() {
	k.pause.mu.Lock()
	defer k.pause.mu.Unlock()
	k.pause.closed.Store(false)
	k.pause.cond.Broadcast()
}

// Paused says whether the sandbox is paused.
func (k *Kernel) Paused() bool { return k.pause.closed.Load() }

// MaxPID is the default of /proc/sys/kernel/pid_max.
const MaxPID = 32768

// MaxTasks bounds the tasks of a sandbox (kernel.threads-max): each may hold a
// thread of the Sentry's, of which the Go runtime allows 10,000 before it ends
// the process.
const MaxTasks = 8000

// ClockTicks is USER_HZ.
const ClockTicks = 100

// Ticks converts a duration to clock ticks.
func Ticks(d time.Duration) int64 { return int64(d / (time.Second / ClockTicks)) }
