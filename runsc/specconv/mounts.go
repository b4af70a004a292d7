package specconv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// mountOption is what a word in a mount's options does to the flags.
type mountOption struct {
	clear bool
	flag  uint64
}

// mountOptions are the words of mount(8) that the OCI specification lists. The
// recursive forms (rro ...) are the same here: a bind mount is one tree.
var mountOptions = map[string]mountOption{
	"acl": {false, 0}, "noacl": {false, 0},
	"async": {true, unix.MS_SYNCHRONOUS}, "sync": {false, unix.MS_SYNCHRONOUS},
	"atime": {true, unix.MS_NOATIME}, "noatime": {false, unix.MS_NOATIME},
	"bind": {false, unix.MS_BIND}, "rbind": {false, unix.MS_BIND | unix.MS_REC},
	"defaults": {false, 0},
	"dev":      {true, unix.MS_NODEV}, "nodev": {false, unix.MS_NODEV},
	"diratime": {true, unix.MS_NODIRATIME}, "nodiratime": {false, unix.MS_NODIRATIME},
	"dirsync": {false, unix.MS_DIRSYNC},
	"exec":    {true, unix.MS_NOEXEC}, "noexec": {false, unix.MS_NOEXEC},
	"iversion": {false, unix.MS_I_VERSION}, "noiversion": {true, unix.MS_I_VERSION},
	"lazytime": {false, unix.MS_LAZYTIME}, "nolazytime": {true, unix.MS_LAZYTIME},
	"loud": {true, unix.MS_SILENT}, "silent": {false, unix.MS_SILENT},
	"mand": {false, unix.MS_MANDLOCK}, "nomand": {true, unix.MS_MANDLOCK},
	"nosymfollow": {false, unix.MS_NOSYMFOLLOW}, "symfollow": {true, unix.MS_NOSYMFOLLOW},
	"relatime": {false, unix.MS_RELATIME}, "norelatime": {true, unix.MS_RELATIME},
	"remount": {false, unix.MS_REMOUNT},
	"ro":      {false, unix.MS_RDONLY}, "rw": {true, unix.MS_RDONLY},
	"strictatime": {false, unix.MS_STRICTATIME}, "nostrictatime": {true, unix.MS_STRICTATIME},
	"suid": {true, unix.MS_NOSUID}, "nosuid": {false, unix.MS_NOSUID},

	"rro": {false, unix.MS_RDONLY}, "rrw": {true, unix.MS_RDONLY},
	"rnosuid": {false, unix.MS_NOSUID}, "rsuid": {true, unix.MS_NOSUID},
	"rnodev": {false, unix.MS_NODEV}, "rdev": {true, unix.MS_NODEV},
	"rnoexec": {false, unix.MS_NOEXEC}, "rexec": {true, unix.MS_NOEXEC},
	"rnoatime": {false, unix.MS_NOATIME}, "ratime": {true, unix.MS_NOATIME},
	"rnodiratime": {false, unix.MS_NODIRATIME}, "rdiratime": {true, unix.MS_NODIRATIME},
	"rrelatime": {false, unix.MS_RELATIME}, "rnorelatime": {true, unix.MS_RELATIME},
	"rstrictatime": {false, unix.MS_STRICTATIME}, "rnostrictatime": {true, unix.MS_STRICTATIME},
	"rnosymfollow": {false, unix.MS_NOSYMFOLLOW}, "rsymfollow": {true, unix.MS_NOSYMFOLLOW},
}

// propagations are the words for mount propagation.
var propagations = map[string]uint64{
	"private": unix.MS_PRIVATE, "rprivate": unix.MS_PRIVATE | unix.MS_REC,
	"shared": unix.MS_SHARED, "rshared": unix.MS_SHARED | unix.MS_REC,
	"slave": unix.MS_SLAVE, "rslave": unix.MS_SLAVE | unix.MS_REC,
	"unbindable": unix.MS_UNBINDABLE, "runbindable": unix.MS_UNBINDABLE | unix.MS_REC,
}

// copyUp is runc's word for a tmpfs that starts with what its mount point held.
const copyUp = "tmpcopyup"

// MountOptions lists the words that are understood, sorted.
func MountOptions() []string {
	words := []string{copyUp}
	for w := range mountOptions {
		words = append(words, w)
	}
	for w := range propagations {
		words = append(words, w)
	}
	sort.Strings(words)
	return words
}

// parseOptions splits a mount's options into flags, propagation and data.
func parseOptions(words []string) (m control.Mount, err error) {
	var data []string
	for _, word := range words {
		option, isFlag := mountOptions[word]
		propagation, isPropagation := propagations[word]
		switch {
		case isFlag && option.clear:
			m.Flags &^= option.flag
		case isFlag:
			m.Flags |= option.flag
		case isPropagation:
			m.Propagation = propagation
		case word == copyUp:
			m.CopyUp = true
		case word == "idmap" || word == "ridmap":
			return m, fmt.Errorf("option %q: id-mapped mounts are not supported", word)
		case strings.IndexByte(word, 0) >= 0:
			return m, fmt.Errorf("option %q contains a NUL byte", word)
		default:
			data = append(data, word)
		}
	}
	m.Data = strings.Join(data, ",")
	return m, nil
}

// fileSystems are the types that a Sentry mounts by itself.
var fileSystems = []string{"proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "mqueue", "cgroup", "cgroup2"}

func (p *Plan) mount(bundle string, in specs.Mount) error {
	if in.Destination == "" {
		return errors.New("destination must not be empty")
	}
	if len(in.UIDMappings) > 0 || len(in.GIDMappings) > 0 {
		return errors.New("id-mapped mounts are not supported")
	}
	m, err := parseOptions(in.Options)
	if err != nil {
		return err
	}
	// runc accepts relative destinations and takes them from the root.
	m.Destination = filepath.Join("/", in.Destination)
	m.Type, m.Source, m.Gofer = in.Type, in.Source, control.NoFD
	if m.Type == "bind" || m.Flags&unix.MS_BIND != 0 {
		if err := p.bind(bundle, &m); err != nil {
			return err
		}
	} else if !slices.Contains(fileSystems, m.Type) {
		return fmt.Errorf("unsupported file system type %q", m.Type)
	}
	if m.Source == "" {
		m.Source = "none"
	}
	p.Container.Mounts = append(p.Container.Mounts, m)
	return nil
}

// bind adds the tree of a bind mount.
func (p *Plan) bind(bundle string, m *control.Mount) error {
	if m.Source == "" {
		return errors.New("source must not be empty")
	}
	path := m.Source
	if !filepath.IsAbs(path) {
		path = filepath.Join(bundle, path)
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("source %s: %w", path, bare(err))
	}
	m.Type, m.Source, m.Gofer = "bind", path, len(p.Trees)
	p.Trees = append(p.Trees, Tree{
		Name:     "mount " + m.Destination,
		Path:     filepath.Clean(path),
		ReadOnly: m.Flags&unix.MS_RDONLY != 0,
	})
	return nil
}

// bare drops the operation and path that the caller has named already.
func bare(err error) error {
	if e := new(os.PathError); errors.As(err, &e) {
		return e.Err
	}
	return err
}
