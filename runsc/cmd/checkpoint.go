package cmd

import (
	"fmt"

	"github.com/urfave/cli/v3"
)

var checkpointCommand = notSupported("checkpoint", "checkpoint a running container")

var restoreCommand = notSupported("restore", "restore a container from a previous checkpoint")

// notSupported is a command of runc's that says that we have it not.
func notSupported(name, usage string) command {
	return command{
		name: name, usage: usage + " (not supported)", arguments: "<container-id>", min: 1, max: 1,
		run: func(cmd *cli.Command) error {
			return fmt.Errorf("%s of container %q: not supported by this version of runsc", name, cmd.Args().First())
		},
	}
}
