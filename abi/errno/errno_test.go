package errno

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestNamesAndTextsMatchTheHost(t *testing.T) {
	for e := Errno(1); int(e) < len(texts); e++ {
		if e == 41 || e == 58 { // EWOULDBLOCK and EDEADLOCK have no number of their own here
			continue
		}
		if e.String() == "" || e.String()[0] != 'E' || e.Error() == "" {
			t.Errorf("errno %d: name %q, text %q", uint32(e), e.String(), e.Error())
		}
	}
	for _, e := range []Errno{ENOENT, EINTR, EPIPE, ELOOP, ENOTCONN} {
		if e.Error() != syscall.Errno(e).Error() {
			t.Errorf("%s: %q, host says %q", e.String(), e.Error(), syscall.Errno(e).Error())
		}
	}
}

func TestUnknownNumber(t *testing.T) {
	if got := Errno(4000).String(); got != "errno 4000" {
		t.Errorf("got %q", got)
	}
	if got := Errno(515).Error(); got != "errno 515" {
		t.Errorf("got %q", got)
	}
}

func TestFromHost(t *testing.T) {
	_, openErr := os.Open("/does/not/exist")
	for _, c := range []struct {
		err  error
		want Errno
	}{
		{nil, 0},
		{syscall.EACCES, EACCES},
		{ENOSPC, ENOSPC},
		{ERESTARTSYS, ERESTARTSYS},
		{openErr, ENOENT},
		{fmt.Errorf("open config: %w", openErr), ENOENT},
		{os.NewSyscallError("mmap", syscall.ENOMEM), ENOMEM},
		{fs.ErrExist, EEXIST},
		{fs.ErrPermission, EPERM},
		{os.ErrClosed, EBADF},
		{os.ErrDeadlineExceeded, ETIMEDOUT},
		{io.ErrUnexpectedEOF, EIO},
		{syscall.Errno(0), EIO},
		{syscall.Errno(512), EIO},
		{syscall.Errno(1 << 40), EIO},
	} {
		if got := FromHost(c.err); got != c.want {
			t.Errorf("FromHost(%v) = %s, want %s", c.err, got.String(), c.want.String())
		}
		if got := Of(c.err); got != c.want {
			t.Errorf("Of(%v) = %s, want %s", c.err, got.String(), c.want.String())
		}
	}
}

func TestIs(t *testing.T) {
	var err error = ENOENT
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EPERM) {
		t.Error("ENOENT does not compare like the host's number")
	}
}

func TestRestartCodes(t *testing.T) {
	for e := Errno(0); e < 600; e++ {
		want := e == 512 || e == 513 || e == 514 || e == 516
		if e.IsRestart() != want {
			t.Errorf("%d: IsRestart = %v", uint32(e), e.IsRestart())
		}
	}
	if got := ERESTART_RESTARTBLOCK.String(); got != "ERESTART_RESTARTBLOCK" {
		t.Errorf("got %q", got)
	}
}

var sink error

func TestErrorsDoNotAllocate(t *testing.T) {
	table := []Errno{ENOENT, EHWPOISON}
	i := 0
	allocs := testing.AllocsPerRun(100, func() {
		sink = ERESTARTSYS
		sink = table[i%2]
		i++
	})
	if allocs != 0 {
		t.Errorf("%v allocations for each error value", allocs)
	}
}
