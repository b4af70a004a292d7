package syscalls

import (
	"slices"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Credentials: user and group ids, capabilities.
var credentialCalls = []Call{
	steady(call0(sysno.Getuid, getuid, full)),
	steady(call0(sysno.Geteuid, geteuid, full)),
	steady(call0(sysno.Getgid, getgid, full)),
	steady(call0(sysno.Getegid, getegid, full)),
	call3(sysno.Getresuid, getresuid, full),
	call3(sysno.Getresgid, getresgid, full),
	call1(sysno.Setuid, setuid, full),
	call1(sysno.Setgid, setgid, full),
	call2(sysno.Setreuid, setreuid, full),
	call2(sysno.Setregid, setregid, full),
	call3(sysno.Setresuid, setresuid, full),
	call3(sysno.Setresgid, setresgid, full),
	call1(sysno.Setfsuid, setfsuid, full),
	call1(sysno.Setfsgid, setfsgid, full),
	call2(sysno.Getgroups, getgroups, full),
	call2(sysno.Setgroups, setgroups, full),
	call2(sysno.Capget, capget, full),
	call2(sysno.Capset, capset, full),
}

func getuid(t *kernel.Task) (uint64, error) {
	c := t.Creds()
	return uint64(c.UserNS.UID(c.UID)), nil
}

func geteuid(t *kernel.Task) (uint64, error) {
	c := t.Creds()
	return uint64(c.UserNS.UID(c.EUID)), nil
}

func getgid(t *kernel.Task) (uint64, error) {
	c := t.Creds()
	return uint64(c.UserNS.GID(c.GID)), nil
}

func getegid(t *kernel.Task) (uint64, error) {
	c := t.Creds()
	return uint64(c.UserNS.GID(c.EGID)), nil
}

func getresuid(t *kernel.Task, r, e, s usermem.Ptr[uint32]) (uint64, error) {
	c := t.Creds()
	return 0, storeThree(t, r, e, s, c.UserNS.UID(c.UID), c.UserNS.UID(c.EUID), c.UserNS.UID(c.SUID))
}

func getresgid(t *kernel.Task, r, e, s usermem.Ptr[uint32]) (uint64, error) {
	c := t.Creds()
	return 0, storeThree(t, r, e, s, c.UserNS.GID(c.GID), c.UserNS.GID(c.EGID), c.UserNS.GID(c.SGID))
}

func storeThree(t *kernel.Task, p, q, r usermem.Ptr[uint32], a, b, c uint32) error {
	if err := p.Store(t, a); err != nil {
		return err
	}
	if err := q.Store(t, b); err != nil {
		return err
	}
	return r.Store(t, c)
}

// keep is the argument that leaves an id as it is.
const keep = 0xffffffff

// ids is a real, effective and saved id of either kind.
type ids struct{ r, e, s uint32 }

// idKind is what setres*id and friends do for users or for groups.
type idKind struct {
	capability linux.Capability
	get        func(*cred.Creds) ids
	set        func(*cred.Creds, ids)
	in         func(*cred.UserNamespace, uint32) (uint32, bool)
}

var users = idKind{
	capability: linux.CAP_SETUID,
	get:        func(c *cred.Creds) ids { return ids{uint32(c.UID), uint32(c.EUID), uint32(c.SUID)} },
	set: func(c *cred.Creds, v ids) {
		was := *c
		c.UID, c.EUID, c.SUID, c.FSUID = cred.KUID(v.r), cred.KUID(v.e), cred.KUID(v.s), cred.KUID(v.e)
		c.FixCapsAfterUIDChange(&was)
	},
	in: func(n *cred.UserNamespace, id uint32) (uint32, bool) { k, ok := n.KUID(id); return uint32(k), ok },
}

var groups = idKind{
	capability: linux.CAP_SETGID,
	get:        func(c *cred.Creds) ids { return ids{uint32(c.GID), uint32(c.EGID), uint32(c.SGID)} },
	set: func(c *cred.Creds, v ids) {
		c.GID, c.EGID, c.SGID, c.FSGID = cred.KGID(v.r), cred.KGID(v.e), cred.KGID(v.s), cred.KGID(v.e)
	},
	in: func(n *cred.UserNamespace, id uint32) (uint32, bool) { k, ok := n.KGID(id); return uint32(k), ok },
}

// change applies next to the present ids; next gets whether the caller is
// privileged and returns the new ids.
func (k *idKind) change(t *kernel.Task, next func(old ids, privileged bool) (ids, error)) (uint64, error) {
	c := t.Creds().Copy()
	v, err := next(k.get(c), c.HasCap(k.capability))
	if err != nil {
		return 0, err
	}
	was := *c
	k.set(c, v)
	t.SetCreds(c)
	if c.EUID != was.EUID || c.EGID != was.EGID || c.FSUID != was.FSUID || c.FSGID != was.FSGID {
		t.CredsChanged()
	}
	return 0, nil
}

// resolve maps an id of the caller's namespace; keep stays as old.
func (k *idKind) resolve(t *kernel.Task, id, old uint32) (uint32, error) {
	if id == keep {
		return old, nil
	}
	v, ok := k.in(t.Creds().UserNS, id)
	if !ok {
		return 0, errno.EINVAL
	}
	return v, nil
}

func (k *idKind) setOne(t *kernel.Task, id uint32) (uint64, error) {
	if id == keep {
		return 0, errno.EINVAL
	}
	return k.change(t, func(old ids, privileged bool) (ids, error) {
		v, err := k.resolve(t, id, 0)
		switch {
		case err != nil:
			return old, err
		case privileged:
			return ids{v, v, v}, nil
		case v != old.r && v != old.s:
			return old, errno.EPERM
		}
		return ids{old.r, v, old.s}, nil
	})
}

func (k *idKind) setTwo(t *kernel.Task, r, e uint32) (uint64, error) {
	return k.change(t, func(old ids, privileged bool) (ids, error) {
		nr, err := k.resolve(t, r, old.r)
		if err != nil {
			return old, err
		}
		ne, err := k.resolve(t, e, old.e)
		if err != nil {
			return old, err
		}
		if !privileged && (r != keep && nr != old.r && nr != old.e || e != keep && ne != old.r && ne != old.e && ne != old.s) {
			return old, errno.EPERM
		}
		v := ids{nr, ne, old.s}
		if r != keep || e != keep && ne != old.r {
			v.s = ne
		}
		return v, nil
	})
}

func (k *idKind) setThree(t *kernel.Task, r, e, s uint32) (uint64, error) {
	return k.change(t, func(old ids, privileged bool) (ids, error) {
		var v ids
		for _, x := range []struct {
			arg uint32
			was uint32
			out *uint32
		}{{r, old.r, &v.r}, {e, old.e, &v.e}, {s, old.s, &v.s}} {
			id, err := k.resolve(t, x.arg, x.was)
			if err != nil {
				return old, err
			}
			if !privileged && id != old.r && id != old.e && id != old.s {
				return old, errno.EPERM
			}
			*x.out = id
		}
		return v, nil
	})
}

func setuid(t *kernel.Task, id uint32) (uint64, error)         { return users.setOne(t, id) }
func setgid(t *kernel.Task, id uint32) (uint64, error)         { return groups.setOne(t, id) }
func setreuid(t *kernel.Task, r, e uint32) (uint64, error)     { return users.setTwo(t, r, e) }
func setregid(t *kernel.Task, r, e uint32) (uint64, error)     { return groups.setTwo(t, r, e) }
func setresuid(t *kernel.Task, r, e, s uint32) (uint64, error) { return users.setThree(t, r, e, s) }
func setresgid(t *kernel.Task, r, e, s uint32) (uint64, error) { return groups.setThree(t, r, e, s) }

// setfsuid sets the id for file access and returns the old one; it cannot fail.
func setfsuid(t *kernel.Task, id uint32) (uint64, error) {
	c := t.Creds().Copy()
	old := c.UserNS.UID(c.FSUID)
	v, ok := c.UserNS.KUID(id)
	if ok && (v == c.UID || v == c.EUID || v == c.SUID || v == c.FSUID || c.HasCap(linux.CAP_SETUID)) {
		was := *c
		c.FSUID = v
		c.FixCapsAfterFSUIDChange(&was)
		t.SetCreds(c)
	}
	return uint64(old), nil
}

func setfsgid(t *kernel.Task, id uint32) (uint64, error) {
	c := t.Creds().Copy()
	old := c.UserNS.GID(c.FSGID)
	v, ok := c.UserNS.KGID(id)
	if ok && (v == c.GID || v == c.EGID || v == c.SGID || v == c.FSGID || c.HasCap(linux.CAP_SETGID)) {
		c.FSGID = v
		t.SetCreds(c)
	}
	return uint64(old), nil
}

func getgroups(t *kernel.Task, n int32, list usermem.Ptr[uint32]) (uint64, error) {
	c := t.Creds()
	switch {
	case n < 0 || n > 0 && int(n) < len(c.Groups):
		return 0, errno.EINVAL
	case n == 0:
		return uint64(len(c.Groups)), nil
	}
	out := make([]uint32, len(c.Groups))
	for i, g := range c.Groups {
		out[i] = c.UserNS.GID(g)
	}
	return uint64(len(out)), list.StoreSlice(t, out)
}

// maxGroups is NGROUPS_MAX.
const maxGroups = 65536

func setgroups(t *kernel.Task, n uint32, list usermem.Ptr[uint32]) (uint64, error) {
	c := t.Creds()
	if !c.HasCap(linux.CAP_SETGID) || !c.UserNS.GIDMapped() && c.UserNS.Parent() != nil || c.UserNS.Setgroups() == "deny" {
		return 0, errno.EPERM
	}
	if n > maxGroups {
		return 0, errno.EINVAL
	}
	in, err := list.LoadSlice(t, int(n))
	if err != nil {
		return 0, err
	}
	all := make([]cred.KGID, n)
	for i, g := range in {
		k, ok := c.UserNS.KGID(g)
		if !ok {
			return 0, errno.EINVAL
		}
		all[i] = k
	}
	slices.Sort(all)
	c = c.Copy()
	c.Groups = all
	t.SetCreds(c)
	return 0, nil
}

// capWords is how many 32-bit words of each set a version has; 0: unknown.
func capWords(version uint32) int {
	switch version {
	case linux.LINUX_CAPABILITY_VERSION_1:
		return 1
	case linux.LINUX_CAPABILITY_VERSION_2, linux.LINUX_CAPABILITY_VERSION_3:
		return 2
	}
	return 0
}

// capHeader loads the header; an unknown version is answered with ours.
func capHeader(t *kernel.Task, p usermem.Ptr[linux.CapUserHeader]) (linux.CapUserHeader, int, error) {
	h, err := p.Load(t)
	if err != nil {
		return h, 0, err
	}
	n := capWords(h.Version)
	if n == 0 {
		h.Version = linux.LINUX_CAPABILITY_VERSION_3
		if err := p.Store(t, h); err != nil {
			return h, 0, err
		}
		return h, 0, errno.EINVAL
	}
	return h, n, nil
}

func capget(t *kernel.Task, header usermem.Ptr[linux.CapUserHeader], data usermem.Ptr[linux.CapUserData]) (uint64, error) {
	h, n, err := capHeader(t, header)
	if err != nil {
		if err == errno.EINVAL && data == 0 {
			return 0, nil
		}
		return 0, err
	}
	if h.PID < 0 {
		return 0, errno.EINVAL
	}
	u := t
	if h.PID != 0 {
		if u = t.PIDNS().Task(h.PID); u == nil {
			return 0, errno.ESRCH
		}
	}
	if data == 0 {
		return 0, nil
	}
	c := u.Creds()
	out := make([]linux.CapUserData, n)
	for i := range out {
		out[i] = linux.CapUserData{
			Effective:   uint32(c.Effective >> (32 * i)),
			Permitted:   uint32(c.Permitted >> (32 * i)),
			Inheritable: uint32(c.Inheritable >> (32 * i)),
		}
	}
	return 0, data.StoreSlice(t, out)
}

// capset changes the thread's own sets.
//
// Errors: EPERM for more than is permitted or for another thread; EINVAL,
// EFAULT.
func capset(t *kernel.Task, header usermem.Ptr[linux.CapUserHeader], data usermem.Ptr[linux.CapUserData]) (uint64, error) {
	h, n, err := capHeader(t, header)
	if err != nil {
		return 0, err
	}
	if h.PID != 0 && h.PID != t.TID() {
		return 0, errno.EPERM
	}
	in, err := data.LoadSlice(t, n)
	if err != nil {
		return 0, err
	}
	var e, p, inh cred.CapSet
	for i, d := range in {
		e |= cred.CapSet(d.Effective) << (32 * i)
		p |= cred.CapSet(d.Permitted) << (32 * i)
		inh |= cred.CapSet(d.Inheritable) << (32 * i)
	}
	c := t.Creds().Copy()
	if err := c.SetCaps(e&cred.AllCaps, p&cred.AllCaps, inh&cred.AllCaps); err != nil {
		return 0, err
	}
	t.SetCreds(c)
	return 0, nil
}
