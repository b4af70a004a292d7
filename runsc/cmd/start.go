package cmd

import (
	"github.com/urfave/cli/v3"
)

var startCommand = command{
	name: "start", usage: "executes the user defined process in a created container", arguments: "<container-id>", min: 1, max: 1,
	run: func(cmd *cli.Command) error {
		c, err := find(cmd)
		if err != nil {
			return err
		}
		return c.Start(warn)
	},
}
