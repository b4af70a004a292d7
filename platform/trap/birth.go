package trap

import (
	"encoding/binary"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// This file: how stubs come to be and how they end.

// expect notes that the process of a space is asked for. It takes over memory.
func (p *Platform) expect(as *space, memory *host.FD) (nonce, *birth, error) {
	var r [16]byte
	if err := host.Getrandom(r[:]); err != nil {
		memory.Close()
		return nonce{}, nil, err
	}
	n := nonce{binary.NativeEndian.Uint64(r[:]), binary.NativeEndian.Uint64(r[8:])}
	b := &birth{as: as, memory: memory}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		memory.Close()
		return n, nil, errno.ESRCH
	}
	p.births[n] = b
	b.overdue = time.AfterFunc(commandLimit, func() { p.forget(n, b) })
	as.unborn = func() { p.forget(n, b) }
	return n, b, nil
}

// claim notes what the parent says is the number of a stub that it made. It only
// tells whose end it would be.
func (p *Platform) claim(n nonce, b *birth, pid int) {
	p.mu.Lock()
	b.claimed = pid
	early := p.strays[pid]
	p.mu.Unlock()
	if early {
		p.forget(n, b)
	}
}

// forget takes a birth back, unless it came: the space has ended, then.
func (p *Platform) forget(n nonce, b *birth) {
	p.mu.Lock()
	pending := p.births[n] == b
	p.settleLocked(n, b)
	p.mu.Unlock()
	if pending {
		b.as.ended()
	}
}

// settleLocked takes a birth from the list.
func (p *Platform) settleLocked(n nonce, b *birth) {
	if p.births[n] != b {
		return
	}
	delete(p.births, n)
	b.overdue.Stop()
	if b.memory != nil {
		b.memory.Close()
	}
	if len(p.births) == 0 {
		clear(p.strays)
	}
}

// born lets the template go: it becomes a stub with an area, like all others.
func (p *Platform) born(t *stub.Template) (*space, *thread, error) {
	c, err := newChunk()
	if err != nil {
		t.End()
		return nil, nil, err
	}
	as := p.newSpace(c, 0)
	n, _, err := p.expect(as, c.memory)
	if err != nil {
		t.End()
		return nil, nil, err
	}
	regs := platform.Registers{
		Rip: mark(markBirth), Cs: stub.UserCS, Ss: stub.UserSS, Eflags: stub.CleanEflags, OrigRax: stub.NoSyscall,
		R13: n[0], R14: n[1], R15: areaStart,
	}
	if err := host.PtraceSetRegs(t.TID, stub.UserRegs(&regs)); err != nil {
		t.End()
		return nil, nil, err
	}
	if err := host.PtraceDetach(t.TID); err != nil {
		t.End()
		return nil, nil, err
	}
	if as.process() == 0 {
		return nil, nil, errors.New("it ended before it was ready")
	}
	return as, as.first, nil
}

// listen answers the notices of stubs until there are none left.
func (p *Platform) listen() {
	defer close(p.heard)
	// A signal, such as the Go runtime's preemption, would interrupt the
	// giving of a descriptor when the stub goes on already. The thread ends
	// with this goroutine, so nobody gets it with its mask.
	runtime.LockOSThread()
	if err := host.BlockSignals(); err != nil {
		return
	}
	for {
		// Receive alone would sleep for ever if the last stub ended just
		// before it.
		events, err := p.listener.Await(unix.POLLIN)
		if err != nil || events&unix.POLLIN == 0 {
			return
		}
		var n host.Notification
		if p.listener.Receive(&n) == nil { // or else it was killed meanwhile
			p.notice(&n)
		}
	}
}

// mostClones is how often a stub may call clone for one command: a signal makes
// the host start a call over that may have been answered.
const mostClones = 8

// mayClone says whether the Sentry has told the thread to clone. Or else a guest
// could fill the host with processes and threads.
func (p *Platform) mayClone(tid uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clones[tid] == 0 {
		return false
	}
	p.clones[tid]--
	return true
}

// clone has the stub make a process or a thread.
func (t *thread) clone(command uint32, args ...uint64) (uint64, error) {
	p := t.as.p
	if t.as.process() == 0 {
		return 0, errno.ESRCH
	}
	p.mu.Lock()
	p.clones[uint32(t.tid)] = mostClones
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.clones, uint32(t.tid))
		p.mu.Unlock()
	}()
	return t.command(command, args...)
}

func (p *Platform) notice(n *host.Notification) {
	if int32(n.PID) <= 0 {
		// The host shows no number for it. A signal to 0 would be for us.
		p.listener.Answer(n.ID, 0, errno.EPERM)
		return
	}
	if n.Nr == unix.SYS_CLONE {
		if p.mayClone(n.PID) {
			p.listener.Continue(n.ID)
		} else {
			p.listener.Answer(n.ID, 0, errno.EPERM)
		}
		return
	}
	switch n.Args[0] {
	case noticeBirth:
		p.noticeBirth(n)
	case noticeFile:
		p.mu.Lock()
		fd, ok := p.files[n.PID]
		p.mu.Unlock()
		if !ok || p.listener.GiveFD(n.ID, fd, 0) != nil {
			p.listener.Answer(n.ID, 0, errno.EBADF)
		}
	default:
		p.listener.Continue(n.ID)
	}
}

// noticeBirth gives a new stub its memory. One that nobody asked for was made by
// a guest, and ends.
func (p *Platform) noticeBirth(n *host.Notification) {
	pid := int(n.PID)
	key := nonce{n.Args[1], n.Args[2]}
	p.mu.Lock()
	b := p.births[key]
	switch {
	case p.spaces[pid] != nil:
		p.mu.Unlock()
		p.listener.Answer(n.ID, 0, errno.EPERM)
		return
	case b == nil || host.Tgkill(pid, pid, 0) != nil: // a thread of a guest, that read the number in its area
		p.mu.Unlock()
		host.Kill(pid, unix.SIGKILL)
		if b != nil {
			p.forget(key, b)
		}
		return
	}
	memory := b.memory
	b.memory = nil
	p.settleLocked(key, b)
	p.spaces[pid] = b.as
	p.mu.Unlock()
	defer memory.Close()
	b.as.begin(pid)
	if p.listener.GiveFD(n.ID, memory.Number(), 0) != nil {
		host.Kill(pid, unix.SIGKILL)
	}
}

// reap takes stubs away that have ended, until there are none.
func (p *Platform) reap() {
	for {
		pid, err := host.EndedChild()
		if err != nil {
			return
		}
		p.mu.Lock()
		as := p.spaces[pid]
		delete(p.spaces, pid)
		var lost []func()
		if as == nil && len(p.births) > 0 {
			p.strays[pid] = true
			for n, b := range p.births {
				if b.claimed == pid {
					lost = append(lost, func() { p.forget(n, b) })
				}
			}
		}
		p.mu.Unlock()
		if as != nil {
			as.ended()
		}
		for _, forget := range lost {
			forget()
		}
		host.Wait(pid)
	}
}

// kick is the signal that stops a running stub thread.
const kick = unix.SIGURG
