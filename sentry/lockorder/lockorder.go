// Package lockorder lists the classes of the Sentry's locks, outermost first.
// A lock of sentry/... is a lock.Mutex, lock.RWMutex or lock.Guarded of one of
// these classes, and a goroutine takes it only inside those it already holds;
// tests built with -tags lockcheck enforce that.
//
// To add a class, put it where it belongs in the list and change the line that
// follows it. The list is one chain, so that any two classes have an order. The
// package declares types only and never holds a lock itself.
package lockorder

import "github.com/bulkhead-sandbox/bulkhead/internal/lock"

// The tree of tasks, and what hangs from it.
type (
	// Control is the sandbox's life cycle as runsc sees it.
	Control struct{ lock.Outermost }
	// ExecGate holds back exec and exit while a thread group is down to one.
	ExecGate struct{ lock.Inside[Control] }
	// TaskSet is the process tree: parents, children, groups, sessions, IDs.
	TaskSet struct{ lock.Inside[ExecGate] }
	// PIDNamespace is the numbers that one namespace has given out.
	PIDNamespace struct{ lock.Inside[TaskSet] }
	// Session is a session's terminal and groups.
	Session struct{ lock.Inside[PIDNamespace] }
	// ThreadGroup is what the threads of a process share: exit, timers, limits.
	ThreadGroup struct{ lock.Inside[Session] }
	// SignalHandlers is a process's table of actions and its pending signals.
	SignalHandlers struct{ lock.Inside[ThreadGroup] }
	// Task is one thread's own state.
	Task struct{ lock.Inside[SignalHandlers] }
	// UserNamespace is the ID maps of one user namespace.
	UserNamespace struct{ lock.Inside[Task] }
	// UTSNamespace is a host name.
	UTSNamespace struct{ lock.Inside[UserNamespace] }
	// IPCNamespace is the tables of System V objects and message queues.
	IPCNamespace struct{ lock.Inside[UTSNamespace] }
	// IPCObject is one of those objects.
	IPCObject struct{ lock.Inside[IPCNamespace] }
)

// Memory. A page fault or a copy may need a file's locks, never the reverse.
type (
	// MM is an address space's list of mappings.
	MM struct{ lock.Inside[IPCObject] }
	// MMStats is counters that are read without the list.
	MMStats struct{ lock.Inside[MM] }
)

// Files, from the table of descriptors down to bytes.
type (
	// FSContext is a task's root, working directory and umask.
	FSContext struct{ lock.Inside[MMStats] }
	// FDTable is a table of descriptors.
	FDTable struct{ lock.Inside[FSContext] }
	// EpollInstance is the interest list of an epoll.
	EpollInstance struct{ lock.Inside[FDTable] }
	// MountNamespace is a tree of mounts.
	MountNamespace struct{ lock.Inside[EpollInstance] }
	// Rename serialises renames between directories of one file system.
	Rename struct{ lock.Inside[MountNamespace] }
	// FileDescription is an open file's offset and flags.
	FileDescription struct{ lock.Inside[Rename] }
	// OverlayCopyUp is one file on its way to the upper layer.
	OverlayCopyUp struct{ lock.Inside[FileDescription] }
	// DirInode is a directory's entries; parents before children.
	DirInode struct{ lock.Inside[OverlayCopyUp] }
	// DentryCache is the tree of names known to be there, or not there.
	DentryCache struct{ lock.Inside[DirInode] }
	// Inode is a file's attributes and data.
	Inode struct{ lock.Inside[DentryCache] }
	// PipeInode is a pipe's buffer.
	PipeInode struct{ lock.Inside[Inode] }
	// FileLocks is the record locks and leases of a file.
	FileLocks struct{ lock.Inside[PipeInode] }
	// Inotify is an inotify instance's watches and queue.
	Inotify struct{ lock.Inside[FileLocks] }
	// GoferClient is the connection to the Gofer.
	GoferClient struct{ lock.Inside[Inotify] }
)

// Sockets and terminals.
type (
	// SocketTable is the names that sockets are bound to.
	SocketTable struct{ lock.Inside[GoferClient] }
	// Socket is one endpoint; pairs are locked in the order of their creation.
	Socket struct{ lock.Inside[SocketTable] }
	// SocketQueue is an endpoint's queue of messages.
	SocketQueue struct{ lock.Inside[Socket] }
	// TTY is a terminal and its line discipline.
	TTY struct{ lock.Inside[SocketQueue] }
	// TTYQueue is one direction of a terminal.
	TTYQueue struct{ lock.Inside[TTY] }
)

// Leaves: nothing but what follows is taken while one of these is held.
type (
	// FutexBucket is the waiters of some futexes.
	FutexBucket struct{ lock.Inside[TTYQueue] }
	// Clock is a set of timers.
	Clock struct{ lock.Inside[FutexBucket] }
	// EpollReady is the ready list of an epoll, filled by wake-ups.
	EpollReady struct{ lock.Inside[Clock] }
	// WaitQueue is the waiters of one object.
	WaitQueue struct{ lock.Inside[EpollReady] }
	// Limits is a process's resource limits.
	Limits struct{ lock.Inside[WaitQueue] }
	// HostFile is the state of a donated host descriptor.
	HostFile struct{ lock.Inside[Limits] }
	// Log is the sink of log lines.
	Log struct{ lock.Inside[HostFile] }
)
