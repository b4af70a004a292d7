package trap

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// space implements platform.AddressSpace.
type space struct {
	p     *Platform
	first *thread

	// pid is 0 until the stub reported: born is closed then, or when it is
	// known that it will not. unborn gives it up.
	pid    atomic.Int32
	born   chan struct{}
	unborn func()
	dead   atomic.Bool   // the process was or is being killed
	end    chan struct{} // closed when it has ended

	patches patches

	// mu, taken after that of patches, serialises what would mix up the descriptors of the process: a
	// descriptor on its way into it must not go on into a fork. It also
	// guards the chunks.
	mu     sync.Mutex
	chunks [maxAreas / chunkAreas]*chunk
	parked []*thread // closed threads, to be used again

	// life guards the fields below, and the process against a signal to
	// another one that has its number.
	life    sync.Mutex
	threads map[*thread]bool // not closed, or parked
	open    int              // not closed
	closed  bool             // by Close
	reaped  bool
}

// chunk is memory for the areas of several threads.
type chunk struct {
	memory *host.FD // only until the stub has mapped it
	bytes  []byte
	used   int // areas
}

func newChunk() (*chunk, error) {
	fd, err := host.Memfd("bulkhead-areas", 0)
	if err != nil {
		return nil, err
	}
	if err := fd.Truncate(chunkSize); err != nil {
		fd.Close()
		return nil, err
	}
	b, err := fd.Map(0, chunkSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		fd.Close()
		return nil, err
	}
	return &chunk{memory: fd, bytes: b}, nil
}

// area is the i-th area of the chunk.
func (c *chunk) area(i int) *area {
	return (*area)(unsafe.Pointer(&c.bytes[i*areaSize]))
}

// newSpace makes a space whose process is yet to come, with a thread whose area
// has the given number.
func (p *Platform) newSpace(c *chunk, number int) *space {
	as := &space{p: p, end: make(chan struct{}), born: make(chan struct{}), threads: map[*thread]bool{}}
	as.patches.idle.L, as.patches.over.L = &as.patches.mu, &as.patches.mu
	as.chunks[number/chunkAreas] = c
	c.used = number%chunkAreas + 1
	as.first = as.newThread(number)
	return as
}

// newThread makes a thread that has an area.
func (as *space) newThread(number int) *thread {
	t := &thread{as: as, number: number, area: as.chunks[number/chunkAreas].area(number % chunkAreas)}
	t.prepare()
	as.life.Lock()
	defer as.life.Unlock()
	as.threads[t] = true
	as.open++
	return t
}

// by returns the calling goroutine's thread.
func (as *space) by(t platform.Thread) (*thread, error) {
	th, ok := t.(*thread)
	if !ok || th.as != as {
		return nil, errno.EINVAL
	}
	if as.dead.Load() || th.closed {
		return nil, errno.ESRCH
	}
	return th, nil
}

// call makes a system call in the stub.
func (as *space) call(by platform.Thread, nr uint64, args ...uint64) (uint64, error) {
	t, err := as.by(by)
	if err != nil {
		return 0, err
	}
	return t.syscall(nr, args...)
}

// bounds are what a guest may use.
var bounds = stub.Bounds{Min: minAddr, Max: maxAddr}

// Map implements platform.AddressSpace.
func (as *space) Map(by platform.Thread, m platform.Mapping) error {
	flags, err := bounds.MapFlags(&m)
	if err != nil {
		return err
	}
	t, err := as.by(by)
	if err != nil {
		return err
	}
	as.patches.mu.Lock()
	defer as.patches.mu.Unlock()
	as.changing(t, m.Addr, m.Length)
	if m.FD < 0 {
		_, err := t.syscall(unix.SYS_MMAP, uint64(m.Addr), uint64(m.Length), uint64(m.Prot), flags, ^uint64(0), 0)
		return err
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	if _, err = t.mapFile(m.FD, uint64(m.Addr), uint64(m.Length), uint64(m.Prot), flags, uint64(m.Offset)); err == nil {
		as.patches.mapped(&m)
	}
	return err
}

// Unmap implements platform.AddressSpace.
func (as *space) Unmap(by platform.Thread, addr, length uintptr) error {
	if err := bounds.Check(addr, length); err != nil {
		return err
	}
	t, err := as.by(by)
	if err != nil {
		return err
	}
	as.patches.mu.Lock()
	defer as.patches.mu.Unlock()
	as.changing(t, addr, length)
	_, err = t.syscall(unix.SYS_MUNMAP, uint64(addr), uint64(length))
	return err
}

// Protect implements platform.AddressSpace.
func (as *space) Protect(by platform.Thread, addr, length uintptr, prot linux.Prot) error {
	if err := bounds.Check(addr, length); err != nil {
		return err
	}
	if prot&^stub.AnyProt != 0 {
		return errno.EINVAL
	}
	t, err := as.by(by)
	if err != nil {
		return err
	}
	as.patches.mu.Lock()
	defer as.patches.mu.Unlock()
	if prot != linux.PROT_READ|linux.PROT_EXEC {
		as.changing(t, addr, length)
	}
	_, err = t.syscall(unix.SYS_MPROTECT, uint64(addr), uint64(length), uint64(prot))
	return err
}

// Move implements platform.AddressSpace.
func (as *space) Move(by platform.Thread, old, oldLength, new, newLength uintptr, flags int) error {
	how, err := bounds.MoveFlags(old, oldLength, new, newLength, flags)
	if err != nil {
		return err
	}
	t, err := as.by(by)
	if err != nil {
		return err
	}
	as.patches.mu.Lock()
	defer as.patches.mu.Unlock()
	as.changing(t, old, max(oldLength, pageSize))
	as.changing(t, new, newLength)
	_, err = t.syscall(unix.SYS_MREMAP, uint64(old), uint64(oldLength), uint64(newLength), how, uint64(new))
	return err
}

// Advise implements platform.AddressSpace.
func (as *space) Advise(by platform.Thread, addr, length uintptr, advice int) error {
	if err := bounds.CheckAdvice(addr, length, advice); err != nil {
		return err
	}
	_, err := as.call(by, unix.SYS_MADVISE, uint64(addr), uint64(length), uint64(advice))
	return err
}

// Fork implements platform.AddressSpace.
func (as *space) Fork(by platform.Thread) (platform.AddressSpace, platform.Thread, error) {
	t, err := as.by(by)
	if err != nil {
		return nil, nil, err
	}
	if !as.p.count(1) {
		return nil, nil, errno.EAGAIN
	}
	child, err := as.fork(t)
	if err != nil {
		as.p.count(-1)
		return nil, nil, err
	}
	return child, child.first, nil
}

// fork makes a process, whose thread has its area where its parent's has. It
// does not wait for the process to come: what it is to do is in its memory.
func (as *space) fork(t *thread) (*space, error) {
	c, err := newChunk()
	if err != nil {
		return nil, errno.EAGAIN
	}
	child := as.p.newSpace(c, t.number)
	n, b, err := as.p.expect(child, c.memory)
	if err != nil {
		child.ended()
		child.discard()
		return nil, err
	}
	as.patches.mu.Lock()
	as.mu.Lock()
	pid, err := t.clone(commandFork, 0, cloneProcess, n[0], n[1])
	as.patches.fork(&child.patches)
	as.mu.Unlock()
	as.patches.mu.Unlock()
	if err != nil {
		as.p.forget(n, b)
		child.discard()
		return nil, err
	}
	as.p.claim(n, b, int(pid))
	return child, nil
}

// discard closes a space and its thread, which nobody has seen.
func (as *space) discard() {
	as.Close()
	as.life.Lock()
	defer as.life.Unlock()
	as.open = 0
	as.releaseLocked()
}

// begin is called when the process has reported.
func (as *space) begin(pid int) {
	as.life.Lock()
	defer as.life.Unlock()
	as.first.tid = pid
	as.pid.Store(int32(pid))
	close(as.born)
	if as.dead.Load() {
		host.Kill(pid, unix.SIGKILL)
	}
}

// process is the number of the process, for which it waits; 0: it never came.
func (as *space) process() int {
	if pid := as.pid.Load(); pid != 0 {
		return int(pid)
	}
	<-as.born
	return int(as.pid.Load())
}

// NewThread implements platform.AddressSpace.
func (as *space) NewThread(by platform.Thread) (platform.Thread, error) {
	t, err := as.by(by)
	if err != nil {
		return nil, err
	}
	if !as.p.count(1) {
		return nil, errno.EAGAIN
	}
	child, err := as.addThread(t)
	if err != nil {
		as.p.count(-1)
		return nil, err
	}
	return child, nil
}

func (as *space) addThread(t *thread) (*thread, error) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if n := len(as.parked); n > 0 {
		child := as.parked[n-1]
		as.parked = as.parked[:n-1]
		return child, child.revive(t)
	}
	number, err := as.newAreaLocked(t)
	if err != nil {
		return nil, err
	}
	child := as.newThread(number)
	tid, err := t.clone(commandThread, 0, cloneThread, child.address())
	if err == nil && host.Tgkill(as.process(), int(tid), 0) != nil {
		err = errno.ESRCH // no thread of this process: it lies, or has ended
	}
	if err != nil {
		as.life.Lock()
		delete(as.threads, child)
		as.open--
		as.life.Unlock()
		return nil, err
	}
	child.tid = int(tid)
	return child, nil
}

// newAreaLocked finds a free area. An area whose thread could not be made is
// lost until the process ends.
func (as *space) newAreaLocked(t *thread) (int, error) {
	for i, c := range as.chunks {
		if c == nil {
			c, err := newChunk()
			if err != nil {
				return 0, errno.EAGAIN
			}
			const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_FIXED
			_, err = t.mapFile(c.memory.Number(), uint64(areaStart+i*chunkSize), chunkSize, prot, flags, 0)
			c.memory.Close()
			if err != nil {
				host.Unmap(c.bytes)
				return 0, err
			}
			as.chunks[i] = c
		}
		if c := as.chunks[i]; c.used < chunkAreas {
			c.used++
			return i*chunkAreas + c.used - 1, nil
		}
	}
	return 0, errno.EAGAIN
}

// ReadAt implements platform.AddressSpace.
func (as *space) ReadAt(b []byte, addr uintptr) (int, error) {
	n, err := as.read(b, addr)
	as.patches.hide(b[:n], addr)
	return n, err
}

// read is ReadAt with what is there, patched or not.
func (as *space) read(b []byte, addr uintptr) (int, error) {
	if as.dead.Load() {
		return 0, errno.EFAULT
	}
	return bounds.Read(as.process(), b, addr)
}

// WriteAt implements platform.AddressSpace.
func (as *space) WriteAt(b []byte, addr uintptr) (int, error) {
	if as.dead.Load() {
		return 0, errno.EFAULT
	}
	return bounds.Write(as.process(), b, addr)
}

// ReadVec implements platform.AddressSpace.
func (as *space) ReadVec(b []byte, vec []platform.Range) (int, error) {
	if as.dead.Load() {
		return 0, errno.EFAULT
	}
	n, err := bounds.ReadVec(as.process(), b, vec)
	at := 0
	for _, r := range vec {
		l := min(int(r.Len()), n-at)
		if l <= 0 {
			break
		}
		as.patches.hide(b[at:at+l], r.Start)
		at += l
	}
	return n, err
}

// WriteVec implements platform.AddressSpace.
func (as *space) WriteVec(b []byte, vec []platform.Range) (int, error) {
	if as.dead.Load() {
		return 0, errno.EFAULT
	}
	return bounds.WriteVec(as.process(), b, vec)
}

// CompareAndSwap implements platform.AddressSpace.
func (as *space) CompareAndSwap(by platform.Thread, addr uintptr, old, new uint32) (uint32, error) {
	t, err := as.by(by)
	if err != nil {
		return 0, err
	}
	if addr%4 != 0 {
		return 0, errno.EINVAL
	}
	if bounds.Within(addr, 4) < 4 {
		return 0, errno.EFAULT
	}
	v, err := t.command(commandSwap, 0, uint64(addr), uint64(old), uint64(new))
	return uint32(v), err
}

// Resident implements platform.AddressSpace. The answer passes through memory
// of the guest, which can only deceive itself.
func (as *space) Resident(by platform.Thread, addr, length uintptr, vec []byte) error {
	if err := bounds.Check(addr, length); err != nil {
		return err
	}
	t, err := as.by(by)
	if err != nil {
		return err
	}
	if uintptr(len(vec)) < length/pageSize {
		return errno.EINVAL
	}
	for vec = vec[:length/pageSize]; len(vec) > 0; {
		n := min(len(vec), len(t.area.data))
		if _, err := t.syscall(unix.SYS_MINCORE, uint64(addr), uint64(n)*pageSize, t.dataAddress()); err != nil {
			return err
		}
		copy(vec[:n], t.area.data[:])
		vec, addr = vec[n:], addr+uintptr(n)*pageSize
	}
	return nil
}

// SetName implements platform.Namer.
func (as *space) SetName(by platform.Thread, name string) error {
	t, err := as.by(by)
	if err != nil {
		return err
	}
	var comm [linux.TASK_COMM_LEN]byte
	copy(comm[:len(comm)-1], name)
	copy(t.area.data[:], comm[:])
	_, err = t.syscall(unix.SYS_PRCTL, unix.PR_SET_NAME, t.dataAddress())
	return err
}

// Close implements platform.AddressSpace.
func (as *space) Close() {
	as.kill()
	as.life.Lock()
	defer as.life.Unlock()
	as.closed = true
	as.releaseLocked()
}

// kill makes the host end the process.
func (as *space) kill() {
	as.dead.Store(true)
	as.life.Lock()
	pid := as.pid.Load()
	if !as.reaped && pid != 0 {
		host.Kill(int(pid), unix.SIGKILL)
	}
	as.life.Unlock()
	if pid == 0 && as.unborn != nil {
		as.unborn()
	}
}

// ended is called when the process has ended, before its number is free, or is
// known not to come.
func (as *space) ended() {
	as.dead.Store(true)
	as.life.Lock()
	defer as.life.Unlock()
	as.reaped = true
	for t := range as.threads {
		atomic.StoreUint32(&t.area.turn, 1)
		host.FutexWake(&t.area.turn, 1)
	}
	if as.pid.Load() == 0 {
		close(as.born)
	}
	close(as.end)
	as.releaseLocked()
}

// releaseLocked gives the memory back when nobody can use it any more.
func (as *space) releaseLocked() {
	if !as.closed || !as.reaped || as.open > 0 {
		return
	}
	for i, c := range as.chunks {
		if c != nil {
			as.chunks[i] = nil
			host.Unmap(c.bytes)
		}
	}
	as.threads = nil
}
