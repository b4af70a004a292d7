package ptrace

import (
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// makeTemplate forks this process into one that has nothing of it: no memory
// but the stub's two pages and the vDSO, no descriptor but the socket, no
// signal handler. It leaves it stopped, traced by the calling thread.
func (p *Platform) makeTemplate() (*tracee, error) {
	// The child starts on a copy of the stub that lies where there is room
	// here, and moves another copy to its place when everything else is gone.
	start, err := mapImage()
	if err != nil {
		return nil, err
	}
	defer unmap(start)
	final, err := mapImage()
	if err != nil {
		return nil, err
	}
	defer unmap(final)

	p.layout = platform.Layout{Min: minAddr, Max: maxAddr}
	p.layout.VVar, p.layout.VDSO = findVDSO()

	pid, err := forkBlocked(start.Start + doSyscall*routineGap + 2)
	if err != nil {
		return nil, fmt.Errorf("fork: %w", err)
	}
	t := &tracee{tid: pid}
	if err := p.emptyTemplate(t, start, final); err != nil {
		host.Kill(pid, unix.SIGKILL)
		t.lost(errno.ESRCH)
		return nil, err
	}
	return t, nil
}

// forkBlocked forks with all signals blocked, so that no handler of the Go
// runtime can run in the child.
func forkBlocked(child uintptr) (int, error) {
	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
		return 0, err
	}
	var action [4]uint64
	pid := forkTemplate(child, &action)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil); err != nil {
		return 0, err
	}
	if pid < 0 {
		return 0, errno.FromHost(syscall.Errno(-pid))
	}
	return pid, nil
}

func (p *Platform) emptyTemplate(t *tracee, start, final platform.Range) error {
	status, err := t.wait()
	if err != nil {
		return fmt.Errorf("the child ended: %w", err)
	}
	if status.StopSignal() != unix.SIGTRAP {
		return fmt.Errorf("the child stopped with %v", status.StopSignal())
	}
	if err := host.PtraceSetOptions(t.tid, seizeOptions); err != nil {
		return fmt.Errorf("set ptrace options: %w", err)
	}
	at := uint64(start.Start)
	step := func(what string, nr uint64, args ...uint64) {
		if err != nil {
			return
		}
		regs := callRegs(nr, args...)
		if err = t.call(at, &regs); err == nil {
			_, err = callResult(regs.Rax)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
	}

	// A C library has registered a part of the memory that is unmapped below
	// (Go has not, except under the race detector). An old kernel cannot
	// tell, and has no C library that does.
	var rseq host.Rseq
	if host.PtraceGetRseq(t.tid, &rseq) == nil && rseq.Addr != 0 {
		const unregister = 1
		step("unregister rseq", unix.SYS_RSEQ, rseq.Addr, uint64(rseq.Size), unregister, uint64(rseq.Signature))
	}
	// Tracing by others than its parent needs a dumpable process; a Sentry
	// that has changed its credentials is not.
	step("make it dumpable", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
	step("set the signal of the parent's death", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uint64(unix.SIGKILL))
	step("set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	for _, r := range gaps(start, final, platform.Range{Start: p.layout.VVar.Start, End: p.layout.VDSO.End}) {
		step("unmap the Sentry's memory", unix.SYS_MUNMAP, uint64(r.Start), uint64(r.Len()))
	}
	for i := range uint64(2) {
		step("move the stub", unix.SYS_MREMAP, uint64(final.Start)+i*pageSize, pageSize, pageSize,
			unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, stubCode+i*pageSize)
	}
	at = entry(doSyscall)
	step("unmap the first copy of the stub", unix.SYS_MUNMAP, uint64(start.Start), uint64(start.Len()))
	if p.receiver != 0 {
		step("place the socket", unix.SYS_DUP2, uint64(p.receiver), 0)
	}
	step("close descriptors (Linux 5.9 or newer?)", unix.SYS_CLOSE_RANGE, 1, uint64(^uint32(0)), 0)
	if err != nil {
		return err
	}
	return p.confineTemplate(t, step, &err)
}

// confineTemplate names the process, clears its signal mask and core limit and
// installs the filter, through the scratch page.
func (p *Platform) confineTemplate(t *tracee, step func(string, uint64, ...uint64), err *error) error {
	const filterAt = 64
	filter, buildErr := stubFilter()
	if buildErr != nil {
		return buildErr
	}
	scratch := make([]byte, filterAt, filterAt+len(filter))
	copy(scratch, platform.HostName)                                   // 0: the name
	binary.LittleEndian.PutUint16(scratch[32:], uint16(len(filter)/8)) // 32: struct sock_fprog
	binary.LittleEndian.PutUint64(scratch[40:], uint64(stubData)+filterAt)
	scratch = append(scratch, filter...) // 16: struct rlimit, zero
	if _, err := host.WriteProcess(t.tid, scratch, stubData); err != nil {
		return fmt.Errorf("write its memory: %w", err)
	}
	if err := host.PtraceSetSigMask(t.tid, 0); err != nil {
		return fmt.Errorf("set its signal mask: %w", err)
	}
	state := make([]byte, maxState)
	n, errFP := host.PtraceGetRegSet(t.tid, host.RegSetXState, state)
	p.freshFP = freshState(state[:n])
	p.stateSize = guestStateSize(state[:n])
	if errFP == nil {
		errFP = host.PtraceSetRegSet(t.tid, host.RegSetXState, p.freshFP)
	}
	if errFP != nil {
		return fmt.Errorf("clear its floating point state: %w", errFP)
	}
	const setModeFilter = 1
	step("name it", unix.SYS_PRCTL, unix.PR_SET_NAME, stubData)
	step("forbid core files", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_CORE, stubData+16, 0)
	step("install the seccomp filter", unix.SYS_SECCOMP, setModeFilter, 0, stubData+32)
	if *err != nil {
		return *err
	}
	if _, err := host.WriteProcess(t.tid, make([]byte, len(scratch)), stubData); err != nil {
		return fmt.Errorf("clear its memory: %w", err)
	}
	return nil
}

// mapImage maps the stub's two pages somewhere.
func mapImage() (platform.Range, error) {
	b, err := unix.Mmap(-1, 0, 2*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return platform.Range{}, fmt.Errorf("map the stub: %w", err)
	}
	copy(b, image)
	if err := unix.Mprotect(b[:pageSize], unix.PROT_READ|unix.PROT_EXEC); err != nil {
		unix.Munmap(b)
		return platform.Range{}, fmt.Errorf("make the stub executable: %w", err)
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return platform.Range{Start: at, End: at + 2*pageSize}, nil
}

func unmap(r platform.Range) {
	unix.Munmap(unsafe.Slice((*byte)(unsafe.Add(nil, r.Start)), r.Len()))
}

// gaps returns what the address space has besides the given ranges.
func gaps(keep ...platform.Range) []platform.Range {
	keep = slices.DeleteFunc(keep, func(r platform.Range) bool { return r.Len() == 0 })
	slices.SortFunc(keep, func(a, b platform.Range) int {
		if a.Start < b.Start {
			return -1
		}
		return 1
	})
	var all []platform.Range
	at := uintptr(0)
	for _, r := range append(keep, platform.Range{Start: taskSize}) {
		if r.Start > at {
			all = append(all, platform.Range{Start: at, End: r.Start})
		}
		at = r.End
	}
	return all
}

// findVDSO finds the vDSO and the data pages before it, without /proc.
func findVDSO() (vvar, vdso platform.Range) {
	auxv, err := unix.Auxv()
	if err != nil {
		return
	}
	const atSysinfoEhdr = 33
	for _, kv := range auxv {
		if kv[0] == atSysinfoEhdr && kv[1] != 0 && kv[1]%pageSize == 0 {
			vdso.Start = kv[1]
		}
	}
	if vdso.Start == 0 {
		return
	}
	vdso.End = vdso.Start + elfLength(vdso.Start)
	// The data pages are mapped like those of a device.
	vvar.Start, vvar.End = vdso.Start, vdso.Start
	for isDevice(vvar.Start - pageSize) {
		vvar.Start -= pageSize
	}
	return vvar, vdso
}

// elfLength is the length of the vDSO's image: its section headers come last.
func elfLength(addr uintptr) uintptr {
	header := unsafe.Slice((*byte)(unsafe.Add(nil, addr)), 64)
	sections := binary.LittleEndian.Uint64(header[40:])
	size := binary.LittleEndian.Uint16(header[58:])
	count := binary.LittleEndian.Uint16(header[60:])
	end := uintptr(sections) + uintptr(size)*uintptr(count)
	return (end + pageSize - 1) &^ (pageSize - 1)
}

// isDevice tells whether a page of this process is mapped like a device's: the
// host refuses to change what a fork does with it. For other pages the advice
// asks for what is so already.
func isDevice(addr uintptr) bool {
	_, _, e := syscall.RawSyscall(unix.SYS_MADVISE, addr, pageSize, unix.MADV_DOFORK)
	return e == unix.EINVAL
}
