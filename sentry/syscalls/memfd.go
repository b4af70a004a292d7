package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/tmpfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// memfdCreate makes a file in memory without a name.
//
// Errors: EINVAL for unknown flags or a name that is too long, EMFILE.
func memfdCreate(t *kernel.Task, name usermem.Addr, flags uint32) (uint64, error) {
	const known = linux.MFD_CLOEXEC | linux.MFD_ALLOW_SEALING | linux.MFD_NOEXEC_SEAL | linux.MFD_EXEC
	const exec = linux.MFD_NOEXEC_SEAL | linux.MFD_EXEC
	if flags&^known != 0 || flags&exec == exec {
		return 0, errno.EINVAL
	}
	s, err := usermem.LoadString(t, name, linux.MFD_NAME_MAX+1, errno.EINVAL)
	if err != nil {
		return 0, err
	}
	slot, err := t.FDs().Reserve(1, 0, fileLimit(t))
	if err != nil {
		return 0, err
	}
	defer slot.Cancel()
	d, err := tmpfs.Anonymous(t.World()).NewMemfd(s, flags, t.Creds())
	if err != nil {
		return 0, err
	}
	f := fdtable.Flags(0)
	if flags&linux.MFD_CLOEXEC != 0 {
		f = fdtable.CloseOnExec
	}
	slot.Install(f, d)
	return uint64(slot.FD(0)), nil
}
