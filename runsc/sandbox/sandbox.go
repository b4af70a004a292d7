// Package sandbox starts the two processes of a sandbox, the Sentry and the
// Gofer, and is the host side of their containment.
//
// Start is called by the runsc command; EnterSentry and EnterGofer are called by
// the processes themselves, before they touch anything that came from outside.
// Process names a host process for good, across the reuse of its number.
//
//	runsc create ──┬── runsc gofer   own mount, pid, net, ipc, uts namespaces; only the trees are
//	               │                 mounted; file capabilities; seccomp
//	               └── runsc boot    the same and a user namespace; nothing is mounted; no capability;
//	                                 an unprivileged id; seccomp
//
// All descriptors of both processes are made here and donated; neither opens a
// host path by itself, but for the Gofer's trees. A child that fails says why
// through its cause pipe; one that loses its starter before it is configured
// ends. The package keeps no state on disk and takes no lock.
package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// Lifetime says what ends a sandbox beside its own init.
type Lifetime string

const (
	// Detached sandboxes outlive the command that started them.
	Detached Lifetime = "detached"
	// WithStarter sandboxes are killed by the host when the thread that called
	// Start ends; the caller locks it.
	WithStarter Lifetime = "with-starter"
)

// Config says what to start.
type Config struct {
	// Boot goes to the Sentry; Start fills in the numbers of descriptors.
	Boot  control.BootConfig
	Trees []specconv.Tree
	// Stdio are the container's standard files, nil for none; with TTY set a
	// nil one is the terminal. Extra become descriptors 3 and up.
	Stdio [3]*os.File
	TTY   *os.File
	Extra []*os.File
	// Listener is the listening control socket, Conn a connected one.
	Listener, Conn *os.File
	// Debug takes debug output, Errors what a crash prints; nil for none.
	Debug, Errors *os.File
	Lifetime      Lifetime
	// Configure runs when both processes exist and know nothing yet.
	Configure func(*Sandbox) error
}

// Sandbox is a started pair of processes, both children of this process.
type Sandbox struct {
	Sentry, Gofer Process
	sentry, gofer *child
}

// Start starts a sandbox and returns when its container is loaded and waits to
// be started. On failure no process is left. It closes none of the given files.
func Start(c *Config) (*Sandbox, error) {
	s := new(Sandbox)
	if err := s.start(c); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

func (s *Sandbox) start(c *Config) error {
	sentryEnds, goferEnds, err := socketPairs(len(c.Trees))
	if err != nil {
		return err
	}
	defer closeAll(sentryEnds)
	defer closeAll(goferEnds)

	lifeR, lifeW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("connect gofer: %w", err)
	}
	defer lifeR.Close()
	defer lifeW.Close()

	s.gofer, err = spawn(goferSpec(c, append(goferEnds[:len(goferEnds):len(goferEnds)], lifeW)))
	if err != nil {
		return fmt.Errorf("start gofer: %w", err)
	}
	if needsMapper(&c.Boot.Container) {
		if err := mapIDs(s.gofer.process.PID, &c.Boot.Container); err != nil {
			return fmt.Errorf("start gofer: %w", err)
		}
	}
	s.sentry, err = spawn(sentrySpec(c, sentryEnds, lifeR))
	if err != nil {
		return fmt.Errorf("start sentry: %w", err)
	}
	s.Sentry, s.Gofer = s.sentry.process, s.gofer.process
	// From here on each of the two sees the other go.
	closeAll(sentryEnds)
	closeAll(goferEnds)
	lifeW.Close()

	if c.Configure != nil {
		if err := c.Configure(s); err != nil {
			return err
		}
	}
	goferErr := s.gofer.configure(func(w io.Writer) error { return writeGoferConfig(w, c) })
	sentryErr := s.sentry.configure(c.Boot.Write)
	if goferErr != nil || sentryErr != nil {
		// Writing fails when the reader has ended, which its cause explains.
		return s.causeOr(c, errors.Join(goferErr, sentryErr))
	}
	return s.causeOr(c, nil)
}

// causeOr collects both outcomes. The gofer's comes first: when it fails, the
// Sentry fails too, for want of a gofer.
func (s *Sandbox) causeOr(c *Config, fallback error) error {
	goferErr := s.gofer.outcome()
	if goferErr != nil && !errors.Is(goferErr, control.ErrNoCause) {
		return goferErr
	}
	sentryErr := s.sentry.outcome()
	for _, p := range []struct {
		name string
		err  error
		c    *child
	}{{"gofer", goferErr, s.gofer}, {"sentry", sentryErr, s.sentry}} {
		if errors.Is(p.err, control.ErrNoCause) {
			return fmt.Errorf("%s %s%s", p.name, p.c.howEnded(), crashLine(c.Errors))
		}
		if p.err != nil {
			return p.err
		}
	}
	return fallback
}

// Wait waits until the Sentry has ended, and says how.
func (s *Sandbox) Wait() control.WaitStatus {
	state := s.sentry.wait()
	// The gofer ends by itself when its connections close.
	s.gofer.wait()
	return state
}

// Kill ends both processes and waits for them. It may be called at any time.
func (s *Sandbox) Kill() {
	for _, c := range []*child{s.sentry, s.gofer} {
		if c != nil {
			c.cmd.Process.Kill()
			c.wait()
		}
	}
}

// Release lets go of the processes of a detached sandbox.
func (s *Sandbox) Release() {
	s.sentry.close()
	s.gofer.close()
}

// child is a process that was started with a configuration pipe and a cause
// pipe as descriptors 3 and 4.
type child struct {
	cmd     *exec.Cmd
	process Process
	config  *os.File
	cause   *os.File
	status  *control.WaitStatus
}

// childSpec says how to start a child.
type childSpec struct {
	args  []string
	stdio [3]*os.File
	// files are descriptors from control.FirstFD on; nil ones are not allowed.
	files []*os.File
	attr  *syscall.SysProcAttr
}

// childEnv is all of the environment: nothing of the caller's steers them. The
// Go runtime is kept from holding its starter's cgroup files open, which it
// does to follow CPU limits.
var childEnv = []string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0"}

func spawn(spec childSpec) (*child, error) {
	exe, closeExe, err := executable(spec.attr)
	if err != nil {
		return nil, err
	}
	defer closeExe()
	configR, configW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer configR.Close()
	causeR, causeW, err := os.Pipe()
	if err != nil {
		configW.Close()
		return nil, err
	}
	defer causeW.Close()

	cmd := &exec.Cmd{
		Path:        exe,
		Args:        spec.args,
		Env:         childEnv,
		ExtraFiles:  append([]*os.File{configR, causeW}, spec.files...),
		SysProcAttr: spec.attr,
	}
	// A nil interface, unlike a nil *os.File in one, is /dev/null for exec.
	if spec.stdio[1] != nil {
		cmd.Stdout = spec.stdio[1]
	}
	if spec.stdio[2] != nil {
		cmd.Stderr = spec.stdio[2]
	}
	if err := cmd.Start(); err != nil {
		configW.Close()
		causeR.Close()
		return nil, explainStart(err)
	}
	c := &child{cmd: cmd, config: configW, cause: causeR}
	c.process, err = FindProcess(cmd.Process.Pid)
	if err != nil {
		cmd.Process.Kill()
		c.wait()
		return nil, err
	}
	return c, nil
}

// explainStart says what usually stands behind a refused clone.
func explainStart(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (may this user create user namespaces?)", err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w (see user.max_user_namespaces and the other limits in /proc/sys/user)", err)
	}
	return err
}

// configure writes the child's document and closes the pipe.
func (c *child) configure(write func(io.Writer) error) error {
	defer c.config.Close()
	return write(c.config)
}

func (c *child) outcome() error {
	defer c.cause.Close()
	return control.ReadCause(c.cause)
}

// wait reaps the child; later calls return the same.
func (c *child) wait() control.WaitStatus {
	if c.status == nil {
		c.close()
		c.cmd.Wait() // its error repeats ProcessState
		c.status = waitStatus(c.cmd.ProcessState)
	}
	return *c.status
}

func (c *child) close() {
	c.config.Close()
	c.cause.Close()
}

func (c *child) howEnded() string {
	s := c.wait()
	if s.Signal != 0 {
		return "was killed by " + SignalName(s.Signal)
	}
	return "ended with status " + strconv.Itoa(s.ExitCode)
}

func waitStatus(state *os.ProcessState) *control.WaitStatus {
	if state == nil {
		return &control.WaitStatus{ExitCode: 1}
	}
	ws := state.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return &control.WaitStatus{Signal: int(ws.Signal())}
	}
	return &control.WaitStatus{ExitCode: ws.ExitStatus()}
}

// socketPairs makes n connected pairs.
func socketPairs(n int) (a, b []*os.File, err error) {
	for range n {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			closeAll(a)
			closeAll(b)
			return nil, nil, fmt.Errorf("connect gofer: %w", err)
		}
		a = append(a, os.NewFile(uintptr(fds[0]), "gofer connection"))
		b = append(b, os.NewFile(uintptr(fds[1]), "gofer connection"))
	}
	return a, b, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
