// Package boot builds a kernel from a control.BootConfig, runs the container in
// it, and serves runsc's calls.
//
// Order matters. The platform forks its first stub before the Sentry's own
// seccomp filter is installed, because stubs would inherit it; the container's
// program is loaded before the starter is told that all is well, so that a
// program that is missing is its error. After that nothing here can fail: when
// init has ended the process ends, and the sandbox with it.
//
// Main types: sandbox, which implements control.Handler. Files: filesystems.go
// lists what can be mounted and which devices there are, mounts.go lays out the
// tree, process.go translates a process, handler.go answers runsc.
package boot

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/all"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/devpts"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/goferfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/proc"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/syscalls"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// sandbox is the running container.
type sandbox struct {
	k        *kernel.Kernel
	world    *vfs.World
	proc     *proc.Config
	notifier *host.Notifier
	platform platform.Platform
	cfg      *control.BootConfig
	ttys     *devpts.Devices

	userNS *cred.UserNamespace
	ns     kernel.Namespaces
	mounts *vfs.MountNamespace
	root   *goferfs.FS // what the gofer serves as the root, also below an overlay
	init   *kernel.ThreadGroup

	mu        sync.Mutex
	started   bool
	processes map[int]*process // init and what Exec made, by pid
}

const gcPercent = 400

// Run boots and returns the status with which the Sentry's process ends: that of
// init, 128+N if signal N killed it. Failures before init is loaded go to cause.
func Run(cfg *control.BootConfig, cause *os.File) int {
	log := debugLog(cfg)
	defer reportPanic(log)
	// The heap that lives is a few megabytes, so collecting it at twice its
	// size would take a tenth of the time of a guest that makes many calls.
	debug.SetGCPercent(gcPercent)
	s, err := build(cfg, log)
	if err != nil {
		control.ReportFailure(cause, err)
		return 1
	}
	defer s.platform.Close()
	s.serve()
	if cfg.GoferLifeFD != control.NoFD {
		go endWithGofer(os.NewFile(uintptr(cfg.GoferLifeFD), "gofer"))
	}
	if err := control.ReportReady(cause); err != nil {
		return 1
	}
	cause.Close()
	return s.awaitEnd()
}

// endWithGofer ends the sandbox when its gofer has ended: a container whose
// files all fail is of no use to anybody, and would be taken for a running one.
func endWithGofer(life *os.File) {
	_, _ = life.Read(make([]byte, 1))
	fmt.Fprintln(os.Stderr, "runsc: the gofer ended, and with it the sandbox")
	os.Exit(exitPanic)
}

func debugLog(cfg *control.BootConfig) io.Writer {
	if cfg.DebugFD == control.NoFD {
		return nil
	}
	return os.NewFile(uintptr(cfg.DebugFD), "debug log")
}

// reportPanic ends a Sentry that has a bug with one line, and the stack in the
// debug log if there is one.
func reportPanic(log io.Writer) {
	r := recover()
	if r == nil {
		return
	}
	where := "run again with --debug-log to see where"
	if log != nil {
		fmt.Fprintf(log, "panic: %v\n%s\n", r, debug.Stack())
		where = "the stack is in the debug log"
	}
	fmt.Fprintf(os.Stderr, "runsc: the sentry failed and ends the sandbox: %v (%s)\n", r, where)
	os.Exit(exitPanic)
}

// exitPanic is the status of a Sentry that found a bug of its own.
const exitPanic = 70 // EX_SOFTWARE

func build(cfg *control.BootConfig, log io.Writer) (*sandbox, error) {
	chosen, err := all.Lookup(cfg.Platform)
	if err != nil {
		return nil, err
	}
	p, err := chosen.Make()
	if err != nil {
		return nil, err
	}
	s := &sandbox{cfg: cfg, platform: p, world: vfs.NewWorld(), processes: map[int]*process{}}
	if s.notifier, err = host.NewNotifier(); err != nil {
		return nil, fmt.Errorf("watch host descriptors: %w", err)
	}
	s.k = kernel.New(kernel.Options{
		Platform: p,
		World:    s.world,
		Syscalls: syscalls.NewTable(sysno.AMD64),
		Trace:    tracer(cfg, log),
		Memory:   memory(&cfg.Container.Limits),
		MaxTasks: int(min(cfg.Container.Limits.Processes, kernel.MaxTasks)),
		OnPanic:  func() { reportPanic(log) },
	})
	s.ttys = devpts.Register(s.k)
	s.registerFileSystems()
	if err := s.makeNamespaces(); err != nil {
		return nil, err
	}
	if err := s.layOut(); err != nil {
		return nil, err
	}
	if err := confine(chosen); err != nil {
		return nil, fmt.Errorf("install the sentry's seccomp filter: %w", err)
	}
	pr, err := s.newProcess(&cfg.Container.Process, nil, initProcess)
	if err != nil {
		return nil, err
	}
	s.init = pr.group
	s.processes[control.InitPID] = pr
	return s, nil
}

func tracer(cfg *control.BootConfig, log io.Writer) kernel.Tracer {
	if !cfg.Strace {
		return nil
	}
	if log == nil {
		return os.Stderr
	}
	return log
}

// memory is what the container has: the host's, or its cgroup's limit.
func memory(l *control.Limits) kernel.MemoryInfo {
	m := hostMemory()
	if l.Memory > 0 {
		m.Total = min(m.Total, l.Memory)
	}
	return m
}

func hostMemory() kernel.MemoryInfo {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return kernel.MemoryInfo{Total: 1 << 30}
	}
	return kernel.MemoryInfo{Total: uint64(si.Totalram) * uint64(si.Unit)}
}

// makeNamespaces makes those that the container starts in.
func (s *sandbox) makeNamespaces() error {
	c := &s.cfg.Container
	s.userNS = s.k.RootUserNS()
	if len(c.UIDMap) > 0 || len(c.GIDMap) > 0 {
		root := s.rootCreds()
		ns, err := cred.NewUserNamespace(root)
		if err != nil {
			return fmt.Errorf("make the user namespace: %w", err)
		}
		if err := ns.SetUIDMap(idMaps(c.UIDMap)); err != nil {
			return fmt.Errorf("set the user namespace's uid mappings: %w", err)
		}
		if err := ns.SetGIDMap(idMaps(c.GIDMap)); err != nil {
			return fmt.Errorf("set the user namespace's gid mappings: %w", err)
		}
		s.userNS = ns
	}
	s.ns = kernel.Namespaces{
		UTS:            s.k.NewUTSNamespace(c.Hostname, c.Domainname, s.userNS),
		IPC:            s.k.NewIPCNamespace(s.userNS),
		Net:            s.k.NewNetNamespace(s.userNS),
		PIDForChildren: s.k.NewPIDNamespace(s.k.RootPIDNS(), s.userNS),
	}
	s.proc.Initial = s.ns.PIDForChildren
	if c.MortalInit {
		s.ns.PIDForChildren.LetInitDie()
	}
	return nil
}

func idMaps(in []control.IDMap) []cred.IDMap {
	out := make([]cred.IDMap, len(in))
	for i, m := range in {
		// Ids of the container stand for ids inside; on the kernel's side
		// they are the same numbers, and the Gofer's tree speaks them too.
		out[i] = cred.IDMap{Inside: m.Inside, Outside: m.Inside, Length: m.Count}
	}
	return out
}

// rootCreds are all-powerful credentials for the start itself.
func (s *sandbox) rootCreds() *cred.Creds {
	return &cred.Creds{
		Permitted: cred.AllCaps, Effective: cred.AllCaps, Bounding: cred.AllCaps,
		UserNS: s.k.RootUserNS(),
	}
}

func (s *sandbox) serve() {
	if fd := s.cfg.ListenFD; fd != control.NoFD {
		go control.Serve(os.NewFile(uintptr(fd), "control socket"), s)
	}
	if fd := s.cfg.ConnFD; fd != control.NoFD {
		go control.ServeConn(os.NewFile(uintptr(fd), "control connection"), s)
	}
}

// awaitEnd waits for init, ends everything else, and lets those who wait for an
// exit status have their answer.
func (s *sandbox) awaitEnd() int {
	st := waitStatus(s.init.AwaitExit())
	s.k.KillAll()
	s.k.AwaitAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		p.closeTTY() // shows the last output
	}
	return st.Code()
}

func waitStatus(st linux.WaitStatus) control.WaitStatus {
	if st.Signaled() {
		return control.WaitStatus{Signal: int(st.TermSignal())}
	}
	return control.WaitStatus{ExitCode: int(st.ExitCode())}
}
