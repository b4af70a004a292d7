package goferfs

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/gofer/server"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

// env is a tree of a temporary directory, served in this process, as the root
// of a mount namespace.
type env struct {
	testing.TB
	*vfstest.Context
	dir string
	fs  *FS
	at  *vfs.FSContext
}

func newEnv(t testing.TB, o Options, adjust func(*server.Tree, *server.Config)) *env {
	t.Helper()
	return newEnvAt(t, t.TempDir(), o, adjust)
}

func newEnvAt(t testing.TB, dir string, o Options, adjust func(*server.Tree, *server.Config)) *env {
	t.Helper()
	w := vfs.NewWorld()
	o.Name = "/"
	o.Log = func(line string) { t.Log(line) }
	fs, err := New(w, serve(t, dir, adjust), o)
	if err != nil {
		t.Fatal(err)
	}
	e := &env{TB: t, Context: ownContext(), dir: dir, fs: fs}
	ns := w.NewNamespace(fs, "none", 0, e.Creds().UserNS)
	e.at = vfs.NewFSContext(ns)
	t.Cleanup(func() {
		e.at.DecRef()
		fs.Release()
	})
	return e
}

// serve serves dir and returns the client's end. At the end of the test no
// descriptor may be left.
func serve(t testing.TB, dir string, adjust func(*server.Tree, *server.Config)) int {
	t.Helper()
	before := openFDs(t)
	proc, err := server.OpenProcFD()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs, err := proto.Pair()
	if err != nil {
		t.Fatal(err)
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tree := server.Tree{Name: "/", Conn: theirs, RootFD: root, SquashOwner: true}
	cfg := server.Config{ProcFD: proc, Log: func(line string) { t.Log(line) }}
	if adjust != nil {
		adjust(&tree, &cfg)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(context.Background(), cfg, []server.Tree{tree}) }()
	t.Cleanup(func() {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the server did not end")
		}
		unix.Close(proc)
		if after := openFDs(t); after > before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
	return ours
}

func TestSuite(t *testing.T) {
	for name, caching := range map[string]Caching{"exclusive": Exclusive, "relaxed": Relaxed, "shared": Shared} {
		t.Run(name, func(t *testing.T) {
			vfstest.Run(t, func(t *testing.T, w *vfs.World) vfs.FileSystem {
				conn := serve(t, t.TempDir(), func(tree *server.Tree, _ *server.Config) {
					tree.Allow = server.AllowDevices | server.AllowWhiteouts
				})
				fs, err := New(w, conn, Options{Name: "/", Caching: caching, Log: func(line string) { t.Log(line) }})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(fs.Release)
				return fs
			}, lacks(t)...)
		})
	}
}

// lacks probes the temporary directory.
func lacks(t *testing.T) (l []vfstest.Lack) {
	dir := t.TempDir()
	if os.Getuid() != 0 {
		l = append(l, vfstest.LacksOwners, vfstest.LacksNodes)
	}
	if unix.Setxattr(dir, "user.probe", nil, 0) != nil {
		l = append(l, vfstest.LacksXattrs)
	}
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
	if err != nil {
		return append(l, vfstest.LacksTmpfile, vfstest.LacksHoles)
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, []byte("x"), 1<<20); err != nil {
		t.Fatal(err)
	}
	if at, err := unix.Seek(fd, 0, unix.SEEK_DATA); err != nil || at == 0 {
		l = append(l, vfstest.LacksHoles)
	}
	return l
}

// ownContext is a task of the user who runs the test, with all capabilities.
func ownContext() *vfstest.Context {
	c := vfstest.NewContext().Creds().Copy()
	c.UID, c.EUID, c.FSUID = cred.KUID(os.Getuid()), cred.KUID(os.Getuid()), cred.KUID(os.Getuid())
	c.GID, c.EGID, c.FSGID = cred.KGID(os.Getgid()), cred.KGID(os.Getgid()), cred.KGID(os.Getgid())
	return vfstest.NewContextAs(c)
}

func openFDs(t testing.TB) int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// host writes a file beneath the Sentry's back.
func (e *env) host(name, content string) {
	e.Helper()
	path := e.dir + "/" + name
	if err := os.MkdirAll(path[:strings.LastIndexByte(path, '/')], 0o755); err != nil {
		e.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		e.Fatal(err)
	}
}

// onHost reads a file as the host has it.
func (e *env) onHost(name string) string {
	e.Helper()
	b, err := os.ReadFile(e.dir + "/" + name)
	if err != nil {
		e.Fatal(err)
	}
	return string(b)
}

func named[T any](e *env, path string, f func(vfs.Name) (T, error)) (T, error) {
	n := e.at.Name(path)
	defer n.Release()
	return f(n)
}

func (e *env) do(path string, f func(vfs.Name) error) error {
	n := e.at.Name(path)
	defer n.Release()
	return f(n)
}

func (e *env) tryOpen(path string, flags linux.OpenFlags) (*vfs.Description, error) {
	return named(e, path, func(n vfs.Name) (*vfs.Description, error) {
		return vfs.Open(e, n, vfs.OpenHow{Flags: flags, Mode: 0o644})
	})
}

func (e *env) open(path string, flags linux.OpenFlags) *vfs.Description {
	e.Helper()
	d, err := e.tryOpen(path, flags)
	if err != nil {
		e.Fatalf("open %s: %v", path, err)
	}
	return d
}

func (e *env) stat(path string) (linux.Statx, error) {
	return named(e, path, func(n vfs.Name) (linux.Statx, error) {
		p, err := vfs.Resolve(e, n, vfs.How{Follow: vfs.NoFollow})
		if err != nil {
			return linux.Statx{}, err
		}
		defer p.DecRef()
		return vfs.Stat(e, p, linux.STATX_BASIC_STATS)
	})
}

func (e *env) mustStat(path string) linux.Statx {
	e.Helper()
	s, err := e.stat(path)
	if err != nil {
		e.Fatalf("stat %s: %v", path, err)
	}
	return s
}

func (e *env) read(path string) string {
	e.Helper()
	d := e.open(path, linux.O_RDONLY)
	defer d.DecRef()
	return e.readAll(d)
}

func (e *env) readAll(d *vfs.Description) string {
	e.Helper()
	b := make([]byte, 1<<20)
	n, err := d.Read(e, usermem.OwnBuffer(b), 0, vfs.Wait)
	if err != nil {
		e.Fatal(err)
	}
	return string(b[:n])
}

func (e *env) write(d *vfs.Description, s string, off int64) {
	e.Helper()
	n, err := d.Write(e, usermem.OwnBuffer([]byte(s)), off, vfs.Wait)
	if n != int64(len(s)) || err != nil {
		e.Fatalf("write: %d, %v", n, err)
	}
}

func (e *env) list(path string) []string {
	e.Helper()
	d := e.open(path, linux.O_RDONLY|linux.O_DIRECTORY)
	defer d.DecRef()
	var names []string
	if err := d.ReadDir(e, func(entry vfs.Dirent) bool {
		names = append(names, entry.Name)
		return true
	}); err != nil {
		e.Fatal(err)
	}
	return names
}

func (e *env) want(what string, err error, want errno.Errno) {
	e.Helper()
	if errno.Of(err) != want {
		e.Errorf("%s: %v, want %v", what, err, want)
	}
}

// asks checks how many questions f asks.
func (e *env) asks(what string, want uint64, f func()) {
	e.Helper()
	before := e.fs.client.Asked()
	f()
	if got := e.fs.client.Asked() - before; got != want {
		e.Errorf("%s asked %d questions, want %d", what, got, want)
	}
}

func TestSecondOpenAndStatAskNobody(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	e.host("a/b/file", "hello")
	e.asks("first open", 1, func() {
		if got := e.read("/a/b/file"); got != "hello" {
			t.Errorf("content %q", got)
		}
	})
	e.asks("second open", 0, func() { e.read("/a/b/file") })
	e.asks("stat", 0, func() { e.mustStat("/a/b/file") })
	e.asks("absent name", 1, func() {
		for range 3 {
			_, err := e.stat("/a/b/none")
			e.want("stat", err, errno.ENOENT)
		}
	})
	e.host("a/b/other", "")
	e.asks("first open for writing, and again", 1, func() {
		e.open("/a/b/other", linux.O_WRONLY|linux.O_CREAT).DecRef()
		e.open("/a/b/other", linux.O_RDWR).DecRef()
	})
	e.host("a/b/listed", "x")
	e.list("/a/b")
	e.asks("first open of a file that was listed", 1, func() { e.read("/a/b/listed") })
}

func TestWritesAreOnTheHostAtOnce(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	d := e.open("/new", linux.O_CREAT|linux.O_RDWR|linux.O_EXCL)
	defer d.DecRef()
	e.write(d, "hello world", vfs.CurrentOffset)
	if got := e.onHost("new"); got != "hello world" {
		t.Errorf("on the host %q", got)
	}
	s := e.mustStat("/new")
	if s.Size != 11 || s.Mode != linux.S_IFREG|0o644&^0o022|0o44 {
		t.Errorf("%+v", s)
	}
	if err := d.Truncate(e, 5); err != nil {
		t.Error(err)
	}
	if got, size := e.onHost("new"), e.mustStat("/new").Size; got != "hello" || size != 5 {
		t.Errorf("after truncation %q, size %d", got, size)
	}
	_, err := e.tryOpen("/new", linux.O_CREAT|linux.O_EXCL|linux.O_RDWR)
	e.want("create again", err, errno.EEXIST)
	e.open("/new", linux.O_WRONLY|linux.O_TRUNC).DecRef()
	if got := e.onHost("new"); got != "" {
		t.Errorf("after O_TRUNC %q", got)
	}
}

func TestLargeReadAndWrite(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	d := e.open("/big", linux.O_CREAT|linux.O_RDWR)
	defer d.DecRef()
	content := strings.Repeat("0123456789abcdef", 50_000)
	e.write(d, content, vfs.CurrentOffset)
	if got := e.readAll(d); got != content {
		t.Errorf("%d bytes read, %d written", len(got), len(content))
	}
	b := make([]byte, 16)
	n, err := d.Read(e, usermem.OwnBuffer(b), int64(len(content))-4, vfs.Wait)
	if n != 4 || err != nil {
		t.Errorf("read over the end: %d, %v", n, err)
	}
}

func TestAppendsOfManyAreWhole(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	e.host("log", "")
	const writers, lines = 4, 50
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			d := e.open("/log", linux.O_WRONLY|linux.O_APPEND)
			defer d.DecRef()
			for range lines {
				e.write(d, fmt.Sprintf("line of %d\n", w), vfs.CurrentOffset)
			}
		})
	}
	all.Wait()
	for _, line := range strings.Split(strings.TrimSpace(e.onHost("log")), "\n") {
		if len(line) != len("line of 0") {
			t.Fatalf("torn line %q", line)
		}
	}
	if size := e.mustStat("/log").Size; size != writers*lines*10 {
		t.Errorf("size %d", size)
	}
}

func TestUnlinkedFileStaysUsable(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	e.host("file", "kept")
	e.host("other", "x")
	d := e.open("/file", linux.O_RDWR)
	defer d.DecRef()
	if err := e.do("/file", func(n vfs.Name) error { return vfs.Unlink(e, n) }); err != nil {
		t.Fatal(err)
	}
	_, err := e.stat("/file")
	e.want("stat", err, errno.ENOENT)
	e.host("file", "another") // may get the same number on the host
	if got := e.readAll(d); got != "kept" {
		t.Errorf("content %q", got)
	}
	s, err := vfs.Stat(e, d.Path(), linux.STATX_BASIC_STATS)
	if err != nil || s.Nlink != 0 {
		t.Errorf("links %d, %v", s.Nlink, err)
	}
	if err := vfs.Chmod(e, d.Path(), 0o600, d.File()); err != nil {
		t.Errorf("chmod of an unlinked file: %v", err)
	}
}

func TestRename(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	e.host("d1/file", "moved")
	e.host("d2/victim", "replaced")
	victim := e.open("/d2/victim", linux.O_RDONLY)
	defer victim.DecRef()
	rename := func(from, to string, flags uint32) error {
		return e.do(from, func(a vfs.Name) error {
			return e.do(to, func(b vfs.Name) error { return vfs.Rename(e, a, b, flags) })
		})
	}
	if err := rename("/d1/file", "/d2/victim", 0); err != nil {
		t.Fatal(err)
	}
	if got := e.read("/d2/victim"); got != "moved" {
		t.Errorf("content %q", got)
	}
	if got := e.readAll(victim); got != "replaced" {
		t.Errorf("the victim's content %q", got)
	}
	_, err := e.stat("/d1/file")
	e.want("old name", err, errno.ENOENT)
	e.want("rename a directory into itself", rename("/d1", "/d1/x", 0), errno.EINVAL)
	if err := rename("/d1", "/d2/sub", 0); err != nil {
		t.Fatal(err)
	}
	e.host("d2/sub/later", "x")
	if got := e.read("/d2/sub/later"); got != "x" {
		t.Errorf("content %q", got)
	}
	if err := rename("/d2/victim", "/d2/sub", linux.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	if got := e.read("/d2/victim/later") + e.read("/d2/sub"); got != "xmoved" {
		t.Errorf("after the exchange %q", got)
	}
}

func TestUnboundInodesAreFoundAgain(t *testing.T) {
	e := newEnv(t, Options{}, func(_ *server.Tree, c *server.Config) { c.MaxNodes = 64 })
	const count = 100
	for i := range count {
		e.host(fmt.Sprintf("d%d/s/file", i), fmt.Sprint(i))
	}
	for i := range count {
		e.mustStat(fmt.Sprintf("/d%d/s/file", i))
	}
	// Moved and linked while unbound.
	if err := e.do("/d0/s", func(a vfs.Name) error {
		return e.do("/moved", func(b vfs.Name) error { return vfs.Rename(e, a, b, 0) })
	}); err != nil {
		t.Fatal(err)
	}
	if err := e.do("/d1/s/file", func(a vfs.Name) error {
		return e.do("/second", func(b vfs.Name) error { return vfs.Link(e, a, vfs.How{}, b) })
	}); err != nil {
		t.Fatal(err)
	}
	if err := e.do("/d1/s/file", func(n vfs.Name) error { return vfs.Unlink(e, n) }); err != nil {
		t.Fatal(err)
	}
	if got := e.read("/moved/file") + e.read("/second"); got != "01" {
		t.Errorf("content %q", got)
	}
	for i := 2; i < count; i++ {
		if got := e.read(fmt.Sprintf("/d%d/s/file", i)); got != fmt.Sprint(i) {
			t.Fatalf("file %d holds %q", i, got)
		}
	}
	st := e.fs.state.Lock()
	defer e.fs.state.Unlock()
	if st.bound > 64 {
		t.Errorf("%d inodes are bound", st.bound)
	}
}

func TestListingAnswersLookups(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	const count = 200
	for i := range count {
		e.host(fmt.Sprintf("d/%03d", i), fmt.Sprint(i))
	}
	if names := e.list("/d"); len(names) != count+2 || names[0] != "." || names[1] != ".." {
		t.Fatalf("%d names: %q", len(names), names)
	}
	e.asks("stat of all, absent names, and the listing again", 0, func() {
		for i := range count {
			if s := e.mustStat(fmt.Sprintf("/d/%03d", i)); s.Size != uint64(len(fmt.Sprint(i))) {
				t.Errorf("file %d: %+v", i, s)
			}
			_, err := e.stat(fmt.Sprintf("/d/none%d", i))
			e.want("absent", err, errno.ENOENT)
		}
		e.list("/d")
	})
	if err := e.do("/d/000", func(n vfs.Name) error { return vfs.Unlink(e, n) }); err != nil {
		t.Fatal(err)
	}
	e.open("/d/new", linux.O_CREAT|linux.O_WRONLY).DecRef()
	if names := e.list("/d"); len(names) != count+2 {
		t.Errorf("%d names after a removal and a creation", len(names))
	}
	if got := e.read("/d/001"); got != "1" {
		t.Errorf("content %q", got)
	}
}

func TestManyLookupsListTheDirectory(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	const count = 100
	for i := range count {
		e.host(fmt.Sprintf("d/%03d", i), fmt.Sprint(i))
	}
	before := e.fs.client.Asked()
	for i := range count {
		e.mustStat(fmt.Sprintf("/d/%03d", i))
		_, err := e.stat(fmt.Sprintf("/d/none%d", i))
		e.want("absent", err, errno.ENOENT)
	}
	if asked := e.fs.client.Asked() - before; asked > 2*missesToList {
		t.Errorf("%d questions", asked)
	}
	// What changes afterwards must not be hidden by what the listing said.
	for _, name := range []string{"none1", "zzz"} {
		e.open("/d/"+name, linux.O_CREAT|linux.O_WRONLY).DecRef()
	}
	for _, step := range [][2]string{{"/d/050", "/d/moved"}, {"/d/zzz", "/d/051"}, {"/d/none1", "/d/050"}} {
		if err := e.do(step[0], func(a vfs.Name) error {
			return e.do(step[1], func(b vfs.Name) error { return vfs.Rename(e, a, b, 0) })
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, size := range map[string]int64{"050": 0, "051": 0, "052": 2, "moved": 2, "zzz": -1, "none1": -1} {
		s, err := e.stat("/d/" + name)
		if size < 0 {
			e.want(name, err, errno.ENOENT)
		} else if err != nil || s.Size != uint64(size) {
			t.Errorf("%s: size %d, %v", name, s.Size, err)
		}
	}
	if names := e.list("/d"); len(names) != count+3 {
		t.Errorf("%d names", len(names))
	}
}

func TestRemoveWhileListing(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	for i := range 100 {
		e.host(fmt.Sprintf("d/%03d", i), "")
	}
	d := e.open("/d", linux.O_RDONLY|linux.O_DIRECTORY)
	removed := 0
	for more := true; more; {
		more = false
		var batch []string
		if err := d.ReadDir(e, func(entry vfs.Dirent) bool {
			if len(batch) == 7 {
				return false
			}
			batch = append(batch, entry.Name)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		for _, name := range batch {
			more = true
			if name == "." || name == ".." {
				continue
			}
			removed++
			e.want("unlink "+name, e.do("/d/"+name, func(n vfs.Name) error { return vfs.Unlink(e, n) }), 0)
		}
	}
	d.DecRef()
	e.want("rmdir", e.do("/d", func(n vfs.Name) error { return vfs.Rmdir(e, n) }), 0)
	if removed != 100 {
		t.Errorf("%d removed", removed)
	}
}

func TestSharedTreeSeesTheHost(t *testing.T) {
	e := newEnv(t, Options{Caching: Shared}, nil)
	e.host("d/file", "one")
	if got := e.read("/d/file"); got != "one" {
		t.Errorf("content %q", got)
	}
	_, err := e.stat("/d/later")
	e.want("absent", err, errno.ENOENT)
	e.host("d/later", "two")
	e.host("d/file", "longer")
	if got, size := e.read("/d/later"), e.mustStat("/d/file").Size; got != "two" || size != 6 {
		t.Errorf("content %q, size %d", got, size)
	}
	held := e.open("/d/file", linux.O_RDONLY)
	defer held.DecRef()
	if err := os.Rename(e.dir+"/d/later", e.dir+"/d/file"); err != nil {
		t.Fatal(err)
	}
	if got := e.read("/d/file") + e.readAll(held); got != "twolonger" {
		t.Errorf("content %q", got)
	}
	if err := os.RemoveAll(e.dir + "/d"); err != nil {
		t.Fatal(err)
	}
	_, err = e.stat("/d/file")
	e.want("removed on the host", err, errno.ENOENT)
	if names := e.list("/"); len(names) != 2 {
		t.Errorf("names %q", names)
	}
}

func TestRelaxedTreeAsksOnceInAWhile(t *testing.T) {
	e := newEnv(t, Options{Caching: Relaxed}, nil)
	for i := range 50 {
		e.host(fmt.Sprintf("d/%02d", i), "x")
	}
	e.list("/d")
	e.asks("what was listed", 0, func() {
		for i := range 50 {
			e.mustStat(fmt.Sprintf("/d/%02d", i))
			_, err := e.stat(fmt.Sprintf("/d/none%d", i))
			e.want("stat", err, errno.ENOENT)
		}
	})
	e.host("d/new", "longer")
	e.host("d/00", "longer")
	for _, name := range []string{"/d/01", "/d/03"} {
		if err := os.Remove(e.dir + name); err != nil {
			t.Fatal(err)
		}
	}
	e.host("d/03", "another file")
	if got := e.read("/d/03"); got != "another file" {
		t.Errorf("a file that was replaced while it was only listed holds %q", got)
	}
	// Our own changes are seen at once, whatever was believed.
	d := e.open("/d/02", linux.O_WRONLY|linux.O_APPEND)
	e.write(d, "yz", vfs.CurrentOffset)
	d.DecRef()
	if size := e.mustStat("/d/02").Size; size != 3 {
		t.Errorf("size %d after our own write", size)
	}
	e.fs.Distrust()
	for name, size := range map[string]uint64{"new": 6, "00": 6, "02": 3} {
		if s := e.mustStat("/d/" + name); s.Size != size {
			t.Errorf("%s: size %d, want %d", name, s.Size, size)
		}
	}
	_, err := e.stat("/d/01")
	e.want("removed on the host", err, errno.ENOENT)
}

func TestSymlinkAndMetadata(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	e.host("dir/file", "through")
	if err := e.do("/link", func(n vfs.Name) error { return vfs.MakeSymlink(e, n, "dir/../dir/file") }); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(e.dir + "/link"); target != "dir/../dir/file" {
		t.Errorf("on the host %q, %v", target, err)
	}
	if got := e.read("/link"); got != "through" {
		t.Errorf("content %q", got)
	}
	if err := os.Symlink("/dir/file", e.dir+"/dir/abs"); err != nil {
		t.Fatal(err)
	}
	if got := e.read("/dir/abs"); got != "through" {
		t.Errorf("content %q: an absolute link must start at the container's root", got)
	}
	p, err := named(e, "/dir/file", func(n vfs.Name) (vfs.Path, error) { return vfs.Resolve(e, n, vfs.How{}) })
	if err != nil {
		t.Fatal(err)
	}
	defer p.DecRef()
	if err := vfs.Chmod(e, p, 0o604, nil); err != nil {
		t.Error(err)
	}
	times := vfs.Times{SetATime: vfs.TimeGiven, SetMTime: vfs.TimeGiven, MTime: linux.Timespec{Sec: 77, Nsec: 3}}
	if err := vfs.Utimes(e, p, times, nil); err != nil {
		t.Error(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(e.dir+"/dir/file", &st); err != nil {
		t.Fatal(err)
	}
	s := e.mustStat("/dir/file")
	if st.Mode&0o777 != 0o604 || st.Mtim.Sec != 77 || s.Mode&0o777 != 0o604 || s.MTime.Sec != 77 || s.MTime.Nsec != 3 {
		t.Errorf("on the host %+v, inside %+v", st, s)
	}
	f, err := vfs.Statfs(e, p)
	if err != nil || f.Blocks == 0 || f.Namelen == 0 {
		t.Errorf("statfs %+v, %v", f, err)
	}
}

func TestXattr(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	e.host("file", "")
	p, err := named(e, "/file", func(n vfs.Name) (vfs.Path, error) { return vfs.Resolve(e, n, vfs.How{}) })
	if err != nil {
		t.Fatal(err)
	}
	defer p.DecRef()
	err = vfs.SetXattr(e, p, "user.x", []byte("v"), 0)
	if err == errno.EOPNOTSUPP {
		t.Skip("the file system of the temporary directory has no user attributes")
	}
	e.want("set", err, 0)
	v, err := vfs.GetXattr(e, p, "user.x")
	if string(v) != "v" || err != nil {
		t.Errorf("get %q, %v", v, err)
	}
	e.host("plain", "")
	plain, err := named(e, "/plain", func(n vfs.Name) (vfs.Path, error) { return vfs.Resolve(e, n, vfs.How{}) })
	if err != nil {
		t.Fatal(err)
	}
	defer plain.DecRef()
	e.asks("a file without any", 1, func() {
		for range 3 {
			_, err := vfs.GetXattr(e, plain, "security.capability")
			e.want("get", err, errno.ENODATA)
		}
	})
	names, err := vfs.ListXattr(e, p)
	if err != nil || !strings.Contains(strings.Join(names, " "), "user.x") {
		t.Errorf("list %q, %v", names, err)
	}
	e.want("remove", vfs.RemoveXattr(e, p, "user.x"), 0)
	_, err = vfs.GetXattr(e, p, "user.x")
	e.want("get", err, errno.ENODATA)
}

func TestMappingsGetNoMoreRightsThanAsked(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	e.host("file", "x")
	d := e.open("/file", linux.O_RDWR)
	defer d.DecRef()
	for access, mode := range map[vfs.MapAccess]int{vfs.MapRead: unix.O_RDONLY, vfs.MapReadWrite: unix.O_RDWR} {
		fd, err := d.MapFD(e, access)
		if err != nil {
			t.Fatal(err)
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_ACCMODE != mode {
			t.Errorf("access %d: flags %#x, %v", access, flags, err)
		}
	}
	r := e.open("/file", linux.O_RDONLY)
	defer r.DecRef()
	_, err := r.MapFD(e, vfs.MapReadWrite)
	e.want("map a file opened for reading", err, errno.EACCES)
}

func TestDescriptorBudget(t *testing.T) {
	e := newEnv(t, Options{MaxFDs: 8}, nil)
	for i := range 40 {
		e.host(fmt.Sprintf("%d", i), fmt.Sprint(i))
	}
	for i := range 40 {
		if got := e.read(fmt.Sprintf("/%d", i)); got != fmt.Sprint(i) {
			t.Fatalf("file %d holds %q", i, got)
		}
	}
	c := e.fs.fds.Lock()
	defer e.fs.fds.Unlock()
	if c.idle != 8 {
		t.Errorf("%d descriptors are kept", c.idle)
	}
}

func TestTreeThatIsOneFile(t *testing.T) {
	path := t.TempDir() + "/resolv.conf"
	if err := os.WriteFile(path, []byte("nameserver"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := newEnvAt(t, path, Options{Caching: Shared}, nil)
	if got := e.read("/"); got != "nameserver" {
		t.Errorf("content %q", got)
	}
}

func TestReadOnlyTree(t *testing.T) {
	e := newEnv(t, Options{}, func(tree *server.Tree, _ *server.Config) { tree.ReadOnly = true })
	e.host("file", "x")
	_, err := e.tryOpen("/file", linux.O_RDWR)
	e.want("open", err, errno.EROFS)
	_, err = e.tryOpen("/new", linux.O_CREAT|linux.O_RDWR)
	e.want("create", err, errno.EROFS)
	e.want("unlink", e.do("/file", func(n vfs.Name) error { return vfs.Unlink(e, n) }), errno.EROFS)
	if got := e.read("/file"); got != "x" {
		t.Errorf("content %q", got)
	}
}

func TestTmpfileAndLink(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	d, err := e.tryOpen("/", linux.O_TMPFILE|linux.O_RDWR)
	if err == errno.EOPNOTSUPP {
		t.Skip("the file system of the temporary directory has no O_TMPFILE")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.DecRef()
	e.write(d, "nameless", vfs.CurrentOffset)
	s, err := vfs.Stat(e, d.Path(), linux.STATX_BASIC_STATS)
	if err != nil || s.Nlink != 0 || s.Size != 8 {
		t.Errorf("%+v, %v", s, err)
	}
	old := e.at.NameAt(d, "")
	old.Empty = vfs.EmptyIsDir
	defer old.Release()
	if err := e.do("/named", func(n vfs.Name) error { return vfs.Link(e, old, vfs.How{}, n) }); err != nil {
		t.Fatal(err)
	}
	if got := e.onHost("named"); got != "nameless" {
		t.Errorf("content %q", got)
	}
}

func TestSparseSeekAndAllocate(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	d := e.open("/f", linux.O_CREAT|linux.O_RDWR)
	defer d.DecRef()
	e.write(d, "x", 1<<20)
	if n, err := d.Seek(e, 0, linux.SEEK_END); n != 1<<20+1 || err != nil {
		t.Errorf("SEEK_END: %d, %v", n, err)
	}
	if n, err := d.Seek(e, 0, linux.SEEK_DATA); n > 1<<20 || err != nil {
		t.Errorf("SEEK_DATA: %d, %v", n, err)
	}
	_, err := d.Seek(e, 1<<30, linux.SEEK_DATA)
	e.want("SEEK_DATA behind the end", err, errno.ENXIO)
	if a, ok := d.File().(vfs.Allocator); ok {
		err := a.Allocate(e, 0, 0, 2<<20)
		if err != nil && err != errno.EOPNOTSUPP {
			t.Error(err)
		}
		if size := e.mustStat("/f").Size; err == nil && size != 2<<20 {
			t.Errorf("size %d after fallocate", size)
		}
	}
}

func TestManyTasksAtOnce(t *testing.T) {
	e := newEnv(t, Options{MaxFDs: 4}, func(_ *server.Tree, c *server.Config) { c.MaxNodes = 40 })
	for i := range 20 {
		e.host(fmt.Sprintf("d%d/file", i), fmt.Sprint(i))
	}
	var all sync.WaitGroup
	for w := range 8 {
		c := *e
		c.Context = ownContext()
		all.Go(func() {
			for i := range 60 {
				n := (i*7 + w) % 20
				if got := c.read(fmt.Sprintf("/d%d/file", n)); got != fmt.Sprint(n) {
					t.Errorf("file %d holds %q", n, got)
				}
				own := fmt.Sprintf("/d%d/w%d", n, w)
				f := c.open(own, linux.O_CREAT|linux.O_RDWR)
				c.write(f, own, vfs.CurrentOffset)
				f.DecRef()
				if got := c.read(own); got != own {
					t.Errorf("%s holds %q", own, got)
				}
				c.want("unlink", c.do(own, func(n vfs.Name) error { return vfs.Unlink(c, n) }), 0)
			}
		})
	}
	all.Wait()
}

func BenchmarkOpenCached(b *testing.B) {
	e := newEnv(b, Options{}, nil)
	e.host("a/b/file", "hello")
	for b.Loop() {
		e.open("/a/b/file", linux.O_RDONLY).DecRef()
	}
}

func BenchmarkRead4K(b *testing.B) {
	e := newEnv(b, Options{}, nil)
	e.host("file", strings.Repeat("x", 4096))
	d := e.open("/file", linux.O_RDONLY)
	defer d.DecRef()
	buf := make([]byte, 4096)
	for b.Loop() {
		d.Read(e, usermem.OwnBuffer(buf), 0, vfs.Wait)
	}
}

func BenchmarkCreateWriteUnlink(b *testing.B) {
	e := newEnv(b, Options{}, nil)
	for b.Loop() {
		d := e.open("/new", linux.O_CREAT|linux.O_RDWR)
		e.write(d, "x", 0)
		d.DecRef()
		if err := e.do("/new", func(n vfs.Name) error { return vfs.Unlink(e, n) }); err != nil {
			b.Fatal(err)
		}
	}
}

func TestExecutedFileCannotBeWritten(t *testing.T) {
	e := newEnv(t, Options{}, nil)
	e.host("program", "x")
	p, err := named(e, "/program", func(n vfs.Name) (vfs.Path, error) { return vfs.Resolve(e, n, vfs.How{}) })
	if err != nil {
		t.Fatal(err)
	}
	defer p.DecRef()
	running, err := vfs.OpenExecutable(e, p)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.tryOpen("/program", linux.O_WRONLY)
	e.want("write to what runs", err, errno.ETXTBSY)
	running.DecRef()
	w := e.open("/program", linux.O_WRONLY)
	_, err = vfs.OpenExecutable(e, p)
	e.want("run what is open for writing", err, errno.ETXTBSY)
	w.DecRef()
	if running, err = vfs.OpenExecutable(e, p); err != nil {
		t.Fatal(err)
	}
	running.DecRef()
}
