// Package signalfd is signalfd(2): a file from which pending signals are read.
//
// A File has a set of signals and no state beside it: what can be read are the
// pending signals of whoever reads, as on Linux. For poll and epoll the process
// that made the file is asked.
//
// Locks: none of its own. Cost: a look at two sets of pending signals.
package signalfd

import (
	"fmt"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// File is a signalfd.
type File struct {
	owner *kernel.Task // who made it
	mask  atomic.Uint64
}

// New opens a signalfd for t. Flags may hold O_NONBLOCK.
func New(w *vfs.World, t *kernel.Task, mask linux.SignalSet, flags linux.OpenFlags) *vfs.Description {
	f := &File{owner: t}
	f.mask.Store(uint64(mask))
	inode := vfs.NewAnonInode(w, 0o600, t.Creds())
	return vfs.NewAnon(w, inode, "anon_inode:[signalfd]", f, linux.O_RDWR|flags, t.Creds())
}

// SetMask changes which signals are read.
func (f *File) SetMask(mask linux.SignalSet) {
	f.mask.Store(uint64(mask))
	f.owner.ThreadGroup().SignalArrivals().Notify(waiter.Readable)
}

func (f *File) set() linux.SignalSet { return linux.SignalSet(f.mask.Load()) }

// Release implements vfs.File.
func (f *File) Release() {}

// reader is the task whose signals count: the caller.
func (f *File) reader(c vfs.Context) *kernel.Task {
	if t, ok := c.(*kernel.Task); ok {
		return t
	}
	return f.owner
}

// Read takes as many pending signals as there is room for. EAGAIN if there are
// none, EINVAL if there is no room for one.
func (f *File) Read(c vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	t := f.reader(c)
	size := int64(len(usermem.Bytes(&linux.SignalfdSiginfo{})))
	if dst.Len() < size {
		return 0, errno.EINVAL
	}
	var done int64
	for dst.Len() >= size {
		info, ok := t.TakeSignal(f.set())
		if !ok {
			break
		}
		out := describe(&info)
		n, err := dst.Fill(usermem.Bytes(&out))
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
	if done == 0 {
		return 0, errno.EAGAIN
	}
	return done, nil
}

// describe is a signal as signalfd(2) lays it out.
func describe(i *linux.SigInfo) linux.SignalfdSiginfo {
	out := linux.SignalfdSiginfo{Signo: uint32(i.Signo), Errno: i.Errno, Code: i.Code}
	switch {
	case i.Code == linux.SI_TIMER:
		out.TID, out.Overrun = uint32(i.TimerID()), uint32(i.Overrun())
		out.Ptr, out.Int = i.Value(), int32(i.Value())
	case i.Code == linux.SI_QUEUE || i.Code == linux.SI_MESGQ:
		out.PID, out.UID = uint32(i.PID()), i.UID()
		out.Ptr, out.Int = i.Value(), int32(i.Value())
	case i.Code <= 0:
		out.PID, out.UID = uint32(i.PID()), i.UID()
	case linux.Signal(i.Signo) == linux.SIGCHLD:
		out.PID, out.UID, out.Status = uint32(i.PID()), i.UID(), i.Status()
		out.Utime, out.Stime = uint64(i.Utime()), uint64(i.Stime())
	case linux.Signal(i.Signo) == linux.SIGIO:
		out.Band, out.FD = uint32(i.Band()), int32(i.FD())
	case i.Code == linux.SI_KERNEL:
	default:
		out.Addr = i.Addr()
	}
	return out
}

// Ready implements waiter.Waitable.
func (f *File) Ready(want waiter.Events) waiter.Events {
	if !f.owner.HasSignal(f.set()) {
		return 0
	}
	return want & waiter.In
}

// Register implements waiter.Waitable.
func (f *File) Register(e *waiter.Entry) { f.owner.ThreadGroup().SignalArrivals().Register(e) }

// Unregister implements waiter.Waitable.
func (f *File) Unregister(e *waiter.Entry) { f.owner.ThreadGroup().SignalArrivals().Unregister(e) }

// FDInfo is for /proc/PID/fdinfo.
func (f *File) FDInfo() string { return fmt.Sprintf("sigmask:\t%016x\n", f.mask.Load()) }
