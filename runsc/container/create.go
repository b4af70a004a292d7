package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/runsc/cgroup"
	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// CreateArgs says what to create.
type CreateArgs struct {
	ID     string
	Bundle string // absolute
	Spec   *specs.Spec
	Plan   *specconv.Plan
	// Boot carries the choices of the command line: platform, network, debug.
	Boot  control.BootConfig
	Stdio [3]*os.File
	TTY   *os.File
	Extra []*os.File
	Debug *os.File

	CgroupDriver cgroup.Driver
	// PIDFile takes the Sentry's process id when it is not empty.
	PIDFile string
	// Warn takes what was asked for and could not be done.
	Warn func(string)
	// Note takes what nobody asked for and could not be done; it may be nil.
	Note func(string)
}

// Create makes a container whose init is loaded and waits to be started. When it
// fails nothing is left behind. The sandbox's processes are children of the
// caller.
func (s *Store) Create(a CreateArgs) (*Container, *sandbox.Sandbox, error) {
	self, err := sandbox.Self()
	if err != nil {
		return nil, nil, err
	}
	if a.Note == nil {
		a.Note = func(string) {}
	}
	// The cgroup is recorded before it exists, so that whoever removes this
	// container removes it too, wherever we are stopped.
	group, warning, err := cgroup.New(cgroup.Config{
		ID: a.ID, Driver: a.CgroupDriver, Path: cgroupsPath(a.Spec), Resources: resources(a.Spec),
	})
	if err != nil {
		return nil, nil, err
	}
	if warning != "" {
		a.Note(warning)
	}
	c, err := s.reserve(State{
		ID: a.ID, Bundle: a.Bundle, Created: time.Now().UTC(), Reached: Creating,
		Spec: a.Spec, Rootfs: a.Plan.Trees[0].Path, Creator: self, Cgroup: group, Owner: os.Geteuid(),
	})
	if err != nil {
		return nil, nil, err
	}
	defer c.unlock()
	box, err := c.boot(&a)
	if err == nil {
		c.Reached = Created
		err = c.save()
	}
	if err == nil && a.PIDFile != "" {
		err = WritePIDFile(a.PIDFile, c.Sentry.PID)
	}
	if err != nil {
		if box != nil {
			box.Kill()
		}
		return nil, nil, errors.Join(err, c.destroy(a.Warn))
	}
	return c, box, nil
}

// boot starts the sandbox of a reserved container.
func (c *Container) boot(a *CreateArgs) (*sandbox.Sandbox, error) {
	listener, err := listen(c.dir)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	crash, err := os.OpenFile(filepath.Join(c.dir, crashFile), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer crash.Close()

	boot := a.Boot
	boot.Container = a.Plan.Container
	return sandbox.Start(&sandbox.Config{
		Boot: boot, Trees: a.Plan.Trees, Stdio: a.Stdio, TTY: a.TTY, Extra: a.Extra,
		Listener: listener, Debug: a.Debug, Errors: crash, Lifetime: sandbox.Detached,
		Configure: func(box *sandbox.Sandbox) error { return c.configure(a, box) },
	})
}

// configure is what happens to the processes before they know what they are for.
func (c *Container) configure(a *CreateArgs, box *sandbox.Sandbox) error {
	c.Sentry, c.Gofer = box.Sentry, box.Gofer
	warning, err := c.Cgroup.Apply(resources(c.Spec), box.Sentry.PID, box.Gofer.PID)
	if err != nil {
		return err
	}
	if warning != "" {
		a.Note(warning)
		c.Cgroup = nil
	}
	if err := c.save(); err != nil {
		return err
	}
	adjustOOMScore(box.Sentry.PID, a.Plan.Container.Process.OOMScoreAdj, a.Warn)
	hooks := c.Spec.Hooks
	if hooks == nil {
		return nil
	}
	c.Prepared = true
	if err := c.save(); err != nil {
		return err
	}
	if err := c.runHooks("prestart", hooks.Prestart, specs.StateCreating); err != nil {
		return err
	}
	if err := c.runHooks("createRuntime", hooks.CreateRuntime, specs.StateCreating); err != nil {
		return err
	}
	return c.runHooks("createContainer", hooks.CreateContainer, specs.StateCreating)
}

// adjustOOMScore tells the host how willingly to kill the sandbox. Lowering it
// takes a privilege that we may lack.
func adjustOOMScore(pid, score int, warn func(string)) {
	if score == 0 {
		return
	}
	path := fmt.Sprintf("/proc/%d/oom_score_adj", pid)
	if err := os.WriteFile(path, []byte(strconv.Itoa(score)), 0); err != nil {
		warn(fmt.Sprintf("process.oomScoreAdj %d is not applied: %v", score, err))
	}
}

// listen makes the control socket in dir. The path of a socket has a length
// limit that state directories may exceed, so it is reached by descriptor.
func listen(dir string) (*os.File, error) {
	at, done, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	f := os.NewFile(uintptr(s), socketFile)
	if err := unix.Bind(s, &unix.SockaddrUnix{Name: at}); err != nil {
		f.Close()
		return nil, fmt.Errorf("control socket %s: %w", filepath.Join(dir, socketFile), err)
	}
	const backlog = 64
	if err := unix.Listen(s, backlog); err != nil {
		f.Close()
		return nil, fmt.Errorf("control socket %s: %w", filepath.Join(dir, socketFile), err)
	}
	return f, nil
}

// socketPath is a short path to the socket in dir, good until done is called.
func socketPath(dir string) (path string, done func(), err error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("control socket: %w", &os.PathError{Op: "open", Path: dir, Err: err})
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, socketFile), func() { unix.Close(fd) }, nil
}

// WritePIDFile writes a process id to path, whole or not at all.
func WritePIDFile(path string, pid int) error {
	dir, name := filepath.Split(path)
	temp := filepath.Join(dir, "."+name)
	if err := os.WriteFile(temp, []byte(strconv.Itoa(pid)), 0o666); err != nil {
		os.Remove(temp)
		return fmt.Errorf("pid file: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}

func cgroupsPath(spec *specs.Spec) string {
	if spec.Linux == nil {
		return ""
	}
	return spec.Linux.CgroupsPath
}

func resources(spec *specs.Spec) *specs.LinuxResources {
	if spec.Linux == nil {
		return nil
	}
	return spec.Linux.Resources
}
