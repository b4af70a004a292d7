package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Changing modes, owners and times.
var fileAttrCalls = []Call{
	call2(sysno.Chmod, chmod, full),
	call2(sysno.Fchmod, fchmod, full),
	call3(sysno.Fchmodat, fchmodat, full),
	call4(sysno.Fchmodat2, fchmodat2, full),
	call3(sysno.Chown, chown, full),
	call3(sysno.Lchown, lchown, full),
	call3(sysno.Fchown, fchown, full),
	call5(sysno.Fchownat, fchownat, full),
	call2(sysno.Utime, utime, full),
	call2(sysno.Utimes, utimes, full),
	call3(sysno.Futimesat, futimesat, full),
	call4(sysno.Utimensat, utimensat, full),
}

func chmod(t *kernel.Task, path Path, mode linux.FileMode) (uint64, error) {
	return fchmodat2(t, linux.AT_FDCWD, path, mode, 0)
}

func fchmodat(t *kernel.Task, dir linux.FD, path Path, mode linux.FileMode) (uint64, error) {
	return fchmodat2(t, dir, path, mode, 0)
}

func fchmodat2(t *kernel.Task, dir linux.FD, path Path, mode linux.FileMode, flags int) (uint64, error) {
	if flags&^(linux.AT_SYMLINK_NOFOLLOW|linux.AT_EMPTY_PATH) != 0 {
		return 0, errno.EINVAL
	}
	return path.with(t, dir, flags, func(p vfs.Path) error { return vfs.Chmod(t, p, mode, nil) })
}

func fchmod(t *kernel.Task, fd linux.FD, mode linux.FileMode) (uint64, error) {
	return withFile(t, fd, func(d *vfs.Description) error { return vfs.Chmod(t, d.Path(), mode, d.File()) })
}

// owner maps ids of the caller's user namespace; -1 stays "leave it". EINVAL
// for an id that is not mapped.
func owner(t *kernel.Task, uid, gid uint32) (cred.KUID, cred.KGID, error) {
	u, g := cred.NoUID, cred.NoGID
	var ok bool
	if uid != 0xffffffff {
		if u, ok = t.Creds().UserNS.KUID(uid); !ok {
			return u, g, errno.EINVAL
		}
	}
	if gid != 0xffffffff {
		if g, ok = t.Creds().UserNS.KGID(gid); !ok {
			return u, g, errno.EINVAL
		}
	}
	return u, g, nil
}

func chown(t *kernel.Task, path Path, uid, gid uint32) (uint64, error) {
	return fchownat(t, linux.AT_FDCWD, path, uid, gid, 0)
}

func lchown(t *kernel.Task, path Path, uid, gid uint32) (uint64, error) {
	return fchownat(t, linux.AT_FDCWD, path, uid, gid, linux.AT_SYMLINK_NOFOLLOW)
}

func fchownat(t *kernel.Task, dir linux.FD, path Path, uid, gid uint32, flags int) (uint64, error) {
	if flags&^(linux.AT_SYMLINK_NOFOLLOW|linux.AT_EMPTY_PATH) != 0 {
		return 0, errno.EINVAL
	}
	u, g, err := owner(t, uid, gid)
	if err != nil {
		return 0, err
	}
	return path.with(t, dir, flags, func(p vfs.Path) error { return vfs.Chown(t, p, u, g, nil) })
}

func fchown(t *kernel.Task, fd linux.FD, uid, gid uint32) (uint64, error) {
	u, g, err := owner(t, uid, gid)
	if err != nil {
		return 0, err
	}
	return withFile(t, fd, func(d *vfs.Description) error { return vfs.Chown(t, d.Path(), u, g, d.File()) })
}

// utimensat sets timestamps to nanoseconds. A null path means the descriptor
// itself, which no other call allows.
//
// Errors: EINVAL, EFAULT and those of vfs.Utimes.
func utimensat(t *kernel.Task, dir linux.FD, path Path, times usermem.Ptr[[2]linux.Timespec], flags int) (uint64, error) {
	if flags&^(linux.AT_SYMLINK_NOFOLLOW|linux.AT_EMPTY_PATH) != 0 {
		return 0, errno.EINVAL
	}
	set := vfs.Times{SetATime: vfs.TimeNow, SetMTime: vfs.TimeNow}
	if times != 0 {
		ts, err := times.Load(t)
		if err != nil {
			return 0, err
		}
		if set.ATime, set.SetATime, err = timeChange(ts[0]); err != nil {
			return 0, err
		}
		if set.MTime, set.SetMTime, err = timeChange(ts[1]); err != nil {
			return 0, err
		}
		if set.SetATime == vfs.TimeOmit && set.SetMTime == vfs.TimeOmit {
			return 0, nil
		}
	}
	if path == 0 && dir != linux.AT_FDCWD {
		if flags&linux.AT_SYMLINK_NOFOLLOW != 0 {
			return 0, errno.EINVAL
		}
		return withFile(t, dir, func(d *vfs.Description) error { return vfs.Utimes(t, d.Path(), set, d.File()) })
	}
	return path.with(t, dir, flags, func(p vfs.Path) error { return vfs.Utimes(t, p, set, nil) })
}

func timeChange(ts linux.Timespec) (linux.Timespec, vfs.TimeChange, error) {
	switch {
	case ts.Nsec == linux.UTIME_NOW:
		return ts, vfs.TimeNow, nil
	case ts.Nsec == linux.UTIME_OMIT:
		return ts, vfs.TimeOmit, nil
	case ts.Nsec < 0 || ts.Nsec >= 1e9:
		return ts, 0, errno.EINVAL
	}
	return ts, vfs.TimeGiven, nil
}

func utimes(t *kernel.Task, path Path, times usermem.Ptr[[2]linux.Timeval]) (uint64, error) {
	return futimesat(t, linux.AT_FDCWD, path, times)
}

// futimesat sets timestamps to microseconds.
func futimesat(t *kernel.Task, dir linux.FD, path Path, times usermem.Ptr[[2]linux.Timeval]) (uint64, error) {
	set := vfs.Times{SetATime: vfs.TimeNow, SetMTime: vfs.TimeNow}
	if times != 0 {
		tv, err := times.Load(t)
		if err != nil {
			return 0, err
		}
		for _, v := range tv {
			if v.Usec < 0 || v.Usec >= 1e6 {
				return 0, errno.EINVAL
			}
		}
		set = vfs.Times{ATime: tv[0].Timespec(), MTime: tv[1].Timespec(), SetATime: vfs.TimeGiven, SetMTime: vfs.TimeGiven}
	}
	if path == 0 && dir != linux.AT_FDCWD {
		return withFile(t, dir, func(d *vfs.Description) error { return vfs.Utimes(t, d.Path(), set, d.File()) })
	}
	return path.with(t, dir, 0, func(p vfs.Path) error { return vfs.Utimes(t, p, set, nil) })
}

// utime sets timestamps to seconds.
func utime(t *kernel.Task, path Path, times usermem.Ptr[[2]int64]) (uint64, error) {
	set := vfs.Times{SetATime: vfs.TimeNow, SetMTime: vfs.TimeNow}
	if times != 0 {
		s, err := times.Load(t)
		if err != nil {
			return 0, err
		}
		set = vfs.Times{ATime: linux.Timespec{Sec: s[0]}, MTime: linux.Timespec{Sec: s[1]},
			SetATime: vfs.TimeGiven, SetMTime: vfs.TimeGiven}
	}
	return path.with(t, linux.AT_FDCWD, 0, func(p vfs.Path) error { return vfs.Utimes(t, p, set, nil) })
}
