package linux

// Address families.
const (
	AF_UNSPEC  = 0
	AF_UNIX    = 1
	AF_INET    = 2
	AF_INET6   = 10
	AF_NETLINK = 16
	AF_PACKET  = 17
	AF_ALG     = 38
	AF_VSOCK   = 40
	AF_MAX     = 46
)

// Socket types, and the flags that socket(2) takes with them.
const (
	SOCK_STREAM    = 1
	SOCK_DGRAM     = 2
	SOCK_RAW       = 3
	SOCK_RDM       = 4
	SOCK_SEQPACKET = 5
	SOCK_DCCP      = 6
	SOCK_PACKET    = 10
)
const (
	SOCK_TYPE_MASK = 0o17
	SOCK_CLOEXEC   = 0o2000000
	SOCK_NONBLOCK  = 0o4000
)

// Flags of send(2) and recv(2).
const (
	MSG_OOB          = 0x1
	MSG_PEEK         = 0x2
	MSG_DONTROUTE    = 0x4
	MSG_CTRUNC       = 0x8
	MSG_PROBE        = 0x10
	MSG_TRUNC        = 0x20
	MSG_DONTWAIT     = 0x40
	MSG_EOR          = 0x80
	MSG_WAITALL      = 0x100
	MSG_FIN          = 0x200
	MSG_SYN          = 0x400
	MSG_CONFIRM      = 0x800
	MSG_RST          = 0x1000
	MSG_ERRQUEUE     = 0x2000
	MSG_NOSIGNAL     = 0x4000
	MSG_MORE         = 0x8000
	MSG_WAITFORONE   = 0x10000
	MSG_ZEROCOPY     = 0x4000000
	MSG_FASTOPEN     = 0x20000000
	MSG_CMSG_CLOEXEC = 0x40000000
)

// Ways of shutdown(2).
const (
	SHUT_RD   = 0
	SHUT_WR   = 1
	SHUT_RDWR = 2
)

// SOMAXCONN is the longest backlog by default.
const SOMAXCONN = 4096

// Levels of socket options.
const (
	SOL_IP      = 0
	SOL_SOCKET  = 1
	SOL_TCP     = 6
	SOL_UDP     = 17
	SOL_IPV6    = 41
	SOL_ICMPV6  = 58
	SOL_RAW     = 255
	SOL_PACKET  = 263
	SOL_NETLINK = 270
)

// Options of SOL_SOCKET.
const (
	SO_DEBUG           = 1
	SO_REUSEADDR       = 2
	SO_TYPE            = 3
	SO_ERROR           = 4
	SO_DONTROUTE       = 5
	SO_BROADCAST       = 6
	SO_SNDBUF          = 7
	SO_RCVBUF          = 8
	SO_KEEPALIVE       = 9
	SO_OOBINLINE       = 10
	SO_NO_CHECK        = 11
	SO_PRIORITY        = 12
	SO_LINGER          = 13
	SO_BSDCOMPAT       = 14
	SO_REUSEPORT       = 15
	SO_PASSCRED        = 16
	SO_PEERCRED        = 17
	SO_RCVLOWAT        = 18
	SO_SNDLOWAT        = 19
	SO_RCVTIMEO        = 20
	SO_SNDTIMEO        = 21
	SO_BINDTODEVICE    = 25
	SO_ATTACH_FILTER   = 26
	SO_DETACH_FILTER   = 27
	SO_PEERNAME        = 28
	SO_TIMESTAMP       = 29
	SO_ACCEPTCONN      = 30
	SO_PEERSEC         = 31
	SO_SNDBUFFORCE     = 32
	SO_RCVBUFFORCE     = 33
	SO_PASSSEC         = 34
	SO_TIMESTAMPNS     = 35
	SO_MARK            = 36
	SO_TIMESTAMPING    = 37
	SO_PROTOCOL        = 38
	SO_DOMAIN          = 39
	SO_RXQ_OVFL        = 40
	SO_PEEK_OFF        = 42
	SO_NOFCS           = 43
	SO_LOCK_FILTER     = 44
	SO_BUSY_POLL       = 46
	SO_MAX_PACING_RATE = 47
	SO_INCOMING_CPU    = 49
	SO_COOKIE          = 57
	SO_PEERGROUPS      = 59
	SO_ZEROCOPY        = 60
	SO_PEERPIDFD       = 77
	SO_PASSPIDFD       = 76
)

// Types of control messages of SOL_SOCKET.
const (
	SCM_RIGHTS      = 1
	SCM_CREDENTIALS = 2
	SCM_SECURITY    = 3
	SCM_PIDFD       = 4
	SCM_TIMESTAMP   = 29
)

// SCM_MAX_FD is how many descriptors one message may carry.
const SCM_MAX_FD = 253

// UIO_MAXIOV is how many parts readv(2) and sendmmsg(2) take.
const UIO_MAXIOV = 1024

// Msghdr is struct msghdr, amd64.
type Msghdr struct {
	Name       uint64
	Namelen    uint32
	_          [4]byte
	Iov        uint64
	Iovlen     uint64
	Control    uint64
	Controllen uint64
	Flags      int32
	_          [4]byte
}

// Mmsghdr is struct mmsghdr.
type Mmsghdr struct {
	Hdr Msghdr
	Len uint32
	_   [4]byte
}

// Cmsghdr is struct cmsghdr. Data follows, and the next one begins at a
// multiple of 8.
type Cmsghdr struct {
	Len   uint64
	Level int32
	Type  int32
}

// CmsghdrSize is the size of a Cmsghdr.
const CmsghdrSize = 16

// CmsgAlign rounds n up to where the next control message may begin.
func CmsgAlign(n int) int { return (n + 7) &^ 7 }

// UnixPathMax is the size of sun_path.
const UnixPathMax = 108

// SockaddrUn is struct sockaddr_un.
type SockaddrUn struct {
	Family uint16
	Path   [UnixPathMax]byte
}

// SockaddrIn is struct sockaddr_in; the port is in network order.
type SockaddrIn struct {
	Family uint16
	Port   [2]byte
	Addr   [4]byte
	_      [8]byte
}

// SockaddrIn6 is struct sockaddr_in6; the port is in network order.
type SockaddrIn6 struct {
	Family   uint16
	Port     [2]byte
	Flowinfo [4]byte
	Addr     [16]byte
	ScopeID  uint32
}

// SockaddrNl is struct sockaddr_nl.
type SockaddrNl struct {
	Family uint16
	_      [2]byte
	PortID uint32
	Groups uint32
}

// SockaddrStorageSize is the size of struct sockaddr_storage, the longest
// address.
const SockaddrStorageSize = 128

// Ucred is struct ucred.
type Ucred struct {
	PID int32
	UID uint32
	GID uint32
}

// Linger is struct linger.
type Linger struct {
	OnOff  int32
	Linger int32
}

// Requests of ioctl(2) on sockets.
const (
	SIOCGIFNAME    = 0x8910
	SIOCGIFCONF    = 0x8912
	SIOCGIFFLAGS   = 0x8913
	SIOCGIFADDR    = 0x8915
	SIOCGIFDSTADDR = 0x8917
	SIOCGIFBRDADDR = 0x8919
	SIOCGIFNETMASK = 0x891b
	SIOCGIFMETRIC  = 0x891d
	SIOCGIFMTU     = 0x8921
	SIOCGIFHWADDR  = 0x8927
	SIOCGIFINDEX   = 0x8933
	SIOCGIFTXQLEN  = 0x8942
	SIOCETHTOOL    = 0x8946
	SIOCGSTAMP     = 0x8906
	SIOCINQ        = 0x541b
	SIOCOUTQ       = 0x5411
	SIOCATMARK     = 0x8905
	SIOCSPGRP      = 0x8902
	SIOCGPGRP      = 0x8904
	FIOSETOWN      = 0x8901
	FIOGETOWN      = 0x8903
	SIOCUNIXFILE   = 0x89e0
)

// IP protocols.
const (
	IPPROTO_IP     = 0
	IPPROTO_ICMP   = 1
	IPPROTO_TCP    = 6
	IPPROTO_UDP    = 17
	IPPROTO_IPV6   = 41
	IPPROTO_ICMPV6 = 58
	IPPROTO_RAW    = 255
)

// Options of SOL_TCP.
const (
	TCP_NODELAY      = 1
	TCP_MAXSEG       = 2
	TCP_CORK         = 3
	TCP_KEEPIDLE     = 4
	TCP_KEEPINTVL    = 5
	TCP_KEEPCNT      = 6
	TCP_SYNCNT       = 7
	TCP_LINGER2      = 8
	TCP_DEFER_ACCEPT = 9
	TCP_WINDOW_CLAMP = 10
	TCP_INFO         = 11
	TCP_QUICKACK     = 12
	TCP_CONGESTION   = 13
	TCP_USER_TIMEOUT = 18
	TCP_FASTOPEN     = 23
)

// Netlink protocols.
const (
	NETLINK_ROUTE          = 0
	NETLINK_SOCK_DIAG      = 4
	NETLINK_AUDIT          = 9
	NETLINK_KOBJECT_UEVENT = 15
	NETLINK_GENERIC        = 16
)

// Flags of a network interface.
const (
	IFF_UP          = 0x1
	IFF_BROADCAST   = 0x2
	IFF_LOOPBACK    = 0x8
	IFF_POINTOPOINT = 0x10
	IFF_RUNNING     = 0x40
	IFF_NOARP       = 0x80
	IFF_PROMISC     = 0x100
	IFF_MULTICAST   = 0x1000
	IFF_LOWER_UP    = 0x10000
)

// IFNAMSIZ is the size of an interface's name with its NUL.
const IFNAMSIZ = 16

// Ifreq is struct ifreq.
type Ifreq struct {
	Name [IFNAMSIZ]byte
	Data [24]byte
}

// Ifconf is struct ifconf.
type Ifconf struct {
	Len int32
	_   [4]byte
	Buf uint64
}

// Options of SOL_IP.
const (
	IP_TOS                  = 1
	IP_TTL                  = 2
	IP_MTU_DISCOVER         = 10
	IP_RECVERR              = 11
	IP_BIND_ADDRESS_NO_PORT = 24
)

// Options of SOL_IPV6.
const (
	IPV6_UNICAST_HOPS = 16
	IPV6_MTU_DISCOVER = 23
	IPV6_RECVERR      = 25
	IPV6_V6ONLY       = 26
	IPV6_TCLASS       = 67
)
