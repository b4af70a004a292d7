package platform

// Registers are the general registers of an amd64 thread, in the order of
// Linux's struct user_regs_struct, so that ptrace can fill them in one call.
type Registers struct {
	R15, R14, R13, R12, Rbp, Rbx, R11, R10, R9, R8 uint64
	Rax, Rcx, Rdx, Rsi, Rdi                        uint64
	// OrigRax is the number of the system call at a Syscall event.
	OrigRax         uint64
	Rip, Cs, Eflags uint64
	Rsp, Ss         uint64
	FsBase, GsBase  uint64
	Ds, Es, Fs, Gs  uint64
}

// SyscallNumber is the number of the call at a Syscall event.
func (r *Registers) SyscallNumber() uint64 { return r.OrigRax }

// SyscallArgs are the six arguments of a call.
func (r *Registers) SyscallArgs() [6]uint64 {
	return [6]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9}
}

// SetReturn stores the result of a system call.
func (r *Registers) SetReturn(v uint64) { r.Rax = v }

// Return is the result of a system call.
func (r *Registers) Return() uint64 { return r.Rax }

// RestartSyscall moves back to the instruction of the call at a Syscall
// event, with its number in place, so that the next Switch issues it again.
func (r *Registers) RestartSyscall(nr uint64) {
	r.Rax = nr
	r.Rip -= 2 // the length of syscall
}

// PC and SP are the program counter and the stack pointer.
func (r *Registers) PC() uintptr     { return uintptr(r.Rip) }
func (r *Registers) SetPC(v uintptr) { r.Rip = uint64(v) }
func (r *Registers) SP() uintptr     { return uintptr(r.Rsp) }
func (r *Registers) SetSP(v uintptr) { r.Rsp = uint64(v) }

// SetTLS sets the thread pointer, as CLONE_SETTLS does.
func (r *Registers) SetTLS(v uintptr) { r.FsBase = uint64(v) }

// PrepareExec gives the segment registers and flags the values that a new
// program starts with.
func (r *Registers) PrepareExec() {
	const (
		userCode  = 0x33
		userStack = 0x2b
		interrupt = 0x202 // IF, and the bit that is always 1
	)
	r.Cs, r.Ss, r.Eflags = userCode, userStack, interrupt
	r.OrigRax = ^uint64(0)
}
