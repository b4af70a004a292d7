// Package cgroup puts a sandbox under the limits that its bundle asks for.
//
// A Group is the cgroup of one container: a directory in each version 1
// hierarchy of the host, or one in the version 2 hierarchy. It is plain data,
// so that it is written to the container's state before it exists and found
// again by whoever removes it. What the host does not let us do is an error when
// the bundle named a cgroup or asked for a limit, and a warning otherwise.
//
// Device rules are not converted: no process of a sandbox opens a device on
// behalf of the container. With the systemd driver the cgroup has the name that
// systemd would give it, and is made without asking systemd.
//
// The package writes only below the cgroup mounts and takes no lock.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Driver names who makes cgroups.
type Driver string

// The drivers.
const (
	Cgroupfs Driver = "cgroupfs"
	Systemd  Driver = "systemd"
)

// Config says which cgroup a container has.
type Config struct {
	ID     string
	Driver Driver
	// Path is linux.cgroupsPath.
	Path      string
	Resources *specs.LinuxResources
}

// Version is that of the host's cgroup interface.
type Version int

// The versions.
const (
	V1 Version = 1
	V2 Version = 2
)

// unified is the key of a version 2 directory.
const unified = ""

// Group is the cgroup of one container.
type Group struct {
	Version Version
	// Dirs are the directories by controller, absolute.
	Dirs map[string]string
	// Required says that the container must not run without it.
	Required bool
}

// New says where the cgroup will be; nothing exists before Apply. It returns nil
// and a warning when the host has none for us and none is required.
func New(c Config) (g *Group, warning string, err error) {
	settings, err := settingsOf(c.Resources)
	if err != nil {
		return nil, "", err
	}
	g, err = locate(c)
	if err != nil {
		if c.Path == "" && len(settings) == 0 && c.Driver != Systemd {
			return nil, "no cgroup: " + err.Error(), nil
		}
		return nil, "", fmt.Errorf("cgroup: %w", err)
	}
	g.Required = c.Path != "" || len(settings) > 0
	return g, "", nil
}

func locate(c Config) (*Group, error) {
	relative, err := c.relativePath()
	if err != nil {
		return nil, err
	}
	hierarchies, version, err := findHierarchies()
	if err != nil {
		return nil, err
	}
	g := &Group{Version: version, Dirs: map[string]string{}}
	for _, h := range hierarchies {
		dir := filepath.Join(h.mount, relative)
		if !path.IsAbs(relative) {
			dir = filepath.Join(h.ownDir(version), relative)
		}
		for _, name := range h.controllers {
			g.Dirs[name] = dir
		}
	}
	return g, nil
}

// relativePath is absolute when it starts at the root of the hierarchy, and
// otherwise relative to where we are. It never has "..".
func (c Config) relativePath() (string, error) {
	if c.Driver == Systemd {
		return c.systemdPath()
	}
	if c.Path == "" {
		return c.ID, nil
	}
	clean := path.Clean("/" + c.Path)
	if clean == "/" {
		return "", fmt.Errorf("cgroupsPath %q names no cgroup", c.Path)
	}
	if path.IsAbs(c.Path) {
		return clean, nil
	}
	return clean[1:], nil
}

// systemdPath makes a path of slice:prefix:name as systemd does: the slice
// a-b.slice lies in a.slice.
func (c Config) systemdPath() (string, error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return "", errors.New("systemd not running on this host, cannot use systemd cgroups manager")
	}
	slice, prefix, name := "system.slice", "runsc", c.ID
	if c.Path != "" {
		parts := strings.Split(c.Path, ":")
		if len(parts) != 3 {
			return "", fmt.Errorf("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got %q instead", c.Path)
		}
		prefix, name = parts[1], parts[2]
		if parts[0] != "" {
			slice = parts[0]
		}
	}
	base, ok := strings.CutSuffix(slice, ".slice")
	if !ok || strings.ContainsRune(slice+prefix+name, '/') || name == "" {
		return "", fmt.Errorf("cgroupsPath %q: not a slice and a name", c.Path)
	}
	dir := "/"
	for i, r := range base {
		if r == '-' && i > 0 {
			dir = path.Join(dir, base[:i]+".slice")
		}
	}
	if base != "-" {
		dir = path.Join(dir, slice)
	}
	if strings.HasSuffix(name, ".slice") {
		return path.Join(dir, name), nil
	}
	if prefix != "" {
		name = prefix + "-" + name
	}
	return path.Join(dir, name+".scope"), nil
}

// Apply creates the cgroup, sets the limits and moves the processes into it. The
// warning is not empty when the host did not allow that and it is no error.
func (g *Group) Apply(r *specs.LinuxResources, pids ...int) (warning string, err error) {
	if g == nil {
		return "", nil
	}
	err = g.apply(r, pids)
	if err == nil {
		return "", nil
	}
	if !g.Required && refused(err) {
		return "no cgroup: " + err.Error(), g.Destroy()
	}
	return "", fmt.Errorf("cgroup: %w", err)
}

// refused says whether the host does not let us have a cgroup.
func refused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrNotExist) ||
		errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EOPNOTSUPP)
}

func (g *Group) apply(r *specs.LinuxResources, pids []int) error {
	settings, err := settingsOf(r)
	if err != nil {
		return err
	}
	if g.Version == V2 {
		if err := g.delegate(settings); err != nil {
			return err
		}
	}
	for _, dir := range g.uniqueDirs() {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if dir, ok := g.Dirs["cpuset"]; ok && g.Version == V1 {
		if err := inheritCPUSet(dir); err != nil {
			return err
		}
	}
	if err := g.set(settings); err != nil {
		return err
	}
	for _, dir := range g.uniqueDirs() {
		for _, pid := range pids {
			if err := write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Update changes the limits.
func (g *Group) Update(r *specs.LinuxResources) error {
	settings, err := settingsOf(r)
	if err != nil {
		return err
	}
	if g == nil {
		if len(settings) == 0 {
			return nil
		}
		return errors.New("the container has no cgroup")
	}
	return g.set(settings)
}

// set writes each setting where its controller is.
func (g *Group) set(settings []setting) error {
	for _, s := range settings {
		controller, file, value := s.controller, s.v1, s.v1Value
		if g.Version == V2 {
			controller, file, value = unified, s.v2, s.v2Value
		}
		if file == "" {
			return fmt.Errorf("%s has no place in cgroup version %d", s.name, g.Version)
		}
		dir, ok := g.Dirs[controller]
		if !ok {
			return fmt.Errorf("%s: this host has no %s controller", s.name, controller)
		}
		if err := write(filepath.Join(dir, file), value); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// delegate turns on the controllers in every directory above the cgroup. One
// that no setting needs may be refused.
func (g *Group) delegate(settings []setting) error {
	dir := g.Dirs[unified]
	needed := map[string]bool{"cpu": false, "memory": false, "pids": false, "io": false, "cpuset": false}
	for _, s := range settings {
		needed[s.v2Controller()] = true
	}
	var above []string
	for up := filepath.Dir(dir); strings.HasPrefix(up, cgroupMount); up = filepath.Dir(up) {
		above = append(above, up)
	}
	for i := len(above) - 1; i >= 0; i-- {
		if err := os.MkdirAll(above[i], 0o755); err != nil {
			return err
		}
		for name, must := range needed {
			err := write(filepath.Join(above[i], "cgroup.subtree_control"), "+"+name)
			if err != nil && must {
				return err
			}
		}
	}
	return nil
}

// inheritCPUSet fills the empty sets of a new version 1 cpuset, which lets no
// process in otherwise, from the directory above.
func inheritCPUSet(dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		if err := inherit(dir, name); err != nil {
			return err
		}
	}
	return nil
}

func inherit(dir, name string) error {
	value, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || len(strings.TrimSpace(string(value))) > 0 {
		return err
	}
	if err := inherit(filepath.Dir(dir), name); err != nil {
		return err
	}
	if value, err = os.ReadFile(filepath.Join(filepath.Dir(dir), name)); err != nil {
		return err
	}
	return write(filepath.Join(dir, name), strings.TrimSpace(string(value)))
}

// Destroy removes the cgroup. Dying processes leave it only when the kernel has
// finished with them, so a busy one is tried again for a while.
func (g *Group) Destroy() error {
	if g == nil {
		return nil
	}
	const longest = 500 * time.Millisecond
	for _, dir := range g.uniqueDirs() {
		err := removeTree(dir)
		for wait := time.Millisecond; errors.Is(err, unix.EBUSY) && wait < longest; wait *= 2 {
			time.Sleep(wait)
			err = removeTree(dir)
		}
		if err != nil {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}

// removeTree removes a cgroup with those below it. Their files go by themselves.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// uniqueDirs lists the directories once each: controllers may share one.
func (g *Group) uniqueDirs() []string {
	seen := map[string]bool{}
	var dirs []string
	for _, dir := range g.Dirs {
		if !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	sort.Strings(dirs)
	return dirs
}

// write writes a cgroup file in one piece, which must exist.
func write(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value)
	return err
}
