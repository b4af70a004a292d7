package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/gofer/server"
)

// served is a tree being served in this process.
type served struct {
	*proto.Client
	dir  string
	mu   sync.Mutex
	logs []string
}

// serve serves dir and checks at the end that no descriptor is left.
func serve(t testing.TB, dir string, adjust func(*server.Tree, *server.Config)) *served {
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
	root, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{dir: dir}
	tree := server.Tree{Name: "/", Conn: theirs, RootFD: root}
	cfg := server.Config{ProcFD: proc, Log: s.log}
	if adjust != nil {
		adjust(&tree, &cfg)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(context.Background(), cfg, []server.Tree{tree}) }()
	s.Client, err = proto.NewClient(ours, "/", s.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Serve did not end after the client closed")
		}
		unix.Close(proc)
		if after := openFDs(t); after > before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
	return s
}

func (s *served) log(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = append(s.logs, line)
}

func openFDs(t testing.TB) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// at walks to path and fails the test if that does not succeed.
func (s *served) at(t testing.TB, path string) proto.Step {
	t.Helper()
	w, fd, err := s.Walk(&proto.Walk{From: proto.RootNode, Names: strings.Split(path, "/")})
	if err != nil || w.Errno != 0 || fd >= 0 {
		t.Fatalf("walk to %s: %+v, descriptor %d, %v", path, w, fd, err)
	}
	return w.Steps[len(w.Steps)-1]
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// content reads a donated descriptor and closes it.
func content(t testing.TB, fd int) string {
	t.Helper()
	defer unix.Close(fd)
	b := make([]byte, 4096)
	n, err := unix.Pread(fd, b, 0)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func want(t testing.TB, what string, got error, want errno.Errno) {
	t.Helper()
	if errno.Of(got) != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func me() (uid, gid uint32) { return uint32(os.Getuid()), uint32(os.Getgid()) }

func TestWalkGivesEveryStepAndOpens(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	write(t, s.dir+"/a/b/file", "hello")
	w, fd, err := s.Walk(&proto.Walk{From: proto.RootNode, Names: []string{"a", "b", "file"}, Open: proto.OpenRead})
	if err != nil || len(w.Steps) != 3 || w.Errno != 0 || w.OpenErrno != 0 {
		t.Fatalf("%+v, %v", w, err)
	}
	if got := content(t, fd); got != "hello" {
		t.Errorf("content %q", got)
	}
	if w.Steps[1].Attr.Type() != proto.TypeDir || w.Steps[2].Attr.Size != 5 {
		t.Errorf("steps %+v", w.Steps)
	}
	if again := s.at(t, "a/b/file"); again.Node != w.Steps[2].Node {
		t.Errorf("one file is nodes %d and %d", again.Node, w.Steps[2].Node)
	}
}

func TestWalkStopsWhereItMust(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	write(t, s.dir+"/a/file", "")
	if err := os.Symlink("/etc", s.dir+"/a/link"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		names  string
		steps  int
		errno  errno.Errno
		target string
	}{
		{"a/none/x", 1, errno.ENOENT, ""},
		{"a/file/x", 2, 0, ""},
		{"a/link/passwd", 2, 0, "/etc"},
		{"a/link", 2, 0, "/etc"},
		{"none", 0, errno.ENOENT, ""},
	} {
		w, fd, err := s.Walk(&proto.Walk{From: proto.RootNode, Names: strings.Split(c.names, "/"), Open: proto.OpenRead})
		if err != nil || fd >= 0 || len(w.Steps) != c.steps || errno.Errno(w.Errno) != c.errno || w.Target != c.target {
			t.Errorf("walk %s: %d steps, %v, target %q, descriptor %d, %v", c.names, len(w.Steps), errno.Errno(w.Errno), w.Target, fd, err)
		}
	}
}

func TestNamesThatLeadElsewhereAreRefused(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	for _, name := range []string{"", ".", "..", "a/b", "/", "a\x00", strings.Repeat("n", 256)} {
		_, _, err := s.Walk(&proto.Walk{From: proto.RootNode, Names: []string{name}})
		want(t, fmt.Sprintf("walk %.10q", name), err, errno.EINVAL)
		_, err = s.Mkdir(&proto.Make{Dir: proto.RootNode, Name: name})
		if err == nil {
			t.Errorf("mkdir %.10q: made", name)
		}
	}
	if _, err := s.Stat(proto.RootNode); err != nil {
		t.Errorf("the client was cut off for names of its own caller: %v", err)
	}
}

func TestCreateIsSeenOnTheHostWithOwnerAndMode(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	uid, gid := me()
	fd, made, err := s.Create(&proto.Make{Dir: proto.RootNode, Name: "new", Mode: 0o4751, UID: uid, GID: gid, Access: proto.OpenReadWrite})
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(s.dir+"/new", &st); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Pwrite(fd, []byte("written"), 0); err != nil {
		t.Error(err)
	}
	unix.Close(fd)
	if b, err := os.ReadFile(s.dir + "/new"); err != nil || string(b) != "written" {
		t.Errorf("on the host %q, %v", b, err)
	}
	if st.Mode != unix.S_IFREG|0o4751 || made.Attr.Ino != st.Ino || made.Attr.Mode != st.Mode {
		t.Errorf("on the host %+v, answered %+v", st, made.Attr)
	}
	_, _, err = s.Create(&proto.Make{Dir: proto.RootNode, Name: "new", Access: proto.OpenRead})
	want(t, "create again", err, errno.EEXIST)
}

func TestForeignOwner(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	_, err := s.Mkdir(&proto.Make{Dir: proto.RootNode, Name: "d", Mode: 0o2755, UID: 4711, GID: 4712})
	if os.Getuid() != 0 {
		want(t, "give away as an ordinary user", err, errno.EPERM)
		if _, err := os.Lstat(s.dir + "/d"); err == nil {
			t.Error("a directory that could not be given its owner was left")
		}
		return
	}
	a := s.at(t, "d").Attr
	if err != nil || a.UID != 4711 || a.GID != 4712 || a.Mode != proto.TypeDir|0o2755 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestSquashOwner(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may give files away")
	}
	s := serve(t, t.TempDir(), func(tree *server.Tree, _ *server.Config) { tree.SquashOwner = true })
	if _, err := s.Mkdir(&proto.Make{Dir: proto.RootNode, Name: "d", Mode: 0o755, UID: 4711}); err != nil {
		t.Error(err)
	}
}

func TestMakeOtherKinds(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	uid, gid := me()
	if _, err := s.Mknod(&proto.Make{Dir: proto.RootNode, Name: "fifo", Mode: proto.TypeFIFO | 0o640, UID: uid, GID: gid}); err != nil {
		t.Error(err)
	}
	if _, err := s.Symlink(&proto.Make{Dir: proto.RootNode, Name: "link", Target: "../../etc/passwd", UID: uid, GID: gid}); err != nil {
		t.Error(err)
	}
	_, err := s.Mknod(&proto.Make{Dir: proto.RootNode, Name: "dev", Mode: proto.TypeChar | 0o666, RdevMajor: 1, RdevMinor: 3})
	want(t, "make a device", err, errno.EPERM)
	_, err = s.Mknod(&proto.Make{Dir: proto.RootNode, Name: "dir", Mode: proto.TypeDir | 0o666})
	want(t, "make a directory by mknod", err, errno.EINVAL)

	fifo := s.at(t, "fifo")
	if fifo.Attr.Mode != proto.TypeFIFO|0o640 {
		t.Errorf("fifo %+v", fifo.Attr)
	}
	_, _, err = s.Open(&proto.Open{Node: fifo.Node, Access: proto.OpenRead})
	want(t, "open a FIFO", err, errno.ENXIO)
	link := s.at(t, "link")
	_, _, err = s.Open(&proto.Open{Node: link.Node, Access: proto.OpenRead})
	want(t, "open a symlink", err, errno.ELOOP)
	if target, err := s.Readlink(link.Node); target != "../../etc/passwd" || err != nil {
		t.Errorf("readlink %q, %v", target, err)
	}
	_, _, err = s.Open(&proto.Open{Node: proto.RootNode, Access: proto.OpenRead})
	want(t, "open a directory", err, errno.EISDIR)
	_, err = s.SetAttr(&proto.SetAttr{Node: link.Node, Set: proto.SetMode, Mode: 0o777})
	want(t, "chmod a symlink", err, errno.EOPNOTSUPP)
}

func TestNodeOutlivesItsNames(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	write(t, s.dir+"/file", "kept")
	file := s.at(t, "file")
	if _, err := s.Link(&proto.Link{Node: file.Node, Dir: proto.RootNode, Name: "second"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(&proto.Rename{OldDir: proto.RootNode, OldName: "file", NewDir: proto.RootNode, NewName: "renamed"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"renamed", "second"} {
		if _, err := s.Unlink(&proto.Entry{Dir: proto.RootNode, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	fd, a, err := s.Open(&proto.Open{Node: file.Node, Access: proto.OpenRead})
	if err != nil || a.Nlink != 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	if got := content(t, fd); got != "kept" {
		t.Errorf("content %q", got)
	}
}

func TestTempFileAndItsLink(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	uid, gid := me()
	fd, made, err := s.TempFile(&proto.Make{Dir: proto.RootNode, Mode: 0o600, UID: uid, GID: gid, Access: proto.OpenReadWrite})
	if errno.Of(err) == errno.EOPNOTSUPP {
		t.Skip("the file system of the temporary directory has no O_TMPFILE")
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Pwrite(fd, []byte("x"), 0)
	unix.Close(fd)
	if _, err := s.Link(&proto.Link{Node: made.Node, Dir: proto.RootNode, Name: "named"}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(s.dir + "/named"); string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestSetAttr(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	write(t, s.dir+"/file", "0123456789")
	file := s.at(t, "file")
	a, err := s.SetAttr(&proto.SetAttr{
		Node: file.Node, Set: proto.SetMode | proto.SetSize | proto.SetAtime | proto.SetMtime, Mode: 0o640, Size: 4,
		Atime: proto.Time{Sec: 100, Nsec: 5}, Mtime: proto.Time{Sec: -3, Nsec: 7},
	})
	if err != nil || a.Mode != proto.TypeRegular|0o640 || a.Size != 4 || a.Atime.Sec != 100 || a.Mtime != (proto.Time{Sec: -3, Nsec: 7}) {
		t.Errorf("%+v, %v", a, err)
	}
	b, err := s.SetAttr(&proto.SetAttr{Node: file.Node, Set: proto.SetMtime | proto.SetMtimeNow})
	if err != nil || b.Mtime.Sec < 1e9 || b.Atime != a.Atime {
		t.Errorf("%+v, %v", b, err)
	}
	_, err = s.SetAttr(&proto.SetAttr{Node: proto.RootNode, Set: proto.SetSize})
	want(t, "truncate a directory", err, errno.EISDIR)
}

func TestReadDirInSeveralAnswers(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	const count = 1500
	for i := range count {
		write(t, fmt.Sprintf("%s/d/%04d-%s", s.dir, i, strings.Repeat("n", 200)), "x")
	}
	dir := s.at(t, "d")
	seen := make(map[string]bool)
	answers := 0
	for q := (&proto.ReadDir{Node: dir.Node}); answers == 0 || q.Dir != 0; answers++ {
		a, err := s.ReadDir(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range a.Entries {
			if !e.Known || e.Attr.Size != 1 || seen[e.Name] {
				t.Fatalf("entry %+v", e)
			}
			seen[e.Name] = true
			// What is removed on the way must not make others be skipped.
			os.Remove(s.dir + "/d/" + e.Name)
		}
		q.Dir = a.More
	}
	if len(seen) != count || answers < 2 {
		t.Errorf("%d entries in %d answers", len(seen), answers)
	}
}

func TestReadDirLeftInTheMiddle(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	for i := range 1000 {
		write(t, fmt.Sprintf("%s/%04d", s.dir, i), "")
	}
	a, err := s.ReadDir(&proto.ReadDir{Node: proto.RootNode})
	if err != nil || a.More == 0 {
		t.Fatalf("%d entries, %v", len(a.Entries), err)
	}
	if err := s.CloseDir(a.More); err != nil {
		t.Error(err)
	}
	_, err = s.ReadDir(&proto.ReadDir{Node: proto.RootNode, Dir: a.More})
	want(t, "go on after the end", err, errno.EBADF)
	if _, err = s.ReadDir(&proto.ReadDir{Node: proto.RootNode}); err != nil {
		t.Error(err) // left open on purpose: the server must close it
	}
}

func TestXattr(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	write(t, s.dir+"/file", "")
	n := s.at(t, "file").Node
	err := s.SetXattr(&proto.Xattr{Node: n, Name: "user.a", Value: []byte("value")})
	if errno.Of(err) == errno.EOPNOTSUPP {
		t.Skip("the file system of the temporary directory has no user attributes")
	}
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.GetXattr(n, "user.a"); string(v) != "value" {
		t.Errorf("get: %q, %v", v, err)
	}
	if v, err := s.ListXattr(n); !strings.Contains(string(v), "user.a\x00") {
		t.Errorf("list: %q, %v", v, err)
	}
	want(t, "create again", s.SetXattr(&proto.Xattr{Node: n, Name: "user.a", Flags: unix.XATTR_CREATE}), errno.EEXIST)
	want(t, "remove", s.RemoveXattr(n, "user.a"), 0)
	_, err = s.GetXattr(n, "user.a")
	want(t, "get after remove", err, errno.ENODATA)
	want(t, "set a label", s.SetXattr(&proto.Xattr{Node: n, Name: "security.selinux", Value: []byte("x")}), errno.EOPNOTSUPP)
}

func TestReadOnlyTree(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "kept")
	s := serve(t, dir, func(tree *server.Tree, _ *server.Config) { tree.ReadOnly = true })
	n := s.at(t, "file").Node
	entry := &proto.Entry{Dir: proto.RootNode, Name: "file"}
	create := &proto.Make{Dir: proto.RootNode, Name: "new", Access: proto.OpenReadWrite}
	for what, f := range map[string]func() error{
		"open": func() error { _, _, err := s.Open(&proto.Open{Node: n, Access: proto.OpenReadWrite}); return err },
		"truncate": func() error {
			_, _, err := s.Open(&proto.Open{Node: n, Access: proto.OpenRead, Trunc: true})
			return err
		},
		"create": func() error { _, _, err := s.Create(create); return err },
		"tempfile": func() error {
			_, _, err := s.TempFile(&proto.Make{Dir: proto.RootNode, Access: proto.OpenWrite})
			return err
		},
		"mkdir":    func() error { _, err := s.Mkdir(create); return err },
		"mknod":    func() error { _, err := s.Mknod(create); return err },
		"symlink":  func() error { _, err := s.Symlink(create); return err },
		"link":     func() error { _, err := s.Link(&proto.Link{Node: n, Dir: 1, Name: "l"}); return err },
		"unlink":   func() error { _, err := s.Unlink(entry); return err },
		"rmdir":    func() error { _, err := s.Rmdir(entry); return err },
		"rename":   func() error { return s.Rename(&proto.Rename{OldDir: 1, OldName: "file", NewDir: 1, NewName: "x"}) },
		"setattr":  func() error { _, err := s.SetAttr(&proto.SetAttr{Node: n, Set: proto.SetMode}); return err },
		"setxattr": func() error { return s.SetXattr(&proto.Xattr{Node: n, Name: "user.a"}) },
		"rmxattr":  func() error { return s.RemoveXattr(n, "user.a") },
	} {
		want(t, what, f(), errno.EROFS)
	}
	if !s.Welcome().ReadOnly {
		t.Error("the greeting does not say that the tree is read-only")
	}
	fd, _, err := s.Open(&proto.Open{Node: n, Access: proto.OpenRead})
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, fd); got != "kept" {
		t.Errorf("content %q", got)
	}
}

func TestTreeThatIsOneFile(t *testing.T) {
	file := t.TempDir() + "/file"
	write(t, file, "single")
	s := serve(t, file, nil)
	if s.Welcome().Root.Type() != proto.TypeRegular {
		t.Errorf("root %+v", s.Welcome().Root)
	}
	fd, _, err := s.Open(&proto.Open{Node: proto.RootNode, Access: proto.OpenReadWrite})
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, fd); got != "single" {
		t.Errorf("content %q", got)
	}
	w, _, err := s.Walk(&proto.Walk{From: proto.RootNode, Names: []string{"x"}})
	if err != nil || errno.Errno(w.Errno) != errno.ENOTDIR {
		t.Errorf("%+v, %v", w, err)
	}
	_, err = s.ReadDir(&proto.ReadDir{Node: proto.RootNode})
	want(t, "read", err, errno.ENOTDIR)
}

func TestForgetAndTheBudgetOfNodes(t *testing.T) {
	s := serve(t, t.TempDir(), func(_ *server.Tree, c *server.Config) { c.MaxNodes = 4 })
	var nodes []proto.Step
	for i := range 4 {
		write(t, fmt.Sprintf("%s/%d", s.dir, i), "")
	}
	for i := range 3 {
		nodes = append(nodes, s.at(t, fmt.Sprint(i)))
	}
	last := &proto.Walk{From: proto.RootNode, Names: []string{"3"}}
	w, _, err := s.Walk(last)
	if err != nil || errno.Errno(w.Errno) != errno.ENFILE {
		t.Fatalf("beyond the budget: %+v, %v", w, err)
	}
	s.at(t, "0") // a second reference
	s.Forget(proto.Forgotten{Node: nodes[0].Node, Refs: 1}, proto.Forgotten{Node: proto.RootNode, Refs: 99})
	if _, err := s.Stat(nodes[0].Node); err != nil {
		t.Errorf("gone with a reference left: %v", err)
	}
	s.Forget(proto.Forgotten{Node: nodes[0].Node, Refs: 7}, proto.Forgotten{Node: 12345, Refs: 7})
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		if w, _, err = s.Walk(last); err == nil && w.Errno == 0 {
			break
		}
		if time.Since(start) > 5*time.Second {
			t.Fatalf("no room after Forget: %+v, %v", w, err)
		}
	}
	_, err = s.Stat(nodes[0].Node)
	want(t, "a forgotten node", err, errno.ESTALE)
	if _, err := s.Stat(proto.RootNode); err != nil {
		t.Errorf("the root was forgotten: %v", err)
	}
}

func TestConnect(t *testing.T) {
	dir := t.TempDir()
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(l) })
	if err := unix.Bind(l, &unix.SockaddrUnix{Name: dir + "/socket"}); err != nil {
		t.Skipf("the temporary directory's name is too long for a socket: %v", err)
	}
	if err := unix.Listen(l, 1); err != nil {
		t.Fatal(err)
	}
	s := serve(t, dir, func(tree *server.Tree, _ *server.Config) { tree.Allow = server.AllowConnect })
	fd, err := s.Connect(&proto.Connect{Node: s.at(t, "socket").Node, Type: unix.SOCK_STREAM})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		closed := serve(t, dir, nil)
		_, err = closed.Connect(&proto.Connect{Node: closed.at(t, "socket").Node, Type: unix.SOCK_STREAM})
		want(t, "connect where that is not allowed", err, errno.ECONNREFUSED)
	}()
	defer unix.Close(fd)
	peer, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(peer)
	if here, err := os.Getwd(); err != nil || strings.Contains(here, "fd") {
		t.Errorf("working directory %q, %v", here, err)
	}
}

func TestStatFSAndSync(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	write(t, s.dir+"/file", "x")
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		t.Fatal(err)
	}
	a, err := s.StatFS(proto.RootNode)
	if err != nil || a.Type != uint64(st.Type) || a.Blocks != st.Blocks {
		t.Errorf("%+v, %v", a, err)
	}
	want(t, "sync a file", s.Sync(&proto.Sync{Node: s.at(t, "file").Node}), 0)
	want(t, "sync a directory", s.Sync(&proto.Sync{Node: proto.RootNode}), 0)
}

func TestManyAtOnce(t *testing.T) {
	s := serve(t, t.TempDir(), nil)
	write(t, s.dir+"/a/b/c/file", "hello")
	var all sync.WaitGroup
	for range 3 * proto.MaxChannels {
		all.Go(func() {
			for range 20 {
				w, fd, err := s.Walk(&proto.Walk{From: proto.RootNode, Names: []string{"a", "b", "c", "file"}, Open: proto.OpenRead})
				if err != nil || fd < 0 {
					t.Errorf("%+v, %v", w, err)
					return
				}
				if got := content(t, fd); got != "hello" {
					t.Errorf("content %q", got)
				}
				var back []proto.Forgotten
				for _, step := range w.Steps {
					back = append(back, proto.Forgotten{Node: step.Node, Refs: 1})
				}
				s.Forget(back...)
			}
		})
	}
	all.Wait()
}

func TestServerGoneIsEIOAndOneLine(t *testing.T) {
	ours, theirs, err := proto.Pair()
	if err != nil {
		t.Fatal(err)
	}
	proc, err := server.OpenProcFD()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(proc)
	root, err := unix.Open(t.TempDir(), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(ctx, server.Config{ProcFD: proc}, []server.Tree{{Name: "/data", Conn: theirs, RootFD: root}})
	}()
	s := &served{}
	c, err := proto.NewClient(ours, "/data", s.log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stat(proto.RootNode); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("Serve: %v", err)
	}
	for range 3 {
		_, err = c.Stat(proto.RootNode)
		want(t, "stat", err, errno.EIO)
	}
	if len(s.logs) != 1 || !strings.Contains(s.logs[0], "/data") {
		t.Errorf("logged %q", s.logs)
	}
}
