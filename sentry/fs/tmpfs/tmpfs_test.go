package tmpfs

import (
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

func newTest(_ *testing.T, w *vfs.World) vfs.FileSystem { return New(w, Options{Mode: 0o755}) }

func TestSuite(t *testing.T) { vfstest.Run(t, newTest) }

func TestSizeLimit(t *testing.T) {
	var fs *FS
	e := vfstest.NewEnv(t, func(_ *testing.T, w *vfs.World) vfs.FileSystem {
		fs = New(w, Options{SizePages: 40})
		return fs
	})
	e.WriteFile("small", "x")
	if n := fs.pages.Load(); n != 1 {
		t.Errorf("one byte takes %d pages", n)
	}
	d := e.MustOpen("big", linux.O_RDWR|linux.O_CREAT, 0o600)
	block := strings.Repeat("x", 30*pageSize)
	if n, err := vfstest.Write(e.C, d, block, 0); n != len(block) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	if n, err := vfstest.Write(e.C, d, block, int64(len(block))); n != 9*pageSize || err != nil {
		t.Errorf("beyond the limit: %d, %v; want %d", n, err, 9*pageSize)
	}
	if _, err := vfstest.Write(e.C, d, "x", 39*pageSize); err != errno.ENOSPC {
		t.Errorf("full: %v", err)
	}
	if n, err := vfstest.Write(e.C, d, block, 0); n != len(block) || err != nil {
		t.Errorf("overwriting when full: %d, %v", n, err)
	}
	if err := d.Truncate(e.C, 0); err != nil {
		t.Error(err)
	}
	if n := fs.pages.Load(); n != 1 {
		t.Errorf("%d pages after truncation", n)
	}
	e.Unlink("small")
	if n := fs.pages.Load(); n != 0 {
		t.Errorf("%d pages after unlink", n)
	}
}

func TestInodeLimit(t *testing.T) {
	e := vfstest.NewEnv(t, func(_ *testing.T, w *vfs.World) vfs.FileSystem { return New(w, Options{MaxInodes: 3}) })
	e.WriteFile("a", "")
	if err := e.Mkdir("b", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := e.Mkdir("c", 0o755); err != errno.ENOSPC {
		t.Errorf("the third: %v", err)
	}
	e.Unlink("a")
	if err := e.Mkdir("c", 0o755); err != nil {
		t.Errorf("after unlink: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Options
	}{
		{"", Options{}},
		{"size=64k", Options{SizePages: 16}},
		{"size=1,mode=700", Options{SizePages: 1, Mode: 0o700}},
		{"nr_inodes=5,uid=3,gid=4", Options{MaxInodes: 5, UID: 3, GID: 4}},
	} {
		got, err := ParseOptions(c.in)
		if got != c.want || err != nil {
			t.Errorf("%q: %+v, %v", c.in, got, err)
		}
	}
	for _, bad := range []string{"size", "size=x", "size=-1", "mode=9", "bogus=1", "size=99999999999999g"} {
		if _, err := ParseOptions(bad); err != errno.EINVAL {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestMemfdSeals(t *testing.T) {
	w := vfs.NewWorld()
	fs := New(w, Options{})
	c := vfstest.NewContextAs(vfstest.RootCreds())
	d, err := fs.NewMemfd("x", linux.MFD_ALLOW_SEALING, c.Creds())
	if err != nil {
		t.Fatal(err)
	}
	defer d.DecRef()
	if got := d.Path().Display(vfs.Path{}); got != "/memfd:x (deleted)" {
		t.Errorf("name %q", got)
	}
	vfstest.Write(c, d, "data", 0)
	s := d.File().(vfs.Sealer)
	if err := s.AddSeals(linux.F_SEAL_SHRINK | linux.F_SEAL_GROW); err != nil {
		t.Fatal(err)
	}
	if err := d.Truncate(c, 1); err != errno.EPERM {
		t.Errorf("shrink: %v", err)
	}
	if _, err := vfstest.Write(c, d, "data", 2); err != errno.EPERM {
		t.Errorf("grow: %v", err)
	}
	if _, err := vfstest.Write(c, d, "da", 0); err != nil {
		t.Errorf("write within: %v", err)
	}
	if _, err := d.MapFD(c, vfs.MapReadWrite); err != nil {
		t.Errorf("map: %v", err)
	}
	if err := s.AddSeals(linux.F_SEAL_WRITE | linux.F_SEAL_SEAL); err != nil {
		t.Fatal(err)
	}
	if _, err := vfstest.Write(c, d, "da", 0); err != errno.EPERM {
		t.Errorf("write: %v", err)
	}
	if _, err := d.MapFD(c, vfs.MapReadWrite); err != errno.EPERM {
		t.Errorf("map for writing: %v", err)
	}
	if _, err := d.MapFD(c, vfs.MapRead); err != nil {
		t.Errorf("map for reading: %v", err)
	}
	if err := s.AddSeals(linux.F_SEAL_GROW); err != errno.EPERM {
		t.Errorf("sealed against sealing: %v", err)
	}
	plain, err := fs.NewMemfd("y", 0, c.Creds())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.DecRef()
	if err := plain.File().(vfs.Sealer).AddSeals(linux.F_SEAL_GROW); err != errno.EPERM {
		t.Errorf("without MFD_ALLOW_SEALING: %v", err)
	}
}

func TestSmallFileMovesToMemfd(t *testing.T) {
	w := vfs.NewWorld()
	e := vfstest.NewEnvIn(t, w, New(w, Options{}))
	d := e.MustOpen("f", linux.O_RDWR|linux.O_CREAT, 0o600)
	vfstest.Write(e.C, d, "head", 0)
	vfstest.Write(e.C, d, "tail", 20000)
	fd, err := d.MapFD(e.C, vfs.MapReadWrite)
	if err != nil || fd < 0 {
		t.Fatalf("map: %d, %v", fd, err)
	}
	want := "head" + strings.Repeat("\x00", 19996) + "tail"
	if got := e.ReadFile("f"); got != want {
		t.Errorf("%d bytes differ", len(got))
	}
	if s := e.MustStat("f"); s.Blocks != 16 {
		t.Errorf("%d blocks, want those of two pages", s.Blocks)
	}
}

func FuzzOptions(f *testing.F) {
	for _, s := range []string{"", "size=64k,mode=755", "size=50%", "nr_inodes=1k,uid=0,gid=4294967295", "size=-1", "mode=99999999", ",,=,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseOptions(s)
		if err != nil && err != errno.EINVAL {
			t.Errorf("%q: %v", s, err)
		}
		if err == nil && (o.SizePages < 0 || o.MaxInodes < 0 || o.Mode&^linux.S_IALLUGO != 0) {
			t.Errorf("%q: %+v", s, o)
		}
	})
}
