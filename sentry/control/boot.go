package control

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// The descriptors that `runsc boot` finds open under fixed numbers. All others
// have their number in the BootConfig.
const (
	// ConfigFD is read to its end; it holds one BootConfig. It is written only
	// after the hooks that may still change the root file system have run, so a
	// Sentry confines itself first and reads second.
	ConfigFD = 3
	// CauseFD takes the outcome of the start, see ReportReady and ReportFailure.
	CauseFD = 4
	// FirstFD is the lowest number of the descriptors named in BootConfig.
	FirstFD = 5
)

// NoFD stands for an absent descriptor in BootConfig and Stdio.
const NoFD = -1

// maxConfigBytes bounds a BootConfig: arguments and environment may hold 2 MiB
// each on Linux, and JSON escapes can triple them.
const maxConfigBytes = 16 << 20

// BootConfig says everything a Sentry has to know to start. Descriptors are
// given by number; they are open in the Sentry when it starts and it owns them.
type BootConfig struct {
	// Platform names the platform, as in platform/all ("ptrace").
	Platform string
	// PlatformFD is the platform's device, or NoFD when it needs none.
	PlatformFD int
	// Network is "none" or "host": what the sandbox's network reaches.
	Network string

	// ListenFD is a listening unix stream socket to be given to Serve, or NoFD.
	ListenFD int
	// ConnFD is a connected socket to be given to ServeConn, or NoFD.
	ConnFD int
	// GoferFDs are connections to the gofer, one a tree. The root's is first.
	GoferFDs []int
	// GoferLifeFD is the reading end of a pipe that the gofer holds open and
	// writes nothing to: its end is the gofer's. Or NoFD.
	GoferLifeFD int
	// DebugFD is open for appending and takes debug output, or NoFD.
	DebugFD int
	// Debug asks for debug output, Strace for a line per system call, on DebugFD.
	Debug  bool
	Strace bool

	Container Container
}

// Container is what runs in a sandbox.
type Container struct {
	ID         string
	Hostname   string
	Domainname string
	Root       Root
	// Mounts are made in this order on top of the root.
	Mounts []Mount
	// MaskedPaths appear empty, ReadonlyPaths cannot be written. A path that
	// does not exist is ignored.
	MaskedPaths   []string
	ReadonlyPaths []string
	Devices       []Device
	// Sysctls holds names with dots and the value to write. The names were not
	// checked: one that the Sentry does not have fails the start.
	Sysctls map[string]string
	// Limits are what the host's cgroup allows, for the container to see.
	Limits Limits
	// UIDMap and GIDMap, when not empty, describe the user namespace that init
	// runs in. Ids of files and processes stand for ids inside of it.
	UIDMap []IDMap
	GIDMap []IDMap
	// MortalInit takes from init the protection that pid 1 has against signals
	// without a handler, for a command that is to end as it would outside.
	MortalInit bool
	// Process is the container's init. It is loaded at boot and runs at Start.
	Process Process
}

// Root is the root file system, served by BootConfig.GoferFDs[0].
type Root struct {
	// ReadOnly mounts the root read-only for the container.
	ReadOnly bool
	// Overlay keeps what the container writes.
	Overlay Overlay
	// Cached says that nobody but this container changes the tree while it runs.
	Cached bool
}

// Overlay says where writes to the root file system go.
type Overlay string

// The values of Overlay.
const (
	// OverlayNone writes through to the tree.
	OverlayNone Overlay = "none"
	// OverlayMemory keeps writes in memory; they end with the sandbox.
	OverlayMemory Overlay = "memory"
)

// Mount is one mount on top of the root.
type Mount struct {
	// Destination is an absolute clean path inside. A directory (or, when the
	// source is a file, a file) is created there when it is missing.
	Destination string
	// Type is a file system ("proc", "tmpfs", ...), or "bind".
	Type string
	// Source is what /proc/mounts shows in its first field.
	Source string
	// Flags are MS_* bits of mount(2), without propagation.
	Flags uint64
	// Propagation is the MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE bit
	// with MS_REC when recursive, or 0.
	Propagation uint64
	// Data are the file system's own options, comma separated.
	Data string
	// Gofer is the index in BootConfig.GoferFDs of a bind mount's tree, or NoFD.
	Gofer int
	// CopyUp fills a new tmpfs with what its mount point held.
	CopyUp bool
}

// Limits are those of the sandbox's cgroup. Zero is no limit.
type Limits struct {
	Memory, Swap        uint64 // bytes; Swap is besides Memory
	CPUQuota, CPUPeriod int64  // microseconds
	Processes           int64
}

// Device is a device node to be made, replacing what is there.
type Device struct {
	Path         string
	Mode         uint32 // S_IFCHR, S_IFBLK or S_IFIFO with permission bits
	Major, Minor uint32
	UID, GID     uint32
}

// IDMap is one line of a uid_map.
type IDMap struct {
	Inside, Outside, Count uint32
}

// Process describes a process to be started. Paths and ids are the container's.
type Process struct {
	Args Strings
	Env  Strings
	// Cwd is an absolute path. It is created for init when it is missing.
	Cwd            string
	UID, GID       uint32
	AdditionalGIDs []uint32
	Umask          uint32
	Capabilities   Capabilities
	Rlimits        []Rlimit
	// NoNewPrivileges is PR_SET_NO_NEW_PRIVS.
	NoNewPrivileges bool
	// Seccomp is a filter that the process starts with, when it is not empty.
	Seccomp     []linux.SockFilter `json:",omitempty"`
	OOMScoreAdj int
	Stdio       Stdio
	// ConsoleSize is the terminal's size when it is not 0 by 0.
	ConsoleSize Winsize
}

// Capabilities are bit sets, bit N for the capability numbered N.
type Capabilities struct {
	Bounding, Effective, Inheritable, Permitted, Ambient uint64
}

// Rlimit is one resource limit; Resource is a RLIMIT_* number.
type Rlimit struct {
	Resource   int
	Soft, Hard uint64
}

// Winsize is a terminal's size in characters.
type Winsize struct {
	Rows, Columns uint16
}

// Stdio says what a process finds as its descriptors 0, 1 and 2. In a
// BootConfig the values are descriptor numbers; in an Exec call they are
// positions among the files sent with it.
type Stdio struct {
	// TTY is the slave of a host pseudoterminal in raw mode, or NoFD. The
	// Sentry makes a terminal with a line discipline of its own over it, which
	// becomes the process's controlling terminal.
	TTY int
	// Files are the host files for 0, 1 and 2; NoFD means the terminal when
	// there is one, and a closed descriptor when there is none.
	Files [3]int
	// Extra become descriptors 3 and up.
	Extra []int
}

// ReadBootConfig reads the document from r to its end.
func ReadBootConfig(r io.Reader) (*BootConfig, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read boot configuration: %w", err)
	}
	if len(raw) == 0 {
		return nil, fmt.Errorf("read boot configuration: the starting runsc went away")
	}
	if len(raw) > maxConfigBytes {
		return nil, fmt.Errorf("read boot configuration: longer than %d bytes", maxConfigBytes)
	}
	cfg := new(BootConfig)
	if err := json.Unmarshal(raw, cfg); err != nil {
		return nil, fmt.Errorf("read boot configuration: %w", err)
	}
	return cfg, nil
}

// Write writes the document to w.
func (c *BootConfig) Write(w io.Writer) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write boot configuration: %w", err)
	}
	if len(raw) > maxConfigBytes {
		return fmt.Errorf("write boot configuration: %d bytes, more than %d", len(raw), maxConfigBytes)
	}
	if _, err := w.Write(raw); err != nil {
		return fmt.Errorf("write boot configuration: %w", err)
	}
	return nil
}
