package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/runsc/console"
	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// The statuses with which shells say that a program was not found, or is none.
const (
	programNotFound = 127
	notAProgram     = 126
)

var doCommand = command{
	name: "do", usage: "run a command of this host in a sandbox", arguments: "<command> [arguments]", min: 1, max: -1,
	description: "The command sees the host's files, and what it writes stays in memory and ends with it.\n" +
		"It has your directory, environment, user and terminal. Processes, devices and the network\n" +
		"of the host are not there. The exit status is the command's, 128+N for signal N.",
	flags: []cli.Flag{
		&cli.StringSliceFlag{Name: "volume", Aliases: []string{"v"}, Usage: "bind a host path, SRC:DST[:ro]; writes go to the host"},
		&cli.StringFlag{Name: "cwd", Usage: "working directory of the command (default: the current one, or / with --root)"},
		&cli.StringFlag{Name: "root", Value: "/", Usage: "directory to use as the root file system"},
	},
	run: func(cmd *cli.Command) error {
		status, err := do(cmd)
		if control.IsKind(err, control.KindNoProgram) {
			return &exitError{status: programNotFound, err: err}
		}
		if control.IsKind(err, control.KindNotExecutable) {
			return &exitError{status: notAProgram, err: err}
		}
		if err != nil {
			return fmt.Errorf("do: %w", err)
		}
		return exitWith(status)
	},
}

func do(cmd *cli.Command) (int, error) {
	// The sandbox is killed by the host when the thread that starts it ends,
	// which must be when this process does and not before.
	runtime.LockOSThread()
	signals := catchSignals()
	defer signals.stop()

	plan, err := doPlan(cmd)
	if err != nil {
		return 0, err
	}
	config := &sandbox.Config{
		Boot:     bootConfig(cmd),
		Trees:    plan.Trees,
		Stdio:    [3]*os.File{os.Stdin, os.Stdout, os.Stderr},
		Lifetime: sandbox.WithStarter,
	}
	config.Boot.Container = plan.Container
	if config.Debug, err = openDebugLog(cmd); err != nil {
		return 0, err
	}
	defer closeQuietly(config.Debug)
	if config.Errors, err = crashMemory(); err != nil {
		return 0, err
	}
	defer config.Errors.Close()
	client, err := connectPair(config)
	if err != nil {
		return 0, err
	}
	defer client.Close()

	terminal, err := doTerminal(config)
	if err != nil {
		return 0, err
	}
	box, err := sandbox.Start(config)
	config.Conn.Close()
	if err != nil {
		return 0, err
	}
	defer box.Kill()
	attached, err := terminal.attach()
	if err != nil {
		return 0, err
	}
	defer attached()

	if err := client.Start(); err != nil && !errors.Is(err, control.ErrGone) {
		return 0, err
	}
	signals.forward(orKill(box, func(sig int) error {
		return client.Signal(control.SignalRequest{Signal: sig, PID: control.InitPID, Scope: control.ScopeProcess})
	}))
	status := box.Wait()
	terminal.drain()
	if crashed(status) {
		printed, _ := io.ReadAll(io.NewSectionReader(config.Errors, 0, 1<<20))
		reportCrash(printed)
	}
	if status.Signal != 0 {
		// The container's signals are exit statuses of the Sentry.
		warn("the sandbox was killed by " + sandbox.SignalName(status.Signal))
	}
	return status.Code(), nil
}

// doPlan is the container of a command on the host's own files.
func doPlan(cmd *cli.Command) (*specconv.Plan, error) {
	root, err := filepath.Abs(cmd.String("root"))
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("--root: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("--root: %s: not a directory", root)
	}
	process, err := callerProcess(cmd, root)
	if err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	plan := &specconv.Plan{
		Trees: []specconv.Tree{{
			Name: "root", Path: root, ReadOnly: true,
			// The host's are not the container's, and it gets its own.
			Hide: []string{"/proc", "/sys", "/dev"},
		}},
		Container: control.Container{
			ID:       fmt.Sprintf("do-%d", os.Getpid()),
			Hostname: hostname,
			Root:     control.Root{Overlay: control.OverlayMemory},
			Mounts:   specconv.StandardMounts(),
			Devices:  specconv.StandardDevices(),
			Process:  process,
			// The command is pid 1, and knows nothing of that.
			MortalInit: true,
		},
	}
	for _, v := range cmd.StringSlice("volume") {
		if err := plan.AddVolume(v); err != nil {
			return nil, fmt.Errorf("--volume %q: %w", v, err)
		}
	}
	return plan, nil
}

// callerProcess makes the command what it would be without us.
func callerProcess(cmd *cli.Command, root string) (control.Process, error) {
	cwd := cmd.String("cwd")
	if cwd == "" && root != "/" {
		cwd = "/"
	}
	if cwd == "" {
		var err error
		if cwd, err = os.Getwd(); err != nil {
			return control.Process{}, err
		}
	}
	if !filepath.IsAbs(cwd) {
		return control.Process{}, fmt.Errorf("--cwd %q: not an absolute path", cwd)
	}
	if err := checkCwd(cmd, root, cwd); err != nil {
		return control.Process{}, err
	}
	groups, err := os.Getgroups()
	if err != nil {
		return control.Process{}, err
	}
	umask := unix.Umask(0)
	unix.Umask(umask)
	p := control.Process{
		Args:    cmd.Args().Slice(),
		Env:     os.Environ(),
		Cwd:     filepath.Clean(cwd),
		UID:     uint32(os.Getuid()),
		GID:     uint32(os.Getgid()),
		Umask:   uint32(umask),
		Rlimits: specconv.CallerRlimits(),
	}
	for _, g := range groups {
		p.AdditionalGIDs = append(p.AdditionalGIDs, uint32(g))
	}
	p.Capabilities.Bounding = specconv.AllCapabilities
	if os.Geteuid() == 0 {
		p.Capabilities.Permitted, p.Capabilities.Effective = specconv.AllCapabilities, specconv.AllCapabilities
	}
	return p, nil
}

// checkCwd refuses a directory that is not there: the Sentry would make it, as
// containers expect. What a volume brings is not known here.
func checkCwd(cmd *cli.Command, root, cwd string) error {
	if cmd.String("cwd") == "" || len(cmd.StringSlice("volume")) > 0 {
		return nil
	}
	info, err := os.Stat(filepath.Join(root, cwd))
	if err != nil {
		return fmt.Errorf("--cwd: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("--cwd: %s: not a directory", cwd)
	}
	return nil
}

// connectPair gives the sandbox one end of a control connection.
func connectPair(c *sandbox.Config) (*control.Client, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c.Conn = os.NewFile(uintptr(fds[1]), "control socket")
	return control.NewClient(os.NewFile(uintptr(fds[0]), "control socket"))
}

// crashMemory takes what a crashing Sentry prints.
func crashMemory() (*os.File, error) {
	fd, err := unix.MemfdCreate("crash", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("crash log: %w", err)
	}
	return os.NewFile(uintptr(fd), "crash log"), nil
}

// doConsole is the command's terminal, when it has one.
type doConsole struct {
	pty        *console.PTY
	attachment *console.Attachment
}

// doTerminal gives the command a terminal of its own when its input and output
// are one that we may use. When only one of them is, they are passed as they
// are: setting a terminal to raw mode would disturb whoever else uses it, as in
// `runsc do ls | less`.
func doTerminal(c *sandbox.Config) (*doConsole, error) {
	t := new(doConsole)
	if !console.IsTerminal(os.Stdin) || !console.IsTerminal(os.Stdout) || !console.InForeground(os.Stdin) {
		return t, nil
	}
	var err error
	if t.pty, err = console.New(); err != nil {
		return nil, err
	}
	rows, columns := console.Size(os.Stdin)
	console.SetSize(t.pty.Master, rows, columns)
	c.Boot.Container.Process.ConsoleSize = control.Winsize{Rows: rows, Columns: columns}
	c.TTY = t.pty.Slave
	c.Stdio[0], c.Stdio[1] = nil, nil
	if console.IsTerminal(os.Stderr) {
		c.Stdio[2] = nil
	}
	return t, nil
}

func (t *doConsole) attach() (release func(), err error) {
	if t.pty == nil {
		releaseStdio()
		return func() {}, nil
	}
	t.pty.Slave.Close()
	if t.attachment, err = console.Attach(os.Stdin, os.Stdout, t.pty.Master); err != nil {
		return nil, err
	}
	return func() {
		t.attachment.Close()
		t.pty.Close()
	}, nil
}

func (t *doConsole) drain() {
	if t.attachment != nil {
		t.attachment.Drain()
	}
}
