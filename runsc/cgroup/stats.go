package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Stats is what the host has charged to a cgroup. A counter that the host does
// not keep is zero.
type Stats struct {
	CPU struct {
		TotalNS, UserNS, KernelNS           uint64
		Periods, ThrottledPeriods, PausedNS uint64
	}
	Memory struct {
		Usage, Max, Limit, Failures uint64
		SwapUsage, SwapLimit        uint64
		Cache                       uint64
		Raw                         map[string]uint64
	}
	Pids struct{ Current, Limit uint64 }
}

// Stats reads the counters; nil when there is no cgroup.
func (g *Group) Stats() *Stats {
	if g == nil {
		return nil
	}
	s := new(Stats)
	if g.Version == V2 {
		s.readV2(g.Dirs[unified])
	} else {
		s.readV1(g.Dirs)
	}
	return s
}

func (s *Stats) readV2(dir string) {
	const us = 1000
	cpu := table(filepath.Join(dir, "cpu.stat"))
	s.CPU.TotalNS, s.CPU.UserNS, s.CPU.KernelNS = us*cpu["usage_usec"], us*cpu["user_usec"], us*cpu["system_usec"]
	s.CPU.Periods, s.CPU.ThrottledPeriods, s.CPU.PausedNS = cpu["nr_periods"], cpu["nr_throttled"], us*cpu["throttled_usec"]
	s.Memory.Raw = table(filepath.Join(dir, "memory.stat"))
	s.Memory.Cache = s.Memory.Raw["file"]
	s.Memory.Usage, s.Memory.Limit = counter(dir, "memory.current"), counter(dir, "memory.max")
	s.Memory.Max = counter(dir, "memory.peak")
	s.Memory.Failures = table(filepath.Join(dir, "memory.events"))["max"]
	s.Memory.SwapUsage, s.Memory.SwapLimit = counter(dir, "memory.swap.current"), counter(dir, "memory.swap.max")
	s.Pids.Current, s.Pids.Limit = counter(dir, "pids.current"), counter(dir, "pids.max")
}

func (s *Stats) readV1(dirs map[string]string) {
	const tickNS = 10_000_000 // of USER_HZ, in which cpuacct.stat counts
	if dir := dirs["cpuacct"]; dir != "" {
		ticks := table(filepath.Join(dir, "cpuacct.stat"))
		s.CPU.TotalNS = counter(dir, "cpuacct.usage")
		s.CPU.UserNS, s.CPU.KernelNS = tickNS*ticks["user"], tickNS*ticks["system"]
	}
	if dir := dirs["cpu"]; dir != "" {
		cpu := table(filepath.Join(dir, "cpu.stat"))
		s.CPU.Periods, s.CPU.ThrottledPeriods, s.CPU.PausedNS = cpu["nr_periods"], cpu["nr_throttled"], cpu["throttled_time"]
	}
	if dir := dirs["memory"]; dir != "" {
		s.Memory.Raw = table(filepath.Join(dir, "memory.stat"))
		s.Memory.Cache = s.Memory.Raw["cache"]
		s.Memory.Usage, s.Memory.Limit = counter(dir, "memory.usage_in_bytes"), counter(dir, "memory.limit_in_bytes")
		s.Memory.Max, s.Memory.Failures = counter(dir, "memory.max_usage_in_bytes"), counter(dir, "memory.failcnt")
		s.Memory.SwapUsage, s.Memory.SwapLimit = counter(dir, "memory.memsw.usage_in_bytes"), counter(dir, "memory.memsw.limit_in_bytes")
	}
	if dir := dirs["pids"]; dir != "" {
		s.Pids.Current, s.Pids.Limit = counter(dir, "pids.current"), counter(dir, "pids.max")
	}
}

// table reads a file of names and numbers.
func table(file string) map[string]uint64 {
	out := map[string]uint64{}
	raw, err := os.ReadFile(file)
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(raw)) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseUint(number, 10, 64); err == nil {
			out[name] = v
		}
	}
	return out
}

// counter reads one number; "max" is shown as 0.
func counter(dir, file string) uint64 {
	raw, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	v, _ := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
	return v
}
