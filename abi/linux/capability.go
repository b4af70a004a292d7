package linux

import (
	"strconv"
	"strings"
)

// Capability is one privilege of root.
type Capability uint8

// The capabilities.
const (
	CAP_CHOWN              Capability = 0
	CAP_DAC_OVERRIDE       Capability = 1
	CAP_DAC_READ_SEARCH    Capability = 2
	CAP_FOWNER             Capability = 3
	CAP_FSETID             Capability = 4
	CAP_KILL               Capability = 5
	CAP_SETGID             Capability = 6
	CAP_SETUID             Capability = 7
	CAP_SETPCAP            Capability = 8
	CAP_LINUX_IMMUTABLE    Capability = 9
	CAP_NET_BIND_SERVICE   Capability = 10
	CAP_NET_BROADCAST      Capability = 11
	CAP_NET_ADMIN          Capability = 12
	CAP_NET_RAW            Capability = 13
	CAP_IPC_LOCK           Capability = 14
	CAP_IPC_OWNER          Capability = 15
	CAP_SYS_MODULE         Capability = 16
	CAP_SYS_RAWIO          Capability = 17
	CAP_SYS_CHROOT         Capability = 18
	CAP_SYS_PTRACE         Capability = 19
	CAP_SYS_PACCT          Capability = 20
	CAP_SYS_ADMIN          Capability = 21
	CAP_SYS_BOOT           Capability = 22
	CAP_SYS_NICE           Capability = 23
	CAP_SYS_RESOURCE       Capability = 24
	CAP_SYS_TIME           Capability = 25
	CAP_SYS_TTY_CONFIG     Capability = 26
	CAP_MKNOD              Capability = 27
	CAP_LEASE              Capability = 28
	CAP_AUDIT_WRITE        Capability = 29
	CAP_AUDIT_CONTROL      Capability = 30
	CAP_SETFCAP            Capability = 31
	CAP_MAC_OVERRIDE       Capability = 32
	CAP_MAC_ADMIN          Capability = 33
	CAP_SYSLOG             Capability = 34
	CAP_WAKE_ALARM         Capability = 35
	CAP_BLOCK_SUSPEND      Capability = 36
	CAP_AUDIT_READ         Capability = 37
	CAP_PERFMON            Capability = 38
	CAP_BPF                Capability = 39
	CAP_CHECKPOINT_RESTORE Capability = 40
)

// CAP_LAST_CAP is the last capability.
const CAP_LAST_CAP = CAP_CHECKPOINT_RESTORE

var capabilityNames = [CAP_LAST_CAP + 1]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
	"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
	"CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// Valid reports whether c is a capability of this kernel.
func (c Capability) Valid() bool { return c <= CAP_LAST_CAP }

// String returns the name, such as "CAP_CHOWN".
func (c Capability) String() string {
	if c.Valid() {
		return capabilityNames[c]
	}
	return "capability " + strconv.Itoa(int(c))
}

// ParseCapability returns the capability with a name such as "CAP_CHOWN", in
// any case.
func ParseCapability(name string) (Capability, bool) {
	name = strings.ToUpper(name)
	for c, n := range capabilityNames {
		if n == name {
			return Capability(c), true
		}
	}
	return 0, false
}

// Versions of capget(2), and how many CapUserData each takes.
const (
	LINUX_CAPABILITY_VERSION_1 = 0x19980330
	LINUX_CAPABILITY_VERSION_2 = 0x20071026
	LINUX_CAPABILITY_VERSION_3 = 0x20080522
)

// CapUserHeader is struct __user_cap_header_struct.
type CapUserHeader struct {
	Version uint32
	PID     int32
}

// CapUserData is struct __user_cap_data_struct: 32 capabilities of each set.
type CapUserData struct {
	Effective   uint32
	Permitted   uint32
	Inheritable uint32
}

// Flags and sizes of the security.capability attribute.
const (
	VFS_CAP_REVISION_MASK   = 0xff000000
	VFS_CAP_FLAGS_EFFECTIVE = 0x1
	VFS_CAP_REVISION_1      = 0x1000000
	VFS_CAP_REVISION_2      = 0x2000000
	VFS_CAP_REVISION_3      = 0x3000000
	XATTR_CAPS_SZ_1         = 0xc
	XATTR_CAPS_SZ_2         = 0x14
	XATTR_CAPS_SZ_3         = 0x18
)
