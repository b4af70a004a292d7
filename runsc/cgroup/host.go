package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupMount is where hosts mount cgroups.
const cgroupMount = "/sys/fs/cgroup"

// hierarchy is one mounted cgroup file system.
type hierarchy struct {
	mount       string
	controllers []string
	// own is our own cgroup in it.
	own string
}

// findHierarchies looks at what the host has mounted.
func findHierarchies() ([]hierarchy, Version, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, 0, err
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(cgroupMount, &stat); err != nil {
		return nil, 0, &os.PathError{Op: "statfs", Path: cgroupMount, Err: err}
	}
	if stat.Type == unix.CGROUP2_SUPER_MAGIC {
		h := hierarchy{mount: cgroupMount, controllers: []string{unified}, own: ownPath(string(own), unified)}
		return []hierarchy{h}, V2, nil
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, 0, err
	}
	found := parseMounts(string(mounts), string(own))
	if len(found) == 0 {
		return nil, 0, errors.New("no cgroup file system is mounted in " + cgroupMount)
	}
	return found, V1, nil
}

// parseMounts finds version 1 hierarchies in a mountinfo(5) file. The second
// cgroup file system of a hybrid host has no controllers and is left alone.
func parseMounts(mountinfo, own string) (all []hierarchy) {
	seen := map[string]bool{}
	for line := range strings.Lines(mountinfo) {
		front, back, ok := strings.Cut(strings.TrimSpace(line), " - ")
		fields, super := strings.Fields(front), strings.Fields(back)
		if !ok || len(fields) < 5 || len(super) < 3 || super[0] != "cgroup" {
			continue
		}
		h := hierarchy{mount: fields[4]}
		for _, option := range strings.Split(super[2], ",") {
			if option == "rw" || option == "ro" || seen[option] || !isController(option) {
				continue
			}
			seen[option] = true
			h.controllers = append(h.controllers, option)
		}
		if len(h.controllers) > 0 {
			h.own = ownPath(own, h.controllers[0])
			all = append(all, h)
		}
	}
	return all
}

// isController tells controllers, and named hierarchies, from mount options.
func isController(option string) bool {
	switch option {
	case "cpu", "cpuacct", "cpuset", "memory", "blkio", "pids", "freezer", "hugetlb", "net_cls", "net_prio", "perf_event", "rdma", "name=systemd":
		return true
	}
	return false
}

// ownPath finds a controller's line in /proc/self/cgroup, ID:CONTROLLERS:PATH.
func ownPath(cgroups, controller string) string {
	for line := range strings.Lines(cgroups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, name := range strings.Split(parts[1], ",") {
			if name == controller {
				return parts[2]
			}
		}
	}
	return "/"
}

// ownDir is the directory that relative paths start at. Under version 2 it is
// the one above ours: a cgroup with processes, as ours, cannot have limited
// children.
func (h *hierarchy) ownDir(v Version) string {
	own := h.own
	if v == V2 {
		own = filepath.Dir(own)
	}
	dir := filepath.Join(h.mount, own)
	if _, err := os.Stat(dir); err != nil {
		return h.mount // in a container, whose mount starts below the host's root
	}
	return dir
}
