package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/ipc"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// System V IPC. Errors are those of the methods of sentry/ipc.Namespace, and
// EFAULT.
var sysvCalls = []Call{
	call3(sysno.Shmget, shmget, except("SHM_HUGETLB")),
	call3(sysno.Shmat, shmat, full),
	call1(sysno.Shmdt, shmdt, full),
	call3(sysno.Shmctl, shmctl, full),
	call3(sysno.Semget, semget, full),
	call3(sysno.Semop, semop, full),
	call4(sysno.Semtimedop, semtimedop, full),
	call4(sysno.Semctl, semctl, full),
	call2(sysno.Msgget, msgget, full),
	call4(sysno.Msgsnd, msgsnd, full),
	call5(sysno.Msgrcv, msgrcv, full),
	call3(sysno.Msgctl, msgctl, full),
}

// sysvKey is where the System V objects hang in an IPC namespace.
type sysvKey struct{}

// SysV is the System V part of an IPC namespace, for /proc/sysvipc.
func SysV(k *kernel.Kernel, ns *kernel.IPCNamespace) *ipc.Namespace {
	return ns.Slot(sysvKey{}, func() any { return ipc.New(k.World().NewAnonDev()) }).(*ipc.Namespace)
}

func sysv(t *kernel.Task) (*ipc.Namespace, ipc.By) {
	ns := SysV(t.Kernel(), t.Namespaces().IPC)
	return ns, ipc.By{Caller: t, PID: t.ThreadGroup().ID(t.PIDNS())}
}

// result turns what a method returned into what a call returns.
func result(v int32, err error) (uint64, error) { return uint64(v), err }

func shmget(t *kernel.Task, key int32, size uint64, flags int32) (uint64, error) {
	ns, by := sysv(t)
	return result(ns.Shmget(by, key, size, flags))
}

// shmat maps a segment.
//
// Errors: also EINVAL for an address that is not aligned or taken.
func shmat(t *kernel.Task, id int32, addr usermem.Addr, flags int32) (uint64, error) {
	o := mm.MapOpts{
		Prot: linux.PROT_READ | linux.PROT_WRITE, MaxProt: linux.PROT_READ | linux.PROT_WRITE | linux.PROT_EXEC,
		Flags: linux.MAP_SHARED,
	}
	if flags&linux.SHM_RDONLY != 0 {
		o.Prot, o.MaxProt = linux.PROT_READ, linux.PROT_READ|linux.PROT_EXEC
	}
	if flags&linux.SHM_EXEC != 0 {
		o.Prot |= linux.PROT_EXEC
	}
	if addr != 0 {
		if flags&linux.SHM_RND != 0 {
			addr = addr.PageDown()
		}
		if !addr.PageAligned() || addr == 0 {
			return 0, errno.EINVAL
		}
		o.Addr = addr
		o.Flags |= linux.MAP_FIXED_NOREPLACE
		if flags&linux.SHM_REMAP != 0 {
			o.Flags = o.Flags&^linux.MAP_FIXED_NOREPLACE | linux.MAP_FIXED
		}
	} else if flags&linux.SHM_REMAP != 0 {
		return 0, errno.EINVAL
	}
	ns, by := sysv(t)
	s, err := ns.Attach(by, id, flags)
	if err != nil {
		return 0, err
	}
	defer s.DecRef()
	o.File, o.FD, o.Length = s, s.FD(), s.Length()
	a, err := t.MM().Map(t.Thread(), o)
	if err == errno.EEXIST {
		err = errno.EINVAL
	}
	return uint64(a), err
}

// shmdt unmaps the segment whose start is at addr, as far as it is still
// mapped from there on.
//
// Errors: EINVAL if there is none.
func shmdt(t *kernel.Task, addr usermem.Addr) (uint64, error) {
	if !addr.PageAligned() {
		return 0, errno.EINVAL
	}
	var parts []mm.Region
	var s *ipc.Segment
	t.MM().ForEach(func(r mm.Region) bool {
		if r.Start < addr || r.Start-addr != usermem.Addr(r.Offset) || !r.Shared {
			return true
		}
		f, _, _ := t.MM().FileAt(r.Start)
		if f == nil {
			return true
		}
		seg, ok := f.(*ipc.Segment)
		if !ok || s != nil && seg != s {
			f.DecRef()
			return true
		}
		if s != nil {
			f.DecRef() // one is enough
		}
		s = seg
		parts = append(parts, r)
		return true
	})
	if s == nil {
		return 0, errno.EINVAL
	}
	defer s.DecRef()
	_, by := sysv(t)
	s.Detached(by)
	for _, r := range parts {
		if err := t.MM().Unmap(t.Thread(), r.Start, uint64(r.End-r.Start)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// findOf says how *_STAT commands name their object.
func findOf(cmd, byPlace, byPlaceAny int32) ipc.Find {
	switch cmd {
	case byPlace:
		return ipc.ByPlace
	case byPlaceAny:
		return ipc.ByPlaceAny
	}
	return ipc.ByID
}

// storeInfo finishes a command that stores a structure.
func storeInfo[T any](t *kernel.Task, buf usermem.Addr, v T, ret int32, err error) (uint64, error) {
	if err != nil {
		return 0, err
	}
	return uint64(ret), usermem.Ptr[T](buf).Store(t, v)
}

func shmctl(t *kernel.Task, id, cmd int32, buf usermem.Addr) (uint64, error) {
	ns, by := sysv(t)
	switch cmd &^= linux.IPC_64; cmd {
	case linux.IPC_STAT, linux.SHM_STAT, linux.SHM_STAT_ANY:
		d, ret, err := ns.ShmStat(by, id, findOf(cmd, linux.SHM_STAT, linux.SHM_STAT_ANY))
		return storeInfo(t, buf, d, ret, err)
	case linux.IPC_INFO:
		v, ret := ns.ShmLimits()
		return storeInfo(t, buf, v, ret, nil)
	case linux.SHM_INFO:
		v, ret := ns.ShmUsage()
		return storeInfo(t, buf, v, ret, nil)
	case linux.IPC_SET:
		d, err := usermem.Ptr[linux.ShmidDS](buf).Load(t)
		if err != nil {
			return 0, err
		}
		return 0, ns.ShmSet(by, id, d)
	case linux.IPC_RMID:
		return 0, ns.ShmRemove(by, id)
	case linux.SHM_LOCK, linux.SHM_UNLOCK:
		return 0, ns.ShmLock(by, id, cmd)
	}
	return 0, errno.EINVAL
}

func semget(t *kernel.Task, key, count, flags int32) (uint64, error) {
	ns, by := sysv(t)
	return result(ns.Semget(by, key, count, flags))
}

func semop(t *kernel.Task, id int32, ops usermem.Ptr[linux.Sembuf], n uint32) (uint64, error) {
	return doSemop(t, id, ops, n, waiter.Never)
}

func semtimedop(t *kernel.Task, id int32, ops usermem.Ptr[linux.Sembuf], n uint32, timeout usermem.Ptr[linux.Timespec]) (uint64, error) {
	d := waiter.Never
	if !timeout.IsNil() {
		ts, err := timeout.Load(t)
		if err != nil {
			return 0, err
		}
		if !ts.Valid() {
			return 0, errno.EINVAL
		}
		d = waiter.After(ts.Duration())
	}
	return doSemop(t, id, ops, n, d)
}

func doSemop(t *kernel.Task, id int32, ops usermem.Ptr[linux.Sembuf], n uint32, d waiter.Deadline) (uint64, error) {
	if n > linux.SEMOPM {
		return 0, errno.E2BIG
	}
	list, err := ops.LoadSlice(t, int(n))
	if err != nil {
		return 0, err
	}
	ns, by := sysv(t)
	undo := t.ThreadGroup().Attachment(ns, func() any { return ns.NewUndo(by.PID) }).(*ipc.Undo)
	return 0, ns.Semop(by, id, list, undo, d)
}

func semctl(t *kernel.Task, id, num, cmd int32, arg uint64) (uint64, error) {
	ns, by := sysv(t)
	buf := usermem.Addr(arg)
	switch cmd &^= linux.IPC_64; cmd {
	case linux.GETVAL, linux.GETPID, linux.GETNCNT, linux.GETZCNT:
		return result(ns.SemGet(by, id, num, cmd))
	case linux.SETVAL:
		return 0, ns.SemSetValue(by, id, num, int32(arg))
	case linux.GETALL:
		all, err := ns.SemGetAll(by, id)
		if err != nil {
			return 0, err
		}
		return 0, usermem.Ptr[uint16](buf).StoreSlice(t, all)
	case linux.SETALL:
		n, err := ns.SemCount(by, id)
		if err != nil {
			return 0, err
		}
		values, err := usermem.Ptr[uint16](buf).LoadSlice(t, n)
		if err != nil {
			return 0, err
		}
		return 0, ns.SemSetAll(by, id, values)
	case linux.IPC_STAT, linux.SEM_STAT, linux.SEM_STAT_ANY:
		d, ret, err := ns.SemStat(by, id, findOf(cmd, linux.SEM_STAT, linux.SEM_STAT_ANY))
		return storeInfo(t, buf, d, ret, err)
	case linux.IPC_INFO, linux.SEM_INFO:
		v, ret := ns.SemInfo(cmd)
		return storeInfo(t, buf, v, ret, nil)
	case linux.IPC_SET:
		d, err := usermem.Ptr[linux.SemidDS](buf).Load(t)
		if err != nil {
			return 0, err
		}
		return 0, ns.SemSet(by, id, d)
	case linux.IPC_RMID:
		return 0, ns.SemRemove(by, id)
	}
	return 0, errno.EINVAL
}

func msgget(t *kernel.Task, key, flags int32) (uint64, error) {
	ns, by := sysv(t)
	return result(ns.Msgget(by, key, flags))
}

// A message is a long, its type, and its text.
const messageHead = 8

func msgsnd(t *kernel.Task, id int32, msg usermem.Addr, size uint64, flags int32) (uint64, error) {
	if size > linux.MSGMAX || id < 0 {
		return 0, errno.EINVAL
	}
	kind, err := usermem.Ptr[int64](msg).Load(t)
	if err != nil {
		return 0, err
	}
	text, err := usermem.Ptr[byte](msg+messageHead).LoadSlice(t, int(size))
	if err != nil {
		return 0, err
	}
	ns, by := sysv(t)
	return 0, ns.Msgsnd(by, id, kind, text, flags)
}

func msgrcv(t *kernel.Task, id int32, msg usermem.Addr, size uint64, kind int64, flags int32) (uint64, error) {
	if int64(size) < 0 || id < 0 {
		return 0, errno.EINVAL
	}
	ns, by := sysv(t)
	got, text, err := ns.Msgrcv(by, id, size, kind, flags)
	if err != nil {
		return 0, err
	}
	if err := usermem.Ptr[int64](msg).Store(t, got); err != nil {
		return 0, err
	}
	return uint64(len(text)), usermem.Ptr[byte](msg+messageHead).StoreSlice(t, text)
}

func msgctl(t *kernel.Task, id, cmd int32, buf usermem.Addr) (uint64, error) {
	ns, by := sysv(t)
	switch cmd &^= linux.IPC_64; cmd {
	case linux.IPC_STAT, linux.MSG_STAT, linux.MSG_STAT_ANY:
		d, ret, err := ns.MsgStat(by, id, findOf(cmd, linux.MSG_STAT, linux.MSG_STAT_ANY))
		return storeInfo(t, buf, d, ret, err)
	case linux.IPC_INFO, linux.MSG_INFO:
		v, ret := ns.MsgInfo(cmd)
		return storeInfo(t, buf, v, ret, nil)
	case linux.IPC_SET:
		d, err := usermem.Ptr[linux.MsqidDS](buf).Load(t)
		if err != nil {
			return 0, err
		}
		return 0, ns.MsgSet(by, id, d)
	case linux.IPC_RMID:
		return 0, ns.MsgRemove(by, id)
	}
	return 0, errno.EINVAL
}
