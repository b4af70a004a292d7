package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
)

// goferCapabilities are what it takes to act on files for users of any id.
var goferCapabilities = []uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER,
	unix.CAP_FSETID, unix.CAP_MKNOD, unix.CAP_SETFCAP,
}

// scratch is where a new root is mounted before it becomes the root. Every Linux
// host has that directory, and in a mount namespace of our own covering it
// disturbs nobody.
const scratch = "/proc"

// rootOptions are for a root that holds mount points and nothing else.
const rootOptions = "size=64k,nr_inodes=4k,mode=755"

const rootFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// EnterSentry gives up everything that the process got from its starter but its
// descriptors: the root becomes an empty read-only directory, no capability
// stays, and none can come back. The seccomp filter follows in sentry/boot.
func EnterSentry() error {
	if err := mountScratch(); err != nil {
		return err
	}
	if err := enterScratch(); err != nil {
		return err
	}
	return dropPrivileges(nil)
}

// EnterGofer leaves the process nothing but its trees, and of its capabilities
// those that concern files. It returns an O_PATH descriptor for each tree.
func EnterGofer(c *GoferConfig) ([]int, error) {
	if c.TakeIDs {
		if err := takeIDs(c.UID, c.GID); err != nil {
			return nil, err
		}
	}
	if c.Confinement == ByLandlock {
		return enterLandlock(c.Trees)
	}
	return enterMounts(c.Trees)
}

// takeIDs becomes a user of the namespace that has got its ids by now. The
// groups that came along stay: they are the caller's.
func takeIDs(uid, gid uint32) error {
	if err := syscall.Setresgid(int(gid), int(gid), int(gid)); err != nil {
		return fmt.Errorf("become group %d: %w", gid, err)
	}
	if err := syscall.Setresuid(int(uid), int(uid), int(uid)); err != nil {
		return fmt.Errorf("become user %d: %w", uid, err)
	}
	return nil
}

// enterMounts mounts the trees, each under its index, on a root that holds
// nothing else.
func enterMounts(trees []specconv.Tree) ([]int, error) {
	// No slave either: a tree shows what was mounted when the container began,
	// and unmounting on the host must not wait for us.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	clones := make([]int, len(trees))
	for i, t := range trees {
		fd, err := cloneTree(t)
		if err != nil {
			return nil, fmt.Errorf("%s: source %s: %w", t.Name, t.Path, err)
		}
		clones[i] = fd
	}
	if err := mountScratch(); err != nil {
		return nil, err
	}
	for i, t := range trees {
		if err := attachTree(clones[i], i, t); err != nil {
			return nil, fmt.Errorf("%s: source %s: %w", t.Name, t.Path, err)
		}
	}
	if err := enterScratch(); err != nil {
		return nil, err
	}
	roots := make([]int, len(trees))
	for i, t := range trees {
		fd, err := unix.Open(treePath("/", i), unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: open %s: %w", t.Name, t.Path, err)
		}
		roots[i] = fd
	}
	return roots, dropPrivileges(goferCapabilities)
}

// mountScratch mounts the new root.
func mountScratch() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", scratch, "tmpfs", rootFlags, rootOptions); err != nil {
		return fmt.Errorf("mount empty root: %w", err)
	}
	return nil
}

// enterScratch makes it the root, lets go of everything else, and makes it
// read-only.
func enterScratch() error {
	if err := unix.Chdir(scratch); err != nil {
		return fmt.Errorf("enter empty root: %w", err)
	}
	// With both arguments "." the old root is stacked on the new one, so that
	// no directory is needed to put it in; see pivot_root(2), NOTES.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("enter empty root: pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave host root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("enter empty root: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|rootFlags, ""); err != nil {
		return fmt.Errorf("make empty root read-only: %w", err)
	}
	return nil
}

func treePath(root string, index int) string {
	return filepath.Join(root, strconv.Itoa(index))
}

// cloneTree makes a mount of its own for a tree, attached to nothing yet.
// Everything mounted below comes along.
func cloneTree(t specconv.Tree) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, t.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("clone mount: %w", err)
	}
	if err := makeMountPoints(fd, t.MountPoints); err != nil {
		return -1, err
	}
	// Device nodes in a tree are never opened on the host's behalf.
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if t.ReadOnly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return -1, fmt.Errorf("set mount attributes: %w", err)
	}
	return fd, nil
}

// attachTree mounts the clone under its index in the new root.
func attachTree(clone, index int, t specconv.Tree) error {
	defer unix.Close(clone)
	var stat unix.Stat_t
	if err := unix.Fstat(clone, &stat); err != nil {
		return err
	}
	at := treePath(scratch, index)
	if err := makePlace(at, stat.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return fmt.Errorf("make mount point: %w", err)
	}
	if err := unix.MoveMount(clone, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach mount: %w", err)
	}
	for _, hide := range t.Hide {
		err := unix.Mount("tmpfs", filepath.Join(at, hide), "tmpfs", rootFlags|unix.MS_RDONLY, rootOptions)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			return fmt.Errorf("hide %s: %w", hide, err)
		}
	}
	return nil
}

func makePlace(at string, dir bool) error {
	if dir {
		return unix.Mkdir(at, 0o700)
	}
	fd, err := unix.Open(at, unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// makeMountPoints creates what is missing in a tree that is about to become
// read-only. The tree is hostile: no step leaves it, whatever symlinks it holds.
func makeMountPoints(tree int, points []specconv.MountPoint) error {
	for _, p := range points {
		if err := makeMountPoint(tree, p, maxSymlinks); err != nil {
			return fmt.Errorf("make mount point %s: %w", p.Path, err)
		}
	}
	return nil
}

// maxSymlinks is Linux's limit, MAXSYMLINKS.
const maxSymlinks = 40

// inTree is how a path of a hostile tree is resolved: as if the tree were the
// root.
var inTree = unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}

func makeMountPoint(tree int, p specconv.MountPoint, links int) error {
	names := strings.Split(strings.Trim(filepath.Clean(p.Path), "/"), "/")
	parent := "/"
	for i, name := range names {
		at := filepath.Join(parent, name)
		fd, err := unix.Openat2(tree, at, &inTree)
		if err == nil {
			unix.Close(fd)
			parent = at
			continue
		}
		if !errors.Is(err, unix.ENOENT) {
			return err
		}
		dir, err := unix.Openat2(tree, parent, &inTree)
		if err != nil {
			return err
		}
		defer unix.Close(dir)
		if p.File && i == len(names)-1 {
			err = unix.Mknodat(dir, name, unix.S_IFREG|0o644, 0)
		} else {
			err = unix.Mkdirat(dir, name, 0o755)
		}
		if errors.Is(err, unix.EEXIST) && links > 0 {
			// A symlink to what is not there: make that instead.
			target, err := readlink(dir, name)
			if err != nil {
				return err
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(parent, target)
			}
			rest := filepath.Join(names[i+1:]...)
			return makeMountPoint(tree, specconv.MountPoint{Path: filepath.Join("/", target, rest), File: p.File}, links-1)
		}
		if err != nil {
			return err
		}
		parent = at
	}
	return nil
}

func readlink(dir int, name string) (string, error) {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, target)
	if err != nil {
		return "", err
	}
	return string(target[:n]), nil
}

// dropPrivileges leaves the capabilities in keep, and lets no execve add any.
// The bounding set need not be emptied then.
func dropPrivileges(keep []uintptr) error {
	var bits uint64
	for _, c := range keep {
		bits |= 1 << c
	}
	err := host.KeepCapabilities(bits)
	if errors.Is(err, errno.EOPNOTSUPP) {
		return errors.New("drop capabilities: this runsc was built with the C library, which keeps the Go runtime from doing that; build it with CGO_ENABLED=0 and without -race")
	}
	if err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	if err := host.SetNoNewPrivs(); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}
