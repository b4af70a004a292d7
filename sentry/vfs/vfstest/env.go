package vfstest

import (
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// RootCreds are those of root with every capability.
func RootCreds() *cred.Creds {
	return &cred.Creds{
		UserNS:    cred.NewRootUserNamespace(),
		Permitted: cred.AllCaps, Effective: cred.AllCaps, Bounding: cred.AllCaps,
	}
}

// UserCreds are those of an ordinary user.
func UserCreds(uid cred.KUID, gid cred.KGID) *cred.Creds {
	return &cred.Creds{
		UID: uid, EUID: uid, SUID: uid, FSUID: uid,
		GID: gid, EGID: gid, SGID: gid, FSGID: gid,
		UserNS: cred.NewRootUserNamespace(),
	}
}

// Env is a world with one file system at the root.
type Env struct {
	T     *testing.T
	World *vfs.World
	FS    *vfs.FSContext
	C     *Context
}

// NewEnv mounts what newFS makes.
func NewEnv(t *testing.T, newFS func(*testing.T, *vfs.World) vfs.FileSystem) *Env {
	t.Helper()
	w := vfs.NewWorld()
	return NewEnvIn(t, w, newFS(t, w))
}

// NewEnvIn is NewEnv in a world that exists.
func NewEnvIn(t *testing.T, w *vfs.World, fs vfs.FileSystem) *Env {
	t.Helper()
	root := RootCreds()
	ns := w.NewNamespace(fs, "test", 0, root.UserNS)
	e := &Env{T: t, World: w, FS: vfs.NewFSContext(ns), C: NewContextAs(root)}
	ns.DecRef()
	t.Cleanup(e.FS.DecRef)
	return e
}

// As is the same world for another user.
func (e *Env) As(cr *cred.Creds) *Env {
	f := *e
	f.C = NewContextAs(cr)
	return &f
}

// Name is path relative to the working directory.
func (e *Env) name(path string) (vfs.Name, func()) {
	n := e.FS.Name(path)
	return n, n.Release
}

// Open is open(2).
func (e *Env) Open(path string, flags linux.OpenFlags, mode linux.FileMode) (*vfs.Description, error) {
	n, release := e.name(path)
	defer release()
	return vfs.Open(e.C, n, vfs.OpenHow{Flags: flags, Mode: mode})
}

// MustOpen fails the test on an error, and closes the file at its end.
func (e *Env) MustOpen(path string, flags linux.OpenFlags, mode linux.FileMode) *vfs.Description {
	e.T.Helper()
	d, err := e.Open(path, flags, mode)
	if err != nil {
		e.T.Fatalf("open %s %v: %v", path, flags, err)
	}
	e.T.Cleanup(d.DecRef)
	return d
}

// Lookup finds path without following a link at its end.
func (e *Env) Lookup(path string) (vfs.Path, error) {
	n, release := e.name(path)
	defer release()
	return vfs.Resolve(e.C, n, vfs.How{Follow: vfs.NoFollow})
}

// WithPath calls f with what path leads to.
func (e *Env) WithPath(path string, f func(vfs.Path) error) error {
	p, err := e.Lookup(path)
	if err != nil {
		return err
	}
	defer p.DecRef()
	return f(p)
}

// Stat is lstat.
func (e *Env) Stat(path string) (s linux.Statx, err error) {
	err = e.WithPath(path, func(p vfs.Path) error {
		s, err = vfs.Stat(e.C, p, linux.STATX_ALL)
		return err
	})
	return s, err
}

// MustStat is lstat of what must exist.
func (e *Env) MustStat(path string) linux.Statx {
	e.T.Helper()
	s, err := e.Stat(path)
	if err != nil {
		e.T.Fatalf("stat %s: %v", path, err)
	}
	return s
}

// Mkdir is mkdir(2).
func (e *Env) Mkdir(path string, mode linux.FileMode) error {
	n, release := e.name(path)
	defer release()
	return vfs.Mkdir(e.C, n, mode)
}

// Mknod is mknod(2).
func (e *Env) Mknod(path string, mode linux.FileMode, dev linux.Dev) error {
	n, release := e.name(path)
	defer release()
	return vfs.Mknod(e.C, n, mode, dev)
}

// Symlink is symlink(2).
func (e *Env) Symlink(target, path string) error {
	n, release := e.name(path)
	defer release()
	return vfs.MakeSymlink(e.C, n, target)
}

// Readlink is readlink(2).
func (e *Env) Readlink(path string) (target string, err error) {
	err = e.WithPath(path, func(p vfs.Path) error {
		target, err = vfs.Readlink(e.C, p)
		return err
	})
	return target, err
}

// Link is link(2).
func (e *Env) Link(old, new string) error {
	o, release := e.name(old)
	defer release()
	n, release2 := e.name(new)
	defer release2()
	return vfs.Link(e.C, o, vfs.How{Follow: vfs.NoFollow}, n)
}

// Unlink is unlink(2).
func (e *Env) Unlink(path string) error {
	n, release := e.name(path)
	defer release()
	return vfs.Unlink(e.C, n)
}

// Rmdir is rmdir(2).
func (e *Env) Rmdir(path string) error {
	n, release := e.name(path)
	defer release()
	return vfs.Rmdir(e.C, n)
}

// Rename is renameat2(2).
func (e *Env) Rename(old, new string, flags uint32) error {
	o, release := e.name(old)
	defer release()
	n, release2 := e.name(new)
	defer release2()
	return vfs.Rename(e.C, o, n, flags)
}

// Chmod is chmod(2).
func (e *Env) Chmod(path string, mode linux.FileMode) error {
	return e.WithPath(path, func(p vfs.Path) error { return vfs.Chmod(e.C, p, mode, nil) })
}

// Chown is lchown(2).
func (e *Env) Chown(path string, uid cred.KUID, gid cred.KGID) error {
	return e.WithPath(path, func(p vfs.Path) error { return vfs.Chown(e.C, p, uid, gid, nil) })
}

// Truncate is truncate(2).
func (e *Env) Truncate(path string, size int64) error {
	return e.WithPath(path, func(p vfs.Path) error { return vfs.Truncate(e.C, p, size) })
}

// WriteFile makes a file with these bytes.
func (e *Env) WriteFile(path, data string) {
	e.T.Helper()
	d, err := e.Open(path, linux.O_WRONLY|linux.O_CREAT|linux.O_TRUNC, 0o644)
	if err != nil {
		e.T.Fatalf("create %s: %v", path, err)
	}
	defer d.DecRef()
	if n, err := Write(e.C, d, data, vfs.CurrentOffset); err != nil || n != len(data) {
		e.T.Fatalf("write %s: %d, %v", path, n, err)
	}
}

// ReadFile returns a file's bytes.
func (e *Env) ReadFile(path string) string {
	e.T.Helper()
	d, err := e.Open(path, linux.O_RDONLY, 0)
	if err != nil {
		e.T.Fatalf("open %s: %v", path, err)
	}
	defer d.DecRef()
	var all []byte
	for {
		s, err := Read(e.C, d, 64<<10, vfs.CurrentOffset)
		if err != nil {
			e.T.Fatalf("read %s: %v", path, err)
		}
		if s == "" {
			return string(all)
		}
		all = append(all, s...)
	}
}

// List returns the names of a directory without "." and "..".
func (e *Env) List(path string) []string {
	e.T.Helper()
	d, err := e.Open(path, linux.O_RDONLY|linux.O_DIRECTORY, 0)
	if err != nil {
		e.T.Fatalf("open %s: %v", path, err)
	}
	defer d.DecRef()
	var names []string
	err = d.ReadDir(e.C, func(x vfs.Dirent) bool {
		if x.Name != "." && x.Name != ".." {
			names = append(names, x.Name)
		}
		return true
	})
	if err != nil {
		e.T.Fatalf("list %s: %v", path, err)
	}
	return names
}

// Write writes data at off.
func Write(c vfs.Context, d *vfs.Description, data string, off int64) (int, error) {
	n, err := d.Write(c, usermem.OwnBuffer([]byte(data)), off, vfs.Wait)
	return int(n), err
}

// Read reads at most n bytes at off.
func Read(c vfs.Context, d *vfs.Description, n int, off int64) (string, error) {
	b := make([]byte, n)
	got, err := d.Read(c, usermem.OwnBuffer(b), off, vfs.Wait)
	return string(b[:got]), err
}
