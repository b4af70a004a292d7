package cmd

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/console"
	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

var runCommand = command{
	name: "run", usage: "create and run a container", arguments: "<container-id>", min: 1, max: 1,
	flags: append(createFlags(),
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "detach from the container's process"},
		&cli.BoolFlag{Name: "keep", Usage: "do not delete the container after it exits"},
		&cli.BoolFlag{Name: "no-subreaper", Usage: "accepted for compatibility: no process of a container is ever ours"},
	),
	run: func(cmd *cli.Command) error {
		status, err := run(cmd)
		if err != nil {
			return fmt.Errorf("runsc run failed: %w", err)
		}
		return exitWith(status)
	},
}

func run(cmd *cli.Command) (status int, err error) {
	args, err := createArgs(cmd)
	if err != nil {
		return 0, err
	}
	defer closeQuietly(args.Debug)
	s, err := store(cmd)
	if err != nil {
		return 0, err
	}
	how := attached
	if cmd.Bool("detach") {
		how = detached
	}
	socket := cmd.String("console-socket")
	if err := checkConsole(args, socket, how); err != nil {
		return 0, err
	}
	if how == detached {
		return 0, runDetached(s, args, socket)
	}
	return runAttached(s, args, cmd.Bool("keep"))
}

func runDetached(s *container.Store, args *container.CreateArgs, socket string) error {
	pty, err := handOverTerminal(args, socket)
	if err != nil {
		return err
	}
	if pty != nil {
		defer pty.Close()
	}
	c, box, err := s.Create(*args)
	if err != nil {
		return err
	}
	if err := c.Start(warn); err != nil {
		return startFailed(c, err)
	}
	box.Release()
	return nil
}

func runAttached(s *container.Store, args *container.CreateArgs, keep bool) (int, error) {
	// Signals from here on are the container's.
	signals := catchSignals()
	defer signals.stop()
	var pty *console.PTY
	if args.Plan.Terminal {
		var err error
		if pty, err = console.New(); err != nil {
			return 0, err
		}
		defer pty.Close()
		size := args.Plan.Container.Process.ConsoleSize
		console.SetSize(pty.Master, size.Rows, size.Columns)
		useTerminal(args, pty)
	}
	c, box, err := s.Create(*args)
	if err != nil {
		return 0, err
	}
	var terminal *console.Attachment
	if pty != nil {
		pty.Slave.Close()
		if terminal, err = console.Attach(os.Stdin, os.Stdout, pty.Master); err != nil {
			return 0, startFailed(c, err)
		}
		defer terminal.Close()
	} else {
		releaseStdio()
	}
	if err := c.Start(warn); err != nil {
		return 0, startFailed(c, err)
	}
	signals.forward(orKill(box, func(sig int) error {
		return c.Kill(signalOf(sig), control.ScopeProcess)
	}))
	status := box.Wait()
	if terminal != nil {
		terminal.Drain()
	}
	if crashed(status) {
		reportCrash(c.CrashLog())
	}
	if keep {
		return status.Code(), nil
	}
	return status.Code(), c.Delete(true, warn)
}

// startFailed removes a container that was created and cannot be started.
func startFailed(c *container.Container, err error) error {
	if deleteErr := c.Delete(true, warn); deleteErr != nil {
		warn(deleteErr.Error())
	}
	return err
}
