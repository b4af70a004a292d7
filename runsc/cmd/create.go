package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/console"
	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
)

// createFlags are those that create and run share.
func createFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "path to the root of the bundle directory, defaults to the current directory"},
		&cli.StringFlag{Name: "console-socket", Usage: "path to an AF_UNIX socket which will receive a file descriptor referencing the master end of the console's pseudoterminal"},
		&cli.StringFlag{Name: "pid-file", Usage: "specify the file to write the process id to"},
		&cli.BoolFlag{Name: "no-pivot", Usage: "accepted for compatibility: the container's root is not a root of the host"},
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "accepted for compatibility: a container has no host keyring"},
		&cli.IntFlag{Name: "preserve-fds", Usage: "Pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)"},
	}
}

var createCommand = command{
	name: "create", usage: "create a container", arguments: "<container-id>", min: 1, max: 1,
	description: "The create command makes an instance of a container for a bundle, a directory with\n" +
		"a config.json and a root file system. Its process is loaded and waits for \"start\".",
	flags: createFlags(),
	run: func(cmd *cli.Command) error {
		if err := create(cmd); err != nil {
			return fmt.Errorf("runsc create failed: %w", err)
		}
		return nil
	},
}

func create(cmd *cli.Command) error {
	args, err := createArgs(cmd)
	if err != nil {
		return err
	}
	defer closeQuietly(args.Debug)
	s, err := store(cmd)
	if err != nil {
		return err
	}
	socket := cmd.String("console-socket")
	if err := checkConsole(args, socket, detached); err != nil {
		return err
	}
	pty, err := handOverTerminal(args, socket)
	if err != nil {
		return err
	}
	if pty != nil {
		defer pty.Close()
	}
	_, box, err := s.Create(*args)
	if err != nil {
		return err
	}
	box.Release()
	return nil
}

// createArgs reads the bundle and the flags.
func createArgs(cmd *cli.Command) (*container.CreateArgs, error) {
	id := cmd.Args().First()
	if err := container.CheckID(id); err != nil {
		return nil, err
	}
	bundle, err := bundlePath(cmd.String("bundle"))
	if err != nil {
		return nil, err
	}
	spec, err := specconv.Load(bundle)
	if err != nil {
		return nil, err
	}
	plan, err := specconv.Convert(id, bundle, spec, specOptions(cmd))
	if err != nil {
		return nil, err
	}
	for _, w := range plan.Warnings {
		warn(w)
	}
	extra, err := preservedFiles(cmd.Int("preserve-fds"))
	if err != nil {
		return nil, err
	}
	debug, err := openDebugLog(cmd)
	if err != nil {
		return nil, err
	}
	return &container.CreateArgs{
		ID: id, Bundle: bundle, Spec: spec, Plan: plan, Boot: bootConfig(cmd),
		Stdio: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, Extra: extra, Debug: debug,
		CgroupDriver: cgroupDriver(cmd),
		PIDFile:      cmd.String("pid-file"), Warn: warn, Note: note,
	}, nil
}

func bundlePath(path string) (string, error) {
	bundle, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(bundle)
	if err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("bundle: %s: not a directory", bundle)
	}
	return bundle, nil
}

// attachment says whether runsc stays with the container.
type attachment int

const (
	detached attachment = iota
	attached
)

// checkConsole refuses what leaves a terminal without somebody at its other end.
func checkConsole(args *container.CreateArgs, socket string, how attachment) error {
	if args.Plan.Terminal && socket == "" && how == detached {
		return errors.New("cannot allocate tty if runsc will detach without setting console socket")
	}
	if socket != "" && (!args.Plan.Terminal || how == attached) {
		return errors.New("cannot use console socket if runsc will not detach or allocate tty")
	}
	return nil
}

// handOverTerminal gives the container a terminal whose other end goes through
// the console socket. The caller closes what it returns when the sandbox runs.
func handOverTerminal(args *container.CreateArgs, socket string) (*console.PTY, error) {
	if socket == "" {
		return nil, nil
	}
	pty, err := console.New()
	if err != nil {
		return nil, err
	}
	size := args.Plan.Container.Process.ConsoleSize
	if size.Rows != 0 || size.Columns != 0 {
		console.SetSize(pty.Master, size.Rows, size.Columns)
	}
	if err := pty.Hand(socket); err != nil {
		pty.Close()
		return nil, err
	}
	useTerminal(args, pty)
	return pty, nil
}

func useTerminal(args *container.CreateArgs, pty *console.PTY) {
	args.TTY = pty.Slave
	args.Stdio = [3]*os.File{}
}
