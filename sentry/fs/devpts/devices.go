package devpts

import (
	"slices"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/tty"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Devices is what the terminal devices of a sandbox share.
type Devices struct {
	k *kernel.Kernel
	w *vfs.World

	mu        sync.Mutex
	instances []*FS
	console   *line // the first one: /dev/console
}

// Register makes the terminal devices known. Type is the file system that goes
// with them.
func Register(k *kernel.Kernel) *Devices {
	d := &Devices{k: k, w: k.World()}
	d.w.RegisterMajor(linux.S_IFCHR, slaveMajor, openSlave)
	d.w.RegisterDevice(linux.S_IFCHR, ttyMajor, 0, openOwn)
	d.w.RegisterDevice(linux.S_IFCHR, ttyMajor, 1, d.openConsole)
	d.w.RegisterDevice(linux.S_IFCHR, ttyMajor, ptmxMinor, d.openMaster)
	return d
}

// Type is the file system for mount(2): each mount is an instance of its own.
func (d *Devices) Type() vfs.FSType {
	return vfs.FSType{
		Name: "devpts", Flags: vfs.FSNoDev | vfs.FSUserNS,
		New: func(c vfs.Context, w *vfs.World, _, options string) (vfs.FileSystem, error) {
			return d.newFS(c, w, options)
		},
	}
}

func (d *Devices) added(fs *FS) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.instances = append(d.instances, fs)
}

func (d *Devices) removed(fs *FS) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.instances = slices.DeleteFunc(d.instances, func(x *FS) bool { return x == fs })
}

// first is the instance that was mounted first, or nil.
func (d *Devices) first() *FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.instances) == 0 {
		return nil
	}
	return d.instances[0]
}

// openMaster is /dev/ptmx. A node outside an instance (mknod c 5 2) stands for
// the first one.
func (d *Devices) openMaster(c vfs.Context, inode vfs.Inode, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	fs := d.first()
	if p, ok := inode.(*ptmxInode); ok {
		fs = p.fs
	}
	if fs == nil {
		return nil, errno.ENODEV
	}
	l := &line{k: d.k}
	l.locked.Store(true)
	t, m := tty.NewPair(l, func() { fs.remove(l) })
	l.t = t
	l.SetSelf(l)
	if err := fs.add(l, d.w, c.Creds()); err != nil {
		return nil, err
	}
	return &masterFile{m, l, d.w}, nil
}

// openSlave is /dev/pts/N.
//
// Errors: EIO while it is locked or when its far end is gone; ENXIO for a node
// that is in no instance.
func openSlave(c vfs.Context, inode vfs.Inode, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	s, ok := inode.(*slaveInode)
	if !ok {
		return nil, errno.ENXIO
	}
	if s.line.locked.Load() {
		return nil, errno.EIO
	}
	return s.line.t.OpenSlave(c, flags)
}

// openOwn is /dev/tty: the caller's controlling terminal. ENXIO without one.
func openOwn(c vfs.Context, _ vfs.Inode, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	t, ok := c.(*kernel.Task)
	if !ok {
		return nil, errno.ENXIO
	}
	l, ok := t.ThreadGroup().TTY().(*line)
	if !ok {
		return nil, errno.ENXIO
	}
	return l.t.OpenSlave(c, flags|linux.O_NOCTTY)
}

// openConsole is /dev/console: the terminal of the container's first process.
func (d *Devices) openConsole(c vfs.Context, _ vfs.Inode, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	d.mu.Lock()
	l := d.console
	d.mu.Unlock()
	if l == nil {
		return nil, errno.ENXIO
	}
	return l.t.OpenSlave(c, flags|linux.O_NOCTTY)
}

// Console is a line on a host terminal.
type Console struct {
	d *Devices
	l *line
	h *tty.Host
}

// NewConsole makes a terminal on a host terminal, which it owns from now on. It
// gets a number in the first instance, if there is one, owned by creds.
func (d *Devices) NewConsole(fd *host.FD, n *host.Notifier, creds *cred.Creds) (*Console, error) {
	l := &line{k: d.k}
	t, h, err := tty.NewHost(l, fd, n)
	if err != nil {
		return nil, err
	}
	l.t = t
	l.SetSelf(l)
	if fs := d.first(); fs != nil {
		if err := fs.add(l, d.w, creds); err != nil {
			h.Close()
			return nil, err
		}
	}
	if err := h.Start(); err != nil {
		h.Close()
		return nil, err
	}
	d.mu.Lock()
	if d.console == nil {
		d.console = l
	}
	d.mu.Unlock()
	return &Console{d, l, h}, nil
}

// Open opens the terminal, as fs sees it if it is there. The caller gets a
// reference.
func (c *Console) Open(ctx vfs.Context, fs *vfs.FSContext) (*vfs.Description, error) {
	const flags = linux.O_RDWR | linux.O_NOCTTY
	s, err := c.l.t.OpenSlave(ctx, flags)
	if err != nil {
		return nil, err
	}
	return c.l.describe(ctx, c.d.w, fs, s, flags), nil
}

// Attach makes it the controlling terminal of a process that leads a session.
func (c *Console) Attach(g *kernel.ThreadGroup) error {
	return g.SetControllingTTY(&c.l.ControllingTTY, kernel.MaySteal)
}

// Resize tells of a new size of the window.
func (c *Console) Resize(rows, columns uint16) {
	size := c.l.t.Size()
	size.Row, size.Col = rows, columns
	c.h.SetSize(size)
}

// Signal goes to the foreground group.
func (c *Console) Signal(s linux.Signal) { c.l.Signal(s) }

// Close shows what was written, hangs the terminal up and gives the host
// terminal its settings back.
func (c *Console) Close() {
	c.h.Close()
	if c.l.fs != nil {
		c.l.fs.remove(c.l)
	}
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if c.d.console == c.l {
		c.d.console = nil
	}
}
