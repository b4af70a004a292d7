package proc

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/tmpfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

// calls is a system call table whose every call runs a function of the test in
// the task that made it.
type calls struct{ run func(*kernel.Task) }

func (c *calls) Handle(t *kernel.Task, nr uint64, _ *[6]uint64) (uint64, error) {
	if nr == 60 {
		t.ExitGroup(0)
		return 0, nil
	}
	c.run(t)
	return 0, nil
}

func (*calls) TraceEnter(*kernel.Task, uint64, *[6]uint64) string { return "" }
func (*calls) TraceExit(uint64, error) string                     { return "" }
func (*calls) Steady() []uint64                                   { return nil }
func (*calls) Yield() uint64                                      { return 24 }
func (*calls) Futex() uint64                                      { return 0 }

// inGuest runs f in a task of a kernel whose root file system is empty but for
// /proc, which shows the task's namespace, and the program.
func inGuest(t *testing.T, f func(x guest)) {
	t.Helper()
	p := script.New()
	defer p.Close()
	w := vfs.NewWorld()
	w.RegisterFS(tmpfs.Type())
	table := &calls{}
	k := kernel.New(kernel.Options{Platform: p, World: w, Syscalls: table, Memory: kernel.MemoryInfo{Total: 1 << 30}})
	c := vfstest.NewContextAs(&cred.Creds{Permitted: cred.AllCaps, Effective: cred.AllCaps, UserNS: k.RootUserNS()})
	mounts := w.NewNamespace(tmpfs.New(w, tmpfs.Options{}), "root", 0, k.RootUserNS())
	fs := vfs.NewFSContext(mounts)
	ns := kernel.Namespaces{
		UTS: k.NewUTSNamespace("box", "(none)", k.RootUserNS()),
		IPC: k.NewIPCNamespace(k.RootUserNS()),
		Net: k.NewNetNamespace(k.RootUserNS()), PIDForChildren: k.NewPIDNamespace(k.RootPIDNS(), k.RootUserNS()),
	}
	config := &Config{Kernel: k, Sysctls: NewSysctls()}
	done := make(chan struct{})
	entry := p.Code(func(g *script.Guest) {
		g.Syscall(1)
		g.Syscall(60)
	})
	writeFile(t, c, fs, "/prog", elf(0x400100))
	name := fs.Name("/proc")
	if err := vfs.Mkdir(c, name, 0o555); err != nil {
		t.Fatal(err)
	}
	at, err := vfs.Resolve(c, name, vfs.How{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.MountFS(config.New(ns.PIDForChildren), "proc", at, 0); err != nil {
		t.Fatal(err)
	}
	at.DecRef()
	name.Release()
	table.run = func(task *kernel.Task) {
		defer close(done)
		f(guest{t, task, config})
	}
	g, err := k.CreateProcess(kernel.ProcessOptions{
		Args: []string{"/prog", "one two", "-x"}, Env: []string{"A=1", "B=2"}, Cwd: "/",
		Creds:  &cred.Creds{Permitted: cred.AllCaps, Effective: cred.AllCaps, Bounding: cred.AllCaps, UserNS: k.RootUserNS()},
		Limits: kernel.DefaultLimits(), Umask: 0o22, FDs: fdtable.New(), FS: fs, Namespaces: ns,
	})
	if err != nil {
		t.Fatal(err)
	}
	// The platform's programs lie where no file can be loaded.
	g.Leader().Regs().SetPC(entry)
	g.Start()
	<-done
	k.AwaitAll()
}

func writeFile(t *testing.T, c vfs.Context, fs *vfs.FSContext, path string, content []byte) {
	t.Helper()
	name := fs.Name(path)
	defer name.Release()
	d, err := vfs.Open(c, name, vfs.OpenHow{Flags: linux.O_CREAT | linux.O_RDWR, Mode: 0o755})
	if err != nil {
		t.Fatal(err)
	}
	defer d.DecRef()
	if _, err := d.Write(c, usermem.OwnBuffer(content), 0, vfs.Wait); err != nil {
		t.Fatal(err)
	}
}

// elf is a program of one page.
func elf(entry uint64) []byte {
	var b bytes.Buffer
	h := linux.Ehdr{
		Type: linux.ET_EXEC, Machine: linux.EM_X86_64, Version: 1, Entry: entry, Phoff: linux.EhdrSize,
		Ehsize: linux.EhdrSize, Phentsize: linux.PhdrSize, Phnum: 1,
	}
	copy(h.Ident[:], linux.ELFMagic)
	h.Ident[linux.EI_CLASS], h.Ident[linux.EI_DATA], h.Ident[linux.EI_VERSION] = linux.ELFCLASS64, linux.ELFDATA2LSB, 1
	binary.Write(&b, binary.LittleEndian, h)
	binary.Write(&b, binary.LittleEndian, linux.Phdr{
		Type: linux.PT_LOAD, Flags: linux.PF_R | linux.PF_X, Vaddr: 0x400000, Filesz: linux.PageSize, Memsz: linux.PageSize, Align: linux.PageSize,
	})
	return append(b.Bytes(), make([]byte, linux.PageSize-b.Len())...)
}

// guest is a task of the test.
type guest struct {
	t      *testing.T
	task   *kernel.Task
	config *Config
}

func (x guest) open(path string, flags linux.OpenFlags) (*vfs.Description, error) {
	name := x.task.FS().Name(path)
	defer name.Release()
	return vfs.Open(x.task, name, vfs.OpenHow{Flags: flags})
}

// read returns a file's content, or the error's text.
func (x guest) read(path string) string {
	d, err := x.open(path, linux.O_RDONLY)
	if err != nil {
		return err.Error()
	}
	defer d.DecRef()
	var all []byte
	for {
		buf := make([]byte, 4096)
		n, err := d.Read(x.task, usermem.OwnBuffer(buf), vfs.CurrentOffset, vfs.Wait)
		if err != nil {
			return err.Error()
		}
		if n == 0 {
			return string(all)
		}
		all = append(all, buf[:n]...)
	}
}

func (x guest) write(path, value string) error {
	d, err := x.open(path, linux.O_WRONLY|linux.O_TRUNC)
	if err != nil {
		return err
	}
	defer d.DecRef()
	_, err = d.Write(x.task, usermem.OwnBuffer([]byte(value)), vfs.CurrentOffset, vfs.Wait)
	return err
}

func (x guest) readlink(path string) string {
	name := x.task.FS().Name(path)
	defer name.Release()
	p, err := vfs.Resolve(x.task, name, vfs.How{Follow: vfs.NoFollow})
	if err != nil {
		return err.Error()
	}
	defer p.DecRef()
	target, err := vfs.Readlink(x.task, p)
	if err != nil {
		return err.Error()
	}
	return target
}

func (x guest) list(path string) []string {
	x.t.Helper()
	d, err := x.open(path, linux.O_RDONLY|linux.O_DIRECTORY)
	if err != nil {
		x.t.Errorf("open %s: %v", path, err)
		return nil
	}
	defer d.DecRef()
	var names []string
	err = d.ReadDir(x.task, func(e vfs.Dirent) bool {
		if !slices.Contains([]string{".", ".."}, e.Name) {
			names = append(names, e.Name)
		}
		return true
	})
	if err != nil {
		x.t.Errorf("list %s: %v", path, err)
	}
	return names
}
