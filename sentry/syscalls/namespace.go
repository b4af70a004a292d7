package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/pidfd"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/proc"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Entering namespaces, and what ends a whole one.
var namespaceCalls = []Call{
	call2(sysno.Setns, setns, except("CLONE_NEWTIME")),
	call4(sysno.Reboot, reboot, full),
	call0(sysno.Vhangup, vhangup, full),
}

// setns enters the namespace of a descriptor of /proc/PID/ns, or those of a
// pidfd's process that kinds names.
//
// Errors: EBADF, EINVAL for another kind, EPERM without CAP_SYS_ADMIN over the
// namespace and over one's own, ESRCH for a process that is gone.
func setns(t *kernel.Task, fd linux.FD, kinds linux.CloneFlags) (uint64, error) {
	d, err := t.FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	switch f := d.File().(type) {
	case *proc.NamespaceFile:
		if kinds != 0 && kinds != f.Kind {
			return 0, errno.EINVAL
		}
		return 0, enter(t, f.Object)
	case *pidfd.File:
		return 0, enterProcess(t, f.Group(), kinds)
	}
	return 0, errno.EINVAL
}

// enterProcess enters several namespaces of a process.
func enterProcess(t *kernel.Task, g *kernel.ThreadGroup, kinds linux.CloneFlags) error {
	const known = linux.CLONE_NEWNS | linux.CLONE_NEWCGROUP | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC |
		linux.CLONE_NEWUSER | linux.CLONE_NEWPID | linux.CLONE_NEWNET
	if kinds == 0 || kinds&^known != 0 {
		return errno.EINVAL
	}
	u := g.Leader()
	if !t.MayTrace(u) {
		return errno.EPERM
	}
	ns, fs := u.Namespaces(), u.TakeFS()
	if fs == nil {
		return errno.ESRCH
	}
	defer fs.DecRef()
	for _, n := range []struct {
		kind   linux.CloneFlags
		object any
	}{
		{linux.CLONE_NEWUSER, u.Creds().UserNS}, {linux.CLONE_NEWUTS, ns.UTS}, {linux.CLONE_NEWIPC, ns.IPC},
		{linux.CLONE_NEWNET, ns.Net}, {linux.CLONE_NEWPID, u.PIDNS()}, {linux.CLONE_NEWNS, fs.Namespace()},
	} {
		if kinds&n.kind != 0 {
			if err := enter(t, n.object); err != nil {
				return err
			}
		}
	}
	return nil
}

// enter makes one namespace the task's own. nil is one of a kind that has only
// one.
func enter(t *kernel.Task, object any) error {
	switch n := object.(type) {
	case nil:
		return mayEnter(t, t.Creds().UserNS)
	case *kernel.UTSNamespace:
		return enterPlain(t, n.UserNS(), func(s *kernel.Namespaces) { s.UTS = n })
	case *kernel.IPCNamespace:
		return enterPlain(t, n.UserNS(), func(s *kernel.Namespaces) { s.IPC = n })
	case *kernel.NetNamespace:
		return enterPlain(t, n.UserNS(), func(s *kernel.Namespaces) { s.Net = n })
	case *kernel.PIDNamespace:
		// Only the caller's own and those below: for its children.
		for up := n; up != t.PIDNS(); up = up.Parent() {
			if up == nil {
				return errno.EINVAL
			}
		}
		return enterPlain(t, n.UserNS(), func(s *kernel.Namespaces) { s.PIDForChildren = n })
	case *vfs.MountNamespace:
		if err := mayEnter(t, n.Owner()); err != nil {
			return err
		}
		if !t.Creds().HasCap(linux.CAP_SYS_CHROOT) {
			return errno.EPERM
		}
		if t.FS().Shared() {
			return errno.EINVAL
		}
		t.FS().Enter(n)
		return nil
	case *cred.UserNamespace:
		return enterUser(t, n)
	}
	return errno.EINVAL
}

func mayEnter(t *kernel.Task, owner *cred.UserNamespace) error {
	c := t.Creds()
	if !c.HasCapIn(linux.CAP_SYS_ADMIN, owner) || !c.HasCap(linux.CAP_SYS_ADMIN) {
		return errno.EPERM
	}
	return nil
}

func enterPlain(t *kernel.Task, owner *cred.UserNamespace, set func(*kernel.Namespaces)) error {
	if err := mayEnter(t, owner); err != nil {
		return err
	}
	t.SetNamespaces(set)
	return nil
}

func enterUser(t *kernel.Task, n *cred.UserNamespace) error {
	c := t.Creds()
	switch {
	case n == c.UserNS, t.ThreadGroup().Count() > 1, t.FS().Shared():
		return errno.EINVAL
	case !c.HasCapIn(linux.CAP_SYS_ADMIN, n):
		return errno.EPERM
	}
	c = c.Copy()
	c.UserNS = n
	c.Permitted, c.Effective, c.Bounding = cred.AllCaps, cred.AllCaps, cred.AllCaps
	c.Inheritable, c.Ambient, c.Securebits = 0, 0, 0
	t.SetCreds(c)
	return nil
}

// reboot in a pid namespace ends its init, as reboot(2) says: by SIGHUP for a
// restart, by SIGINT for a halt.
func reboot(t *kernel.Task, magic1, magic2, cmd uint32, _ usermem.Addr) (uint64, error) {
	const (
		first      = 0xfee1dead
		restart    = 0x01234567
		restart2   = 0xa1b2c3d4
		halt       = 0xcdef0123
		powerOff   = 0x4321fedc
		secondBase = 672274793
	)
	if !t.Creds().HasCapIn(linux.CAP_SYS_BOOT, t.PIDNS().UserNS()) {
		return 0, errno.EPERM
	}
	switch magic2 {
	case secondBase, 85072278, 369367448, 537993216:
	default:
		return 0, errno.EINVAL
	}
	if magic1 != first {
		return 0, errno.EINVAL
	}
	var s linux.Signal
	switch cmd {
	case restart, restart2:
		s = linux.SIGHUP
	case halt, powerOff:
		s = linux.SIGINT
	default: // the others mean nothing in a namespace
		return 0, errno.EINVAL
	}
	t.PIDNS().Init().EndBy(s)
	t.Exit(0)
	return 0, nil
}

// vhangup hangs up the caller's terminal.
func vhangup(t *kernel.Task) (uint64, error) {
	if !t.Creds().HasCap(linux.CAP_SYS_TTY_CONFIG) {
		return 0, errno.EPERM
	}
	if tty, ok := t.ThreadGroup().TTY().(interface{ HangUp() }); ok {
		tty.HangUp()
	}
	return 0, nil
}
