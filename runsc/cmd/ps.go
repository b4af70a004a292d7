package cmd

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

var psCommand = command{
	name: "ps", usage: "ps displays the processes running inside a container", arguments: "<container-id> [ps options]", min: 1, max: -1,
	description: "The table shows the container's processes as the container numbers them. The\n" +
		"json form is for engines, which look the numbers up on the host: it lists the\n" +
		"host processes that stand for the container. Options of ps(1) are accepted and ignored.",
	flags: []cli.Flag{
		&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "select one of: table or json"},
	},
	run: func(cmd *cli.Command) error {
		c, err := find(cmd)
		if err != nil {
			return err
		}
		if c.Status() == container.StatusStopped {
			return fmt.Errorf("%w: %q", container.ErrNotRunning, c.ID)
		}
		switch format := cmd.String("format"); format {
		case "json":
			return json.NewEncoder(os.Stdout).Encode(c.HostPIDs())
		case "table":
			processes, err := c.Processes()
			if err != nil {
				return err
			}
			printProcesses(processes)
			return nil
		default:
			return fmt.Errorf("invalid format option %q", format)
		}
	},
}

// printProcesses prints what `ps -ef` prints.
func printProcesses(all []control.ProcessInfo) {
	fmt.Println("UID        PID  PPID  C STIME TTY          TIME CMD")
	now := time.Now()
	for _, p := range all {
		start := time.Unix(0, p.StartNS)
		tty := p.TTY
		if tty == "" {
			tty = "?"
		}
		fmt.Printf("%-8d %5d %5d %2d %-5s %-8s %s %s\n",
			p.UID, p.PID, p.PPID, cpuPercent(p, now), startColumn(start, now), tty, cpuColumn(p.CPUNS), commandColumn(p))
	}
}

// cpuPercent is the share of its lifetime that the process has computed.
func cpuPercent(p control.ProcessInfo, now time.Time) int64 {
	lived := now.UnixNano() - p.StartNS
	if lived <= 0 {
		return 0
	}
	return min(p.CPUNS/max(lived/100, 1), 99)
}

// startColumn is the time for what began within a day, and else the date.
func startColumn(start, now time.Time) string {
	if now.Sub(start) < 24*time.Hour {
		return start.Format("15:04")
	}
	return start.Format("Jan02")
}

func cpuColumn(ns int64) string {
	s := ns / int64(time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func commandColumn(p control.ProcessInfo) string {
	if len(p.Args) == 0 {
		return "[" + p.Command + "]"
	}
	return strings.Join(p.Args, " ")
}
