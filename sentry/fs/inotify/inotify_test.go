package inotify

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

type rig struct {
	t  *testing.T
	w  *vfs.World
	c  *vfstest.Context
	d  *vfs.Description
	in *Instance
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, w: vfs.NewWorld(), c: vfstest.NewContext()}
	r.d = New(r.w, r.c.Creds(), 0)
	r.in = r.d.File().(*Instance)
	return r
}

func (r *rig) file() vfs.Path {
	return r.w.AnonPath(vfs.NewAnonInode(r.w, linux.S_IFREG|0o600, r.c.Creds()), "file")
}

func (r *rig) add(p vfs.Path, mask uint32, want int32, wantErr error) {
	r.t.Helper()
	p.IncRef()
	wd, err := r.in.Add(p, mask)
	if wd != want || err != wantErr {
		r.t.Errorf("add: %d, %v; want %d, %v", wd, err, want, wantErr)
	}
}

func (r *rig) read(size int) ([]event, error) {
	b := make([]byte, size)
	n, err := r.d.Read(r.c, usermem.OwnBuffer(b), vfs.CurrentOffset, vfs.NoWait)
	var out []event
	for b = b[:n]; len(b) > 0; {
		e := event{wd: int32(binary.LittleEndian.Uint32(b)), mask: binary.LittleEndian.Uint32(b[4:]), cookie: binary.LittleEndian.Uint32(b[8:])}
		l := binary.LittleEndian.Uint32(b[12:])
		e.name = strings.TrimRight(string(b[16:16+l]), "\x00")
		b = b[16+l:]
		out = append(out, e)
	}
	return out, err
}

func (r *rig) gets(want ...event) {
	r.t.Helper()
	got, err := r.read(4096)
	if len(want) == 0 && err != errno.EAGAIN {
		r.t.Errorf("read: %v, %v; want EAGAIN", got, err)
	}
	if len(got) != len(want) {
		r.t.Errorf("read: %v, want %v", got, want)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			r.t.Errorf("event %d: %v, want %v", i, got[i], want[i])
		}
	}
}

func tell(p vfs.Path, e vfs.WatchEvent) { p.Inode().Node().Notify(e) }

func TestEventsAndMasks(t *testing.T) {
	r := newRig(t)
	p := r.file()
	r.add(p, linux.IN_CREATE|linux.IN_MODIFY, 1, nil)
	r.gets()
	tell(p, vfs.WatchEvent{Mask: linux.IN_MODIFY})
	tell(p, vfs.WatchEvent{Mask: linux.IN_MODIFY}) // merges
	tell(p, vfs.WatchEvent{Mask: linux.IN_ACCESS})
	tell(p, vfs.WatchEvent{Mask: linux.IN_CREATE | linux.IN_ISDIR, Name: "a name of more than 16", Cookie: 7})
	if ev := r.d.Ready(waiter.All); ev != waiter.Readable {
		t.Errorf("ready: %#x", ev)
	}
	if _, err := r.read(15); err != errno.EINVAL {
		t.Errorf("short read: %v", err)
	}
	if got, _ := r.read(20); len(got) != 1 || got[0] != (event{wd: 1, mask: linux.IN_MODIFY}) {
		t.Errorf("first event: %v", got)
	}
	r.gets(event{1, linux.IN_CREATE | linux.IN_ISDIR, 7, "a name of more than 16"})

	r.add(p, linux.IN_MASK_CREATE|linux.IN_OPEN, 0, errno.EEXIST)
	r.add(p, linux.IN_MASK_ADD|linux.IN_OPEN, 1, nil)
	tell(p, vfs.WatchEvent{Mask: linux.IN_MODIFY})
	tell(p, vfs.WatchEvent{Mask: linux.IN_OPEN})
	r.gets(event{wd: 1, mask: linux.IN_MODIFY}, event{wd: 1, mask: linux.IN_OPEN})
	r.add(p, linux.IN_OPEN, 1, nil)
	tell(p, vfs.WatchEvent{Mask: linux.IN_MODIFY})
	r.gets()
}

func TestWatchesEnd(t *testing.T) {
	r := newRig(t)
	p, q, o := r.file(), r.file(), r.file()
	r.add(p, linux.IN_OPEN, 1, nil)
	r.add(q, linux.IN_OPEN, 2, nil)
	r.add(o, linux.IN_OPEN|linux.IN_ONESHOT, 3, nil)
	tell(p, vfs.WatchEvent{Mask: linux.IN_DELETE_SELF}) // not asked for, but it ends
	r.gets(event{wd: 1, mask: linux.IN_IGNORED})
	if err := r.in.Remove(2); err != nil {
		t.Error(err)
	}
	if err := r.in.Remove(2); err != errno.EINVAL {
		t.Errorf("again: %v", err)
	}
	r.gets(event{wd: 2, mask: linux.IN_IGNORED})
	tell(o, vfs.WatchEvent{Mask: linux.IN_OPEN})
	tell(o, vfs.WatchEvent{Mask: linux.IN_OPEN})
	r.gets(event{wd: 3, mask: linux.IN_OPEN}, event{wd: 3, mask: linux.IN_IGNORED})
	for _, x := range []vfs.Path{p, q, o} {
		if x.Inode().Node().Watched() {
			t.Error("a watch is left")
		}
	}
	r.add(p, linux.IN_OPEN, 4, nil)
	r.d.DecRef()
	if p.Inode().Node().Watched() {
		t.Error("a watch outlives its instance")
	}
}

func TestOverflow(t *testing.T) {
	r := newRig(t)
	p := r.file()
	r.add(p, linux.IN_ALL_EVENTS, 1, nil)
	for i := range MaxQueued + 100 {
		tell(p, vfs.WatchEvent{Mask: linux.IN_CREATE, Cookie: uint32(i)})
	}
	if n := len(r.in.events); n != MaxQueued+1 {
		t.Errorf("%d events queued", n)
	}
	if e := r.in.events[MaxQueued]; e != (event{wd: -1, mask: linux.IN_Q_OVERFLOW}) {
		t.Errorf("last event: %v", e)
	}
}
