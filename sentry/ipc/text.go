package ipc

import (
	"fmt"

	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
)

// Tables are the lines of /proc/sysvipc, by the name of the file, for a reader
// in user namespace u.
var Tables = map[string]func(ns *Namespace, u *cred.UserNamespace) []byte{
	"msg": (*Namespace).msgTable,
	"sem": (*Namespace).semTable,
	"shm": (*Namespace).shmTable,
}

// each calls f for the objects of a table, by place. The caller holds the lock.
func (t *table[T]) each(f func(T)) {
	for at, used := range t.used {
		if used {
			f(t.slots[at])
		}
	}
}

func (p *perm) owners(u *cred.UserNamespace) string {
	return fmt.Sprintf("%5d %5d %5d %5d", u.UID(p.uid), u.GID(p.gid), u.UID(p.cuid), u.GID(p.cgid))
}

func (ns *Namespace) msgTable(u *cred.UserNamespace) (b []byte) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.msg.each(func(q *queue) {
		b = fmt.Appendf(b, "%10d %10d  %4o  %10d %10d %5d %5d %s %10d %10d %10d\n",
			q.key, q.id, q.mode, q.bytes, len(q.messages), q.lspid, q.lrpid, q.owners(u), q.stime, q.rtime, q.ctime)
	})
	return b
}

func (ns *Namespace) semTable(u *cred.UserNamespace) (b []byte) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.sem.each(func(s *semSet) {
		b = fmt.Appendf(b, "%10d %10d  %4o %10d %s %10d %10d\n", s.key, s.id, s.mode, len(s.sems), s.owners(u), s.otime, s.ctime)
	})
	return b
}

func (ns *Namespace) shmTable(u *cred.UserNamespace) (b []byte) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.shm.each(func(s *Segment) {
		b = fmt.Appendf(b, "%10d %10d  %4o %21d %5d %5d  %5d %s %10d %10d %10d %21d %21d\n",
			s.key, s.id, s.mode, s.size, s.creatorPID, s.lastPID, max(s.attached.Load(), 0), s.owners(u),
			s.atime, s.dtime, s.ctime, 0, 0)
	})
	return b
}
