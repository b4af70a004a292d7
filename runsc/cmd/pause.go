package cmd

import (
	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
)

var pauseCommand = pausing("pause", "pause suspends all processes inside the container", true)

var resumeCommand = pausing("resume", "resumes all processes that have been previously paused", false)

func pausing(name, usage string, paused container.Paused) command {
	return command{
		name: name, usage: usage, arguments: "<container-id>", min: 1, max: 1,
		run: func(cmd *cli.Command) error {
			c, err := find(cmd)
			if err != nil {
				return err
			}
			return c.SetPaused(paused)
		},
	}
}
