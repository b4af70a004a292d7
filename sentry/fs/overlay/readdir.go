package overlay

import (
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// extent says how much of a directory is listed.
type extent uint8

const (
	allNames extent = iota
	anyName         // one is enough
)

// eachName lists a directory of a layer.
func eachName(c vfs.Context, dir vfs.Inode, emit func(vfs.Dirent) bool) error {
	f, err := dir.Open(c, vfs.Path{}, linux.O_RDONLY|linux.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer f.Release()
	r, ok := f.(vfs.DirReader)
	if !ok {
		return errno.ENOTDIR
	}
	return r.ReadDir(c, 2, emit)
}

// merge lists the names of all layers, each once. An entry's Next is its place
// in the list.
func (d *dirNode) merge(c vfs.Context, want extent) ([]vfs.Dirent, error) {
	p := d.parts.Load()
	layers := make([]vfs.Inode, 0, 1+len(p.lower))
	if p.upper != nil {
		layers = append(layers, p.upper)
	}
	layers = append(layers, p.lower...)
	seen := map[string]bool{}
	var out []vfs.Dirent
	for _, layer := range layers {
		err := eachName(c, layer, func(e vfs.Dirent) bool {
			if seen[e.Name] {
				return true
			}
			seen[e.Name] = true
			if e.Type == linux.DT_CHR && whiteoutIn(c, layer, e.Name) {
				return true
			}
			if layer == p.upper {
				e.Ino = d.fs.upperNumber(c, layer, e)
			}
			e.Next = int64(len(out)) + 3
			out = append(out, e)
			return want == allNames
		})
		if err != nil {
			return nil, err
		}
		if want == anyName && len(out) > 0 {
			break
		}
	}
	return out, nil
}

func whiteoutIn(c vfs.Context, layer vfs.Inode, name string) bool {
	i, err := layer.(vfs.Directory).Lookup(c, name)
	if err != nil {
		return false
	}
	defer i.Release()
	return isWhiteout(i)
}

// upperNumber is the inode number that stat shows for an upper name.
func (fs *FS) upperNumber(c vfs.Context, layer vfs.Inode, e vfs.Dirent) uint64 {
	i, err := layer.(vfs.Directory).Lookup(c, e.Name)
	if err != nil {
		return e.Ino + upperIno
	}
	defer i.Release()
	if ino, _ := originOf(i); ino != 0 {
		return ino
	}
	return e.Ino + upperIno
}

// Open opens the directory for listing.
func (d *dirNode) Open(c vfs.Context, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	return &openDir{d: d}, nil
}

// openDir lists a directory. One that is in a single layer is listed by that; of
// others the merged list is made when the listing begins, and kept, so that
// positions mean the same until it begins again.
type openDir struct {
	d *dirNode

	mu     sync.Mutex
	begun  bool
	layer  vfs.File // the only layer
	upper  bool     // and it is the upper one
	merged []vfs.Dirent
}

// Release closes the layer.
func (o *openDir) Release() { o.reset() }

func (o *openDir) reset() {
	if o.layer != nil {
		o.layer.Release()
	}
	o.layer, o.merged, o.begun = nil, nil, false
}

// ReadDir lists from a position on; position 2 begins anew.
func (o *openDir) ReadDir(c vfs.Context, pos int64, emit func(vfs.Dirent) bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if pos <= 2 {
		o.reset()
	}
	if !o.begun {
		if err := o.begin(c); err != nil {
			return err
		}
	}
	if o.layer != nil {
		return o.readLayer(c, pos, emit)
	}
	for pos-2 < int64(len(o.merged)) {
		e := o.merged[max(pos-2, 0)]
		if !emit(e) {
			return nil
		}
		pos = e.Next
	}
	return nil
}

func (o *openDir) begin(c vfs.Context) (err error) {
	p := o.d.parts.Load()
	switch {
	case p.upper == nil && len(p.lower) == 1:
		o.layer, err = p.lower[0].Open(c, vfs.Path{}, linux.O_RDONLY|linux.O_DIRECTORY)
	case p.upper != nil && len(p.lower) == 0:
		o.layer, err = p.upper.Open(c, vfs.Path{}, linux.O_RDONLY|linux.O_DIRECTORY)
	default:
		o.merged, err = o.d.merge(c, allNames)
	}
	o.begun = err == nil
	o.upper = p.upper != nil
	return err
}

func (o *openDir) readLayer(c vfs.Context, pos int64, emit func(vfs.Dirent) bool) error {
	r, ok := o.layer.(vfs.DirReader)
	if !ok {
		return errno.ENOTDIR
	}
	p := o.d.parts.Load()
	return r.ReadDir(c, pos, func(e vfs.Dirent) bool {
		// A directory that was copied up and whose lower part is hidden has
		// files with numbers of their own.
		if o.upper {
			e.Ino = o.d.fs.upperNumber(c, p.upper, e)
		}
		if e.Type == linux.DT_CHR && whiteoutIn(c, p.real(), e.Name) {
			return true
		}
		return emit(e)
	})
}

// Fsync does nothing for a directory.
func (o *openDir) Fsync(vfs.Context) error { return nil }
