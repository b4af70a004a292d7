package kernel

import (
	"io"
	"strconv"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fdtable"
	"github.com/bulkhead-sandbox/bulkhead/sentry/loader"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// ExecOptions are execveat's arguments, copied in.
type ExecOptions struct {
	Dir       linux.FD
	Path      string
	Flags     int // AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
	Args, Env []string
}

// Exec replaces the program of the process. Until the new one is loaded any
// error leaves the old program as it was; then the other threads are ended and
// nothing can fail any more.
func (t *Task) Exec(o ExecOptions) error {
	n, err := t.Name(o.Dir, o.Path, o.Flags)
	if err != nil {
		return err
	}
	defer n.Release()
	follow := linux.OpenFlags(0)
	if o.Flags&linux.AT_SYMLINK_NOFOLLOW != 0 {
		follow = linux.O_NOFOLLOW
	}
	img, err := loadImage(t, n, follow, o.scriptName(), o.Args, o.Env, t, o.hiddenFromScripts(t))
	if err != nil {
		return err
	}
	if err := t.becomeOnlyThread(img.noNewPrivs); err != nil {
		img.abandon()
		return err
	}
	t.install(img)
	t.KeepRegisters()
	return nil
}

// scriptName is how the file is called to a script's interpreter.
func (o *ExecOptions) scriptName() string {
	switch {
	case o.Dir == linux.AT_FDCWD || o.Path != "" && o.Path[0] == '/':
		return o.Path
	case o.Path == "":
		return "/dev/fd/" + strconv.Itoa(int(o.Dir))
	}
	return "/dev/fd/" + strconv.Itoa(int(o.Dir)) + "/" + o.Path
}

// scripts says whether the program may be a script: one that is named by a
// descriptor which execve closes could not be opened by its interpreter.
type scripts uint8

const (
	anyScript scripts = iota
	noScripts
)

func (o *ExecOptions) hiddenFromScripts(t *Task) scripts {
	if o.Dir == linux.AT_FDCWD || o.Path != "" && o.Path[0] == '/' {
		return anyScript
	}
	d, f, err := t.fds.GetFlags(o.Dir)
	if err != nil {
		return anyScript
	}
	d.DecRef()
	if f&fdtable.CloseOnExec != 0 {
		return noScripts
	}
	return anyScript
}

// image is a loaded program that no task runs yet.
type image struct {
	mm     *mm.MM
	thread platform.Thread
	start  loader.Result
	creds  *cred.Creds
	comm   string
	secure bool

	noNewPrivs uint8 // what creds were computed with
}

func (i *image) abandon() {
	i.mm.DecUsers()
	i.thread.Close()
}

// execFile is an open file as the loader wants it.
type execFile struct {
	*vfs.Description
	c vfs.Context
}

// ReadAt reads into the Sentry.
func (f execFile) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for done < len(b) {
		n, err := f.Description.Read(f.c, usermem.OwnBuffer(b[done:]), off+int64(done), vfs.Wait)
		done += int(n)
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
	}
	return done, nil
}

// Mapping is what mappings keep: not the task that calls execve.
func (f execFile) Mapping() mm.File { return f.Description }

// MapFD is the descriptor for private mappings.
func (f execFile) MapFD() (int, error) { return f.Description.MapFD(f.c, vfs.MapRead) }

// openExecutable opens a file to execute it: it must be regular, executable,
// and not on a noexec mount.
func openExecutable(c vfs.Context, n vfs.Name, flags linux.OpenFlags) (*vfs.Description, error) {
	follow := vfs.Follow
	if flags&linux.O_NOFOLLOW != 0 {
		follow = vfs.NoFollow
	}
	p, err := vfs.Resolve(c, n, vfs.How{Follow: follow})
	if err != nil {
		return nil, err
	}
	defer p.DecRef()
	switch mode := p.Inode().Attr().Mode; {
	case mode.IsSymlink():
		return nil, errno.ELOOP
	case !mode.IsRegular():
		return nil, errno.EACCES
	}
	if err := vfs.Check(c, p, vfs.MayExec); err != nil {
		return nil, err
	}
	return vfs.OpenExecutable(c, p)
}

// Execer is what execve needs of the process that calls it.
type Execer interface {
	vfs.Context
	FS() *vfs.FSContext
	Kernel() *Kernel
	Limit(r linux.RlimitResource) linux.Rlimit
	Personality() uint32
}

// groupLimits are a process's limits as mm asks for them.
type groupLimits struct{ g *limitSet }

// Soft is the soft limit.
func (l groupLimits) Soft(r linux.RlimitResource) uint64 { return l.g.get(r).Cur }

// loadImage loads the program that n names into a new address space.
func loadImage(e Execer, n vfs.Name, flags linux.OpenFlags, name string, args, env []string, t *Task, s scripts) (*image, error) {
	d, err := openExecutable(e, n, flags)
	if err != nil {
		return nil, err
	}
	prog, err := loader.Prepare(loader.Opts{
		File: execFile{d, e},
		Path: name,
		Argv: args,
		Envv: env,
		Open: func(path string) (loader.File, error) {
			n := e.FS().Name(path)
			defer n.Release()
			d, err := openExecutable(e, n, 0)
			if err != nil {
				return nil, err
			}
			return execFile{d, e}, nil
		},
		StackLimit: e.Limit(linux.RLIMIT_STACK).Cur,
	})
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	if prog.Scripts > 0 && s == noScripts {
		return nil, errno.ENOENT
	}
	img := &image{comm: baseName(name), noNewPrivs: e.Creds().NoNewPrivs}
	img.creds, img.secure = execCreds(e, prog)

	if img.mm, img.thread, err = mm.New(e.Kernel().platform); err != nil {
		return nil, err
	}
	img.mm.SetLimits(groupLimits{&t.group.limits})
	r := mm.Random
	if e.Personality()&linux.ADDR_NO_RANDOMIZE != 0 {
		r = mm.Fixed
	}
	if img.start, err = prog.Load(img.thread, img.mm, r, img.identity()); err != nil {
		img.abandon()
		return nil, err
	}
	img.mm.SetDumpable(1)
	if img.secure {
		img.mm.SetDumpable(0)
	}
	return img, nil
}

func (i *image) identity() loader.Identity {
	c := i.creds
	id := loader.Identity{
		UID: c.UserNS.UID(c.UID), EUID: c.UserNS.UID(c.EUID),
		GID: c.UserNS.GID(c.GID), EGID: c.UserNS.GID(c.EGID),
	}
	if i.secure {
		id.Secure = loader.IsSecure
	}
	return id
}

// execCreds computes the credentials that the program runs with.
func execCreds(e Execer, prog *loader.Program) (*cred.Creds, bool) {
	c := e.Creds()
	uid, gid := cred.NoUID, cred.NoGID
	var caps *cred.FileCaps
	d := prog.File.(execFile).Description
	p := d.Path()
	if a := p.Inode().Attr(); p.Mount.Flags()&linux.MS_NOSUID == 0 && c.UserNS.MapsUID(a.UID) {
		if a.Mode&linux.S_ISUID != 0 {
			uid = a.UID
		}
		// Set-group-ID without group execution marks mandatory locking.
		if a.Mode&(linux.S_ISGID|linux.S_IXGRP) == linux.S_ISGID|linux.S_IXGRP {
			gid = a.GID
		}
		caps = fileCaps(e, p)
	}
	return c.Exec(uid, gid, caps)
}

// fileCaps reads security.capability; a malformed one counts as none.
func fileCaps(c vfs.Context, p vfs.Path) *cred.FileCaps {
	x, ok := p.Inode().(vfs.XattrInode)
	if !ok {
		return nil
	}
	b, err := x.GetXattr(c, "security.capability")
	if err != nil {
		return nil
	}
	return cred.ParseFileCaps(b)
}

func baseName(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

// becomeOnlyThread ends all other threads of the process and takes over the
// leader's identity. ERESTARTNOINTR if somebody else is ending the process, or
// if another thread's seccomp filter has set no_new_privs since the program's
// privileges were computed: they would be too many.
func (t *Task) becomeOnlyThread(noNewPrivs uint8) error {
	g := t.group
	s := &t.k.tasks
	s.mu.Lock()
	h := g.handlers()
	h.mu.Lock()
	if g.sig.exiting || t.sig.killed || g.execing != nil || t.Creds().NoNewPrivs != noNewPrivs {
		h.mu.Unlock()
		s.mu.Unlock()
		return errno.ERESTARTNOINTR
	}
	if g.live == 1 && g.leader == t {
		h.mu.Unlock()
		s.mu.Unlock()
		return nil
	}
	g.execing = t
	for u := range g.tasks {
		if u != t {
			u.sig.killed = true
			u.interrupt()
		}
	}
	h.mu.Unlock()
	s.mu.Unlock()

	for {
		s.mu.Lock()
		if g.live == 1 {
			break
		}
		s.mu.Unlock()
		if err := t.sleep(waiter.Never, killable); err != nil {
			s.mu.Lock()
			g.execing = nil
			s.mu.Unlock()
			return err
		}
	}
	g.execing = nil
	if g.leader != t {
		t.takeLeaderIdentityLocked()
	}
	s.mu.Unlock()
	return nil
}

// takeLeaderIdentityLocked makes t the leader: it gets the leader's id and
// gives its own back.
func (t *Task) takeLeaderIdentityLocked() {
	g := t.group
	old := g.leader
	h := g.handlers()
	h.mu.Lock()
	delete(g.tasks, old)
	h.mu.Unlock()
	own := t.pid
	own.task = nil
	own.putLocked()
	t.pid, old.pid = old.pid, own
	t.pid.task = t
	old.state.Store(int32(StateDead))
	g.leader = t
}

// install makes the loaded program the one that the task runs.
func (t *Task) install(img *image) {
	g := t.group
	g.endAttachments(byExec)
	t.leaveMemory()
	t.clearTID = 0
	t.SetRobustList(0)
	t.setMM(img.mm, img.thread)
	t.unshareFDs()
	t.fds.Exec()

	t.SetCreds(img.creds)
	t.SetComm(img.comm)
	img.mm.ShowName(img.thread, t.Comm())
	if img.secure {
		t.SetParentDeath(0)
	}

	s := &t.k.tasks
	s.mu.Lock()
	g.execed = true
	g.exitSignal = linux.SIGCHLD
	// Handlers of another process that shares the table stay as they are.
	h := g.handlers()
	h.mu.Lock()
	fresh := &SignalHandlers{actions: h.actions}
	fresh.resetHandled()
	t.sig.stack = linux.StackT{}
	g.sig.table = fresh
	h.mu.Unlock()
	s.mu.Unlock()

	t.regs = platform.Registers{}
	t.regs.SetPC(uintptr(img.start.Entry))
	t.regs.SetSP(uintptr(img.start.StackPointer))
	t.regs.PrepareExec()
	t.lastFault = platform.Event{}
}
