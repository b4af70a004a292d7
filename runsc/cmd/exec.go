package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/console"
	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// execFailed is runc's status for an exec that did not get as far as a process.
const execFailed = 255

var execCommand = command{
	name: "exec", usage: "execute new process inside the container",
	arguments: "<container-id> <command> [command options]  || -p process.json <container-id>", min: 1, max: -1,
	description: "The process ends with the runsc process that stands for it: runsc exec itself, or\n" +
		"with --detach the one whose number goes to --pid-file. Signals sent to that\n" +
		"process reach the one in the container, and its exit status is the same.",
	flags: []cli.Flag{
		&cli.StringFlag{Name: "console-socket", Usage: "path to an AF_UNIX socket which will receive a file descriptor referencing the master end of the console's pseudoterminal"},
		&cli.StringFlag{Name: "cwd", Usage: "current working directory in the container"},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set environment variables"},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "allocate a pseudo-TTY"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "UID (format: <uid>[:<gid>])"},
		&cli.StringSliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "additional gids"},
		&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "path to the process.json"},
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "detach from the container's process"},
		&cli.StringFlag{Name: "pid-file", Usage: "specify the file to write the process id to"},
		&cli.StringFlag{Name: "process-label", Usage: "not applied: a sandbox has no SELinux"},
		&cli.StringFlag{Name: "apparmor", Usage: "not applied: a sandbox has no AppArmor"},
		&cli.BoolFlag{Name: "no-new-privs", Usage: "set the no new privileges value for the process"},
		&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "add a capability to the bounding set for the process"},
		&cli.IntFlag{Name: "preserve-fds", Usage: "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)"},
		&cli.StringSliceFlag{Name: "cgroup", Usage: "not applied: a sandbox is one host cgroup"},
		&cli.BoolFlag{Name: "ignore-paused", Usage: "allow exec in a paused container"},
	},
	run: func(cmd *cli.Command) error {
		status, err := execute(cmd)
		if err != nil {
			return &exitError{status: execFailed, err: fmt.Errorf("exec failed: %w", err)}
		}
		return exitWith(status)
	},
}

func execute(cmd *cli.Command) (int, error) {
	c, err := find(cmd)
	if err != nil {
		return 0, err
	}
	if err := canExec(c, cmd.Bool("ignore-paused")); err != nil {
		return 0, err
	}
	spec, err := execSpec(cmd, c)
	if err != nil {
		return 0, err
	}
	process, warnings, err := specconv.Process(spec)
	if err != nil {
		return 0, err
	}
	// The container's profile binds everything in it.
	filter, more, err := specconv.Seccomp(c.Spec)
	if err != nil {
		return 0, err
	}
	process.Seccomp = filter
	for _, w := range append(warnings, more...) {
		warn(w)
	}
	specconv.SetHome(c.Rootfs, &process)
	extra, err := preservedFiles(cmd.Int("preserve-fds"))
	if err != nil {
		return 0, err
	}
	e := &execution{
		order: execOrder{Root: cmd.String("root"), ID: c.ID, Process: process},
		stdio: [3]*os.File{os.Stdin, os.Stdout, os.Stderr},
		extra: extra, pidFile: cmd.String("pid-file"),
	}
	socket := cmd.String("console-socket")
	switch {
	case cmd.Bool("detach"):
		return 0, e.runDetached(spec.Terminal, socket)
	case socket != "":
		return 0, errors.New("cannot use console socket if runsc will not detach or allocate tty")
	case spec.Terminal:
		return e.runOnTerminal()
	}
	return e.runHere()
}

func canExec(c *container.Container, ignorePaused bool) error {
	switch status := c.Status(); status {
	case container.StatusStopped:
		return fmt.Errorf("cannot exec in a stopped container: %q", c.ID)
	case container.StatusPaused:
		if !ignorePaused {
			return fmt.Errorf("cannot exec in a paused container (use --ignore-paused to override): %q", c.ID)
		}
	case container.StatusCreating:
		return fmt.Errorf("%w: %q is being created", container.ErrNotRunning, c.ID)
	}
	return nil
}

// execSpec is the document of --process, or the container's own process with
// what the flags change.
func execSpec(cmd *cli.Command, c *container.Container) (*specs.Process, error) {
	if path := cmd.String("process"); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		p := new(specs.Process)
		if err := json.Unmarshal(raw, p); err != nil {
			return nil, fmt.Errorf("parse %s: %w", path, err)
		}
		if cmd.Bool("tty") {
			p.Terminal = true
		}
		return p, nil
	}
	args := cmd.Args().Tail()
	if len(args) == 0 {
		return nil, errors.New("process args cannot be empty")
	}
	p := *c.Spec.Process
	p.Args = args
	p.Terminal, p.ConsoleSize = cmd.Bool("tty"), nil
	p.Env = append(append([]string(nil), p.Env...), cmd.StringSlice("env")...)
	if v := cmd.String("cwd"); v != "" {
		p.Cwd = v
	}
	if cmd.IsSet("no-new-privs") {
		p.NoNewPrivileges = cmd.Bool("no-new-privs")
	}
	if err := execUser(cmd, &p); err != nil {
		return nil, err
	}
	if caps := cmd.StringSlice("cap"); len(caps) > 0 {
		p.Capabilities = addCapabilities(p.Capabilities, caps)
	}
	return &p, nil
}

func execUser(cmd *cli.Command, p *specs.Process) error {
	if v := cmd.String("user"); v != "" {
		user, group, hasGroup := strings.Cut(v, ":")
		uid, err := strconv.ParseUint(user, 10, 32)
		if err != nil {
			return fmt.Errorf("--user %q: the user is not a number", v)
		}
		p.User.UID = uint32(uid)
		if hasGroup {
			gid, err := strconv.ParseUint(group, 10, 32)
			if err != nil {
				return fmt.Errorf("--user %q: the group is not a number", v)
			}
			p.User.GID = uint32(gid)
		}
	}
	for _, v := range cmd.StringSlice("additional-gids") {
		gid, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return fmt.Errorf("--additional-gids %q is not a number", v)
		}
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(gid))
	}
	return nil
}

func addCapabilities(old *specs.LinuxCapabilities, names []string) *specs.LinuxCapabilities {
	var c specs.LinuxCapabilities
	if old != nil {
		c = *old
	}
	add := func(set []string) []string { return append(append([]string(nil), set...), names...) }
	c.Bounding, c.Effective, c.Permitted = add(c.Bounding), add(c.Effective), add(c.Permitted)
	return &c
}

// execution is one exec on its way.
type execution struct {
	order   execOrder
	stdio   [3]*os.File
	tty     *os.File
	extra   []*os.File
	pidFile string
}

// runHere lets this process stand for the one in the container.
func (e *execution) runHere() (int, error) {
	if e.pidFile != "" {
		if err := container.WritePIDFile(e.pidFile, os.Getpid()); err != nil {
			return 0, err
		}
	}
	return standIn(&e.order, e.stdio, nil, e.extra, func(err error) {
		if err == nil {
			releaseStdio()
		}
	})
}

// runOnTerminal connects our terminal with one of the container's. Its other end
// is the controlling terminal of a process that stands for the one inside.
func (e *execution) runOnTerminal() (int, error) {
	signals := catchSignals()
	defer signals.stop()
	pty, err := console.New()
	if err != nil {
		return 0, err
	}
	defer pty.Close()
	if rows, columns := console.Size(os.Stdin); rows != 0 {
		e.order.Process.ConsoleSize = control.Winsize{Rows: rows, Columns: columns}
		console.SetSize(pty.Master, rows, columns)
	}
	e.tty = pty.Slave
	child, err := e.startStandIn()
	if err != nil {
		return 0, err
	}
	pty.Slave.Close()
	terminal, err := console.Attach(os.Stdin, os.Stdout, pty.Master)
	if err != nil {
		child.Process.Kill()
		child.Wait()
		return 0, err
	}
	defer terminal.Close()
	signals.forward(func(sig int) error { return child.Process.Signal(signalOf(sig)) })
	child.Wait() // its error repeats ProcessState
	terminal.Drain()
	return exitCode(child.ProcessState), nil
}

// runDetached leaves a process behind that stands for the one inside.
func (e *execution) runDetached(terminal bool, socket string) error {
	if terminal != (socket != "") {
		if terminal {
			return errors.New("cannot allocate tty if runsc will detach without setting console socket")
		}
		return errors.New("cannot use console socket if runsc will not detach or allocate tty")
	}
	if terminal {
		pty, err := console.New()
		if err != nil {
			return err
		}
		defer pty.Close()
		if size := e.order.Process.ConsoleSize; size.Rows != 0 || size.Columns != 0 {
			console.SetSize(pty.Master, size.Rows, size.Columns)
		}
		if err := pty.Hand(socket); err != nil {
			return err
		}
		e.tty = pty.Slave
	}
	child, err := e.startStandIn()
	if err != nil {
		return err
	}
	return child.Process.Release()
}
