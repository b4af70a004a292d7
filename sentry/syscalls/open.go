package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Opening, duplicating and closing descriptors.
var openCalls = []Call{
	call3(sysno.Open, open, full),
	call4(sysno.Openat, openat, full),
	call4(sysno.Openat2, openat2, full),
	call2(sysno.Creat, creat, full),
	call1(sysno.Close, closeFD, full),
	call3(sysno.CloseRange, closeRange, full),
	call1(sysno.Dup, dup, full),
	call2(sysno.Dup2, dup2, full),
	call3(sysno.Dup3, dup3, full),
	call2(sysno.MemfdCreate, memfdCreate, except("MFD_HUGETLB")),
	unconfigured(sysno.NameToHandleAt, errno.EOPNOTSUPP, "CONFIG_FHANDLE without a file system that can be exported"),
	unconfigured(sysno.OpenByHandleAt, errno.EPERM, "CONFIG_FHANDLE without a file system that can be exported"),
}

func open(t *kernel.Task, path Path, flags linux.OpenFlags, mode linux.FileMode) (uint64, error) {
	return openat(t, linux.AT_FDCWD, path, flags, mode)
}

func creat(t *kernel.Task, path Path, mode linux.FileMode) (uint64, error) {
	return openat(t, linux.AT_FDCWD, path, linux.O_CREAT|linux.O_WRONLY|linux.O_TRUNC, mode)
}

// openat opens a file and returns its descriptor.
//
// Errors: EMFILE before anything is created, and those of package vfs.
func openat(t *kernel.Task, dir linux.FD, path Path, flags linux.OpenFlags, mode linux.FileMode) (uint64, error) {
	return openHow(t, dir, path, vfs.OpenHow{Flags: flags, Mode: mode & linux.S_IALLUGO})
}

func openHow(t *kernel.Task, dir linux.FD, path Path, how vfs.OpenHow) (uint64, error) {
	n, err := openName(t, dir, path, how.Resolve)
	if err != nil {
		return 0, err
	}
	defer n.Release()
	slot, err := t.FDs().Reserve(1, 0, fileLimit(t))
	if err != nil {
		return 0, err
	}
	defer slot.Cancel()
	if how.Flags&linux.O_PATH == 0 {
		how.Flags |= linux.O_LARGEFILE // as on any 64-bit Linux
	}
	d, err := vfs.Open(t, n, how)
	if err != nil {
		return 0, err
	}
	slot.Install(fdtable.FlagsOf(how.Flags), d)
	return uint64(slot.FD(0)), nil
}

// openName is the path of an open. With a root of its own (RESOLVE_IN_ROOT) even
// an absolute path starts at the descriptor.
func openName(t *kernel.Task, dir linux.FD, path Path, rules uint64) (vfs.Name, error) {
	if rules&(linux.RESOLVE_IN_ROOT|linux.RESOLVE_BENEATH) == 0 {
		return path.name(t, dir, 0)
	}
	s, err := path.load(t)
	if err != nil {
		return vfs.Name{}, err
	}
	if s == "" {
		return vfs.Name{}, errno.ENOENT
	}
	n, err := t.Name(dir, ".", 0)
	n.Text = s
	return n, err
}

// openat2 is openat with rules for the resolution, and without tolerance for
// unknown flags.
//
// Errors: E2BIG if the structure holds what we do not know, EINVAL, and those
// of openat.
func openat2(t *kernel.Task, dir linux.FD, path Path, p usermem.Ptr[linux.OpenHow], size uint64) (uint64, error) {
	how, err := loadOpenHow(t, p, size)
	if err != nil {
		return 0, err
	}
	if err := checkOpenHow(how); err != nil {
		return 0, err
	}
	const cachedNever = linux.O_CREAT | linux.O_TRUNC | linux.O_TMPFILE&^linux.O_DIRECTORY
	if how.Resolve&linux.RESOLVE_CACHED != 0 && how.Flags&cachedNever != 0 {
		return 0, errno.EAGAIN
	}
	return openHow(t, dir, path, vfs.OpenHow{
		Flags: linux.OpenFlags(how.Flags), Mode: linux.FileMode(how.Mode), Resolve: how.Resolve})
}

// openHowSize is the size of the first version of struct open_how.
const openHowSize = 24

func loadOpenHow(t *kernel.Task, p usermem.Ptr[linux.OpenHow], size uint64) (linux.OpenHow, error) {
	if size < openHowSize {
		return linux.OpenHow{}, errno.EINVAL
	}
	if size > usermem.PageSize {
		return linux.OpenHow{}, errno.E2BIG
	}
	rest := make([]byte, size-openHowSize)
	if _, err := t.CopyIn(rest, p.Addr()+openHowSize); len(rest) > 0 && err != nil {
		return linux.OpenHow{}, err
	}
	for _, b := range rest {
		if b != 0 {
			return linux.OpenHow{}, errno.E2BIG
		}
	}
	return p.Load(t)
}

func checkOpenHow(how linux.OpenHow) error {
	const knownFlags = linux.O_ACCMODE | linux.O_CREAT | linux.O_EXCL | linux.O_NOCTTY | linux.O_TRUNC |
		linux.O_APPEND | linux.O_NONBLOCK | linux.O_SYNC | linux.O_DSYNC | linux.O_ASYNC | linux.O_DIRECT |
		linux.O_LARGEFILE | linux.O_TMPFILE | linux.O_DIRECTORY | linux.O_NOFOLLOW | linux.O_NOATIME |
		linux.O_CLOEXEC | linux.O_PATH
	const knownRules = linux.RESOLVE_NO_XDEV | linux.RESOLVE_NO_MAGICLINKS | linux.RESOLVE_NO_SYMLINKS |
		linux.RESOLVE_BENEATH | linux.RESOLVE_IN_ROOT | linux.RESOLVE_CACHED
	const oneRoot = linux.RESOLVE_BENEATH | linux.RESOLVE_IN_ROOT
	const withPath = linux.O_PATH | linux.O_DIRECTORY | linux.O_NOFOLLOW | linux.O_CLOEXEC
	f := how.Flags
	creates := f&linux.O_CREAT != 0 || f&linux.O_TMPFILE == linux.O_TMPFILE
	switch {
	case f&^knownFlags != 0, how.Resolve&^knownRules != 0, how.Resolve&oneRoot == oneRoot,
		how.Mode&^linux.S_IALLUGO != 0, how.Mode != 0 && !creates,
		f&linux.O_PATH != 0 && f&^withPath != 0,
		f&(linux.O_TMPFILE&^linux.O_DIRECTORY) != 0 && f&linux.O_DIRECTORY == 0:
		return errno.EINVAL
	}
	return nil
}

func closeFD(t *kernel.Task, fd linux.FD) (uint64, error) {
	d, err := t.FDs().Remove(fd)
	if err != nil {
		return 0, err
	}
	err = d.Flush(t)
	d.ReleaseLocks(t.FDs())
	d.DecRef()
	return 0, err
}

// closeRange closes or marks the descriptors from first to last.
//
// Errors: EINVAL.
func closeRange(t *kernel.Task, first, last, flags uint32) (uint64, error) {
	if flags&^(linux.CLOSE_RANGE_UNSHARE|linux.CLOSE_RANGE_CLOEXEC) != 0 || first > last {
		return 0, errno.EINVAL
	}
	if flags&linux.CLOSE_RANGE_UNSHARE != 0 {
		if err := t.Unshare(linux.CLONE_FILES); err != nil {
			return 0, err
		}
	}
	if flags&linux.CLOSE_RANGE_CLOEXEC != 0 {
		t.FDs().SetCloseOnExecRange(first, last)
	} else {
		t.FDs().CloseRange(first, last)
	}
	return 0, nil
}

func dup(t *kernel.Task, fd linux.FD) (uint64, error) { return dupFrom(t, fd, 0, 0) }

// dupFrom makes another descriptor of an open file, the lowest from min on.
func dupFrom(t *kernel.Task, fd, min linux.FD, f fdtable.Flags) (uint64, error) {
	d, err := t.FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	n, err := t.FDs().Add(d, f, min, fileLimit(t))
	if err != nil {
		d.DecRef()
		return 0, err
	}
	return uint64(n), nil
}

func dup2(t *kernel.Task, old, new linux.FD) (uint64, error) {
	if old != new {
		return dup3(t, old, new, 0)
	}
	d, err := t.FDs().Get(old)
	if err != nil {
		return 0, err
	}
	d.DecRef()
	return uint64(new), nil
}

// dup3 makes new the same open file as old.
//
// Errors: EINVAL, EBADF, EBUSY while another thread opens new.
func dup3(t *kernel.Task, old, new linux.FD, flags linux.OpenFlags) (uint64, error) {
	if flags&^linux.O_CLOEXEC != 0 || old == new {
		return 0, errno.EINVAL
	}
	d, err := t.FDs().Get(old)
	if err != nil {
		return 0, err
	}
	if err := t.FDs().Replace(d, fdtable.FlagsOf(flags), new, fileLimit(t)); err != nil {
		d.DecRef()
		return 0, err
	}
	return uint64(new), nil
}
