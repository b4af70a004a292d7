// Package ptrace is the platform that works on any Linux host: guest code runs
// in host processes (stubs) that the Sentry traces with PTRACE_SYSEMU.
//
// An address space is a stub; its memory is that process's own. A guest thread
// is a thread of the stub and is traced by the host thread of the goroutine
// that owns it, which therefore stays locked to it. Mapping operations, fork
// and clone are made by the calling guest thread itself, which stands at its
// system call: the Sentry sets its registers so that it runs one of a few
// routines in a page of the stub that the guest cannot change, and puts the
// guest's registers back at the next Switch.
//
// Main types: Platform, which keeps the template, the process from which empty
// stubs are forked; space, a stub; thread; tracee, what a thread and the
// template have in common.
//
// The guest cannot make a host call: every system call stops at the tracer,
// and a seccomp filter allows the stub nothing but StubCalls. What a stub says
// about itself is believed only where the guest cannot forge it: registers
// after a routine, never memory.
//
// What paths cost (two cores, in a VM; package benchmarks): a system call's
// round trip 3.6 us when the stub and its tracer share a processor, which
// placement.go sees to, and 10 to 60 us when not; an injected call, such as
// mmap, 6 us, with a descriptor 9 us; a fork 35 us and the child's first entry
// 20 us; a thread 30 us; the end of either 10 to 20 us; an empty address space
// nothing, because one is made ahead. A guest thread is two host threads, an
// address space one host process; a blocked or idle guest uses no processor.
//
// It needs: fork, ptrace of its own children (so ptrace_scope at most 1),
// process_vm_readv, Linux 5.9. No capability, no file system, no /proc. New
// must be called with the credentials that the Sentry keeps, because a process
// with fewer rights than a stub may not trace it, and before the Sentry's own
// seccomp filter is installed, because stubs would inherit it.
//
// Locks: space.mu, then Platform.fdMu. Both are held over host calls that do
// not wait for the guest.
package ptrace

import (
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// Platform implements platform.Platform.
type Platform struct {
	layout platform.Layout
	// freshFP is the floating point state of the template and so of a new
	// process, as large as the host has it; a guest sees stateSize of one.
	freshFP   []byte
	stateSize int

	// ready brings new stubs from the goroutine that traces the template,
	// which makes one ahead, so that execve need not wait for it.
	ready    chan spawned
	quit     chan struct{} // closed to end that goroutine
	finished chan struct{} // closed by it

	// fdMu serialises the way of descriptors into stubs, which all have the
	// same socket. sender is our end of it; receiver is the stubs', kept to
	// take back what a stub did not take.
	fdMu             sync.Mutex
	sender, receiver int

	placement *stub.Placement

	room *room

	mu     sync.Mutex
	spaces map[*space]bool
	closed bool
}

type spawned struct {
	pid int
	err error
}

// New makes the platform.
func New() (*Platform, error) {
	p := &Platform{
		ready:    make(chan spawned),
		quit:     make(chan struct{}),
		finished: make(chan struct{}),
		spaces:   map[*space]bool{},
	}
	var err error
	if p.placement, err = stub.NewPlacement(); err != nil {
		return nil, fmt.Errorf("ptrace: read the CPU affinity: %w", err)
	}
	if err := host.QuietChildStops(); err != nil {
		return nil, fmt.Errorf("ptrace: change SIGCHLD: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("ptrace: make a socket pair: %w", err)
	}
	p.sender, p.receiver = pair[0], pair[1]
	p.room = newRoom(p.finished)
	started := make(chan error)
	go p.runTemplate(started)
	if err := <-started; err != nil {
		unix.Close(p.sender)
		unix.Close(p.receiver)
		return nil, fmt.Errorf("ptrace: make the first stub: %w", err)
	}
	if err := p.check(); err != nil {
		p.Close()
		return nil, fmt.Errorf("ptrace: try a stub: %w", err)
	}
	return p, nil
}

// check makes sure that stubs can be traced and read, which the host's
// settings may forbid.
func (p *Platform) check() error {
	as, t, err := p.NewAddressSpace()
	if err != nil {
		return err
	}
	defer as.Close()
	defer t.Close()
	th := t.(*thread)
	if err := th.own(); err != nil {
		return fmt.Errorf("trace it (is kernel.yama.ptrace_scope above 1?): %w", err)
	}
	var b [1]byte
	if _, err := host.ReadProcess(th.as.pid, b[:], stubCode); err != nil {
		return fmt.Errorf("read its memory: %w", err)
	}
	return nil
}

// Name implements platform.Platform.
func (p *Platform) Name() string { return "ptrace" }

// Layout implements platform.Platform.
func (p *Platform) Layout() platform.Layout { return p.layout }

// NewAddressSpace implements platform.Platform.
func (p *Platform) NewAddressSpace() (platform.AddressSpace, platform.Thread, error) {
	p.room.exchange()
	s := p.nextStub()
	if s.err != nil {
		s = p.nextStub() // the first failure may be an old one
	}
	if s.err != nil {
		p.room.give()
		return nil, nil, s.err
	}
	as := p.newSpace(s.pid)
	return as, as.newThread(s.pid), nil
}

func (p *Platform) nextStub() spawned {
	select {
	case s := <-p.ready:
		return s
	case <-p.quit:
		return spawned{err: errno.ESRCH}
	}
}

// Close implements platform.Platform.
func (p *Platform) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	var all []*space
	for as := range p.spaces {
		all = append(all, as)
	}
	p.mu.Unlock()
	for _, as := range all {
		as.Close()
	}
	close(p.quit)
	<-p.finished
	unix.Close(p.sender)
	unix.Close(p.receiver)
}

// runTemplate makes the template, and stubs from it. The thread it
// is locked to is the parent of all stubs, and they ask to be killed when it
// ends, so it must live as long as the platform.
func (p *Platform) runTemplate(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.finished)
	template, err := p.makeTemplate()
	started <- err
	if err != nil {
		return
	}
	var next spawned
	next.pid, next.err = clone(&template.Tracee, cloneProcess)
	for {
		select {
		case p.ready <- next:
			next.pid, next.err = clone(&template.Tracee, cloneProcess)
		case answer := <-p.room.probes:
			answer <- probe(&template.Tracee)
		case <-p.quit:
			if next.err == nil {
				(&stub.Tracee{TID: next.pid}).End()
			}
			template.End()
			return
		}
	}
}

// makeTemplate makes the template, with the calling thread as its tracer.
func (p *Platform) makeTemplate() (*stub.Template, error) {
	filter, err := stubFilter()
	if err != nil {
		return nil, err
	}
	t, err := stub.NewTemplate(image, stub.Options{KeepFD: p.receiver, Filter: filter})
	if err != nil {
		return nil, err
	}
	p.layout = platform.Layout{Min: minAddr, Max: maxAddr, VVar: t.VVar, VDSO: t.VDSO}
	p.freshFP, p.stateSize = t.FreshFP, t.StateSize
	return t, nil
}
