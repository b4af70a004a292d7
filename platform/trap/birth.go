package trap

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// This file: how stubs come to be and how they end.

// expect notes that a stub is asked for.
func (p *Platform) expect(as *space, memory int) (nonce, *birth, error) {
	var b [16]byte
	if err := host.Getrandom(b[:]); err != nil {
		return nonce{}, nil, err
	}
	n := nonce{binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])}
	birth := &birth{as: as, memory: memory, known: make(chan bool, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return n, nil, errno.ESRCH
	}
	p.births[n] = birth
	return n, birth, nil
}

// await waits for a stub that was asked for. claimed is what its parent says
// is its number, and only tells whose end it would be.
func (p *Platform) await(n nonce, b *birth, claimed int, parent *space) error {
	p.mu.Lock()
	b.claimed = claimed
	if p.strays[claimed] {
		p.dropLocked(n, b)
	}
	p.mu.Unlock()
	select {
	case ok := <-b.known:
		if ok {
			return nil
		}
		return errno.EAGAIN
	case <-parent.end:
		p.forget(n, b)
		return errno.ESRCH
	}
}

// forget takes a birth back. A stub that comes after all ends.
func (p *Platform) forget(n nonce, b *birth) {
	p.mu.Lock()
	p.dropLocked(n, b)
	p.mu.Unlock()
	if ok := <-b.known; ok {
		b.as.Close()
	}
}

// dropLocked ends a birth whose stub has not reported.
func (p *Platform) dropLocked(n nonce, b *birth) {
	if p.births[n] == b {
		delete(p.births, n)
		b.known <- false
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
	defer c.memory.Close()
	as := p.newSpace(c, 0)
	n, b, err := p.expect(as, c.memory.Number())
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
	if ok := <-b.known; !ok {
		return nil, nil, errno.EIO
	}
	return as, as.first, nil
}

// listen answers the notices of stubs until there are none left.
func (p *Platform) listen() {
	defer close(p.heard)
	for {
		var n host.Notification
		err := p.listener.Receive(&n)
		if err == errno.ENOENT {
			// Killed before it was received, or the last stub has ended.
			select {
			case <-p.reaped:
				return
			default:
				continue
			}
		}
		if err != nil {
			return
		}
		p.notice(&n)
	}
}

func (p *Platform) notice(n *host.Notification) {
	switch n.Args[0] {
	case noticeBirth:
		p.noticeBirth(n)
	case noticeFile:
		p.mu.Lock()
		fd, ok := p.files[n.PID]
		p.mu.Unlock()
		if !ok || p.listener.GiveFD(n.ID, fd, 0) != nil {
			p.listener.Answer(n.ID, 0, errno.EBADF)
			return
		}
		p.listener.Answer(n.ID, 0, 0)
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
	defer p.mu.Unlock()
	if p.spaces[pid] != nil {
		p.listener.Answer(n.ID, 0, errno.EPERM)
		return
	}
	b := p.births[key]
	if b == nil || p.listener.GiveFD(n.ID, b.memory, 0) != nil {
		host.Kill(pid, unix.SIGKILL)
		if b != nil {
			p.dropLocked(key, b)
		}
		return
	}
	delete(p.births, key)
	b.as.pid = pid
	b.as.first.tid = pid
	p.spaces[pid] = b.as
	b.known <- true
	p.listener.Answer(n.ID, 0, 0)
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
		if as == nil && len(p.births) > 0 {
			p.strays[pid] = true
			for n, b := range p.births {
				if b.claimed == pid {
					p.dropLocked(n, b)
				}
			}
		}
		p.mu.Unlock()
		if as != nil {
			as.ended()
		}
		host.Wait(pid)
	}
}

// kick is the signal that stops a running stub thread.
const kick = unix.SIGURG

const anyProt = linux.PROT_READ | linux.PROT_WRITE | linux.PROT_EXEC
