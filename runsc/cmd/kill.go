package cmd

import (
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

var killCommand = command{
	name: "kill", usage: "kill sends the specified signal (default: SIGTERM) to the container's init process",
	arguments: "<container-id> [signal]", min: 1, max: 2,
	flags: []cli.Flag{
		&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "send the specified signal to all processes inside the container"},
	},
	run: func(cmd *cli.Command) error {
		c, err := find(cmd)
		if err != nil {
			return err
		}
		name := cmd.Args().Get(1)
		if name == "" {
			name = "SIGTERM"
		}
		sig, ok := parseSignal(name)
		if !ok {
			return fmt.Errorf("unknown signal %q", name)
		}
		scope := control.ScopeProcess
		if cmd.Bool("all") {
			scope = control.ScopeAll
		}
		return c.Kill(sig, scope)
	},
}
