package syscalls

import (
	"encoding/binary"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Control data of messages (cmsg(3)): descriptors and credentials.

// maxControl bounds what is copied in: net.core.optmem_max.
const maxControl = 128 << 10

// loadControl reads the control data of a message into m.
//
// Errors: ENOBUFS for too much of it; EINVAL where it is malformed or of an
// unknown type; EBADF; EPERM and ESRCH for credentials that the caller may not
// claim; EFAULT. Files in m are then still the caller's to drop.
func loadControl(t *kernel.Task, h linux.Msghdr, m *socket.Outgoing) error {
	if h.Controllen == 0 {
		return nil
	}
	if h.Controllen > maxControl {
		return errno.ENOBUFS
	}
	b := make([]byte, h.Controllen)
	if _, err := t.CopyIn(b, usermem.Addr(h.Control)); err != nil {
		return err
	}
	return socket.ParseControl(b, func(level, typ int32, data []byte) error {
		if level != linux.SOL_SOCKET {
			return nil
		}
		return loadControlMessage(t, typ, data, m)
	})
}

func loadControlMessage(t *kernel.Task, typ int32, data []byte, m *socket.Outgoing) error {
	switch typ {
	case linux.SCM_RIGHTS:
		return loadRights(t, data, m)
	case linux.SCM_CREDENTIALS:
		return loadCredentials(t, data, m)
	}
	return errno.EINVAL
}

func loadRights(t *kernel.Task, data []byte, m *socket.Outgoing) error {
	n := len(data) / 4
	if len(m.Files)+n > linux.SCM_MAX_FD {
		return errno.EINVAL
	}
	for i := range n {
		fd := linux.FD(binary.LittleEndian.Uint32(data[4*i:]))
		d, err := t.FDs().Get(fd)
		if err != nil {
			return err
		}
		m.Files = append(m.Files, d)
	}
	return nil
}

// loadCredentials checks that the caller may claim to be who the data says; see
// scm_check_creds.
func loadCredentials(t *kernel.Task, data []byte, m *socket.Outgoing) error {
	if len(data) != 12 {
		return errno.EINVAL
	}
	cr := t.Creds()
	pid := int32(binary.LittleEndian.Uint32(data))
	uid, okU := cr.UserNS.KUID(binary.LittleEndian.Uint32(data[4:]))
	gid, okG := cr.UserNS.KGID(binary.LittleEndian.Uint32(data[8:]))
	if !okU || !okG {
		return errno.EINVAL
	}
	mine := pid == t.ThreadGroup().ID(t.PIDNS()) || cr.HasCapIn(linux.CAP_SYS_ADMIN, t.PIDNS().UserNS())
	mine = mine && (uid == cr.UID || uid == cr.EUID || uid == cr.SUID || cr.HasCap(linux.CAP_SETUID))
	mine = mine && (gid == cr.GID || gid == cr.EGID || gid == cr.SGID || cr.HasCap(linux.CAP_SETGID))
	if !mine {
		return errno.EPERM
	}
	g := t.PIDNS().ThreadGroup(pid)
	if g == nil {
		return errno.ESRCH
	}
	m.As = &socket.Identity{Process: g.PID(), UID: uid, GID: gid}
	return nil
}

// storeControl writes what came with a message, as far as there is room, opens
// the descriptors in it, and sets h.Controllen to what was written.
func storeControl(t *kernel.Task, h *linux.Msghdr, m *socket.Incoming) error {
	defer func() { socket.DropFiles(m.Files) }() // those that found no room
	at, room := usermem.Addr(h.Control), h.Controllen
	h.Controllen = 0
	if at == 0 {
		room = 0
	}
	if m.Sender != nil {
		c := ucred(t, *m.Sender)
		n, err := storeControlMessage(t, at, room, linux.SCM_CREDENTIALS, usermem.Bytes(&c))
		if err != nil {
			return err
		}
		if n < linux.CmsghdrSize+12 {
			m.OutFlags |= linux.MSG_CTRUNC
		}
		h.Controllen += n
	}
	if len(m.Files) > 0 {
		n, err := storeRights(t, at+usermem.Addr(h.Controllen), room-h.Controllen, m)
		if err != nil {
			return err
		}
		h.Controllen += n
	}
	return nil
}

// storeControlMessage writes one message, cut to the room, and returns how much
// of the room it takes with what follows it up to the next.
func storeControlMessage(t *kernel.Task, at usermem.Addr, room uint64, typ int32, data []byte) (uint64, error) {
	if room < linux.CmsghdrSize {
		return 0, nil
	}
	n := min(room, uint64(linux.CmsghdrSize+len(data)))
	b := binary.LittleEndian.AppendUint64(nil, n)
	b = binary.LittleEndian.AppendUint32(b, linux.SOL_SOCKET)
	b = binary.LittleEndian.AppendUint32(b, uint32(typ))
	b = append(b, data...)
	if _, err := t.CopyOut(at, b[:n]); err != nil {
		return 0, err
	}
	return min(room, uint64(linux.CmsgAlign(int(n)))), nil
}

// storeRights opens as many of the files as there is room and free descriptors
// for, and writes their numbers. The rest stays in m.Files.
func storeRights(t *kernel.Task, at usermem.Addr, room uint64, m *socket.Incoming) (uint64, error) {
	n := len(m.Files)
	if room < linux.CmsghdrSize {
		n = 0
	} else if fit := (room - linux.CmsghdrSize) / 4; uint64(n) > fit {
		n = int(fit)
	}
	var slots *fdtable.Reserved
	for ; n > 0; n-- {
		var err error
		if slots, err = t.FDs().Reserve(n, 0, t.Limit(linux.RLIMIT_NOFILE).Cur); err == nil {
			break
		}
	}
	if n < len(m.Files) {
		m.OutFlags |= linux.MSG_CTRUNC
	}
	if n == 0 {
		return 0, nil
	}
	defer slots.Cancel()
	fds := make([]linux.FD, n)
	for i := range fds {
		fds[i] = slots.FD(i)
	}
	used, err := storeControlMessage(t, at, room, linux.SCM_RIGHTS, appendFDs(nil, fds))
	if err != nil {
		return 0, err
	}
	var f fdtable.Flags
	if m.Flags&linux.MSG_CMSG_CLOEXEC != 0 {
		f = fdtable.CloseOnExec
	}
	slots.Install(f, m.Files[:n]...)
	m.Files = m.Files[n:]
	return used, nil
}
