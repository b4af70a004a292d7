package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// installFD gives d the lowest free descriptor and returns that as the result of
// a call. It takes over the reference, also if it fails: EMFILE.
func installFD(t *kernel.Task, d *vfs.Description, f fdtable.Flags) (uint64, error) {
	fd, err := t.FDs().Add(d, f, 0, t.Limit(linux.RLIMIT_NOFILE).Cur)
	if err != nil {
		d.DecRef()
		return 0, err
	}
	return uint64(fd), nil
}

// fileOf finds the open file fd and the part of it that a family knows, or
// fails with EBADF, or with other if it is something else. The caller gives the
// reference back.
func fileOf[F vfs.File](t *kernel.Task, fd linux.FD, other error) (*vfs.Description, F, error) {
	var none F
	d, err := t.FDs().Get(fd)
	if err != nil {
		return nil, none, err
	}
	f, ok := d.File().(F)
	if !ok {
		d.DecRef()
		return nil, none, other
	}
	return d, f, nil
}
