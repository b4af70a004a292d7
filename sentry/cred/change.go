package cred

import (
	"encoding/binary"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// fsCaps are the capabilities that follow the file system user id.
const fsCaps = CapSet(1)<<linux.CAP_CHOWN | 1<<linux.CAP_DAC_OVERRIDE | 1<<linux.CAP_DAC_READ_SEARCH |
	1<<linux.CAP_FOWNER | 1<<linux.CAP_FSETID | 1<<linux.CAP_LINUX_IMMUTABLE | 1<<linux.CAP_MKNOD | 1<<linux.CAP_MAC_OVERRIDE

// FixCapsAfterUIDChange gives up or takes back capabilities when user ids
// change from or to 0; see capabilities(7), "Effect of user ID changes".
func (c *Creds) FixCapsAfterUIDChange(was *Creds) {
	if c.Securebits&linux.SECBIT_NO_SETUID_FIXUP != 0 {
		return
	}
	root, _ := c.UserNS.KUID(0)
	hadRoot := was.UID == root || was.EUID == root || was.SUID == root
	hasRoot := c.UID == root || c.EUID == root || c.SUID == root
	if hadRoot && !hasRoot {
		if c.Securebits&linux.SECBIT_KEEP_CAPS == 0 {
			c.Permitted, c.Effective = 0, 0
		}
		c.Ambient = 0
	}
	if was.EUID == root && c.EUID != root {
		c.Effective = 0
	}
	if was.EUID != root && c.EUID == root {
		c.Effective = c.Permitted
	}
	c.FixCapsAfterFSUIDChange(was)
}

// FixCapsAfterFSUIDChange does the same for the file system user id.
func (c *Creds) FixCapsAfterFSUIDChange(was *Creds) {
	if c.Securebits&linux.SECBIT_NO_SETUID_FIXUP != 0 {
		return
	}
	root, _ := c.UserNS.KUID(0)
	if was.FSUID == root && c.FSUID != root {
		c.Effective &^= fsCaps
	}
	if was.FSUID != root && c.FSUID == root {
		c.Effective |= c.Permitted & fsCaps
	}
}

// SetCaps is capset(2): EPERM for more than is allowed.
func (c *Creds) SetCaps(effective, permitted, inheritable CapSet) error {
	switch {
	case permitted&^c.Permitted != 0,
		effective&^permitted != 0,
		inheritable&^(c.Inheritable|c.Bounding) != 0,
		!c.HasCap(linux.CAP_SETPCAP) && inheritable&^(c.Inheritable|c.Permitted) != 0:
		return errno.EPERM
	}
	c.Effective, c.Permitted, c.Inheritable = effective, permitted, inheritable
	c.Ambient &= permitted & inheritable
	return nil
}

// FileCaps are the capabilities of an executable file (security.capability).
type FileCaps struct {
	Permitted, Inheritable CapSet
	Effective              bool
}

// Exec is what execve makes of the credentials: see capabilities(7),
// "Transformation of capabilities during execve()". SetUID and SetGID are the
// ids that a set-user-ID or set-group-ID file gives, No* if it does not. The
// file's privileges are passed over under no_new_privs. Secure says whether
// AT_SECURE is set.
func (c *Creds) Exec(uid KUID, gid KGID, file *FileCaps) (n *Creds, secure bool) {
	n = c.Copy()
	if c.NoNewPrivs != 0 {
		uid, gid, file = NoUID, NoGID, nil
	}
	if uid != NoUID {
		n.EUID = uid
	}
	if gid != NoGID {
		n.EGID = gid
	}
	n.SUID, n.FSUID, n.SGID, n.FSGID = n.EUID, n.EUID, n.EGID, n.EGID

	root, _ := c.UserNS.KUID(0)
	privileged := uid != NoUID && uid != c.UID || gid != NoGID && gid != c.GID || file != nil
	fp, fi, fe := CapSet(0), CapSet(0), false
	if file != nil {
		fp, fi, fe = file.Permitted, file.Inheritable, file.Effective
	}
	if c.Securebits&linux.SECBIT_NOROOT == 0 && (n.EUID == root || n.UID == root) {
		// Root's programs count as if they had all capabilities.
		fp, fi = AllCaps, AllCaps
		fe = n.EUID == root
	}
	if privileged {
		n.Ambient = 0
	}
	n.Permitted = c.Inheritable&fi | fp&c.Bounding | n.Ambient
	n.Effective = n.Ambient
	if fe {
		n.Effective = n.Permitted
	}
	n.Securebits &^= linux.SECBIT_KEEP_CAPS
	secure = n.EUID != n.UID || n.EGID != n.GID || file != nil && n.UID != root && n.Effective&^n.Ambient != 0
	return n, secure
}

// ParseFileCaps decodes a security.capability attribute of version 2 or 3; nil
// if it makes no sense.
func ParseFileCaps(b []byte) *FileCaps {
	const (
		revisionMask = 0xff000000
		revision2    = 0x02000000
		revision3    = 0x03000000
		effective    = 1
	)
	if len(b) < 20 {
		return nil
	}
	word := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(b[4*i:])) }
	magic := word(0)
	switch magic & revisionMask {
	case revision2:
		if len(b) != 20 {
			return nil
		}
	case revision3:
		// The root id behind the sets binds the file to one user
		// namespace; only that of the first one is known here.
		if len(b) != 24 || word(5) != 0 {
			return nil
		}
	default:
		return nil
	}
	return &FileCaps{
		Permitted:   CapSet(word(1)|word(3)<<32) & AllCaps,
		Inheritable: CapSet(word(2)|word(4)<<32) & AllCaps,
		Effective:   magic&effective != 0,
	}
}
