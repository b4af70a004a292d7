package vfs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// MountInfo is the text of /proc/PID/mountinfo for a task with that root:
// mounts that it cannot reach are left out.
func (ns *MountNamespace) MountInfo(root Path) string {
	var b strings.Builder
	for _, m := range ns.reachable(root) {
		s, _ := m.sb.root.inode.Stat(nil, linux.STATX_INO)
		fmt.Fprintf(&b, "%d %d %d:%d %s %s %s%s - %s %s %s%s\n",
			m.id, m.parentID, s.DevMajor, s.DevMinor, escape(m.subtree), escape(m.at), m.options(),
			m.propagation, m.sb.fs.Type(), escape(m.source), readOnlyWord(m.sb.flags.Load()), comma(m.sb.fs.Options()))
	}
	return b.String()
}

// MountTable is the text of /proc/PID/mounts.
func (ns *MountNamespace) MountTable(root Path) string {
	var b strings.Builder
	for _, m := range ns.reachable(root) {
		opts := readOnlyWord(m.Flags()) + strings.TrimPrefix(strings.TrimPrefix(m.options(), "ro"), "rw")
		fmt.Fprintf(&b, "%s %s %s %s%s 0 0\n", escape(m.source), escape(m.at), m.sb.fs.Type(), opts, comma(m.sb.fs.Options()))
	}
	return b.String()
}

// MountStats is the text of /proc/PID/mountstats.
func (ns *MountNamespace) MountStats(root Path) string {
	var b strings.Builder
	for _, m := range ns.reachable(root) {
		fmt.Fprintf(&b, "device %s mounted on %s with fstype %s\n", escape(m.source), escape(m.at), m.sb.fs.Type())
	}
	return b.String()
}

// Sync writes back every file system of the namespace, as sync(2) does.
func (ns *MountNamespace) Sync(c Context) {
	seen := map[*super]bool{}
	var all []*super
	ns.world.mountMu.RLock()
	ns.root.each(func(m *Mount) {
		if !seen[m.sb] {
			seen[m.sb] = true
			m.sb.incRef()
			all = append(all, m.sb)
		}
	})
	ns.world.mountMu.RUnlock()
	for _, sb := range all {
		_ = sb.fs.Sync(c) // sync(2) reports nothing
		sb.decRef()
	}
}

// mountLine is a mount with what the lock guards, taken out of it.
type mountLine struct {
	*Mount
	parentID    int
	at, subtree string
	propagation string
	source      string
}

// reachable lists the mounts of ns below root, by id.
func (ns *MountNamespace) reachable(root Path) []mountLine {
	w := ns.world
	var all []mountLine
	w.mountMu.RLock()
	ns.root.each(func(m *Mount) {
		// The root's parent is a mount that nobody sees, as on Linux.
		l := mountLine{Mount: m, parentID: ns.world.anon.id, source: m.source}
		if m.parent != nil {
			l.parentID = m.parent.id
		}
		if m.group != nil {
			l.propagation += fmt.Sprintf(" shared:%d", m.group.id)
		}
		if m.master != nil {
			l.propagation += fmt.Sprintf(" master:%d", m.master.id)
		}
		if m.unbind {
			l.propagation += " unbindable"
		}
		m.incRef()
		all = append(all, l)
	})
	w.mountMu.RUnlock()
	out := all[:0]
	for _, l := range all {
		at, reach := Path{l.Mount, l.root}.RelativeTo(root)
		l.at = at
		l.subtree = l.root.pathInFS()
		l.decRef()
		if reach != Unreachable {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b mountLine) int { return a.id - b.id })
	return out
}

// pathInFS is the path from the file system's own root.
func (d *Dentry) pathInFS() string {
	w := d.sb.world
	w.renameMu.RLock()
	defer w.renameMu.RUnlock()
	s := ""
	for ; d.parent != nil; d = d.parent {
		s = "/" + d.name + s
	}
	if s == "" {
		return "/"
	}
	return s
}

// options are those of the mount, "rw,nosuid,relatime".
func (m *Mount) options() string {
	f := m.flags.Load()
	s := readOnlyWord(f)
	for _, o := range mountOptions {
		if f&o.flag != 0 {
			s += "," + o.name
		}
	}
	return s
}

var mountOptions = []struct {
	flag uint32
	name string
}{
	{linux.MS_NOSUID, "nosuid"}, {linux.MS_NODEV, "nodev"}, {linux.MS_NOEXEC, "noexec"},
	{linux.MS_NOATIME, "noatime"}, {linux.MS_NODIRATIME, "nodiratime"}, {linux.MS_RELATIME, "relatime"},
	{linux.MS_NOSYMFOLLOW, "nosymfollow"},
}

func readOnlyWord(flags uint32) string {
	if flags&linux.MS_RDONLY != 0 {
		return "ro"
	}
	return "rw"
}

func comma(options string) string {
	if options == "" {
		return ""
	}
	return "," + options
}

// escape writes blanks, tabs, newlines, hashes and backslashes in octal, as
// /proc/mounts does.
func escape(s string) string {
	if s == "" {
		return "none"
	}
	return escaper.Replace(s)
}

var escaper = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, "\\", `\134`, "#", `\043`)
