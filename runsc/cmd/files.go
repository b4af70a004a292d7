package cmd

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// firstExtra is the first descriptor that is not standard.
const firstExtra = 3

// preservedFiles are the descriptors from 3 on that --preserve-fds and the
// caller's $LISTEN_FDS name.
func preservedFiles(count int) ([]*os.File, error) {
	if count < 0 {
		return nil, fmt.Errorf("--preserve-fds %d is negative", count)
	}
	if v := os.Getenv("LISTEN_FDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("LISTEN_FDS %q is not a number", v)
		}
		count += n
	}
	var files []*os.File
	for fd := firstExtra; fd < firstExtra+count; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, fmt.Errorf("--preserve-fds: descriptor %d: %w", fd, err)
		}
		files = append(files, os.NewFile(uintptr(fd), "preserved "+strconv.Itoa(fd)))
	}
	return files, nil
}

func dup(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate %s: %w", f.Name(), err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
