package kernel

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// Session is a set of process groups that share a controlling terminal. Guarded
// by the task set's lock.
type Session struct {
	pid    *PID
	leader *ThreadGroup // nil once it has exited
	tty    *ControllingTTY
	groups map[*ProcessGroup]struct{}
}

// ProcessGroup is a job. Guarded by the task set's lock.
type ProcessGroup struct {
	pid     *PID
	session *Session
	members map[*ThreadGroup]struct{}
}

// ControllingTTY is what a terminal's implementation embeds: its relation to a
// session. Guarded by the task set's lock.
type ControllingTTY struct {
	session    *Session
	foreground *ProcessGroup
	self       any // the terminal, for whoever asks a session for it
}

// SetSelf notes the terminal that embeds the ControllingTTY.
func (c *ControllingTTY) SetSelf(tty any) { c.self = tty }

func (g *ThreadGroup) newSessionLocked() {
	s := &Session{pid: g.pid, leader: g, groups: map[*ProcessGroup]struct{}{}}
	g.pid.session = s
	g.joinLocked(&ProcessGroup{pid: g.pid, session: s, members: map[*ThreadGroup]struct{}{}})
}

// joinLocked makes g a member of p and leaves its old group.
func (g *ThreadGroup) joinLocked(p *ProcessGroup) {
	g.leavePgrpLocked()
	if len(p.members) == 0 {
		p.pid.pgrp = p
		p.session.groups[p] = struct{}{}
	}
	p.members[g] = struct{}{}
	g.pgrp = p
	g.k.answersChanged(g)
}

func (g *ThreadGroup) leavePgrpLocked() {
	p := g.pgrp
	if p == nil {
		return
	}
	delete(p.members, g)
	g.pgrp = nil
	if len(p.members) > 0 {
		return
	}
	p.pid.pgrp = nil
	s := p.session
	delete(s.groups, p)
	if s.tty != nil && s.tty.foreground == p {
		s.tty.foreground = nil
	}
	if len(s.groups) == 0 {
		s.dropTTYLocked()
		s.pid.session = nil
		if s.pid != p.pid {
			s.pid.putLocked()
		}
	}
	p.pid.putLocked()
}

func (s *Session) dropTTYLocked() {
	if s.tty != nil {
		s.tty.session, s.tty.foreground = nil, nil
		s.tty = nil
	}
}

// orphanedLocked says whether no member has a parent in another group of the
// same session, who could let stopped jobs go on.
func (p *ProcessGroup) orphanedLocked() bool {
	for g := range p.members {
		if g.zombie || g.parent == nil {
			continue
		}
		if q := g.parent.pgrp; q != nil && q != p && q.session == p.session {
			return false
		}
	}
	return true
}

// Setsid makes the process the leader of a new session. EPERM if it leads a
// process group.
func (g *ThreadGroup) Setsid() error {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	if g.pid.pgrp != nil {
		return errno.EPERM
	}
	g.newSessionLocked()
	return nil
}

// Setpgid moves process pid (0: the caller) into group pgid (0: its own), as
// setpgid(2). Errors: ESRCH, EACCES after the child's execve, EPERM, EINVAL.
func (g *ThreadGroup) Setpgid(pid, pgid int32) error {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	target := g
	if pid != 0 {
		if target = g.pidNS.groupLocked(pid); target == nil {
			return errno.ESRCH
		}
	}
	if target != g {
		switch {
		case target.parent != g || target.pgrp == nil:
			return errno.ESRCH
		case target.pgrp.session != g.pgrp.session:
			return errno.EPERM
		case target.execed:
			return errno.EACCES
		}
	}
	if target.pgrp.session.leader == target {
		return errno.EPERM
	}
	if pgid == 0 || pgid == target.pid.In(g.pidNS) {
		if target.pgrp.pid != target.pid {
			target.joinLocked(&ProcessGroup{pid: target.pid, session: target.pgrp.session, members: map[*ThreadGroup]struct{}{}})
		}
		return nil
	}
	p := g.pidNS.pgrpLocked(pgid)
	if p == nil || p.session != g.pgrp.session {
		return errno.EPERM
	}
	target.joinLocked(p)
	return nil
}

// Pgid and Sid return the ids of the group and session as ns sees them.
func (g *ThreadGroup) Pgid(ns *PIDNamespace) int32 {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	if g.pgrp == nil {
		return 0
	}
	return g.pgrp.pid.In(ns)
}

// Sid is the session id.
func (g *ThreadGroup) Sid(ns *PIDNamespace) int32 {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	if g.pgrp == nil {
		return 0
	}
	return g.pgrp.session.pid.In(ns)
}

// ProcessGroup is the group that the process is in, nil once it is reaped.
func (g *ThreadGroup) ProcessGroup() *ProcessGroup {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	return g.pgrp
}

// ID is the group's id as ns sees it.
func (p *ProcessGroup) ID(ns *PIDNamespace) int32 { return p.pid.In(ns) }

// Members lists the processes of the group.
func (k *Kernel) Members(p *ProcessGroup) []*ThreadGroup {
	k.tasks.mu.RLock()
	defer k.tasks.mu.RUnlock()
	all := make([]*ThreadGroup, 0, len(p.members))
	for g := range p.members {
		all = append(all, g)
	}
	return all
}

// SignalPgrp sends a signal to every member.
func (k *Kernel) SignalPgrp(p *ProcessGroup, info linux.SigInfo) {
	if p == nil {
		return
	}
	for _, g := range k.Members(p) {
		_ = g.SendSignal(info, Outside)
	}
}

// TTY is the controlling terminal (what SetSelf noted), or nil.
func (g *ThreadGroup) TTY() any {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	if g.pgrp == nil || g.pgrp.session.tty == nil {
		return nil
	}
	return g.pgrp.session.tty.self
}

// SetControllingTTY makes c the controlling terminal of the process's session:
// TIOCSCTTY. The process must lead a session without terminal; steal takes c
// from another session (CAP_SYS_ADMIN). Errors: EPERM.
func (g *ThreadGroup) SetControllingTTY(c *ControllingTTY, steal Steal) error {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	s := g.pgrp.session
	if s.leader == g && s.tty == c {
		return nil
	}
	if s.leader != g || s.tty != nil {
		return errno.EPERM
	}
	if c.session != nil {
		if steal != MaySteal {
			return errno.EPERM
		}
		c.session.dropTTYLocked()
	}
	s.tty, c.session, c.foreground = c, s, g.pgrp
	return nil
}

// Steal says whether a terminal may be taken from its session.
type Steal bool

// The two.
const (
	MustBeFree Steal = false
	MaySteal   Steal = true
)

// DetachTTY is TIOCNOTTY: a session leader gives the terminal up for the whole
// session, whose foreground group gets SIGHUP and SIGCONT. ENOTTY if c is not
// the process's terminal.
func (g *ThreadGroup) DetachTTY(c *ControllingTTY) error {
	g.k.tasks.mu.Lock()
	s := g.pgrp.session
	if s.tty != c {
		g.k.tasks.mu.Unlock()
		return errno.ENOTTY
	}
	if s.leader != g {
		g.k.tasks.mu.Unlock()
		return nil
	}
	fg := c.foreground
	s.dropTTYLocked()
	g.k.tasks.mu.Unlock()
	g.k.hangupGroup(fg)
	return nil
}

// HangUp ends the relation of c to its session because the terminal is gone:
// the leader gets SIGHUP and SIGCONT, and so does the foreground group.
func (k *Kernel) HangUp(c *ControllingTTY) {
	k.tasks.mu.Lock()
	s, fg := c.session, c.foreground
	var leader *ThreadGroup
	if s != nil {
		leader = s.leader
		s.dropTTYLocked()
	}
	k.tasks.mu.Unlock()
	if leader != nil {
		_ = leader.SendSignal(KernelSignal(linux.SIGHUP), Outside)
		_ = leader.SendSignal(KernelSignal(linux.SIGCONT), Outside)
	}
	k.hangupGroup(fg)
}

func (k *Kernel) hangupGroup(p *ProcessGroup) {
	k.SignalPgrp(p, KernelSignal(linux.SIGHUP))
	k.SignalPgrp(p, KernelSignal(linux.SIGCONT))
}

// SignalForeground sends a signal of the terminal to its foreground group.
func (k *Kernel) SignalForeground(c *ControllingTTY, s linux.Signal) {
	k.tasks.mu.RLock()
	fg := c.foreground
	k.tasks.mu.RUnlock()
	k.SignalPgrp(fg, KernelSignal(s))
}

// Foreground is TIOCGPGRP: ENOTTY if c is not the caller's terminal.
func (g *ThreadGroup) Foreground(c *ControllingTTY, ns *PIDNamespace) (int32, error) {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	if c.session == nil || g.pgrp.session != c.session {
		return 0, errno.ENOTTY
	}
	if c.foreground == nil {
		return 0, nil
	}
	return c.foreground.pid.In(ns), nil
}

// ForegroundID is the foreground group of c as ns sees it, -1 without one, for
// /proc/PID/stat.
func (g *ThreadGroup) ForegroundID(ns *PIDNamespace) int32 {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	if g.pgrp == nil || g.pgrp.session.tty == nil || g.pgrp.session.tty.foreground == nil {
		return -1
	}
	return g.pgrp.session.tty.foreground.pid.In(ns)
}

// SessionOf is TIOCGSID: ENOTTY if c is not the caller's terminal.
func (g *ThreadGroup) SessionOf(c *ControllingTTY, ns *PIDNamespace) (int32, error) {
	g.k.tasks.mu.RLock()
	defer g.k.tasks.mu.RUnlock()
	if c.session == nil || g.pgrp.session != c.session {
		return 0, errno.ENOTTY
	}
	return c.session.pid.In(ns), nil
}

// TTYOwners are the foreground group (0 without one) and the session of a
// terminal, for whoever holds its far end; ok is false without a session.
func (k *Kernel) TTYOwners(c *ControllingTTY, ns *PIDNamespace) (pgid, sid int32, ok bool) {
	k.tasks.mu.RLock()
	defer k.tasks.mu.RUnlock()
	if c.session == nil {
		return 0, 0, false
	}
	if c.foreground != nil {
		pgid = c.foreground.pid.In(ns)
	}
	return pgid, c.session.pid.In(ns), true
}

// SetForeground is TIOCSPGRP. Errors: ENOTTY, ESRCH, EPERM. The caller has done
// the job control check (TTYAccess with SIGTTOU).
func (g *ThreadGroup) SetForeground(c *ControllingTTY, pgid int32) error {
	g.k.tasks.mu.Lock()
	defer g.k.tasks.mu.Unlock()
	if c.session == nil || g.pgrp.session != c.session {
		return errno.ENOTTY
	}
	if pgid < 0 {
		return errno.EINVAL
	}
	p := g.pidNS.pgrpLocked(pgid)
	if p == nil {
		return errno.ESRCH
	}
	if p.session != c.session {
		return errno.EPERM
	}
	c.foreground = p
	return nil
}

// TTYAccess is the job control check before a background process reads from its
// terminal (SIGTTIN) or changes it (SIGTTOU). nil: go on. ERESTARTSYS: the
// group was sent the signal. EIO: nobody would let it go on.
func (t *Task) TTYAccess(c *ControllingTTY, s linux.Signal) error {
	g := t.group
	g.k.tasks.mu.RLock()
	p := g.pgrp
	background := p != nil && c.session == p.session && c.foreground != nil && c.foreground != p
	orphan := background && p.orphanedLocked()
	g.k.tasks.mu.RUnlock()
	if !background {
		return nil
	}
	h := g.handlers()
	h.mu.Lock()
	ignored := t.sig.blocked.Has(s) || h.actions[s].Handler == linux.SIG_IGN
	h.mu.Unlock()
	switch {
	case ignored && s == linux.SIGTTIN:
		return errno.EIO
	case ignored:
		return nil
	case orphan:
		return errno.EIO
	}
	g.k.SignalPgrp(p, KernelSignal(s))
	return errno.ERESTARTSYS
}
