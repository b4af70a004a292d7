package devpts

import (
	"strconv"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/tty"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// line is a terminal with a number. It is the tty.Job of its terminal.
type line struct {
	kernel.ControllingTTY

	k      *kernel.Kernel
	t      *tty.Terminal
	fs     *FS // nil for a console without an instance
	number int
	inode  *slaveInode
	locked atomic.Bool // TIOCSPTLCK
}

// Rdev is the terminal's device number, as /proc/PID/stat shows it.
func (l *line) Rdev() linux.Dev { return linux.NewDev(slaveMajor, uint32(l.number)) }

// Name is what ps calls the terminal.
func (l *line) Name() string { return "pts/" + strconv.Itoa(l.number) }

// Terminal is the terminal itself.
func (l *line) Terminal() *tty.Terminal { return l.t }

// Access implements tty.Job. Who is not a task (the start of the sandbox) may.
func (l *line) Access(c vfs.Context, s linux.Signal) error {
	if t, ok := c.(*kernel.Task); ok {
		return t.TTYAccess(&l.ControllingTTY, s)
	}
	return nil
}

// Signal implements tty.Job.
func (l *line) Signal(s linux.Signal) { l.k.SignalForeground(&l.ControllingTTY, s) }

// HangUp implements tty.Job.
func (l *line) HangUp() { l.k.HangUp(&l.ControllingTTY) }

// Opened implements tty.Job: a session leader without a terminal gets this one
// unless it says O_NOCTTY or cannot read it.
func (l *line) Opened(c vfs.Context, flags linux.OpenFlags) {
	t, ok := c.(*kernel.Task)
	if !ok || flags&linux.O_NOCTTY != 0 || flags.AccessMode() == linux.O_WRONLY {
		return
	}
	_ = t.ThreadGroup().SetControllingTTY(&l.ControllingTTY, kernel.MustBeFree)
}

// Ioctl implements tty.Job.
//
// Errors: ENOTTY for a terminal that is not the caller's, and unknown requests;
// EPERM, ESRCH, EINVAL, EFAULT.
func (l *line) Ioctl(c vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	t, ok := c.(*kernel.Task)
	if !ok {
		return 0, errno.ENOTTY
	}
	g, ns := t.ThreadGroup(), t.PIDNS()
	switch cmd {
	case linux.TIOCSCTTY:
		steal := kernel.MustBeFree
		if arg == 1 && t.Creds().HasCap(linux.CAP_SYS_ADMIN) {
			steal = kernel.MaySteal
		}
		return 0, g.SetControllingTTY(&l.ControllingTTY, steal)
	case linux.TIOCNOTTY:
		return 0, g.DetachTTY(&l.ControllingTTY)
	case linux.TIOCGPGRP:
		id, err := g.Foreground(&l.ControllingTTY, ns)
		if err != nil {
			return 0, err
		}
		return 0, usermem.Ptr[int32](arg).Store(m, id)
	case linux.TIOCGSID:
		id, err := g.SessionOf(&l.ControllingTTY, ns)
		if err != nil {
			return 0, err
		}
		return 0, usermem.Ptr[int32](arg).Store(m, id)
	case linux.TIOCSPGRP:
		id, err := usermem.Ptr[int32](arg).Load(m)
		if err != nil {
			return 0, err
		}
		return 0, g.SetForeground(&l.ControllingTTY, id)
	}
	return 0, errno.ENOTTY
}

// masterFile is what an open of ptmx gives.
type masterFile struct {
	*tty.Master
	l *line
	w *vfs.World
}

// Ioctl answers what only the far end of a pseudo-terminal knows.
func (f *masterFile) Ioctl(c vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	number := usermem.Ptr[int32](arg)
	switch cmd {
	case linux.TIOCGPTN:
		return 0, number.Store(m, int32(f.l.number))
	case linux.TIOCSPTLCK:
		v, err := number.Load(m)
		if err != nil {
			return 0, err
		}
		f.l.locked.Store(v != 0)
		return 0, nil
	case linux.TIOCGPTLCK:
		v := int32(0)
		if f.l.locked.Load() {
			v = 1
		}
		return 0, number.Store(m, v)
	case linux.TIOCGPTPEER:
		return f.openPeer(c, linux.OpenFlags(arg))
	case linux.TIOCGPGRP, linux.TIOCGSID:
		// The far end may ask, whosever terminal it is.
		t, ok := c.(*kernel.Task)
		if !ok {
			return 0, errno.ENOTTY
		}
		pgid, sid, ok := f.l.k.TTYOwners(&f.l.ControllingTTY, t.PIDNS())
		if cmd == linux.TIOCGSID {
			pgid = sid
		}
		if !ok {
			if cmd == linux.TIOCGSID {
				return 0, errno.ENOTTY
			}
			pgid = 0
		}
		return 0, number.Store(m, pgid)
	}
	return f.Master.Ioctl(c, m, cmd, arg)
}

// openPeer is TIOCGPTPEER: it opens the terminal without its name, which may
// mean something else where the caller lives.
func (f *masterFile) openPeer(c vfs.Context, flags linux.OpenFlags) (uint64, error) {
	t, ok := c.(*kernel.Task)
	if !ok {
		return 0, errno.ENOTTY
	}
	if flags&^(linux.O_ACCMODE|linux.O_NOCTTY|linux.O_CLOEXEC|linux.O_NONBLOCK) != 0 {
		return 0, errno.EINVAL
	}
	s, err := f.l.t.OpenSlave(c, flags)
	if err != nil {
		return 0, err
	}
	d := f.l.describe(c, f.w, t.FS(), s, flags)
	fd, err := t.FDs().Add(d, fdtable.FlagsOf(flags), 0, t.Limit(linux.RLIMIT_NOFILE).Cur)
	if err != nil {
		d.DecRef()
	}
	return uint64(fd), err
}

// describe makes an open file of an open terminal: at its place below /dev/pts
// if that is what one sees there, without a place otherwise.
func (l *line) describe(c vfs.Context, w *vfs.World, fs *vfs.FSContext, s *tty.Slave, flags linux.OpenFlags) *vfs.Description {
	name := "/dev/" + l.Name()
	if l.inode == nil {
		return vfs.NewAnon(w, vfs.NewAnonInode(w, linux.S_IFCHR|0o620, c.Creds()), "/dev/console", s, flags, c.Creds())
	}
	n := fs.Name(name)
	defer n.Release()
	if p, err := vfs.Resolve(c, n, vfs.How{}); err == nil {
		if p.Inode() == vfs.Inode(l.inode) {
			return vfs.NewDescription(p, s, flags, c.Creds())
		}
		p.DecRef()
	}
	return vfs.NewAnon(w, l.inode, name, s, flags, c.Creds())
}
