package ipc

import (
	"slices"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// queue is a message queue.
type queue struct {
	perm
	messages        []message
	bytes, maxBytes uint64
	stime, rtime    int64
	lspid, lrpid    int32
	wait            waiter.Queue
}

type message struct {
	kind int64
	text []byte
}

// Msgget is msgget(2).
//
// Errors: ENOENT, EEXIST, EACCES, ENOSPC.
func (ns *Namespace) Msgget(by By, key, flags int32) (int32, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return get(&ns.msg, by, key, flags, linux.MSGMNI,
		func(*queue) error { return nil },
		func() (*queue, error) { return &queue{maxBytes: linux.MSGMNB}, nil })
}

// Msgsnd is msgsnd(2); it takes over text.
//
// Errors: EINVAL for a type below 1 or a text that is too long; EACCES; EAGAIN
// for IPC_NOWAIT with a full queue; EIDRM; ERESTARTNOHAND.
func (ns *Namespace) Msgsnd(by By, id int32, kind int64, text []byte, flags int32) error {
	if kind < 1 || len(text) > linux.MSGMAX {
		return errno.EINVAL
	}
	q, err := ns.queueFor(by, id, toWrite)
	if err != nil {
		return err
	}
	return q.await(by, flags, errno.EAGAIN, func() error {
		ns.mu.Lock()
		defer ns.mu.Unlock()
		if q.gone {
			return errno.EIDRM
		}
		// Empty messages are counted as well.
		if q.bytes+uint64(len(text)) > q.maxBytes || uint64(len(q.messages)) >= q.maxBytes {
			return errno.EAGAIN
		}
		q.messages = append(q.messages, message{kind, text})
		q.bytes += uint64(len(text))
		q.stime, q.lspid = now(), by.PID
		q.wait.Notify(waiter.In)
		return nil
	})
}

// Msgrcv is msgrcv(2): which message kind and flags choose, see the manual. A
// text longer than size is E2BIG, or cut with MSG_NOERROR.
//
// Errors: EINVAL, EACCES, ENOMSG, E2BIG, EIDRM, ERESTARTNOHAND.
func (ns *Namespace) Msgrcv(by By, id int32, size uint64, kind int64, flags int32) (int64, []byte, error) {
	if flags&linux.MSG_COPY != 0 && (flags&linux.MSG_EXCEPT != 0 || flags&linux.IPC_NOWAIT == 0) {
		return 0, nil, errno.EINVAL
	}
	q, err := ns.queueFor(by, id, toRead)
	if err != nil {
		return 0, nil, err
	}
	var got message
	err = q.await(by, flags, errno.ENOMSG, func() error {
		ns.mu.Lock()
		defer ns.mu.Unlock()
		if q.gone {
			return errno.EIDRM
		}
		i := q.choose(kind, flags)
		if i < 0 {
			return errno.EAGAIN
		}
		got = q.messages[i]
		if uint64(len(got.text)) > size && flags&linux.MSG_NOERROR == 0 {
			return errno.E2BIG
		}
		if flags&linux.MSG_COPY != 0 {
			return nil
		}
		q.messages = slices.Delete(q.messages, i, i+1)
		q.bytes -= uint64(len(got.text))
		q.rtime, q.lrpid = now(), by.PID
		q.wait.Notify(waiter.In)
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return got.kind, got.text[:min(uint64(len(got.text)), size)], nil
}

// choose is the index of the message to receive, or -1.
func (q *queue) choose(kind int64, flags int32) int {
	switch {
	case flags&linux.MSG_COPY != 0:
		if kind < 0 || kind >= int64(len(q.messages)) {
			return -1
		}
		return int(kind)
	case kind == 0:
		if len(q.messages) == 0 {
			return -1
		}
		return 0
	case kind > 0:
		except := flags&linux.MSG_EXCEPT != 0
		return slices.IndexFunc(q.messages, func(m message) bool { return (m.kind == kind) != except })
	}
	best := -1
	for i, m := range q.messages {
		// -kind overflows for the smallest; then every type will do.
		if (kind == -1<<63 || m.kind <= -kind) && (best < 0 || m.kind < q.messages[best].kind) {
			best = i
		}
	}
	return best
}

// await runs try until it does not return EAGAIN; wouldBlock is what it is for a
// caller that does not wait.
func (q *queue) await(by By, flags int32, wouldBlock errno.Errno, try func() error) error {
	err := try()
	if err != errno.EAGAIN {
		return err
	}
	if flags&linux.IPC_NOWAIT != 0 {
		return wouldBlock
	}
	e := waiter.Entry{Mask: waiter.In, Waker: by.Waker()}
	q.wait.Register(&e)
	defer q.wait.Unregister(&e)
	for {
		if err := try(); err != errno.EAGAIN {
			return err
		}
		if by.Sleep(waiter.Never) != nil {
			return errno.ERESTARTNOHAND
		}
	}
}

func (ns *Namespace) queueFor(by By, id int32, want uint16) (*queue, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	q, err := ns.msg.find(id)
	if err != nil {
		return nil, err
	}
	return q, q.check(by, want)
}

// MsgRemove is IPC_RMID: who waits gets EIDRM.
//
// Errors: EINVAL, EPERM.
func (ns *Namespace) MsgRemove(by By, id int32) error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	q, err := ns.msg.find(id)
	if err != nil {
		return err
	}
	if err := q.owner(by); err != nil {
		return err
	}
	ns.msg.remove(q)
	q.messages = nil
	q.wait.Notify(waiter.In)
	return nil
}

// MsgSet is IPC_SET. Only a privileged caller raises the size above the default.
//
// Errors: EINVAL, EPERM.
func (ns *Namespace) MsgSet(by By, id int32, d linux.MsqidDS) error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	q, err := ns.msg.find(id)
	if err != nil {
		return err
	}
	if err := q.owner(by); err != nil {
		return err
	}
	if d.QBytes > linux.MSGMNB && !by.Creds().HasCap(linux.CAP_SYS_RESOURCE) {
		return errno.EPERM
	}
	if err := q.set(by, d.Perm.UID, d.Perm.GID, uint16(d.Perm.Mode)); err != nil {
		return err
	}
	q.maxBytes = min(d.QBytes, 1<<30)
	q.wait.Notify(waiter.In)
	return nil
}

// MsgStat is IPC_STAT, MSG_STAT and MSG_STAT_ANY.
//
// Errors: EINVAL, EACCES.
func (ns *Namespace) MsgStat(by By, n int32, f Find) (linux.MsqidDS, int32, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	q, result, err := named(&ns.msg, by, n, f)
	if err != nil {
		return linux.MsqidDS{}, 0, err
	}
	return linux.MsqidDS{
		Perm: q.abi(by), STime: q.stime, RTime: q.rtime, CTime: q.ctime, CBytes: q.bytes,
		QNum: uint64(len(q.messages)), QBytes: q.maxBytes, LSPID: q.lspid, LRPID: q.lrpid,
	}, result, nil
}

// MsgInfo is IPC_INFO, or MSG_INFO with what is in use.
func (ns *Namespace) MsgInfo(cmd int32) (linux.Msginfo, int32) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	info := linux.Msginfo{
		Pool: linux.MSGMNI * linux.MSGMNB / 1024, Map: linux.MSGMNB, Max: linux.MSGMAX, Mnb: linux.MSGMNB,
		Mni: linux.MSGMNI, Ssz: 16, Tql: linux.MSGMNB, Seg: 0xffff,
	}
	if cmd == linux.MSG_INFO {
		info.Pool, info.Map, info.Tql = int32(ns.msg.count), 0, 0
		for i, q := range ns.msg.slots {
			if ns.msg.used[i] {
				info.Map += int32(len(q.messages))
				info.Tql += int32(min(q.bytes, 1<<31-1-uint64(info.Tql)))
			}
		}
	}
	return info, int32(ns.msg.highest())
}
