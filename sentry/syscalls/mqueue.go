package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/clock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/mqueue"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// POSIX message queues.
var mqueueCalls = []Call{
	call4(sysno.MqOpen, mqOpen, full),
	call1(sysno.MqUnlink, mqUnlink, full),
	call5(sysno.MqTimedsend, mqTimedsend, full),
	call5(sysno.MqTimedreceive, mqTimedreceive, full),
	call2(sysno.MqNotify, mqNotify, except("SIGEV_THREAD")),
	call3(sysno.MqGetsetattr, mqGetsetattr, full),
}

type mqueueKey struct{}

func mqueues(t *kernel.Task) *mqueue.Namespace {
	return t.Namespaces().IPC.Slot(mqueueKey{}, func() any { return mqueue.NewNamespace() }).(*mqueue.Namespace)
}

// mqOpen opens a queue, and makes it with O_CREAT. The name comes without its
// slash.
//
// Errors: those of mqueue.Namespace.Open; EFAULT; EMFILE.
func mqOpen(t *kernel.Task, name usermem.Addr, flags linux.OpenFlags, mode linux.FileMode, attr usermem.Ptr[linux.MqAttr]) (uint64, error) {
	text, err := usermem.LoadString(t, name, linux.PATH_MAX, errno.ENAMETOOLONG)
	if err != nil {
		return 0, err
	}
	var a *mqueue.Attr
	if flags&linux.O_CREAT != 0 && !attr.IsNil() {
		v, err := attr.Load(t)
		if err != nil {
			return 0, err
		}
		a = &mqueue.Attr{Messages: v.MaxMsg, Size: v.MsgSize}
	}
	d, err := mqueues(t).Open(t, t.World(), text, flags, mode&^t.FS().Umask(), a)
	if err != nil {
		return 0, err
	}
	return installFD(t, d, fdtable.CloseOnExec) // always; see mq_open(3)
}

func mqUnlink(t *kernel.Task, name usermem.Addr) (uint64, error) {
	text, err := usermem.LoadString(t, name, linux.PATH_MAX, errno.ENAMETOOLONG)
	if err != nil {
		return 0, err
	}
	return 0, mqueues(t).Unlink(t, text)
}

// mqDeadline reads an absolute time of the wall clock: EINVAL, EFAULT.
func mqDeadline(t *kernel.Task, p usermem.Ptr[linux.Timespec]) (waiter.Deadline, error) {
	if p.IsNil() {
		return waiter.Never, nil
	}
	ts, err := p.Load(t)
	if err != nil {
		return waiter.Never, err
	}
	if !ts.Valid() {
		return waiter.Never, errno.EINVAL
	}
	return clock.Clock{ID: linux.CLOCK_REALTIME}.At(ts.Duration()), nil
}

// mqWait is waiter.Until for a queue that may be non-blocking.
func mqWait(t *kernel.Task, d *vfs.Description, want waiter.Events, deadline waiter.Deadline, try func() error) error {
	if d.Flags().NonBlock() {
		return try()
	}
	return waiter.Until(t, d, want, deadline, try)
}

// mqTimedsend sends a message.
//
// Errors: EBADF unless fd is a queue open for writing; EINVAL for the priority or
// time; EMSGSIZE; EAGAIN; ETIMEDOUT; EFAULT; EINTR.
func mqTimedsend(t *kernel.Task, fd linux.FD, p usermem.Addr, n uint64, priority uint32, timeout usermem.Ptr[linux.Timespec]) (uint64, error) {
	if priority >= linux.MQ_PRIO_MAX {
		return 0, errno.EINVAL
	}
	deadline, err := mqDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	d, f, err := fileOf[*mqueue.File](t, fd, errno.EBADF)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if !d.Writable() {
		return 0, errno.EBADF
	}
	if a, _ := f.Attr(); n > uint64(a.Size) {
		return 0, errno.EMSGSIZE
	}
	m := mqueue.Message{Priority: priority, Data: make([]byte, n)}
	if _, err := t.CopyIn(m.Data, p); err != nil {
		return 0, err
	}
	return 0, mqWait(t, d, waiter.Writable, deadline, func() error { return f.Send(t, m) })
}

// mqTimedreceive takes the oldest message of the highest priority and returns
// its length.
//
// Errors: EBADF unless fd is a queue open for reading; EMSGSIZE if the buffer is
// shorter than the longest message; EINVAL; EAGAIN; ETIMEDOUT; EFAULT; EINTR.
func mqTimedreceive(t *kernel.Task, fd linux.FD, p usermem.Addr, n uint64, priority usermem.Ptr[uint32], timeout usermem.Ptr[linux.Timespec]) (uint64, error) {
	deadline, err := mqDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	d, f, err := fileOf[*mqueue.File](t, fd, errno.EBADF)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if !d.Readable() {
		return 0, errno.EBADF
	}
	if a, _ := f.Attr(); n < uint64(a.Size) {
		return 0, errno.EMSGSIZE
	}
	var m mqueue.Message
	err = mqWait(t, d, waiter.Readable, deadline, func() (err error) {
		m, err = f.Receive()
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := priority.StoreIf(t, m.Priority); err != nil {
		return 0, err
	}
	_, err = t.CopyOut(p, m.Data)
	return uint64(len(m.Data)), err
}

// mqNotify asks for a signal when a message comes into the empty queue; a null
// pointer takes that back.
//
// Errors: EBADF; EINVAL for the signal or the way to notify; EBUSY; EFAULT.
func mqNotify(t *kernel.Task, fd linux.FD, p usermem.Ptr[linux.SigEvent]) (uint64, error) {
	var n mqueue.Notification
	if !p.IsNil() {
		e, err := p.Load(t)
		if err != nil {
			return 0, err
		}
		n = mqueue.Notification{Group: t.ThreadGroup(), Value: e.Value}
		switch e.Notify {
		case linux.SIGEV_NONE:
		case linux.SIGEV_SIGNAL:
			n.Signal = linux.Signal(e.Signo)
			if !n.Signal.Valid() {
				return 0, errno.EINVAL
			}
		default:
			return 0, errno.EINVAL
		}
	}
	d, f, err := fileOf[*mqueue.File](t, fd, errno.EBADF)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if p.IsNil() {
		f.Unnotify(t.ThreadGroup())
		return 0, nil
	}
	return 0, f.Notify(n)
}

// mqGetsetattr sets O_NONBLOCK and stores what the attributes were.
//
// Errors: EBADF; EINVAL for other flags; EFAULT.
func mqGetsetattr(t *kernel.Task, fd linux.FD, p, old usermem.Ptr[linux.MqAttr]) (uint64, error) {
	d, f, err := fileOf[*mqueue.File](t, fd, errno.EBADF)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	a, n := f.Attr()
	was := linux.MqAttr{Flags: int64(d.Flags() & linux.O_NONBLOCK), MaxMsg: a.Messages, MsgSize: a.Size, CurMsgs: int64(n)}
	if !p.IsNil() {
		v, err := p.Load(t)
		if err != nil {
			return 0, err
		}
		if v.Flags&^linux.O_NONBLOCK != 0 {
			return 0, errno.EINVAL
		}
		if err := d.SetStatusFlags(t, d.Flags()&^linux.O_NONBLOCK|linux.OpenFlags(v.Flags)); err != nil {
			return 0, err
		}
	}
	return 0, old.StoreIf(t, was)
}
