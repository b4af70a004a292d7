package loader

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// osFile is a File of the host that counts references.
type osFile struct {
	*os.File
	refs int
}

func (f *osFile) MapName() string            { return f.Name() }
func (f *osFile) MapID() (linux.Dev, uint64) { return 1, uint64(f.Fd()) }
func (f *osFile) IncRef()                    { f.refs++ }
func (f *osFile) DecRef()                    { f.refs-- }
func (f *osFile) MapFD() (int, error)        { return int(f.Fd()), nil }
func (f *osFile) Mapping() mm.File           { return f }

// dir is a directory of files that can be opened by name.
type dir struct {
	*testing.T
	path string
	open []*osFile
}

func newDir(t *testing.T) *dir {
	d := &dir{T: t, path: t.TempDir()}
	t.Cleanup(func() {
		for _, f := range d.open {
			if f.refs != 0 {
				t.Errorf("%s has %d references at the end", f.Name(), f.refs)
			}
			f.Close()
		}
	})
	return d
}

func (d *dir) write(name string, content []byte) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.path, name), content, 0o700); err != nil {
		d.Fatal(err)
	}
}

// Open looks names with a slash up on the host.
func (d *dir) Open(name string) (File, error) {
	if !strings.HasPrefix(name, "/") {
		name = filepath.Join(d.path, name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, errno.Of(err)
	}
	o := &osFile{f, 1}
	d.open = append(d.open, o)
	return o, nil
}

func (d *dir) prepare(name string, argv ...string) (*Program, error) {
	d.Helper()
	f, err := d.Open(name)
	if err != nil {
		d.Fatal(err)
	}
	return Prepare(Opts{
		File: f, Path: name, Argv: argv, Envv: []string{"A=1", "PATH=/bin"}, Open: d.Open, StackLimit: 8 << 20,
	})
}

// elf builds a file; the segments' offsets are as given.
func elf(typ uint16, entry uint64, phdrs ...linux.Phdr) []byte {
	var b bytes.Buffer
	h := linux.Ehdr{
		Type: typ, Machine: machine, Version: 1, Entry: entry, Phoff: linux.EhdrSize,
		Ehsize: linux.EhdrSize, Phentsize: linux.PhdrSize, Phnum: uint16(len(phdrs)),
	}
	copy(h.Ident[:], linux.ELFMagic)
	h.Ident[linux.EI_CLASS], h.Ident[linux.EI_DATA], h.Ident[linux.EI_VERSION] = linux.ELFCLASS64, linux.ELFDATA2LSB, 1
	binary.Write(&b, binary.LittleEndian, h)
	binary.Write(&b, binary.LittleEndian, phdrs)
	return b.Bytes()
}

// padTo fills up with a byte.
func padTo(b []byte, n int, with byte) []byte {
	return append(b, bytes.Repeat([]byte{with}, n-len(b))...)
}

const (
	rx = linux.PF_R | linux.PF_X
	wr = linux.PF_R | linux.PF_W
)

var (
	textSeg = linux.Phdr{Type: linux.PT_LOAD, Flags: rx, Vaddr: 0x400000, Filesz: 0x1000, Memsz: 0x1000, Align: 4096}
	dataSeg = linux.Phdr{Type: linux.PT_LOAD, Flags: wr, Off: 0x1800, Vaddr: 0x402800, Filesz: 0x100, Memsz: 0x3000, Align: 4096}
)

func space(t *testing.T) (*mm.MM, platform.Thread) {
	t.Helper()
	p := script.New()
	m, by, err := mm.New(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.DecUsers(); p.Close() })
	return m, by
}

func TestStaticProgram(t *testing.T) {
	m, by := space(t)
	d := newDir(t)
	d.write("prog", padTo(elf(linux.ET_EXEC, 0x400100, textSeg, dataSeg), 0x2000, 0xab))
	p, err := d.prepare("prog", "prog", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	t.Cleanup(func() { m.SetExe(nil); m.Unmap(by, 0x400000, 0x10000) })
	res, err := p.Load(by, m, mm.Fixed, Identity{UID: 1000, EUID: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if res.Entry != 0x400100 || res.StackPointer&15 != 0 {
		t.Errorf("starts at %#x with stack %#x", res.Entry, res.StackPointer)
	}
	// The tail of the file's page and the pages behind it are zero.
	got := make([]byte, 0x3000)
	if _, err := m.CopyIn(got, 0x402800); err != nil {
		t.Fatal(err)
	}
	if i := bytes.IndexByte(got, 0); i != 0x100 || len(bytes.Trim(got[0x100:], "\x00")) != 0 {
		t.Errorf("bss starts at %#x", i)
	}
	if g, _ := m.Find(0x400000); g.Prot != linux.PROT_READ|linux.PROT_EXEC {
		t.Errorf("text has rights %v", g.Prot)
	}
	if g, _ := m.Find(0x404000); g.Prot != linux.PROT_READ|linux.PROT_WRITE || !g.Anonymous {
		t.Errorf("bss is %+v", g)
	}
	if brk := m.Brk(by, 0); brk != 0x406000 {
		t.Errorf("brk is %#x", brk)
	}
	v := readStack(t, m, res.StackPointer)
	if !slices.Equal(v.argv, []string{"prog", "x"}) || !slices.Equal(v.envv, []string{"A=1", "PATH=/bin"}) {
		t.Errorf("argv %q, envp %q", v.argv, v.envv)
	}
	for key, want := range map[uint64]uint64{
		linux.AT_PHDR: 0x400040, linux.AT_PHNUM: 2, linux.AT_ENTRY: 0x400100, linux.AT_BASE: 0,
		linux.AT_UID: 1000, linux.AT_GID: 0, linux.AT_SECURE: 0, linux.AT_PAGESZ: 4096,
	} {
		if v.auxv[key] != want {
			t.Errorf("auxv[%d] = %#x, want %#x", key, v.auxv[key], want)
		}
	}
	if s := cstring(t, m, usermem.Addr(v.auxv[linux.AT_EXECFN])); s != "prog" {
		t.Errorf("AT_EXECFN is %q", s)
	}
	if s := cstring(t, m, usermem.Addr(v.auxv[linux.AT_PLATFORM])); s != platformName {
		t.Errorf("AT_PLATFORM is %q", s)
	}
	q := m.Process()
	args := make([]byte, q.ArgEnd-q.ArgStart)
	if _, err := m.CopyIn(args, q.ArgStart); err != nil || string(args) != "prog\x00x\x00" {
		t.Errorf("the range of arguments holds %q", args)
	}
}

func TestInterpreterAndRandomPlaces(t *testing.T) {
	d := newDir(t)
	ld := textSeg
	ld.Vaddr = 0
	d.write("ld", padTo(elf(linux.ET_DYN, 0x80, ld), 0x1000, 0xcd))
	text := ld
	interp := linux.Phdr{Type: linux.PT_INTERP, Off: 0x800, Filesz: 3, Memsz: 3}
	file := padTo(elf(linux.ET_DYN, 0x100, interp, text), 0x1000, 0)
	copy(file[0x800:], "ld\x00")
	d.write("prog", file)
	seen := map[usermem.Addr]bool{}
	for range 4 {
		m, by := space(t)
		p, err := d.prepare("prog", "prog")
		if err != nil {
			t.Fatal(err)
		}
		res, err := p.Load(by, m, mm.Random, Identity{})
		if err != nil {
			t.Fatal(err)
		}
		v := readStack(t, m, res.StackPointer)
		if base := v.auxv[linux.AT_BASE]; uint64(res.Entry) != base+0x80 || base == 0 {
			t.Errorf("starts at %#x, AT_BASE %#x", res.Entry, base)
		}
		if v.auxv[linux.AT_ENTRY]&0xfff != 0x100 || v.auxv[linux.AT_PHDR]&0xfff != 0x40 {
			t.Errorf("AT_ENTRY %#x, AT_PHDR %#x", v.auxv[linux.AT_ENTRY], v.auxv[linux.AT_PHDR])
		}
		seen[res.Entry] = true
		p.Close()
		m.SetExe(nil)
		if err := m.Unmap(by, 0, uint64(m.Max())); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) < 2 {
		t.Errorf("four programs start at %v", seen)
	}
}

func TestScripts(t *testing.T) {
	d := newDir(t)
	d.write("prog", padTo(elf(linux.ET_EXEC, 0x400100, textSeg), 0x1000, 0))
	d.write("s1", []byte("#!prog  -a b \t\nrest"))
	d.write("s2", []byte("#! s1"))
	for _, s := range []string{"3s2", "4s3", "5s4", "6s5"} {
		d.write("s"+s[:1], []byte("#!"+s[1:]+"\n"))
	}
	p, err := d.prepare("s2", "zero", "one")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"prog", "-a b", "s1", "s2", "one"}; !slices.Equal(p.argv, want) {
		t.Errorf("argv %q, want %q", p.argv, want)
	}
	p.Close()
	if p, err := d.prepare("s5", "x"); err != nil {
		t.Errorf("five scripts: %v", err)
	} else {
		p.Close()
	}
	if _, err := d.prepare("s6", "x"); err != errno.ELOOP {
		t.Errorf("six scripts: %v", err)
	}
}

func TestScriptLines(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		line string
		want shebang
		err  error
	}{
		{"#!/bin/sh\n", shebang{"/bin/sh", ""}, nil},
		{"#!/bin/sh", shebang{"/bin/sh", ""}, nil},
		{"#! \t/bin/sh -e\tx  \nfoo", shebang{"/bin/sh", "-e\tx"}, nil},
		{"#!\n", shebang{}, errno.ENOEXEC},
		{"#!", shebang{}, errno.ENOEXEC},
		{"#!  \t \n", shebang{}, errno.ENOEXEC},
		{"#!" + long, shebang{}, errno.ENOEXEC},
		{"#!/bin/sh " + long, shebang{"/bin/sh", long[:scriptBufLen-10]}, nil},
		{"#!/bin/sh\x00-x\n", shebang{"/bin/sh", ""}, nil},
	} {
		line, ok := scriptLine([]byte(c.line))
		if !ok {
			t.Fatalf("%q is no script", c.line)
		}
		if got, err := parseScript(line); got != c.want || err != c.err {
			t.Errorf("%.20q gives %q, %v; want %q, %v", c.line, got, err, c.want, c.err)
		}
	}
}

func TestErrors(t *testing.T) {
	d := newDir(t)
	prog := padTo(elf(linux.ET_EXEC, 0x400100, textSeg), 0x1000, 0)
	change := func(off int, v byte) []byte { b := bytes.Clone(prog); b[off] = v; return b }
	interp := func(path string, size uint64) []byte {
		b := padTo(elf(linux.ET_EXEC, 0x400100, linux.Phdr{Type: linux.PT_INTERP, Off: 0x800, Filesz: size}, textSeg), 0x1000, 0)
		copy(b[0x800:], path)
		return b
	}
	d.write("text", []byte("this is not a program, and longer than an ELF header is, to be sure"))
	d.write("short", []byte("x"))
	for _, c := range []struct {
		name string
		file []byte
		want error
	}{
		{"empty file", nil, errno.ENOEXEC},
		{"text", []byte("hello"), errno.ENOEXEC},
		{"cut off header", prog[:40], errno.ENOEXEC},
		{"cut off program headers", prog[:80], errno.ENOEXEC},
		{"32 bits", change(linux.EI_CLASS, linux.ELFCLASS32), errno.ENOEXEC},
		{"another machine", change(18, linux.EM_AARCH64), errno.ENOEXEC},
		{"an object file", change(16, linux.ET_REL), errno.ENOEXEC},
		{"no program headers", change(56, 0), errno.ENOEXEC},
		{"a missing interpreter", interp("nowhere\x00", 8), errno.ENOENT},
		{"an interpreter that is text", interp("text\x00", 5), errno.ELIBBAD},
		{"an interpreter that is short", interp("short\x00", 6), errno.EIO},
		{"an interpreter without an end", interp("text", 4), errno.ENOEXEC},
		{"an interpreter beyond the file", interp("", 4000), errno.EIO},
		{"a script of a missing program", []byte("#!nowhere\n"), errno.ENOENT},
	} {
		d.write("prog", c.file)
		if p, err := d.prepare("prog", "prog"); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
			if err == nil {
				p.Close()
			}
		}
	}
}

func TestSegmentsThatCannotBe(t *testing.T) {
	d := newDir(t)
	for _, c := range []struct {
		name string
		ph   linux.Phdr
		want error
	}{
		{"larger in the file", linux.Phdr{Vaddr: 0x400000, Filesz: 2, Memsz: 1}, errno.EINVAL},
		{"beyond all addresses", linux.Phdr{Vaddr: 1 << 63, Memsz: 1}, errno.EINVAL},
		{"wraps", linux.Phdr{Vaddr: 0x400000, Memsz: ^uint64(0)}, errno.EINVAL},
		{"too large", linux.Phdr{Vaddr: 0x400000, Memsz: 1<<47 - 0x800000}, errno.EEXIST},
		{"page zero", linux.Phdr{Vaddr: 0, Memsz: 1}, errno.EEXIST},
		{"crooked", linux.Phdr{Vaddr: 0x400001, Filesz: 1, Memsz: 1}, errno.EINVAL},
		{"offset that wraps", linux.Phdr{Vaddr: 0x400000, Off: 1<<63 - 4096, Filesz: 1, Memsz: 1}, errno.EINVAL},
	} {
		c.ph.Type, c.ph.Flags = linux.PT_LOAD, rx
		d.write("prog", elf(linux.ET_EXEC, 0x400000, c.ph))
		p, err := d.prepare("prog", "prog")
		if err != nil {
			t.Fatal(c.name, err)
		}
		m, by := space(t)
		if _, err := p.Load(by, m, mm.Fixed, Identity{}); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		p.Close()
	}
}

func TestArgumentLimits(t *testing.T) {
	d := newDir(t)
	d.write("prog", padTo(elf(linux.ET_EXEC, 0x400100, textSeg), 0x1000, 0))
	if _, err := d.prepare("prog", strings.Repeat("x", maxStringLen)); err != errno.E2BIG {
		t.Errorf("a long string: %v", err)
	}
	many := slices.Repeat([]string{strings.Repeat("x", 100_000)}, 21)
	if _, err := d.prepare("prog", many...); err != errno.E2BIG {
		t.Errorf("more than a quarter of the stack: %v", err)
	}
	p, err := d.prepare("prog", many[:20]...)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	m, by := space(t)
	res, err := p.Load(by, m, mm.Random, Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if v := readStack(t, m, res.StackPointer); len(v.argv) != 20 || v.argv[19] != many[0] {
		t.Error("long arguments did not arrive")
	}
	m.SetExe(nil)
	m.Unmap(by, 0x400000, pageSize)
	if p, err := d.prepare("prog"); err != nil || len(p.argv) != 1 {
		t.Errorf("no argument: %v", err)
	} else {
		p.Close()
	}
}

func TestRealProgram(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Skip("cannot tell the test's own program:", err)
	}
	d := newDir(t)
	p, err := d.prepare(exe, "x")
	if err != nil {
		t.Fatal(err)
	}
	m, by := space(t)
	t.Cleanup(func() { m.SetExe(nil); m.Unmap(by, 0, uint64(m.Max())); p.Close() })
	res, err := p.Load(by, m, mm.Random, Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := m.Find(res.Entry); !ok || g.Prot&linux.PROT_EXEC == 0 {
		t.Errorf("the entry %#x lies in %+v", res.Entry, g)
	}
}

type stack struct {
	argv, envv []string
	auxv       map[uint64]uint64
}

func readStack(t *testing.T, m *mm.MM, sp usermem.Addr) stack {
	t.Helper()
	word := func() uint64 {
		v, err := usermem.Ptr[uint64](sp).Load(m)
		if err != nil {
			t.Fatal(err)
		}
		sp += 8
		return v
	}
	s := stack{auxv: map[uint64]uint64{}}
	argc := word()
	for a := word(); a != 0; a = word() {
		s.argv = append(s.argv, cstring(t, m, usermem.Addr(a)))
	}
	if int(argc) != len(s.argv) {
		t.Errorf("argc is %d for %d arguments", argc, len(s.argv))
	}
	for a := word(); a != 0; a = word() {
		s.envv = append(s.envv, cstring(t, m, usermem.Addr(a)))
	}
	for k := word(); k != linux.AT_NULL; k = word() {
		s.auxv[k] = word()
	}
	return s
}

func cstring(t *testing.T, m *mm.MM, a usermem.Addr) string {
	t.Helper()
	s, err := usermem.LoadString(m, a, maxStringLen, errno.E2BIG)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// memFile is a File of bytes; it is mapped as anonymous memory.
type memFile struct{ *bytes.Reader }

func (memFile) MapName() string            { return "mem" }
func (memFile) MapID() (linux.Dev, uint64) { return 1, 1 }
func (memFile) IncRef()                    {}
func (memFile) DecRef()                    {}
func (memFile) MapFD() (int, error)        { return -1, nil }
func (f memFile) Mapping() mm.File         { return f }

var _ io.ReaderAt = memFile{}

// FuzzLoad loads hostile files, each as program and as interpreter.
func FuzzLoad(f *testing.F) {
	f.Add(padTo(elf(linux.ET_EXEC, 0x400100, textSeg, dataSeg), 0x2000, 1))
	dyn := textSeg
	dyn.Vaddr = 0
	f.Add(padTo(elf(linux.ET_DYN, 0x100, linux.Phdr{Type: linux.PT_INTERP, Off: 64, Filesz: 3}, dyn), 0x200, 0))
	f.Add([]byte("#!/bin/sh -x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		open := func(string) (File, error) { return memFile{bytes.NewReader(b)}, nil }
		file, _ := open("")
		p, err := Prepare(Opts{File: file, Path: "p", Argv: []string{"p"}, Open: open, StackLimit: 8 << 20})
		if err != nil {
			if _, ok := err.(errno.Errno); !ok {
				t.Fatalf("error %v is no Errno", err)
			}
			return
		}
		defer p.Close()
		pl := script.New()
		defer pl.Close()
		m, by, err := mm.New(pl)
		if err != nil {
			t.Fatal(err)
		}
		defer m.DecUsers()
		if _, err := p.Load(by, m, mm.Random, Identity{}); err != nil {
			if _, ok := err.(errno.Errno); !ok {
				t.Fatalf("error %v is no Errno", err)
			}
		}
	})
}
