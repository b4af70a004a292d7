package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// killLimit is how long a killed process may take to end. A process that the
// kernel cannot let go at once, in the middle of a disk write, needs a while.
const killLimit = 10 * time.Second

// Connect opens a control connection to the container's Sentry.
func (c *Container) Connect() (*control.Client, error) {
	if !c.Sentry.Alive() {
		return nil, fmt.Errorf("%w: %q", ErrNotRunning, c.ID)
	}
	at, done, err := socketPath(c.dir)
	if err != nil {
		return nil, err
	}
	defer done()
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	err = unix.Connect(s, &unix.SockaddrUnix{Name: at})
	if errors.Is(err, unix.ECONNREFUSED) && !c.Sentry.Alive() {
		err = fmt.Errorf("%w: %q", ErrNotRunning, c.ID)
	}
	if err != nil {
		unix.Close(s)
		return nil, fmt.Errorf("connect to sandbox: %w", err)
	}
	return control.NewClient(os.NewFile(uintptr(s), socketFile))
}

// call makes one call on a connection of its own.
func (c *Container) call(do func(*control.Client) error) error {
	client, err := c.Connect()
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}

// Start lets the init of a created container run.
func (c *Container) Start(warn func(string)) error {
	if err := c.Lock(); err != nil {
		return err
	}
	defer c.unlock()
	switch status := c.Status(); status {
	case StatusCreated:
	case StatusStopped:
		return fmt.Errorf("cannot start container %q: it has stopped", c.ID)
	case StatusRunning, StatusPaused:
		return fmt.Errorf("cannot start container %q: it is running already", c.ID)
	default:
		return fmt.Errorf("cannot start container %q: it is %s", c.ID, status)
	}
	if hooks := c.Spec.Hooks; hooks != nil {
		if err := c.runHooks("startContainer", hooks.StartContainer, specs.StateCreated); err != nil {
			return errors.Join(err, c.Sentry.KillAndWait(killLimit))
		}
	}
	err := c.call((*control.Client).Start)
	// A short-lived init can be gone with its Sentry before the answer is sent.
	if err != nil && !errors.Is(err, control.ErrGone) {
		return fmt.Errorf("start container %q: %w", c.ID, err)
	}
	c.Reached = Started
	if err := c.save(); err != nil {
		return err
	}
	if hooks := c.Spec.Hooks; hooks != nil {
		if err := c.runHooks("poststart", hooks.Poststart, specs.StateRunning); err != nil {
			warn(err.Error()) // the specification lets the container go on
		}
	}
	return nil
}

// Kill sends a signal to init, or with control.ScopeAll to every process.
func (c *Container) Kill(sig unix.Signal, scope control.Scope) error {
	switch status := c.Status(); status {
	case StatusStopped:
		if scope == control.ScopeAll {
			return nil // none is left to be signalled
		}
		return fmt.Errorf("%w: %q", ErrNotRunning, c.ID)
	case StatusCreating:
		return fmt.Errorf("%w: %q is being created", ErrNotRunning, c.ID)
	}
	if sig == unix.SIGKILL {
		// The host does this without the Sentry's help: it works on one that is
		// stuck, and the container ends by the same signal.
		return c.hostKill()
	}
	err := c.call(func(client *control.Client) error {
		return client.Signal(control.SignalRequest{Signal: int(sig), PID: control.InitPID, Scope: scope})
	})
	if errors.Is(err, control.ErrGone) {
		return fmt.Errorf("%w: %q", ErrNotRunning, c.ID)
	}
	return err
}

func (c *Container) hostKill() error {
	err := c.Sentry.Signal(unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%w: %q", ErrNotRunning, c.ID)
	}
	return err
}

// Force says whether Delete may kill.
type Force bool

// Sweep removes what killed commands left, so that whoever deletes a container
// leaves nothing, also when its first deletion was cut off.
func (s *Store) Sweep() { s.sweep() }

// Delete removes a container that is stopped or was never started; with force,
// any.
func (c *Container) Delete(force Force, warn func(string)) error {
	if err := c.Lock(); err != nil {
		return err
	}
	defer c.unlock()
	switch status := c.Status(); status {
	case StatusStopped, StatusCreated:
	default:
		if !force {
			return fmt.Errorf("cannot delete container %s that is not stopped: %s", c.ID, status)
		}
	}
	return c.destroy(warn)
}

// DeleteBroken removes a container whose state cannot be read.
func (s *Store) DeleteBroken(id string) error {
	if err := CheckID(id); err != nil {
		return err
	}
	c := &Container{State: State{ID: id}, store: s, dir: filepath.Join(s.dir, id)}
	return c.remove()
}

// destroy ends what still runs and removes every trace. The lock is held. The
// state goes last, so that a command that is cut off can be repeated.
func (c *Container) destroy(warn func(string)) error {
	for _, p := range []sandbox.Process{c.Sentry, c.Gofer} {
		if err := p.KillAndWait(killLimit); err != nil {
			return fmt.Errorf("delete container %q: %w", c.ID, err)
		}
	}
	if err := c.Cgroup.Destroy(); err != nil {
		return fmt.Errorf("delete container %q: %w", c.ID, err)
	}
	if hooks := c.Spec.Hooks; hooks != nil && c.Prepared {
		if err := c.runHooks("poststop", hooks.Poststop, specs.StateStopped); err != nil && warn != nil {
			warn(err.Error())
		}
	}
	if err := c.remove(); err != nil {
		return fmt.Errorf("delete container %q: %w", c.ID, err)
	}
	return nil
}

// SetPaused pauses or resumes the container's processes.
func (c *Container) SetPaused(paused Paused) error {
	if err := c.Lock(); err != nil {
		return err
	}
	defer c.unlock()
	want, call := StatusRunning, (*control.Client).Pause
	if !paused {
		want, call = StatusPaused, (*control.Client).Resume
	}
	if status := c.Status(); status != want {
		return fmt.Errorf("container %q is %s, not %s", c.ID, status, want)
	}
	if err := c.call(call); err != nil {
		return err
	}
	c.Paused = bool(paused)
	return c.save()
}

// Paused says which way SetPaused goes.
type Paused bool

// Processes lists the container's processes.
func (c *Container) Processes() (list []control.ProcessInfo, err error) {
	err = c.call(func(client *control.Client) (err error) {
		list, err = client.Processes()
		return err
	})
	return list, err
}

// Stats asks the Sentry what the container has used.
func (c *Container) Stats() (stats control.Stats, err error) {
	err = c.call(func(client *control.Client) (err error) {
		stats, err = client.Stats()
		return err
	})
	return stats, err
}

// Update changes the container's limits.
func (c *Container) Update(r *specs.LinuxResources) error {
	if err := c.Lock(); err != nil {
		return err
	}
	defer c.unlock()
	if c.Status() == StatusStopped {
		return fmt.Errorf("%w: %q", ErrNotRunning, c.ID)
	}
	return c.Cgroup.Update(r)
}

// Wait waits until the container's init has ended. Only a parent learns its
// status from the host, so that of another's container comes from the Sentry.
func (c *Container) Wait() (control.WaitStatus, error) {
	var status control.WaitStatus
	err := c.call(func(client *control.Client) (err error) {
		status, err = client.Wait(control.InitPID)
		return err
	})
	return status, err
}

// CrashLog is what the container's processes printed when they crashed.
func (c *Container) CrashLog() []byte {
	raw, err := os.ReadFile(filepath.Join(c.dir, crashFile))
	if err != nil {
		return nil
	}
	return raw
}

// HostPIDs are the host processes that run the container's programs, each under
// the name of its program; the Sentry when there is none, as in a container
// that is made of something else than processes.
func (c *Container) HostPIDs() []int {
	var pids []int
	for _, child := range sandbox.Children(c.Sentry.PID) {
		if child.Name != platform.HostName {
			pids = append(pids, child.PID)
		}
	}
	if len(pids) == 0 {
		return []int{c.Sentry.PID}
	}
	return pids
}
