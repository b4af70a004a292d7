// Package cred holds what decides about rights: user and group ids,
// capabilities, user namespaces.
//
// A Creds value is immutable once it is visible to others: a task that changes
// its ids makes a copy, changes it and swaps the pointer, so that a reader
// (another task, an open file, a message in a socket) sees one consistent set
// without a lock. Ids inside are kernel ids (KUID): those of the root user
// namespace; a namespace maps them to what its tasks see.
package cred

import "github.com/bulkhead-sandbox/bulkhead/abi/linux"

// KUID and KGID are ids of the root user namespace.
type (
	KUID uint32
	KGID uint32
)

// Ids that every namespace knows.
const (
	Root     KUID = 0
	RootGID  KGID = 0
	NoUID    KUID = 0xffffffff // no such id
	NoGID    KGID = 0xffffffff
	Overflow      = 65534 // what an unmapped id looks like
)

// CapSet is a set of capabilities, bit i for capability i.
type CapSet uint64

// Has says whether capability c is in the set.
func (s CapSet) Has(c linux.Capability) bool { return s&(1<<uint(c)) != 0 }

// AllCaps is every capability there is.
const AllCaps CapSet = 1<<(uint(linux.CAP_LAST_CAP)+1) - 1

// Creds are the credentials of a task at one moment.
type Creds struct {
	UID, EUID, SUID, FSUID KUID
	GID, EGID, SGID, FSGID KGID
	Groups                 []KGID // sorted; shared between copies, never changed

	Permitted, Effective, Inheritable, Bounding, Ambient CapSet

	Securebits uint32
	NoNewPrivs uint8 // 1 once set by prctl(PR_SET_NO_NEW_PRIVS)

	UserNS *UserNamespace
}

// Copy returns a copy that may be changed. Groups is shared: replace it whole.
func (c *Creds) Copy() *Creds {
	d := *c
	return &d
}

// HasCap says whether the credentials hold c in their own user namespace.
func (c *Creds) HasCap(cp linux.Capability) bool { return c.HasCapIn(cp, c.UserNS) }

// HasCapIn says whether the credentials hold c over what belongs to ns: they
// are in ns with c effective, or own ns or one of its ancestors' children; see
// user_namespaces(7), "Capabilities".
func (c *Creds) HasCapIn(cp linux.Capability, ns *UserNamespace) bool {
	for n := ns; n != nil; n = n.parent {
		if n == c.UserNS {
			return c.Effective.Has(cp)
		}
		if n.parent == c.UserNS && n.owner == c.EUID {
			return true
		}
	}
	return false
}

// InGroup says whether g is the file system group or a supplementary one.
func (c *Creds) InGroup(g KGID) bool {
	if c.FSGID == g {
		return true
	}
	return c.hasSupplementary(g)
}

// InEGroup is InGroup with the effective group, as checks of other than files use.
func (c *Creds) InEGroup(g KGID) bool { return c.EGID == g || c.hasSupplementary(g) }

func (c *Creds) hasSupplementary(g KGID) bool {
	for _, x := range c.Groups {
		if x == g {
			return true
		}
	}
	return false
}
