package sandbox

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// SentryCommand and GoferCommand are the first arguments with which runsc runs
// as one of the two.
const (
	SentryCommand = "boot"
	GoferCommand  = "gofer"
)

// nobody is the id that a Sentry has: in its user namespace, and on the host too
// when root starts it.
const nobody = 65534

// sentryNamespaces are all that a process can have for itself. The cgroup
// namespace is left out, as the Sentry sees no cgroup file system.
const sentryNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS |
	unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// sentrySpec says how to start a Sentry and writes its descriptor numbers into
// c.Boot.
func sentrySpec(c *Config, gofers []*os.File, life *os.File) childSpec {
	spec := childSpec{
		args:  []string{"runsc", SentryCommand, c.Boot.Container.ID},
		stdio: [3]*os.File{nil, c.Errors, c.Errors},
		attr: &syscall.SysProcAttr{
			Cloneflags:  sentryNamespaces,
			AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN}, // for the empty root; dropped by EnterSentry
			Credential:  &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true},
			Setsid:      true,
		},
	}
	mapOnly(spec.attr, nobody, nobody)
	if maySetGroups() {
		spec.attr.GidMappingsEnableSetgroups = true
		spec.attr.Credential.NoSetGroups = false
	}
	if c.Lifetime == WithStarter {
		spec.attr.Pdeathsig = syscall.SIGKILL
	}
	donate := func(f *os.File) int {
		if f == nil {
			return control.NoFD
		}
		spec.files = append(spec.files, f)
		return control.FirstFD + len(spec.files) - 1
	}

	b := &c.Boot
	b.PlatformFD = control.NoFD
	b.ListenFD, b.ConnFD, b.DebugFD = donate(c.Listener), donate(c.Conn), donate(c.Debug)
	b.GoferFDs, b.GoferLifeFD = nil, donate(life)
	for _, g := range gofers {
		b.GoferFDs = append(b.GoferFDs, donate(g))
	}
	stdio := &b.Container.Process.Stdio
	stdio.TTY = donate(c.TTY)
	for i, f := range c.Stdio {
		stdio.Files[i] = donate(f)
	}
	stdio.Extra = nil
	for _, f := range c.Extra {
		stdio.Extra = append(stdio.Extra, donate(f))
	}
	if c.TTY != nil {
		// As the controlling terminal of the Sentry's session it tells the
		// Sentry by SIGWINCH and SIGHUP what happens at its other end.
		spec.attr.Setctty = true
		spec.attr.Ctty = stdio.TTY
	}
	return spec
}

// mapOnly maps one user and one group of a new user namespace: to the same ids
// of the host for root, and to the caller's for everyone else. Root of a user
// namespace that lacks them counts as everyone else.
func mapOnly(attr *syscall.SysProcAttr, uid, gid int) {
	hostUID, hostGID := uid, gid
	if os.Geteuid() != 0 || !mapped("uid_map", uid) {
		hostUID = os.Geteuid()
	}
	if os.Geteuid() != 0 || !mapped("gid_map", gid) {
		hostGID = os.Getegid()
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: hostUID, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: hostGID, Size: 1}}
}

// mapped says whether our own user namespace has the id.
func mapped(file string, id int) bool {
	raw, err := os.ReadFile("/proc/self/" + file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(raw)) {
		var inside, outside, count uint64
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && uint64(id) >= inside && uint64(id)-inside < count {
			return true
		}
	}
	return false
}

// maySetGroups says whether a child in a new user namespace may drop our
// supplementary groups: that takes privilege, also that of every user namespace
// around us, see user_namespaces(7).
func maySetGroups() bool {
	raw, err := os.ReadFile("/proc/self/setgroups")
	return os.Geteuid() == 0 && err == nil && strings.TrimSpace(string(raw)) == "allow"
}
