package stub

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

// Template is the process from which empty stubs are forked. It has nothing of
// the Sentry: no memory but the image and the vDSO, no descriptor but the one
// that it was told to keep, no signal handler. It stands at a stop of ptrace.
type Template struct {
	Tracee
	VVar, VDSO platform.Range

	// FreshFP is the floating point state of a new process, as large as the
	// host has it; a guest sees StateSize of one.
	FreshFP   []byte
	StateSize int
}

// Options say how a template differs from an empty process.
type Options struct {
	// KeepFD becomes descriptor 0 of the template; -1 for none.
	KeepFD int

	// Prepare makes system calls in the template before it is confined. The
	// data page is free for it.
	Prepare func(t *Template) error

	// Filter is the program for seccomp(2), FilterFlags its flags. The result
	// of the call is passed to Confined.
	Filter      []byte
	FilterFlags uint64
	Confined    func(result uint64)
}

// NewTemplate forks this process. The calling thread, which traces the template
// and is the parent of all stubs, must be locked and live as long as they do.
func NewTemplate(image *Image, o Options) (*Template, error) {
	// The child starts on a copy of the stub that lies where there is room
	// here, and moves another copy to its place when everything else is gone.
	start, err := image.mapCopy()
	if err != nil {
		return nil, err
	}
	defer unmap(start)
	final, err := image.mapCopy()
	if err != nil {
		return nil, err
	}
	defer unmap(final)
	t := &Template{Tracee: Tracee{Image: image}}
	t.VVar, t.VDSO = findVDSO()
	// The child begins at the breakpoint behind the system call.
	if t.TID, err = forkBlocked(start.Start + image.Call + 2); err != nil {
		return nil, fmt.Errorf("fork: %w", err)
	}
	if err := t.prepare(start, final, &o); err != nil {
		t.End()
		return nil, err
	}
	return t, nil
}

// End kills and reaps the process.
func (t *Tracee) End() {
	host.Kill(t.TID, unix.SIGKILL)
	t.Lost(errno.ESRCH)
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

func (t *Template) prepare(start, final platform.Range, o *Options) error {
	status, err := t.Wait()
	if err != nil {
		return fmt.Errorf("the child ended: %w", err)
	}
	if status.StopSignal() != unix.SIGTRAP {
		return fmt.Errorf("the child stopped with %v", status.StopSignal())
	}
	if err := host.PtraceSetOptions(t.TID, seizeOptions); err != nil {
		return fmt.Errorf("set ptrace options: %w", err)
	}
	if err := t.empty(start, final, o.KeepFD); err != nil {
		return err
	}
	if o.Prepare != nil {
		if err := o.Prepare(t); err != nil {
			return err
		}
	}
	return t.confine(o)
}

// empty takes from the process all that it has of the Sentry.
func (t *Template) empty(start, final platform.Range, keepFD int) (err error) {
	at := uint64(start.Start + t.Image.Call)
	step := func(what string, nr uint64, args ...uint64) {
		if err != nil {
			return
		}
		regs := CallRegs(nr, args...)
		if err = t.Call(at, &regs); err == nil {
			_, err = CallResult(regs.Rax)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
	}

	// A C library has registered a part of the memory that is unmapped below
	// (Go has not, except under the race detector). An old kernel cannot
	// tell, and has no C library that does.
	var rseq host.Rseq
	if host.PtraceGetRseq(t.TID, &rseq) == nil && rseq.Addr != 0 {
		const unregister = 1
		step("unregister rseq", unix.SYS_RSEQ, rseq.Addr, uint64(rseq.Size), unregister, uint64(rseq.Signature))
	}
	// Tracing by others than its parent needs a dumpable process; a Sentry
	// that has changed its credentials is not.
	step("make it dumpable", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)
	step("set the signal of the parent's death", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uint64(unix.SIGKILL))
	step("set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	for _, r := range gaps(start, final, platform.Range{Start: t.VVar.Start, End: t.VDSO.End}) {
		step("unmap the Sentry's memory", unix.SYS_MUNMAP, uint64(r.Start), uint64(r.Len()))
	}
	for i := uint64(0); i < uint64(final.Len()); i += pageSize {
		step("move the stub", unix.SYS_MREMAP, uint64(final.Start)+i, pageSize, pageSize,
			unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, uint64(t.Image.Base)+i)
	}
	at = t.Image.CallAddr()
	step("unmap the first copy of the stub", unix.SYS_MUNMAP, uint64(start.Start), uint64(start.Len()))
	first := uint64(0)
	if keepFD > 0 {
		step("place the descriptor", unix.SYS_DUP2, uint64(keepFD), 0)
	}
	if keepFD >= 0 {
		first = 1
	}
	step("close descriptors (Linux 5.9 or newer?)", unix.SYS_CLOSE_RANGE, first, uint64(^uint32(0)), 0)
	return err
}

// confine names the process, clears its signal mask and core limit and
// installs the filter, through the data page.
func (t *Template) confine(o *Options) error {
	const filterAt = 64
	data := uint64(t.Image.Data())
	scratch := make([]byte, filterAt, filterAt+len(o.Filter))
	copy(scratch, platform.HostName)                                     // 0: the name
	binary.LittleEndian.PutUint16(scratch[32:], uint16(len(o.Filter)/8)) // 32: struct sock_fprog
	binary.LittleEndian.PutUint64(scratch[40:], data+filterAt)
	scratch = append(scratch, o.Filter...) // 16: struct rlimit, zero
	if _, err := host.WriteProcess(t.TID, scratch, uintptr(data)); err != nil {
		return fmt.Errorf("write its memory: %w", err)
	}
	if err := host.PtraceSetSigMask(t.TID, 0); err != nil {
		return fmt.Errorf("set its signal mask: %w", err)
	}
	state := make([]byte, MaxState)
	n, err := host.PtraceGetRegSet(t.TID, host.RegSetXState, state)
	t.FreshFP = FreshState(state[:n])
	t.StateSize = GuestStateSize(state[:n])
	if err == nil {
		err = host.PtraceSetRegSet(t.TID, host.RegSetXState, t.FreshFP)
	}
	if err != nil {
		return fmt.Errorf("clear its floating point state: %w", err)
	}
	if _, err := t.Syscall(unix.SYS_PRCTL, unix.PR_SET_NAME, data); err != nil {
		return fmt.Errorf("name it: %w", err)
	}
	if _, err := t.Syscall(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_CORE, data+16, 0); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	const setModeFilter = 1
	result, err := t.Syscall(unix.SYS_SECCOMP, setModeFilter, o.FilterFlags, data+32)
	if err != nil {
		return fmt.Errorf("install the seccomp filter: %w", err)
	}
	if _, err := host.WriteProcess(t.TID, make([]byte, len(scratch)), uintptr(data)); err != nil {
		return fmt.Errorf("clear its memory: %w", err)
	}
	if o.Confined != nil {
		o.Confined(result)
	}
	return nil
}

// mapCopy maps the image and its data page somewhere.
func (i *Image) mapCopy() (platform.Range, error) {
	code := len(i.Code)
	b, err := unix.Mmap(-1, 0, code+pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return platform.Range{}, fmt.Errorf("map the stub: %w", err)
	}
	copy(b, i.Code)
	if err := unix.Mprotect(b[:code], unix.PROT_READ|unix.PROT_EXEC); err != nil {
		unix.Munmap(b)
		return platform.Range{}, fmt.Errorf("make the stub executable: %w", err)
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return platform.Range{Start: at, End: at + uintptr(len(b))}, nil
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
