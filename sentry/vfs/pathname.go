package vfs

import "strings"

// String is the path from the root of the mount tree, for messages and
// /proc/PID/maps.
func (p Path) String() string {
	s, _ := p.text(Path{})
	return s
}

// Reach says how a path lies with regard to a root.
type Reach uint8

// A path is below the root, outside of it, or its file has been removed.
const (
	Reachable Reach = iota
	Unreachable
	Deleted
)

// RelativeTo is the path as a task with that root sees it, and whether it is
// reachable. A deleted file's old name comes without " (deleted)".
func (p Path) RelativeTo(root Path) (string, Reach) { return p.text(root) }

// Display is the path as /proc/PID/fd and getcwd's callers show it: with
// "(unreachable)" in front or " (deleted)" behind.
func (p Path) Display(root Path) string {
	s, reach := p.text(root)
	switch {
	case p.Dentry.has(dAnon):
		return s
	case reach == Unreachable:
		return "(unreachable)" + s
	case reach == Deleted:
		return s + " (deleted)"
	}
	return s
}

func (p Path) text(root Path) (string, Reach) {
	if p.IsZero() {
		return "", Unreachable
	}
	if p.Dentry.has(dAnon) {
		return p.Dentry.name, Reachable
	}
	w := p.Mount.world
	w.mountMu.RLock()
	defer w.mountMu.RUnlock()
	w.renameMu.RLock()
	defer w.renameMu.RUnlock()
	var names []string
	reach := Reachable
	if p.Dentry.unhashed() && p.Dentry.parent != nil {
		reach = Deleted
	}
	m, d := p.Mount, p.Dentry
	for m != root.Mount || d != root.Dentry {
		if d == m.root {
			if m.parent == nil {
				if !root.IsZero() && reach == Reachable {
					reach = Unreachable
				}
				break
			}
			m, d = m.parent, m.point
			continue
		}
		if d.parent == nil {
			break
		}
		names = append(names, d.name)
		d = d.parent
	}
	if len(names) == 0 {
		return "/", reach
	}
	var b strings.Builder
	for i := len(names) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(names[i])
	}
	return b.String(), reach
}
