package mqueue

import (
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

type rig struct {
	t  *testing.T
	w  *vfs.World
	ns *Namespace
	c  *vfstest.Context
}

func newRig(t *testing.T) rig {
	return rig{t, vfs.NewWorld(), NewNamespace(), vfstest.NewContext()}
}

func (r rig) open(name string, flags linux.OpenFlags, a *Attr, want error) *File {
	r.t.Helper()
	d, err := r.ns.Open(r.c, r.w, name, flags, 0o600, a)
	if err != want {
		r.t.Fatalf("open %q: %v, want %v", name, err, want)
	}
	if err != nil {
		return nil
	}
	return d.File().(*File)
}

const create = linux.O_CREAT | linux.O_RDWR

func TestOrderAndRoom(t *testing.T) {
	r := newRig(t)
	f := r.open("q", create, &Attr{3, 8}, nil)
	if ev := f.Ready(waiter.All); ev != waiter.Writable {
		t.Errorf("empty: %#x", ev)
	}
	for _, m := range []Message{{1, []byte("a")}, {5, []byte("b")}, {1, []byte("c")}} {
		if err := f.Send(nil, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Send(nil, Message{9, nil}); err != errno.EAGAIN {
		t.Errorf("full: %v", err)
	}
	if ev := f.Ready(waiter.All); ev != waiter.Readable {
		t.Errorf("full: %#x", ev)
	}
	got := ""
	for range 3 {
		m, err := f.Receive()
		if err != nil {
			t.Fatal(err)
		}
		got += string(m.Data)
	}
	if got != "bac" {
		t.Errorf("order %q", got)
	}
	if _, err := f.Receive(); err != errno.EAGAIN {
		t.Errorf("empty: %v", err)
	}
}

func TestNames(t *testing.T) {
	r := newRig(t)
	r.open("q", linux.O_RDWR, nil, errno.ENOENT)
	r.open("", create, nil, errno.ENOENT)
	r.open("a/b", create, nil, errno.EACCES)
	r.open("..", create, nil, errno.EACCES)
	r.open(strings.Repeat("x", 256), create, nil, errno.ENAMETOOLONG)
	r.open("q", create, &Attr{0, 8}, errno.EINVAL)
	r.open("q", create, &Attr{hardMessages + 1, 8}, errno.EINVAL)
	f := r.open("q", create, nil, nil)
	if a, n := f.Attr(); a != (Attr{DefaultMessages, DefaultSize}) || n != 0 {
		t.Errorf("defaults: %v, %d", a, n)
	}
	r.open("q", create|linux.O_EXCL, nil, errno.EEXIST)
	if err := r.ns.Unlink(r.c, "q"); err != nil {
		t.Error(err)
	}
	if err := r.ns.Unlink(r.c, "q"); err != errno.ENOENT {
		t.Errorf("again: %v", err)
	}
	if err := f.Send(nil, Message{}); err != nil {
		t.Errorf("an open queue without a name: %v", err)
	}
}

func TestRights(t *testing.T) {
	r := newRig(t)
	r.open("q", create, nil, nil)
	r.c = vfstest.NewContextAs(&cred.Creds{UID: 5, EUID: 5, FSUID: 5, GID: 5, FSGID: 5, UserNS: r.c.Creds().UserNS})
	r.open("q", linux.O_RDONLY, nil, errno.EACCES)
	r.open("mine", create, &Attr{maxMessages + 1, 8}, errno.EINVAL)
	r.open("mine", create, nil, nil)
	if err := r.ns.Unlink(r.c, "q"); err != errno.EPERM {
		t.Errorf("another's: %v", err)
	}
	if err := r.ns.Unlink(r.c, "mine"); err != nil {
		t.Error(err)
	}
}
