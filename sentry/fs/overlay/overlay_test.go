package overlay

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/tmpfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

func TestSuiteOverAnEmptyLower(t *testing.T) {
	vfstest.Run(t, func(t *testing.T, w *vfs.World) vfs.FileSystem {
		fs, err := New(w, tmpfs.New(w, tmpfs.Options{Mode: 0o755}), tmpfs.New(w, tmpfs.Options{Mode: 0o755}))
		if err != nil {
			t.Fatal(err)
		}
		return fs
	})
}

// over is an overlay over a lower tree that prepare fills. low shows the lower
// tree as it is.
func over(t *testing.T, prepare func(e *vfstest.Env)) (e, low *vfstest.Env) {
	t.Helper()
	w := vfs.NewWorld()
	lower := tmpfs.New(w, tmpfs.Options{Mode: 0o755})
	low = vfstest.NewEnvIn(t, w, lower)
	prepare(low)
	fs, err := New(w, tmpfs.New(w, tmpfs.Options{Mode: 0o700}), lower)
	if err != nil {
		t.Fatal(err)
	}
	return vfstest.NewEnvIn(t, w, keepLower{fs}), low
}

// keepLower keeps the lower tree for the test to look at.
type keepLower struct{ *FS }

func (k keepLower) Release() {}

func want(t *testing.T, err error, e errno.Errno, what string) {
	t.Helper()
	if e == 0 && err != nil || e != 0 && err != e {
		t.Errorf("%s: got %v, want %v", what, err, e)
	}
}

func TestRootLooksLikeTheLowerOne(t *testing.T) {
	e, low := over(t, func(e *vfstest.Env) { e.Chmod("/", 0o751) })
	a, b := e.MustStat("/"), low.MustStat("/")
	if a.Mode != b.Mode || a.MTime != b.MTime || a.Ino != b.Ino {
		t.Errorf("mode %o %o, ino %d %d", a.Mode, b.Mode, a.Ino, b.Ino)
	}
}

func TestWritingCopiesUp(t *testing.T) {
	e, low := over(t, func(e *vfstest.Env) {
		e.Mkdir("d", 0o750)
		e.WriteFile("d/f", "lower")
		e.Chmod("d/f", 0o640)
		e.Chown("d/f", 5, 6)
	})
	before := e.MustStat("d/f")
	r := e.MustOpen("d/f", linux.O_RDONLY, 0)
	d := e.MustOpen("d/f", linux.O_RDWR, 0)
	vfstest.Write(e.C, d, "UP", 0)
	if got := e.ReadFile("d/f"); got != "UPwer" {
		t.Errorf("overlay: %q", got)
	}
	if got, _ := vfstest.Read(e.C, r, 10, 0); got != "UPwer" {
		t.Errorf("what was opened before: %q", got)
	}
	if got := low.ReadFile("d/f"); got != "lower" {
		t.Errorf("the lower file changed: %q", got)
	}
	after := e.MustStat("d/f")
	if after.Ino != before.Ino || after.DevMinor != before.DevMinor || after.Mode != before.Mode || after.UID != 5 || after.GID != 6 {
		t.Errorf("before %+v after %+v", before, after)
	}
	if s := e.MustStat("d"); s.Mode != linux.S_IFDIR|0o750 {
		t.Errorf("directory: %o", s.Mode)
	}
}

func TestInodeNumberOutlivesTheCache(t *testing.T) {
	e, _ := over(t, func(e *vfstest.Env) { e.WriteFile("f", "x") })
	before := e.MustStat("f").Ino
	e.Chmod("f", 0o600)
	e.World.LimitCache(10)
	for i := range 300 { // pushes f out of the cache
		e.Stat(fmt.Sprint("none", i))
	}
	if got := e.MustStat("f").Ino; got != before {
		t.Errorf("ino %d, was %d", got, before)
	}
	names := e.List("/")
	if !slices.Equal(names, []string{"f"}) {
		t.Errorf("names %v", names)
	}
}

func TestRemovedNamesStayAway(t *testing.T) {
	e, low := over(t, func(e *vfstest.Env) {
		e.Mkdir("d", 0o755)
		e.WriteFile("d/a", "a")
		e.WriteFile("d/b", "b")
		e.Mkdir("d/sub", 0o755)
		e.WriteFile("d/sub/x", "x")
	})
	want(t, e.Unlink("d/a"), 0, "unlink")
	_, err := e.Stat("d/a")
	want(t, err, errno.ENOENT, "stat of the removed name")
	if got := e.List("d"); !slices.Equal(got, []string{"b", "sub"}) {
		t.Errorf("names %v", got)
	}
	want(t, e.Rmdir("d/sub"), errno.ENOTEMPTY, "rmdir of a full lower directory")
	want(t, e.Unlink("d/sub/x"), 0, "unlink")
	want(t, e.Rmdir("d/sub"), 0, "rmdir")
	want(t, e.Mkdir("d/sub", 0o700), 0, "mkdir where a lower directory was")
	if got := e.List("d/sub"); len(got) != 0 {
		t.Errorf("the new directory shows %v", got)
	}
	e.WriteFile("d/a", "new")
	if got := e.ReadFile("d/a"); got != "new" {
		t.Errorf("made again: %q", got)
	}
	want(t, e.Unlink("d/a"), 0, "unlink of what was made again")
	_, err = e.Stat("d/a")
	want(t, err, errno.ENOENT, "and the lower one does not come back")
	if got := low.ReadFile("d/a") + low.ReadFile("d/sub/x"); got != "ax" {
		t.Errorf("the lower tree changed: %q", got)
	}
}

func TestUnlinkedLowerFileCanStillBeChanged(t *testing.T) {
	e, _ := over(t, func(e *vfstest.Env) { e.WriteFile("f", "data") })
	d := e.MustOpen("f", linux.O_RDONLY, 0)
	want(t, e.Unlink("f"), 0, "unlink")
	want(t, vfs.Chmod(e.C, d.Path(), 0o600, d.File()), 0, "fchmod")
	if got, err := vfstest.Read(e.C, d, 10, 0); got != "data" || err != nil {
		t.Errorf("read: %q, %v", got, err)
	}
	if got := e.List("/"); len(got) != 0 {
		t.Errorf("names %v", got)
	}
}

func TestRenames(t *testing.T) {
	e, low := over(t, func(e *vfstest.Env) {
		e.WriteFile("f", "F")
		e.WriteFile("g", "G")
		e.Mkdir("d", 0o755)
		e.WriteFile("d/x", "X")
		e.Mkdir("empty", 0o755)
	})
	want(t, e.Rename("d", "e", 0), errno.EXDEV, "a lower directory")
	ino := e.MustStat("f").Ino
	want(t, e.Rename("f", "g", 0), 0, "over a lower file")
	if got := e.ReadFile("g"); got != "F" || e.MustStat("g").Ino != ino {
		t.Errorf("got %q", got)
	}
	_, err := e.Stat("f")
	want(t, err, errno.ENOENT, "the old name")
	want(t, e.Rename("g", "d/y", 0), 0, "into a lower directory")
	if got := e.List("d"); !slices.Equal(got, []string{"y", "x"}) {
		t.Errorf("names %v", got)
	}
	want(t, e.Mkdir("new", 0o755), 0, "mkdir")
	e.WriteFile("new/n", "N")
	want(t, e.Rename("new", "d", 0), errno.ENOTEMPTY, "over a full lower directory")
	want(t, e.Rename("new", "empty", 0), 0, "over an empty lower directory")
	if got := e.List("empty"); !slices.Equal(got, []string{"n"}) {
		t.Errorf("names %v", got)
	}
	want(t, e.Rename("d/x", "d/y", linux.RENAME_EXCHANGE), 0, "exchange")
	if got := e.ReadFile("d/x") + e.ReadFile("d/y"); got != "FX" {
		t.Errorf("exchanged: %q", got)
	}
	if got := e.List("/"); !slices.Equal(got, []string{"d", "empty"}) {
		t.Errorf("names %v", got)
	}
	if got := low.List("/"); len(got) != 4 {
		t.Errorf("the lower tree changed: %v", got)
	}
}

func TestUpperDirectoryRenamedOverWhiteoutIsOpaque(t *testing.T) {
	e, _ := over(t, func(e *vfstest.Env) {
		e.Mkdir("d", 0o755)
		e.WriteFile("d/old", "")
	})
	want(t, e.Unlink("d/old"), 0, "unlink")
	want(t, e.Rmdir("d"), 0, "rmdir")
	e.Mkdir("n", 0o755)
	want(t, e.Rename("n", "d", 0), 0, "rename")
	if got := e.List("d"); len(got) != 0 {
		t.Errorf("names %v", got)
	}
	_, err := e.Stat("d/old")
	want(t, err, errno.ENOENT, "what the lower directory has")
}

func TestHardLinks(t *testing.T) {
	e, low := over(t, func(e *vfstest.Env) { e.WriteFile("f", "x") })
	want(t, e.Link("f", "g"), 0, "link of a lower file")
	e.WriteFile("g", "changed")
	if got := e.ReadFile("f"); got != "changed" || e.MustStat("f").Ino != e.MustStat("g").Ino || e.MustStat("f").Nlink != 2 {
		t.Errorf("got %q, nlink %d", got, e.MustStat("f").Nlink)
	}
	if got := low.ReadFile("f"); got != "x" {
		t.Errorf("the lower file changed: %q", got)
	}
}

func TestTruncatingOpenDoesNotCopy(t *testing.T) {
	e, _ := over(t, func(e *vfstest.Env) { e.WriteFile("f", strings.Repeat("x", 200000)) })
	d := e.MustOpen("f", linux.O_WRONLY|linux.O_TRUNC, 0)
	if s, _ := vfs.Stat(e.C, d.Path(), linux.STATX_ALL); s.Size != 0 {
		t.Errorf("size %d", s.Size)
	}
	vfstest.Write(e.C, d, "y", 0)
	if got := e.ReadFile("f"); got != "y" {
		t.Errorf("got %q", got)
	}
}

func TestCopyUpKeepsEverything(t *testing.T) {
	e, _ := over(t, func(e *vfstest.Env) {
		e.WriteFile("f", strings.Repeat("0123456789", 30000))
		e.WithPath("f", func(p vfs.Path) error { return vfs.SetXattr(e.C, p, "user.k", []byte("v"), 0) })
		e.Symlink("f", "l")
		old := linux.Timespec{Sec: 1000}
		e.WithPath("f", func(p vfs.Path) error {
			return vfs.Utimes(e.C, p, vfs.Times{MTime: old, SetMTime: vfs.TimeGiven}, nil)
		})
	})
	dirTime := e.MustStat("/").MTime
	want(t, e.Chmod("f", 0o600), 0, "chmod")
	s := e.MustStat("f")
	if s.MTime.Sec != 1000 || s.Size != 300000 {
		t.Errorf("mtime %v size %d", s.MTime, s.Size)
	}
	if e.MustStat("/").MTime != dirTime {
		t.Error("copying up changed the directory's mtime")
	}
	if got := e.ReadFile("f"); got != strings.Repeat("0123456789", 30000) {
		t.Error("bytes differ")
	}
	e.WithPath("f", func(p vfs.Path) error {
		v, err := vfs.GetXattr(e.C, p, "user.k")
		if string(v) != "v" || err != nil {
			t.Errorf("xattr %q, %v", v, err)
		}
		names, _ := vfs.ListXattr(e.C, p)
		if !slices.Equal(names, []string{"user.k"}) {
			t.Errorf("names %v", names)
		}
		return nil
	})
	want(t, e.Chown("l", 3, 3), 0, "lchown")
	if got, _ := e.Readlink("l"); got != "f" {
		t.Errorf("link %q", got)
	}
}

func TestWhiteoutsCannotBeMade(t *testing.T) {
	e, _ := over(t, func(*vfstest.Env) {})
	want(t, e.Mknod("w", linux.S_IFCHR|0o600, 0), errno.EPERM, "mknod")
}

func TestMergedListingAgreesWithStat(t *testing.T) {
	e, _ := over(t, func(e *vfstest.Env) {
		for _, n := range []string{"a", "b", "c"} {
			e.WriteFile(n, n)
		}
		e.Mkdir("sub", 0o755)
	})
	e.Chmod("b", 0o600)
	e.WriteFile("new", "")
	e.Mkdir("sub/x", 0o755)
	d := e.MustOpen("/", linux.O_RDONLY, 0)
	n := 0
	d.ReadDir(e.C, func(x vfs.Dirent) bool {
		if x.Name != ".." {
			n++
			if s := e.MustStat(x.Name); s.Ino != x.Ino {
				t.Errorf("%s: listed as %d, stat says %d", x.Name, x.Ino, s.Ino)
			}
		}
		return true
	})
	if n != 6 {
		t.Errorf("%d names", n)
	}
}

// shifting is a lower tree that others change.
type shifting struct{ *tmpfs.FS }

type shiftingRoot struct{ vfs.MutableDirectory }

func (s shifting) Root() vfs.Inode { return shiftingRoot{s.FS.Root().(vfs.MutableDirectory)} }

func (shiftingRoot) Revalidate(vfs.Context, string, vfs.Inode) bool { return false }

func TestLowerTreeThatChanges(t *testing.T) {
	w := vfs.NewWorld()
	lower := tmpfs.New(w, tmpfs.Options{Mode: 0o755})
	low := vfstest.NewEnvIn(t, w, keepTmpfs{lower})
	fs, err := New(w, tmpfs.New(w, tmpfs.Options{}), shifting{lower})
	if err != nil {
		t.Fatal(err)
	}
	e := vfstest.NewEnvIn(t, w, keepLower{fs})
	_, err = e.Stat("f")
	want(t, err, errno.ENOENT, "before it is there")
	low.WriteFile("f", "1")
	d := e.MustOpen("f", linux.O_RDONLY, 0)
	low.Unlink("f")
	low.WriteFile("f", "22")
	if got := e.ReadFile("f"); got != "22" {
		t.Errorf("replaced below: %q", got)
	}
	if got, _ := vfstest.Read(e.C, d, 5, 0); got != "1" {
		t.Errorf("the open file: %q", got)
	}
	e.WriteFile("f", "mine")
	want(t, vfs.Chmod(e.C, d.Path(), 0o600, d.File()), 0, "fchmod of the old file")
	low.Unlink("f")
	if got := e.ReadFile("f"); got != "mine" {
		t.Errorf("removed below after it was copied up: %q", got)
	}
}

type keepTmpfs struct{ *tmpfs.FS }

func (keepTmpfs) Release() {}

func TestSeveralLowerLayers(t *testing.T) {
	w := vfs.NewWorld()
	layer := func(prepare func(*vfstest.Env)) vfs.FileSystem {
		fs := tmpfs.New(w, tmpfs.Options{Mode: 0o755})
		prepare(vfstest.NewEnvIn(t, w, keepTmpfs{fs}))
		return keepTmpfs{fs}
	}
	bottom := layer(func(e *vfstest.Env) {
		e.Mkdir("d", 0o755)
		e.WriteFile("d/bottom", "b")
		e.WriteFile("d/both", "bottom")
		e.WriteFile("d/gone", "")
		e.Mkdir("hidden", 0o755)
		e.WriteFile("hidden/x", "")
	})
	top := layer(func(e *vfstest.Env) {
		e.Mkdir("d", 0o700)
		e.WriteFile("d/both", "top")
		e.WriteFile("d/top", "t")
		e.Mknod("d/gone", linux.S_IFCHR, 0)
		e.WriteFile("hidden", "a file now")
	})
	fs, err := New(w, tmpfs.New(w, tmpfs.Options{}), top, bottom)
	if err != nil {
		t.Fatal(err)
	}
	e := vfstest.NewEnvIn(t, w, keepLower{fs})
	if got := e.List("d"); !slices.Equal(got, []string{"both", "top", "bottom"}) {
		t.Errorf("names %v", got)
	}
	if got := e.ReadFile("d/both") + e.ReadFile("d/bottom") + e.ReadFile("hidden"); got != "topba file now" {
		t.Errorf("contents %q", got)
	}
	if s := e.MustStat("d"); s.Mode != linux.S_IFDIR|0o700 {
		t.Errorf("mode %o", s.Mode)
	}
	_, err = e.Stat("d/gone")
	want(t, err, errno.ENOENT, "what the top layer removed")
	e.WriteFile("d/gone", "again")
	want(t, e.Unlink("d/both"), 0, "unlink")
	if got := e.List("d"); !slices.Equal(got, []string{"gone", "top", "bottom"}) {
		t.Errorf("names %v", got)
	}
}
