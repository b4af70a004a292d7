package proc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/pseudo"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// descriptors are the numbered entries of fd and fdinfo.
type descriptors struct {
	*subject
	make func(at pseudo.Place, fd linux.FD, d *vfs.Description) vfs.Inode
}

// description returns an open file of the subject's, with a reference.
func (s *subject) description(fd linux.FD) (*vfs.Description, fdtable.Flags, error) {
	t := s.task()
	if t == nil {
		return nil, 0, errno.ENOENT
	}
	fds := t.TakeFDs()
	if fds == nil {
		return nil, 0, errno.ENOENT
	}
	defer fds.DecRef()
	d, flags, err := fds.GetFlags(fd)
	if err != nil {
		return nil, 0, errno.ENOENT
	}
	return d, flags, nil
}

func parseFD(name string) (linux.FD, bool) {
	if name == "0" {
		return 0, true
	}
	n, ok := parseID(name)
	return linux.FD(n), ok
}

// Lookup implements pseudo.Dynamic.
func (e descriptors) Lookup(_ vfs.Context, at pseudo.Place, name string) (vfs.Inode, error) {
	fd, ok := parseFD(name)
	if !ok {
		return nil, errno.ENOENT
	}
	d, _, err := e.description(fd)
	if err != nil {
		return nil, err
	}
	defer d.DecRef()
	return e.make(at, fd, d), nil
}

// Valid implements pseudo.Dynamic. The number must still be open, in the same
// way: the permission bits of the link show how.
func (e descriptors) Valid(_ vfs.Context, name string, made vfs.Inode) bool {
	fd, ok := parseFD(name)
	if !ok {
		return false
	}
	d, _, err := e.description(fd)
	if err != nil {
		return false
	}
	defer d.DecRef()
	a := made.Attr()
	return !a.Mode.IsSymlink() || a.Mode.Perm() == linkPerm(d)
}

// List implements pseudo.Dynamic.
func (e descriptors) List(_ vfs.Context, key int64, emit func(string, uint8, int64) bool) error {
	t := e.task()
	if t == nil {
		return errno.ENOENT
	}
	fds := t.TakeFDs()
	if fds == nil {
		return nil
	}
	all := fds.FDs()
	fds.DecRef()
	slices.Sort(all)
	for _, fd := range all {
		if int64(fd) >= key && !emit(strconv.Itoa(int(fd)), linux.DT_LNK, int64(fd)) {
			return nil
		}
	}
	return nil
}

// linkPerm shows how a descriptor was opened.
func linkPerm(d *vfs.Description) linux.FileMode {
	perm := linux.FileMode(0o100)
	if d.Readable() {
		perm |= 0o400
	}
	if d.Writable() {
		perm |= 0o200
	}
	return perm
}

// fdLink is /proc/PID/fd/N, which leads to the open file itself.
func (s *subject) fdLink(at pseudo.Place, fd linux.FD, d *vfs.Description) vfs.Inode {
	return at.Magic(s.meta(linkPerm(d), inspector),
		func(c vfs.Context) (string, error) {
			d, _, err := s.description(fd)
			if err != nil {
				return "", err
			}
			defer d.DecRef()
			return display(c, d.Path()), nil
		},
		func(vfs.Context) (vfs.Path, error) {
			d, _, err := s.description(fd)
			if err != nil {
				return vfs.Path{}, err
			}
			defer d.DecRef()
			p := d.Path()
			p.IncRef()
			return p, nil
		})
}

// display is a path as the reader of a link sees it.
func display(c vfs.Context, p vfs.Path) string {
	var root vfs.Path
	if t := caller(c); t != nil {
		if fs := t.TakeFS(); fs != nil {
			root = fs.Root()
			fs.DecRef()
		}
	}
	defer root.DecRef()
	return p.Display(root)
}

// fdInfo is /proc/PID/fdinfo/N.
func (s *subject) fdInfo(at pseudo.Place, fd linux.FD, _ *vfs.Description) vfs.Inode {
	return at.Text(s.meta(0o444, inspector), pseudo.Text{Show: func(c vfs.Context) ([]byte, error) {
		d, flags, err := s.description(fd)
		if err != nil {
			return nil, err
		}
		defer d.DecRef()
		status := d.Flags()
		if flags&fdtable.CloseOnExec != 0 {
			status |= linux.O_CLOEXEC
		}
		var ino uint64
		if st, err := d.Inode().Stat(c, linux.STATX_INO); err == nil {
			ino = st.Ino
		}
		b := fmt.Appendf(nil, "pos:\t%d\nflags:\t0%o\nmnt_id:\t%d\nino:\t%d\n", d.Offset(), uint32(status), d.Path().Mount.ID(), ino)
		if more, ok := d.File().(vfs.Describer); ok {
			text := more.FDInfo()
			b = append(b, text...)
			if text != "" && !strings.HasSuffix(text, "\n") {
				b = append(b, '\n')
			}
		}
		return b, nil
	}})
}

// magic is a link of the subject's directory to a place in the tree. find
// returns it with a reference.
func (s *subject) magic(name string, find func() (vfs.Path, error)) pseudo.Entry {
	return pseudo.Entry{Name: name, Type: linux.DT_LNK, New: func(p pseudo.Place) vfs.Inode {
		return p.Magic(s.meta(0o777, inspector),
			func(c vfs.Context) (string, error) {
				p, err := find()
				if err != nil {
					return "", err
				}
				defer p.DecRef()
				return display(c, p), nil
			},
			func(vfs.Context) (vfs.Path, error) { return find() })
	}}
}

func (s *subject) cwd() (vfs.Path, error) { return s.fromFS((*vfs.FSContext).Cwd) }

func (s *subject) rootDir() (vfs.Path, error) { return s.fromFS((*vfs.FSContext).Root) }

func (s *subject) fromFS(get func(*vfs.FSContext) vfs.Path) (vfs.Path, error) {
	t := s.task()
	if t == nil {
		return vfs.Path{}, errno.ENOENT
	}
	fs := t.TakeFS()
	if fs == nil {
		return vfs.Path{}, errno.ENOENT
	}
	defer fs.DecRef()
	return get(fs), nil
}

// exe is the file that the process runs.
func (s *subject) exe() (vfs.Path, error) {
	t := s.task()
	if t == nil {
		return vfs.Path{}, errno.ENOENT
	}
	space := t.TakeMM()
	if space == nil {
		return vfs.Path{}, errno.ENOENT
	}
	defer space.DecUsers()
	f := space.Exe()
	if f == nil {
		return vfs.Path{}, errno.ENOENT
	}
	defer f.DecRef()
	open, ok := f.(interface{ Path() vfs.Path })
	if !ok {
		return vfs.Path{}, errno.ENOENT
	}
	p := open.Path()
	p.IncRef()
	return p, nil
}
