package sandbox

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// self is this program, also when its file was replaced or unlinked.
const self = "/proc/self/exe"

// executable gives a path under which a child with these attributes can execute
// this program. A child that changes to another id needs a file that others may
// read and execute; when ours is not one, a copy in memory is.
func executable(attr *syscall.SysProcAttr) (path string, release func(), err error) {
	info, err := os.Stat(self)
	if err != nil {
		return "", nil, err
	}
	const othersReadExecute = 0o005
	if attr.Credential == nil || os.Geteuid() != 0 || info.Mode()&othersReadExecute == othersReadExecute {
		return self, func() {}, nil
	}
	copied, err := copySelf()
	if err != nil {
		return "", nil, fmt.Errorf("copy executable: %w", err)
	}
	return "/proc/self/fd/" + strconv.Itoa(int(copied.Fd())), func() { copied.Close() }, nil
}

func copySelf() (*os.File, error) {
	fd, err := unix.MemfdCreate("runsc", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "runsc")
	from, err := os.Open(self)
	if err != nil {
		f.Close()
		return nil, err
	}
	defer from.Close()
	if _, err := io.Copy(f, from); err != nil {
		f.Close()
		return nil, err
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
