package ptrace

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// space implements platform.AddressSpace.
type space struct {
	p    *Platform
	pid  int
	dead atomic.Bool // the process was or is being killed

	// mu serialises what would mix up the descriptors of the process: a
	// descriptor on its way into it must not go on into a fork. It also
	// guards the fields below.
	mu      sync.Mutex
	threads int  // not yet closed
	closed  bool // by Close

	reaped atomic.Bool // the process; its number is no longer ours
}

func (p *Platform) newSpace(pid int) *space {
	as := &space{p: p, pid: pid}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spaces[as] = true
	return as
}

func (as *space) newThread(tid int) *thread {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.threads++
	t := &thread{as: as, Tracee: stub.Tracee{TID: tid, Image: image}, leader: tid == as.pid}
	t.placed.Stub = tid
	if t.leader {
		t.Reaped = &as.reaped
	}
	return t
}

// by returns the calling goroutine's thread.
func (as *space) by(t platform.Thread) (*thread, error) {
	th, ok := t.(*thread)
	if !ok || th.as != as {
		return nil, errno.EINVAL
	}
	if as.dead.Load() {
		return nil, errno.ESRCH
	}
	return th, th.own()
}

// call makes a system call in the stub.
func (as *space) call(by platform.Thread, nr uint64, args ...uint64) (uint64, error) {
	t, err := as.by(by)
	if err != nil {
		return 0, err
	}
	return t.Syscall(nr, args...)
}

// bounds are what a guest may use.
var bounds = stub.Bounds{Min: minAddr, Max: maxAddr}

// Map implements platform.AddressSpace.
func (as *space) Map(by platform.Thread, m platform.Mapping) error {
	flags, err := bounds.MapFlags(&m)
	if err != nil {
		return err
	}
	if m.FD < 0 {
		_, err := as.call(by, unix.SYS_MMAP, uint64(m.Addr), uint64(m.Length), uint64(m.Prot), flags, ^uint64(0), 0)
		return err
	}
	t, err := as.by(by)
	if err != nil {
		return err
	}
	return as.mapFile(t, m, flags)
}

// mapFile sends the descriptor to the stub, which maps and closes it.
func (as *space) mapFile(t *thread, m platform.Mapping, flags uint64) error {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.p.fdMu.Lock()
	defer as.p.fdMu.Unlock()

	regs := stub.CallRegs(unix.SYS_RECVMSG, 0, stubData, unix.MSG_DONTWAIT)
	regs.R12, regs.R13, regs.R14, regs.R15 = uint64(m.Addr), uint64(m.Length), uint64(m.Prot), flags
	regs.Rbx = uint64(m.Offset)
	if _, err := host.WriteProcess(as.pid, receiveMessage, stubData); err != nil {
		return err
	}
	if err := host.SendFD(as.p.sender, m.FD); err != nil {
		return err
	}
	err := t.Call(entry(doMapFile), &regs)
	if err != nil || regs.R8 == 0 {
		// The guest spoiled the message that lies in its memory, or is
		// dead. Nobody else may get the descriptor.
		host.DropMessages(as.p.receiver)
	}
	if err != nil {
		return err
	}
	_, err = stub.CallResult(regs.Rax)
	return err
}

// receiveMessage is what the scratch page holds for recvmsg: struct msghdr,
// one struct iovec for one byte, and room for one descriptor.
var receiveMessage = func() []byte {
	const iov, data, control, controlLength = 56, 72, 80, 24
	b := make([]byte, control+controlLength)
	put := func(at int, v uint64) { binary.LittleEndian.PutUint64(b[at:], v) }
	put(16, stubData+iov)
	put(24, 1)
	put(32, stubData+control)
	put(40, controlLength)
	put(iov, stubData+data)
	put(iov+8, 1)
	return b
}()

// Unmap implements platform.AddressSpace.
func (as *space) Unmap(by platform.Thread, addr, length uintptr) error {
	if err := bounds.Check(addr, length); err != nil {
		return err
	}
	_, err := as.call(by, unix.SYS_MUNMAP, uint64(addr), uint64(length))
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
	_, err := as.call(by, unix.SYS_MPROTECT, uint64(addr), uint64(length), uint64(prot))
	return err
}

// Move implements platform.AddressSpace.
func (as *space) Move(by platform.Thread, old, oldLength, new, newLength uintptr, flags int) error {
	how, err := bounds.MoveFlags(old, oldLength, new, newLength, flags)
	if err != nil {
		return err
	}
	_, err = as.call(by, unix.SYS_MREMAP, uint64(old), uint64(oldLength), uint64(newLength), how, uint64(new))
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
	if err := as.p.room.take(); err != nil {
		return nil, nil, err
	}
	as.mu.Lock()
	pid, err := clone(&t.Tracee, cloneProcess)
	as.mu.Unlock()
	if err != nil {
		as.p.room.give()
		return nil, nil, err
	}
	child := as.p.newSpace(pid)
	return child, child.newThread(pid), nil
}

// NewThread implements platform.AddressSpace.
func (as *space) NewThread(by platform.Thread) (platform.Thread, error) {
	t, err := as.by(by)
	if err != nil {
		return nil, err
	}
	if err := as.p.room.take(); err != nil {
		return nil, err
	}
	tid, err := t.cloneSibling()
	if err != nil {
		as.p.room.give()
		return nil, err
	}
	return as.newThread(tid), nil
}

// clone makes a host thread or process, which waits in the stub's code. Its
// number comes from a register that no guest code has touched.
func clone(t *stub.Tracee, flags uint64) (int, error) {
	regs := stub.CallRegs(unix.SYS_CLONE, flags)
	if err := t.Call(entry(doClone), &regs); err != nil {
		return 0, err
	}
	tid, err := stub.CallResult(regs.Rax)
	return int(tid), err
}

// ReadAt implements platform.AddressSpace.
func (as *space) ReadAt(b []byte, addr uintptr) (int, error) {
	if as.dead.Load() {
		return 0, errno.EFAULT
	}
	return bounds.Read(as.pid, b, addr)
}

// WriteAt implements platform.AddressSpace.
func (as *space) WriteAt(b []byte, addr uintptr) (int, error) {
	if as.dead.Load() {
		return 0, errno.EFAULT
	}
	return bounds.Write(as.pid, b, addr)
}

// ReadVec implements platform.AddressSpace.
func (as *space) ReadVec(b []byte, vec []platform.Range) (int, error) {
	if as.dead.Load() {
		return 0, errno.EFAULT
	}
	return bounds.ReadVec(as.pid, b, vec)
}

// WriteVec implements platform.AddressSpace.
func (as *space) WriteVec(b []byte, vec []platform.Range) (int, error) {
	if as.dead.Load() {
		return 0, errno.EFAULT
	}
	return bounds.WriteVec(as.pid, b, vec)
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
	regs := platform.Registers{Rax: uint64(old), Rdx: uint64(new), Rdi: uint64(addr)}
	if err := t.Call(entry(doCompareAndSwap), &regs); err != nil {
		return 0, err
	}
	return uint32(regs.Rax), nil
}

// Resident implements platform.AddressSpace. The answer passes through memory
// of the guest, which can only deceive itself.
func (as *space) Resident(by platform.Thread, addr, length uintptr, vec []byte) error {
	if err := bounds.Check(addr, length); err != nil {
		return err
	}
	if uintptr(len(vec)) < length/pageSize {
		return errno.EINVAL
	}
	for vec = vec[:length/pageSize]; len(vec) > 0; {
		n := min(len(vec), pageSize) // a page of answers
		if _, err := as.call(by, unix.SYS_MINCORE, uint64(addr), uint64(n)*pageSize, stubData); err != nil {
			return err
		}
		if _, err := host.ReadProcess(as.pid, vec[:n], stubData); err != nil {
			return err
		}
		vec, addr = vec[n:], addr+uintptr(n)*pageSize
	}
	return nil
}

// SetName implements platform.Namer. The name passes through memory of the
// guest, which can only give itself another.
func (as *space) SetName(by platform.Thread, name string) error {
	var comm [linux.TASK_COMM_LEN]byte
	copy(comm[:len(comm)-1], name)
	if _, err := host.WriteProcess(as.pid, comm[:], stubData); err != nil {
		return err
	}
	_, err := as.call(by, unix.SYS_PRCTL, unix.PR_SET_NAME, stubData)
	return err
}

// Close implements platform.AddressSpace.
func (as *space) Close() {
	as.dead.Store(true)
	as.kill()
	as.mu.Lock()
	as.closed = true
	as.reapLocked()
	as.mu.Unlock()
	as.p.mu.Lock()
	delete(as.p.spaces, as)
	as.p.mu.Unlock()
}

// kill makes the host end the process.
func (as *space) kill() {
	as.mu.Lock()
	defer as.mu.Unlock()
	if !as.reaped.Load() {
		host.Kill(as.pid, unix.SIGKILL)
	}
}

func (as *space) threadClosed() {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.threads--
	as.p.room.give()
	as.reapLocked()
}

// reapLocked waits for the end of the process when nobody needs it any more.
// It was killed, and no thread is left that another host thread must reap, so
// it does not take long.
func (as *space) reapLocked() {
	if !as.closed || as.threads > 0 || as.reaped.Load() {
		return
	}
	for {
		status, err := host.Wait(as.pid)
		if err != nil || status.Exited() || status.Signaled() {
			break
		}
	}
	as.reaped.Store(true)
}
