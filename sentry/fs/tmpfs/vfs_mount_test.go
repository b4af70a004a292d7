// What package vfs does, tested over a tmpfs, which it cannot import itself.

package tmpfs_test

import (
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/tmpfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

func newTmpfs(_ *testing.T, w *vfs.World) vfs.FileSystem {
	return tmpfs.New(w, tmpfs.Options{Mode: 0o755})
}

// newEnv has directories a, b and c, and knows tmpfs.
func newEnv(t *testing.T) *vfstest.Env {
	e := vfstest.NewEnv(t, newTmpfs)
	e.World.RegisterFS(tmpfs.Type())
	for _, d := range []string{"a", "b", "c"} {
		want(t, e.Mkdir(d, 0o755), 0, "mkdir "+d)
	}
	return e
}

func want(t *testing.T, err error, e errno.Errno, what string) {
	t.Helper()
	if e == 0 && err != nil || e != 0 && err != e {
		t.Errorf("%s: got %v, want %v", what, err, e)
	}
}

func mount(e *vfstest.Env, source, target, fsType string, flags uint32) error {
	return e.FS.Mount(e.C, source, target, fsType, flags, "")
}

// shows says whether a path exists.
func shows(e *vfstest.Env, path string) bool {
	_, err := e.Stat(path)
	return err == nil
}

func TestMountHidesAndUmountShows(t *testing.T) {
	e := newEnv(t)
	e.WriteFile("a/below", "")
	want(t, mount(e, "none", "a", "tmpfs", 0), 0, "mount")
	if shows(e, "a/below") {
		t.Error("what is below the mount shows")
	}
	e.WriteFile("a/above", "")
	if !shows(e, "a/../a/above") {
		t.Error("the mount cannot be left and entered")
	}
	d := e.MustOpen("a/above", linux.O_RDONLY, 0)
	want(t, e.FS.Umount(e.C, "a", 0), errno.EBUSY, "umount with an open file")
	want(t, e.Rmdir("a"), errno.EBUSY, "rmdir of a mount point")
	want(t, e.Rename("a", "z", 0), errno.EBUSY, "rename of a mount point")
	want(t, e.Rename("a/above", "b/x", 0), errno.EXDEV, "rename out of the mount")
	want(t, e.Link("a/above", "b/x"), errno.EXDEV, "link out of the mount")
	want(t, e.FS.Umount(e.C, "a", linux.MNT_DETACH), 0, "lazy umount")
	if !shows(e, "a/below") || shows(e, "a/above") {
		t.Error("the mount is still there")
	}
	if _, err := vfstest.Read(e.C, d, 1, 0); err != nil {
		t.Errorf("the open file: %v", err)
	}
	want(t, e.FS.Umount(e.C, "a", 0), errno.EINVAL, "umount of what is not mounted")
	want(t, mount(e, "none", "a", "nosuchfs", 0), errno.ENODEV, "unknown type")
	want(t, mount(e.As(vfstest.UserCreds(1, 1)), "none", "a", "tmpfs", 0), errno.EPERM, "mount without right")
}

func TestUmountReleasesTheFileSystem(t *testing.T) {
	e := newEnv(t)
	released := 0
	fs := counted{tmpfs.New(e.World, tmpfs.Options{}), &released}
	if err := e.WithPath("a", func(p vfs.Path) error { return e.World.MountFS(fs, "x", p, 0) }); err != nil {
		t.Fatal(err)
	}
	e.Mkdir("a/d", 0o755)
	e.WriteFile("a/d/f", "x")
	e.Stat("a/none")
	want(t, mount(e, "/a/d", "b", "", linux.MS_BIND), 0, "bind")
	want(t, e.FS.Umount(e.C, "a", 0), 0, "umount of one")
	if released != 0 {
		t.Error("released while it is bound elsewhere")
	}
	want(t, e.FS.Umount(e.C, "b", 0), 0, "umount of the other")
	if released != 1 {
		t.Errorf("released %d times", released)
	}
}

type counted struct {
	*tmpfs.FS
	released *int
}

func (c counted) Release() {
	*c.released++
	c.FS.Release()
}

func TestBind(t *testing.T) {
	e := newEnv(t)
	e.Mkdir("a/sub", 0o755)
	want(t, mount(e, "none", "a/sub", "tmpfs", 0), 0, "mount")
	e.WriteFile("a/sub/f", "")
	e.WriteFile("file", "F")
	e.WriteFile("target", "T")
	want(t, mount(e, "a", "b", "", linux.MS_BIND), 0, "bind")
	want(t, mount(e, "a", "c", "", linux.MS_BIND|linux.MS_REC), 0, "rbind")
	if shows(e, "b/sub/f") || !shows(e, "c/sub/f") {
		t.Error("bind is deep, or rbind is not")
	}
	want(t, mount(e, "file", "target", "", linux.MS_BIND), 0, "bind of a file")
	if got := e.ReadFile("target"); got != "F" {
		t.Errorf("bound file: %q", got)
	}
	want(t, mount(e, "file", "a", "", linux.MS_BIND), errno.ENOTDIR, "file on a directory")
	want(t, mount(e, "", "b", "", linux.MS_REMOUNT|linux.MS_BIND|linux.MS_RDONLY), 0, "remount")
	want(t, e.Mkdir("b/x", 0o755), errno.EROFS, "mkdir through the read-only bind")
	want(t, e.Mkdir("a/x", 0o755), 0, "mkdir beside it")
	info := e.FS.Namespace().MountInfo(vfs.Path{})
	if !strings.Contains(info, " /a /b ro,relatime - tmpfs test rw") {
		t.Errorf("mountinfo:\n%s", info)
	}
}

func TestDotDotStaysBelowABind(t *testing.T) {
	e := newEnv(t)
	e.Mkdir("a/x", 0o755)
	e.Mkdir("a/x/y", 0o755)
	want(t, mount(e, "a/x", "b", "", linux.MS_BIND), 0, "bind")
	want(t, e.FS.Chdir(e.C, "b/y"), 0, "chdir")
	want(t, e.Rename("/a/x/y", "/a/y", 0), 0, "rename out of the bind")
	want(t, e.FS.Chdir(e.C, ".."), errno.ENOENT, "leaving a directory that was moved out")
}

func TestMoveMount(t *testing.T) {
	e := newEnv(t)
	want(t, mount(e, "none", "a", "tmpfs", 0), 0, "mount")
	e.Mkdir("a/in", 0o755)
	want(t, mount(e, "a", "a/in", "", linux.MS_MOVE), errno.ELOOP, "into itself")
	want(t, mount(e, "a", "b", "", linux.MS_MOVE), 0, "move")
	if shows(e, "a/in") || !shows(e, "b/in") {
		t.Error("not moved")
	}
	want(t, mount(e, "a", "c", "", linux.MS_MOVE), errno.EINVAL, "what is no mount point")
}

func TestPropagation(t *testing.T) {
	e := newEnv(t)
	want(t, mount(e, "none", "a", "tmpfs", 0), 0, "mount")
	want(t, mount(e, "", "a", "", linux.MS_SHARED), 0, "share")
	e.Mkdir("a/p", 0o755)
	want(t, mount(e, "a", "b", "", linux.MS_BIND), 0, "peer")
	want(t, mount(e, "a", "c", "", linux.MS_BIND), 0, "slave to be")
	want(t, mount(e, "", "c", "", linux.MS_SLAVE), 0, "slave")
	want(t, mount(e, "none", "a/p", "tmpfs", 0), 0, "mount")
	e.WriteFile("a/p/f", "")
	if !shows(e, "b/p/f") || !shows(e, "c/p/f") {
		t.Error("a mount does not reach peer and slave")
	}
	want(t, e.FS.Umount(e.C, "b/p", 0), 0, "umount at the peer")
	if shows(e, "a/p/f") || shows(e, "c/p/f") {
		t.Error("an umount does not reach peer and slave")
	}
	want(t, mount(e, "none", "c/p", "tmpfs", 0), 0, "mount at the slave")
	e.WriteFile("c/p/g", "")
	if shows(e, "a/p/g") || shows(e, "b/p/g") {
		t.Error("a slave's mount reaches its master")
	}
	want(t, mount(e, "", "b", "", linux.MS_UNBINDABLE), 0, "unbindable")
	want(t, mount(e, "b", "a/p", "", linux.MS_BIND), errno.EINVAL, "bind of an unbindable one")
	want(t, mount(e, "", "a", "", linux.MS_SHARED|linux.MS_PRIVATE), errno.EINVAL, "two kinds")
}

func TestNamespaceCopyIsSeparate(t *testing.T) {
	e := newEnv(t)
	want(t, mount(e, "none", "a", "tmpfs", 0), 0, "mount")
	e.WriteFile("a/f", "")
	want(t, e.FS.Chdir(e.C, "a"), 0, "chdir")
	other := *e
	other.FS = e.FS.Fork()
	defer other.FS.DecRef()
	other.FS.Unshare(e.C.Creds().UserNS)
	want(t, other.FS.Chdir(e.C, "/"), 0, "chdir")
	want(t, other.FS.Umount(e.C, "/a", 0), 0, "umount in the copy")
	if shows(&other, "/a/f") || !shows(e, "/a/f") || !shows(e, "f") {
		t.Error("the copy is not separate")
	}
	want(t, mount(&other, "none", "/b", "tmpfs", 0), 0, "mount in the copy")
	other.WriteFile("/b/g", "")
	if shows(e, "/b/g") {
		t.Error("a mount in the copy shows in the original")
	}
	want(t, e.FS.Umount(e.C, "/b", 0), errno.EINVAL, "umount of what only the copy has")
}

func TestPivotRoot(t *testing.T) {
	e := newEnv(t)
	want(t, mount(e, "none", "a", "tmpfs", 0), 0, "mount")
	e.Mkdir("a/old", 0o755)
	e.WriteFile("a/new", "")
	e.WriteFile("orig", "")
	nobody := func(func(*vfs.FSContext)) {}
	want(t, e.FS.PivotRoot(e.C, "b", "b", nobody), errno.EBUSY, "what is no mount point")
	want(t, e.FS.PivotRoot(e.C, "a", "b", nobody), errno.EINVAL, "put_old elsewhere")
	want(t, e.FS.PivotRoot(e.C, "a", "a/old", nobody), 0, "pivot_root")
	if !shows(e, "/new") || !shows(e, "/old/orig") || shows(e, "/orig") {
		t.Error("the root did not change")
	}
	want(t, e.FS.Chdir(e.C, "/"), 0, "chdir")
	want(t, e.FS.Umount(e.C, "/old", linux.MNT_DETACH), 0, "umount of the old root")
	if shows(e, "/old/orig") {
		t.Error("the old root is still there")
	}
}

func TestMountFlagsHold(t *testing.T) {
	e := newEnv(t)
	want(t, mount(e, "none", "a", "tmpfs", linux.MS_NODEV|linux.MS_NOEXEC|linux.MS_NOSYMFOLLOW), 0, "mount")
	e.World.RegisterDevice(linux.S_IFCHR, 1, 3, func(vfs.Context, vfs.Inode, vfs.Path, linux.OpenFlags) (vfs.File, error) {
		return nil, errno.EIO
	})
	e.Mknod("a/null", linux.S_IFCHR|0o666, linux.NewDev(1, 3))
	_, err := e.Open("a/null", linux.O_RDONLY, 0)
	want(t, err, errno.EACCES, "device on nodev")
	e.Mknod("b/null", linux.S_IFCHR|0o666, linux.NewDev(1, 3))
	_, err = e.Open("b/null", linux.O_RDONLY, 0)
	want(t, err, errno.EIO, "device elsewhere")
	e.WriteFile("a/prog", "")
	e.Chmod("a/prog", 0o755)
	want(t, e.WithPath("a/prog", func(p vfs.Path) error { return vfs.Check(e.C, p, vfs.MayExec) }), errno.EACCES, "noexec")
	e.Symlink("prog", "a/link")
	_, err = e.Open("a/link", linux.O_RDONLY, 0)
	want(t, err, errno.ELOOP, "link on nosymfollow")
}

func TestResolveFlags(t *testing.T) {
	e := newEnv(t)
	want(t, mount(e, "none", "a", "tmpfs", 0), 0, "mount")
	e.WriteFile("a/f", "")
	e.WriteFile("b/f", "")
	e.Symlink("/b/f", "b/abs")
	e.Symlink("f", "b/rel")
	e.Symlink("../b/f", "b/up")
	for _, c := range []struct {
		dir, path string
		rules     uint64
		want      errno.Errno
	}{
		{"/b", "f", linux.RESOLVE_BENEATH, 0},
		{"/b", "rel", linux.RESOLVE_BENEATH, 0},
		{"/b", "abs", linux.RESOLVE_BENEATH, errno.EXDEV},
		{"/b", "up", linux.RESOLVE_BENEATH, errno.EXDEV},
		{"/b", "/f", linux.RESOLVE_BENEATH, errno.EXDEV},
		{"/b", "../b/f", linux.RESOLVE_BENEATH, errno.EXDEV},
		{"/b", "/f", linux.RESOLVE_IN_ROOT, 0},
		{"/b", "../f", linux.RESOLVE_IN_ROOT, 0},
		{"/b", "abs", linux.RESOLVE_IN_ROOT, errno.ENOENT},
		{"/b", "rel", linux.RESOLVE_NO_SYMLINKS, errno.ELOOP},
		{"/", "a/f", linux.RESOLVE_NO_XDEV, errno.EXDEV},
		{"/", "b/f", linux.RESOLVE_NO_XDEV, 0},
		{"/a", "../b/f", linux.RESOLVE_NO_XDEV, errno.EXDEV},
		{"/b", "f", linux.RESOLVE_CACHED, 0},
		{"/b", "unknown", linux.RESOLVE_CACHED, errno.EAGAIN},
	} {
		dir := e.MustOpen(c.dir, linux.O_PATH, 0)
		n := e.FS.NameAt(dir, c.path)
		d, err := vfs.Open(e.C, n, vfs.OpenHow{Resolve: c.rules})
		n.Release()
		want(t, err, c.want, c.dir+" "+c.path)
		if err == nil {
			d.DecRef()
		}
	}
}

func TestMountsAreBounded(t *testing.T) {
	e := newEnv(t)
	want(t, mount(e, "", "/", "", linux.MS_SHARED), 0, "share")
	var err error
	for range 30 { // each doubles the mounts
		if err = mount(e, "/", "a", "", linux.MS_BIND|linux.MS_REC); err != nil {
			break
		}
	}
	want(t, err, errno.ENOSPC, "binding the tree into itself for ever")
}
