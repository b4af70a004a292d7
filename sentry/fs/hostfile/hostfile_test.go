package hostfile

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

func open(t *testing.T, number int) (*vfstest.Context, *vfs.Description) {
	t.Helper()
	n, err := host.NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	c := vfstest.NewContext()
	d, err := New(vfs.NewWorld(), n, host.NewFD(number), c.Creds())
	if err != nil {
		t.Fatal(err)
	}
	return c, d
}

func TestPipeOpenedAgain(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	c, d := open(t, ends[1])
	again, err := vfs.OpenPath(c, d.Path(), linux.O_WRONLY)
	if err != nil {
		t.Fatal(err)
	}
	d.DecRef()
	if n, err := again.Write(c, usermem.OwnBuffer([]byte("after")), vfs.CurrentOffset, vfs.Wait); n != 5 || err != nil {
		t.Errorf("write: %d %v", n, err)
	}
	again.DecRef()
	buf := make([]byte, 10)
	if n, _ := unix.Read(ends[0], buf); string(buf[:n]) != "after" {
		t.Errorf("the host reads %q", buf[:n])
	}
	// Every descriptor of the write end is closed now.
	if n, err := unix.Read(ends[0], buf); n != 0 || err != nil {
		t.Errorf("at the end: %d %v", n, err)
	}
}

func TestRegularFileOpenedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	number, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, d := open(t, number)
	defer d.DecRef()
	if _, err := d.Write(c, usermem.OwnBuffer([]byte("ab")), vfs.CurrentOffset, vfs.Wait); err != nil {
		t.Fatal(err)
	}
	again, err := vfs.OpenPath(c, d.Path(), linux.O_WRONLY)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Write(c, usermem.OwnBuffer([]byte("c")), vfs.CurrentOffset, vfs.Wait); err != nil {
		t.Fatal(err)
	}
	again.DecRef()
	if _, err := d.Write(c, usermem.OwnBuffer([]byte("d")), vfs.CurrentOffset, vfs.Wait); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "cbd3456789" {
		t.Errorf("the file is %q", got)
	}
	if _, err := vfs.OpenPath(c, d.Path(), linux.O_RDONLY); err != errno.EACCES {
		t.Errorf("reading what was donated for writing: %v", err)
	}
	truncated, err := vfs.OpenPath(c, d.Path(), linux.O_WRONLY|linux.O_TRUNC)
	if err != nil {
		t.Fatal(err)
	}
	truncated.DecRef()
	if got, _ := os.ReadFile(path); len(got) != 0 {
		t.Errorf("truncated, the file is %q", got)
	}
}
