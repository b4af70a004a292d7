package cgroup

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// setting is one limit: the file that takes it in either version and its value
// there. An empty file means that the version has no such limit.
type setting struct {
	name       string // in config.json
	controller string // of version 1
	v1         string
	v1Value    string
	v2         string
	v2Value    string
}

// v2Controller is what stands before the dot in the name of a version 2 file.
func (s *setting) v2Controller() string {
	name, _, _ := strings.Cut(s.v2, ".")
	return name
}

// settingsOf lists the limits that a document asks for, in the order in which
// they are to be set. Zero and false mean "none", as engines write them.
func settingsOf(r *specs.LinuxResources) ([]setting, error) {
	if r == nil {
		return nil, nil
	}
	var all []setting
	all = append(all, memorySettings(r.Memory)...)
	all = append(all, cpuSettings(r.CPU)...)
	if r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit != 0 {
		value := limit(hostTasks(*r.Pids.Limit))
		all = append(all, setting{"pids.limit", "pids", "pids.max", value, "pids.max", value})
	}
	all = append(all, blockSettings(r.BlockIO)...)
	for _, h := range r.HugepageLimits {
		if strings.ContainsAny(h.Pagesize, "/.") {
			return nil, fmt.Errorf("linux.resources.hugepageLimits: bad page size %q", h.Pagesize)
		}
		value, prefix := strconv.FormatUint(h.Limit, 10), "hugetlb."+h.Pagesize
		all = append(all, setting{"hugepageLimits", "hugetlb", prefix + ".limit_in_bytes", value, prefix + ".max", value})
	}
	for file, value := range r.Unified {
		if strings.Contains(file, "/") || !strings.Contains(file, ".") || strings.HasPrefix(file, "cgroup.") {
			return nil, fmt.Errorf("linux.resources.unified: bad name %q", file)
		}
		all = append(all, setting{name: "unified " + file, v2: file, v2Value: value})
	}
	for i := range all {
		all[i].name = "linux.resources." + all[i].name
	}
	return all, nil
}

func memorySettings(m *specs.LinuxMemory) (all []setting) {
	if m == nil {
		return nil
	}
	if v := value(m.Limit); v != 0 {
		all = append(all, setting{"memory.limit", "memory", "memory.limit_in_bytes", number(v), "memory.max", limit(v)})
	}
	if v := value(m.Swap); v != 0 {
		// Version 1 counts memory and swap together, version 2 swap alone.
		swap := v
		if v > 0 && value(m.Limit) > 0 {
			swap = max(v-value(m.Limit), 0)
		}
		all = append(all, setting{"memory.swap", "memory", "memory.memsw.limit_in_bytes", number(v), "memory.swap.max", limit(swap)})
	}
	if v := value(m.Reservation); v != 0 {
		all = append(all, setting{"memory.reservation", "memory", "memory.soft_limit_in_bytes", number(v), "memory.low", limit(v)})
	}
	if m.Swappiness != nil {
		all = append(all, setting{name: "memory.swappiness", controller: "memory", v1: "memory.swappiness", v1Value: number(int64(*m.Swappiness))})
	}
	if value(m.DisableOOMKiller) {
		all = append(all, setting{name: "memory.disableOOMKiller", controller: "memory", v1: "memory.oom_control", v1Value: "1"})
	}
	return all
}

func cpuSettings(c *specs.LinuxCPU) (all []setting) {
	if c == nil {
		return nil
	}
	if v := value(c.Shares); v != 0 {
		all = append(all, setting{"cpu.shares", "cpu", "cpu.shares", unsigned(v), "cpu.weight", unsigned(weightOfShares(v))})
	}
	period, quota := value(c.Period), value(c.Quota)
	if period != 0 || quota != 0 {
		if period == 0 {
			period = defaultPeriodUS
		}
		max := limit(quota)
		if quota == 0 {
			max = "max"
		}
		bandwidth := max + " " + unsigned(period)
		all = append(all, setting{"cpu.period", "cpu", "cpu.cfs_period_us", unsigned(period), "cpu.max", bandwidth})
		if quota != 0 {
			all = append(all, setting{"cpu.quota", "cpu", "cpu.cfs_quota_us", number(quota), "cpu.max", bandwidth})
		}
	}
	if c.Burst != nil {
		all = append(all, setting{"cpu.burst", "cpu", "cpu.cfs_burst_us", unsigned(*c.Burst), "cpu.max.burst", unsigned(*c.Burst)})
	}
	if v := value(c.RealtimePeriod); v != 0 {
		all = append(all, setting{name: "cpu.realtimePeriod", controller: "cpu", v1: "cpu.rt_period_us", v1Value: unsigned(v)})
	}
	if v := value(c.RealtimeRuntime); v != 0 {
		all = append(all, setting{name: "cpu.realtimeRuntime", controller: "cpu", v1: "cpu.rt_runtime_us", v1Value: number(v)})
	}
	if c.Idle != nil {
		all = append(all, setting{"cpu.idle", "cpu", "cpu.idle", number(*c.Idle), "cpu.idle", number(*c.Idle)})
	}
	if c.Cpus != "" {
		all = append(all, setting{"cpu.cpus", "cpuset", "cpuset.cpus", c.Cpus, "cpuset.cpus", c.Cpus})
	}
	if c.Mems != "" {
		all = append(all, setting{"cpu.mems", "cpuset", "cpuset.mems", c.Mems, "cpuset.mems", c.Mems})
	}
	return all
}

// defaultPeriodUS is the kernel's.
const defaultPeriodUS = 100_000

// weightOfShares maps 2..262144 to 1..10000, as other runtimes do.
func weightOfShares(shares uint64) uint64 {
	shares = min(max(shares, 2), 262144)
	return 1 + (shares-2)*9999/262142
}

func blockSettings(b *specs.LinuxBlockIO) (all []setting) {
	if b == nil {
		return nil
	}
	if v := value(b.Weight); v != 0 {
		// The one scheduler that knows weights took over 10..1000 for 1..10000.
		wide := 1 + (uint64(v)-min(uint64(v), 10))*9999/990
		all = append(all, setting{"blockIO.weight", "blkio", "blkio.weight", unsigned(uint64(v)), "io.weight", "default " + unsigned(wide)})
	}
	throttle := func(name, v1, v2 string, devices []specs.LinuxThrottleDevice) {
		for _, d := range devices {
			device := fmt.Sprintf("%d:%d ", d.Major, d.Minor)
			all = append(all, setting{"blockIO." + name, "blkio", v1, device + unsigned(d.Rate), "io.max", device + v2 + "=" + unsigned(d.Rate)})
		}
	}
	throttle("throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice)
	throttle("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice)
	throttle("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice)
	throttle("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice)
	return all
}

// hostTasks makes a limit on host tasks of one on the container's: each thread
// inside is a thread of a stub and one of the Sentry, which needs some itself.
func hostTasks(limit int64) int64 {
	const own = 64
	if limit <= 0 || limit > (math.MaxInt64-own)/2 {
		return -1
	}
	return 2*limit + own
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func number(v int64) string { return strconv.FormatInt(v, 10) }

func unsigned(v uint64) string { return strconv.FormatUint(v, 10) }

// limit writes "no limit" as version 2 does.
func limit(v int64) string {
	if v < 0 {
		return "max"
	}
	return number(v)
}
