package stub

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
	UserCS   = 0x33
	UserCS32 = 0x23
	UserSS   = 0x2b

	// The processor sets bit 1; interrupts are on.
	CleanEflags = 0x202

	// NoSyscall is OrigRax where there is no system call.
	NoSyscall = ^uint64(0)

	seizeOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL

	// SyscallStop is what a tracee that stands at a system call reports
	// under TRACESYSGOOD.
	SyscallStop = unix.SIGTRAP | 0x80

	eventStop = 128 // PTRACE_EVENT_STOP
)

// Tracee is a host thread that this thread traces.
type Tracee struct {
	TID    int
	Image  *Image       // the stub's code
	Dead   bool         // it cannot be used any more
	Reaped *atomic.Bool // set when it was reaped, unless nil

	// Regs is what the host has, unless Stale.
	Regs  platform.Registers
	Stale bool
}

// UserRegs is r as ptrace(2) takes it.
func UserRegs(r *platform.Registers) *host.UserRegs {
	return (*host.UserRegs)(unsafe.Pointer(r))
}

// Seize becomes the tracer of a thread that runs stub code and stops it.
func (t *Tracee) Seize() error {
	if err := host.PtraceSeize(t.TID, seizeOptions); err != nil {
		return err
	}
	if err := host.PtraceInterrupt(t.TID); err != nil {
		return t.Lost(err)
	}
	for {
		status, err := t.Wait()
		if err != nil {
			return err
		}
		if int(status)>>16 == eventStop {
			t.Stale = true
			return nil
		}
		// A signal from outside came first; the stop is still to come.
		if err := host.PtraceCont(t.TID); err != nil {
			return t.Lost(err)
		}
	}
}

// Wait waits for the next stop. ESRCH: the thread has ended.
func (t *Tracee) Wait() (unix.WaitStatus, error) {
	status, err := host.Wait(t.TID)
	if err != nil || status.Exited() || status.Signaled() {
		t.Dead = true
		if err == nil && t.Reaped != nil {
			t.Reaped.Store(true)
		}
		return 0, errno.ESRCH
	}
	return status, nil
}

// Call runs a routine of the stub with the given registers to its trap and
// returns the registers then. The Tracee's own registers are lost; the next
// Switch sets them all. ESRCH: the thread has ended. EFAULT: the routine did.
func (t *Tracee) Call(routine uint64, regs *platform.Registers) error {
	regs.Rip = routine
	regs.Cs, regs.Ss, regs.Eflags, regs.OrigRax = UserCS, UserSS, CleanEflags, NoSyscall
	t.Stale = true
	if err := host.PtraceSetRegs(t.TID, UserRegs(regs)); err != nil {
		return t.Lost(err)
	}
	for {
		if err := host.PtraceCont(t.TID); err != nil {
			return t.Lost(err)
		}
		status, err := t.Wait()
		if err != nil {
			return err
		}
		switch status.StopSignal() {
		case unix.SIGTRAP:
			if err := host.PtraceGetRegs(t.TID, UserRegs(regs)); err != nil {
				return t.Lost(err)
			}
			if t.Image.behindTrap(routine, regs.Rip) {
				return nil
			}
		case unix.SIGSEGV, unix.SIGBUS:
			var info host.SigInfo
			if err := host.PtraceGetSigInfo(t.TID, &info); err != nil {
				return t.Lost(err)
			}
			if info.Code > 0 {
				return errno.EFAULT
			}
		}
		// It came from outside, or is an interrupt, which the next Switch
		// sees by its flag.
	}
}

// Lost tells why a request to a stopped Tracee failed: usually it was killed.
func (t *Tracee) Lost(err error) error {
	if err != errno.ESRCH {
		return err
	}
	for !t.Dead {
		if _, err := t.Wait(); err != nil {
			break
		}
		// A stop that was still to be reported before the end.
	}
	return errno.ESRCH
}

// Syscall makes one system call in the stub.
func (t *Tracee) Syscall(nr uint64, args ...uint64) (uint64, error) {
	regs := CallRegs(nr, args...)
	if err := t.Call(t.Image.CallAddr(), &regs); err != nil {
		return 0, err
	}
	return CallResult(regs.Rax)
}

// CallRegs are the registers of a system call.
func CallRegs(nr uint64, args ...uint64) platform.Registers {
	regs := platform.Registers{Rax: nr}
	for i, p := range [...]*uint64{&regs.Rdi, &regs.Rsi, &regs.Rdx, &regs.R10, &regs.R8, &regs.R9} {
		if i < len(args) {
			*p = args[i]
		}
	}
	return regs
}

// CallResult reads what a system call left in the result register.
func CallResult(rax uint64) (uint64, error) {
	if rax >= ^uint64(4094) {
		return 0, errno.FromHost(unix.Errno(-rax))
	}
	return rax, nil
}
