package specconv

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// defaultUmask is what a container's init has when the spec does not say.
const defaultUmask = 0o022

func (p *Plan) process(spec *specs.Process) (control.Process, error) {
	if err := checkProcess(spec); err != nil {
		return control.Process{}, err
	}
	out := control.Process{
		Args:            spec.Args,
		Env:             spec.Env,
		Cwd:             filepath.Clean(spec.Cwd),
		UID:             spec.User.UID,
		GID:             spec.User.GID,
		AdditionalGIDs:  spec.User.AdditionalGids,
		Umask:           defaultUmask,
		NoNewPrivileges: spec.NoNewPrivileges,
		Stdio:           control.Stdio{TTY: control.NoFD, Files: [3]int{control.NoFD, control.NoFD, control.NoFD}},
	}
	if spec.User.Umask != nil {
		out.Umask = *spec.User.Umask & 0o777
	}
	if spec.OOMScoreAdj != nil {
		out.OOMScoreAdj = *spec.OOMScoreAdj
	}
	if box := spec.ConsoleSize; box != nil && spec.Terminal {
		if box.Height > math.MaxUint16 || box.Width > math.MaxUint16 {
			return control.Process{}, fmt.Errorf("process.consoleSize: %d by %d is too large", box.Height, box.Width)
		}
		out.ConsoleSize = control.Winsize{Rows: uint16(box.Height), Columns: uint16(box.Width)}
	}
	var err error
	if out.Rlimits, err = rlimits(spec.Rlimits); err != nil {
		return control.Process{}, err
	}
	out.Capabilities = p.capabilities(spec.Capabilities)
	p.warnProcess(spec)
	return out, nil
}

func checkProcess(spec *specs.Process) error {
	if len(spec.Args) == 0 {
		return errors.New("process.args must not be empty")
	}
	if spec.Cwd == "" {
		return errors.New("process.cwd must not be empty")
	}
	if !filepath.IsAbs(spec.Cwd) {
		return fmt.Errorf("process.cwd %q must be an absolute path", spec.Cwd)
	}
	for _, s := range spec.Args {
		if strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("process.args: %q contains a NUL byte", s)
		}
	}
	for _, s := range spec.Env {
		if strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("process.env: %q contains a NUL byte", s)
		}
	}
	if adj := spec.OOMScoreAdj; adj != nil && (*adj < -1000 || *adj > 1000) {
		return fmt.Errorf("process.oomScoreAdj %d is not between -1000 and 1000", *adj)
	}
	return nil
}

// warnProcess names what a sandbox does not apply.
func (p *Plan) warnProcess(spec *specs.Process) {
	if spec.ApparmorProfile != "" && spec.ApparmorProfile != "unconfined" {
		p.warnf("process.apparmorProfile %q is not applied: the sandbox's own kernel has no AppArmor", spec.ApparmorProfile)
	}
	if spec.SelinuxLabel != "" {
		p.warnf("process.selinuxLabel %q is not applied: the sandbox's own kernel has no SELinux", spec.SelinuxLabel)
	}
	if spec.Scheduler != nil {
		p.warnf("process.scheduler is not applied")
	}
	if spec.IOPriority != nil {
		p.warnf("process.ioPriority is not applied")
	}
	if spec.ExecCPUAffinity != nil {
		p.warnf("process.execCPUAffinity is not applied")
	}
}

// rlimitNumbers are the names of setrlimit(2), which the OCI specification uses.
var rlimitNumbers = map[string]int{
	"RLIMIT_AS":         unix.RLIMIT_AS,
	"RLIMIT_CORE":       unix.RLIMIT_CORE,
	"RLIMIT_CPU":        unix.RLIMIT_CPU,
	"RLIMIT_DATA":       unix.RLIMIT_DATA,
	"RLIMIT_FSIZE":      unix.RLIMIT_FSIZE,
	"RLIMIT_LOCKS":      unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK":    unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE":   unix.RLIMIT_MSGQUEUE,
	"RLIMIT_NICE":       unix.RLIMIT_NICE,
	"RLIMIT_NOFILE":     unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC":      unix.RLIMIT_NPROC,
	"RLIMIT_RSS":        unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO":     unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME":     unix.RLIMIT_RTTIME,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_STACK":      unix.RLIMIT_STACK,
}

func rlimits(in []specs.POSIXRlimit) ([]control.Rlimit, error) {
	var out []control.Rlimit
	seen := map[string]bool{}
	for _, r := range in {
		number, ok := rlimitNumbers[r.Type]
		if !ok {
			return nil, fmt.Errorf("process.rlimits: unknown type %q", r.Type)
		}
		if seen[r.Type] {
			return nil, fmt.Errorf("process.rlimits: %s is given twice", r.Type)
		}
		seen[r.Type] = true
		if r.Soft > r.Hard {
			return nil, fmt.Errorf("process.rlimits: %s: soft limit %d is above hard limit %d", r.Type, r.Soft, r.Hard)
		}
		out = append(out, control.Rlimit{Resource: number, Soft: r.Soft, Hard: r.Hard})
	}
	return out, nil
}

// capabilityNames are in the order of their numbers, see linux/capability.h.
var capabilityNames = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// AllCapabilities is every capability there is.
var AllCapabilities = uint64(1)<<len(capabilityNames) - 1

// CapabilityNames lists all names, in the order of their numbers.
func CapabilityNames() []string { return append([]string(nil), capabilityNames...) }

// capabilities converts the five sets. A name that no kernel has is ignored
// with a warning, as engines pass the names of newer kernels.
func (p *Plan) capabilities(in *specs.LinuxCapabilities) control.Capabilities {
	if in == nil {
		return control.Capabilities{}
	}
	unknown := map[string]bool{}
	set := func(names []string) (bits uint64) {
		for _, name := range names {
			n := capabilityNumber(name)
			if n < 0 {
				unknown[name] = true
				continue
			}
			bits |= 1 << n
		}
		return bits
	}
	out := control.Capabilities{
		Bounding:    set(in.Bounding),
		Effective:   set(in.Effective),
		Inheritable: set(in.Inheritable),
		Permitted:   set(in.Permitted),
		Ambient:     set(in.Ambient),
	}
	for name := range unknown {
		p.warnf("ignoring unknown capability %q", name)
	}
	return out
}

func capabilityNumber(name string) int {
	for n, known := range capabilityNames {
		if strings.EqualFold(known, name) {
			return n
		}
	}
	return -1
}
