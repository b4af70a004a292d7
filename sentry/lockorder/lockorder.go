// Package lockorder lists the classes of the Sentry's locks, outermost first.
// A lock of sentry/... is a lock.Mutex, lock.RWMutex or lock.Guarded of one of
// these classes, and a goroutine takes it only inside those it already holds;
// tests built with -tags lockcheck enforce that.
//
// The order follows from who calls whom: a read or a lookup holds the file's or
// the directory's lock and may ask anything of the kernel, because procfs shows
// it; the kernel asks memory, memory asks files for their names. So locks that
// are held over a file system's methods come first and those of names last.
//
// To add a class, put it where it belongs in the list and change the line that
// follows it. The list is one chain, so that any two classes have an order. The
// package declares types only and never holds a lock itself.
package lockorder

import "github.com/bulkhead-sandbox/bulkhead/internal/lock"

// Held over the methods of files and directories.
type (
	// PipeReader lets one reader at a time use a pipe; splice(2) writes to a
	// file meanwhile.
	PipeReader struct{ lock.Outermost }
	// FileDescription is an open file's position, over reads and writes.
	FileDescription struct{ lock.Inside[PipeReader] }
	// PseudoFile is the content of a made-up file that is being read.
	PseudoFile struct{ lock.Inside[FileDescription] }
	// EpollNesting keeps epolls from watching one another in a circle.
	EpollNesting struct{ lock.Inside[PseudoFile] }
	// EpollInstance is the interest list of an epoll.
	EpollInstance struct{ lock.Inside[EpollNesting] }
	// PipeWriter lets one writer at a time use a pipe; sendfile(2) holds the
	// source's position meanwhile.
	PipeWriter struct{ lock.Inside[EpollInstance] }
	// DirRenames serialises renames between directories.
	DirRenames struct{ lock.Inside[PipeWriter] }
	// DirInode is a directory's names; parents before children.
	DirInode struct{ lock.Inside[DirRenames] }
	// OverlayCopyUp is one file on its way to the upper layer.
	OverlayCopyUp struct{ lock.Inside[DirInode] }
	// Inode is a file's attributes and data.
	Inode struct{ lock.Inside[OverlayCopyUp] }
	// PipeInode is a pipe's buffer.
	PipeInode struct{ lock.Inside[Inode] }
	// GoferClient is the connection to the Gofer.
	GoferClient struct{ lock.Inside[PipeInode] }
	// TTY is a terminal and its line discipline, which send signals.
	TTY struct{ lock.Inside[GoferClient] }
)

// The tree of tasks, and what hangs from it.
type (
	// Clock is the armed timers; those of CPU time ask what a process has used.
	Clock struct{ lock.Inside[TTY] }
	// FutexBucket is the waiters of some futexes; the owner of one with
	// priority inheritance is looked up under it.
	FutexBucket struct{ lock.Inside[Clock] }
	// TaskSet is the process tree: parents, children, groups, sessions, IDs.
	TaskSet struct{ lock.Inside[FutexBucket] }
	// SignalHandlers is a process's table of actions and its pending signals.
	SignalHandlers struct{ lock.Inside[TaskSet] }
	// Task is what others see of one thread.
	Task struct{ lock.Inside[SignalHandlers] }
	// UserNamespace is the ID maps of one user namespace.
	UserNamespace struct{ lock.Inside[Task] }
	// UTSNamespace is a host name.
	UTSNamespace struct{ lock.Inside[UserNamespace] }
	// IPCNamespace is the System V objects of a namespace.
	IPCNamespace struct{ lock.Inside[UTSNamespace] }
)

// Memory, then tables of files, then the tree of names.
type (
	// MM is an address space's list of mappings.
	MM struct{ lock.Inside[IPCNamespace] }
	// FSContext is a task's root, working directory and umask.
	FSContext struct{ lock.Inside[MM] }
	// FDTable is a table of descriptors.
	FDTable struct{ lock.Inside[FSContext] }
	// FileLocks is the record locks of a file.
	FileLocks struct{ lock.Inside[FDTable] }
	// FileLockWaits is who waits for whose record locks.
	FileLockWaits struct{ lock.Inside[FileLocks] }
	// MountNamespace is the trees of mounts.
	MountNamespace struct{ lock.Inside[FileLockWaits] }
	// Rename is the parents and names of dentries.
	Rename struct{ lock.Inside[MountNamespace] }
	// DentryCache is a directory's cached children.
	DentryCache struct{ lock.Inside[Rename] }
	// DentryLRU is the list of dentries that nobody uses.
	DentryLRU struct{ lock.Inside[DentryCache] }
	// Inotify is an inotify instance's watches and queue.
	Inotify struct{ lock.Inside[DentryLRU] }
	// Node is what few inodes have: watchers, a bound socket.
	Node struct{ lock.Inside[Inotify] }
	// FileOwner is who is told of an open file: by signals, or that it is gone.
	FileOwner struct{ lock.Inside[Node] }
	// Registry is the file system types and devices.
	Registry struct{ lock.Inside[FileOwner] }
)

// Leaves: nothing but what follows is taken while one of these is held.
type (
	// Limits is a process's resource limits, and the settings of /proc/sys.
	Limits struct{ lock.Inside[Registry] }
	// WaitQueue is the waiters of one object, and an epoll's ready list, which
	// a wake-up fills. An object's before that of an epoll that watches it.
	WaitQueue struct{ lock.Inside[Limits] }
	// HostFile is the state of a donated host descriptor.
	HostFile struct{ lock.Inside[WaitQueue] }
)
