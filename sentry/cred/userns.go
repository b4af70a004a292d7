package cred

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// IDMap is one line of uid_map: Length ids from Inside in the namespace are
// those from Outside in the parent.
type IDMap struct{ Inside, Outside, Length uint32 }

// UserNamespace maps ids between its tasks and the root namespace.
type UserNamespace struct {
	parent *UserNamespace
	owner  KUID
	group  KGID
	level  int

	mu         lock.Mutex[lockorder.UserNamespace]
	uids, gids []IDMap // Outside holds root-namespace ids
	setgroups  string  // "allow" or "deny"
	ino        uint64
}

// NewRootUserNamespace is the namespace in which ids are what they are.
func NewRootUserNamespace() *UserNamespace {
	all := []IDMap{{0, 0, 0xffffffff}}
	return &UserNamespace{uids: all, gids: all, setgroups: "allow"}
}

// NewUserNamespace is a child of c's namespace owned by c, with nothing mapped.
func NewUserNamespace(c *Creds) (*UserNamespace, error) {
	if c.UserNS.level >= 32 {
		return nil, errno.ENOSPC
	}
	return &UserNamespace{parent: c.UserNS, owner: c.EUID, group: c.EGID, level: c.UserNS.level + 1, setgroups: "allow"}, nil
}

// Parent is the namespace in which this one was made, nil for the root.
func (n *UserNamespace) Parent() *UserNamespace { return n.parent }

// Owner is the effective user that made the namespace.
func (n *UserNamespace) Owner() KUID { return n.owner }

// KUID maps an id as a task in n writes it; ok is false if it is not mapped.
func (n *UserNamespace) KUID(id uint32) (KUID, bool) {
	v, ok := n.in(id, func() []IDMap { return n.uids })
	return KUID(v), ok
}

// KGID is KUID for groups.
func (n *UserNamespace) KGID(id uint32) (KGID, bool) {
	v, ok := n.in(id, func() []IDMap { return n.gids })
	return KGID(v), ok
}

// UID is how a task in n sees u: Overflow if it is not mapped.
func (n *UserNamespace) UID(u KUID) uint32 {
	return n.out(uint32(u), func() []IDMap { return n.uids })
}

// GID is UID for groups.
func (n *UserNamespace) GID(g KGID) uint32 {
	return n.out(uint32(g), func() []IDMap { return n.gids })
}

// MapsUID says whether u has a name in n.
func (n *UserNamespace) MapsUID(u KUID) bool {
	return u == Overflow && n.parent == nil || n.UID(u) != Overflow
}

func (n *UserNamespace) in(id uint32, which func() []IDMap) (uint32, bool) {
	if n.parent == nil {
		return id, id != 0xffffffff
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range which() {
		if id >= m.Inside && id-m.Inside < m.Length {
			return m.Outside + (id - m.Inside), true
		}
	}
	return 0xffffffff, false
}

func (n *UserNamespace) out(id uint32, which func() []IDMap) uint32 {
	if n.parent == nil {
		return id
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range which() {
		if id >= m.Outside && id-m.Outside < m.Length {
			return m.Inside + (id - m.Outside)
		}
	}
	return Overflow
}

// UIDMap and GIDMap are the maps as the parent sees them, for /proc.
func (n *UserNamespace) UIDMap() []IDMap {
	return n.parentView(func() []IDMap { return n.uids }, (*UserNamespace).UID2)
}

// GIDMap is UIDMap for groups.
func (n *UserNamespace) GIDMap() []IDMap {
	return n.parentView(func() []IDMap { return n.gids }, (*UserNamespace).GID2)
}

// UID2 and GID2 are UID and GID on plain numbers.
func (n *UserNamespace) UID2(id uint32) uint32 { return n.UID(KUID(id)) }

// GID2 is UID2 for groups.
func (n *UserNamespace) GID2(id uint32) uint32 { return n.GID(KGID(id)) }

func (n *UserNamespace) parentView(maps func() []IDMap, see func(*UserNamespace, uint32) uint32) []IDMap {
	n.mu.Lock()
	out := append([]IDMap(nil), maps()...)
	n.mu.Unlock()
	if n.parent != nil {
		for i := range out {
			out[i].Outside = see(n.parent, out[i].Outside)
		}
	}
	return out
}

// SetUIDMap and SetGIDMap set a map once; Outside holds ids of the parent.
// Errors: EPERM if it is set already or an id is not mapped in the parent,
// EINVAL for overlaps or an empty map. Who may do it is the caller's check.
func (n *UserNamespace) SetUIDMap(maps []IDMap) error {
	return n.setMap(&n.uids, maps, func(id uint32) (uint32, bool) { k, ok := n.parent.KUID(id); return uint32(k), ok })
}

// SetGIDMap is SetUIDMap for groups.
func (n *UserNamespace) SetGIDMap(maps []IDMap) error {
	return n.setMap(&n.gids, maps, func(id uint32) (uint32, bool) { k, ok := n.parent.KGID(id); return uint32(k), ok })
}

func (n *UserNamespace) setMap(dst *[]IDMap, maps []IDMap, up func(uint32) (uint32, bool)) error {
	if n.parent == nil {
		return errno.EPERM
	}
	if len(maps) == 0 || len(maps) > 340 {
		return errno.EINVAL
	}
	own := make([]IDMap, 0, len(maps))
	for i, m := range maps {
		if m.Length == 0 || m.Inside+m.Length < m.Inside || m.Outside+m.Length < m.Outside {
			return errno.EINVAL
		}
		for _, o := range maps[:i] {
			if m.Inside < o.Inside+o.Length && o.Inside < m.Inside+m.Length ||
				m.Outside < o.Outside+o.Length && o.Outside < m.Outside+m.Length {
				return errno.EINVAL
			}
		}
		first, ok1 := up(m.Outside)
		last, ok2 := up(m.Outside + m.Length - 1)
		if !ok1 || !ok2 || last-first != m.Length-1 {
			return errno.EPERM
		}
		own = append(own, IDMap{m.Inside, first, m.Length})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if *dst != nil {
		return errno.EPERM
	}
	*dst = own
	return nil
}

// Setgroups says whether setgroups(2) is allowed: "allow" or "deny".
func (n *UserNamespace) Setgroups() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.setgroups
}

// DenySetgroups forbids setgroups for good; EPERM once a group map is set.
func (n *UserNamespace) DenySetgroups() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gids != nil && n.setgroups == "allow" {
		return errno.EPERM
	}
	n.setgroups = "deny"
	return nil
}

// GIDMapped says whether a group map is set.
func (n *UserNamespace) GIDMapped() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.gids != nil
}

// Ino identifies the namespace, as /proc/PID/ns shows it. The first caller's
// fresh gives the number.
func (n *UserNamespace) Ino(fresh func() uint64) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ino == 0 {
		n.ino = fresh()
	}
	return n.ino
}
