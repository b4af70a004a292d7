package cmd

import (
	"context"

	"github.com/urfave/cli/v3"
)

var helpCommand = command{
	name: "help", usage: "shows a list of commands or help for one command", arguments: "[command]", min: 0, max: 1,
	run: func(cmd *cli.Command) error {
		if name := cmd.Args().First(); name != "" {
			return cli.ShowCommandHelp(context.Background(), cmd.Root(), name)
		}
		return cli.ShowRootCommandHelp(cmd.Root())
	},
}
