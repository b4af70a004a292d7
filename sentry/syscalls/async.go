package syscalls

import (
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// setStatusFlags is fcntl(F_SETFL): with O_ASYNC the owner of the file gets a
// signal for each event from now on (fcntl(2), "Managing signals").
func setStatusFlags(t *kernel.Task, d *vfs.Description, fd linux.FD, flags linux.OpenFlags) error {
	was := d.Flags()
	if err := d.SetStatusFlags(t, flags); err != nil {
		return err
	}
	switch {
	case (was^flags)&linux.O_ASYNC == 0:
	case flags&linux.O_ASYNC == 0:
		d.SetAsync(nil)
	default:
		a := &asyncOwner{d: d, fd: fd, ns: t.PIDNS(), creds: t.Creds()}
		d.SetAsync(&waiter.Entry{Mask: waiter.All, Waker: a})
	}
	return nil
}

// asyncOwner sends signals for a file with O_ASYNC.
type asyncOwner struct {
	d     *vfs.Description
	fd    linux.FD // what the file was called when O_ASYNC was set
	ns    *kernel.PIDNamespace
	creds *cred.Creds

	events atomic.Uint32 // not told yet; who sets the first tells
}

// Wake implements waiter.Waker. Signals take locks of the kernel, which may be
// held around a notification: so another goroutine sends them.
func (a *asyncOwner) Wake(_ *waiter.Entry, ev waiter.Events) bool {
	if a.events.Or(uint32(ev)) == 0 {
		go a.send()
	}
	return false
}

func (a *asyncOwner) send() {
	ev := waiter.Events(a.events.Swap(0))
	owner, _ := a.d.Owner().(linux.FOwnerEx)
	if owner.PID == 0 {
		return
	}
	info := kernel.KernelSignal(linux.SIGIO)
	if s := a.d.Signal(); s != 0 {
		info = linux.SigInfo{Signo: int32(s), Code: pollReason(ev)}
		info.SetBand(int64(ev))
		info.SetFD(a.fd)
	}
	switch owner.Type {
	case linux.F_OWNER_TID:
		if t := a.ns.Task(owner.PID); t != nil && a.maySignal(t) {
			_ = t.SendSignal(info, kernel.Inside)
		}
	case linux.F_OWNER_PID:
		a.sendTo(a.ns.ThreadGroup(owner.PID), info)
	case linux.F_OWNER_PGRP:
		pg := a.ns.ProcessGroup(owner.PID)
		for _, g := range a.ns.ThreadGroups() {
			if pg != nil && g.ProcessGroup() == pg {
				a.sendTo(g, info)
			}
		}
	}
}

func (a *asyncOwner) sendTo(g *kernel.ThreadGroup, info linux.SigInfo) {
	if g == nil {
		return
	}
	if t := g.Leader(); t != nil && a.maySignal(t) {
		_ = g.SendSignal(info, kernel.Inside)
	}
}

// maySignal: who asked for the signals must be root or be the one who gets them;
// see sigio_perm in fs/fcntl.c.
func (a *asyncOwner) maySignal(t *kernel.Task) bool {
	me, it := a.creds, t.Creds()
	return me.EUID == cred.Root || me.EUID == it.SUID || me.EUID == it.UID || me.UID == it.SUID || me.UID == it.UID
}

// pollReason is si_code of the signal: POLL_IN and so on.
func pollReason(ev waiter.Events) int32 {
	switch {
	case ev&waiter.In != 0:
		return linux.POLL_IN
	case ev&waiter.Out != 0:
		return linux.POLL_OUT
	case ev&waiter.Err != 0:
		return linux.POLL_ERR
	case ev&waiter.Pri != 0:
		return linux.POLL_PRI
	}
	return linux.POLL_HUP
}
