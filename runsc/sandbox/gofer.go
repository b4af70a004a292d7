package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// goferNamespaces are all but the user namespace: root's gofer has to be root on
// the host to make files of any owner.
const goferNamespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// GoferConfig is the document that a gofer reads from control.ConfigFD.
type GoferConfig struct {
	// Trees are served on the connections from control.FirstFD on.
	Trees       []specconv.Tree
	Confinement Confinement
	// TakeIDs says that the namespace's ids were mapped after the process had
	// begun, which therefore has to become these itself.
	TakeIDs  bool
	UID, GID uint32
	// SquashOwner says that few ids exist for the gofer: files that should
	// belong to any other become its own.
	SquashOwner bool
}

// Confinement is what keeps a gofer to its trees.
type Confinement string

const (
	// ByMounts is a mount namespace in which nothing but the trees is mounted.
	ByMounts Confinement = "mounts"
	// ByLandlock is landlock(7). An ordinary user's gofer would need a user
	// namespace to mount anything, and in there all files but the user's own
	// seem to belong to nobody. This way it sees the owners that the user sees.
	ByLandlock Confinement = "landlock"
)

// confinement chooses.
func confinement(c *Config) Confinement {
	if os.Geteuid() != 0 && len(c.Boot.Container.UIDMap) == 0 && haveLandlock() {
		return ByLandlock
	}
	return ByMounts
}

// writeGoferConfig writes the document for the gofer of c.
func writeGoferConfig(w io.Writer, c *Config) error {
	g := GoferConfig{Trees: c.Trees, Confinement: confinement(c), SquashOwner: os.Geteuid() != 0}
	if maps := &c.Boot.Container; needsMapper(maps) {
		g.TakeIDs, g.SquashOwner = true, false
		g.UID, g.GID = maps.UIDMap[0].Inside, maps.GIDMap[0].Inside
	}
	if err := json.NewEncoder(w).Encode(g); err != nil {
		return fmt.Errorf("configure gofer: %w", err)
	}
	return nil
}

// ReadGoferConfig reads the document.
func ReadGoferConfig(r io.Reader) (*GoferConfig, error) {
	c := new(GoferConfig)
	if err := json.NewDecoder(r).Decode(c); err != nil {
		return nil, fmt.Errorf("read gofer configuration: %w", err)
	}
	return c, nil
}

// goferSpec says how to start the gofer of c.
func goferSpec(c *Config, ends []*os.File) childSpec {
	attr := &syscall.SysProcAttr{Setsid: true}
	if confinement(c) == ByMounts {
		attr.Cloneflags = goferNamespaces
		if os.Geteuid() != 0 || len(c.Boot.Container.UIDMap) > 0 {
			goferUserNamespace(attr, c)
		}
	}
	if c.Lifetime == WithStarter {
		attr.Pdeathsig = syscall.SIGKILL
	}
	return childSpec{
		args:  []string{"runsc", GoferCommand, c.Boot.Container.ID},
		stdio: [3]*os.File{nil, c.Errors, c.Errors},
		files: ends,
		attr:  attr,
	}
}

// goferUserNamespace makes the gofer see the ids that the container sees. For an
// ordinary user without maps, that is the user's own id alone.
func goferUserNamespace(attr *syscall.SysProcAttr, c *Config) {
	attr.Cloneflags |= unix.CLONE_NEWUSER
	container := &c.Boot.Container
	if needsMapper(container) {
		attr.AmbientCaps = append([]uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID}, goferCapabilities...)
		return
	}
	if len(container.UIDMap) == 0 {
		mapOnly(attr, os.Geteuid(), os.Getegid())
		attr.Credential = &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid()), NoSetGroups: true}
	} else {
		attr.UidMappings = idMappings(container.UIDMap)
		attr.GidMappings = idMappings(container.GIDMap)
		attr.Credential = &syscall.Credential{
			Uid: uint32(attr.UidMappings[0].ContainerID), NoSetGroups: true,
		}
		if len(attr.GidMappings) > 0 {
			attr.Credential.Gid = uint32(attr.GidMappings[0].ContainerID)
		}
		attr.GidMappingsEnableSetgroups = maySetGroups()
	}
	attr.AmbientCaps = append([]uintptr{unix.CAP_SYS_ADMIN}, goferCapabilities...)
}

// needsMapper says whether the maps hold ids that an ordinary user may have only
// through newuidmap(1): any but the user's own.
func needsMapper(c *control.Container) bool {
	if os.Geteuid() == 0 || len(c.UIDMap) == 0 || len(c.GIDMap) == 0 {
		return false
	}
	own := func(maps []control.IDMap, id int) bool {
		return len(maps) == 1 && maps[0].Count == 1 && int(maps[0].Outside) == id
	}
	return !own(c.UIDMap, os.Geteuid()) || !own(c.GIDMap, os.Getegid())
}

// mapIDs asks newuidmap and newgidmap, which know the user's ids in
// /etc/subuid and /etc/subgid.
func mapIDs(pid int, c *control.Container) error {
	for _, m := range []struct {
		program string
		maps    []control.IDMap
	}{{"newuidmap", c.UIDMap}, {"newgidmap", c.GIDMap}} {
		args := []string{strconv.Itoa(pid)}
		for _, id := range m.maps {
			for _, n := range []uint32{id.Inside, id.Outside, id.Count} {
				args = append(args, strconv.FormatUint(uint64(n), 10))
			}
		}
		if out, err := exec.Command(m.program, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("map ids: %s: %w: %s", m.program, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

func idMappings(in []control.IDMap) (out []syscall.SysProcIDMap) {
	for _, m := range in {
		out = append(out, syscall.SysProcIDMap{ContainerID: int(m.Inside), HostID: int(m.Outside), Size: int(m.Count)})
	}
	return out
}
