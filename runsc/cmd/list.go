package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"
)

var listCommand = command{
	name: "list", usage: "lists containers started by runsc with the given root", min: 0, max: 0,
	flags: []cli.Flag{
		&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "select one of: table or json"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "display only container IDs"},
	},
	run: func(cmd *cli.Command) error {
		s, err := store(cmd)
		if err != nil {
			return err
		}
		containers, err := s.List(func(err error) { warn(err.Error()) })
		if err != nil {
			return err
		}
		all := make([]description, 0, len(containers))
		for _, c := range containers {
			d := describe(c)
			d.Owner = ownerName(c.Owner)
			all = append(all, d)
		}
		if cmd.Bool("quiet") {
			for _, d := range all {
				fmt.Println(d.ID)
			}
			return nil
		}
		switch format := cmd.String("format"); format {
		case "table":
			return printTable(all)
		case "json":
			return json.NewEncoder(os.Stdout).Encode(all)
		default:
			return fmt.Errorf("invalid format option %q", format)
		}
	},
}

func printTable(all []description) error {
	w := tabwriter.NewWriter(os.Stdout, 12, 1, 3, ' ', 0)
	fmt.Fprint(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, d := range all {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", d.ID, d.PID, d.Status, d.Bundle, d.Created.Format(time.RFC3339Nano), d.Owner)
	}
	return w.Flush()
}
