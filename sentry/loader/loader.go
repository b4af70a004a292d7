// Package loader puts a program into an address space: it follows #! lines,
// reads ELF files, maps their segments and their interpreter, and lays out the
// first stack with arguments, environment and auxiliary vector.
//
// It works in two steps, so that execve(2) can fail before anything is lost and
// can compute credentials in between. Prepare reads files only and returns a
// Program: the binary that will run, its interpreter and its final arguments.
// Load maps a Program into an empty address space.
//
// Every byte of a file is hostile. Numbers are checked before they are added;
// memory that is allocated is bounded by constants, not by the file. The
// package does not decide whether a file may be executed: who passes Open does.
//
// Locks: none of its own; it calls mm and files with none held.
//
// Cost: two to four reads and one mapping call for each segment, and one copy
// for the stack.
package loader

import (
	"io"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
)

// File is an open executable.
type File interface {
	io.ReaderAt
	// Mapping is the file as mappings keep it, with whatever reading it
	// needed left out.
	Mapping() mm.File
	// MapFD is the host descriptor for private mappings of the file; it
	// stays open as long as there is a reference.
	MapFD() (int, error)
	DecRef()
}

// OpenFunc opens an interpreter as execve does: it follows links, checks that
// the file is regular and may be executed. The caller gets a reference.
type OpenFunc func(path string) (File, error)

// Opts says what to execute.
type Opts struct {
	File File   // Prepare takes over the caller's reference
	Path string // how the caller named File: AT_EXECFN, and argv of a script
	Argv []string
	Envv []string
	Open OpenFunc

	// StackLimit is the soft RLIMIT_STACK, a quarter of which arguments and
	// environment may take.
	StackLimit uint64
}

// Program is what Prepare found.
type Program struct {
	// File is the binary itself, at the end of all #! lines: its owner and
	// mode give the credentials, and it is what /proc/PID/exe shows.
	File File
	// Scripts is how many #! lines were followed; set-user-ID bits of a
	// script do not count.
	Scripts int

	path   string
	argv   []string
	envv   []string
	image  image
	interp *image
}

const (
	maxScripts   = 5      // as fs/exec.c
	maxStringLen = 131072 // MAX_ARG_STRLEN
	argMax       = 131072 // ARG_MAX, what is always allowed
	argCeiling   = 6 << 20
)

// ArgLimit is how many bytes arguments and environment may take, with their
// pointers, under a soft RLIMIT_STACK.
func ArgLimit(stackLimit uint64) uint64 {
	return max(min(stackLimit/4, argCeiling), argMax)
}

// Prepare reads what is to be executed.
//
// Errors: ENOEXEC for what is no program; E2BIG; ELOOP for too many #! lines;
// ELIBBAD for an interpreter that is not ELF; EIO for one that is cut off; what
// Open returns. References are dropped then.
func Prepare(o Opts) (*Program, error) {
	p := &Program{File: o.File, path: o.Path, argv: o.Argv, envv: o.Envv}
	if len(p.argv) == 0 {
		p.argv = []string{""} // as Linux since 5.18
	}
	if err := p.prepare(&o); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Program) prepare(o *Opts) error {
	if err := p.checkArgs(o.StackLimit); err != nil {
		return err
	}
	var head []byte
	name := o.Path
	for {
		var err error
		if head, err = readHead(p.File); err != nil {
			return err
		}
		line, ok := scriptLine(head)
		if !ok {
			break
		}
		if p.Scripts == maxScripts {
			return errno.ELOOP
		}
		s, err := parseScript(line)
		if err != nil {
			return err
		}
		if name, err = p.follow(s, name, o.Open); err != nil {
			return err
		}
	}
	if p.Scripts > 0 {
		if err := p.checkArgs(o.StackLimit); err != nil {
			return err
		}
	}
	if err := p.image.parse(p.File, head); err != nil {
		return err
	}
	path, err := p.image.interpreter()
	if err != nil || path == "" {
		return err
	}
	return p.openInterpreter(path, o.Open)
}

// follow replaces the file by the interpreter of its #! line, and the first
// argument by the line's words and the script's name.
func (p *Program) follow(s shebang, name string, open OpenFunc) (string, error) {
	f, err := open(s.interpreter)
	if err != nil {
		return "", err
	}
	p.File.DecRef()
	p.File = f
	p.Scripts++
	argv := []string{s.interpreter}
	if s.argument != "" {
		argv = append(argv, s.argument)
	}
	p.argv = append(append(argv, name), p.argv[1:]...)
	return s.interpreter, nil
}

func (p *Program) openInterpreter(path string, open OpenFunc) error {
	f, err := open(path)
	if err != nil {
		return err
	}
	p.interp = &image{file: f}
	head, err := readHead(f)
	if err != nil {
		return err
	}
	if len(head) < linux.EhdrSize {
		return errno.EIO
	}
	if err := p.interp.parse(f, head); err != nil {
		return errno.ELIBBAD
	}
	return nil
}

// checkArgs applies the limits on arguments and environment.
func (p *Program) checkArgs(stackLimit uint64) error {
	total := uint64(len(p.argv)+len(p.envv)) * 8
	total += uint64(len(p.path)) + 1
	for _, list := range [][]string{p.argv, p.envv} {
		for _, s := range list {
			if len(s)+1 > maxStringLen {
				return errno.E2BIG
			}
			total += uint64(len(s)) + 1
		}
	}
	if total > ArgLimit(stackLimit) {
		return errno.E2BIG
	}
	return nil
}

// Close drops the references. A Program is closed after Load, too.
func (p *Program) Close() {
	if p.File != nil {
		p.File.DecRef()
		p.File = nil
	}
	if p.interp != nil {
		p.interp.file.DecRef()
		p.interp = nil
	}
}

// headSize covers the header, the program headers and the interpreter's name
// of nearly every binary, so that one read is enough.
const headSize = 4096

func readHead(f File) ([]byte, error) {
	b := make([]byte, headSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil, errno.Of(err)
	}
	return b[:min(max(n, 0), headSize)], nil
}

// readFull reads exactly len(b) bytes, or EIO.
func readFull(f File, b []byte, off uint64) error {
	if off > 1<<62 {
		return errno.EIO
	}
	for done := 0; done < len(b); {
		n, err := f.ReadAt(b[done:], int64(off)+int64(done))
		if n <= 0 {
			if err == nil || err == io.EOF {
				return errno.EIO
			}
			return errno.Of(err)
		}
		done += n
	}
	return nil
}
