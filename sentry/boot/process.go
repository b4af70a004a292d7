package boot

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/bpf"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/hostfile"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// process is one that runsc asked for: init, or by Exec.
type process struct {
	group *kernel.ThreadGroup
	tty   terminal // nil without one
	once  sync.Once
}

// closeTTY ends the terminal when the process has. Whoever asks waits until the
// last output is shown.
func (p *process) closeTTY() {
	p.once.Do(func() {
		if p.tty != nil {
			p.tty.Close()
		}
	})
}

// terminal is what runsc can do with a process's terminal.
type terminal interface {
	Resize(rows, columns uint16)
	ForegroundSignal(s linux.Signal)
	Close()
}

// role says whether a process is the container's first.
type role uint8

const (
	initProcess role = iota
	execProcess
)

// newProcess makes a process that has not started. The numbers in p.Stdio are
// descriptors, or positions in files if that is not nil.
func (s *sandbox) newProcess(p *control.Process, files []*os.File, r role) (*process, error) {
	filter, err := processFilter(p)
	if err != nil {
		return nil, err
	}
	fds, tty, err := s.descriptors(p, files)
	if err != nil {
		return nil, err
	}
	fs := vfs.NewFSContext(s.mounts)
	if r == initProcess {
		l := &layout{s, startContext{s.rootCreds()}, fs}
		// runc makes a missing working directory; so do we.
		if err := l.makeDirs(p.Cwd); err != nil && !errors.Is(err, errno.EROFS) {
			fds.DecRef()
			fs.DecRef()
			return nil, control.Errorf(control.KindInternal, "make the working directory %s: %v", p.Cwd, err)
		}
	}
	limits := kernel.DefaultLimits()
	for _, l := range p.Rlimits {
		if l.Resource >= 0 && l.Resource < len(limits) {
			limits[l.Resource] = linux.Rlimit{Cur: l.Soft, Max: l.Hard}
		}
	}
	g, err := s.k.CreateProcess(kernel.ProcessOptions{
		Args: p.Args, Env: p.Env, Cwd: p.Cwd,
		Creds:       s.processCreds(p),
		Limits:      limits,
		Umask:       linux.FileMode(p.Umask),
		FDs:         fds,
		FS:          fs,
		Namespaces:  s.ns,
		OOMScoreAdj: int32(p.OOMScoreAdj),
		Seccomp:     filter,
	})
	if err != nil {
		return nil, processError(err)
	}
	pr := &process{group: g}
	if tty != nil {
		pr.tty = tty
		if err := tty.attach(g); err != nil {
			g.Discard()
			return nil, control.Errorf(control.KindInternal, "make the terminal the controlling one: %v", err)
		}
	}
	return pr, nil
}

// processFilter checks the process's seccomp filter, if it has one.
func processFilter(p *control.Process) (*bpf.Program, error) {
	if len(p.Seccomp) == 0 {
		return nil, nil
	}
	f, err := bpf.New(p.Seccomp)
	if err != nil {
		return nil, control.Errorf(control.KindInternal, "check the seccomp filter: %v", err)
	}
	return &f, nil
}

// processError gives a failure the kind that decides about runsc's exit status.
func processError(err error) error {
	pe := new(kernel.ProcessError)
	if !errors.As(err, &pe) || pe.Step != "exec" {
		return err
	}
	// The words are those that engines look for to choose between the exit
	// statuses 126 and 127.
	missing := pe.Errno == errno.ENOENT || pe.Errno == errno.ENOTDIR
	switch {
	case missing && !strings.Contains(pe.Object, "/"):
		return control.Errorf(control.KindNoProgram, "exec: %q: executable file not found in $PATH", pe.Object)
	case missing:
		return control.Errorf(control.KindNoProgram, "exec: %q: %v", pe.Object, pe.Errno)
	}
	return control.Errorf(control.KindNotExecutable, "exec: %q: %v", pe.Object, pe.Errno)
}

func (s *sandbox) processCreds(p *control.Process) *cred.Creds {
	uid, gid := s.kuid(p.UID), s.kgid(p.GID)
	c := &cred.Creds{
		UID: uid, EUID: uid, SUID: uid, FSUID: uid,
		GID: gid, EGID: gid, SGID: gid, FSGID: gid,
		Permitted:   cred.CapSet(p.Capabilities.Permitted) & cred.AllCaps,
		Effective:   cred.CapSet(p.Capabilities.Effective) & cred.AllCaps,
		Inheritable: cred.CapSet(p.Capabilities.Inheritable) & cred.AllCaps,
		Bounding:    cred.CapSet(p.Capabilities.Bounding) & cred.AllCaps,
		Ambient:     cred.CapSet(p.Capabilities.Ambient) & cred.AllCaps,
		UserNS:      s.userNS,
	}
	if p.NoNewPrivileges {
		c.NoNewPrivs = 1
	}
	for _, g := range p.AdditionalGIDs {
		c.Groups = append(c.Groups, s.kgid(g))
	}
	slices.Sort(c.Groups)
	return c
}

func (s *sandbox) kuid(id uint32) cred.KUID {
	k, ok := s.userNS.KUID(id)
	if !ok {
		return cred.Overflow
	}
	return k
}

func (s *sandbox) kgid(id uint32) cred.KGID {
	k, ok := s.userNS.KGID(id)
	if !ok {
		return cred.Overflow
	}
	return k
}

// descriptors builds the descriptor table of a new process.
func (s *sandbox) descriptors(p *control.Process, files []*os.File) (*fdtable.Table, *console, error) {
	take := func(i int) *host.FD {
		if files == nil {
			return host.NewFD(i)
		}
		// The number lives on in the Sentry's own descriptor.
		fd, err := host.Dup(int(files[i].Fd()))
		files[i].Close()
		if err != nil {
			return nil
		}
		return fd
	}
	creds := s.processCreds(p)
	table := fdtable.New()
	var tty *console
	if p.Stdio.TTY != control.NoFD {
		var err error
		if tty, err = s.newConsole(take(p.Stdio.TTY), creds); err != nil {
			table.DecRef()
			return nil, nil, control.Errorf(control.KindInternal, "set up the terminal: %v", err)
		}
	}
	add := func(at int, i int) error {
		var d *vfs.Description
		switch {
		case i != control.NoFD:
			fd := take(i)
			if fd == nil {
				return errno.EMFILE
			}
			var err error
			if d, err = hostfile.New(s.world, s.notifier, fd, creds); err != nil {
				return err
			}
		case tty != nil:
			var err error
			if d, err = tty.open(); err != nil {
				return err
			}
		default:
			return nil
		}
		return table.Replace(d, 0, linux.FD(at), kernel.MaxOpenFiles)
	}
	list := append(slices.Clone(p.Stdio.Files[:]), p.Stdio.Extra...)
	for at, i := range list {
		if err := add(at, i); err != nil {
			table.DecRef()
			return nil, nil, control.Errorf(control.KindInternal, "take over descriptor %d: %v", at, err)
		}
	}
	return table, tty, nil
}
