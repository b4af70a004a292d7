package vfstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Lack is something that a file system does not have.
type Lack string

// What may lack.
const (
	LacksHardLinks Lack = "hard links"
	LacksNodes     Lack = "device nodes"
	LacksOwners    Lack = "owners other than the caller"
	LacksXattrs    Lack = "extended attributes"
	LacksExchange  Lack = "RENAME_EXCHANGE"
	LacksTmpfile   Lack = "O_TMPFILE"
	LacksHoles     Lack = "holes"
	LacksDirRename Lack = "renaming directories"
)

// Run holds a file system against the suite. newFS makes an empty instance.
func Run(t *testing.T, newFS func(*testing.T, *vfs.World) vfs.FileSystem, lacks ...Lack) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			for _, l := range c.needs {
				if slices.Contains(lacks, l) {
					t.Skipf("the file system has no %s", string(l))
				}
			}
			c.run(NewEnv(t, newFS))
		})
	}
}

var suite = []struct {
	name  string
	run   func(e *Env)
	needs []Lack
}{
	{"ReadsWhatWasWritten", testReadWrite, nil},
	{"WritesAtOffsets", testOffsets, nil},
	{"Appends", testAppend, nil},
	{"Truncates", testTruncate, nil},
	{"LargeFile", testLarge, nil},
	{"OpenFlags", testOpenFlags, nil},
	{"MakesAndRemovesDirectories", testDirs, nil},
	{"NamesThatAreThere", testExists, nil},
	{"FollowsSymlinks", testSymlinks, nil},
	{"ResolvesPaths", testPaths, nil},
	{"HardLinks", testLinks, []Lack{LacksHardLinks}},
	{"Unlinks", testUnlink, nil},
	{"RenamesFiles", testRename, nil},
	{"RenamesDirectories", testRenameDirs, []Lack{LacksDirRename}},
	{"RenamesWithFlags", testRenameFlags, []Lack{LacksExchange}},
	{"Modes", testModes, nil},
	{"Permissions", testPermissions, []Lack{LacksOwners}},
	{"StickyAndSetgid", testSticky, []Lack{LacksOwners}},
	{"Owners", testOwners, []Lack{LacksOwners}},
	{"Times", testTimes, nil},
	{"Lists", testList, nil},
	{"ListsWhileRemoving", testListRemoving, nil},
	{"Xattrs", testXattrs, []Lack{LacksXattrs}},
	{"SpecialFiles", testSpecial, []Lack{LacksNodes}},
	{"Tmpfile", testTmpfile, []Lack{LacksTmpfile}},
	{"Holes", testHoles, []Lack{LacksHoles}},
	{"OpenFilesOutliveNames", testOutlive, nil},
	{"ReadOnlyMount", testReadOnly, nil},
	{"ManyTasks", testParallel, nil},
}

// want compares an error with what is expected (0: none).
func (e *Env) want(err error, want errno.Errno, what string, args ...any) {
	e.T.Helper()
	if want == 0 && err != nil || want != 0 && err != want {
		e.T.Errorf("%s: got %v, want %v", fmt.Sprintf(what, args...), err, want)
	}
}

func testReadWrite(e *Env) {
	e.WriteFile("a", "hello")
	if got := e.ReadFile("a"); got != "hello" {
		e.T.Errorf("got %q", got)
	}
	s := e.MustStat("a")
	if s.Size != 5 || s.Mode != linux.S_IFREG|0o644 || s.Nlink != 1 || s.Ino == 0 {
		e.T.Errorf("stat: size %d mode %o nlink %d ino %d", s.Size, s.Mode, s.Nlink, s.Ino)
	}
	e.WriteFile("a", "hi") // O_TRUNC
	if got := e.ReadFile("a"); got != "hi" {
		e.T.Errorf("after O_TRUNC: %q", got)
	}
}

func testOffsets(e *Env) {
	d := e.MustOpen("a", linux.O_RDWR|linux.O_CREAT, 0o600)
	Write(e.C, d, "0123456789", vfs.CurrentOffset)
	if off := d.Offset(); off != 10 {
		e.T.Errorf("offset %d after writing 10", off)
	}
	Write(e.C, d, "abc", 4)
	if got, _ := Read(e.C, d, 20, 2); got != "23abc789" {
		e.T.Errorf("pread: %q", got)
	}
	if off, err := d.Seek(e.C, -3, linux.SEEK_END); off != 7 || err != nil {
		e.T.Errorf("seek: %d, %v", off, err)
	}
	if got, _ := Read(e.C, d, 20, vfs.CurrentOffset); got != "789" {
		e.T.Errorf("read: %q", got)
	}
	if got, err := Read(e.C, d, 20, vfs.CurrentOffset); got != "" || err != nil {
		e.T.Errorf("at the end: %q, %v", got, err)
	}
	_, err := d.Seek(e.C, -1, linux.SEEK_SET)
	e.want(err, errno.EINVAL, "seek before the start")
	Write(e.C, d, "x", 20)
	if got, _ := Read(e.C, d, 30, 8); got != "89"+strings.Repeat("\x00", 10)+"x" {
		e.T.Errorf("gap: %q", got)
	}
}

func testAppend(e *Env) {
	e.WriteFile("a", "one")
	d := e.MustOpen("a", linux.O_WRONLY|linux.O_APPEND, 0)
	Write(e.C, d, "two", vfs.CurrentOffset)
	Write(e.C, d, "three", vfs.CurrentOffset)
	if off := d.Offset(); off != 11 {
		e.T.Errorf("offset %d", off)
	}
	if got := e.ReadFile("a"); got != "onetwothree" {
		e.T.Errorf("got %q", got)
	}
	_, err := Read(e.C, d, 1, 0)
	e.want(err, errno.EBADF, "reading what is open for writing")
}

func testTruncate(e *Env) {
	e.WriteFile("a", "0123456789")
	e.want(e.Truncate("a", 4), 0, "shrink")
	if got := e.ReadFile("a"); got != "0123" {
		e.T.Errorf("shrunk: %q", got)
	}
	e.want(e.Truncate("a", 6), 0, "grow")
	if got := e.ReadFile("a"); got != "0123\x00\x00" {
		e.T.Errorf("grown: %q", got)
	}
	e.want(e.Mkdir("d", 0o755), 0, "mkdir")
	e.want(e.Truncate("d", 0), errno.EISDIR, "truncate a directory")
	d := e.MustOpen("a", linux.O_RDONLY, 0)
	e.want(d.Truncate(e.C, 0), errno.EINVAL, "ftruncate of what is open for reading")
}

func testLarge(e *Env) {
	block := strings.Repeat("0123456789abcdef", 4096) // 64 KiB
	d := e.MustOpen("a", linux.O_RDWR|linux.O_CREAT, 0o600)
	for i := range 5 {
		if n, err := Write(e.C, d, block, vfs.CurrentOffset); n != len(block) || err != nil {
			e.T.Fatalf("write %d: %d, %v", i, n, err)
		}
	}
	if got := e.ReadFile("a"); got != strings.Repeat(block, 5) {
		e.T.Errorf("%d bytes differ", len(got))
	}
	e.want(d.Truncate(e.C, 100), 0, "ftruncate")
	e.want(d.Truncate(e.C, 200), 0, "ftruncate")
	if got := e.ReadFile("a"); got != block[:100]+strings.Repeat("\x00", 100) {
		e.T.Errorf("after truncation: %d bytes, %q", len(got), got[90:])
	}
}

func testOpenFlags(e *Env) {
	e.WriteFile("f", "x")
	e.Mkdir("d", 0o755)
	e.Symlink("f", "l")
	e.Symlink("new", "dangling")
	for _, c := range []struct {
		path  string
		flags linux.OpenFlags
		want  errno.Errno
	}{
		{"none", linux.O_RDONLY, errno.ENOENT},
		{"", linux.O_RDONLY, errno.ENOENT},
		{"f", linux.O_CREAT | linux.O_EXCL, errno.EEXIST},
		{"l", linux.O_CREAT | linux.O_EXCL, errno.EEXIST},
		{"dangling", linux.O_CREAT | linux.O_EXCL, errno.EEXIST},
		{"f", linux.O_DIRECTORY, errno.ENOTDIR},
		{"d", linux.O_DIRECTORY, 0},
		{"d", linux.O_WRONLY, errno.EISDIR},
		{"d", linux.O_RDWR, errno.EISDIR},
		{"d", linux.O_CREAT, errno.EISDIR},
		{"d/", linux.O_CREAT, errno.EISDIR},
		{"n/", linux.O_CREAT, errno.EISDIR},
		{"f/", linux.O_RDONLY, errno.ENOTDIR},
		{"f/x", linux.O_RDONLY, errno.ENOTDIR},
		{"f/x", linux.O_CREAT, errno.ENOTDIR},
		{"l", linux.O_NOFOLLOW, errno.ELOOP},
		{"l", linux.O_NOFOLLOW | linux.O_PATH, 0},
		{"l", linux.O_RDONLY, 0},
		{"dangling", linux.O_RDONLY, errno.ENOENT},
		{"dangling", linux.O_CREAT | linux.O_NOFOLLOW, errno.ELOOP},
		{"dangling", linux.O_CREAT, 0},
		{"none/x", linux.O_CREAT, errno.ENOENT},
		{strings.Repeat("n", 256), linux.O_CREAT, errno.ENAMETOOLONG},
		{strings.Repeat("n", 255), linux.O_CREAT, 0},
	} {
		d, err := e.Open(c.path, c.flags, 0o600)
		e.want(err, c.want, "open %.20q %v", c.path, c.flags)
		if err == nil {
			d.DecRef()
		}
	}
	if s := e.MustStat("new"); s.Mode != linux.S_IFREG|0o600 {
		e.T.Errorf("made through a dangling link: mode %o", s.Mode)
	}
}

func testDirs(e *Env) {
	e.want(e.Mkdir("d", 0o777), 0, "mkdir")
	if s := e.MustStat("d"); s.Mode != linux.S_IFDIR|0o755 {
		e.T.Errorf("mode %o", s.Mode)
	}
	e.want(e.Mkdir("d/e/", 0o700), 0, "mkdir with a slash")
	e.want(e.Mkdir("d", 0o777), errno.EEXIST, "mkdir again")
	e.want(e.Mkdir("none/x", 0o777), errno.ENOENT, "mkdir below nothing")
	e.want(e.Rmdir("d"), errno.ENOTEMPTY, "rmdir of a full one")
	e.want(e.Rmdir("d/e/."), errno.EINVAL, "rmdir .")
	e.want(e.Rmdir("d/e/.."), errno.ENOTEMPTY, "rmdir ..")
	e.want(e.Rmdir("/"), errno.EBUSY, "rmdir /")
	e.want(e.Unlink("d"), errno.EISDIR, "unlink of a directory")
	e.want(e.Rmdir("d/e"), 0, "rmdir")
	e.want(e.Rmdir("d/"), 0, "rmdir with a slash")
	e.want(e.Rmdir("d"), errno.ENOENT, "rmdir again")
	e.WriteFile("f", "")
	e.want(e.Rmdir("f"), errno.ENOTDIR, "rmdir of a file")
	e.want(e.Mkdir("d", 0o777), 0, "mkdir after rmdir")
}

func testExists(e *Env) {
	e.WriteFile("f", "")
	e.want(e.Mkdir("f", 0o755), errno.EEXIST, "mkdir")
	e.want(e.Symlink("x", "f"), errno.EEXIST, "symlink")
	e.want(e.Mknod("f", linux.S_IFREG|0o600, 0), errno.EEXIST, "mknod")
	e.want(e.Mknod("g", linux.S_IFREG|0o600, 0), 0, "mknod")
	e.want(e.Mknod("h/", linux.S_IFREG|0o600, 0), errno.ENOENT, "mknod with a slash")
	e.want(e.Symlink("", "s"), errno.ENOENT, "symlink to nothing")
	e.want(e.Mkdir("/", 0o755), errno.EEXIST, "mkdir /")
	e.want(e.Mkdir(".", 0o755), errno.EEXIST, "mkdir .")
}

func testSymlinks(e *Env) {
	e.Mkdir("d", 0o755)
	e.WriteFile("d/f", "data")
	e.Symlink("d", "dl")
	e.Symlink("/d/f", "abs")
	e.Symlink("../d/./f", "d/up")
	e.Symlink("loop2", "loop1")
	e.Symlink("loop1", "loop2")
	for _, p := range []string{"dl/f", "abs", "d/up", "dl/up", "/dl/../d/f", "dl//f"} {
		if got := e.ReadFile(p); got != "data" {
			e.T.Errorf("%s: %q", p, got)
		}
	}
	if got, err := e.Readlink("abs"); got != "/d/f" || err != nil {
		e.T.Errorf("readlink: %q, %v", got, err)
	}
	if s := e.MustStat("abs"); s.Mode != linux.S_IFLNK|0o777 || s.Size != 4 {
		e.T.Errorf("link: mode %o size %d", s.Mode, s.Size)
	}
	_, err := e.Readlink("d")
	e.want(err, errno.EINVAL, "readlink of a directory")
	_, err = e.Open("loop1", 0, 0)
	e.want(err, errno.ELOOP, "a loop")
	_, err = e.Open("loop1/x", 0, 0)
	e.want(err, errno.ELOOP, "a loop in the middle")
	if s, err := e.Stat("dl/"); err != nil || s.Mode&linux.S_IFMT != linux.S_IFDIR {
		e.T.Errorf("dl/: %o, %v", s.Mode, err)
	}
	_, err = e.Stat("abs/")
	e.want(err, errno.ENOTDIR, "a slash behind a link to a file")
	e.want(e.Unlink("dl/"), errno.ENOTDIR, "unlink with a slash")
	e.want(e.Unlink("dl"), 0, "unlink of a link")
	e.MustStat("d/f")
}

func testPaths(e *Env) {
	e.Mkdir("a", 0o755)
	e.Mkdir("a/b", 0o755)
	e.WriteFile("a/b/c", "x")
	for _, p := range []string{"a/b/c", "/a/b/c", "//a///b//c", "a/./b/../b/c", "../../a/b/c", "/../a/b/c"} {
		if _, err := e.Stat(p); err != nil {
			e.T.Errorf("%s: %v", p, err)
		}
	}
	e.want(e.FS.Chdir(e.C, "a/b"), 0, "chdir")
	e.MustStat("c")
	e.MustStat("../b/c")
	e.want(e.FS.Chdir(e.C, "c"), errno.ENOTDIR, "chdir to a file")
	cwd, root := e.FS.Cwd(), e.FS.Root()
	defer cwd.DecRef()
	defer root.DecRef()
	if s := cwd.Display(root); s != "/a/b" {
		e.T.Errorf("cwd is %q", s)
	}
	e.want(e.FS.Chroot(e.C, "/a"), 0, "chroot")
	if _, err := e.Stat("/b/c"); err != nil {
		e.T.Errorf("in the new root: %v", err)
	}
	if _, err := e.Stat("/../../b/c"); err != nil {
		e.T.Errorf("above the new root: %v", err)
	}
	newRoot := e.FS.Root()
	defer newRoot.DecRef()
	if s := cwd.Display(newRoot); s != "/b" {
		e.T.Errorf("cwd is %q", s)
	}
	if s := root.Display(newRoot); s != "(unreachable)/" {
		e.T.Errorf("the old root is %q", s)
	}
}

func testLinks(e *Env) {
	e.WriteFile("a", "x")
	e.want(e.Link("a", "b"), 0, "link")
	a, b := e.MustStat("a"), e.MustStat("b")
	if a.Ino != b.Ino || a.Nlink != 2 {
		e.T.Errorf("ino %d %d nlink %d", a.Ino, b.Ino, a.Nlink)
	}
	e.WriteFile("b", "yy")
	if got := e.ReadFile("a"); got != "yy" {
		e.T.Errorf("through the other name: %q", got)
	}
	e.want(e.Link("a", "b"), errno.EEXIST, "link again")
	e.want(e.Rename("a", "b", 0), 0, "rename of two names of one file")
	e.MustStat("a")
	e.Mkdir("d", 0o755)
	e.want(e.Link("d", "e"), errno.EPERM, "link of a directory")
	e.want(e.Unlink("a"), 0, "unlink")
	if s := e.MustStat("b"); s.Nlink != 1 {
		e.T.Errorf("nlink %d", s.Nlink)
	}
	e.Symlink("b", "s")
	e.want(e.Link("s", "t"), 0, "link of a link")
	if got, _ := e.Readlink("t"); got != "b" {
		e.T.Errorf("readlink: %q", got)
	}
}

func testUnlink(e *Env) {
	e.WriteFile("a", "x")
	e.want(e.Unlink("a/"), errno.ENOTDIR, "unlink with a slash")
	e.want(e.Unlink("a"), 0, "unlink")
	e.want(e.Unlink("a"), errno.ENOENT, "unlink again")
	_, err := e.Stat("a")
	e.want(err, errno.ENOENT, "stat")
	e.WriteFile("a", "y")
	if got := e.ReadFile("a"); got != "y" {
		e.T.Errorf("made again: %q", got)
	}
}

func testRename(e *Env) {
	e.WriteFile("a", "A")
	e.want(e.Rename("a", "b", 0), 0, "rename")
	_, err := e.Stat("a")
	e.want(err, errno.ENOENT, "the old name")
	e.WriteFile("c", "C")
	ino := e.MustStat("b").Ino
	e.want(e.Rename("b", "c", 0), 0, "rename over a file")
	if got := e.ReadFile("c"); got != "A" || e.MustStat("c").Ino != ino {
		e.T.Errorf("got %q", got)
	}
	e.Mkdir("d", 0o755)
	e.want(e.Rename("c", "d", 0), errno.EISDIR, "a file over a directory")
	e.want(e.Rename("d", "c", 0), errno.ENOTDIR, "a directory over a file")
	e.want(e.Rename("none", "x", 0), errno.ENOENT, "nothing")
	e.want(e.Rename("c", "d/x", 0), 0, "into a directory")
	e.want(e.Rename("d/x", "none/x", 0), errno.ENOENT, "into nothing")
	e.want(e.Rename("d/x", "y/", 0), errno.ENOTDIR, "a file to a name with a slash")
	e.want(e.Rename("d/.", "y", 0), errno.EBUSY, "dot")
	e.want(e.Rename("d/x", "d/x", 0), 0, "onto itself")
	if got := e.List("d"); !slices.Equal(got, []string{"x"}) {
		e.T.Errorf("d has %v", got)
	}
}

func testRenameDirs(e *Env) {
	e.Mkdir("a", 0o755)
	e.Mkdir("a/sub", 0o755)
	e.WriteFile("a/sub/f", "x")
	e.Mkdir("b", 0o755)
	e.want(e.Rename("a", "a/sub/x", 0), errno.EINVAL, "below itself")
	e.want(e.Rename("a/sub", "a", 0), errno.ENOTEMPTY, "over its parent")
	e.want(e.Rename("a/sub", "b/moved", 0), 0, "to another directory")
	if got := e.ReadFile("b/moved/f"); got != "x" {
		e.T.Errorf("got %q", got)
	}
	if a, b := e.MustStat("a"), e.MustStat("b"); a.Nlink != 2 || b.Nlink != 3 {
		e.T.Errorf("nlink %d %d, want 2 3", a.Nlink, b.Nlink)
	}
	e.want(e.Rename("b/moved", "a", 0), 0, "over an empty directory")
	if got := e.ReadFile("a/f"); got != "x" {
		e.T.Errorf("got %q", got)
	}
	e.want(e.Rename("b", "a", 0), errno.ENOTEMPTY, "over a full one")
	e.want(e.Rename("a/", "c/", 0), 0, "with slashes")
	e.MustStat("c/f")
	e.MustStat("c/../b")
}

func testRenameFlags(e *Env) {
	e.WriteFile("a", "A")
	e.WriteFile("b", "B")
	e.want(e.Rename("a", "b", linux.RENAME_NOREPLACE), errno.EEXIST, "NOREPLACE")
	e.want(e.Rename("a", "c", linux.RENAME_NOREPLACE), 0, "NOREPLACE")
	e.want(e.Rename("c", "b", linux.RENAME_EXCHANGE), 0, "EXCHANGE")
	if x, y := e.ReadFile("c"), e.ReadFile("b"); x != "B" || y != "A" {
		e.T.Errorf("exchanged: %q %q", x, y)
	}
	e.want(e.Rename("b", "none", linux.RENAME_EXCHANGE), errno.ENOENT, "EXCHANGE with nothing")
	e.Mkdir("d", 0o755)
	e.Mkdir("d/e", 0o755)
	e.want(e.Rename("d/e", "b", linux.RENAME_EXCHANGE), 0, "EXCHANGE of a file and a directory")
	if got := e.ReadFile("d/e"); got != "A" {
		e.T.Errorf("exchanged: %q", got)
	}
	e.want(e.Mkdir("b/x", 0o755), 0, "mkdir in what was exchanged")
	e.want(e.Rename("d", "b/x", linux.RENAME_EXCHANGE|linux.RENAME_NOREPLACE), errno.EINVAL, "both flags")
	e.want(e.Rename("b", "b/x", linux.RENAME_EXCHANGE), errno.EINVAL, "EXCHANGE with its child")
	e.want(e.Rename("a", "b", 1<<20), errno.EINVAL, "unknown flag")
}

func testModes(e *Env) {
	old := e.FS.SetUmask(0o77)
	e.WriteFile("a", "")
	if s := e.MustStat("a"); s.Mode != linux.S_IFREG|0o600 {
		e.T.Errorf("umask: %o", s.Mode)
	}
	e.FS.SetUmask(old)
	e.want(e.Chmod("a", 0o4755), 0, "chmod")
	if s := e.MustStat("a"); s.Mode != linux.S_IFREG|0o4755 {
		e.T.Errorf("chmod: %o", s.Mode)
	}
	d := e.MustOpen("w", linux.O_WRONLY|linux.O_CREAT, 0o444) // may write what it made
	if n, err := Write(e.C, d, "x", 0); n != 1 || err != nil {
		e.T.Errorf("write: %d, %v", n, err)
	}
}

func testPermissions(e *Env) {
	e.Mkdir("d", 0o755)
	e.WriteFile("d/root", "x")
	e.Chmod("d/root", 0o600)
	e.Mkdir("d/pub", 0o755)
	e.Chmod("d/pub", 0o777)
	e.Mkdir("d/closed", 0o700)
	e.WriteFile("d/closed/f", "")
	u := e.As(UserCreds(1000, 1000))
	_, err := u.Open("d/root", linux.O_RDONLY, 0)
	e.want(err, errno.EACCES, "read of a private file")
	_, err = u.Open("d/new", linux.O_CREAT|linux.O_WRONLY, 0o600)
	e.want(err, errno.EACCES, "create in root's directory")
	_, err = u.Stat("d/closed/f")
	e.want(err, errno.EACCES, "a name in a closed directory")
	e.want(u.Unlink("d/root"), errno.EACCES, "unlink")
	e.want(u.Chmod("d/root", 0o777), errno.EPERM, "chmod of another's file")
	u.WriteFile("d/pub/mine", "x")
	if s := e.MustStat("d/pub/mine"); s.UID != 1000 || s.GID != 1000 {
		e.T.Errorf("owner %d:%d", s.UID, s.GID)
	}
	e.want(u.Chmod("d/pub/mine", 0o400), 0, "chmod of one's own file")
	_, err = u.Open("d/pub/mine", linux.O_WRONLY, 0)
	e.want(err, errno.EACCES, "write of a read-only file")
	if _, err := e.Stat("d/closed/f"); err != nil {
		e.T.Errorf("root: %v", err)
	}
	g := e.As(UserCreds(1001, 1000))
	e.Chmod("d/pub/mine", 0o040)
	if d, err := g.Open("d/pub/mine", linux.O_RDONLY, 0); err != nil {
		e.T.Errorf("group: %v", err)
	} else {
		d.DecRef()
	}
	_, err = u.Open("d/pub/mine", linux.O_RDONLY, 0)
	e.want(err, errno.EACCES, "the owner without right, though the group has it")
}

func testSticky(e *Env) {
	e.Mkdir("t", 0o755)
	e.Chmod("t", 0o1777)
	a, b := e.As(UserCreds(1, 1)), e.As(UserCreds(2, 2))
	a.WriteFile("t/a", "")
	e.want(b.Unlink("t/a"), errno.EPERM, "unlink of another's file")
	e.want(b.Rename("t/a", "t/b", 0), errno.EPERM, "rename of another's file")
	b.WriteFile("t/b", "")
	e.want(b.Rename("t/b", "t/a", 0), errno.EPERM, "rename over another's file")
	e.want(a.Unlink("t/a"), 0, "unlink of one's own")
	e.Mkdir("g", 0o755)
	e.Chown("g", 0, 50)
	e.Chmod("g", 0o2777)
	a.WriteFile("g/f", "")
	e.want(a.Mkdir("g/d", 0o755), 0, "mkdir")
	if s := e.MustStat("g/f"); s.GID != 50 {
		e.T.Errorf("group %d", s.GID)
	}
	if s := e.MustStat("g/d"); s.GID != 50 || s.Mode != linux.S_IFDIR|0o2755 {
		e.T.Errorf("directory: group %d, mode %o", s.GID, s.Mode)
	}
}

func testOwners(e *Env) {
	e.WriteFile("f", "x")
	e.Chmod("f", 0o6755)
	e.want(e.Chown("f", 1000, 1000), 0, "chown")
	if s := e.MustStat("f"); s.UID != 1000 || s.GID != 1000 || s.Mode != linux.S_IFREG|0o755 {
		e.T.Errorf("%d:%d %o", s.UID, s.GID, s.Mode)
	}
	u := e.As(UserCreds(1000, 1000))
	e.want(u.Chown("f", 0, 0), errno.EPERM, "giving away")
	e.want(u.Chown("f", 1000, 1000), 0, "to oneself")
	e.Chmod("f", 0o4777)
	o := e.As(UserCreds(7, 7))
	d := o.MustOpen("f", linux.O_WRONLY, 0)
	Write(o.C, d, "y", 0)
	if s := e.MustStat("f"); s.Mode != linux.S_IFREG|0o777 {
		e.T.Errorf("after another wrote: %o", s.Mode)
	}
}

func testTimes(e *Env) {
	e.WriteFile("f", "x")
	want := linux.Timespec{Sec: 1000, Nsec: 5}
	err := e.WithPath("f", func(p vfs.Path) error {
		return vfs.Utimes(e.C, p, vfs.Times{ATime: want, MTime: want, SetATime: vfs.TimeGiven, SetMTime: vfs.TimeGiven}, nil)
	})
	e.want(err, 0, "utimes")
	if s := e.MustStat("f"); s.MTime.Sec != 1000 || s.ATime.Sec != 1000 || s.CTime.Sec < 100000 {
		e.T.Errorf("times %v %v %v", s.ATime, s.MTime, s.CTime)
	}
	e.WriteFile("f", "y")
	if s := e.MustStat("f"); s.MTime.Sec < 100000 {
		e.T.Errorf("a write did not change mtime")
	}
	e.Mkdir("d", 0o755)
	e.WithPath("d", func(p vfs.Path) error {
		return vfs.Utimes(e.C, p, vfs.Times{MTime: want, SetMTime: vfs.TimeGiven}, nil)
	})
	e.WriteFile("d/x", "")
	if s := e.MustStat("d"); s.MTime.Sec < 100000 {
		e.T.Errorf("a new name did not change the directory's mtime")
	}
}

func testList(e *Env) {
	var want []string
	e.Mkdir("d", 0o755)
	for i := range 200 {
		name := fmt.Sprintf("file%03d", i)
		e.WriteFile("d/"+name, "")
		want = append(want, name)
	}
	e.Mkdir("d/sub", 0o755)
	e.Symlink("x", "d/link")
	got := e.List("d")
	slices.Sort(got)
	want = append(want, "link", "sub")
	if !slices.Equal(got, want) {
		e.T.Fatalf("got %d names: %v", len(got), got)
	}
	d := e.MustOpen("d", linux.O_RDONLY, 0)
	seen := map[string]vfs.Dirent{}
	var at []int64
	for { // three entries a call
		n := 0
		err := d.ReadDir(e.C, func(x vfs.Dirent) bool {
			if n == 3 {
				return false
			}
			n++
			if _, twice := seen[x.Name]; twice {
				e.T.Errorf("%s twice", x.Name)
			}
			seen[x.Name] = x
			at = append(at, x.Next)
			return true
		})
		e.want(err, 0, "readdir")
		if n == 0 {
			break
		}
	}
	if len(seen) != len(want)+2 {
		e.T.Errorf("%d names", len(seen))
	}
	if seen["sub"].Type != linux.DT_DIR || seen["link"].Type != linux.DT_LNK || seen["file000"].Type != linux.DT_REG {
		e.T.Errorf("types: %v %v %v", seen["sub"], seen["link"], seen["file000"])
	}
	if s := e.MustStat("d/sub"); seen["sub"].Ino != s.Ino || seen["."].Ino != e.MustStat("d").Ino || seen[".."].Ino != e.MustStat("/").Ino {
		e.T.Errorf("inode numbers differ: %v %d", seen["sub"], s.Ino)
	}
	d.Seek(e.C, at[10], linux.SEEK_SET)
	var next string
	d.ReadDir(e.C, func(x vfs.Dirent) bool { next = x.Name; return false })
	if x, ok := seen[next]; !ok || x.Next != at[11] {
		e.T.Errorf("after seeking: %q", next)
	}
}

func testListRemoving(e *Env) {
	e.Mkdir("d", 0o755)
	for i := range 150 {
		e.WriteFile(fmt.Sprintf("d/f%d", i), "")
	}
	d := e.MustOpen("d", linux.O_RDONLY, 0)
	removed := 0
	for {
		var names []string
		d.ReadDir(e.C, func(x vfs.Dirent) bool {
			if len(names) == 10 {
				return false
			}
			if x.Name[0] != '.' {
				names = append(names, x.Name)
			}
			return true
		})
		if len(names) == 0 {
			break
		}
		for _, n := range names {
			e.want(e.Unlink("d/"+n), 0, "unlink %s", n)
			removed++
		}
	}
	if removed != 150 {
		e.T.Errorf("rm -r saw %d names of 150", removed)
	}
	e.want(e.Rmdir("d"), 0, "rmdir")
	err := d.ReadDir(e.C, func(vfs.Dirent) bool { return true })
	e.want(err, errno.ENOENT, "reading a removed directory")
}

func testXattrs(e *Env) {
	e.WriteFile("f", "")
	with := func(f func(p vfs.Path) error) error { return e.WithPath("f", f) }
	set := func(name, v string, flags int) error {
		return with(func(p vfs.Path) error { return vfs.SetXattr(e.C, p, name, []byte(v), flags) })
	}
	get := func(name string) (v string, err error) {
		err = with(func(p vfs.Path) error {
			b, err := vfs.GetXattr(e.C, p, name)
			v = string(b)
			return err
		})
		return v, err
	}
	e.want(set("user.a", "1", linux.XATTR_REPLACE), errno.ENODATA, "replace nothing")
	e.want(set("user.a", "1", 0), 0, "set")
	e.want(set("user.a", "2", linux.XATTR_CREATE), errno.EEXIST, "create again")
	e.want(set("user.a", "22", 0), 0, "set again")
	if v, err := get("user.a"); v != "22" || err != nil {
		e.T.Errorf("get: %q, %v", v, err)
	}
	_, err := get("user.b")
	e.want(err, errno.ENODATA, "get of none")
	e.want(set("bogus.a", "", 0), errno.EOPNOTSUPP, "unknown prefix")
	e.want(set("user.", "", 0), errno.EINVAL, "prefix alone")
	e.want(set("", "", 0), errno.ERANGE, "no name")
	with(func(p vfs.Path) error {
		names, err := vfs.ListXattr(e.C, p)
		if !slices.Contains(names, "user.a") || err != nil {
			e.T.Errorf("list: %v, %v", names, err)
		}
		e.want(vfs.RemoveXattr(e.C, p, "user.a"), 0, "remove")
		e.want(vfs.RemoveXattr(e.C, p, "user.a"), errno.ENODATA, "remove again")
		return nil
	})
}

func testSpecial(e *Env) {
	e.want(e.Mknod("fifo", linux.S_IFIFO|0o644, 0), 0, "fifo")
	e.want(e.Mknod("sock", linux.S_IFSOCK|0o644, 0), 0, "socket")
	e.want(e.Mknod("dev", linux.S_IFCHR|0o644, linux.NewDev(200, 7)), 0, "device")
	if s := e.MustStat("dev"); s.Mode != linux.S_IFCHR|0o644 || s.RdevMajor != 200 || s.RdevMinor != 7 {
		e.T.Errorf("device: %o %d:%d", s.Mode, s.RdevMajor, s.RdevMinor)
	}
	_, err := e.Open("sock", linux.O_RDONLY, 0)
	e.want(err, errno.ENXIO, "open of a socket")
	_, err = e.Open("dev", linux.O_RDONLY, 0)
	e.want(err, errno.ENXIO, "open of an unknown device")
	u := e.As(UserCreds(5, 5))
	e.Chmod("/", 0o777)
	e.want(u.Mknod("dev2", linux.S_IFCHR|0o644, linux.NewDev(200, 7)), errno.EPERM, "mknod without right")
	e.want(u.Mknod("fifo2", linux.S_IFIFO|0o644, 0), 0, "mkfifo")
}

func testTmpfile(e *Env) {
	d, err := e.Open("/", linux.O_TMPFILE|linux.O_RDWR, 0o600)
	if err != nil {
		e.T.Fatal(err)
	}
	defer d.DecRef()
	Write(e.C, d, "unnamed", vfs.CurrentOffset)
	if got := e.List("/"); len(got) != 0 {
		e.T.Errorf("names: %v", got)
	}
	if s, _ := vfs.Stat(e.C, d.Path(), linux.STATX_ALL); s.Nlink != 0 {
		e.T.Errorf("nlink %d", s.Nlink)
	}
	old := e.FS.NameAt(d, "")
	old.Empty = vfs.EmptyIsDir
	defer old.Release()
	n, release := e.name("named")
	defer release()
	e.want(vfs.Link(e.C, old, vfs.How{}, n), 0, "linkat")
	if got := e.ReadFile("named"); got != "unnamed" {
		e.T.Errorf("got %q", got)
	}
	_, err = e.Open("/", linux.O_TMPFILE|linux.O_RDONLY, 0o600)
	e.want(err, errno.EINVAL, "O_TMPFILE for reading")
}

func testHoles(e *Env) {
	for _, base := range []int64{8192, 1 << 20} {
		d := e.MustOpen(fmt.Sprint("f", base), linux.O_RDWR|linux.O_CREAT, 0o600)
		Write(e.C, d, "data", base)
		d.Truncate(e.C, base+100000)
		for _, c := range []struct {
			off    int64
			whence int
			want   int64
		}{
			{0, linux.SEEK_DATA, base}, {0, linux.SEEK_HOLE, 0},
			{base, linux.SEEK_HOLE, base + 4096}, {base + 1, linux.SEEK_DATA, base + 1},
		} {
			if n, err := d.Seek(e.C, c.off, c.whence); n != c.want || err != nil {
				e.T.Errorf("base %d: seek %d whence %d: %d, %v; want %d", base, c.off, c.whence, n, err, c.want)
			}
		}
		_, err := d.Seek(e.C, base+4096, linux.SEEK_DATA)
		e.want(err, errno.ENXIO, "no more data")
		if s, _ := vfs.Stat(e.C, d.Path(), linux.STATX_ALL); s.Blocks != 8 {
			e.T.Errorf("base %d: %d blocks", base, s.Blocks)
		}
		e.want(d.Allocate(e.C, linux.FALLOC_FL_PUNCH_HOLE|linux.FALLOC_FL_KEEP_SIZE, base, 4096), 0, "punch")
		if got, _ := Read(e.C, d, 4, base); got != "\x00\x00\x00\x00" {
			e.T.Errorf("in the hole: %q", got)
		}
		if s, _ := vfs.Stat(e.C, d.Path(), linux.STATX_ALL); s.Blocks != 0 {
			e.T.Errorf("base %d: %d blocks after punching", base, s.Blocks)
		}
	}
}

func testOutlive(e *Env) {
	d := e.MustOpen("f", linux.O_RDWR|linux.O_CREAT, 0o600)
	Write(e.C, d, "still", 0)
	e.want(e.Unlink("f"), 0, "unlink")
	if got, err := Read(e.C, d, 10, 0); got != "still" || err != nil {
		e.T.Errorf("read: %q, %v", got, err)
	}
	if s, err := vfs.Stat(e.C, d.Path(), linux.STATX_ALL); err != nil || s.Nlink != 0 {
		e.T.Errorf("nlink %d, %v", s.Nlink, err)
	}
	root := e.FS.Root()
	defer root.DecRef()
	if s := d.Path().Display(root); s != "/f (deleted)" {
		e.T.Errorf("path %q", s)
	}
	e.Mkdir("d", 0o755)
	e.FS.Chdir(e.C, "d")
	e.want(e.Rmdir("/d"), 0, "rmdir")
	_, err := e.Open("x", linux.O_CREAT|linux.O_WRONLY, 0o600)
	e.want(err, errno.ENOENT, "create in a removed directory")
	e.want(e.FS.Chdir(e.C, ".."), 0, "leaving it")
}

func testReadOnly(e *Env) {
	e.WriteFile("f", "x")
	e.want(e.FS.Mount(e.C, "", "/", "", linux.MS_REMOUNT|linux.MS_RDONLY|linux.MS_BIND, ""), 0, "remount")
	_, err := e.Open("f", linux.O_WRONLY, 0)
	e.want(err, errno.EROFS, "open for writing")
	_, err = e.Open("g", linux.O_WRONLY|linux.O_CREAT, 0o600)
	e.want(err, errno.EROFS, "create")
	e.MustOpen("f", linux.O_RDONLY|linux.O_CREAT, 0o600) // what exists
	e.want(e.Mkdir("d", 0o755), errno.EROFS, "mkdir")
	e.want(e.Mkdir("f", 0o755), errno.EEXIST, "mkdir of what exists")
	e.want(e.Unlink("f"), errno.EROFS, "unlink")
	e.want(e.Chmod("f", 0o777), errno.EROFS, "chmod")
	e.want(e.Rename("f", "g", 0), errno.EROFS, "rename")
	e.want(e.Truncate("f", 0), errno.EROFS, "truncate")
}

// testParallel is for the race detector: tasks that make, list, move and remove
// in the same few directories.
func testParallel(e *Env) {
	for i := range 3 {
		e.Mkdir(fmt.Sprint("d", i), 0o777)
	}
	var wg sync.WaitGroup
	for id := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			me := e.As(RootCreds())
			for i := range 60 {
				dir := fmt.Sprint("d", (i+id)%3)
				path := fmt.Sprintf("%s/f%d", dir, i%5)
				d, err := me.Open(path, linux.O_RDWR|linux.O_CREAT, 0o644)
				if err == nil {
					Write(me.C, d, "data", vfs.CurrentOffset)
					Read(me.C, d, 10, 0)
					d.DecRef()
				}
				me.Rename(path, fmt.Sprintf("d%d/g%d", id%3, i%3), 0)
				me.Stat(fmt.Sprintf("d%d/g%d", (id+1)%3, i%3))
				me.Unlink(fmt.Sprintf("d%d/g%d", (id+2)%3, i%3))
				if d, err := me.Open(dir, linux.O_RDONLY, 0); err == nil {
					d.ReadDir(me.C, func(vfs.Dirent) bool { return true })
					d.DecRef()
				}
				me.Mkdir(dir+"/sub", 0o755)
				me.Rename(dir+"/sub", fmt.Sprintf("d%d/sub2", id%3), 0)
				me.Rmdir(fmt.Sprintf("d%d/sub2", id%3))
			}
		}()
	}
	wg.Wait()
	for i := range 3 {
		e.List(fmt.Sprint("d", i))
	}
}
