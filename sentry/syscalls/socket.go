package syscalls

import (
	"encoding/binary"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket/inet"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket/unix"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Sockets: making, naming and connecting them, and their options. Messages are
// in message.go.
var socketCalls = []Call{
	call3(sysno.Socket, socketCall, except("SOCK_RAW", "IPPROTO_ICMP", "AF_NETLINK", "AF_PACKET")),
	call4(sysno.Socketpair, socketpair, full),
	call3(sysno.Bind, bind, full),
	call2(sysno.Listen, listen, full),
	call3(sysno.Accept, accept, full),
	call4(sysno.Accept4, accept4, full),
	call3(sysno.Connect, connect, full),
	call2(sysno.Shutdown, shutdown, full),
	call3(sysno.Getsockname, getsockname, full),
	call3(sysno.Getpeername, getpeername, full),
	call5(sysno.Getsockopt, getsockopt, except("SO_PEERPIDFD", "SO_PEERSEC", "SO_PEEK_OFF")),
	call5(sysno.Setsockopt, setsockopt, except("SO_PASSPIDFD", "SO_PEEK_OFF", "SO_ATTACH_FILTER")),
	call6(sysno.Sendto, sendto, except("MSG_OOB")),
	call6(sysno.Recvfrom, recvfrom, except("MSG_OOB", "MSG_ERRQUEUE")),
	call3(sysno.Sendmsg, sendmsg, except("MSG_OOB")),
	call3(sysno.Recvmsg, recvmsg, except("MSG_OOB", "MSG_ERRQUEUE")),
	call4(sysno.Sendmmsg, sendmmsg, except("MSG_OOB")),
	call5(sysno.Recvmmsg, recvmmsg, except("MSG_OOB", "MSG_ERRQUEUE")),
}

// socketFamilies are the domains that there are.
var socketFamilies = append([]socket.Family{unix.Family{}}, inet.Families...)

// family finds a domain: EAFNOSUPPORT.
func family(domain int32) (socket.Family, error) {
	for _, f := range socketFamilies {
		if f.Domain() == int(domain) {
			return f, nil
		}
	}
	return nil, errno.EAFNOSUPPORT
}

// socketKind takes the flags off a type. EINVAL for unknown ones.
func socketKind(typ, protocol int32) (socket.Kind, linux.OpenFlags, error) {
	flags := linux.OpenFlags(typ &^ linux.SOCK_TYPE_MASK)
	if flags&^(linux.SOCK_CLOEXEC|linux.SOCK_NONBLOCK) != 0 {
		return socket.Kind{}, 0, errno.EINVAL
	}
	return socket.Kind{Type: int(typ & linux.SOCK_TYPE_MASK), Protocol: int(protocol)}, flags, nil
}

// socketCall is socket(2).
//
// Errors: EINVAL for flags; EAFNOSUPPORT; EPROTONOSUPPORT; ESOCKTNOSUPPORT;
// EMFILE.
func socketCall(t *kernel.Task, domain, typ, protocol int32) (uint64, error) {
	kind, flags, err := socketKind(typ, protocol)
	if err != nil {
		return 0, err
	}
	f, err := family(domain)
	if err != nil {
		return 0, err
	}
	s, err := f.New(t, t.Namespaces().Net, kind)
	if err != nil {
		return 0, err
	}
	d := socket.NewDescription(t.World(), s, flags&linux.O_NONBLOCK, t.Creds())
	return installFD(t, d, fdtable.FlagsOf(flags))
}

// socketpair makes two connected sockets and stores their descriptors. Its
// errors are those of socket(2), EOPNOTSUPP and EFAULT.
func socketpair(t *kernel.Task, domain, typ, protocol int32, fds usermem.Ptr[[2]linux.FD]) (uint64, error) {
	kind, flags, err := socketKind(typ, protocol)
	if err != nil {
		return 0, err
	}
	f, err := family(domain)
	if err != nil {
		return 0, err
	}
	slots, err := t.FDs().Reserve(2, 0, t.Limit(linux.RLIMIT_NOFILE).Cur)
	if err != nil {
		return 0, err
	}
	defer slots.Cancel()
	if err := fds.Store(t, slots.Pair()); err != nil {
		return 0, err
	}
	a, b, err := f.NewPair(t, t.Namespaces().Net, kind)
	if err != nil {
		return 0, err
	}
	status := flags & linux.O_NONBLOCK
	slots.Install(fdtable.FlagsOf(flags),
		socket.NewDescription(t.World(), a, status, t.Creds()),
		socket.NewDescription(t.World(), b, status, t.Creds()))
	return 0, nil
}

// socketOf finds an open socket: EBADF, ENOTSOCK. The caller gives the
// reference back.
func socketOf(t *kernel.Task, fd linux.FD) (*vfs.Description, socket.Socket, error) {
	return fileOf[socket.Socket](t, fd, errno.ENOTSOCK)
}

// loadAddr reads an address of n bytes: EINVAL, EFAULT.
func loadAddr(t *kernel.Task, p usermem.Addr, n int32) (socket.Addr, error) {
	if n < 0 || n > linux.SockaddrStorageSize {
		return nil, errno.EINVAL
	}
	if n == 0 {
		return socket.Addr{}, nil
	}
	a := make(socket.Addr, n)
	_, err := t.CopyIn(a, p)
	return a, err
}

// storeAddr writes as much of an address as there is room for, and its true
// length. EINVAL for a negative length; EFAULT.
func storeAddr(t *kernel.Task, a socket.Addr, p usermem.Addr, length usermem.Ptr[int32]) error {
	room, err := length.Load(t)
	if err != nil {
		return err
	}
	if room < 0 {
		return errno.EINVAL
	}
	if n := min(int(room), len(a)); n > 0 {
		if _, err := t.CopyOut(p, a[:n]); err != nil {
			return err
		}
	}
	return length.Store(t, int32(len(a)))
}

func bind(t *kernel.Task, fd linux.FD, p usermem.Addr, n int32) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	a, err := loadAddr(t, p, n)
	if err != nil {
		return 0, err
	}
	return 0, s.Bind(t, a)
}

func listen(t *kernel.Task, fd linux.FD, backlog int32) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return 0, s.Listen(t, int(backlog))
}

func accept(t *kernel.Task, fd linux.FD, p usermem.Addr, length usermem.Ptr[int32]) (uint64, error) {
	return accept4(t, fd, p, length, 0)
}

// accept4 waits for a connection and opens it.
//
// Errors: EINVAL for flags; EBADF; ENOTSOCK; those of the family; EMFILE;
// EFAULT, and then the connection is lost, as on Linux.
func accept4(t *kernel.Task, fd linux.FD, p usermem.Addr, length usermem.Ptr[int32], flags linux.OpenFlags) (uint64, error) {
	if flags&^(linux.SOCK_CLOEXEC|linux.SOCK_NONBLOCK) != 0 {
		return 0, errno.EINVAL
	}
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	slot, err := t.FDs().Reserve(1, 0, t.Limit(linux.RLIMIT_NOFILE).Cur)
	if err != nil {
		return 0, err
	}
	defer slot.Cancel()
	var conn socket.Socket
	err = waitFor(t, d, s, waiter.Readable, 0, func() (err error) {
		conn, err = s.Accept(t)
		return err
	})
	if err != nil {
		return 0, err
	}
	cd := socket.NewDescription(t.World(), conn, flags&linux.O_NONBLOCK, t.Creds())
	if p != 0 {
		a, err := conn.PeerName()
		if err != nil {
			a = socket.Addr{byte(s.Base().Domain), 0} // closed already
		}
		if err := storeAddr(t, a, p, length); err != nil {
			cd.DecRef()
			return 0, err
		}
	}
	slot.Install(fdtable.FlagsOf(flags), cd)
	return uint64(slot.FD(0)), nil
}

// waitFor calls try until it does not return EAGAIN, unless the socket or the
// call is not to block. A time limit of the socket ends it with EAGAIN.
func waitFor(t *kernel.Task, d *vfs.Description, s socket.Socket, want waiter.Events, flags int, try func() error) error {
	if flags&linux.MSG_DONTWAIT != 0 || d.Flags().NonBlock() {
		return try()
	}
	deadline := s.Base().RecvDeadline()
	if want&waiter.Out != 0 {
		deadline = s.Base().SendDeadline()
	}
	err := waiter.Until(t, s, want, deadline, try)
	switch {
	case deadline.IsNever():
		return err
	case err == errno.ETIMEDOUT:
		return errno.EAGAIN
	case err == errno.ERESTARTSYS:
		return errno.EINTR // it would begin to wait anew
	}
	return err
}

func connect(t *kernel.Task, fd linux.FD, p usermem.Addr, n int32) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	a, err := loadAddr(t, p, n)
	if err != nil {
		return 0, err
	}
	if d.Flags().NonBlock() {
		return 0, s.Connect(t, a)
	}
	begun := false
	err = waitFor(t, d, s, waiter.Writable, 0, func() error {
		err := s.Connect(t, a)
		if err == errno.EINPROGRESS || err == errno.EALREADY {
			begun = true
			return errno.EAGAIN
		}
		return err
	})
	if err == errno.EAGAIN && begun {
		return 0, errno.EINPROGRESS // SO_SNDTIMEO is over; it goes on
	}
	return 0, err
}

func shutdown(t *kernel.Task, fd linux.FD, how int32) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	return 0, s.Shutdown(t, int(how))
}

func getsockname(t *kernel.Task, fd linux.FD, p usermem.Addr, length usermem.Ptr[int32]) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	a, err := s.Name()
	if err != nil {
		return 0, err
	}
	return 0, storeAddr(t, a, p, length)
}

func getpeername(t *kernel.Task, fd linux.FD, p usermem.Addr, length usermem.Ptr[int32]) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	a, err := s.PeerName()
	if err != nil {
		return 0, err
	}
	return 0, storeAddr(t, a, p, length)
}

// getsockopt stores an option's value, cut to the room there is, and its length.
//
// Errors: EBADF; ENOTSOCK; EINVAL for a negative length; ENOPROTOOPT;
// EOPNOTSUPP; EFAULT.
func getsockopt(t *kernel.Task, fd linux.FD, level, name int32, p usermem.Addr, length usermem.Ptr[int32]) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	v, err := optionValue(t, s, int(level), int(name))
	if err != nil {
		return 0, err
	}
	room, err := length.Load(t)
	if err != nil {
		return 0, err
	}
	if room < 0 {
		return 0, errno.EINVAL
	}
	v = v[:min(len(v), int(room))]
	if _, err := t.CopyOut(p, v); err != nil {
		return 0, err
	}
	return 0, length.Store(t, int32(len(v)))
}

// peered is a socket that knows who is at the other end.
type peered interface{ PeerIdentity() socket.Identity }

func optionValue(t *kernel.Task, s socket.Socket, level, name int) ([]byte, error) {
	if v, ok, err := s.GetOption(t, level, name); ok {
		return v, err
	}
	if level != linux.SOL_SOCKET {
		return nil, errno.ENOPROTOOPT
	}
	switch name {
	case linux.SO_PEERCRED:
		c := linux.Ucred{UID: ^uint32(0), GID: ^uint32(0)}
		if p, ok := s.(peered); ok {
			c = ucred(t, p.PeerIdentity())
		}
		return usermem.Bytes(&c), nil
	case linux.SO_PEERNAME:
		return s.PeerName()
	}
	return s.Base().Get(name)
}

// ucred is an identity as the task's namespaces see it.
func ucred(t *kernel.Task, id socket.Identity) linux.Ucred {
	if id.Process == nil {
		return linux.Ucred{UID: ^uint32(0), GID: ^uint32(0)}
	}
	ns := t.Creds().UserNS
	c := linux.Ucred{UID: ns.UID(id.UID), GID: ns.GID(id.GID)}
	if pid, ok := id.Process.(*kernel.PID); ok {
		c.PID = pid.In(t.PIDNS())
	}
	return c
}

// maxOption bounds what setsockopt copies in.
const maxOption = 64 << 10

// setsockopt sets an option.
//
// Errors: EBADF; ENOTSOCK; EINVAL for a length that does not suit; ENOPROTOOPT;
// EOPNOTSUPP; EDOM; EPERM; EFAULT.
func setsockopt(t *kernel.Task, fd linux.FD, level, name int32, p usermem.Addr, n int32) (uint64, error) {
	d, s, err := socketOf(t, fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if n < 0 || n > maxOption {
		return 0, errno.EINVAL
	}
	v := make([]byte, n)
	if _, err := t.CopyIn(v, p); err != nil {
		return 0, err
	}
	if ok, err := s.SetOption(t, int(level), int(name), v); ok {
		return 0, err
	}
	if level != linux.SOL_SOCKET {
		return 0, errno.ENOPROTOOPT
	}
	admin := socket.Privilege(t.Creds().HasCap(linux.CAP_NET_ADMIN))
	return 0, s.Base().Set(int(name), v, admin)
}

// appendFDs is a list of descriptors as control data.
func appendFDs(b []byte, fds []linux.FD) []byte {
	for _, fd := range fds {
		b = binary.LittleEndian.AppendUint32(b, uint32(fd))
	}
	return b
}
