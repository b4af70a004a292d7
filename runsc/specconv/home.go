package specconv

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// maxPasswdBytes bounds how much of a container's /etc/passwd is read.
const maxPasswdBytes = 1 << 20

// SetHome gives a process without HOME the home directory that the container's
// /etc/passwd has for its user, or "/": OCI runtimes do, and images rely on it.
// The file is the container's, so it is opened without leaving the root and
// without waiting.
func SetHome(rootfs string, p *control.Process) {
	var others control.Strings
	for _, v := range p.Env {
		home, ok := strings.CutPrefix(v, "HOME=")
		if ok && home != "" {
			return
		}
		if !ok {
			others = append(others, v)
		}
	}
	p.Env = append(others, "HOME="+lookupHome(rootfs, p.UID))
}

func lookupHome(rootfs string, uid uint32) string {
	const none = "/"
	dir, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return none
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, "etc/passwd", &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return none
	}
	defer unix.Close(fd)
	// Opening anything but a plain file could wait, or do something.
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return none
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return none
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxPasswdBytes))
	for lines.Scan() {
		// name:password:uid:gid:comment:home:shell, see passwd(5)
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 6 || fields[2] != strconv.FormatUint(uint64(uid), 10) {
			continue
		}
		if strings.HasPrefix(fields[5], "/") {
			return fields[5]
		}
		return none
	}
	return none
}
