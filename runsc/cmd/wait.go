package cmd

import (
	"github.com/urfave/cli/v3"
)

var waitCommand = command{
	name: "wait", usage: "wait until a container's process has ended, and exit with its status", arguments: "<container-id>", min: 1, max: 1,
	run: func(cmd *cli.Command) error {
		c, err := find(cmd)
		if err != nil {
			return err
		}
		status, err := c.Wait()
		if err != nil {
			return err
		}
		return exitWith(status.Code())
	},
}
