// What package vfs does, tested over a tmpfs, which it cannot import itself.

package tmpfs_test

import (
	"math"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

func lock(kind int16, start, end int64, owner any) vfs.FileLock {
	return vfs.FileLock{Kind: kind, Start: start, End: end, PID: 1, Owner: owner}
}

func TestRangeLocks(t *testing.T) {
	e := newEnv(t)
	d := e.MustOpen("f", linux.O_RDWR|linux.O_CREAT, 0o600)
	set := func(l vfs.FileLock) error { return d.SetLock(e.C, l, vfs.LockNoWait) }
	want(t, set(lock(linux.F_WRLCK, 0, 99, "A")), 0, "A writes 0-99")
	want(t, set(lock(linux.F_RDLCK, 50, 60, "B")), errno.EAGAIN, "B reads 50-60")
	want(t, set(lock(linux.F_WRLCK, 100, 200, "B")), 0, "B writes 100-200")
	want(t, set(lock(linux.F_RDLCK, 0, 99, "A")), 0, "A weakens to reading")
	want(t, set(lock(linux.F_RDLCK, 50, 60, "B")), 0, "B reads 50-60")
	want(t, set(lock(linux.F_WRLCK, 40, 55, "A")), errno.EAGAIN, "A writes where B reads")
	want(t, set(lock(linux.F_UNLCK, 10, 19, "A")), 0, "A unlocks 10-19")
	if got := d.GetLock(lock(linux.F_WRLCK, 10, 19, "C")); got.Kind != linux.F_UNLCK {
		t.Errorf("the gap is locked by %v", got)
	}
	if got := d.GetLock(lock(linux.F_WRLCK, 15, 30, "C")); got.Owner != "A" || got.Start != 20 || got.End != 99 {
		t.Errorf("behind the gap: %+v", got)
	}
	d.ReleaseLocks("A")
	if got := d.GetLock(lock(linux.F_WRLCK, 0, 49, "C")); got.Kind != linux.F_UNLCK {
		t.Errorf("after A closed: %+v", got)
	}
	want(t, set(lock(linux.F_UNLCK, 0, math.MaxInt64, "B")), 0, "B unlocks all")
	if got := d.GetLock(lock(linux.F_WRLCK, 0, math.MaxInt64, "C")); got.Kind != linux.F_UNLCK {
		t.Errorf("left over: %+v", got)
	}
	r := e.MustOpen("f", linux.O_RDONLY, 0)
	want(t, r.SetLock(e.C, lock(linux.F_WRLCK, 0, 1, "A"), vfs.LockNoWait), errno.EBADF, "write lock on what is open for reading")
}

func TestRangeLockWaitsAndDeadlock(t *testing.T) {
	e := newEnv(t)
	d := e.MustOpen("f", linux.O_RDWR|linux.O_CREAT, 0o600)
	a, b := vfstest.NewContext(), vfstest.NewContext()
	want(t, d.SetLock(a, lock(linux.F_WRLCK, 0, 0, "A"), vfs.LockNoWait), 0, "A takes 0")
	want(t, d.SetLock(b, lock(linux.F_WRLCK, 1, 1, "B"), vfs.LockNoWait), 0, "B takes 1")
	done := make(chan error)
	go func() { done <- d.SetLock(b, lock(linux.F_WRLCK, 0, 0, "B"), vfs.LockBlocks) }()
	for b.Sleeps() == 0 {
		time.Sleep(time.Millisecond)
	}
	want(t, d.SetLock(a, lock(linux.F_WRLCK, 1, 1, "A"), vfs.LockBlocks), errno.EDEADLK, "A waits for B, which waits for A")
	want(t, d.SetLock(a, lock(linux.F_UNLCK, 0, 0, "A"), vfs.LockNoWait), 0, "A unlocks")
	want(t, <-done, 0, "B gets it")
	b2 := vfstest.NewContext()
	b2.Signal()
	want(t, d.SetLock(b2, lock(linux.F_WRLCK, 0, 0, "C"), vfs.LockBlocks), errno.ERESTARTSYS, "a signal")
}

func TestFlock(t *testing.T) {
	e := newEnv(t)
	d1 := e.MustOpen("f", linux.O_RDWR|linux.O_CREAT, 0o600)
	d2, err := e.Open("f", linux.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	want(t, d1.Flock(e.C, linux.LOCK_SH, vfs.LockNoWait), 0, "shared")
	want(t, d2.Flock(e.C, linux.LOCK_SH, vfs.LockNoWait), 0, "shared again")
	want(t, d1.Flock(e.C, linux.LOCK_EX, vfs.LockNoWait), errno.EAGAIN, "exclusive")
	c := vfstest.NewContext()
	done := make(chan error)
	go func() { done <- d1.Flock(c, linux.LOCK_EX, vfs.LockBlocks) }()
	for c.Sleeps() == 0 {
		time.Sleep(time.Millisecond)
	}
	d2.DecRef()
	want(t, <-done, 0, "exclusive when the other is closed")
	want(t, d1.SetLock(e.C, lock(linux.F_WRLCK, 0, 0, "A"), vfs.LockNoWait), 0, "a range lock beside it")
	want(t, d1.Flock(e.C, 77, vfs.LockNoWait), errno.EINVAL, "no such lock")
}

// events collects what a watch is told.
type events struct{ list []vfs.WatchEvent }

func (w *events) WatchEvent(e vfs.WatchEvent) { w.list = append(w.list, e) }

func TestWatchers(t *testing.T) {
	e := newEnv(t)
	dir, err := e.Lookup("a")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.DecRef()
	w := &events{}
	dir.Inode().Node().AddWatcher(w)
	e.WriteFile("a/f", "x")
	e.Mkdir("a/d", 0o755)
	e.Chmod("a/f", 0o600)
	e.Rename("a/f", "a/g", 0)
	e.Rename("a/g", "b/g", 0)
	e.Rmdir("a/d")
	dir.Inode().Node().RemoveWatcher(w)
	e.WriteFile("a/unseen", "")
	want := []struct {
		mask uint32
		name string
	}{
		{linux.IN_CREATE, "f"}, {linux.IN_OPEN, "f"}, {linux.IN_MODIFY, "f"}, {linux.IN_CLOSE_WRITE, "f"},
		{linux.IN_CREATE | linux.IN_ISDIR, "d"}, {linux.IN_ATTRIB, "f"},
		{linux.IN_MOVED_FROM, "f"}, {linux.IN_MOVED_TO, "g"}, {linux.IN_MOVED_FROM, "g"},
		{linux.IN_DELETE | linux.IN_ISDIR, "d"},
	}
	if len(w.list) != len(want) {
		t.Fatalf("%d events: %+v", len(w.list), w.list)
	}
	for i, x := range want {
		if w.list[i].Mask != x.mask || w.list[i].Name != x.name {
			t.Errorf("event %d: %+v, want %+v", i, w.list[i], x)
		}
	}
	if w.list[6].Cookie == 0 || w.list[6].Cookie != w.list[7].Cookie || w.list[7].Cookie == w.list[8].Cookie {
		t.Errorf("cookies %d %d %d", w.list[6].Cookie, w.list[7].Cookie, w.list[8].Cookie)
	}
}

func TestWatcherOfARemovedFile(t *testing.T) {
	e := newEnv(t)
	e.WriteFile("f", "")
	e.Link("f", "g")
	p, err := e.Lookup("f")
	if err != nil {
		t.Fatal(err)
	}
	defer p.DecRef()
	w := &events{}
	p.Inode().Node().AddWatcher(w)
	defer p.Inode().Node().RemoveWatcher(w)
	e.Unlink("g")
	e.Unlink("f")
	var masks []uint32
	for _, x := range w.list {
		masks = append(masks, x.Mask)
	}
	if len(masks) != 3 || masks[0] != linux.IN_ATTRIB || masks[1] != linux.IN_ATTRIB || masks[2] != linux.IN_DELETE_SELF {
		t.Errorf("events %x", masks)
	}
}
