// Package tmpfs is the file system in memory: tmpfs mounts, the upper layer of
// the root overlay, memfd_create(2), shared memory.
//
// FS is one instance; inode is what all files have in common, and file,
// directory, symlink and special are its kinds. The bytes of a small file lie
// in the Sentry's own memory (content); a file that grows or is mapped moves to
// a memfd of its own, once and for good, so that mappings, holes and seals are
// the host's. An instance never holds more pages than its size option says.
//
// Locks: a directory's entries are guarded by its inode's lock, parents are
// locked before children by package vfs already; within one inode writeMu, held
// over a whole write so that writes do not mix, comes before mu. No bytes are
// copied to or from a workload under mu.
//
// Cost: an empty file takes about 350 bytes; each read or write of a small file
// one copy more than the host's.
package tmpfs

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

const pageSize = usermem.PageSize

// Options are those of a mount.
type Options struct {
	// SizePages bounds the bytes, MaxInodes the files; 0 is no bound.
	SizePages, MaxInodes int64
	Mode                 linux.FileMode // of the root; 0 is 01777
	UID                  cred.KUID
	GID                  cred.KGID
}

// FS is one instance.
type FS struct {
	world *vfs.World
	dev   linux.Dev
	root  *directory

	mu     sync.Mutex // guards opts, which a remount changes
	opts   Options
	pages  atomic.Int64
	inodes atomic.Int64
}

var _ vfs.FileSystem = (*FS)(nil)

// New makes an instance.
func New(w *vfs.World, o Options) *FS {
	fs := &FS{world: w, dev: w.NewAnonDev(), opts: o}
	mode := o.Mode
	if mode == 0 {
		mode = 0o1777
	}
	fs.root = fs.newDirectory(vfs.NewFile{Mode: linux.S_IFDIR | mode&linux.S_IALLUGO, UID: o.UID, GID: o.GID})
	fs.inodes.Store(1)
	return fs
}

// Type describes tmpfs for mount(2).
func Type() vfs.FSType {
	return vfs.FSType{Name: "tmpfs", Flags: vfs.FSNoDev | vfs.FSUserNS, New: mount}
}

// DevType is devtmpfs for mount(2): as in most sandboxes, an empty tmpfs.
func DevType() vfs.FSType {
	t := Type()
	t.Name = "devtmpfs"
	return t
}

func mount(c vfs.Context, w *vfs.World, _, options string) (vfs.FileSystem, error) {
	o := Options{UID: c.Creds().FSUID, GID: c.Creds().FSGID}
	if err := o.parse(options); err != nil {
		return nil, err
	}
	return New(w, o), nil
}

// ParseOptions reads mount options such as "size=64k,mode=755".
func ParseOptions(s string) (Options, error) {
	var o Options
	err := o.parse(s)
	return o, err
}

func (o *Options) parse(s string) error {
	for _, opt := range strings.Split(s, ",") {
		key, value, _ := strings.Cut(opt, "=")
		if err := o.set(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) set(key, value string) (err error) {
	switch key {
	case "size":
		var n int64
		n, err = parseSize(value)
		o.SizePages = (n + pageSize - 1) / pageSize
	case "nr_blocks":
		o.SizePages, err = parseSize(value)
	case "nr_inodes":
		o.MaxInodes, err = parseSize(value)
	case "mode":
		var m uint64
		m, err = strconv.ParseUint(value, 8, 16)
		o.Mode = linux.FileMode(m) & linux.S_IALLUGO
	case "uid":
		var id uint64
		id, err = strconv.ParseUint(value, 10, 32)
		o.UID = cred.KUID(id)
	case "gid":
		var id uint64
		id, err = strconv.ParseUint(value, 10, 32)
		o.GID = cred.KGID(id)
	case "", "huge", "mpol", "noswap", "inode64", "inode32":
		// Nothing that an application could see depends on these.
	default:
		return errno.EINVAL
	}
	if err != nil {
		return errno.EINVAL
	}
	return nil
}

// memoryForPercent stands in for the machine's memory in size=50%.
const memoryForPercent = 8 << 30

// parseSize reads a number with the suffixes k, m, g or %.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, errno.EINVAL
	}
	unit := int64(1)
	switch s[len(s)-1] {
	case 'k', 'K':
		unit = 1 << 10
	case 'm', 'M':
		unit = 1 << 20
	case 'g', 'G':
		unit = 1 << 30
	case '%':
		unit = memoryForPercent / 100
	}
	if unit > 1 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, errno.EINVAL
	}
	return n * unit, nil
}

// Type is "tmpfs".
func (fs *FS) Type() string { return "tmpfs" }

// Root returns the root directory.
func (fs *FS) Root() vfs.Inode {
	fs.root.incRef()
	return fs.root
}

func (fs *FS) options() Options {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.opts
}

// Options are what /proc/mounts shows.
func (fs *FS) Options() string {
	o := fs.options()
	var parts []string
	if o.SizePages > 0 {
		parts = append(parts, fmt.Sprintf("size=%dk", o.SizePages*pageSize>>10))
	}
	if o.MaxInodes > 0 {
		parts = append(parts, fmt.Sprintf("nr_inodes=%d", o.MaxInodes))
	}
	if o.Mode != 0 && o.Mode != 0o1777 {
		parts = append(parts, fmt.Sprintf("mode=%o", o.Mode))
	}
	if o.UID != 0 {
		parts = append(parts, fmt.Sprintf("uid=%d", o.UID))
	}
	if o.GID != 0 {
		parts = append(parts, fmt.Sprintf("gid=%d", o.GID))
	}
	return strings.Join(parts, ",")
}

// Reconfigure changes the bounds, which must not be below what is used.
func (fs *FS) Reconfigure(_ vfs.Context, options string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	o := fs.opts
	if err := o.parse(options); err != nil {
		return err
	}
	if o.SizePages > 0 && o.SizePages < fs.pages.Load() || o.MaxInodes > 0 && o.MaxInodes < fs.inodes.Load() {
		return errno.EINVAL
	}
	fs.opts.SizePages, fs.opts.MaxInodes = o.SizePages, o.MaxInodes
	return nil
}

// Statfs reports bounds and use.
func (fs *FS) Statfs(vfs.Context) (linux.Statfs, error) {
	o := fs.options()
	s := linux.Statfs{Type: linux.TMPFS_MAGIC, Bsize: pageSize, Frsize: pageSize, Namelen: linux.NAME_MAX}
	s.FSID[0] = int32(fs.dev)
	total, files := o.SizePages, o.MaxInodes
	if total == 0 {
		total = memoryForPercent / pageSize
	}
	if files == 0 {
		files = total
	}
	s.Blocks, s.Bfree = uint64(total), uint64(max(0, total-fs.pages.Load()))
	s.Bavail = s.Bfree
	s.Files, s.Ffree = uint64(files), uint64(max(0, files-fs.inodes.Load()))
	return s, nil
}

// Sync does nothing: memory is all there is.
func (fs *FS) Sync(vfs.Context) error { return nil }

// Release frees the files' memory.
func (fs *FS) Release() { fs.root.dropTree() }

// charge takes n pages, or says ENOSPC.
func (fs *FS) charge(n int64) error {
	limit := fs.options().SizePages
	if used := fs.pages.Add(n); n > 0 && limit > 0 && used > limit {
		fs.pages.Add(-n)
		return errno.ENOSPC
	}
	return nil
}

// room is how many pages are left.
func (fs *FS) room() int64 {
	limit := fs.options().SizePages
	if limit == 0 {
		return 1 << 50
	}
	return max(0, limit-fs.pages.Load())
}

func (fs *FS) chargeInode() error {
	limit := fs.options().MaxInodes
	if used := fs.inodes.Add(1); limit > 0 && used > limit {
		fs.inodes.Add(-1)
		return errno.ENOSPC
	}
	return nil
}
