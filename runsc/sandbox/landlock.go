package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
)

// landlockVersion is the first that covers truncation.
const landlockVersion = 3

func haveLandlock() bool { return host.LandlockVersion() >= landlockVersion }

// What landlock(7) lets be allowed. Executing is never: the gofer runs nothing.
const (
	landlockRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	landlockWrite = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_REFER |
		unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
	landlockAll = landlockRead | landlockWrite | unix.LANDLOCK_ACCESS_FS_EXECUTE

	// landlockFile is the part that means something for a file.
	landlockFile = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// enterLandlock allows the trees and nothing else. Mount points in read-only
// trees are not made this way, as bundles come with a user namespace.
func enterLandlock(trees []specconv.Tree) ([]int, error) {
	if err := dropPrivileges(nil); err != nil {
		return nil, err
	}
	var roots []int
	var rules []host.LandlockRule
	for _, t := range trees {
		fd, err := unix.Open(t.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: source %s: %w", t.Name, t.Path, err)
		}
		roots = append(roots, fd)
		more, err := landlockRules(t, fd)
		if err != nil {
			return nil, fmt.Errorf("%s: source %s: %w", t.Name, t.Path, err)
		}
		rules = append(rules, more...)
	}
	if err := host.Landlock(landlockAll, rules); err != nil {
		return nil, fmt.Errorf("confine gofer by landlock: %w", err)
	}
	// The rules have what they need of their files.
	for _, r := range rules {
		if !slices.Contains(roots, r.FD) {
			unix.Close(r.FD)
		}
	}
	return roots, nil
}

// landlockRules are those of one tree. A rule holds for all beneath its file, so
// with hidden directories the others have a rule each; the names of what is
// hidden can still be listed.
func landlockRules(t specconv.Tree, root int) ([]host.LandlockRule, error) {
	access := uint64(landlockRead | landlockWrite)
	if t.ReadOnly {
		access = landlockRead
	}
	if len(t.Hide) == 0 {
		return fileRule(root, access)
	}
	rules := []host.LandlockRule{{FD: root, Access: unix.LANDLOCK_ACCESS_FS_READ_DIR}}
	entries, err := os.ReadDir(t.Path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if slices.Contains(t.Hide, "/"+e.Name()) || e.Type()&os.ModeSymlink != 0 {
			continue
		}
		fd, err := unix.Open(filepath.Join(t.Path, e.Name()), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // gone meanwhile, or not for this user
		}
		rule, err := fileRule(fd, access)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule...)
	}
	return rules, nil
}

func fileRule(fd int, access uint64) ([]host.LandlockRule, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= landlockFile
	}
	return []host.LandlockRule{{FD: fd, Access: access}}, nil
}
