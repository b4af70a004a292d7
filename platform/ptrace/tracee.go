package ptrace

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

const (
	// Selectors of a 64-bit and of a 32-bit process.
	userCS   = 0x33
	userCS32 = 0x23
	userSS   = 0x2b

	// The processor sets bit 1; interrupts are on.
	cleanEflags = 0x202

	noSyscall = ^uint64(0)

	seizeOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL

	// syscallStop is what a tracee that stands at a system call reports
	// under TRACESYSGOOD.
	syscallStop = unix.SIGTRAP | 0x80

	eventStop = 128 // PTRACE_EVENT_STOP
)

// tracee is a host thread that this thread traces.
type tracee struct {
	tid    int
	dead   bool         // it cannot be used any more
	reaped *atomic.Bool // set when it was reaped, unless nil

	// regs is what the host has, unless stale.
	regs  platform.Registers
	stale bool
}

func userRegs(r *platform.Registers) *host.UserRegs {
	return (*host.UserRegs)(unsafe.Pointer(r))
}

// seize becomes the tracer of a thread that runs stub code and stops it.
func (t *tracee) seize() error {
	if err := host.PtraceSeize(t.tid, seizeOptions); err != nil {
		return err
	}
	if err := host.PtraceInterrupt(t.tid); err != nil {
		return t.lost(err)
	}
	for {
		status, err := t.wait()
		if err != nil {
			return err
		}
		if int(status)>>16 == eventStop {
			t.stale = true
			return nil
		}
		// A signal from outside came first; the stop is still to come.
		if err := host.PtraceCont(t.tid); err != nil {
			return t.lost(err)
		}
	}
}

// wait waits for the next stop. ESRCH: the thread has ended.
func (t *tracee) wait() (unix.WaitStatus, error) {
	status, err := host.Wait(t.tid)
	if err != nil || status.Exited() || status.Signaled() {
		t.dead = true
		if err == nil && t.reaped != nil {
			t.reaped.Store(true)
		}
		return 0, errno.ESRCH
	}
	return status, nil
}

// call runs a routine of the stub with the given registers to its trap and
// returns the registers then. The tracee's own registers are lost; the next
// Switch sets them all. ESRCH: the thread has ended. EFAULT: the routine did.
func (t *tracee) call(routine uint64, regs *platform.Registers) error {
	regs.Rip = routine
	regs.Cs, regs.Ss, regs.Eflags, regs.OrigRax = userCS, userSS, cleanEflags, noSyscall
	t.stale = true
	if err := host.PtraceSetRegs(t.tid, userRegs(regs)); err != nil {
		return t.lost(err)
	}
	for {
		if err := host.PtraceCont(t.tid); err != nil {
			return t.lost(err)
		}
		status, err := t.wait()
		if err != nil {
			return err
		}
		switch status.StopSignal() {
		case unix.SIGTRAP:
			if err := host.PtraceGetRegs(t.tid, userRegs(regs)); err != nil {
				return t.lost(err)
			}
			if behindTrap(routine, regs.Rip) {
				return nil
			}
		case unix.SIGSEGV, unix.SIGBUS:
			var info host.SigInfo
			if err := host.PtraceGetSigInfo(t.tid, &info); err != nil {
				return t.lost(err)
			}
			if info.Code > 0 {
				return errno.EFAULT
			}
		}
		// It came from outside, or is an interrupt, which the next Switch
		// sees by its flag.
	}
}

// behindTrap says whether a program counter is behind the breakpoint of a
// routine, where only that routine's end can have brought it.
func behindTrap(routine, pc uint64) bool {
	return pc-routine-1 < routineGap && image[(pc-1)%pageSize] == breakpoint
}

// lost tells why a request to a stopped tracee failed: usually it was killed.
func (t *tracee) lost(err error) error {
	if err != errno.ESRCH {
		return err
	}
	for !t.dead {
		if _, err := t.wait(); err != nil {
			break
		}
		// A stop that was still to be reported before the end.
	}
	return errno.ESRCH
}

// syscall makes one system call in the stub.
func (t *tracee) syscall(nr uint64, args ...uint64) (uint64, error) {
	regs := callRegs(nr, args...)
	if err := t.call(entry(doSyscall), &regs); err != nil {
		return 0, err
	}
	return callResult(regs.Rax)
}

func callRegs(nr uint64, args ...uint64) platform.Registers {
	regs := platform.Registers{Rax: nr}
	for i, p := range [...]*uint64{&regs.Rdi, &regs.Rsi, &regs.Rdx, &regs.R10, &regs.R8, &regs.R9} {
		if i < len(args) {
			*p = args[i]
		}
	}
	return regs
}

// callResult reads what a system call left in the result register.
func callResult(rax uint64) (uint64, error) {
	if rax >= ^uint64(4094) {
		return 0, errno.FromHost(unix.Errno(-rax))
	}
	return rax, nil
}
