package tty

import (
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// fakeJob records what a terminal asks of its session.
type fakeJob struct {
	signals []linux.Signal
	hangups int
	access  error
}

func (j *fakeJob) Access(vfs.Context, linux.Signal) error { return j.access }
func (j *fakeJob) Signal(s linux.Signal)                  { j.signals = append(j.signals, s) }
func (j *fakeJob) HangUp()                                { j.hangups++ }
func (j *fakeJob) Opened(vfs.Context, linux.OpenFlags)    {}
func (j *fakeJob) Ioctl(vfs.Context, usermem.Memory, uint32, uint64) (uint64, error) {
	return 0, errno.ENOTTY
}

// rig is a pseudo-terminal with both ends open.
type rig struct {
	*testing.T
	job *fakeJob
	t   *Terminal
	m   *Master
	s   *Slave
	c   vfs.Context
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, job: &fakeJob{}, c: vfstest.NewContext()}
	r.t, r.m = NewPair(r.job, nil)
	s, err := r.t.OpenSlave(r.c, linux.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	r.s = s
	return r
}

func (r *rig) set(change func(*linux.Termios2)) {
	n := r.t.Termios()
	change(&n)
	r.t.change(n, KeepTyped)
}

// raw switches everything off, with VMIN 1.
func (r *rig) raw() {
	r.set(func(t *linux.Termios2) { t.Iflag, t.Oflag, t.Lflag = 0, 0, 0 })
}

func (r *rig) typeIn(s string) {
	r.Helper()
	if n, err := r.m.Write(r.c, usermem.OwnBuffer([]byte(s)), 0); err != nil || int(n) != len(s) {
		r.Fatalf("typing %q: %d, %v", s, n, err)
	}
}

func (r *rig) write(s string) {
	r.Helper()
	if n, err := r.s.Write(r.c, usermem.OwnBuffer([]byte(s)), 0); err != nil || int(n) != len(s) {
		r.Fatalf("writing %q: %d, %v", s, n, err)
	}
}

// read is one read by the program.
func (r *rig) read(n int) (string, error) {
	b := make([]byte, n)
	got, err := r.s.Read(r.c, usermem.OwnBuffer(b), 0)
	return string(b[:got]), err
}

func (r *rig) wantRead(n int, want string) {
	r.Helper()
	if got, err := r.read(n); got != want || err != nil {
		r.Errorf("the program reads %q, %v; want %q", got, err, want)
	}
}

func (r *rig) wantNothing() {
	r.Helper()
	if got, err := r.read(100); err != errno.EAGAIN {
		r.Errorf("the program reads %q, %v; want nothing yet", got, err)
	}
}

// shown is all output so far.
func (r *rig) shown() string {
	var all strings.Builder
	for {
		b := make([]byte, 4096)
		n, err := r.m.Read(r.c, usermem.OwnBuffer(b), 0)
		if err != nil {
			return all.String()
		}
		all.Write(b[:n])
	}
}

func (r *rig) wantShown(want string) {
	r.Helper()
	if got := r.shown(); got != want {
		r.Errorf("shown is %q, want %q", got, want)
	}
}

func TestLines(t *testing.T) {
	r := newRig(t)
	r.typeIn("hel")
	r.wantNothing()
	r.typeIn("lo\rnext\n")
	r.wantRead(3, "hel")
	r.wantRead(100, "lo\n")
	r.wantRead(100, "next\n")
	r.wantNothing()
	r.wantShown("hello\r\nnext\r\n")
}

func TestEditing(t *testing.T) {
	for _, c := range []struct{ name, typed, read, shown string }{
		{"erase", "ab\x7fc\n", "ac\n", "ab\b \bc\r\n"},
		{"erase too much", "a\x7f\x7f\x7fb\n", "b\n", "a\b \bb\r\n"},
		{"erase a control character", "a\x01\x7fb\n", "ab\n", "a^A\b \b\b \bb\r\n"},
		{"erase a word", "one two \x17x\n", "one x\n", "one two \b \b\b \b\b \b\b \bx\r\n"},
		{"kill", "abc\x15d\n", "d\n", "abc\b \b\b \b\b \bd\r\n"},
		{"literal", "a\x16\x03b\n", "a\x03b\n", "a^\b^Cb\r\n"},
		{"reprint", "ab\x12c\n", "abc\n", "ab^R\r\nabc\r\n"},
		{"erase a tab", "ab\t\x7fc\n", "abc\n", "ab\t\b\b\b\b\b\bc\r\n"},
		{"end of file", "ab\x04", "ab", "ab"},
	} {
		r := newRig(t)
		r.typeIn(c.typed)
		if got, err := r.read(100); got != c.read || err != nil {
			t.Errorf("%s: read %q, %v; want %q", c.name, got, err, c.read)
		}
		if got := r.shown(); got != c.shown {
			t.Errorf("%s: shown %q, want %q", c.name, got, c.shown)
		}
	}
}

func TestEraseWholeCharacter(t *testing.T) {
	r := newRig(t)
	r.set(func(t *linux.Termios2) { t.Iflag |= linux.IUTF8 })
	r.typeIn("xé\x7fy\n")
	r.wantRead(100, "xy\n")
	r.wantShown("xé\b \by\r\n")
}

func TestEndOfFile(t *testing.T) {
	r := newRig(t)
	r.typeIn("\x04")
	r.wantRead(100, "")
	r.wantNothing()
	// One that comes right behind a full buffer belongs to that read.
	r.typeIn("abc\x04")
	r.wantRead(3, "abc")
	r.wantNothing()
}

func TestSignals(t *testing.T) {
	r := newRig(t)
	r.typeIn("half a line\x03rest\n")
	r.wantRead(100, "rest\n")
	r.wantShown("^Crest\r\n") // what was shown before is flushed
	r.typeIn("\x1a\x1c")
	want := []linux.Signal{linux.SIGINT, linux.SIGTSTP, linux.SIGQUIT}
	if len(r.job.signals) != 3 || [3]linux.Signal(r.job.signals) != [3]linux.Signal(want) {
		t.Errorf("signals %v, want %v", r.job.signals, want)
	}
	r.wantShown("^\\")
	r.set(func(t *linux.Termios2) { t.Lflag |= linux.NOFLSH })
	r.typeIn("kept\x03\n")
	r.wantRead(100, "kept\n")
}

func TestRawMode(t *testing.T) {
	r := newRig(t)
	r.raw()
	r.typeIn("a\x03\r")
	r.wantRead(100, "a\x03\r")
	r.wantShown("")
	r.write("x\ny\t")
	r.wantShown("x\ny\t")
	if len(r.job.signals) != 0 {
		t.Errorf("signals %v", r.job.signals)
	}
}

func TestMinimumCount(t *testing.T) {
	r := newRig(t)
	r.raw()
	r.set(func(t *linux.Termios2) { t.CC[linux.VMIN] = 3 })
	r.typeIn("ab")
	r.wantNothing()
	if ev := r.s.Ready(waiter.In); ev != 0 {
		t.Errorf("poll says %#x with too few bytes", ev)
	}
	r.wantRead(2, "ab") // who wants no more gets it
	r.typeIn("abcd")
	r.wantRead(100, "abcd")
	r.set(func(t *linux.Termios2) { t.CC[linux.VMIN] = 0 })
	r.wantRead(100, "")
}

func TestTimer(t *testing.T) {
	r := newRig(t)
	r.raw()
	r.set(func(t *linux.Termios2) { t.CC[linux.VMIN], t.CC[linux.VTIME] = 0, 1 })
	r.wantRead(100, "") // after a tenth of a second
	r.set(func(t *linux.Termios2) { t.CC[linux.VMIN] = 5 })
	r.wantNothing() // the timer starts with the first byte
	r.typeIn("ab")
	r.wantRead(100, "ab")
	r.s.SetFlags(r.c, linux.O_NONBLOCK)
	r.set(func(t *linux.Termios2) { t.CC[linux.VMIN] = 0 })
	r.wantNothing()
}

func TestModeChangeKeepsWhatWasTyped(t *testing.T) {
	r := newRig(t)
	r.typeIn("abc")
	r.raw()
	r.wantRead(100, "abc")
	r.typeIn("def")
	r.set(func(t *linux.Termios2) { t.Lflag |= linux.ICANON })
	r.wantRead(100, "def")
	r.typeIn("gone")
	r.t.change(r.t.Termios(), ForgetTyped)
	r.typeIn("x\n")
	r.wantRead(100, "x\n")
}

func TestOutputSettings(t *testing.T) {
	r := newRig(t)
	r.write("a\n\tb\n")
	r.wantShown("a\r\n\tb\r\n")
	r.set(func(t *linux.Termios2) { t.Oflag = linux.OPOST | linux.XTABS | linux.OCRNL | linux.OLCUC })
	r.write("ab\tc\r")
	r.wantShown("AB      C\n")
}

func TestFlowControl(t *testing.T) {
	r := newRig(t)
	r.typeIn("\x13x")
	if n, err := r.s.Write(r.c, usermem.OwnBuffer([]byte("y")), 0); n != 0 || err != errno.EAGAIN {
		t.Errorf("write to a stopped terminal: %d, %v", n, err)
	}
	if ev := r.s.Ready(waiter.Out); ev != 0 {
		t.Errorf("poll says %#x", ev)
	}
	r.wantShown("")
	r.typeIn("\x11")
	r.write("y")
	r.wantShown("xy")
}

func TestLongLines(t *testing.T) {
	r := newRig(t)
	r.typeIn(strings.Repeat("x", inputMax+100) + "\n")
	got, err := r.read(2 * inputMax)
	if err != nil || len(got) != inputMax || got[inputMax-1] != '\n' {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

func TestTypingAheadHasALimit(t *testing.T) {
	r := newRig(t)
	r.raw()
	total := 0
	for {
		n, err := r.m.Write(r.c, usermem.OwnBuffer(make([]byte, 10_000)), 0)
		if err == errno.EAGAIN {
			break
		}
		if total += int(n); err != nil || total > 1<<20 {
			t.Fatalf("typed %d bytes, %v", total, err)
		}
	}
	left := total
	for left > 0 {
		got, err := r.read(4096)
		if err != nil {
			t.Fatalf("%d of %d bytes left: %v", left, total, err)
		}
		left -= len(got)
	}
	r.wantNothing()
}

func TestMasterGoes(t *testing.T) {
	r := newRig(t)
	r.typeIn("lost\n")
	r.m.Release()
	r.wantRead(100, "")
	if _, err := r.s.Write(r.c, usermem.OwnBuffer([]byte("x")), 0); err != errno.EIO {
		t.Errorf("write: %v", err)
	}
	if ev := r.s.Ready(waiter.In); ev&waiter.Hup == 0 || ev&waiter.In == 0 {
		t.Errorf("poll says %#x", ev)
	}
	if r.job.hangups != 1 {
		t.Errorf("%d hang-ups", r.job.hangups)
	}
	if _, err := r.t.OpenSlave(r.c, 0); err != errno.EIO {
		t.Errorf("open: %v", err)
	}
}

func TestSlaveGoes(t *testing.T) {
	r := newRig(t)
	r.write("last words")
	r.s.Release()
	r.wantShown("last words")
	b := usermem.OwnBuffer(make([]byte, 10))
	if _, err := r.m.Read(r.c, b, 0); err != errno.EIO {
		t.Errorf("read: %v", err)
	}
	if ev := r.m.Ready(waiter.In); ev&waiter.Hup == 0 {
		t.Errorf("poll says %#x", ev)
	}
	if s, err := r.t.OpenSlave(r.c, 0); err != nil {
		t.Errorf("open again: %v", err)
	} else if _, err := r.m.Read(r.c, b, 0); err != errno.EAGAIN {
		t.Errorf("read after that: %v", err)
		s.Release()
	}
}

func TestPacketMode(t *testing.T) {
	r := newRig(t)
	st := r.t.state.Lock()
	st.packet = true
	r.t.unlock(st)
	r.write("x")
	r.wantShown("\x00x")
	r.t.flush(linux.TCIFLUSH)
	r.wantShown("\x01")
	r.set(func(t *linux.Termios2) { t.Iflag &^= linux.IXON })
	r.wantShown("\x10")
}

func TestResize(t *testing.T) {
	r := newRig(t)
	r.t.Resize(linux.Winsize{Row: 24, Col: 80})
	r.t.Resize(linux.Winsize{Row: 24, Col: 80})
	if len(r.job.signals) != 1 || r.job.signals[0] != linux.SIGWINCH || r.t.Size().Col != 80 {
		t.Errorf("signals %v, size %v", r.job.signals, r.t.Size())
	}
}

func TestBackgroundProcess(t *testing.T) {
	r := newRig(t)
	r.job.access = errno.ERESTARTSYS
	if _, err := r.read(10); err != errno.ERESTARTSYS {
		t.Errorf("read: %v", err)
	}
	r.write("x") // without TOSTOP
	r.set(func(t *linux.Termios2) { t.Lflag |= linux.TOSTOP })
	if _, err := r.s.Write(r.c, usermem.OwnBuffer([]byte("x")), 0); err != errno.ERESTARTSYS {
		t.Errorf("write with TOSTOP: %v", err)
	}
	if _, err := r.s.Ioctl(r.c, nil, linux.TCSETS, 0); err != errno.ERESTARTSYS {
		t.Errorf("tcsetattr: %v", err)
	}
}

// FuzzTyped types hostile bytes under hostile settings.
func FuzzTyped(f *testing.F) {
	f.Add(uint32(linux.ICRNL|linux.IXON), uint32(linux.OPOST|linux.ONLCR), uint32(linux.ISIG|linux.ICANON|linux.ECHO), []byte("ab\x7f\x17\x15\x04"))
	f.Fuzz(func(t *testing.T, i, o, l uint32, b []byte) {
		r := newRig(t)
		r.set(func(t *linux.Termios2) { t.Iflag, t.Oflag, t.Lflag = i, o, l })
		for len(b) > 0 {
			n := min(len(b), 37)
			r.m.Write(r.c, usermem.OwnBuffer(b[:n]), 0)
			r.s.Write(r.c, usermem.OwnBuffer(b[:n]), 0)
			b = b[n:]
			r.s.Read(r.c, usermem.OwnBuffer(make([]byte, 11)), 0)
			r.shown()
		}
		st := r.t.state.Lock()
		defer r.t.unlock(st)
		if st.canon > len(st.in) || len(st.in) > inputMax || st.column < 0 {
			t.Errorf("%d of %d cells are lines, column %d", st.canon, len(st.in), st.column)
		}
	})
}
