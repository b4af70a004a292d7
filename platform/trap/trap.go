// Package trap is the fast platform: guest code runs in host processes (stubs)
// whose system calls a seccomp filter turns into signals, and whose call sites
// are patched, when they are hit, to jump to the stub's own code instead.
//
// An address space is a stub; its memory is that process's own. A guest thread
// is a thread of the stub and a goroutine, the owner of the Thread, which meet
// in an area of shared memory: the stub stores the guest's registers there and
// waits, the owner reads them, and says what to do next. Whoever waits looks at
// the area for a while (spin.go) and then sleeps in futex(2).
//
// Main types: Platform; space, a stub; thread; area, the shared memory; patches,
// the call sites of a space that were changed. Code of the stub is in
// stub_amd64.s; the template from which all stubs are forked runs it too, and
// never a guest.
//
// What a stub says is never believed where it concerns anybody else. Its pid
// comes from the host (a notification of its filter, with a number that only the
// one that was asked for can know), and so does its end. All memory that it can
// write belongs to it alone.
//
// A stub's code can make the host calls in StubCalls, and a guest that jumps
// there can make them too: they act on the guest's own memory and threads. Clone
// waits for the listener, which lets it pass when the Sentry has asked for it.
//
// What paths cost (two cores, in a VM; package benchmarks): a call by a patched
// site 0.6 us while both sides spin, 2.8 us when they sleep on one processor, 10
// to 30 us when they have to wake another; by a signal 1.7 us more; an answer in
// the stub 15 ns; a mapping 1.4 us, one of a file 15 us; a fork and the child's
// first call 0.3 ms, most of it the host's; a thread that is used again 20 us. A
// guest thread is two host threads and 64 KiB of shared memory, of which it
// touches about 12. A blocked or idle guest uses no processor.
//
// It needs what platform/ptrace needs, and Linux 5.14, a processor with
// FSGSBASE, and a second processor to be fast.
//
// Locks: space.mu, then Platform.mu. space.mu is held over host calls that do
// not wait for the guest, and over those of a guest's that map files.
package trap

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// Platform implements platform.Platform.
type Platform struct {
	layout platform.Layout

	// A guest sees stateSize bytes of floating point state; fresh is that of
	// a new process, features the components there are (XCR0).
	stateSize int
	fresh     []byte
	features  uint64

	listener *host.FD
	template *thread
	// forking serialises the use of the template.
	forking sync.Mutex
	spare   chan *space // made ahead of the next NewAddressSpace
	warming sync.WaitGroup

	placement *stub.Placement
	patience  time.Duration // interruptLimit
	spinners  int32         // running guest threads up to which everybody spins
	running   atomic.Int32  // guest threads that run, or do something for the Sentry

	patches, answers bool // unless turned off

	reaped chan struct{} // closed when the last stub has been reaped
	heard  chan struct{} // closed when the listener has ended

	mu     sync.Mutex
	spaces map[int]*space // by pid
	births map[nonce]*birth
	strays map[int]bool   // stubs that ended without a report, while there are births
	files  map[uint32]int // descriptors that threads wait for
	clones map[uint32]int // how often threads may still clone
	used   int            // guest threads
	closed bool
}

// mostThreads bounds what a guest can make the host keep.
const mostThreads = 8192

// nonce is known to the Sentry and to the stub that is being born.
type nonce [2]uint64

// birth is a stub that was asked for and has not yet reported.
type birth struct {
	as      *space
	memory  *host.FD    // of its areas, until it has them
	claimed int         // the number that its parent tells
	overdue *time.Timer // gives it up
}

// Options are what New takes: each turns off what makes the platform fast, so
// that tests can tell it from what makes it right.
func Options() []string { return []string{noPatch, noAnswers, noSpin} }

const (
	noPatch   = "nopatch"   // every call is a signal
	noAnswers = "noanswers" // every call goes to the Sentry
	noSpin    = "nospin"    // whoever waits sleeps
)

// New makes the platform.
func New(options ...string) (*Platform, error) {
	if !hasFSGSBase() {
		return nil, errors.New("trap: the processor or the host's kernel lacks FSGSBASE; --platform=ptrace does without")
	}
	// Owners that wait for their stubs hold the Go runtime's processors
	// until it notices; others must find one free.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 8*runtime.NumCPU()))
	p := &Platform{
		spare:  make(chan *space, 1),
		reaped: make(chan struct{}),
		heard:  make(chan struct{}),
		spaces: map[int]*space{},
		births: map[nonce]*birth{},
		strays: map[int]bool{},
		files:  map[uint32]int{},
		clones: map[uint32]int{},

		patience: interruptLimit,
	}
	var err error
	if p.placement, err = stub.NewPlacement(); err != nil {
		return nil, fmt.Errorf("trap: read the CPU affinity: %w", err)
	}
	p.spinners = int32(p.placement.Processors() / 2)
	if slices.Contains(options, noSpin) {
		p.spinners = 0
	}
	p.patches = !slices.Contains(options, noPatch)
	p.answers = !slices.Contains(options, noAnswers)
	started := make(chan error)
	go p.runParent(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("trap: make the first stub: %w", err)
	}
	p.warm()
	return p, nil
}

// hasFSGSBase says whether user code may use rdgsbase and its like.
func hasFSGSBase() bool {
	const atHwcap2, fsgsbase = 26, 2
	return host.Auxv(atHwcap2)&fsgsbase != 0
}

// runParent makes the template and reaps stubs. The thread it is locked to is
// their parent, and they are killed when it ends.
func (p *Platform) runParent(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.reaped)
	t, err := p.makeTemplate()
	if err != nil {
		started <- err
		return
	}
	go p.listen()
	// The template leaves ptrace here and reports like any new stub.
	_, p.template, err = p.born(t)
	started <- err
	p.reap()
}

// makeTemplate makes the template, still traced by the calling thread.
func (p *Platform) makeTemplate() (*stub.Template, error) {
	filter, err := stubFilter()
	if err != nil {
		return nil, err
	}
	prepare := func(t *stub.Template) error {
		// By its group Close finds the processes that guests made.
		if _, err := t.Syscall(unix.SYS_SETPGID, 0, 0); err != nil {
			return fmt.Errorf("make a process group: %w", err)
		}
		if err := moveVDSO(t); err != nil {
			return err
		}
		return setHandlers(t)
	}
	var listener int
	t, err := stub.NewTemplate(code, stub.Options{
		KeepFD: -1, Prepare: prepare, Filter: filter, FilterFlags: host.FilterNewListener,
		Confined: func(result uint64) { listener = int(result) },
	})
	if err != nil {
		return nil, err
	}
	if p.listener, err = host.TakeFD(t.TID, listener); err != nil {
		t.End()
		return nil, fmt.Errorf("take its listener: %w", err)
	}
	_ = p.listener.WakeInPlace() // only faster
	p.layout = platform.Layout{Min: minAddr, Max: maxAddr, VVar: t.VVar, VDSO: t.VDSO}
	p.stateSize = t.StateSize
	p.fresh = t.FreshFP
	const components = 464
	p.features = *(*uint64)(unsafe.Pointer(&t.FreshFP[components]))
	return t, nil
}

// vdsoPlace is where the vDSO's data pages begin in a guest. The host may have
// put them among the stub's own.
const vdsoPlace = maxAddr - 0x20_0000

// moveVDSO moves the vDSO and its data, whose distance must stay as it is, to
// where guests have it. The data pages may be several mappings, each of which
// only moves whole.
func moveVDSO(t *stub.Template) error {
	if t.VDSO.Len() == 0 {
		return nil
	}
	at := t.VVar.Start
	if t.VVar.Len() == 0 {
		at = t.VDSO.Start
	}
	delta := vdsoPlace - at
	end := t.VDSO.End
	for at < end {
		next := at
		for stop := end; stop > at; stop -= pageSize {
			_, err := t.Syscall(unix.SYS_MREMAP, uint64(at), uint64(stop-at), uint64(stop-at),
				unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, uint64(at+delta))
			if err == errno.ESRCH {
				return err
			}
			if err == nil {
				next = stop
				break
			}
		}
		if next == at {
			return fmt.Errorf("move the vDSO at %#x", at)
		}
		at = next
	}
	move := func(r *platform.Range) {
		if r.Len() > 0 {
			r.Start += delta
			r.End += delta
		}
	}
	move(&t.VVar)
	move(&t.VDSO)
	return nil
}

// setHandlers lets the stub's code handle what guests do.
func setHandlers(t *stub.Template) error {
	const (
		saSigInfo  = 4
		saOnStack  = 0x08000000
		saRestart  = 0x10000000
		saNoDefer  = 0x40000000
		saRestorer = 0x04000000
	)
	// struct sigaction of the kernel: handler, flags, restorer, mask. The
	// handler does not return, so the mask must stay as it is.
	action := [4]uint64{mark(markHandler), saSigInfo | saOnStack | saRestart | saNoDefer | saRestorer, mark(markHandler), 0}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&action)), unsafe.Sizeof(action))
	if _, err := host.WriteProcess(t.TID, b, t.Image.Data()); err != nil {
		return fmt.Errorf("write its memory: %w", err)
	}
	for _, s := range [...]unix.Signal{unix.SIGSYS, unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGFPE, unix.SIGTRAP, kick} {
		if _, err := t.Syscall(unix.SYS_RT_SIGACTION, uint64(s), uint64(t.Image.Data()), 0, 8); err != nil {
			return fmt.Errorf("set the handler of %v: %w", s, err)
		}
	}
	return nil
}

// Name implements platform.Platform.
func (p *Platform) Name() string { return "trap" }

// Layout implements platform.Platform.
func (p *Platform) Layout() platform.Layout { return p.layout }

// NewAddressSpace implements platform.Platform.
func (p *Platform) NewAddressSpace() (platform.AddressSpace, platform.Thread, error) {
	var as *space
	select {
	case as = <-p.spare:
	default:
	}
	if as == nil || as.dead.Load() {
		var err error
		if as, err = p.fork(); err != nil {
			return nil, nil, err
		}
	}
	p.warm()
	p.count(1)
	return as, as.first, nil
}

// warm has the next stub made while its caller goes on.
func (p *Platform) warm() {
	p.warming.Add(1)
	go func() {
		defer p.warming.Done()
		as, err := p.fork()
		if err != nil {
			return // NewAddressSpace tries again, and reports
		}
		select {
		case p.spare <- as:
		default:
			as.Close()
		}
	}()
}

// fork makes a stub from the template.
func (p *Platform) fork() (*space, error) {
	p.forking.Lock()
	defer p.forking.Unlock()
	return p.template.as.fork(p.template)
}

// count changes the number of guest threads; false: there are enough.
func (p *Platform) count(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > 0 && p.used+n > mostThreads {
		return false
	}
	p.used += n
	return true
}

// Close implements platform.Platform.
func (p *Platform) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.mu.Unlock()
	p.warming.Wait()
	p.mu.Lock()
	var all []*space
	for _, as := range p.spaces {
		all = append(all, as)
	}
	for _, b := range p.births {
		all = append(all, b.as)
	}
	p.mu.Unlock()
	if len(all) > 0 { // the group exists, so its number is nobody else's
		host.Kill(-int(p.template.as.pid.Load()), unix.SIGKILL)
	}
	for _, as := range all {
		as.Close()
	}
	<-p.reaped
	<-p.heard
	p.listener.Close()
}
