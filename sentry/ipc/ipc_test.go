package ipc

import (
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

var _ mm.File = (*Segment)(nil)

func root(pid int32) By { return By{vfstest.NewContext(), pid} }

func user(uid cred.KUID) By {
	c := &cred.Creds{UID: uid, EUID: uid, GID: cred.KGID(uid), EGID: cred.KGID(uid), UserNS: cred.NewRootUserNamespace()}
	return By{vfstest.NewContextAs(c), 1}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func want(t *testing.T, got, want error, what string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestIDsOfRemovedObjectsDoNotFitNewOnes(t *testing.T) {
	ns, by := New(0), root(1)
	a := must(ns.Msgget(by, linux.IPC_PRIVATE, 0o600))(t)
	want(t, ns.MsgRemove(by, a), nil, "remove")
	b := must(ns.Msgget(by, linux.IPC_PRIVATE, 0o600))(t)
	if a == b || a&placeMask != b&placeMask {
		t.Errorf("ids %#x and %#x", a, b)
	}
	want(t, ns.MsgRemove(by, a), errno.EINVAL, "remove again")
	want(t, ns.MsgRemove(by, -1), errno.EINVAL, "remove nonsense")
}

func TestKeysAndRights(t *testing.T) {
	ns := New(0)
	_, err := ns.Semget(user(7), 5, 1, 0o600)
	want(t, err, errno.ENOENT, "no such key")
	id := must(ns.Semget(user(7), 5, 1, linux.IPC_CREAT|0o600))(t)
	_, err = ns.Semget(user(7), 5, 1, linux.IPC_CREAT|linux.IPC_EXCL)
	want(t, err, errno.EEXIST, "exclusive")
	_, err = ns.Semget(user(7), 5, 2, 0o600)
	want(t, err, errno.EINVAL, "more semaphores than there are")
	_, err = ns.Semget(user(8), 5, 1, 0o600)
	want(t, err, errno.EACCES, "another user")
	_, err = ns.SemGet(user(8), id, 0, linux.GETVAL)
	want(t, err, errno.EACCES, "reading by another user")
	want(t, ns.SemRemove(user(8), id), errno.EPERM, "removing by another user")
	want(t, ns.SemSet(user(7), id, linux.SemidDS{Perm: linux.IPCPerm{UID: 8, GID: 8, Mode: 0o640}}), nil, "give away")
	want(t, ns.SemRemove(user(8), id), nil, "removing by the new owner")
}

func TestSegmentLivesAsLongAsItIsAttached(t *testing.T) {
	ns, by := New(0), root(1)
	id := must(ns.Shmget(by, 9, 5000, linux.IPC_CREAT|0o600))(t)
	s, err := ns.Attach(by, id, 0)
	want(t, err, nil, "attach")
	want(t, ns.ShmRemove(by, id), nil, "remove")
	_, err = ns.Shmget(by, 9, 5000, 0o600)
	want(t, err, errno.ENOENT, "its key")
	d, _, err := ns.ShmStat(by, id, ByID)
	want(t, err, nil, "stat")
	if d.NAttch != 1 || d.Segsz != 5000 || d.Perm.Mode&linux.SHM_DEST == 0 || s.Length() != 8192 {
		t.Errorf("%+v", d)
	}
	s.IncRef()
	s.DecRef()
	s.DecRef()
	_, err = ns.Attach(by, id, 0)
	want(t, err, errno.EINVAL, "attach what is gone")
	if s.fd.Number() >= 0 {
		t.Error("the host descriptor is still open")
	}
}

func TestOperationsAreAllOrNothing(t *testing.T) {
	ns, by := New(0), root(1)
	u := ns.NewUndo(1)
	id := must(ns.Semget(by, 0, 2, 0o600))(t)
	ops := []linux.Sembuf{{Num: 0, Op: 2}, {Num: 1, Op: -1, Flg: linux.IPC_NOWAIT}}
	want(t, ns.Semop(by, id, ops, u, waiter.Never), errno.EAGAIN, "second would block")
	if v := must(ns.SemGet(by, id, 0, linux.GETVAL))(t); v != 0 {
		t.Errorf("the first was done: %d", v)
	}
	// One operation may make room for the next on the same semaphore.
	ops = []linux.Sembuf{{Op: 2}, {Op: -2}, {Op: 0}, {Op: 1}}
	want(t, ns.Semop(by, id, ops, u, waiter.Never), nil, "up, down, zero, up")
	want(t, ns.Semop(by, id, []linux.Sembuf{{Op: linux.SEMVMX}}, u, waiter.Never), errno.ERANGE, "too large")
	want(t, ns.Semop(by, id, []linux.Sembuf{{Num: 2, Op: 1}}, u, waiter.Never), errno.EFBIG, "no such semaphore")
	want(t, ns.Semop(by, id, nil, u, waiter.Never), errno.EINVAL, "nothing to do")
	d := waiter.After(time.Millisecond)
	want(t, ns.Semop(by, id, []linux.Sembuf{{Op: -5}}, u, d), errno.EAGAIN, "too late")
	if v := must(ns.SemGet(by, id, 0, linux.GETNCNT))(t); v != 0 {
		t.Errorf("%d still wait", v)
	}
}

func TestUndo(t *testing.T) {
	ns, by := New(0), root(1)
	u, other := ns.NewUndo(1), ns.NewUndo(2)
	id := must(ns.Semget(by, 0, 1, 0o600))(t)
	up := []linux.Sembuf{{Op: 3, Flg: linux.SEM_UNDO}}
	want(t, ns.Semop(by, id, up, u, waiter.Never), nil, "up")
	want(t, ns.Semop(by, id, up, other, waiter.Never), nil, "up by another")
	u.ProcessEnded()
	if v := must(ns.SemGet(by, id, 0, linux.GETVAL))(t); v != 3 {
		t.Errorf("after one process the value is %d", v)
	}
	want(t, ns.SemSetValue(by, id, 0, 1), nil, "set")
	other.ProcessEnded()
	if v := must(ns.SemGet(by, id, 0, linux.GETVAL))(t); v != 1 {
		t.Errorf("SETVAL did not clear what is to be undone: %d", v)
	}
}

func TestRemovalWakesWaiters(t *testing.T) {
	ns, by := New(0), root(1)
	sem := must(ns.Semget(by, 0, 1, 0o600))(t)
	msg := must(ns.Msgget(by, 0, 0o600))(t)
	got := make(chan error, 2)
	go func() {
		got <- ns.Semop(root(2), sem, []linux.Sembuf{{Op: -1}}, ns.NewUndo(2), waiter.Never)
	}()
	go func() {
		_, _, err := ns.Msgrcv(root(3), msg, 10, 0, 0)
		got <- err
	}()
	for must(ns.SemGet(by, sem, 0, linux.GETNCNT))(t) == 0 {
		time.Sleep(time.Millisecond)
	}
	want(t, ns.SemRemove(by, sem), nil, "remove the set")
	want(t, <-got, errno.EIDRM, "a waiter of the set")
	want(t, ns.MsgRemove(by, msg), nil, "remove the queue")
	if err := <-got; err != errno.EIDRM && err != errno.EINVAL { // EINVAL if it was slow to start
		t.Errorf("a waiter of the queue: %v", err)
	}
}

func TestMessagesAreChosenByType(t *testing.T) {
	ns, by := New(0), root(1)
	id := must(ns.Msgget(by, 0, 0o600))(t)
	for i, kind := range []int64{5, 3, 9, 3} {
		want(t, ns.Msgsnd(by, id, kind, []byte{byte(i)}, 0), nil, "send")
	}
	receive := func(kind int64, flags int32, index byte) {
		t.Helper()
		_, text, err := ns.Msgrcv(by, id, 10, kind, flags|linux.IPC_NOWAIT)
		if err != nil || text[0] != index {
			t.Errorf("type %d, flags %#x: %v, %v; want message %d", kind, flags, text, err, index)
		}
	}
	receive(2, linux.MSG_COPY, 2)
	receive(-4, 0, 1)
	receive(5, linux.MSG_EXCEPT, 2)
	receive(-1<<63, 0, 3)
	receive(0, 0, 0)
	_, _, err := ns.Msgrcv(by, id, 10, 0, linux.IPC_NOWAIT)
	want(t, err, errno.ENOMSG, "empty")
}

func TestQueueFills(t *testing.T) {
	ns, by := New(0), root(1)
	id := must(ns.Msgget(by, 0, 0o600))(t)
	text := make([]byte, linux.MSGMAX)
	for range linux.MSGMNB / linux.MSGMAX {
		want(t, ns.Msgsnd(by, id, 1, text, linux.IPC_NOWAIT), nil, "send")
	}
	want(t, ns.Msgsnd(by, id, 1, []byte("x"), linux.IPC_NOWAIT), errno.EAGAIN, "full")
	want(t, ns.Msgsnd(by, id, 1, make([]byte, linux.MSGMAX+1), 0), errno.EINVAL, "too long")
	want(t, ns.Msgsnd(by, id, 0, nil, 0), errno.EINVAL, "no type")
	want(t, ns.MsgSet(user(0), id, linux.MsqidDS{QBytes: 1 << 20}), errno.EPERM, "a larger queue without the right")
	want(t, ns.MsgSet(by, id, linux.MsqidDS{QBytes: 1 << 20, Perm: linux.IPCPerm{Mode: 0o600}}), nil, "a larger queue")
	want(t, ns.Msgsnd(by, id, 1, text, linux.IPC_NOWAIT), nil, "send again")
}

func TestTables(t *testing.T) {
	ns, by := New(0), root(7)
	must(ns.Msgget(by, 0x11, 0o640|linux.IPC_CREAT))(t)
	must(ns.Semget(by, linux.IPC_PRIVATE, 3, 0o600))(t)
	u := by.Creds().UserNS
	for kind, want := range map[string]string{
		"msg": "        17          0   640           0          0     0     0     0     0     0     0          0          0 ",
		"sem": "         0          0   600          3     0     0     0     0          0 ",
		"shm": "",
	} {
		if got := string(Tables[kind](ns, u)); !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}
