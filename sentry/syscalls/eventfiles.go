package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/eventfd"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/signalfd"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/timerfd"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Files that stand for events: eventfd(2), timerfd_create(2), signalfd(2).
var eventFileCalls = []Call{
	call1(sysno.Eventfd, eventfdCall, full),
	call2(sysno.Eventfd2, eventfd2, full),
	call2(sysno.TimerfdCreate, timerfdCreate, full),
	call4(sysno.TimerfdSettime, timerfdSettime, except("TFD_TIMER_CANCEL_ON_SET")),
	call2(sysno.TimerfdGettime, timerfdGettime, full),
	call3(sysno.Signalfd, signalfdCall, full),
	call4(sysno.Signalfd4, signalfd4, full),
}

func eventfdCall(t *kernel.Task, initial uint32) (uint64, error) {
	return eventfd2(t, initial, 0)
}

// eventfd2 opens a counter. EINVAL for unknown flags; EMFILE.
func eventfd2(t *kernel.Task, initial uint32, flags linux.OpenFlags) (uint64, error) {
	if flags&^(linux.EFD_CLOEXEC|linux.EFD_NONBLOCK|linux.EFD_SEMAPHORE) != 0 {
		return 0, errno.EINVAL
	}
	mode := eventfd.Counter
	if flags&linux.EFD_SEMAPHORE != 0 {
		mode = eventfd.Semaphore
	}
	d := eventfd.New(t.World(), t.Creds(), initial, mode, flags&linux.O_NONBLOCK)
	return installFD(t, d, fdtable.FlagsOf(flags))
}

// timerfdCreate opens a timer. EINVAL for the clock or unknown flags; EMFILE.
func timerfdCreate(t *kernel.Task, id linux.ClockID, flags linux.OpenFlags) (uint64, error) {
	if flags&^(linux.TFD_CLOEXEC|linux.TFD_NONBLOCK) != 0 {
		return 0, errno.EINVAL
	}
	d, err := timerfd.New(t.World(), t.Creds(), t.Kernel().Timers(), id, flags&linux.O_NONBLOCK)
	if err != nil {
		return 0, err
	}
	return installFD(t, d, fdtable.FlagsOf(flags))
}

// timerfdSettime arms or disarms the timer.
//
// Errors: EBADF; EINVAL for another file, unknown flags or a bad time; EFAULT.
func timerfdSettime(t *kernel.Task, fd linux.FD, flags uint32, p, old usermem.Ptr[linux.Itimerspec]) (uint64, error) {
	if flags&^(linux.TFD_TIMER_ABSTIME|linux.TFD_TIMER_CANCEL_ON_SET) != 0 {
		return 0, errno.EINVAL
	}
	s, err := setting(t, p)
	if err != nil {
		return 0, err
	}
	d, f, err := fileOf[*timerfd.File](t, fd, errno.EINVAL)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	was := f.Set(s, timerOrigin(flags&linux.TFD_TIMER_ABSTIME != 0), flags)
	return 0, old.StoreIf(t, itimerspec(was))
}

func timerfdGettime(t *kernel.Task, fd linux.FD, p usermem.Ptr[linux.Itimerspec]) (uint64, error) {
	d, f, err := fileOf[*timerfd.File](t, fd, errno.EINVAL)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return 0, p.Store(t, itimerspec(f.Left()))
}

func signalfdCall(t *kernel.Task, fd linux.FD, mask usermem.Ptr[linux.SignalSet], size uint64) (uint64, error) {
	return signalfd4(t, fd, mask, size, 0)
}

// signalfd4 opens a file that reads signals, or with fd != -1 changes which.
//
// Errors: EINVAL for unknown flags, a bad size or another file; EBADF; EFAULT;
// EMFILE.
func signalfd4(t *kernel.Task, fd linux.FD, mask usermem.Ptr[linux.SignalSet], size uint64, flags linux.OpenFlags) (uint64, error) {
	if err := checkSetSize(size); err != nil {
		return 0, err
	}
	if flags&^(linux.O_CLOEXEC|linux.O_NONBLOCK) != 0 {
		return 0, errno.EINVAL
	}
	set, err := mask.Load(t)
	if err != nil {
		return 0, err
	}
	set &^= linux.Unblockable
	if fd == -1 {
		d := signalfd.New(t.World(), t, set, flags&linux.O_NONBLOCK)
		return installFD(t, d, fdtable.FlagsOf(flags))
	}
	d, f, err := fileOf[*signalfd.File](t, fd, errno.EINVAL)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	f.SetMask(set)
	return uint64(fd), nil
}
