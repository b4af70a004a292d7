package server_test

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
)

// TestHostileTreeNeverLeadsOutside walks and writes in a tree whose names are
// swapped all the time between directories of its own and symlinks to a
// directory outside. Nothing outside may be read, made or changed.
func TestHostileTreeNeverLeadsOutside(t *testing.T) {
	base := t.TempDir()
	outside := base + "/outside"
	write(t, outside+"/sub/secret", "SECRET")
	dir := base + "/tree"
	write(t, dir+"/good/sub/secret", "inside")
	write(t, dir+"/secret", "inside")
	links := []string{outside, "../outside", "good/../../outside"}
	for i, target := range links {
		if err := os.Symlink(target, dir+"/link"+string(rune('0'+i))); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, dir, nil)

	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() { // "good" <-> a symlink, and "good/sub" <-> one
		os.Symlink(outside, dir+"/bad")
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			unix.Renameat2(unix.AT_FDCWD, dir+"/good", unix.AT_FDCWD, dir+"/bad", unix.RENAME_EXCHANGE)
			unix.Renameat2(unix.AT_FDCWD, dir+"/good", unix.AT_FDCWD, dir+"/link"+string(rune('0'+i%3)), unix.RENAME_EXCHANGE)
		}
	})

	var inside atomic.Int64
	var clients sync.WaitGroup
	end := time.Now().Add(400 * time.Millisecond)
	for _, name := range []string{"good", "bad", "link0"} {
		clients.Go(func() {
			for time.Now().Before(end) {
				attack(t, s, name, &inside)
			}
		})
	}
	clients.Wait()
	close(stop)
	swapping.Wait()

	if inside.Load() == 0 {
		t.Error("the walk never succeeded, so nothing was tested")
	}
	if b, err := os.ReadFile(outside + "/sub/secret"); string(b) != "SECRET" {
		t.Errorf("outside holds %q, %v", b, err)
	}
	names, err := filepath.Glob(outside + "/*/*")
	if err != nil || len(names) != 1 {
		t.Errorf("outside has %v, %v", names, err)
	}
}

// attack tries to reach name/sub/secret for reading and writing.
func attack(t *testing.T, s *served, name string, inside *atomic.Int64) {
	w, fd, err := s.Walk(&proto.Walk{From: proto.RootNode, Names: []string{name, "sub", "secret"}, Open: proto.OpenReadWrite})
	if err != nil {
		t.Errorf("walk: %v", err)
		return
	}
	defer func() {
		for _, step := range w.Steps {
			s.Forget(proto.Forgotten{Node: step.Node, Refs: 1})
		}
	}()
	if fd >= 0 {
		if got := content(t, fd); got != "inside" {
			t.Errorf("read %q", got)
		}
		inside.Add(1)
	}
	if len(w.Steps) >= 2 {
		sub := w.Steps[1].Node
		fd, made, err := s.Create(&proto.Make{Dir: sub, Name: "made", Mode: 0o644, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Access: proto.OpenReadWrite})
		if err == nil {
			unix.Close(fd)
			s.Forget(proto.Forgotten{Node: made.Node, Refs: 1})
		}
		s.Unlink(&proto.Entry{Dir: sub, Name: "made"})
	}
}

// TestDirectoryMovedAwayStillHasNoWayUp: a directory that the host moves out of
// the tree stays what it was for who holds it, as for a process whose working
// directory it is; its parent is out of reach.
func TestDirectoryMovedAwayStillHasNoWayUp(t *testing.T) {
	base := t.TempDir()
	write(t, base+"/tree/d/file", "inside")
	write(t, base+"/secret", "SECRET")
	s := serve(t, base+"/tree", nil)
	d := s.at(t, "d")
	if err := os.Rename(base+"/tree/d", base+"/moved"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Walk(&proto.Walk{From: d.Node, Names: []string{"..", "secret"}}); err == nil {
		t.Error("walked up")
	}
	w, _, err := s.Walk(&proto.Walk{From: d.Node, Names: []string{"file"}})
	if err != nil || len(w.Steps) != 1 {
		t.Errorf("%+v, %v", w, err)
	}
}
