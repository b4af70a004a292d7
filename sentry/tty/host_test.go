package tty

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

// outside is a terminal of the host: the test types and looks at its far end.
type outside struct {
	*testing.T
	*os.File
	slave *os.File
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	m, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals on this host:", err)
	}
	n, err := unix.IoctlGetInt(int(m.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(m.Fd()), unix.TIOCSPTLCK, 0)
	}
	var s *os.File
	if err == nil {
		s, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		m.Close()
		t.Skip("no pseudo-terminals on this host:", err)
	}
	unix.SetNonblock(int(m.Fd()), true)
	t.Cleanup(func() { m.Close(); s.Close() })
	return &outside{t, m, s}
}

// await reads until want has come.
func (o *outside) await(want string) {
	o.Helper()
	var got strings.Builder
	b := make([]byte, 1000)
	for end := time.Now().Add(10 * time.Second); !strings.Contains(got.String(), want); {
		n, err := unix.Read(int(o.Fd()), b)
		if n > 0 {
			got.Write(b[:n])
		} else if time.Now().After(end) {
			o.Fatalf("shown is %q (%v), want %q", got.String(), err, want)
		} else {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestHostTerminal(t *testing.T) {
	o := newOutside(t)
	n, err := host.NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	fd, err := host.Dup(int(o.slave.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	unix.IoctlSetWinsize(int(o.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 90})
	before, err := fd.TTYSettings()
	if err != nil {
		t.Fatal(err)
	}
	job := &fakeJob{}
	term, h, err := NewHost(job, fd, n)
	if err != nil {
		t.Fatal(err)
	}
	c := vfstest.NewContext()
	s, err := term.OpenSlave(c, linux.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, job: job, t: term, s: s, c: c}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	if now, _ := fd.TTYSettings(); now.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
		t.Errorf("the host terminal is not raw: %#x", now.Lflag)
	}
	if size := term.Size(); size.Row != 30 || size.Col != 90 {
		t.Errorf("size %v", size)
	}

	r.write("prompt> ")
	o.await("prompt> ")
	o.WriteString("hello\x7f\r")
	o.await("hello\b \b\r\n")
	r.wantRead(100, "hell\n")

	unix.IoctlSetWinsize(int(o.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 90})
	o.WriteString("\x03")
	o.await("^C")
	if size := term.Size(); size.Row != 40 {
		t.Errorf("size %v after the window was resized", size)
	}
	term.tell(linux.Winsize{Row: 10, Col: 20})
	if w, _ := unix.IoctlGetWinsize(int(o.Fd()), unix.TIOCGWINSZ); w.Row != 10 || w.Col != 20 {
		t.Errorf("the host's size is %v", w)
	}

	r.write("last words")
	h.Close()
	o.await("last words")
	r.wantRead(100, "")
	if _, err := s.Write(c, usermem.OwnBuffer([]byte("x")), 0); err != errno.EIO {
		t.Errorf("write after the end: %v", err)
	}
	if now, err := unix.IoctlGetTermios(int(o.slave.Fd()), unix.TCGETS); err != nil || now.Lflag != before.Lflag {
		t.Errorf("the host terminal was not given its settings back: %+v", now)
	}
	if len(job.signals) == 0 || job.hangups != 1 {
		t.Errorf("signals %v, %d hang-ups", job.signals, job.hangups)
	}
}
