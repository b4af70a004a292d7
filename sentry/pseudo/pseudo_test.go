package pseudo

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

// numbers is a dynamic directory of numbered files.
type numbers struct {
	live map[int64]vfs.Inode
}

func (n *numbers) Lookup(_ vfs.Context, at Place, name string) (vfs.Inode, error) {
	k, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		return nil, errno.ENOENT
	}
	if _, ok := n.live[k]; !ok {
		return nil, errno.ENOENT
	}
	n.live[k] = at.Fixed(Meta{Perm: 0o444}, name+"\n")
	return n.live[k], nil
}

func (n *numbers) List(_ vfs.Context, key int64, emit func(string, uint8, int64) bool) error {
	for k := key; k < 100; k++ {
		if _, ok := n.live[k]; ok && !emit(fmt.Sprint(k), linux.DT_REG, k) {
			return nil
		}
	}
	return nil
}

func (n *numbers) Valid(_ vfs.Context, name string, made vfs.Inode) bool {
	k, _ := strconv.ParseInt(name, 10, 64)
	return n.live[k] == made
}

type tree struct {
	t   *testing.T
	c   *vfstest.Context
	fsc *vfs.FSContext
}

func newTree(t *testing.T, root func(Place) vfs.Inode) tree {
	w := vfs.NewWorld()
	c := vfstest.NewContext()
	ns := w.NewNamespace(New(w, "made-up", 7, root), "none", 0, c.Creds().UserNS)
	return tree{t, c, vfs.NewFSContext(ns)}
}

func (x tree) open(path string, flags linux.OpenFlags) (*vfs.Description, error) {
	n := x.fsc.Name(path)
	defer n.Release()
	return vfs.Open(x.c, n, vfs.OpenHow{Flags: flags})
}

func (x tree) read(path string) string {
	x.t.Helper()
	d, err := x.open(path, linux.O_RDONLY)
	if err != nil {
		return err.Error()
	}
	defer d.DecRef()
	var all []byte
	for {
		buf := make([]byte, 7)
		n, err := d.Read(x.c, usermem.OwnBuffer(buf), vfs.CurrentOffset, 0)
		if err != nil {
			return err.Error()
		}
		if n == 0 {
			return string(all)
		}
		all = append(all, buf[:n]...)
	}
}

func (x tree) list(path string) (names []string) {
	x.t.Helper()
	d, err := x.open(path, linux.O_RDONLY|linux.O_DIRECTORY)
	if err != nil {
		x.t.Fatal(err)
	}
	defer d.DecRef()
	for more := true; more; {
		more = false
		// One entry a call, so that positions are tested too.
		err := d.ReadDir(x.c, func(e vfs.Dirent) bool {
			if more {
				return false
			}
			names = append(names, e.Name)
			more = true
			return true
		})
		if err != nil {
			x.t.Fatal(err)
		}
	}
	return names
}

func TestTree(t *testing.T) {
	stored := ""
	shown := 0
	num := &numbers{live: map[int64]vfs.Inode{3: nil, 12: nil}}
	x := newTree(t, func(p Place) vfs.Inode {
		return p.Dir(Meta{Perm: 0o555}, []Entry{
			Const("version", "one line that needs several reads\n"),
			Folder("sub", Const("inner", "x")),
			Symlink("link", "sub/inner"),
			File("knob", 0o644, Text{
				Show:  func(vfs.Context) ([]byte, error) { shown++; return fmt.Appendf(nil, "shown %d\n", shown), nil },
				Store: func(_ vfs.Context, b []byte) error { stored = string(b); return nil },
			}),
		}, num)
	})
	if got := x.read("/version"); got != "one line that needs several reads\n" {
		t.Errorf("version: %q", got)
	}
	if got := x.read("/link"); got != "x" {
		t.Errorf("link: %q", got)
	}
	if got := x.read("/knob"); got != "shown 1\n" {
		t.Errorf("knob: %q", got)
	}
	if got := x.read("/12"); got != "12\n" {
		t.Errorf("12: %q", got)
	}
	want := []string{".", "..", "version", "sub", "link", "knob", "3", "12"}
	if got := x.list("/"); !slices.Equal(got, want) {
		t.Errorf("list %v, want %v", got, want)
	}
	d, err := x.open("/knob", linux.O_WRONLY|linux.O_TRUNC)
	if err != nil {
		t.Fatal(err)
	}
	defer d.DecRef()
	if n, err := d.Write(x.c, usermem.OwnBuffer([]byte("42\n")), vfs.CurrentOffset, 0); n != 3 || err != nil || stored != "42\n" {
		t.Errorf("write: %d %v, stored %q", n, err, stored)
	}
}

func TestNamesThatComeAndGo(t *testing.T) {
	num := &numbers{live: map[int64]vfs.Inode{}}
	x := newTree(t, func(p Place) vfs.Inode { return p.Dir(Meta{Perm: 0o555}, nil, num) })
	if got := x.read("/5"); got != errno.ENOENT.Error() {
		t.Errorf("before: %q", got)
	}
	num.live[5] = nil
	if got := x.read("/5"); got != "5\n" {
		t.Errorf("there: %q", got)
	}
	delete(num.live, 5)
	if got := x.read("/5"); got != errno.ENOENT.Error() {
		t.Errorf("after: %q", got)
	}
}

func TestGuard(t *testing.T) {
	closed := false
	x := newTree(t, func(p Place) vfs.Inode {
		m := Meta{Perm: 0o444, Guard: func(vfs.Context) error {
			if closed {
				return errno.EACCES
			}
			return nil
		}}
		return p.Dir(Meta{Perm: 0o555}, []Entry{{"f", linux.DT_REG, func(p Place) vfs.Inode { return p.Fixed(m, "secret") }}}, nil)
	})
	d, err := x.open("/f", linux.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer d.DecRef()
	closed = true
	if _, err := d.Read(x.c, usermem.OwnBuffer(make([]byte, 9)), 0, 0); err != errno.EACCES {
		t.Errorf("read of a file that was opened before: %v", err)
	}
	if got := x.read("/f"); got != errno.EACCES.Error() {
		t.Errorf("open: %q", got)
	}
}

func TestInodeNumbersFollowFromThePath(t *testing.T) {
	fs := &FS{}
	p := Place{fs, 1}
	if p.Child("a") != p.Child("a") || p.Child("a") == p.Child("b") || p.Child("a").Child("b") == p.Child("b").Child("a") {
		t.Error("numbers do not follow from the path")
	}
	if ino := p.Child("a").Ino(); ino>>32 != 0 || ino < 1<<31 {
		t.Errorf("number %#x", ino)
	}
}

func TestParseInt(t *testing.T) {
	for in, want := range map[string]int64{"5\n": 5, " 7 ": 7, "0x10": 16, "-3\x00": -3} {
		if got, err := ParseInt([]byte(in), -10, 100); err != nil || got != want {
			t.Errorf("%q: %d %v", in, got, err)
		}
	}
	for _, in := range []string{"", "a", "101", "-11", "1 2", strings.Repeat("9", 40)} {
		if _, err := ParseInt([]byte(in), -10, 100); err != errno.EINVAL {
			t.Errorf("%q: %v", in, err)
		}
	}
}
