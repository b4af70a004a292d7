package vfs

import (
	"slices"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// Watcher is told what happens to a file, and to the names in it if it is a
// directory: one watch of an inotify instance. WatchEvent is called without
// locks of this package, from any task; it must not block.
type Watcher interface{ WatchEvent(e WatchEvent) }

// WatchEvent is one event.
type WatchEvent struct {
	Mask   uint32 // one IN_* event, with IN_ISDIR if it concerns a directory
	Cookie uint32 // pairs IN_MOVED_FROM and IN_MOVED_TO
	Name   string // the child, for events of a directory's names
}

// watching counts all watches there are, so that the common case, none, costs
// a read or write one load.
var watching atomic.Int64

var moveCookie atomic.Uint32

// AddWatcher registers w. The caller keeps a Path of the file.
func (n *Node) AddWatcher(w Watcher) {
	x := n.more()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.watchers = append(slices.Clone(x.watchers), w)
	x.watched.Store(int32(len(x.watchers)))
	watching.Add(1)
}

// RemoveWatcher undoes AddWatcher. An event may still be under way.
func (n *Node) RemoveWatcher(w Watcher) {
	x := n.more()
	x.mu.Lock()
	defer x.mu.Unlock()
	i := slices.Index(x.watchers, w)
	if i < 0 {
		return
	}
	x.watchers = slices.Delete(slices.Clone(x.watchers), i, i+1)
	x.watched.Store(int32(len(x.watchers)))
	watching.Add(-1)
}

// Watched says whether anybody watches the file.
func (n *Node) Watched() bool {
	x := n.extra.Load()
	return x != nil && x.watched.Load() > 0
}

// Notify tells the file's watchers.
func (n *Node) Notify(e WatchEvent) {
	x := n.extra.Load()
	if x == nil || x.watched.Load() == 0 {
		return
	}
	x.mu.Lock()
	ws := x.watchers
	x.mu.Unlock()
	for _, w := range ws {
		w.WatchEvent(e)
	}
}

// notify tells the watchers of d and those of its directory, which learn the
// name with it.
func (d *Dentry) notify(mask uint32) {
	if watching.Load() == 0 || d.inode == nil {
		return
	}
	if d.isDir() {
		mask |= linux.IN_ISDIR
	}
	if parent, name := d.where(); parent != nil && !d.unhashed() {
		parent.inode.Node().Notify(WatchEvent{Mask: mask, Name: name})
	}
	d.inode.Node().Notify(WatchEvent{Mask: mask})
}

// notifyName tells the watchers of directory d of an event of one of its names.
func (d *Dentry) notifyName(mask uint32, child *Dentry, name string, cookie uint32) {
	if watching.Load() == 0 {
		return
	}
	if child != nil && child.isDir() {
		mask |= linux.IN_ISDIR
	}
	d.inode.Node().Notify(WatchEvent{Mask: mask, Name: name, Cookie: cookie})
}

// notifySelf tells only the watchers of d itself.
func (d *Dentry) notifySelf(mask uint32) {
	if watching.Load() != 0 {
		d.inode.Node().Notify(WatchEvent{Mask: mask})
	}
}
