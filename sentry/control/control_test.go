package control

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeSentry is a Handler whose processes end when they are signalled.
type fakeSentry struct {
	signals chan SignalRequest
	ended   chan WaitStatus
	waiting chan int
}

func newFakeSentry() *fakeSentry {
	return &fakeSentry{
		signals: make(chan SignalRequest, 8),
		ended:   make(chan WaitStatus, 8),
		waiting: make(chan int, 8),
	}
}

func (f *fakeSentry) Start() error { return Errorf(KindState, "already\nstarted") }

func (f *fakeSentry) Exec(p Process, files []*os.File) (int, error) {
	defer closeAll(files)
	if len(p.Args) == 0 {
		return 0, errors.New("no arguments")
	}
	for _, file := range files {
		if _, err := io.WriteString(file, p.Args[0]); err != nil {
			return 0, err
		}
	}
	return 7, nil
}

func (f *fakeSentry) Wait(ctx context.Context, pid int) (WaitStatus, error) {
	f.waiting <- pid
	select {
	case s := <-f.ended:
		return s, nil
	case <-ctx.Done():
		return WaitStatus{}, ctx.Err()
	}
}

func (f *fakeSentry) Signal(r SignalRequest) error { f.signals <- r; return nil }

func (f *fakeSentry) Processes() ([]ProcessInfo, error) {
	return []ProcessInfo{{PID: 1, Command: "sh", Args: []string{"sh", "-c", "true"}}}, nil
}
func (f *fakeSentry) Pause() error              { return nil }
func (f *fakeSentry) Resume() error             { return nil }
func (f *fakeSentry) Stats() (Stats, error)     { return Stats{Processes: 3}, nil }
func (f *fakeSentry) Resize(int, Winsize) error { return nil }

func socketPair(t *testing.T) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
}

func connect(t *testing.T, h Handler) *Client {
	t.Helper()
	a, b := socketPair(t)
	go ServeConn(b, h)
	c, err := NewClient(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCallsKeepKindsAndResults(t *testing.T) {
	c := connect(t, newFakeSentry())
	if err := c.Start(); !IsKind(err, KindState) || err.Error() != "already started" {
		t.Errorf("Start: %v, want the one-line state error", err)
	}
	ps, err := c.Processes()
	if err != nil || len(ps) != 1 || len(ps[0].Args) != 3 {
		t.Errorf("Processes: %+v, %v", ps, err)
	}
	if s, err := c.Stats(); err != nil || s.Processes != 3 {
		t.Errorf("Stats: %+v, %v", s, err)
	}
	if _, err := call(c, method[none, none]{name: "reboot"}, none{}, nil); !IsKind(err, KindUnsupported) {
		t.Errorf("unknown call: %v, want %s", err, KindUnsupported)
	}
	if err := c.Resize(1, Winsize{24, 80}); err != nil {
		t.Errorf("the connection does not survive an unknown call: %v", err)
	}
}

func TestExecPassesFiles(t *testing.T) {
	c := connect(t, newFakeSentry())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Larger than a socket buffer, so that a message needs several writes.
	arg := strings.Repeat("x", 1<<20)
	go func() {
		defer w.Close()
		pid, err := c.Exec(Process{Args: []string{arg}}, []*os.File{w})
		if err != nil || pid != 7 {
			t.Errorf("Exec: pid %d, %v", pid, err)
		}
	}()
	got, err := io.ReadAll(r)
	if err != nil || len(got) != len(arg) {
		t.Errorf("read %d bytes from the passed file, %v; want %d", len(got), err, len(arg))
	}
}

func TestExecutedProcessDiesWithItsConnection(t *testing.T) {
	h := newFakeSentry()
	c := connect(t, h)
	pid, err := c.Exec(Process{Args: []string{"x"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	go c.Wait(pid)
	<-h.waiting
	c.Close()
	want := SignalRequest{Signal: 9, PID: 7, Scope: ScopeProcess}
	select {
	case got := <-h.signals:
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing was killed")
	}
}

func TestWaitedForProcessIsNotKilled(t *testing.T) {
	h := newFakeSentry()
	a, b := socketPair(t)
	served := make(chan error, 1)
	go func() { served <- ServeConn(b, h) }()
	c, err := NewClient(a)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := c.Exec(Process{Args: []string{"x"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.ended <- WaitStatus{Signal: 15}
	s, err := c.Wait(pid)
	if err != nil || s.Code() != 143 {
		t.Errorf("Wait: %+v, %v", s, err)
	}
	c.Close()
	<-served
	if len(h.signals) != 0 {
		t.Errorf("a process that had ended was signalled: %+v", <-h.signals)
	}
}

func TestServeOnListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(l, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 8); err != nil {
		t.Fatal(err)
	}
	go Serve(os.NewFile(uintptr(l), "listener"), newFakeSentry())
	for range 3 {
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(s, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		c, err := NewClient(os.NewFile(uintptr(s), "client"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Pause(); err != nil {
			t.Errorf("Pause: %v", err)
		}
	}
}

func TestLostSentryIsGone(t *testing.T) {
	a, b := socketPair(t)
	c, err := NewClient(a)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b.Close()
	if err := c.Resume(); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
}

func TestCause(t *testing.T) {
	var b bytes.Buffer
	ReportReady(&b)
	if err := ReadCause(&b); err != nil {
		t.Errorf("ready: %v", err)
	}
	b.Reset()
	ReportFailure(&b, Errorf(KindNoProgram, "exec \"x\":\nnot found"))
	if err := ReadCause(&b); !IsKind(err, KindNoProgram) || err.Error() != `exec "x": not found` {
		t.Errorf("failure: %v", err)
	}
	b.Reset()
	if err := ReadCause(&b); !errors.Is(err, ErrNoCause) {
		t.Errorf("silence: %v", err)
	}
}

func TestBootConfigRoundTrip(t *testing.T) {
	in := &BootConfig{Platform: "ptrace", ListenFD: NoFD, Container: Container{ID: "c", Process: Process{Args: []string{"a\xffb", ""}}}}
	var b bytes.Buffer
	if err := in.Write(&b); err != nil {
		t.Fatal(err)
	}
	out, err := ReadBootConfig(&b)
	if err != nil || out.ListenFD != NoFD || out.Container.ID != "c" ||
		!slices.Equal(out.Container.Process.Args, in.Container.Process.Args) {
		t.Errorf("got %+v, %v", out, err)
	}
	if _, err := ReadBootConfig(strings.NewReader("")); err == nil {
		t.Error("an empty document was accepted")
	}
}

// FuzzReceive feeds a connection with bytes that need not be messages: the
// session must end or answer, and pass no file or panic.
func FuzzReceive(f *testing.F) {
	message := func(body string, files uint32) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
		return append(binary.LittleEndian.AppendUint32(b, files), body...)
	}
	f.Add(message(`{"Method":"start","Args":{}}`, 0))
	f.Add(message(`{"Method":"exec","Args":{"Args":["x"]}}`, 1))
	f.Add(message(`{"Method":"wait","Args":[]}`, 0))
	f.Add(message(`{`, 0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, b := socketPair(t)
		done := make(chan error, 1)
		h := newFakeSentry()
		h.signals = make(chan SignalRequest, 1<<16)
		h.waiting = make(chan int, 1<<16)
		go func() { done <- ServeConn(b, h) }()
		go io.Copy(io.Discard, a)
		a.Write(raw)
		unix.Shutdown(int(a.Fd()), unix.SHUT_WR)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("session does not end")
		}
		a.Close()
	})
}
