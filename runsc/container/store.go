// Package container keeps containers: their state on disk and the steps of
// their life.
//
// A Store is the directory given by --root; a Container is one directory in it,
// with state.json, the control socket, and what a crashed Sentry printed. A
// container that is being made lives under a name that no id can have and is
// renamed when its state is complete, so two commands that create the same id
// are told apart by rename(2), and a half-made one is never seen.
//
// Every change of a container is made under its lock, a flock(2) on a file in
// its directory, which ends with the process that holds it. Reading needs no
// lock: state.json is replaced whole. Order: a container's lock is the only
// lock, and no process holds two.
//
// What runs is not believed from the file: a container whose Sentry is gone, or
// a zombie, is stopped, whoever killed it. The package knows nothing of the
// command line and prints nothing.
package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/runsc/cgroup"
	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
)

// Errors that a command tells apart. Engines look for their words.
var (
	ErrNotExist   = errors.New("container does not exist")
	ErrExist      = errors.New("container with given ID already exists")
	ErrNotRunning = errors.New("container not running")
	ErrInvalidID  = errors.New("invalid container ID format")
)

const (
	stateFile  = "state.json"
	lockFile   = "lock"
	socketFile = "control.sock"
	crashFile  = "crash.log"

	// tempPrefix starts with a character that ids cannot have.
	tempPrefix = "~"
)

// idForm is what runc accepts.
var idForm = regexp.MustCompile(`^[\w+.-]+$`)

// Store is the directory of all containers' states.
type Store struct {
	dir string
}

// State is what is written to state.json.
type State struct {
	ID      string
	Bundle  string
	Created time.Time
	// Reached is how far the container has come; it is stopped when its Sentry
	// is gone.
	Reached Stage
	Paused  bool
	Spec    *specs.Spec
	// Rootfs is the absolute path of the root file system.
	Rootfs  string
	Creator sandbox.Process
	Sentry  sandbox.Process
	Gofer   sandbox.Process
	Cgroup  *cgroup.Group `json:",omitempty"`
	// Prepared says that hooks have run, so that poststop hooks are due.
	Prepared bool
	Owner    int
}

// Stage is a step in a container's life.
type Stage string

// The stages.
const (
	Creating Stage = "creating"
	Created  Stage = "created"
	Started  Stage = "started"
)

// Status is a container's status as the command line shows it.
type Status string

// The values of Status; runc adds "paused" to those of the OCI specification.
const (
	StatusCreating Status = "creating"
	StatusCreated  Status = "created"
	StatusRunning  Status = "running"
	StatusPaused   Status = "paused"
	StatusStopped  Status = "stopped"
)

// OpenStore opens the store in dir and creates it when it is missing.
func OpenStore(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	// The default of an ordinary user may be in /tmp, where others could have
	// made it first, and whoever owns it can put containers into it.
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	if uid := int(stat.Uid); uid != os.Geteuid() && uid != 0 {
		return nil, fmt.Errorf("state directory %s belongs to user %d", dir, uid)
	}
	return &Store{dir: dir}, nil
}

// Container is one container. Its State is what was read last.
type Container struct {
	State
	store *Store
	dir   string
	lock  *os.File
}

// CheckID refuses ids that cannot be a directory of their own.
func CheckID(id string) error {
	if !idForm.MatchString(id) || id == "." || id == ".." || len(id) > unix.NAME_MAX {
		return fmt.Errorf("%w: %q", ErrInvalidID, id)
	}
	return nil
}

// Load reads the state of a container.
func (s *Store) Load(id string) (*Container, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	c := &Container{store: s, dir: filepath.Join(s.dir, id)}
	if err := c.read(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %q", ErrNotExist, id)
		}
		return nil, fmt.Errorf("load container %q: %w", id, err)
	}
	return c, nil
}

// List loads all containers. One that cannot be read is reported by report and
// left out.
func (s *Store) List(report func(error)) ([]*Container, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var all []*Container
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) || !e.IsDir() {
			continue
		}
		c, err := s.Load(e.Name())
		if errors.Is(err, ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			report(err)
			continue
		}
		all = append(all, c)
	}
	return all, nil
}

// reserve makes a new container in the stage Creating and locks it.
func (s *Store) reserve(state State) (*Container, error) {
	if err := CheckID(state.ID); err != nil {
		return nil, err
	}
	s.sweep()
	if _, err := os.Lstat(filepath.Join(s.dir, state.ID)); err == nil && !s.reclaim(state.ID) {
		return nil, fmt.Errorf("%w: %q", ErrExist, state.ID)
	}
	temp := s.tempName(state.ID)
	os.RemoveAll(temp) // of an earlier process with our number
	if err := os.Mkdir(temp, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	c := &Container{State: state, store: s, dir: temp}
	if err := c.publish(filepath.Join(s.dir, state.ID)); err != nil {
		c.unlock()
		os.RemoveAll(temp)
		return nil, err
	}
	return c, nil
}

func (c *Container) publish(dir string) error {
	var err error
	c.lock, err = openLock(c.dir)
	if err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	if err := unix.Flock(int(c.lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock state directory: %w", err)
	}
	if err := c.save(); err != nil {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, c.dir, unix.AT_FDCWD, dir, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w: %q", ErrExist, c.ID)
	}
	if err != nil {
		return fmt.Errorf("make state directory %s: %w", dir, err)
	}
	c.dir = dir
	return nil
}

// reclaim removes a container whose creation was cut off, and says whether it
// did.
func (s *Store) reclaim(id string) bool {
	c, err := s.Load(id)
	if err != nil || !c.cutOff() {
		return false
	}
	if err := c.Lock(); err != nil {
		return errors.Is(err, ErrNotExist)
	}
	defer c.unlock()
	return c.cutOff() && c.destroy(nil) == nil
}

// cutOff says whether the command that was creating the container is gone.
func (c *Container) cutOff() bool {
	return c.Reached == Creating && !c.Creator.Alive()
}

// tempName is a name for a directory that only this process uses.
func (s *Store) tempName(id string) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s%s.%d", tempPrefix, id, os.Getpid()))
}

// sweep removes directories that a killed command left under a temporary name:
// those whose process is gone.
func (s *Store) sweep() {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		dot := strings.LastIndexByte(e.Name(), '.')
		if !strings.HasPrefix(e.Name(), tempPrefix) || dot < 0 {
			continue
		}
		pid, err := strconv.Atoi(e.Name()[dot+1:])
		if err != nil || pid == os.Getpid() || unix.Kill(pid, 0) != unix.ESRCH {
			continue
		}
		os.RemoveAll(filepath.Join(s.dir, e.Name())) // or the next command does
	}
}

// Lock waits for the container's lock and reads its state again.
func (c *Container) Lock() error {
	lock, err := openLock(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q", ErrNotExist, c.ID)
	}
	if err != nil {
		return fmt.Errorf("lock container %q: %w", c.ID, err)
	}
	for {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		lock.Close()
		return fmt.Errorf("lock container %q: %w", c.ID, err)
	}
	// Who held it may have removed the container, and another may have made a
	// new one: then this is not the lock of what is there.
	if !sameFile(lock, filepath.Join(c.dir, lockFile)) {
		lock.Close()
		return fmt.Errorf("%w: %q", ErrNotExist, c.ID)
	}
	c.lock = lock
	if err := c.read(); err != nil {
		c.unlock()
		return fmt.Errorf("load container %q: %w", c.ID, err)
	}
	return nil
}

// Unlock gives the lock back.
func (c *Container) Unlock() { c.unlock() }

func (c *Container) unlock() {
	if c.lock != nil {
		c.lock.Close()
		c.lock = nil
	}
}

func openLock(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
}

func sameFile(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func (c *Container) read() error {
	raw, err := os.ReadFile(filepath.Join(c.dir, stateFile))
	if err != nil {
		return err
	}
	var state State
	if err := json.Unmarshal(raw, &state); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(c.dir, stateFile), err)
	}
	c.State = state
	return nil
}

// save replaces state.json. A reader sees the old one or the new one.
func (c *Container) save() error {
	raw, err := json.Marshal(&c.State)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	temp := filepath.Join(c.dir, stateFile+".new")
	if err := os.WriteFile(temp, raw, 0o600); err != nil {
		os.Remove(temp)
		return fmt.Errorf("save state: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(c.dir, stateFile)); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// remove makes the container vanish: for others at once, by a rename, and then
// file by file.
func (c *Container) remove() error {
	gone := c.store.tempName(c.ID)
	os.RemoveAll(gone) // of an earlier process with our number
	if err := os.Rename(c.dir, gone); err != nil {
		return fmt.Errorf("remove state: %w", err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove state: %w", err)
	}
	return nil
}

// Status says what the container does now.
func (c *Container) Status() Status {
	switch {
	case c.Reached == Creating && c.Creator.Alive():
		return StatusCreating
	case c.Reached == Creating, !c.Sentry.Alive():
		return StatusStopped
	case c.Reached == Created:
		return StatusCreated
	case c.Paused:
		return StatusPaused
	}
	return StatusRunning
}

// Dir is the container's state directory.
func (c *Container) Dir() string { return c.dir }

// OCIState is the container's state in the terms of the OCI specification.
func (c *Container) OCIState() specs.State {
	status := c.Status()
	s := specs.State{
		Version:     specs.Version,
		ID:          c.ID,
		Status:      specs.ContainerState(status),
		Bundle:      c.Bundle,
		Annotations: c.Spec.Annotations,
	}
	if status != StatusStopped {
		s.Pid = c.Sentry.PID
	}
	return s
}
