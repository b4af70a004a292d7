package vfs

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// World is what all tasks of a sandbox share of the virtual file system: the
// mounts, the dentry cache, the registries of devices and file system types,
// and the number allocators.
type World struct {
	// mountMu guards the mount trees of all namespaces and their peer
	// groups. It is taken for reading when a path crosses a mount point.
	mountMu lock.RWMutex[lockorder.MountNamespace]
	mounted map[mountKey]*Mount

	// renameMu guards parent and name of dentries. It is held only over the
	// change itself.
	renameMu lock.RWMutex[lockorder.Rename]
	// dirRenames serializes renames between directories, over the whole
	// operation: only so "is an ancestor of" cannot change underneath.
	dirRenames lock.Mutex[lockorder.DirRenames]

	mounts atomic.Int64 // that exist
	lru    lru

	nextIno   atomic.Uint64
	nextDev   atomic.Uint32
	nextMount atomic.Int64
	nextGroup atomic.Int64

	anon     *Mount
	locks    lockWaits
	registry registry
	singles  sync.Map
}

// Single returns the world's one object of a kind, which make makes when it is
// first asked for: internal file systems. Keys are types of the caller.
func (w *World) Single(key any, make func() any) any {
	if v, ok := w.singles.Load(key); ok {
		return v
	}
	v, _ := w.singles.LoadOrStore(key, make())
	return v
}

// registry holds what was registered at start; guarded by mu.
type registry struct {
	mu      lock.RWMutex[lockorder.Registry]
	devices map[deviceKey]DeviceOpener
	types   map[string]FSType
	fifo    DeviceOpener
}

type deviceKey struct {
	kind linux.FileMode // S_IFCHR or S_IFBLK
	dev  linux.Dev
}

// DeviceOpener opens a device node (or a FIFO). It may wait, through c.
type DeviceOpener func(c Context, inode Inode, p Path, flags linux.OpenFlags) (File, error)

// FSType is a file system that mount(2) can make.
type FSType struct {
	Name string
	// Flags are FSNoDev and FSUserNS.
	Flags FSTypeFlags
	New   func(c Context, w *World, source, options string) (FileSystem, error)
}

// FSTypeFlags describe a file system type.
type FSTypeFlags uint8

// The flags.
const (
	FSNoDev  FSTypeFlags = 1 << iota // needs no device: "nodev" in /proc/filesystems
	FSUserNS                         // may be mounted by root of a user namespace
)

// DefaultCachedDentries bounds the names that are kept without being in use.
// An entry takes about 200 bytes here and what the file system keeps for the
// inode.
const DefaultCachedDentries = 64 << 10

// NewWorld makes a World without mounts.
func NewWorld() *World {
	w := &World{mounted: map[mountKey]*Mount{}}
	w.registry.devices = map[deviceKey]DeviceOpener{}
	w.registry.types = map[string]FSType{}
	w.nextIno.Store(1)
	w.nextDev.Store(1)
	w.lru.init(DefaultCachedDentries)
	w.anon = newAnonMount(w)
	return w
}

// LimitCache changes how many unused names are kept.
func (w *World) LimitCache(entries int) { w.lru.setLimit(entries) }

// CachedNames is how many unused names are kept now.
func (w *World) CachedNames() int {
	w.lru.mu.Lock()
	defer w.lru.mu.Unlock()
	return w.lru.n
}

// NewIno returns an inode number that no other caller gets.
func (w *World) NewIno() uint64 { return w.nextIno.Add(1) }

// NewAnonDev returns a device number for a file system without a device.
func (w *World) NewAnonDev() linux.Dev {
	return linux.NewDev(0, w.nextDev.Add(1))
}

// Now is the time for timestamps of files.
func Now() linux.Timespec {
	t := time.Now()
	return linux.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// majorBit marks a registration for all minors of a major number.
const majorBit linux.Dev = 1 << 63

// RegisterDevice says how device nodes of that type and number are opened.
func (w *World) RegisterDevice(kind linux.FileMode, major, minor uint32, open DeviceOpener) {
	w.registry.mu.Lock()
	defer w.registry.mu.Unlock()
	w.registry.devices[deviceKey{kind, linux.NewDev(major, minor)}] = open
}

// RegisterMajor is RegisterDevice for each minor that is not registered itself.
func (w *World) RegisterMajor(kind linux.FileMode, major uint32, open DeviceOpener) {
	w.registry.mu.Lock()
	defer w.registry.mu.Unlock()
	w.registry.devices[deviceKey{kind, majorBit | linux.Dev(major)}] = open
}

// RegisterFIFO says how FIFOs are opened.
func (w *World) RegisterFIFO(open DeviceOpener) {
	w.registry.mu.Lock()
	defer w.registry.mu.Unlock()
	w.registry.fifo = open
}

// RegisterFS adds file system types for mount(2).
func (w *World) RegisterFS(types ...FSType) {
	w.registry.mu.Lock()
	defer w.registry.mu.Unlock()
	for _, t := range types {
		w.registry.types[t.Name] = t
	}
}

// FSTypes lists them by name, for /proc/filesystems.
func (w *World) FSTypes() []FSType {
	w.registry.mu.RLock()
	defer w.registry.mu.RUnlock()
	return slices.SortedFunc(maps.Values(w.registry.types), func(a, b FSType) int {
		return strings.Compare(a.Name, b.Name)
	})
}

func (w *World) fsType(name string) (FSType, error) {
	w.registry.mu.RLock()
	defer w.registry.mu.RUnlock()
	t, ok := w.registry.types[name]
	if !ok {
		return t, errno.ENODEV
	}
	return t, nil
}

// opener finds who opens a special file. ENXIO if nobody does.
func (w *World) opener(a Attr) (DeviceOpener, error) {
	w.registry.mu.RLock()
	defer w.registry.mu.RUnlock()
	kind := a.Mode.Type()
	var open DeviceOpener
	if kind == linux.S_IFIFO {
		open = w.registry.fifo
	} else {
		open = w.registry.devices[deviceKey{kind, a.Rdev}]
		if open == nil {
			major := a.Rdev.Major()
			open = w.registry.devices[deviceKey{kind, majorBit | linux.Dev(major)}]
		}
	}
	if open == nil {
		return nil, errno.ENXIO
	}
	return open, nil
}

// NewAnon opens a file that has no name: a pipe, socket, eventfd. display is
// what /proc/PID/fd shows, "pipe:[7]". It takes over the references of inode
// and f.
func NewAnon(w *World, inode Inode, display string, f File, flags linux.OpenFlags, creds *cred.Creds) *Description {
	return NewDescription(w.AnonPath(inode, display), f, flags, creds)
}

// AnonPath is a place for an inode that has no name. It takes over the
// reference of inode; the caller gets one on the path.
func (w *World) AnonPath(inode Inode, display string) Path {
	w.anon.sb.incRef()
	d := newDentry(w.anon.sb, nil, display, inode)
	d.set(dAnon | dUnhashed)
	w.anon.incRef()
	return Path{w.anon, d}
}
