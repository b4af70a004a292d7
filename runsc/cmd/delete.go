package cmd

import (
	"errors"

	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
)

var deleteCommand = command{
	name: "delete", usage: "delete any resources held by the container often used with detached container",
	arguments: "<container-id>", min: 1, max: 1,
	flags: []cli.Flag{
		&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "Forcibly deletes the container if it is still running (uses SIGKILL)"},
	},
	run: func(cmd *cli.Command) error {
		force := container.Force(cmd.Bool("force"))
		err := deleteContainer(cmd, force)
		if bool(force) && errors.Is(err, container.ErrNotExist) {
			return nil
		}
		return err
	},
}

func deleteContainer(cmd *cli.Command, force container.Force) error {
	s, err := store(cmd)
	if err != nil {
		return err
	}
	s.Sweep()
	id := cmd.Args().First()
	c, err := s.Load(id)
	if err == nil {
		return c.Delete(force, warn)
	}
	if bool(force) && !errors.Is(err, container.ErrNotExist) && !errors.Is(err, container.ErrInvalidID) {
		warn(err.Error())
		return s.DeleteBroken(id)
	}
	return err
}
