// Package script is a platform for unit tests of the kernel: memory is Go byte
// pages, and guest code is Go functions that issue system calls. It needs no
// privilege, makes no host process and works under the race detector.
//
// A test gives a Program to Platform.Code and gets the address at which it
// "lies". A Thread whose program counter is that address runs the program on a
// goroutine of its own; whenever the program makes a system call, touches
// memory that is not there or spins, Switch returns the event and the program
// stands still until the next Switch. A program counter that a program had at
// an earlier event continues it there, so signal handlers nest as on hardware:
// a handler is a Program too, returning from it pops the return address from
// the guest stack, and the frame that rt_sigreturn restores resumes the
// program that was interrupted. A Go function cannot be forked: the caller of
// fork or clone says with SyscallChild what the child does.
//
// Main types: Platform, Guest (what a Program sees). The package never runs
// machine code and never looks at the instructions in guest memory.
//
// Locks: Platform.mu guards all memory; nothing else is taken under it.
package script

import (
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// Addresses. Programs lie above what the guest may map, so that no mapping can
// hide one.
const (
	pageSize = 4096

	minAddr = 0x10000
	maxAddr = 0x7e00_0000_0000

	codeBase  = 0x7f00_0000_0000 // Programs, one every codeStep
	codeStep  = 16
	tokenBase = 0x7f80_0000_0000 // places where a program stands still
	tokenStep = 16
)

// Program is guest code.
type Program func(g *Guest)

// Platform implements platform.Platform.
type Platform struct {
	mu     sync.Mutex
	code   []Program
	tokens uint64
	spaces map[*space]bool
}

// New makes a platform without programs.
func New() *Platform {
	return &Platform{spaces: map[*space]bool{}}
}

// Code places a program and returns its address, for use as an entry point or
// as a signal handler in any address space of the platform.
func (p *Platform) Code(prog Program) uintptr {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.code = append(p.code, prog)
	return codeBase + uintptr(len(p.code)-1)*codeStep
}

// Name implements platform.Platform.
func (p *Platform) Name() string { return "script" }

// Layout implements platform.Platform. There is no vDSO.
func (p *Platform) Layout() platform.Layout {
	return platform.Layout{Min: minAddr, Max: maxAddr}
}

// NewAddressSpace implements platform.Platform.
func (p *Platform) NewAddressSpace() (platform.AddressSpace, platform.Thread, error) {
	as := p.newSpace()
	return as, as.newThread(nil, 0), nil
}

// Close implements platform.Platform.
func (p *Platform) Close() {
	p.mu.Lock()
	var all []*space
	for as := range p.spaces {
		all = append(all, as)
	}
	p.mu.Unlock()
	for _, as := range all {
		as.Close()
	}
}

// Kill ends an address space of this platform as the host would for want of
// memory: its threads find out at their current or next Switch.
func Kill(as platform.AddressSpace) { as.(*space).kill() }

func (p *Platform) newSpace() *space {
	as := &space{p: p, mem: map[uintptr]*page{}, dead: make(chan struct{})}
	p.mu.Lock()
	p.spaces[as] = true
	p.mu.Unlock()
	return as
}

// newToken names a place where a program stands still.
func (p *Platform) newToken() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens++
	return tokenBase + p.tokens*tokenStep
}

// program returns the program at an address.
func (p *Platform) program(pc uint64) Program {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pc < codeBase || (pc-codeBase)%codeStep != 0 {
		return nil
	}
	if i := (pc - codeBase) / codeStep; i < uint64(len(p.code)) {
		return p.code[i]
	}
	return nil
}

func ownThread(as *space, by platform.Thread) (*thread, error) {
	t, ok := by.(*thread)
	if !ok || t.as != as || t.closed {
		return nil, errno.EINVAL
	}
	if as.isDead() {
		return nil, errno.ESRCH
	}
	return t, nil
}
