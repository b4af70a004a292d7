package specconv

import (
	"fmt"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

func (p *Plan) linux(l *specs.Linux) error {
	c := &p.Container
	c.MaskedPaths = l.MaskedPaths
	c.ReadonlyPaths = l.ReadonlyPaths
	c.Sysctls = l.Sysctl
	if err := p.namespaces(l); err != nil {
		return err
	}
	for _, d := range l.Devices {
		device, err := convertDevice(d)
		if err != nil {
			return fmt.Errorf("linux.devices: %w", err)
		}
		c.Devices = append(c.Devices, device)
	}
	if l.Resources != nil {
		c.Limits = limits(l.Resources)
	}
	if len(l.NetDevices) > 0 {
		return fmt.Errorf("linux.netDevices is not supported")
	}
	if l.IntelRdt != nil {
		return fmt.Errorf("linux.intelRdt is not supported")
	}
	if l.Personality != nil && l.Personality.Domain != specs.PerLinux {
		return fmt.Errorf("linux.personality %q is not supported", l.Personality.Domain)
	}
	if l.MountLabel != "" {
		p.warnf("linux.mountLabel %q is not applied: the sandbox's own kernel has no SELinux", l.MountLabel)
	}
	if l.MemoryPolicy != nil {
		p.warnf("linux.memoryPolicy is not applied")
	}
	for clock := range l.TimeOffsets {
		p.warnf("linux.timeOffsets: the offset of clock %q is not applied", clock)
	}
	return nil
}

// limits are what a container may see of the resources that its cgroup has.
// Values that mean no limit, 0 and below, are left out.
func limits(r *specs.LinuxResources) control.Limits {
	var l control.Limits
	if m := r.Memory; m != nil && m.Limit != nil && *m.Limit > 0 {
		l.Memory = uint64(*m.Limit)
		// The configuration counts memory and swap together.
		if m.Swap != nil && *m.Swap > *m.Limit {
			l.Swap = uint64(*m.Swap - *m.Limit)
		}
	}
	if c := r.CPU; c != nil && c.Quota != nil && *c.Quota > 0 {
		l.CPUQuota = *c.Quota
		if c.Period != nil && *c.Period <= 1_000_000 {
			l.CPUPeriod = int64(*c.Period)
		}
	}
	if r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit > 0 {
		l.Processes = *r.Pids.Limit
	}
	return l
}

// namespaces checks the list. A sandbox has namespaces of its own whatever the
// list says; joining those of another container is what it cannot do yet.
func (p *Plan) namespaces(l *specs.Linux) error {
	user := false
	seen := map[specs.LinuxNamespaceType]bool{}
	for _, ns := range l.Namespaces {
		if seen[ns.Type] {
			return fmt.Errorf("linux.namespaces: %q is given twice", ns.Type)
		}
		seen[ns.Type] = true
		switch ns.Type {
		case specs.UserNamespace:
			user = true
			if ns.Path != "" {
				return fmt.Errorf("linux.namespaces: joining user namespace %s is not supported", ns.Path)
			}
		case specs.NetworkNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace:
			if ns.Path != "" {
				p.warnf("linux.namespaces: the sandbox does not join %s namespace %s", ns.Type, ns.Path)
			}
		case specs.MountNamespace, specs.CgroupNamespace, specs.TimeNamespace:
		default:
			return fmt.Errorf("linux.namespaces: unknown type %q", ns.Type)
		}
	}
	if !seen[specs.NetworkNamespace] {
		p.warnf("linux.namespaces: the sandbox does not share the host's network")
	}
	if len(l.UIDMappings)+len(l.GIDMappings) > 0 && !user {
		return fmt.Errorf("linux.uidMappings are given without a user namespace")
	}
	if user {
		p.Container.UIDMap = convertMap(l.UIDMappings)
		p.Container.GIDMap = convertMap(l.GIDMappings)
	}
	return nil
}

func convertMap(in []specs.LinuxIDMapping) (out []control.IDMap) {
	for _, m := range in {
		out = append(out, control.IDMap{Inside: m.ContainerID, Outside: m.HostID, Count: m.Size})
	}
	return out
}

// defaultDevices are what the OCI specification promises to every container.
var defaultDevices = []control.Device{
	{Path: "/dev/null", Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 3},
	{Path: "/dev/zero", Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 5},
	{Path: "/dev/full", Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 7},
	{Path: "/dev/random", Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 8},
	{Path: "/dev/urandom", Mode: unix.S_IFCHR | 0o666, Major: 1, Minor: 9},
	{Path: "/dev/tty", Mode: unix.S_IFCHR | 0o666, Major: 5, Minor: 0},
}

// devices puts the default devices before those of the spec. A /dev that is
// bound from the host has its own, and none are added there.
func (p *Plan) devices() {
	for _, m := range p.Container.Mounts {
		if m.Destination == "/dev" && m.Type == "bind" {
			p.Container.Devices = nil
			return
		}
	}
	given := map[string]bool{}
	for _, d := range p.Container.Devices {
		given[d.Path] = true
	}
	var all []control.Device
	for _, d := range defaultDevices {
		if !given[d.Path] {
			all = append(all, d)
		}
	}
	p.Container.Devices = append(all, p.Container.Devices...)
}

func convertDevice(d specs.LinuxDevice) (control.Device, error) {
	if !filepath.IsAbs(d.Path) {
		return control.Device{}, fmt.Errorf("path %q must be absolute", d.Path)
	}
	out := control.Device{Path: filepath.Clean(d.Path), Mode: 0o666}
	if d.FileMode != nil {
		out.Mode = uint32(d.FileMode.Perm())
	}
	switch d.Type {
	case "c", "u":
		out.Mode |= unix.S_IFCHR
	case "b":
		out.Mode |= unix.S_IFBLK
	case "p":
		out.Mode |= unix.S_IFIFO
	default:
		return control.Device{}, fmt.Errorf("%s: unknown type %q", d.Path, d.Type)
	}
	if d.Type != "p" {
		if d.Major < 0 || d.Minor < 0 || d.Major > 1<<12-1 || d.Minor > 1<<20-1 {
			return control.Device{}, fmt.Errorf("%s: device number %d:%d is out of range", d.Path, d.Major, d.Minor)
		}
		out.Major, out.Minor = uint32(d.Major), uint32(d.Minor)
	}
	if d.UID != nil {
		out.UID = *d.UID
	}
	if d.GID != nil {
		out.GID = *d.GID
	}
	return out, nil
}
