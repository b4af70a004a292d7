package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
)

var specCommand = command{
	name: "spec", usage: "create a new specification file", min: 0, max: 0,
	flags: []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "path to the root of the bundle directory"},
		&cli.BoolFlag{Name: "rootless", Usage: "generate a configuration for a rootless container"},
	},
	run: func(cmd *cli.Command) error {
		spec := specconv.Default()
		if cmd.Bool("rootless") {
			specconv.MakeRootless(spec, uint32(os.Geteuid()), uint32(os.Getegid()))
		}
		raw, err := json.MarshalIndent(spec, "", "\t")
		if err != nil {
			return err
		}
		path := filepath.Join(cmd.String("bundle"), "config.json")
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("file %s exists, remove it first", path)
		}
		if err != nil {
			return err
		}
		if _, err := f.Write(append(raw, '\n')); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	},
}
