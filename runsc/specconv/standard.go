package specconv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// StandardMounts are those of a container without a config.json.
func StandardMounts() []control.Mount {
	const quiet = unix.MS_NOSUID | unix.MS_NOEXEC
	return []control.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Flags: quiet | unix.MS_NODEV, Gofer: control.NoFD},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Flags: quiet | unix.MS_NODEV | unix.MS_RDONLY, Gofer: control.NoFD},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Flags: unix.MS_NOSUID | unix.MS_STRICTATIME, Data: "mode=755,size=65536k", Gofer: control.NoFD},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Flags: quiet, Data: "newinstance,ptmxmode=0666,mode=0620,gid=5", Gofer: control.NoFD},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Flags: unix.MS_NOSUID | unix.MS_NODEV, Data: "mode=1777", Gofer: control.NoFD},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Flags: quiet | unix.MS_NODEV, Gofer: control.NoFD},
	}
}

// StandardDevices are the device nodes that every container has.
func StandardDevices() []control.Device { return append([]control.Device(nil), defaultDevices...) }

// AddVolume adds a bind mount given as SRC:DST[:ro].
func (p *Plan) AddVolume(volume string) error {
	parts := strings.Split(volume, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || !filepath.IsAbs(parts[1]) {
		return errors.New("expected SRC:DST[:ro] with an absolute DST")
	}
	m := control.Mount{Destination: filepath.Clean(parts[1]), Source: parts[0], Flags: unix.MS_BIND | unix.MS_REC}
	if len(parts) == 3 {
		switch parts[2] {
		case "ro":
			m.Flags |= unix.MS_RDONLY
		case "rw":
		default:
			return fmt.Errorf("unknown option %q, expected \"ro\" or \"rw\"", parts[2])
		}
	}
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := p.bind(cwd, &m); err != nil {
		return err
	}
	p.Container.Mounts = append(p.Container.Mounts, m)
	return nil
}

// CallerRlimits are the limits that a command started by our caller would have.
// The limit of open files is asked of our parent, because the Go runtime raised
// ours.
func CallerRlimits() []control.Rlimit {
	var out []control.Rlimit
	for n := unix.RLIMIT_CPU; n <= unix.RLIMIT_RTTIME; n++ {
		pid := 0
		if n == unix.RLIMIT_NOFILE {
			pid = os.Getppid()
		}
		var limit unix.Rlimit
		if err := unix.Prlimit(pid, n, nil, &limit); err != nil {
			continue
		}
		out = append(out, control.Rlimit{Resource: n, Soft: limit.Cur, Hard: limit.Max})
	}
	return out
}
