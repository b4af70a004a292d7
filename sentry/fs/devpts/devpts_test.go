package devpts

import (
	"slices"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/tty"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// memory is guest memory in a slice.
type memory []byte

func (m memory) CopyIn(dst []byte, a usermem.Addr) (int, error)  { return copy(dst, m[a:]), nil }
func (m memory) CopyOut(a usermem.Addr, src []byte) (int, error) { return copy(m[a:], src), nil }
func (m memory) CopyInVec([]byte, []usermem.Range) (int, error)  { return 0, errno.EFAULT }
func (m memory) CopyOutVec([]usermem.Range, []byte) (int, error) { return 0, errno.EFAULT }

// mounted is a world whose root is an instance.
func mounted(t *testing.T, options string) (*vfstest.Env, *Devices) {
	t.Helper()
	w := vfs.NewWorld()
	p := script.New()
	t.Cleanup(p.Close)
	d := Register(kernel.New(kernel.Options{Platform: p, World: w}))
	fs, err := d.Type().New(vfstest.NewContext(), w, "devpts", options)
	if err != nil {
		t.Fatal(err)
	}
	return vfstest.NewEnvIn(t, w, fs), d
}

// open opens a file that the test closes itself.
func open(e *vfstest.Env, path string) *vfs.Description {
	e.T.Helper()
	d, err := e.Open(path, linux.O_RDWR, 0)
	if err != nil {
		e.T.Fatalf("open %s: %v", path, err)
	}
	return d
}

func ioctl(t *testing.T, d *vfs.Description, cmd uint32, v int32) int32 {
	t.Helper()
	m := make(memory, 8)
	p := usermem.Ptr[int32](0)
	p.Store(m, v)
	if _, err := d.File().(vfs.Ioctler).Ioctl(vfstest.NewContext(), m, cmd, 0); err != nil {
		t.Fatalf("ioctl %#x: %v", cmd, err)
	}
	v, _ = p.Load(m)
	return v
}

func TestLinesComeAndGo(t *testing.T) {
	e, _ := mounted(t, "gid=5,mode=620,ptmxmode=666")
	m0 := open(e, "/ptmx")
	m1 := open(e, "/ptmx")
	if n := ioctl(t, m1, linux.TIOCGPTN, -1); n != 1 {
		t.Errorf("the second line has number %d", n)
	}
	if got := e.List("/"); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"0", "1", "ptmx"}) {
		t.Errorf("names %q", got)
	}
	s := e.MustStat("/1")
	if s.Mode != linux.S_IFCHR|0o620 || s.GID != 5 || s.RdevMajor != 136 || s.RdevMinor != 1 || s.Ino != 4 {
		t.Errorf("/1 is %+v", s)
	}
	if s := e.MustStat("/ptmx"); s.Mode != linux.S_IFCHR|0o666 || s.RdevMajor != 5 || s.RdevMinor != 2 {
		t.Errorf("/ptmx is %+v", s)
	}
	m0.DecRef()
	if _, err := e.Lookup("/0"); err != errno.ENOENT {
		t.Errorf("a line without a far end: %v", err)
	}
	m2 := open(e, "/ptmx")
	if n := ioctl(t, m2, linux.TIOCGPTN, -1); n != 0 {
		t.Errorf("the free number was not used but %d", n)
	}
	m1.DecRef()
	m2.DecRef()
}

func TestLockedUntilUnlocked(t *testing.T) {
	e, _ := mounted(t, "")
	m := open(e, "/ptmx")
	if _, err := e.Open("/0", linux.O_RDWR, 0); err != errno.EIO {
		t.Errorf("open of a locked line: %v", err)
	}
	if v := ioctl(t, m, linux.TIOCGPTLCK, -1); v != 1 {
		t.Errorf("TIOCGPTLCK says %d", v)
	}
	ioctl(t, m, linux.TIOCSPTLCK, 0)
	s := open(e, "/0")
	c := vfstest.NewContext()
	if _, err := vfstest.Write(c, m, "hello\n", vfs.CurrentOffset); err != nil {
		t.Fatal(err)
	}
	if got, err := vfstest.Read(c, s, 100, vfs.CurrentOffset); got != "hello\n" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	m.DecRef()
	if got, err := vfstest.Read(c, s, 100, vfs.CurrentOffset); got != "" || err != nil {
		t.Errorf("after the far end went: %q, %v", got, err)
	}
	s.DecRef()
}

func TestOptions(t *testing.T) {
	for text, want := range map[string]error{
		"":                               nil,
		"newinstance,ptmxmode=0666":      nil,
		"mode=0620,gid=5,uid=1,max=10":   nil,
		"mode=9":                         errno.EINVAL,
		"gid=x":                          errno.EINVAL,
		"colour=red":                     errno.EINVAL,
		"gid=99999999999999999999999999": errno.EINVAL,
	} {
		if _, err := parseOptions(text); err != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	e, _ := mounted(t, "max=1,mode=600,ptmxmode=600")
	m := open(e, "/ptmx")
	defer m.DecRef()
	if _, err := e.Open("/ptmx", linux.O_RDWR, 0); err != errno.ENOSPC {
		t.Errorf("more lines than max: %v", err)
	}
	if _, err := e.As(vfstest.UserCreds(7, 7)).Open("/0", linux.O_RDWR, 0); err != errno.EACCES {
		t.Errorf("somebody else's line: %v", err)
	}
}

func TestDevicesWithoutATerminal(t *testing.T) {
	e, d := mounted(t, "")
	c := vfstest.NewContext()
	if _, err := openOwn(c, nil, vfs.Path{}, linux.O_RDWR); err != errno.ENXIO {
		t.Errorf("/dev/tty: %v", err)
	}
	if _, err := d.openConsole(c, nil, vfs.Path{}, linux.O_RDWR); err != errno.ENXIO {
		t.Errorf("/dev/console: %v", err)
	}
	if _, err := openSlave(c, vfs.NewAnonInode(vfs.NewWorld(), linux.S_IFCHR, c.Creds()), vfs.Path{}, 0); err != errno.ENXIO {
		t.Errorf("a node of no instance: %v", err)
	}
	// A ptmx that was made by mknod stands for the first instance.
	f, err := d.openMaster(c, vfs.NewAnonInode(vfs.NewWorld(), linux.S_IFCHR, c.Creds()), vfs.Path{}, linux.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Lookup("/0"); err != nil {
		t.Errorf("its line: %v", err)
	}
	f.Release()
	if ev := f.(waiter.Waitable).Ready(waiter.In); ev&waiter.Hup != 0 {
		t.Errorf("a line that nobody opened is hung up: %#x", ev)
	}
}

var (
	_ tty.Job         = (*line)(nil)
	_ vfs.FileSystem  = (*FS)(nil)
	_ vfs.Revalidator = (*rootInode)(nil)
)
