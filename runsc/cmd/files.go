package cmd

import (
	"fmt"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// firstExtra is the first descriptor that is not standard.
const firstExtra = 3

// keepDescriptors lets no process that we start inherit what our caller left
// open, on purpose or not: a descriptor of a host directory in a sandbox is a way
// out of it. What is to be passed is passed by name.
func keepDescriptors() error {
	if err := unix.CloseRange(firstExtra, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close descriptors on exec: %w", err)
	}
	return nil
}

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

// releaseStdio lets go of our standard input and output, which are the
// container's now: who is at their other ends shall see when the container
// closes them, and not when we end. Standard error stays, for what we have to
// say ourselves.
func releaseStdio() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	for fd := range 2 {
		unix.Dup3(int(null.Fd()), fd, 0)
	}
}
