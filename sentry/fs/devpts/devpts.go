// Package devpts is the file system of pseudo-terminals, the devices /dev/ptmx,
// /dev/tty and /dev/console, and what ties a terminal to sessions.
//
// A FS is one instance, with numbers of its own. Opening its ptmx makes a line:
// a terminal with a number, a node of that name, and the Master that the opener
// gets. A console is a line whose far end is a host terminal. Devices holds
// what the device numbers need to know.
//
// The package does not interpret a byte: that is sentry/tty.
//
// Locks: FS.mu is a leaf but for inodes' own; the kernel's locks of sessions are
// taken with none of these held.
package devpts

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

const (
	slaveMajor = 136
	ttyMajor   = 5
	ptmxMinor  = 2

	rootIno  = 1
	ptmxIno  = 2
	firstIno = 3 // of line 0

	defaultMax = 4096 // kernel.pty.max
)

// FS is one instance.
type FS struct {
	d    *Devices
	dev  linux.Dev
	o    options
	root *rootInode
	ptmx *ptmxInode

	mu    sync.Mutex
	lines map[int]*line
}

// options are those of mount(2).
type options struct {
	text     string
	uid, gid *uint32
	mode     linux.FileMode
	ptmxMode linux.FileMode
	max      int
}

// parseOptions reads "gid=5,mode=620,ptmxmode=666,newinstance".
//
// Errors: EINVAL.
func parseOptions(text string) (options, error) {
	o := options{mode: 0o600, max: defaultMax}
	var shown []string
	for _, word := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(word, "=")
		base := 10
		switch key {
		case "", "newinstance":
			continue
		case "mode", "ptmxmode":
			base = 8
		}
		n, err := strconv.ParseUint(value, base, 32)
		if err != nil {
			return o, errno.EINVAL
		}
		id := uint32(n)
		switch key {
		case "uid":
			o.uid = &id
		case "gid":
			o.gid = &id
		case "mode":
			o.mode = linux.FileMode(n) & linux.S_IALLUGO
		case "ptmxmode":
			o.ptmxMode = linux.FileMode(n) & linux.S_IALLUGO
		case "max":
			o.max = int(min(n, 1<<20))
		default:
			return o, errno.EINVAL
		}
		shown = append(shown, word)
	}
	o.text = strings.Join(shown, ",")
	return o, nil
}

// newFS makes an instance.
func (d *Devices) newFS(c vfs.Context, w *vfs.World, text string) (*FS, error) {
	o, err := parseOptions(text)
	if err != nil {
		return nil, err
	}
	fs := &FS{d: d, dev: w.NewAnonDev(), o: o, lines: map[int]*line{}}
	root := *c.Creds()
	root.FSUID, root.FSGID = ownerOf(c.Creds())
	fs.root = &rootInode{node{fs: fs, ino: rootIno}}
	fs.root.InitAnon(w, linux.S_IFDIR|0o755, &root)
	fs.ptmx = &ptmxInode{node{fs: fs, ino: ptmxIno, rdev: linux.NewDev(ttyMajor, ptmxMinor)}}
	fs.ptmx.InitAnon(w, linux.S_IFCHR|o.ptmxMode, &root)
	d.added(fs)
	return fs, nil
}

// ownerOf is root of the user namespace, as it owns an instance's directory.
func ownerOf(c *cred.Creds) (cred.KUID, cred.KGID) {
	uid, ok1 := c.UserNS.KUID(0)
	gid, ok2 := c.UserNS.KGID(0)
	if !ok1 || !ok2 {
		return c.FSUID, c.FSGID
	}
	return uid, gid
}

// Type implements vfs.FileSystem.
func (fs *FS) Type() string { return "devpts" }

// Root implements vfs.FileSystem.
func (fs *FS) Root() vfs.Inode { return fs.root }

// Options implements vfs.FileSystem.
func (fs *FS) Options() string { return fs.o.text }

// Sync implements vfs.FileSystem.
func (fs *FS) Sync(vfs.Context) error { return nil }

// Statfs implements vfs.FileSystem.
func (fs *FS) Statfs(vfs.Context) (linux.Statfs, error) {
	return linux.Statfs{Type: linux.DEVPTS_SUPER_MAGIC, Bsize: 4096, Namelen: 255, Frsize: 4096}, nil
}

// Release implements vfs.FileSystem.
func (fs *FS) Release() { fs.d.removed(fs) }

// add gives a line the lowest free number and a node. ENOSPC without one.
func (fs *FS) add(l *line, w *vfs.World, creds *cred.Creds) error {
	owner := *creds
	if fs.o.uid != nil {
		if id, ok := creds.UserNS.KUID(*fs.o.uid); ok {
			owner.FSUID = id
		}
	}
	if fs.o.gid != nil {
		if id, ok := creds.UserNS.KGID(*fs.o.gid); ok {
			owner.FSGID = id
		}
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := 0
	for fs.lines[n] != nil {
		n++
	}
	if n >= fs.o.max {
		return errno.ENOSPC
	}
	l.fs, l.number = fs, n
	l.inode = &slaveInode{node{fs: fs, ino: firstIno + uint64(n), rdev: l.Rdev()}, l}
	l.inode.InitAnon(w, linux.S_IFCHR|fs.o.mode, &owner)
	fs.lines[n] = l
	return nil
}

func (fs *FS) remove(l *line) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.lines[l.number] == l {
		delete(fs.lines, l.number)
	}
}

// node is what the inodes here have in common.
type node struct {
	vfs.AnonInode
	fs   *FS
	ino  uint64
	rdev linux.Dev
}

// Attr implements vfs.Inode.
func (n *node) Attr() vfs.Attr {
	a := n.AnonInode.Attr()
	a.Rdev = n.rdev
	return a
}

// Stat implements vfs.Inode.
func (n *node) Stat(c vfs.Context, mask uint32) (linux.Statx, error) {
	s, err := n.AnonInode.Stat(c, mask)
	s.Ino, s.Blksize = n.ino, 1024
	s.DevMajor, s.DevMinor = n.fs.dev.Major(), n.fs.dev.Minor()
	s.RdevMajor, s.RdevMinor = n.rdev.Major(), n.rdev.Minor()
	return s, err
}

type ptmxInode struct{ node }

type slaveInode struct {
	node
	line *line
}

type rootInode struct{ node }

// Stat implements vfs.Inode.
func (r *rootInode) Stat(c vfs.Context, mask uint32) (linux.Statx, error) {
	s, err := r.node.Stat(c, mask)
	s.Nlink = 2
	return s, err
}

// Lookup implements vfs.Directory.
func (r *rootInode) Lookup(_ vfs.Context, name string) (vfs.Inode, error) {
	if i := r.find(name); i != nil {
		return i, nil
	}
	return nil, errno.ENOENT
}

// Revalidate implements vfs.Revalidator: lines come and go by themselves.
func (r *rootInode) Revalidate(_ vfs.Context, name string, child vfs.Inode) bool {
	return r.find(name) == child
}

func (r *rootInode) find(name string) vfs.Inode {
	if name == "ptmx" {
		return r.fs.ptmx
	}
	n, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(n) != name {
		return nil
	}
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	if l := r.fs.lines[n]; l != nil {
		return l.inode
	}
	return nil
}

// Open implements vfs.Inode.
func (r *rootInode) Open(vfs.Context, vfs.Path, linux.OpenFlags) (vfs.File, error) {
	return dirFile{r.fs}, nil
}

type dirFile struct{ fs *FS }

// Release implements vfs.File.
func (dirFile) Release() {}

// ReadDir implements vfs.DirReader: ptmx, then the lines by number. A position
// is 2 for ptmx and 3 and up for lines.
func (f dirFile) ReadDir(_ vfs.Context, pos int64, emit func(vfs.Dirent) bool) error {
	if pos <= 2 && !emit(vfs.Dirent{Name: "ptmx", Ino: ptmxIno, Type: linux.DT_CHR, Next: 3}) {
		return nil
	}
	f.fs.mu.Lock()
	var list []*line
	for n, l := range f.fs.lines {
		if int64(n)+firstIno >= pos {
			list = append(list, l)
		}
	}
	f.fs.mu.Unlock()
	slices.SortFunc(list, func(a, b *line) int { return cmp.Compare(a.number, b.number) })
	for _, l := range list {
		d := vfs.Dirent{
			Name: strconv.Itoa(l.number), Ino: l.inode.ino, Type: linux.DT_CHR, Next: int64(l.number) + firstIno + 1,
		}
		if !emit(d) {
			return nil
		}
	}
	return nil
}
