package syscalls

import (
	"math"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/epoll"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// epoll(7).
var epollCalls = []Call{
	call1(sysno.EpollCreate, epollCreate, full),
	call1(sysno.EpollCreate1, epollCreate1, full),
	call4(sysno.EpollCtl, epollCtl, full),
	call4(sysno.EpollWait, epollWait, full),
	call6(sysno.EpollPwait, epollPwait, full),
	call6(sysno.EpollPwait2, epollPwait2, full),
}

// epollCreate ignores the size, which only must not be 0.
func epollCreate(t *kernel.Task, size int32) (uint64, error) {
	if size <= 0 {
		return 0, errno.EINVAL
	}
	return epollCreate1(t, 0)
}

func epollCreate1(t *kernel.Task, flags linux.OpenFlags) (uint64, error) {
	if flags&^linux.EPOLL_CLOEXEC != 0 {
		return 0, errno.EINVAL
	}
	return installFD(t, epoll.New(t.World(), t.Creds(), 0), fdtable.FlagsOf(flags))
}

// epollCtl changes what an instance watches.
//
// Errors: EFAULT; EBADF; EINVAL if epfd is no instance or fd is itself, or for
// an unknown operation; those of epoll.Instance.
func epollCtl(t *kernel.Task, epfd linux.FD, op int32, fd linux.FD, p usermem.Ptr[linux.EpollEvent]) (uint64, error) {
	var ev linux.EpollEvent
	if op != linux.EPOLL_CTL_DEL {
		var err error
		if ev, err = p.Load(t); err != nil {
			return 0, err
		}
	}
	epd, err := t.FDs().Get(epfd)
	if err != nil {
		return 0, err
	}
	defer epd.DecRef()
	d, err := t.FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if !d.Waitable() {
		return 0, errno.EPERM
	}
	ep, ok := epd.File().(*epoll.Instance)
	if !ok || d == epd {
		return 0, errno.EINVAL
	}
	switch op {
	case linux.EPOLL_CTL_ADD:
		return 0, ep.Add(d, fd, ev)
	case linux.EPOLL_CTL_MOD:
		return 0, ep.Modify(d, fd, ev)
	case linux.EPOLL_CTL_DEL:
		return 0, ep.Remove(d, fd)
	}
	return 0, errno.EINVAL
}

// epollWait waits for events; a timeout below zero is forever.
//
// Errors: EINVAL for a bad count, or if epfd is no instance; EBADF; EFAULT;
// EINTR, also where SA_RESTART is set.
func epollWait(t *kernel.Task, epfd linux.FD, p usermem.Ptr[linux.EpollEvent], n, timeoutMS int32) (uint64, error) {
	return doEpollWait(t, epfd, p, n, millisecondDeadline(timeoutMS))
}

func millisecondDeadline(ms int32) waiter.Deadline {
	if ms < 0 {
		return waiter.Never
	}
	return waiter.After(time.Duration(ms) * time.Millisecond)
}

// epollPwait is epoll_wait under another signal mask.
func epollPwait(t *kernel.Task, epfd linux.FD, p usermem.Ptr[linux.EpollEvent], n, timeoutMS int32, mask usermem.Ptr[linux.SignalSet], size uint64) (uint64, error) {
	if err := setPollMask(t, mask, size); err != nil {
		return 0, err
	}
	return maskedResult(t)(doEpollWait(t, epfd, p, n, millisecondDeadline(timeoutMS)))
}

// epollPwait2 is epoll_pwait with a timeout in nanoseconds.
func epollPwait2(t *kernel.Task, epfd linux.FD, p usermem.Ptr[linux.EpollEvent], n int32, timeout usermem.Ptr[linux.Timespec], mask usermem.Ptr[linux.SignalSet], size uint64) (uint64, error) {
	d, err := relativeDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	if err := setPollMask(t, mask, size); err != nil {
		return 0, err
	}
	return maskedResult(t)(doEpollWait(t, epfd, p, n, d))
}

// maskedResult brings the signal mask back unless a signal ended the call: then
// its handler has to run under the call's mask.
func maskedResult(t *kernel.Task) func(uint64, error) (uint64, error) {
	return func(n uint64, err error) (uint64, error) {
		if err != errno.EINTR {
			t.RestoreMask()
		}
		return n, err
	}
}

// maxEpollEvents is how many events fit into the largest buffer.
const maxEpollEvents = math.MaxInt32 / 12

func doEpollWait(t *kernel.Task, epfd linux.FD, p usermem.Ptr[linux.EpollEvent], n int32, d waiter.Deadline) (uint64, error) {
	if n <= 0 || n > maxEpollEvents {
		return 0, errno.EINVAL
	}
	desc, ep, err := fileOf[*epoll.Instance](t, epfd, errno.EINVAL)
	if err != nil {
		return 0, err
	}
	defer desc.DecRef()
	var events []epoll.Event
	if !d.IsNever() && !d.At.After(time.Now()) {
		events = ep.Collect(int(n))
	} else if events, err = ep.Wait(t, int(n), d); err == errno.ETIMEDOUT {
		return 0, nil
	} else if err != nil {
		return 0, errno.EINTR
	}
	out := make([]linux.EpollEvent, len(events))
	for i := range events {
		out[i] = events[i].EpollEvent
	}
	if err := p.StoreSlice(t, out); err != nil {
		ep.PutBack(events)
		return 0, err
	}
	return uint64(len(out)), nil
}
