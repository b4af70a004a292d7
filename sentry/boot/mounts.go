package boot

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/dev"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/goferfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/overlay"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/tmpfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// startContext is the Context of the start: root, and nobody to wait.
type startContext struct{ creds *cred.Creds }

// Creds are root's.
func (c startContext) Creds() *cred.Creds { return c.creds }

// Waker is nobody.
func (c startContext) Waker() waiter.Waker { return nobody{} }

// Sleep refuses: nothing at the start waits for a guest.
func (c startContext) Sleep(waiter.Deadline) error { return errno.EINTR }

type nobody struct{}

// Wake does nothing.
func (nobody) Wake(*waiter.Entry, waiter.Events) bool { return false }

// layout is the work of building the container's tree.
type layout struct {
	*sandbox
	c  startContext
	fs *vfs.FSContext
}

// layOut mounts the root and everything in it.
func (s *sandbox) layOut() error {
	root, err := s.rootFS()
	if err != nil {
		return err
	}
	c := &s.cfg.Container
	s.mounts = s.world.NewNamespace(root, "none", 0, s.userNS)
	l := &layout{s, startContext{s.rootCreds()}, vfs.NewFSContext(s.mounts)}
	defer l.fs.DecRef()
	for i := range c.Mounts {
		if err := l.mount(&c.Mounts[i]); err != nil {
			return fmt.Errorf("mount %s: %w", c.Mounts[i].Destination, err)
		}
	}
	if err := l.devices(); err != nil {
		return err
	}
	if err := l.sysctls(); err != nil {
		return err
	}
	for _, p := range c.ReadonlyPaths {
		if err := l.readonly(p); err != nil {
			return fmt.Errorf("make %s read-only: %w", p, err)
		}
	}
	for _, p := range c.MaskedPaths {
		if err := l.mask(p); err != nil {
			return fmt.Errorf("mask %s: %w", p, err)
		}
	}
	if c.Root.ReadOnly {
		return l.remount("/", linux.MS_RDONLY)
	}
	return nil
}

// rootFS is the container's root: the Gofer's tree, or memory over it.
func (s *sandbox) rootFS() (vfs.FileSystem, error) {
	// Engines copy files into a running container's root, so that what was seen
	// of it may be out of date, if not for long.
	caching := goferfs.Relaxed
	if s.cfg.Container.Root.Cached {
		caching = goferfs.Exclusive
	}
	lower, err := s.tree(0, "/", caching)
	if err != nil {
		return nil, err
	}
	s.root = lower
	if s.cfg.Container.Root.Overlay != control.OverlayMemory {
		return lower, nil
	}
	upper := tmpfs.New(s.world, tmpfs.Options{Mode: 0o755})
	fs, err := overlay.New(s.world, upper, lower)
	if err != nil {
		return nil, fmt.Errorf("lay memory over the root: %w", err)
	}
	return fs, nil
}

// tree connects to one of the Gofer's trees.
func (s *sandbox) tree(i int, name string, c goferfs.Caching) (*goferfs.FS, error) {
	if i < 0 || i >= len(s.cfg.GoferFDs) {
		return nil, fmt.Errorf("there is no gofer connection %d", i)
	}
	return goferfs.New(s.world, s.cfg.GoferFDs[i], goferfs.Options{Name: name, Caching: c})
}

// resolve finds a path of the container.
func (l *layout) resolve(name string) (vfs.Path, error) {
	n := l.fs.Name(name)
	defer n.Release()
	return vfs.Resolve(l.c, n, vfs.How{Follow: vfs.Follow})
}

func (l *layout) mount(m *control.Mount) error {
	flags := uint32(m.Flags)
	if m.Type == "bind" && m.Gofer == control.NoFD {
		return l.changeFlags(m.Destination, flags, uint32(m.Propagation))
	}
	fs, err := l.fileSystem(m)
	if err != nil {
		return err
	}
	kind := fs.Root().Attr().Mode
	at, err := l.mountPoint(m.Destination, kind)
	if err != nil {
		fs.Release()
		return err
	}
	defer at.DecRef()
	if err := l.world.MountFS(fs, m.Source, at, flags&^(linux.MS_BIND|linux.MS_REC)); err != nil {
		return err
	}
	if m.Propagation == 0 {
		return nil
	}
	return l.changeFlags(m.Destination, 0, uint32(m.Propagation))
}

func (l *layout) fileSystem(m *control.Mount) (vfs.FileSystem, error) {
	if m.Type == "bind" {
		return l.tree(m.Gofer, m.Destination, goferfs.Shared)
	}
	for _, t := range l.fileSystems() {
		if t.Name == m.Type {
			fs, err := t.New(l.c, l.world, m.Source, m.Data)
			if err != nil {
				return nil, fmt.Errorf("file system %s with options %q: %w", m.Type, m.Data, err)
			}
			return fs, nil
		}
	}
	if m.Type == "mqueue" {
		return tmpfs.New(l.world, tmpfs.Options{Mode: 0o755}), nil // until each has its package
	}
	return nil, control.Errorf(control.KindUnsupported, "there is no file system %q in the sandbox", m.Type)
}

// mountPoint finds the place of a mount and makes it when it is missing.
func (l *layout) mountPoint(name string, kind linux.FileMode) (vfs.Path, error) {
	p, err := l.resolve(name)
	if !errors.Is(err, errno.ENOENT) {
		return p, err
	}
	if err := l.makeDirs(path.Dir(name)); err != nil {
		return p, fmt.Errorf("make the mount point: %w", err)
	}
	if kind.IsDir() {
		err = l.makeDirs(name)
	} else {
		err = l.makeFile(name)
	}
	if err != nil {
		return p, fmt.Errorf("make the mount point: %w", err)
	}
	return l.resolve(name)
}

func (l *layout) makeDirs(name string) error {
	made := ""
	for _, part := range strings.Split(strings.Trim(path.Clean(name), "/"), "/") {
		if part == "" {
			continue
		}
		made += "/" + part
		n := l.fs.Name(made)
		err := vfs.Mkdir(l.c, n, 0o755)
		n.Release()
		if err != nil && err != errno.EEXIST {
			return err
		}
	}
	return nil
}

func (l *layout) makeFile(name string) error {
	n := l.fs.Name(name)
	defer n.Release()
	d, err := vfs.Open(l.c, n, vfs.OpenHow{Flags: linux.O_CREAT | linux.O_WRONLY, Mode: 0o644})
	if err != nil {
		return err
	}
	d.DecRef()
	return nil
}

// changeFlags remounts what is mounted at a place with other flags.
func (l *layout) changeFlags(name string, flags, propagation uint32) error {
	if flags&^(linux.MS_BIND|linux.MS_REC) != 0 {
		if err := l.remount(name, flags); err != nil {
			return err
		}
	}
	if propagation == 0 {
		return nil
	}
	return l.fs.Mount(l.c, "", name, "", propagation, "")
}

func (l *layout) remount(name string, flags uint32) error {
	return l.fs.Mount(l.c, "", name, "", flags&^linux.MS_REC|linux.MS_REMOUNT|linux.MS_BIND, "")
}

// devices makes the nodes of /dev: those that every container has, and those
// that the configuration adds.
func (l *layout) devices() error {
	for _, n := range dev.Nodes() {
		if err := l.device("/dev/"+n.Name, vfs.NewFile{Mode: n.Mode, Rdev: linux.NewDev(n.Major, n.Minor)}); err != nil {
			return err
		}
	}
	for _, link := range dev.Links() {
		n := l.fs.Name("/dev/" + link[0])
		err := vfs.MakeSymlink(l.c, n, link[1])
		n.Release()
		if err != nil && err != errno.EEXIST {
			return fmt.Errorf("make /dev/%s: %w", link[0], err)
		}
	}
	for _, d := range l.cfg.Container.Devices {
		err := l.device(d.Path, vfs.NewFile{
			Mode: linux.FileMode(d.Mode), Rdev: linux.NewDev(d.Major, d.Minor),
			UID: cred.KUID(d.UID), GID: cred.KGID(d.GID),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// device makes one node. What is there already is replaced only if it is
// another kind of node.
func (l *layout) device(name string, f vfs.NewFile) error {
	if p, err := l.resolve(name); err == nil {
		a := p.Inode().Attr()
		p.DecRef()
		if a.Mode.Type() == f.Mode.Type() && a.Rdev == f.Rdev {
			return nil
		}
		n := l.fs.Name(name)
		err := vfs.Unlink(l.c, n)
		n.Release()
		if err != nil {
			return fmt.Errorf("replace %s: %w", name, err)
		}
	} else if err := l.makeDirs(path.Dir(name)); err != nil {
		return fmt.Errorf("make the directory of %s: %w", name, err)
	}
	n := l.fs.Name(name)
	n.Umask = 0
	defer n.Release()
	if err := vfs.Mknod(l.c, n, f.Mode, f.Rdev); err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	if f.UID == 0 && f.GID == 0 {
		return nil
	}
	p, err := l.resolve(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	defer p.DecRef()
	return p.Inode().SetAttr(l.c, vfs.SetAttr{Mask: vfs.SetUID | vfs.SetGID, UID: f.UID, GID: f.GID})
}

// sysctls gives the settings of /proc/sys their values, also where it is not
// mounted.
func (l *layout) sysctls() error {
	for name, value := range l.cfg.Container.Sysctls {
		if err := l.sysctl(name, value); err != nil {
			return control.Errorf(control.KindUnsupported, "set sysctl %s to %q: %v", name, value, err)
		}
	}
	return nil
}

func (l *layout) sysctl(name, value string) error {
	switch strings.ReplaceAll(name, "/", ".") {
	case "kernel.hostname":
		l.ns.UTS.SetHost(value)
		return nil
	case "kernel.domainname":
		l.ns.UTS.SetDomain(value)
		return nil
	}
	return l.proc.Sysctls.Set(name, value)
}

// readonly makes a path read-only by a bind mount on itself.
func (l *layout) readonly(name string) error {
	if err := l.bindSelf(name); err != nil {
		return ignoreMissing(err)
	}
	return l.remount(name, linux.MS_RDONLY)
}

func (l *layout) bindSelf(name string) error {
	return l.fs.Mount(l.c, name, name, "", linux.MS_BIND|linux.MS_REC, "")
}

// mask hides a path: a directory behind an empty one, a file behind /dev/null.
func (l *layout) mask(name string) error {
	p, err := l.resolve(name)
	if err != nil {
		return ignoreMissing(err)
	}
	defer p.DecRef()
	if !p.Inode().Attr().Mode.IsDir() {
		return l.fs.Mount(l.c, "/dev/null", name, "", linux.MS_BIND, "")
	}
	return l.world.MountFS(tmpfs.New(l.world, tmpfs.Options{Mode: 0o755}), "tmpfs", p, linux.MS_RDONLY)
}

func ignoreMissing(err error) error {
	if errors.Is(err, errno.ENOENT) || errors.Is(err, errno.ENOTDIR) {
		return nil
	}
	return err
}
