package tty

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Ioctl implements vfs.Ioctler.
//
// Errors: EIO after a hang-up; ENOTTY for what terminals do not know; EINVAL,
// EFAULT; what Job returns, also for a background process that changes settings.
func (s *Slave) Ioctl(c vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	t := s.t
	st := t.state.Lock()
	gone := st.hungUp
	t.unlock(st)
	if gone {
		return 0, errno.EIO
	}
	if changes(cmd) {
		if err := t.job.Access(c, linux.SIGTTOU); err != nil {
			return 0, err
		}
	}
	switch cmd {
	case linux.FIONREAD:
		return 0, usermem.Ptr[int32](arg).Store(m, int32(t.readable()))
	case linux.TIOCOUTQ:
		return 0, usermem.Ptr[int32](arg).Store(m, 0)
	case linux.TIOCSTI:
		return 0, t.fakeInput(c, m, arg)
	case linux.TIOCVHANGUP:
		if !c.Creds().HasCap(linux.CAP_SYS_ADMIN) {
			return 0, errno.EPERM
		}
		t.hangUp()
		return 0, nil
	}
	return t.ioctl(c, m, cmd, arg)
}

// changes says whether a background process is stopped for the request.
func changes(cmd uint32) bool {
	switch cmd {
	case linux.TCSETS, linux.TCSETSW, linux.TCSETSF, linux.TCSETS2, linux.TCSETSW2, linux.TCSETSF2,
		linux.TCSETA, linux.TCSETAW, linux.TCSETAF, linux.TCFLSH, linux.TCXONC, linux.TCSBRK, linux.TCSBRKP,
		linux.TIOCSPGRP:
		return true
	}
	return false
}

// Ioctl implements vfs.Ioctler for the far end. Requests that concern the
// device (TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER) are answered by the file system
// that wraps it.
func (m *Master) Ioctl(c vfs.Context, mem usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	t := m.t
	switch cmd {
	case linux.FIONREAD:
		st := t.state.Lock()
		n := len(st.out)
		t.unlock(st)
		return 0, usermem.Ptr[int32](arg).Store(mem, int32(n))
	case linux.TIOCPKT:
		v, err := usermem.Ptr[int32](arg).Load(mem)
		if err != nil {
			return 0, err
		}
		st := t.state.Lock()
		if on := v != 0; on != st.packet {
			st.packet, st.packetBits = on, 0
		}
		t.unlock(st)
		return 0, nil
	case linux.TIOCGPKT:
		st := t.state.Lock()
		v := int32(0)
		if st.packet {
			v = 1
		}
		t.unlock(st)
		return 0, usermem.Ptr[int32](arg).Store(mem, v)
	case linux.TCFLSH:
		return 0, t.flush(swapped(arg))
	}
	return t.ioctl(c, mem, cmd, arg)
}

// swapped exchanges input and output: what is input for a program is output
// for the far end.
func swapped(queue uint64) uint64 {
	switch queue {
	case linux.TCIFLUSH:
		return linux.TCOFLUSH
	case linux.TCOFLUSH:
		return linux.TCIFLUSH
	}
	return queue
}

// ioctl answers what is the same at both ends.
func (t *Terminal) ioctl(c vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error) {
	switch cmd {
	case linux.TCGETS:
		return 0, usermem.Ptr[linux.Termios](arg).Store(m, t.Termios().Termios)
	case linux.TCGETS2:
		return 0, usermem.Ptr[linux.Termios2](arg).Store(m, t.Termios())
	case linux.TCGETA:
		return 0, usermem.Ptr[linux.Termio](arg).Store(m, oldTermio(t.Termios()))
	case linux.TCSETS, linux.TCSETSW, linux.TCSETSF:
		v, err := usermem.Ptr[linux.Termios](arg).Load(m)
		if err != nil {
			return 0, err
		}
		n := t.Termios()
		n.Termios = v
		return 0, t.change(n, typeahead(cmd))
	case linux.TCSETS2, linux.TCSETSW2, linux.TCSETSF2:
		v, err := usermem.Ptr[linux.Termios2](arg).Load(m)
		if err != nil {
			return 0, err
		}
		return 0, t.change(v, typeahead(cmd))
	case linux.TCSETA, linux.TCSETAW, linux.TCSETAF:
		v, err := usermem.Ptr[linux.Termio](arg).Load(m)
		if err != nil {
			return 0, err
		}
		return 0, t.change(fromTermio(t.Termios(), v), typeahead(cmd))
	case linux.TIOCGWINSZ:
		return 0, usermem.Ptr[linux.Winsize](arg).Store(m, t.Size())
	case linux.TIOCSWINSZ:
		v, err := usermem.Ptr[linux.Winsize](arg).Load(m)
		if err != nil {
			return 0, err
		}
		if t.tell != nil {
			t.tell(v)
		}
		t.Resize(v)
		return 0, nil
	case linux.TCFLSH:
		return 0, t.flush(arg)
	case linux.TCXONC:
		return 0, t.flowControl(arg)
	case linux.TCSBRK, linux.TCSBRKP, linux.TIOCSBRK, linux.TIOCCBRK, linux.TIOCEXCL, linux.TIOCNXCL:
		return 0, nil // output leaves at once; there is no line to break
	case linux.TIOCGEXCL, linux.TIOCGETD:
		return 0, usermem.Ptr[int32](arg).Store(m, linux.N_TTY)
	case linux.TIOCSETD:
		v, err := usermem.Ptr[int32](arg).Load(m)
		if err == nil && v != linux.N_TTY {
			err = errno.EINVAL
		}
		return 0, err
	}
	return t.job.Ioctl(c, m, cmd, arg)
}

// Termios are the settings.
func (t *Terminal) Termios() linux.Termios2 {
	st := t.state.Lock()
	defer t.unlock(st)
	return st.termios
}

// Typeahead says what a change of settings does with what was typed and not
// read: TCSAFLUSH forgets it.
type Typeahead uint8

// The values of Typeahead.
const (
	KeepTyped Typeahead = iota
	ForgetTyped
)

func typeahead(cmd uint32) Typeahead {
	switch cmd {
	case linux.TCSETSF, linux.TCSETSF2, linux.TCSETAF:
		return ForgetTyped
	}
	return KeepTyped
}

// change installs settings.
func (t *Terminal) change(n linux.Termios2, typed Typeahead) error {
	if n.Cflag&linux.CBAUD != 0o10000 { // not BOTHER: the code says the speed
		n.Ispeed, n.Ospeed = speedOf(n.Cflag), speedOf(n.Cflag)
	}
	n.Cflag = n.Cflag&^(linux.CSIZE|linux.PARENB) | linux.CS8 | linux.CREAD // as pty_set_termios
	st := t.state.Lock()
	if typed == ForgetTyped {
		st.flushInput()
	}
	st.setTermios(n)
	st.interpret()
	t.unlock(st)
	t.drained()
	return nil
}

var speeds = [...]uint32{
	0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400,
}

var fastSpeeds = [...]uint32{
	0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000,
	2500000, 3000000, 3500000, 4000000,
}

func speedOf(cflag uint32) uint32 {
	if cflag&linux.CBAUDEX != 0 {
		return fastSpeeds[cflag&0xf]
	}
	return speeds[cflag&0xf]
}

func oldTermio(t linux.Termios2) linux.Termio {
	o := linux.Termio{
		Iflag: uint16(t.Iflag), Oflag: uint16(t.Oflag), Cflag: uint16(t.Cflag), Lflag: uint16(t.Lflag), Line: t.Line,
	}
	copy(o.CC[:], t.CC[:])
	return o
}

func fromTermio(t linux.Termios2, o linux.Termio) linux.Termios2 {
	low := func(to *uint32, v uint16) { *to = *to&^0xffff | uint32(v) }
	low(&t.Iflag, o.Iflag)
	low(&t.Oflag, o.Oflag)
	low(&t.Cflag, o.Cflag)
	low(&t.Lflag, o.Lflag)
	t.Line = o.Line
	copy(t.CC[:], o.CC[:])
	return t
}

// Size is the window's size.
func (t *Terminal) Size() linux.Winsize {
	if t.ask != nil {
		if size, ok := t.ask(); ok {
			t.Resize(size)
		}
	}
	st := t.state.Lock()
	defer t.unlock(st)
	return st.size
}

// Resize sets the window's size; the foreground group gets SIGWINCH if it is
// new.
func (t *Terminal) Resize(size linux.Winsize) {
	st := t.state.Lock()
	if st.size != size {
		st.size = size
		st.due.signals = append(st.due.signals, linux.SIGWINCH)
	}
	t.unlock(st)
}

func (t *Terminal) readable() int {
	st := t.state.Lock()
	defer t.unlock(st)
	if !st.lflag(linux.ICANON) || st.lflag(linux.EXTPROC) {
		return len(st.in)
	}
	n := 0
	for _, c := range st.in[:st.canon] {
		if c&isEOF == 0 {
			n++
		}
	}
	return n
}

func (t *Terminal) flush(queue uint64) error {
	st := t.state.Lock()
	switch queue {
	case linux.TCIFLUSH:
		st.flushInput()
	case linux.TCOFLUSH:
		st.flushOutput()
	case linux.TCIOFLUSH:
		st.flushInput()
		st.flushOutput()
	default:
		t.unlock(st)
		return errno.EINVAL
	}
	st.due.output = st.due.output || st.packet
	t.unlock(st)
	t.drained()
	return nil
}

func (t *Terminal) flowControl(action uint64) error {
	st := t.state.Lock()
	defer t.unlock(st)
	switch action {
	case linux.TCOOFF:
		st.stop()
	case linux.TCOON:
		st.start()
	case linux.TCIOFF:
		st.emit(st.termios.CC[linux.VSTOP])
	case linux.TCION:
		st.emit(st.termios.CC[linux.VSTART])
	default:
		return errno.EINVAL
	}
	return nil
}

// fakeInput is TIOCSTI, which Linux allows with a privilege only.
func (t *Terminal) fakeInput(c vfs.Context, m usermem.Memory, arg uint64) error {
	if !c.Creds().HasCap(linux.CAP_SYS_ADMIN) {
		return errno.EPERM
	}
	b, err := usermem.Ptr[byte](arg).Load(m)
	if err != nil {
		return err
	}
	st := t.state.Lock()
	st.typed([]byte{b})
	t.unlock(st)
	return nil
}

var _ interface {
	vfs.File
	vfs.Reader
	vfs.Writer
	vfs.Ioctler
	vfs.FlagsChanger
	waiter.Waitable
} = (*Slave)(nil)

var _ interface {
	vfs.File
	vfs.Reader
	vfs.Writer
	vfs.Ioctler
	waiter.Waitable
} = (*Master)(nil)
