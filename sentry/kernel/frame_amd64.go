package kernel

import (
	"encoding/binary"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// restartSyscallNumber is restart_syscall(2).
const restartSyscallNumber = 219

// auditArch is the architecture as seccomp filters know it.
const auditArch = linux.AUDIT_ARCH_X86_64

// strictAllows says whether seccomp's strict mode lets a call pass.
func strictAllows(nr uint64) bool {
	const read, write, rtSigreturn, exit = 0, 1, 15, 60
	switch uint32(nr) { // as Linux looks at the number
	case read, write, rtSigreturn, exit:
		return true
	}
	return false
}

// The frame that a handler finds on its stack, from the stack pointer upwards:
// the return address, a ucontext, a siginfo; above, aligned to 64, the floating
// point state as XSAVE stores it, closed by a magic number.
type sigFrame struct {
	Return uint64
	UC     linux.UContext
	Info   linux.SigInfo
}

const (
	redZone      = 128
	legacyFPSize = 512
	swReserved   = 464 // where the frame's description of the FP state begins

	// Flags that a handler's return may change in EFLAGS.
	userEflags  = 0x50dd5 // AC OF DF TF SF ZF AF PF CF RF
	fixedEflags = 0x202   // IF and the bit that is always 1
	flagTF      = 0x100
	flagDF      = 0x400
	flagRF      = 0x10000

	userCS = 0x33
	userSS = 0x2b
)

// minStack is the least size of an alternate stack: a frame must fit.
func (t *Task) minStack() uint64 { return linux.MINSIGSTKSZ }

// deliver makes the guest run a handler: it builds the frame and points the
// registers at the handler. EFAULT if the stack cannot hold the frame.
func (t *Task) deliver(info *linux.SigInfo, act *linux.SigAction) error {
	r := &t.regs
	h := t.group.handlers()
	h.mu.Lock()
	stack, mask := t.sig.stack, t.sig.blocked
	if t.sig.hasSaved {
		mask = t.sig.saved
	}
	onStack := t.onAltStack(r.Rsp)
	h.mu.Unlock()

	sp := r.Rsp - redZone
	if act.Flags&linux.SA_ONSTACK != 0 && stack.Size != 0 && !onStack {
		sp = stack.Addr + stack.Size
	}
	if onStack && (sp < stack.Addr || sp > stack.Addr+stack.Size) {
		return errno.EFAULT // the alternate stack overflows
	}
	fp, err := t.thread.FPState()
	if err != nil {
		return errno.EFAULT
	}
	sp = (sp - uint64(len(fp)) - 4) &^ 63
	fpAddr := sp
	frame := sigFrame{Return: act.Restorer, Info: *info}
	sp = (sp-uint64(frameSize))&^15 - 8

	uc := &frame.UC
	uc.Flags = linux.UC_FP_XSTATE | linux.UC_SIGCONTEXT_SS | linux.UC_STRICT_RESTORE_SS
	uc.Stack = stack
	if stack.Size == 0 {
		uc.Stack.Flags = linux.SS_DISABLE
	}
	uc.SigMask = mask
	t.storeContext(&uc.MContext, fpAddr)
	uc.MContext.OldMask = uint64(mask)

	if err := t.storeFP(fp, usermem.Addr(fpAddr)); err != nil {
		return err
	}
	if err := usermem.Ptr[sigFrame](sp).Store(t, frame); err != nil {
		return err
	}

	r.Rdi = uint64(info.Signo)
	r.Rsi = sp + uint64(infoOffset)
	r.Rdx = sp + ucOffset
	r.Rax = 0
	r.Rip = act.Handler
	r.Rsp = sp
	r.Eflags &^= flagDF | flagTF | flagRF
	r.Cs, r.Ss = userCS, userSS

	h.mu.Lock()
	defer h.mu.Unlock()
	if stack.Flags&linux.SS_AUTODISARM != 0 {
		t.sig.stack = linux.StackT{}
	}
	t.sig.hasSaved = false
	block := t.sig.blocked | act.Mask
	if act.Flags&linux.SA_NODEFER == 0 {
		block |= linux.Signal(info.Signo).Bit()
	}
	t.setMaskLocked(block)
	return nil
}

const ucOffset = 8

var (
	infoOffset = ucOffset + usermem.SizeOf[linux.UContext]()
	frameSize  = usermem.SizeOf[sigFrame]()
)

// storeFP writes the floating point state with the marks by which a return
// knows how much of it there is.
func (t *Task) storeFP(fp []byte, at usermem.Addr) error {
	if len(fp) < legacyFPSize+64 {
		_, err := t.CopyOut(at, fp)
		return err
	}
	b := make([]byte, len(fp)+4)
	copy(b, fp)
	features := binary.LittleEndian.Uint64(b[swReserved:]) // XCR0, as the host puts it there
	sw := b[swReserved : swReserved+48]
	clear(sw)
	binary.LittleEndian.PutUint32(sw[0:], linux.FP_XSTATE_MAGIC1)
	binary.LittleEndian.PutUint32(sw[4:], uint32(len(b)))
	binary.LittleEndian.PutUint64(sw[8:], features)
	binary.LittleEndian.PutUint32(sw[16:], uint32(len(fp)))
	binary.LittleEndian.PutUint32(b[len(fp):], linux.FP_XSTATE_MAGIC2)
	_, err := t.CopyOut(at, b)
	return err
}

func (t *Task) storeContext(m *linux.SigContext, fp uint64) {
	r := &t.regs
	m.R8, m.R9, m.R10, m.R11 = r.R8, r.R9, r.R10, r.R11
	m.R12, m.R13, m.R14, m.R15 = r.R12, r.R13, r.R14, r.R15
	m.DI, m.SI, m.BP, m.BX = r.Rdi, r.Rsi, r.Rbp, r.Rbx
	m.DX, m.AX, m.CX, m.SP = r.Rdx, r.Rax, r.Rcx, r.Rsp
	m.IP, m.Flags = r.Rip, r.Eflags
	m.CS, m.SS = uint16(r.Cs), uint16(r.Ss)
	m.Err, m.Trapno, m.CR2 = t.lastFault.ErrCode, t.lastFault.TrapNo, uint64(t.lastFault.Addr)
	m.FPState = fp
}

// SigReturn is rt_sigreturn: it goes back to what the frame below the stack
// pointer says. Everything in the frame is the guest's word: what it may not
// have is masked out, and what makes no sense is a SIGSEGV.
func (t *Task) SigReturn() {
	t.result.keep = true
	r := &t.regs
	frame, err := usermem.Ptr[sigFrame](r.Rsp - 8).Load(t)
	if err != nil {
		t.forceFault(linux.SIGSEGV, linux.SI_KERNEL, 0, false)
		return
	}
	m := &frame.UC.MContext
	if err := t.loadFP(m.FPState); err != nil {
		t.forceFault(linux.SIGSEGV, linux.SI_KERNEL, 0, false)
		return
	}
	r.R8, r.R9, r.R10, r.R11 = m.R8, m.R9, m.R10, m.R11
	r.R12, r.R13, r.R14, r.R15 = m.R12, m.R13, m.R14, m.R15
	r.Rdi, r.Rsi, r.Rbp, r.Rbx = m.DI, m.SI, m.BP, m.BX
	r.Rdx, r.Rax, r.Rcx, r.Rsp = m.DX, m.AX, m.CX, m.SP
	r.Rip = m.IP
	r.Eflags = m.Flags&userEflags | fixedEflags
	r.Cs, r.Ss = userCS, userSS
	r.OrigRax = ^uint64(0)

	h := t.group.handlers()
	h.mu.Lock()
	defer h.mu.Unlock()
	t.setMaskLocked(frame.UC.SigMask)
	if s := frame.UC.Stack; !t.onAltStack(r.Rsp) {
		t.sig.stack = linux.StackT{}
		if s.Flags&linux.SS_DISABLE == 0 && s.Size >= t.minStack() {
			t.sig.stack = linux.StackT{Addr: s.Addr, Size: s.Size, Flags: s.Flags & linux.SS_AUTODISARM}
		}
	}
}

// loadFP loads a floating point state from guest memory; a null pointer is that
// of a fresh process.
func (t *Task) loadFP(at uint64) error {
	if at == 0 {
		return t.thread.SetFPState(nil)
	}
	var legacy [legacyFPSize]byte
	if _, err := t.CopyIn(legacy[:], usermem.Addr(at)); err != nil {
		return err
	}
	size := binary.LittleEndian.Uint32(legacy[swReserved+16:])
	if binary.LittleEndian.Uint32(legacy[swReserved:]) != linux.FP_XSTATE_MAGIC1 || size < legacyFPSize+64 || size > maxFPSize {
		size = legacyFPSize
	}
	b := make([]byte, size)
	if _, err := t.CopyIn(b, usermem.Addr(at)); err != nil {
		return err
	}
	if size > legacyFPSize {
		// The host wants XCR0 here, which is what it gave.
		features := binary.LittleEndian.Uint64(b[swReserved+8:])
		clear(b[swReserved : swReserved+48])
		binary.LittleEndian.PutUint64(b[swReserved:], features)
	}
	return t.thread.SetFPState(b)
}

// maxFPSize bounds what a frame may claim; AMX needs about 11 KiB.
const maxFPSize = 64 << 10
