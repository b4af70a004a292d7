package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// The mount tree. The calls of the newer interface are left out as on an older
// Linux, on which mount(8) does without them.
var mountCalls = []Call{
	call5(sysno.Mount, mount, full),
	call2(sysno.Umount2, umount2, except("MNT_EXPIRE")),
	call2(sysno.PivotRoot, pivotRoot, full),
	unconfigured(sysno.OpenTree, errno.ENOSYS, newMountAPI),
	unconfigured(sysno.MoveMount, errno.ENOSYS, newMountAPI),
	unconfigured(sysno.Fsopen, errno.ENOSYS, newMountAPI),
	unconfigured(sysno.Fsconfig, errno.ENOSYS, newMountAPI),
	unconfigured(sysno.Fsmount, errno.ENOSYS, newMountAPI),
	unconfigured(sysno.Fspick, errno.ENOSYS, newMountAPI),
	unconfigured(sysno.MountSetattr, errno.ENOSYS, newMountAPI),
	unconfigured(sysno.Statmount, errno.ENOSYS, newMountAPI),
	unconfigured(sysno.Listmount, errno.ENOSYS, newMountAPI),
	unconfigured(sysno.Quotactl, errno.ENOSYS, "CONFIG_QUOTACTL"),
	unconfigured(sysno.QuotactlFd, errno.ENOSYS, "CONFIG_QUOTACTL"),
	unconfigured(sysno.Swapon, errno.ENOSYS, "CONFIG_SWAP"),
	unconfigured(sysno.Swapoff, errno.ENOSYS, "CONFIG_SWAP"),
}

const newMountAPI = "the mount calls of Linux 5.2 and later; mount(2) does what mount(8) needs"

// mount: EFAULT, and those of package vfs. Source, type and data may be null.
func mount(t *kernel.Task, source, target Path, fsType Path, flags uint32, data usermem.Addr) (uint64, error) {
	var words [2]string
	for i, p := range []Path{source, fsType} {
		if p == 0 {
			continue
		}
		s, err := p.load(t)
		if err != nil {
			return 0, err
		}
		words[i] = s
	}
	at, err := target.load(t)
	if err != nil {
		return 0, err
	}
	options := ""
	if data != 0 {
		if options, err = usermem.LoadString(t, data, usermem.PageSize, errno.EINVAL); err != nil {
			return 0, err
		}
	}
	return 0, t.FS().Mount(t, words[0], at, words[1], flags, options)
}

func umount2(t *kernel.Task, target Path, flags uint32) (uint64, error) {
	s, err := target.load(t)
	if err != nil {
		return 0, err
	}
	return 0, t.FS().Umount(t, s, flags)
}

// pivotRoot moves all tasks that are at the old root to the new one.
func pivotRoot(t *kernel.Task, newRoot, putOld Path) (uint64, error) {
	n, err := newRoot.load(t)
	if err != nil {
		return 0, err
	}
	o, err := putOld.load(t)
	if err != nil {
		return 0, err
	}
	return 0, t.FS().PivotRoot(t, n, o, t.Kernel().EachFS)
}
