package host

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

func TestMain(m *testing.M) {
	RecordLeaks()
	code := m.Run()
	for _, stack := range Leaked() {
		os.Stderr.WriteString("descriptor left open, made at:\n" + stack + "\n")
		code = 1
	}
	os.Exit(code)
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func memfd(t *testing.T) *FD {
	t.Helper()
	fd := must[*FD](t)(Memfd("test", unix.MFD_ALLOW_SEALING))
	t.Cleanup(func() { fd.Close() })
	return fd
}

func TestMemfdReadsWhatWasWritten(t *testing.T) {
	fd := memfd(t)
	if n, err := fd.WriteVecAt([][]byte{[]byte("ab"), []byte("cd")}, 3); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	b := make([]byte, 10)
	if n, err := fd.ReadAt(b, 0); n != 7 || err != nil || !bytes.Equal(b[:7], []byte("\x00\x00\x00abcd")) {
		t.Fatal(n, err, b)
	}
	if n, err := fd.ReadAt(b, 7); n != 0 || err != nil {
		t.Fatal("at the end:", n, err)
	}
	var st unix.Stat_t
	if err := fd.Stat(&st); err != nil || st.Size != 7 {
		t.Fatal(st.Size, err)
	}
	if err := fd.AddSeals(unix.F_SEAL_SHRINK); err != nil {
		t.Fatal(err)
	}
	if err := fd.Truncate(1); err != errno.EPERM {
		t.Fatal(err)
	}
}

func TestClosedFDIsEBADF(t *testing.T) {
	fd := must[*FD](t)(Memfd("test", 0))
	dup := must[*FD](t)(fd.Dup())
	defer dup.Close()
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := fd.Write([]byte{1}); err != errno.EBADF {
		t.Error("Write:", err)
	}
	if err := fd.Close(); err != errno.EBADF {
		t.Error("Close:", err)
	}
	if _, err := dup.Write([]byte{1}); err != nil {
		t.Error("the duplicate:", err)
	}
}

func TestLeakIsRecorded(t *testing.T) {
	before := len(Leaked())
	fd := must[*FD](t)(Memfd("test", 0))
	if got := len(Leaked()); got != before+1 {
		t.Errorf("%d open, want %d", got, before+1)
	}
	fd.Close()
	if got := len(Leaked()); got != before {
		t.Errorf("%d open, want %d", got, before)
	}
}

func TestMessagesCarryDescriptors(t *testing.T) {
	a, b, err := Socketpair(unix.SOCK_SEQPACKET)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	file := memfd(t)
	file.Write([]byte("hello"))
	if _, err := a.SendMessage([]byte("x"), []*FD{file, file}, 0); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	n, fds, err := b.ReceiveMessage(buf, 2, 0)
	if err != nil || n != 1 || len(fds) != 2 {
		t.Fatal(n, fds, err)
	}
	for _, fd := range fds {
		if n, err := fd.ReadAt(buf, 0); err != nil || string(buf[:n]) != "hello" {
			t.Error(n, err)
		}
		fd.Close()
	}

	// More than there is room for: an error, and nothing open.
	if _, err := a.SendMessage([]byte("x"), []*FD{file, file, file, file}, 0); err != nil {
		t.Fatal(err)
	}
	if _, fds, err := b.ReceiveMessage(buf, 1, 0); !errors.Is(err, errno.EMSGSIZE) || len(fds) != 0 {
		t.Error(fds, err)
	}
	if _, _, err := b.ReceiveMessage(buf, 1, unix.MSG_DONTWAIT); err != errno.EAGAIN {
		t.Error(err)
	}
}

func TestNotifierTellsOnceAndStops(t *testing.T) {
	n, err := NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { n.Close(); time.Sleep(10 * time.Millisecond) }()
	fd := must[*FD](t)(EventFD())
	defer fd.Close()
	told := make(chan uint32, 10)
	if err := n.Add(fd, unix.EPOLLIN, func(events uint32) { told <- events }); err != nil {
		t.Fatal(err)
	}
	if err := n.Add(fd, unix.EPOLLIN, nil); err != errno.EEXIST {
		t.Error("second Add:", err)
	}
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	fd.Write(one)
	if ev := <-told; ev != unix.EPOLLIN {
		t.Errorf("events %#x", ev)
	}
	if err := n.Remove(fd); err != nil {
		t.Fatal(err)
	}
	fd.Write(one)
	time.Sleep(10 * time.Millisecond)
	if len(told) != 0 {
		t.Error("told after Remove")
	}
}

func TestReadProcessStopsAtTheHole(t *testing.T) {
	b := must[[]byte](t)(MapAnonymous(3*4096, unix.PROT_READ|unix.PROT_WRITE))
	defer Unmap(b)
	if err := unix.Mprotect(b[4096:8192], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	b[4095] = 7
	buf := make([]byte, 100)
	at := addressOf(b)
	if n, err := ReadProcess(os.Getpid(), buf, at+4090); n != 6 || err != errno.EFAULT || buf[5] != 7 {
		t.Errorf("%d, %v, %v", n, err, buf[:6])
	}
	spans := []Span{{at, 10}, {at + 8192, 10}, {at + 4096, 10}}
	if n, err := ReadProcessVec(os.Getpid(), buf[:30], spans); n != 20 || err != errno.EFAULT {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := ReadProcess(1<<30, buf, at); err != errno.ESRCH {
		t.Errorf("no such process: %v", err)
	}
}

func TestGetrandomAndFutex(t *testing.T) {
	b := make([]byte, 1000)
	if err := Getrandom(b); err != nil || bytes.Equal(b, make([]byte, 1000)) {
		t.Error(err)
	}
	var word uint32
	if err := FutexWait(&word, 1); err != nil {
		t.Error("a word that differs:", err)
	}
	if err := FutexWake(&word, 1); err != nil {
		t.Error(err)
	}
}
