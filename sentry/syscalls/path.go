package syscalls

import (
	"strconv"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Path is a guest pointer to a path, which traces show as text.
type Path usermem.Addr

// Trace shows the path.
func (p Path) Trace(m usermem.Memory) string {
	s, err := p.load(m)
	if err != nil {
		return traceAddr(usermem.Addr(p))
	}
	return quote(s)
}

// load copies the path in. EFAULT, ENAMETOOLONG.
func (p Path) load(m usermem.Memory) (string, error) {
	return usermem.LoadString(m, usermem.Addr(p), linux.PATH_MAX, errno.ENAMETOOLONG)
}

// name is a path argument relative to a descriptor; flags may hold
// AT_EMPTY_PATH. The caller releases it.
func (p Path) name(t *kernel.Task, dir linux.FD, flags int) (vfs.Name, error) {
	s, err := p.load(t)
	if err != nil {
		return vfs.Name{}, err
	}
	return t.Name(dir, s, flags)
}

// resolve finds what a path argument names. The caller gets a reference.
func (p Path) resolve(t *kernel.Task, dir linux.FD, flags int) (vfs.Path, error) {
	n, err := p.name(t, dir, flags)
	if err != nil {
		return vfs.Path{}, err
	}
	defer n.Release()
	return vfs.Resolve(t, n, howOf(flags))
}

// howOf reads AT_SYMLINK_NOFOLLOW.
func howOf(flags int) vfs.How {
	if flags&linux.AT_SYMLINK_NOFOLLOW != 0 {
		return vfs.How{Follow: vfs.NoFollow}
	}
	return vfs.How{}
}

// with calls f with what a path argument names.
func (p Path) with(t *kernel.Task, dir linux.FD, flags int, f func(vfs.Path) error) (uint64, error) {
	at, err := p.resolve(t, dir, flags)
	if err != nil {
		return 0, err
	}
	defer at.DecRef()
	return 0, f(at)
}

// openFile returns the description of fd with a reference. EBADF also for one
// opened with O_PATH, with which only few calls work.
func openFile(t *kernel.Task, fd linux.FD) (*vfs.Description, error) {
	d, err := t.FDs().Get(fd)
	if err != nil {
		return nil, err
	}
	if d.Flags()&linux.O_PATH != 0 {
		d.DecRef()
		return nil, errno.EBADF
	}
	return d, nil
}

// withFile calls f with the file of fd, not one opened with O_PATH.
func withFile(t *kernel.Task, fd linux.FD, f func(d *vfs.Description) error) (uint64, error) {
	d, err := openFile(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return 0, f(d)
}

// fileLimit is how many descriptors the task may have.
func fileLimit(t *kernel.Task) uint64 { return t.Limit(linux.RLIMIT_NOFILE).Cur }

// quote shows a string as strace does, cut to what fits a line.
func quote(s string) string {
	const most = 256
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

func traceAddr(a usermem.Addr) string {
	if a == 0 {
		return "NULL"
	}
	return "0x" + strconv.FormatUint(uint64(a), 16)
}
