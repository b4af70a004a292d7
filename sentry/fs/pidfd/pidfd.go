// Package pidfd is descriptors that refer to a process: readable when it has
// exited.
//
// A File holds a pointer to the process, never its number, so it cannot come to
// mean another process. It keeps nothing else alive.
package pidfd

import (
	"fmt"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// File is an open pidfd.
type File struct {
	group *kernel.ThreadGroup
}

// New opens a pidfd with one reference.
func New(w *vfs.World, g *kernel.ThreadGroup, flags linux.OpenFlags, creds *cred.Creds) *vfs.Description {
	inode := vfs.NewAnonInode(w, linux.S_IRUSR|linux.S_IWUSR, creds)
	return vfs.NewAnon(w, inode, "anon_inode:[pidfd]", &File{g}, flags|linux.O_RDWR, creds)
}

// Group is the process.
func (f *File) Group() *kernel.ThreadGroup { return f.group }

// Release does nothing: there is nothing but the pointer.
func (f *File) Release() {}

// Ready says that the process has exited.
func (f *File) Ready(want waiter.Events) waiter.Events {
	if f.group.Zombie() {
		return want & waiter.Readable
	}
	return 0
}

// Register and Unregister wait for the exit.
func (f *File) Register(e *waiter.Entry) { f.group.ExitQueue().Register(e) }

// Unregister undoes Register.
func (f *File) Unregister(e *waiter.Entry) { f.group.ExitQueue().Unregister(e) }

// FDInfo is what /proc/PID/fdinfo adds.
func (f *File) FDInfo() string {
	root := f.group.Kernel().RootPIDNS()
	return fmt.Sprintf("Pid:\t%d\nNSpid:\t%d\n", f.group.ID(root), f.group.ID(f.group.PIDNS()))
}
