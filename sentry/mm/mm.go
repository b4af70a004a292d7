// Package mm keeps the list of mappings of an address space: what is mapped
// where, with which rights, backed by what. The pages are the platform's; here
// are Linux's rules for mmap(2) and its family, the layout (where the stack,
// the heap and new mappings go), and the accounting against limits.
//
// The main types are MM, one address space with its list, and File, what can
// be mapped. An MM is also the usermem.Memory of its tasks.
//
// Every operation checks first, then asks the platform, then changes the list:
// when the platform refuses, the list is as it was. The package never maps
// guest memory into the Sentry and never reads what it does not have to.
//
// Stack: the main stack is mapped at once with min(RLIMIT_STACK, 8 MiB), which
// is address space, not memory, so that a copy by the Sentry into a part of the
// stack that was never touched succeeds without a guest thread at hand. It is
// shown with that size in /proc/PID/maps. Beyond that, and for MAP_GROWSDOWN
// mappings, HandleFault grows the mapping as far as RLIMIT_STACK and the guard
// gap allow.
//
// Locks: MM.mu (class lockorder.MM) is held during the platform's mapping
// calls; it is what Linux calls mmap_lock. Under it a File is asked for nothing
// but its name: references are dropped after. Copies take no lock here.
//
// Cost: a mapping call is one platform call plus a binary search and a short
// move in a slice; finding a free place starts where the last search ended.
package mm

import (
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// MaxMapCount is vm.max_map_count.
const MaxMapCount = 65530

// MinAddr is vm.mmap_min_addr.
const MinAddr usermem.Addr = 65536

// File is what can be mapped: an open file, or a shared memory object. The
// host descriptor comes with each request to map it (MapOpts.FD).
type File interface {
	// MapName is what /proc/PID/maps shows.
	MapName() string
	// MapID identifies the object: mappings of equal IDs show the same
	// bytes. It is asked once for each mapping.
	MapID() (linux.Dev, uint64)
	IncRef()
	DecRef()
}

// Limits are the resource limits that apply to an address space.
type Limits interface {
	// Soft is the soft limit of the resource; linux.RLIM_INFINITY is none.
	Soft(r linux.RlimitResource) uint64
}

// MM is an address space: the platform's pages and the list of mappings. Users
// are counted: each thread group has one, and so has everybody who looks at it
// for longer than a call.
type MM struct {
	as     platform.AddressSpace
	guest  platform.Layout
	users  atomic.Int32
	limits atomic.Pointer[Limits]

	// dumpable is PR_SET_DUMPABLE's value; the kernel reads and writes it.
	dumpable atomic.Int32
	// membarrier holds the MEMBARRIER_CMD_REGISTER_* commands that were given.
	membarrier atomic.Uint32

	mu lock.RWMutex[lockorder.MM]
	state
}

// state is what mu protects.
type state struct {
	list      vmas
	place     placement
	brkStart  usermem.Addr
	brk       usermem.Addr
	lockNext  vmFlags // what mlockall(MCL_FUTURE) gives new mappings
	process   Process
	exe       File
	freeHint  usermem.Addr // no gap of hintLength or more above it
	hintBytes uint64
}

// Process tells where the parts of the program lie, as /proc/PID/stat, cmdline
// and environ need and as prctl(PR_SET_MM) changes it.
type Process struct {
	CodeStart, CodeEnd   usermem.Addr
	DataStart, DataEnd   usermem.Addr
	StackStart           usermem.Addr
	ArgStart, ArgEnd     usermem.Addr
	EnvStart, EnvEnd     usermem.Addr
	Auxv                 []uint64
	VDSO                 usermem.Addr
	BrkStart, BrkCurrent usermem.Addr // only read
}

// New makes an empty address space with one user and its first thread.
func New(p platform.Platform) (*MM, platform.Thread, error) {
	as, thread, err := p.NewAddressSpace()
	if err != nil {
		return nil, nil, errno.Of(err)
	}
	m := &MM{as: as, guest: p.Layout()}
	m.users.Store(1)
	m.dumpable.Store(1)
	m.addSpecial(m.guest.VVar, vmVVar)
	m.addSpecial(m.guest.VDSO, vmVDSO)
	m.process.VDSO = usermem.Addr(m.guest.VDSO.Start)
	m.place = placement{base: m.max(), stackTop: m.max()}
	return m, thread, nil
}

// ShowName tells the host what runs here, where the platform can. It is for
// people, so nothing depends on it.
func (m *MM) ShowName(by platform.Thread, name string) {
	if n, ok := m.as.(platform.Namer); ok {
		_ = n.SetName(by, name)
	}
}

// Fork makes a copy with one thread, whose registers are those of by. Private
// memory is copied on write, shared memory is shared; MADV_DONTFORK and
// MADV_WIPEONFORK were told to the platform when they were asked for. The copy
// has one user and the same limits.
func (m *MM) Fork(by platform.Thread) (*MM, platform.Thread, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	as, thread, err := m.as.Fork(by)
	if err != nil {
		return nil, nil, errno.Of(err)
	}
	c := &MM{as: as, guest: m.guest}
	c.users.Store(1)
	c.dumpable.Store(m.dumpable.Load())
	c.membarrier.Store(m.membarrier.Load())
	c.limits.Store(m.limits.Load())
	c.state = state{
		list:     m.list.forked(),
		place:    m.place,
		brkStart: m.brkStart,
		brk:      m.brk,
		process:  m.process,
		exe:      m.exe,
	}
	if c.exe != nil {
		c.exe.IncRef()
	}
	return c, thread, nil
}

// Space is the platform's address space, for NewThread.
func (m *MM) Space() platform.AddressSpace { return m.as }

// NewThread adds a guest thread whose registers are a copy of by's.
func (m *MM) NewThread(by platform.Thread) (platform.Thread, error) {
	return m.as.NewThread(by)
}

// IncUsers adds a user; the caller has one.
func (m *MM) IncUsers() {
	if m.users.Add(1) <= 1 {
		panic("mm: IncUsers on a dead address space")
	}
}

// TryIncUsers adds a user unless the last one is gone.
func (m *MM) TryIncUsers() bool {
	for {
		n := m.users.Load()
		if n <= 0 {
			return false
		}
		if m.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// DecUsers drops a user. The last one ends the platform's address space, with
// all threads in it, and drops the files.
func (m *MM) DecUsers() {
	n := m.users.Add(-1)
	if n > 0 {
		return
	}
	if n < 0 {
		panic("mm: DecUsers below zero")
	}
	m.as.Close()
	m.mu.Lock()
	var drop released
	drop.addAll(m.list.all)
	m.list = vmas{}
	if m.exe != nil {
		drop = append(drop, m.exe)
		m.exe = nil
	}
	m.mu.Unlock()
	drop.release()
}

// Users is the number of users: execve and vfork look at it.
func (m *MM) Users() int { return int(m.users.Load()) }

// SetLimits says which limits apply from now on. None do before.
func (m *MM) SetLimits(l Limits) { m.limits.Store(&l) }

func (m *MM) limit(r linux.RlimitResource) uint64 {
	if l := m.limits.Load(); l != nil && *l != nil {
		return (*l).Soft(r)
	}
	return linux.RLIM_INFINITY
}

// Dumpable is what prctl(PR_GET_DUMPABLE) returns.
func (m *MM) Dumpable() int32 { return m.dumpable.Load() }

// SetDumpable sets it.
func (m *MM) SetDumpable(v int32) { m.dumpable.Store(v) }

// MembarrierRegistered are the registrations that membarrier(2) has taken.
func (m *MM) MembarrierRegistered() uint32 { return m.membarrier.Load() }

// RegisterMembarrier adds one.
func (m *MM) RegisterMembarrier(cmd uint32) { m.membarrier.Or(cmd) }

// SetExe sets what /proc/PID/exe shows; the MM takes a reference of its own.
func (m *MM) SetExe(f File) {
	if f != nil {
		f.IncRef()
	}
	m.mu.Lock()
	old := m.exe
	m.exe = f
	m.mu.Unlock()
	if old != nil {
		old.DecRef()
	}
}

// Exe is the executable with a reference for the caller, or nil.
func (m *MM) Exe() File {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.exe != nil {
		m.exe.IncRef()
	}
	return m.exe
}

// Process returns where the parts of the program lie.
func (m *MM) Process() Process {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.process
	p.BrkStart, p.BrkCurrent = m.brkStart, m.brk
	return p
}

// SetProcess replaces that; the brk fields are ignored.
func (m *MM) SetProcess(p Process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.process = p
}

// min and max are the bounds of the guest's addresses.
func (m *MM) min() usermem.Addr { return max(usermem.Addr(m.guest.Min), MinAddr) }
func (m *MM) max() usermem.Addr { return usermem.Addr(m.guest.Max) }

// released are files whose references are dropped after mu was.
type released []File

func (r *released) add(v *vma) {
	if v.file != nil {
		*r = append(*r, v.file)
	}
}

func (r *released) addAll(list []*vma) {
	for _, v := range list {
		r.add(v)
	}
}

func (r released) release() {
	for _, f := range r {
		f.DecRef()
	}
}
