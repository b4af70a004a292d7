package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/pipefs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// pipe(2) and pipe2(2). The pipe itself is in sentry/fs/pipefs; here arguments
// are checked and descriptors handed out.
var pipeCalls = []Call{
	call1(sysno.Pipe, pipe, full),
	call2(sysno.Pipe2, pipe2, except("O_NOTIFICATION_PIPE")),
}

func pipe(t *kernel.Task, fds usermem.Ptr[[2]linux.FD]) (uint64, error) {
	return pipe2(t, fds, 0)
}

// pipe2 creates a pipe and stores its read and write descriptors at fds.
//
// Errors: EINVAL for an unknown flag; EMFILE when no descriptor is left; EFAULT
// when fds cannot be written, and then nothing stays open.
func pipe2(t *kernel.Task, fds usermem.Ptr[[2]linux.FD], flags linux.OpenFlags) (uint64, error) {
	if flags&^(linux.O_CLOEXEC|linux.O_NONBLOCK|linux.O_DIRECT) != 0 {
		return 0, errno.EINVAL
	}
	slots, err := t.FDs().Reserve(2, 0, t.Limit(linux.RLIMIT_NOFILE).Cur)
	if err != nil {
		return 0, err
	}
	defer slots.Cancel() // does nothing after Install

	// Store before Install: no thread may see a descriptor whose number the
	// caller never learns.
	if err := fds.Store(t, slots.Pair()); err != nil {
		return 0, err
	}
	r, w := pipefs.New(t.World(), t.Creds(), flags&(linux.O_NONBLOCK|linux.O_DIRECT))
	slots.Install(fdtable.FlagsOf(flags), r, w)
	return 0, nil
}
