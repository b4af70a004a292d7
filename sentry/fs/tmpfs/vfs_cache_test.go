// What package vfs does, tested over a tmpfs, which it cannot import itself.

package tmpfs_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/tmpfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

// asking counts the questions that reach a file system.
type asking struct {
	*tmpfs.FS
	root *askedDir
}

type askedDir struct {
	vfs.MutableDirectory
	mu    sync.Mutex
	asked []string
}

func (a *asking) Root() vfs.Inode {
	a.root = &askedDir{MutableDirectory: a.FS.Root().(vfs.MutableDirectory)}
	return a.root
}

func (d *askedDir) Lookup(c vfs.Context, name string) (vfs.Inode, error) {
	d.mu.Lock()
	d.asked = append(d.asked, name)
	d.mu.Unlock()
	return d.MutableDirectory.Lookup(c, name)
}

func TestCacheAnswers(t *testing.T) {
	var fs *asking
	e := vfstest.NewEnv(t, func(_ *testing.T, w *vfs.World) vfs.FileSystem {
		fs = &asking{FS: tmpfs.New(w, tmpfs.Options{})}
		return fs
	})
	e.WriteFile("f", "") // asks whether it is there
	for range 3 {
		e.Stat("f")
		e.Stat("none")
	}
	e.Unlink("f")
	e.Stat("f")
	if got := fmt.Sprint(fs.root.asked); got != "[f none]" {
		t.Errorf("asked for %v", got)
	}
}

func TestCacheIsBounded(t *testing.T) {
	var fs *asking
	e := vfstest.NewEnv(t, func(_ *testing.T, w *vfs.World) vfs.FileSystem {
		fs = &asking{FS: tmpfs.New(w, tmpfs.Options{})}
		return fs
	})
	e.World.LimitCache(100)
	for i := range 1000 {
		e.Stat(fmt.Sprint("n", i))
	}
	fs.root.asked = nil
	for i := range 1000 {
		e.Stat(fmt.Sprint("n", i))
	}
	if n := len(fs.root.asked); n < 850 {
		t.Errorf("%d of 1000 names were forgotten", n)
	}
	if held := e.World.CachedNames(); held > 200 {
		t.Errorf("%d names are kept", held)
	}
}

func TestResolveWhileTheTreeMoves(t *testing.T) {
	e := newEnv(t)
	e.World.LimitCache(4)
	e.Mkdir("a/x", 0o755)
	e.Mkdir("a/x/y", 0o755)
	e.WriteFile("a/x/y/f", "1")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		me := e.As(vfstest.RootCreds())
		for {
			select {
			case <-stop:
				return
			default:
			}
			me.Rename("a/x", "b/x", 0)
			me.Rename("b/x", "a/x", 0)
		}
	}()
	found := 0
	me := e.As(vfstest.RootCreds())
	for range 3000 {
		if _, err := me.Stat("a/x/y/../y/f"); err == nil {
			found++
		}
		if _, err := me.Stat("b/x/y/f"); err == nil {
			found++
		}
	}
	close(stop)
	wg.Wait()
	if found == 0 {
		t.Error("never found")
	}
	if !shows(e, "a/x/y/f") {
		t.Error("the file is lost")
	}
}

func BenchmarkStatCached(b *testing.B) {
	w := vfs.NewWorld()
	root := vfstest.RootCreds()
	ns := w.NewNamespace(tmpfs.New(w, tmpfs.Options{}), "bench", 0, root.UserNS)
	fs := vfs.NewFSContext(ns)
	c := vfstest.NewContextAs(root)
	for _, d := range []string{"a", "a/b", "a/b/c"} {
		n := fs.Name(d)
		vfs.Mkdir(c, n, 0o755)
		n.Release()
	}
	b.ReportAllocs()
	for b.Loop() {
		n := fs.Name("/a/b/c")
		p, err := vfs.Resolve(c, n, vfs.How{})
		n.Release()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := vfs.Stat(c, p, linux.STATX_BASIC_STATS); err != nil {
			b.Fatal(err)
		}
		p.DecRef()
	}
}
