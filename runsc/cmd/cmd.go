// Package cmd is the command line of runsc. It is runc's, spelling for spelling,
// because engines drive runsc as if it were runc, plus `do` and the global flags
// that choose what a sandbox is made of.
//
// Each command is one file with one variable, listed in commands.go. A command
// reads its flags, calls runsc/container or runsc/sandbox, and prints. What runs
// in a sandbox's own processes (boot, gofer, and the stand-in of a detached
// exec) is dispatched by Main before the command line exists, as it must start
// quickly and must not depend on flags.
package cmd

import (
	"context"
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
)

// version is set by the linker for a release.
var version = "0.1.0-dev"

// exitError ends runsc with a status of its own. Without an error it is silent:
// the status is the container's.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith is the way to end with the status of a container.
func exitWith(status int) error {
	if status == 0 {
		return nil
	}
	return &exitError{status: status}
}

// Main runs runsc with these arguments and returns its exit status.
func Main(args []string) int {
	if len(args) > 1 {
		switch args[1] {
		case sandbox.SentryCommand:
			return bootMain()
		case sandbox.GoferCommand:
			return goferMain()
		case execCommandName:
			return standInMain(args[2:])
		}
	}
	if err := keepDescriptors(); err != nil {
		return exitStatus(err)
	}
	return exitStatus(app().Run(context.Background(), args))
}

// app builds the command line.
func app() *cli.Command {
	cli.VersionPrinter = func(*cli.Command) { fmt.Print(versionText()) }
	// runc has no -h for each value type; keep help short.
	root := &cli.Command{
		Name:    "runsc",
		Usage:   "run OCI containers on a kernel of their own",
		Version: version,
		Flags:   globalFlags(),
		Before:  before,
		Action:  noCommand,
		// A comma is part of a value: --env A=1,2.
		DisableSliceFlagSeparator: true,
		HideHelpCommand:           true,
		OnUsageError:              usageError,
		ExitErrHandler:            func(context.Context, *cli.Command, error) {},
	}
	for _, c := range commands {
		root.Commands = append(root.Commands, c.build())
	}
	return root
}

func versionText() string {
	return fmt.Sprintf("runsc version %s\nspec: %s\n", version, specs.Version)
}

// command is one command. stopAfter is the number of arguments after which
// nothing is a flag any more.
type command struct {
	name        string
	usage       string
	arguments   string
	description string
	flags       []cli.Flag
	stopAfter   int
	// min and max bound the number of arguments; max < 0 means no bound.
	min, max int
	run      func(*cli.Command) error
}

func (c command) build() *cli.Command {
	stop := max(c.stopAfter, 1)
	return &cli.Command{
		Name:                      c.name,
		Usage:                     c.usage,
		ArgsUsage:                 c.arguments,
		Description:               c.description,
		Flags:                     c.flags,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		StopOnNthArg:              &stop,
		OnUsageError:              usageError,
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := c.checkArgs(cmd); err != nil {
				cli.ShowSubcommandHelp(cmd)
				return err
			}
			return c.run(cmd)
		},
	}
}

func (c command) checkArgs(cmd *cli.Command) error {
	n := cmd.Args().Len()
	switch {
	case c.min == c.max && n != c.min:
		return fmt.Errorf("%q requires exactly %d argument(s)", c.name, c.min)
	case n < c.min:
		return fmt.Errorf("%q requires a minimum of %d argument(s)", c.name, c.min)
	case c.max >= 0 && n > c.max:
		return fmt.Errorf("%q requires a maximum of %d argument(s)", c.name, c.max)
	}
	return nil
}

func usageError(_ context.Context, _ *cli.Command, err error, _ bool) error {
	return err
}

// noCommand is reached by `runsc` alone and by a command that does not exist.
func noCommand(_ context.Context, cmd *cli.Command) error {
	if cmd.Args().Present() {
		const unknownCommand = 3 // as runc
		return &exitError{status: unknownCommand, err: fmt.Errorf("no such command %q, see runsc --help", cmd.Args().First())}
	}
	return cli.ShowRootCommandHelp(cmd)
}

// exitStatus prints err, if there is something to print, and returns the status
// that goes with it.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	status := 1
	if e := new(exitError); errors.As(err, &e) {
		status = e.status
		if e.err == nil {
			return status
		}
	}
	text := err.Error()
	logError(text)
	return status
}
