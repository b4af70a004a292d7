package server_test

import (
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
)

// TestEveryOperationUnderTheFilter asks a server that dies of the first host
// call which is not on its list.
func TestEveryOperationUnderTheFilter(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes threads with calls that no process of ours makes")
	}
	dir := t.TempDir()
	write(t, dir+"/d/file", "x")
	c := spawn(t, dir, filtered)
	uid, gid := me()
	make := func(name string) *proto.Make {
		return &proto.Make{Dir: proto.RootNode, Name: name, Mode: 0o644, UID: uid, GID: gid, Access: proto.OpenReadWrite, Target: "t"}
	}
	fifo := make("fifo")
	fifo.Mode |= proto.TypeFIFO
	w, fd, err := c.Walk(&proto.Walk{From: proto.RootNode, Names: []string{"d", "file"}, Open: proto.OpenRead})
	if err != nil || fd < 0 {
		t.Fatalf("walk: %+v, descriptor %d, %v", w, fd, err)
	}
	unix.Close(fd)
	file := w.Steps[1].Node

	closing := func(fd int, err error) error {
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	for _, step := range []struct {
		what string
		ask  func() error
	}{
		{"stat", func() error { _, err := c.Stat(file); return err }},
		{"setattr", func() error {
			_, err := c.SetAttr(&proto.SetAttr{Node: file, UID: uid, GID: gid, Mode: 0o600, Size: 1,
				Set: proto.SetMode | proto.SetUID | proto.SetGID | proto.SetSize | proto.SetMtime})
			return err
		}},
		{"open", func() error {
			fd, _, err := c.Open(&proto.Open{Node: file, Access: proto.OpenReadWrite})
			return closing(fd, err)
		}},
		{"create", func() error { fd, _, err := c.Create(make("new")); return closing(fd, err) }},
		{"tempfile", func() error { fd, _, err := c.TempFile(make("")); return closing(fd, err) }},
		{"mkdir", func() error { _, err := c.Mkdir(make("dir")); return err }},
		{"mknod", func() error { _, err := c.Mknod(fifo); return err }},
		{"symlink", func() error { _, err := c.Symlink(make("link")); return err }},
		{"readlink", func() error {
			w, _, err := c.Walk(&proto.Walk{From: proto.RootNode, Names: []string{"link"}})
			if err == nil {
				_, err = c.Readlink(w.Steps[0].Node)
			}
			return err
		}},
		{"link", func() error {
			_, err := c.Link(&proto.Link{Node: file, Dir: proto.RootNode, Name: "second"})
			return err
		}},
		{"rename", func() error {
			return c.Rename(&proto.Rename{OldDir: 1, OldName: "second", NewDir: 1, NewName: "third"})
		}},
		{"unlink", func() error { _, err := c.Unlink(&proto.Entry{Dir: 1, Name: "third"}); return err }},
		{"rmdir", func() error { _, err := c.Rmdir(&proto.Entry{Dir: 1, Name: "dir"}); return err }},
		{"readdir", func() error { _, err := c.ReadDir(&proto.ReadDir{Node: 1}); return err }},
		{"setxattr", func() error { return c.SetXattr(&proto.Xattr{Node: file, Name: "user.x"}) }},
		{"getxattr", func() error { _, err := c.GetXattr(file, "user.x"); return err }},
		{"listxattr", func() error { _, err := c.ListXattr(file); return err }},
		{"removexattr", func() error { return c.RemoveXattr(file, "user.x") }},
		{"statfs", func() error { _, err := c.StatFS(1); return err }},
		{"sync", func() error { return c.Sync(&proto.Sync{Node: 1}) }},
		{"syncfs", func() error { return c.Sync(&proto.Sync{Node: 1, What: proto.SyncFS}) }},
		{"many at once", func() error { return inParallel(func() error { _, err := c.Stat(file); return err }) }},
		{"still there", func() error { c.Forget(proto.Forgotten{Node: file, Refs: 1}); _, err := c.Stat(1); return err }},
	} {
		if err := step.ask(); err != nil && err != errno.EOPNOTSUPP && err != errno.ENODATA {
			t.Fatalf("%s: %v", step.what, err)
		}
	}
}

// inParallel calls f from many goroutines, so that all channels open and the
// server's runtime makes threads.
func inParallel(f func() error) error {
	errs := make(chan error, 64)
	var all sync.WaitGroup
	for range cap(errs) {
		all.Go(func() {
			if err := f(); err != nil {
				errs <- fmt.Errorf("in parallel: %w", err)
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}
