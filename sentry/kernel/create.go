package kernel

import (
	"strings"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/bpf"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// ProcessOptions describe a process that does not come from a fork: a
// container's first, or one that exec adds.
type ProcessOptions struct {
	Args   []string
	Env    []string
	Cwd    string
	Creds  *cred.Creds
	Limits [linux.RLIM_NLIMITS]linux.Rlimit
	Umask  linux.FileMode

	// The process takes over the references of FDs and FS.
	FDs        *fdtable.Table
	FS         *vfs.FSContext
	Namespaces Namespaces // PIDForChildren is the process's own

	OOMScoreAdj int32

	// Seccomp is a filter that binds the process from its first instruction,
	// or nil.
	Seccomp *bpf.Program

	// Entry, if not 0, is run instead of a program: for tests on a platform
	// whose guest code does not come from files.
	Entry uintptr
}

// CreateProcess makes a process in a session of its own and loads its program.
// It does not run before Start. Errors name the step that failed.
func (k *Kernel) CreateProcess(o ProcessOptions) (*ThreadGroup, error) {
	t := k.newTask()
	t.fds, t.fs, t.ns = o.FDs, o.FS, o.Namespaces
	t.pidNS = o.Namespaces.PIDForChildren
	t.creds.Store(o.Creds)
	t.oomAdj = o.OOMScoreAdj
	if o.Seccomp != nil {
		t.seccomp.Store((*seccompMode)(nil).with(*o.Seccomp))
	}
	if len(o.Args) == 0 && o.Entry == 0 {
		t.abandon()
		return nil, &ProcessError{"exec", "", errno.EINVAL}
	}
	g := &ThreadGroup{
		k: k, pidNS: t.pidNS, leader: t, live: 1, started: time.Now(),
		tasks:    map[*Task]struct{}{t: {}},
		children: map[*ThreadGroup]struct{}{},
	}
	g.limits.v = o.Limits
	g.sig.table = &SignalHandlers{}
	t.group = g
	t.fs.SetUmask(o.Umask)
	t.gate = make(chan verdict, 1)
	loaded := make(chan error, 1)
	// The task goroutine loads the program itself: on some platforms the
	// guest's thread belongs to the host thread that uses it first.
	go t.first(&o, loaded)
	if err := <-loaded; err != nil {
		return nil, err
	}
	return g, nil
}

// verdict is what becomes of a created process.
type verdict uint8

const (
	startIt verdict = iota
	discardIt
)

// first is the beginning of a created process's task goroutine: it loads the
// program, says so, and waits for the word to start.
func (t *Task) first(o *ProcessOptions, loaded chan<- error) {
	if err := t.prepareFirst(o); err != nil {
		t.abandon()
		loaded <- err
		return
	}
	t.k.tasks.running.Add(1)
	defer t.k.tasks.running.Done()
	loaded <- nil
	if <-t.gate == discardIt {
		t.unpublish()
		t.abandon()
		t.group.exitWait.Notify(waiter.In)
		return
	}
	t.run()
}

func (t *Task) prepareFirst(o *ProcessOptions) error {
	if err := t.enterCwd(o.Cwd); err != nil {
		return &ProcessError{"chdir to cwd", o.Cwd, err}
	}
	if o.Entry != 0 {
		if err := t.enter(o.Entry); err != nil {
			return &ProcessError{"make an address space for", "test", err}
		}
	} else if err := t.loadFirst(o.Args, o.Env); err != nil {
		return &ProcessError{"exec", o.Args[0], err}
	}
	k, g := t.k, t.group
	s := &k.tasks
	s.mu.Lock()
	defer s.mu.Unlock()
	pid, err := t.pidNS.newPIDLocked(nil)
	if err != nil {
		return &ProcessError{"find a process id in", "the container", err}
	}
	t.pid, g.pid = pid, pid
	pid.task, pid.group = t, g
	g.newSessionLocked()
	if t.pidNS.init == nil {
		t.pidNS.init = g
	}
	s.live[t] = struct{}{}
	k.forks.Add(1)
	return nil
}

// ProcessError says why a process could not be made.
type ProcessError struct {
	Step, Object string
	Errno        error
}

// Error is one line for people.
func (e *ProcessError) Error() string {
	return e.Step + " " + quote(e.Object) + ": " + e.Errno.Error()
}

// Unwrap is the errno.
func (e *ProcessError) Unwrap() error { return e.Errno }

func quote(s string) string { return `"` + s + `"` }

// enterCwd changes to the working directory.
func (t *Task) enterCwd(dir string) error {
	if dir == "" {
		dir = "/"
	}
	n := t.fs.Name(dir)
	defer n.Release()
	p, err := vfs.Resolve(t, n, vfs.How{Follow: vfs.Follow})
	if err != nil {
		return err
	}
	defer p.DecRef()
	if !p.Inode().Attr().Mode.IsDir() {
		return errno.ENOTDIR
	}
	if err := vfs.Check(t, p, vfs.MayExec); err != nil {
		return err
	}
	t.fs.SetCwd(p)
	return nil
}

// loadFirst loads the first program, looking for it along PATH as a shell does.
func (t *Task) loadFirst(args, env []string) error {
	var last error = errno.ENOENT
	for _, path := range candidates(args[0], env) {
		n := t.fs.Name(path)
		img, err := loadImage(t, n, 0, path, args, env, t, anyScript)
		n.Release()
		if err == nil {
			t.mm, t.thread = img.mm, img.thread
			t.SetCreds(img.creds)
			t.comm = img.comm
			if len(t.comm) >= linux.TASK_COMM_LEN {
				t.comm = t.comm[:linux.TASK_COMM_LEN-1]
			}
			img.mm.ShowName(img.thread, t.comm)
			t.regs.SetPC(uintptr(img.start.Entry))
			t.regs.SetSP(uintptr(img.start.StackPointer))
			t.regs.PrepareExec()
			return nil
		}
		// EACCES says more than the ENOENT of a later directory.
		if last == errno.ENOENT || err != errno.ENOENT && err != errno.ENOTDIR {
			last = err
		}
		if err != errno.ENOENT && err != errno.EACCES && err != errno.ENOTDIR {
			return err
		}
	}
	return last
}

// enter makes an address space with a stack and points the registers at entry.
func (t *Task) enter(entry uintptr) error {
	m, th, err := mm.New(t.k.platform)
	if err != nil {
		return err
	}
	t.settle()
	t.mm, t.thread, t.transfer = m, th, nil
	m.SetLimits(groupLimits{&t.group.limits})
	m.SetLayout(mm.Fixed)
	top, err := m.MapStack(th, mm.NoExec)
	if err != nil {
		return err
	}
	t.regs.SetPC(entry)
	t.regs.SetSP(uintptr(top) - 4096)
	t.regs.PrepareExec()
	return nil
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func candidates(name string, env []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	path := defaultPath
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	var all []string
	for _, dir := range strings.Split(path, ":") {
		if dir == "" {
			dir = "."
		}
		all = append(all, dir+"/"+name)
	}
	return all
}

// Start lets a created process run, Discard ends it instead. Either is called
// once.
func (g *ThreadGroup) Start() { g.Leader().gate <- startIt }

// Discard ends a created process that was never started.
func (g *ThreadGroup) Discard() { g.Leader().gate <- discardIt }

// Name is a path as a system call gives it, relative to the descriptor dir
// (AT_FDCWD: the working directory). flags may hold AT_EMPTY_PATH. The caller
// releases it. Errors: EBADF, ENOTDIR, ENOENT for an empty path.
func (t *Task) Name(dir linux.FD, path string, flags int) (vfs.Name, error) {
	var n vfs.Name
	if dir == linux.AT_FDCWD || path != "" && path[0] == '/' {
		n = t.fs.Name(path)
	} else {
		d, err := t.fds.Get(dir)
		if err != nil {
			return n, err
		}
		defer d.DecRef()
		if path != "" && !d.Inode().Attr().Mode.IsDir() {
			return n, errno.ENOTDIR
		}
		n = t.fs.NameAt(d, path)
	}
	if flags&linux.AT_EMPTY_PATH != 0 {
		n.Empty = vfs.EmptyIsDir
	}
	return n, nil
}
