package vfs

import (
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// FSContext is where a task is in the tree: root, working directory, umask and
// mount namespace. Tasks made with CLONE_FS share one. Root and working
// directory stay in the namespace unless setns or chroot says otherwise.
type FSContext struct {
	refs atomic.Int64

	mu    lock.Mutex[lockorder.FSContext]
	root  Path
	cwd   Path
	umask linux.FileMode
	ns    *MountNamespace
}

// NewFSContext starts at the root of ns, with umask 022. It takes its own
// references; the caller gets one on the result.
func NewFSContext(ns *MountNamespace) *FSContext {
	ns.IncRef()
	f := &FSContext{root: ns.Root(), umask: 0o22, ns: ns}
	f.cwd = f.root
	f.cwd.IncRef()
	f.refs.Store(1)
	return f
}

// Fork is a copy with one reference: clone without CLONE_FS, unshare(CLONE_FS).
func (f *FSContext) Fork() *FSContext {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := &FSContext{root: f.root, cwd: f.cwd, umask: f.umask, ns: f.ns}
	g.root.IncRef()
	g.cwd.IncRef()
	g.ns.IncRef()
	g.refs.Store(1)
	return g
}

// IncRef takes a reference.
func (f *FSContext) IncRef() { f.refs.Add(1) }

// DecRef gives one back.
func (f *FSContext) DecRef() {
	if f.refs.Add(-1) > 0 {
		return
	}
	f.root.DecRef()
	f.cwd.DecRef()
	f.ns.DecRef()
}

// Shared says whether more than one task uses it.
func (f *FSContext) Shared() bool { return f.refs.Load() > 1 }

// Root is the root directory, with a reference.
func (f *FSContext) Root() Path {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.root.IncRef()
	return f.root
}

// Cwd is the working directory, with a reference.
func (f *FSContext) Cwd() Path {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cwd.IncRef()
	return f.cwd
}

// SetRoot and SetCwd take their own reference on p.
func (f *FSContext) SetRoot(p Path) { f.replace(&f.root, p) }

// SetCwd changes the working directory.
func (f *FSContext) SetCwd(p Path) { f.replace(&f.cwd, p) }

func (f *FSContext) replace(at *Path, p Path) {
	p.IncRef()
	f.mu.Lock()
	old := *at
	*at = p
	f.mu.Unlock()
	old.DecRef()
}

// moveFrom changes root and working directory from one place to another, if
// they are there: pivot_root.
func (f *FSContext) moveFrom(from, to Path) {
	f.mu.Lock()
	hits := 0
	for _, at := range []*Path{&f.root, &f.cwd} {
		if *at == from {
			to.IncRef()
			*at = to
			hits++
		}
	}
	f.mu.Unlock()
	for range hits {
		from.DecRef()
	}
}

// Umask is the file mode creation mask.
func (f *FSContext) Umask() linux.FileMode {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.umask
}

// SetUmask sets it and returns the old one.
func (f *FSContext) SetUmask(m linux.FileMode) linux.FileMode {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.umask
	f.umask = m & 0o777
	return old
}

// Namespace is the mount namespace, borrowed.
func (f *FSContext) Namespace() *MountNamespace {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ns
}

// Enter moves to another namespace, at its root: setns(CLONE_NEWNS).
func (f *FSContext) Enter(ns *MountNamespace) {
	root := ns.Root()
	root.IncRef()
	ns.IncRef()
	f.mu.Lock()
	oldRoot, oldCwd, oldNS := f.root, f.cwd, f.ns
	f.root, f.cwd, f.ns = root, root, ns
	f.mu.Unlock()
	oldRoot.DecRef()
	oldCwd.DecRef()
	oldNS.DecRef()
}

// Name is a path as a system call gives it: its text and where it starts. A
// Name holds references until Release.
type Name struct {
	Text string
	Root Path // of absolute paths, and where ".." ends
	Dir  Path // of relative paths
	// Umask is for files that are created under the name.
	Umask linux.FileMode
	// Empty says what an empty text means: ENOENT, or Dir itself.
	Empty EmptyPath
}

// EmptyPath is what an empty path means.
type EmptyPath uint8

// An empty path fails with ENOENT, or with AT_EMPTY_PATH is the directory.
const (
	EmptyIsError EmptyPath = iota
	EmptyIsDir
)

// Name is a path relative to the working directory.
func (f *FSContext) Name(text string) Name {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := Name{Text: text, Root: f.root, Dir: f.cwd, Umask: f.umask}
	n.Root.IncRef()
	n.Dir.IncRef()
	return n
}

// NameAt is a path relative to an open file.
func (f *FSContext) NameAt(d *Description, text string) Name {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := Name{Text: text, Root: f.root, Dir: d.path, Umask: f.umask}
	n.Root.IncRef()
	n.Dir.IncRef()
	return n
}

// Release gives the references back.
func (n *Name) Release() {
	n.Root.DecRef()
	n.Dir.DecRef()
	n.Root, n.Dir = Path{}, Path{}
}
