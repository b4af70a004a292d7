package goferfs

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
)

// A directory listing brings the attributes of all its files, and says what is
// not there. In an exclusive tree both are kept, so that `ls -l`, find or an
// import path that is searched ask the Gofer once per directory. A directory in
// which many names are looked up is listed for that reason alone: a listing
// costs about 1.3 us an entry, a question 12 us and more.

// dirent is one entry of a listing.
type dirent struct {
	name string
	ino  uint64
	kind uint8 // DT_*
}

// nameCache is what is known of a directory's names. A change of the names
// makes a new version, and a listing that was under way meanwhile is not kept.
type nameCache struct {
	version uint64
	list    []dirent // in the host's order; nil if not known
	sorted  []dirent // by name; nil if not known; removed ones are tombstones
	// added are names that came after the listing: it says nothing of them.
	added map[string]struct{}
	// attrs are those that the listing brought and nobody looked up yet.
	// They are good as long as no inode was dropped that we had changed
	// after it was listed: see FS.drops.
	attrs map[string]proto.Attr
	drops uint64
	seen  time.Duration // when the listing was made

	misses int // lookups that the Gofer was asked, since the last listing
	length int // of the last listing, kept or not
}

// missesToList is after how many questions a directory is listed. Long ones,
// relative to their length.
const missesToList = 8

// tombstone is the kind of an entry in sorted that was removed since.
const tombstone = 0xff

// maxKeptEntries bounds what one directory keeps; about 250 bytes an entry.
const maxKeptEntries = 4096

// list returns the directory's entries.
func (d *directory) list() ([]dirent, error) {
	n := d.names.Lock()
	kept, version := n.list, n.version
	believed := d.fs.believed(n.seen)
	d.names.Unlock()
	if kept != nil && believed {
		return kept, nil
	}
	if d.cachedAttr().Nlink == 0 {
		return []dirent{}, nil // removed
	}
	drops, seen := d.fs.drops.Load(), d.fs.now()
	list, attrs, err := d.ask()
	n = d.names.Lock()
	n.misses, n.length = 0, len(list)
	d.names.Unlock()
	if err != nil || d.fs.caching == Shared || len(list) > maxKeptEntries {
		return list, err
	}
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b dirent) int { return strings.Compare(a.name, b.name) })
	n = d.names.Lock()
	defer d.names.Unlock()
	if n.version == version {
		n.list, n.sorted, n.attrs, n.drops, n.added, n.seen = list, sorted, attrs, drops, nil, seen
	}
	return list, nil
}

// ask reads the whole directory.
func (d *directory) ask() ([]dirent, map[string]proto.Attr, error) {
	id, err := d.pin()
	if err != nil {
		return nil, nil, err
	}
	defer d.unpin()
	list := []dirent{}
	attrs := make(map[string]proto.Attr)
	q := &proto.ReadDir{Node: id}
	for {
		a, err := d.fs.client.ReadDir(q)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range a.Entries {
			list = append(list, dirent{e.Name, e.Attr.Ino, uint8(e.Attr.Mode >> 12)})
			if e.Known && len(attrs) < maxKeptEntries {
				attrs[e.Name] = e.Attr
			}
		}
		if a.More == 0 {
			return list, attrs, nil
		}
		q.Dir = a.More
	}
}

// finding says what a listing knows of a name.
type finding uint8

const (
	notListed finding = iota
	absent
	present
)

// known says what listings know of a name, and lists the directory when too
// much had to be asked for.
func (d *directory) known(name string) (proto.Attr, finding) {
	a, found, list := d.listed(name)
	if !list {
		return a, found
	}
	if _, err := d.list(); err != nil {
		return proto.Attr{}, notListed // the lookup itself will tell
	}
	a, found, _ = d.listed(name)
	return a, found
}

// listed says what is known of a name from a listing, and whether it is time to
// make one. Attributes are given out once: from then on the inode has them.
func (d *directory) listed(name string) (a proto.Attr, f finding, list bool) {
	if d.fs.caching == Shared {
		return a, notListed, false
	}
	n := d.names.Lock()
	defer d.names.Unlock()
	if _, added := n.added[name]; n.sorted != nil && !added && d.fs.believed(n.seen) {
		if e := n.find(name); e == nil || e.kind == tombstone {
			return a, absent, false
		}
		if a, ok := n.attrs[name]; ok && n.drops == d.fs.drops.Load() {
			delete(n.attrs, name)
			return a, present, false
		}
	}
	n.misses++
	return a, notListed, n.misses >= missesToList+n.length/8 && n.length <= maxKeptEntries
}

func (n *nameCache) find(name string) *dirent {
	at, found := slices.BinarySearchFunc(n.sorted, name, func(e dirent, name string) int { return strings.Compare(e.name, name) })
	if !found {
		return nil
	}
	return &n.sorted[at]
}

// nameAdded says that name is something new. The rest of what a listing said
// stays true.
func (d *directory) nameAdded(name string) {
	n := d.names.Lock()
	defer d.names.Unlock()
	n.version++
	n.list = nil
	delete(n.attrs, name)
	if n.sorted != nil {
		if n.added == nil {
			n.added = make(map[string]struct{})
		}
		n.added[name] = struct{}{}
	}
}

// nameRemoved says that name is no more.
func (d *directory) nameRemoved(name string) {
	n := d.names.Lock()
	defer d.names.Unlock()
	n.version++
	n.list = nil
	delete(n.attrs, name)
	delete(n.added, name)
	if e := n.find(name); e != nil {
		e.kind = tombstone
	}
}

// splitNUL splits a list of names, each ended by NUL.
func splitNUL(b []byte) []string {
	var names []string
	for name := range bytes.SplitSeq(b, []byte{0}) {
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names
}
