package cmd

import (
	"encoding/json"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/cgroup"
	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
)

var eventsCommand = command{
	name: "events", usage: "display container events such as cpu, memory, and IO usage statistics", arguments: "<container-id>", min: 1, max: 1,
	flags: []cli.Flag{
		&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "set the stats collection interval"},
		&cli.BoolFlag{Name: "stats", Usage: "display the container's stats then exit"},
	},
	run: func(cmd *cli.Command) error {
		c, err := find(cmd)
		if err != nil {
			return err
		}
		out := json.NewEncoder(os.Stdout)
		for {
			if c.Status() == container.StatusStopped {
				if cmd.Bool("stats") {
					return container.ErrNotRunning
				}
				return nil
			}
			e, err := statsEvent(c)
			if err != nil {
				return err
			}
			if err := out.Encode(e); err != nil || cmd.Bool("stats") {
				return err
			}
			time.Sleep(max(cmd.Duration("interval"), time.Millisecond))
		}
	},
}

// event has runc's names, which containerd's shim reads.
type event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data stats  `json:"data"`
}

type stats struct {
	CPU    cpuStats    `json:"cpu"`
	Memory memoryStats `json:"memory"`
	Pids   pidStats    `json:"pids"`
}

type cpuStats struct {
	Usage struct {
		Total  uint64   `json:"total,omitempty"`
		PerCPU []uint64 `json:"percpu,omitempty"`
		Kernel uint64   `json:"kernel"`
		User   uint64   `json:"user"`
	} `json:"usage"`
	Throttling struct {
		Periods          uint64 `json:"periods,omitempty"`
		ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
		ThrottledTime    uint64 `json:"throttledTime,omitempty"`
	} `json:"throttling"`
}

type memoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

type memoryStats struct {
	Cache uint64            `json:"cache,omitempty"`
	Usage memoryEntry       `json:"usage"`
	Swap  memoryEntry       `json:"swap"`
	Raw   map[string]uint64 `json:"raw,omitempty"`
}

type pidStats struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

// statsEvent takes what the host charges to the container's cgroup, and what
// only the Sentry knows: how many processes the container itself has.
func statsEvent(c *container.Container) (*event, error) {
	e := &event{Type: "stats", ID: c.ID}
	host := c.Cgroup.Stats()
	inside, insideErr := c.Stats()
	if host != nil {
		e.Data.fill(host)
	} else if insideErr != nil {
		return nil, insideErr
	}
	if insideErr != nil {
		note(insideErr.Error())
		return e, nil
	}
	e.Data.Pids.Current = uint64(inside.Threads)
	if host == nil {
		e.Data.CPU.Usage.User, e.Data.CPU.Usage.Kernel = uint64(inside.UserNS), uint64(inside.SystemNS)
		e.Data.CPU.Usage.Total = uint64(inside.UserNS + inside.SystemNS)
		e.Data.Memory.Usage.Usage = inside.MemoryBytes
	}
	return e, nil
}

func (s *stats) fill(h *cgroup.Stats) {
	s.CPU.Usage.Total, s.CPU.Usage.User, s.CPU.Usage.Kernel = h.CPU.TotalNS, h.CPU.UserNS, h.CPU.KernelNS
	s.CPU.Throttling.Periods, s.CPU.Throttling.ThrottledPeriods = h.CPU.Periods, h.CPU.ThrottledPeriods
	s.CPU.Throttling.ThrottledTime = h.CPU.PausedNS
	m := &h.Memory
	s.Memory = memoryStats{
		Cache: m.Cache, Raw: m.Raw,
		Usage: memoryEntry{Limit: m.Limit, Usage: m.Usage, Max: m.Max, Failcnt: m.Failures},
		Swap:  memoryEntry{Limit: m.SwapLimit, Usage: m.SwapUsage},
	}
	s.Pids = pidStats{Current: h.Pids.Current, Limit: h.Pids.Limit}
}
