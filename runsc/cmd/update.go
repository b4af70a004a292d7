package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"
)

var updateCommand = command{
	name: "update", usage: "update container resource constraints", arguments: "<container-id>", min: 1, max: 1,
	flags: []cli.Flag{
		&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Usage: "path to the file containing the resources to update or '-' to read from the standard input; all other options are ignored"},
		&cli.IntFlag{Name: "blkio-weight", Usage: "Specifies per cgroup weight, range is from 10 to 1000"},
		&cli.StringFlag{Name: "cpu-period", Usage: "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default"},
		&cli.StringFlag{Name: "cpu-quota", Usage: "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period"},
		&cli.StringFlag{Name: "cpu-burst", Usage: "CPU CFS hardcap burst limit (in usecs). Allowed accumulated cpu time additionally for burst a given period"},
		&cli.StringFlag{Name: "cpu-share", Usage: "CPU shares (relative weight vs. other containers)"},
		&cli.StringFlag{Name: "cpu-rt-period", Usage: "CPU realtime period to be used for hardcapping (in usecs). 0 to use system default"},
		&cli.StringFlag{Name: "cpu-rt-runtime", Usage: "CPU realtime hardcap limit (in usecs). Allowed cpu time in a given period"},
		&cli.StringFlag{Name: "cpuset-cpus", Usage: "CPU(s) to use"},
		&cli.StringFlag{Name: "cpuset-mems", Usage: "Memory node(s) to use"},
		&cli.StringFlag{Name: "cpu-idle", Usage: "set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE"},
		&cli.StringFlag{Name: "memory", Usage: "Memory limit (in bytes)"},
		&cli.StringFlag{Name: "memory-reservation", Usage: "Memory reservation or soft_limit (in bytes)"},
		&cli.StringFlag{Name: "memory-swap", Usage: "Total memory usage (memory + swap); set '-1' to enable unlimited swap"},
		&cli.StringFlag{Name: "pids-limit", Usage: "Maximum number of pids allowed in the container"},
		&cli.StringFlag{Name: "l3-cache-schema", Usage: "not supported"},
		&cli.StringFlag{Name: "mem-bw-schema", Usage: "not supported"},
	},
	run: func(cmd *cli.Command) error {
		for _, name := range []string{"l3-cache-schema", "mem-bw-schema"} {
			if cmd.IsSet(name) {
				return fmt.Errorf("--%s: Intel RDT is not supported", name)
			}
		}
		resources, err := updatedResources(cmd)
		if err != nil {
			return err
		}
		c, err := find(cmd)
		if err != nil {
			return err
		}
		return c.Update(resources)
	},
}

func updatedResources(cmd *cli.Command) (*specs.LinuxResources, error) {
	if path := cmd.String("resources"); path != "" {
		return readResources(path)
	}
	memory, cpu, pids, block := new(specs.LinuxMemory), new(specs.LinuxCPU), new(specs.LinuxPids), new(specs.LinuxBlockIO)
	for _, err := range []error{
		number(cmd, "memory", &memory.Limit), number(cmd, "memory-reservation", &memory.Reservation),
		number(cmd, "memory-swap", &memory.Swap), number(cmd, "pids-limit", &pids.Limit),
		number(cmd, "cpu-period", &cpu.Period), number(cmd, "cpu-quota", &cpu.Quota), number(cmd, "cpu-burst", &cpu.Burst),
		number(cmd, "cpu-share", &cpu.Shares), number(cmd, "cpu-rt-period", &cpu.RealtimePeriod),
		number(cmd, "cpu-rt-runtime", &cpu.RealtimeRuntime), number(cmd, "cpu-idle", &cpu.Idle),
	} {
		if err != nil {
			return nil, err
		}
	}
	cpu.Cpus, cpu.Mems = cmd.String("cpuset-cpus"), cmd.String("cpuset-mems")
	if cmd.IsSet("blkio-weight") {
		weight := uint16(cmd.Int("blkio-weight"))
		block.Weight = &weight
	}
	return &specs.LinuxResources{Memory: memory, CPU: cpu, Pids: pids, BlockIO: block}, nil
}

func readResources(path string) (*specs.LinuxResources, error) {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	r := new(specs.LinuxResources)
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("resources in %s: %w", path, err)
	}
	return r, nil
}

// number reads a flag that holds a number of bytes, microseconds or tasks.
func number[T int64 | uint64](cmd *cli.Command, name string, to **T) error {
	if !cmd.IsSet(name) {
		return nil
	}
	n, err := strconv.ParseInt(cmd.String(name), 10, 64)
	if err != nil {
		return fmt.Errorf("invalid value for --%s: %w", name, err)
	}
	v := T(n)
	*to = &v
	return nil
}
