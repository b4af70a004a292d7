package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func ptr[T any](v T) *T { return &v }

var everything = &specs.LinuxResources{
	Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 20)), Swap: ptr(int64(3 << 20)), Reservation: ptr(int64(1 << 19))},
	CPU:    &specs.LinuxCPU{Shares: ptr(uint64(1024)), Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Cpus: "0"},
	Pids:   &specs.LinuxPids{Limit: ptr(int64(100))},
	BlockIO: &specs.LinuxBlockIO{
		Weight:                ptr(uint16(10)),
		ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{{Rate: 7}},
	},
}

// fakeGroup is a cgroup of ordinary files, which hold what is written to them.
func fakeGroup(t *testing.T, version Version) *Group {
	t.Helper()
	g := &Group{Version: version, Dirs: map[string]string{}}
	settings, err := settingsOf(everything)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, s := range settings {
		controller, file := s.controller, s.v1
		if version == V2 {
			controller, file = unified, s.v2
		}
		dir := filepath.Join(root, "x"+controller)
		g.Dirs[controller] = dir
		os.MkdirAll(dir, 0o755)
		os.WriteFile(filepath.Join(dir, file), nil, 0o644)
	}
	return g
}

func TestSettingsOfBothVersions(t *testing.T) {
	for version, want := range map[Version]map[string]string{
		V1: {
			"memory/memory.limit_in_bytes": "1048576", "memory/memory.memsw.limit_in_bytes": "3145728",
			"memory/memory.soft_limit_in_bytes": "524288", "cpu/cpu.shares": "1024", "cpu/cpu.cfs_quota_us": "50000",
			"cpu/cpu.cfs_period_us": "100000", "cpuset/cpuset.cpus": "0", "pids/pids.max": "264",
			"blkio/blkio.weight": "10", "blkio/blkio.throttle.read_bps_device": "0:0 7",
		},
		V2: {
			"/memory.max": "1048576", "/memory.swap.max": "2097152", "/memory.low": "524288", "/cpu.weight": "39",
			"/cpu.max": "50000 100000", "/cpuset.cpus": "0", "/pids.max": "264", "/io.weight": "default 1", "/io.max": "0:0 rbps=7",
		},
	} {
		g := fakeGroup(t, version)
		if err := g.Update(everything); err != nil {
			t.Errorf("version %d: %v", version, err)
			continue
		}
		for file, value := range want {
			controller, name, _ := strings.Cut(file, "/")
			raw, err := os.ReadFile(filepath.Join(g.Dirs[controller], name))
			if err != nil || string(raw) != value {
				t.Errorf("version %d: %s holds %q, %v; want %q", version, file, raw, err, value)
			}
		}
	}
}

func TestLimitsThatCannotBeSet(t *testing.T) {
	g := fakeGroup(t, V2)
	err := g.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: ptr(uint64(1))}})
	if err == nil || !strings.Contains(err.Error(), "memory.swappiness") {
		t.Errorf("a setting that version 2 lacks: %v", err)
	}
	delete(g.Dirs, unified)
	if err := g.Update(everything); err == nil || !strings.Contains(err.Error(), "memory.limit") {
		t.Errorf("a controller that is missing: %v", err)
	}
	for _, name := range []string{"../x.y", "cgroup.procs", "x"} {
		if _, err := settingsOf(&specs.LinuxResources{Unified: map[string]string{name: "1"}}); err == nil {
			t.Errorf("unified name %q was accepted", name)
		}
	}
	if err := (*Group)(nil).Update(everything); err == nil {
		t.Error("limits without a cgroup were accepted")
	}
	if err := (*Group)(nil).Update(nil); err != nil {
		t.Errorf("no limits without a cgroup: %v", err)
	}
}

func TestZeroMeansNoLimit(t *testing.T) {
	settings, err := settingsOf(&specs.LinuxResources{
		Memory: &specs.LinuxMemory{DisableOOMKiller: ptr(false)}, CPU: &specs.LinuxCPU{Shares: ptr(uint64(0)), Quota: ptr(int64(0))},
		Pids: &specs.LinuxPids{Limit: ptr(int64(0))}, BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(0))},
	})
	if err != nil || len(settings) != 0 {
		t.Errorf("got %+v, %v", settings, err)
	}
}

func TestPathsStayInTheHierarchy(t *testing.T) {
	for given, want := range map[string]string{
		"": "id", "/a/b": "/a/b", "/../../etc": "/etc", "../x": "x", "a/../../b": "b",
	} {
		got, err := Config{ID: "id", Path: given}.relativePath()
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", given, got, err, want)
		}
	}
	if got, err := (Config{ID: "id", Path: "/"}).relativePath(); err == nil {
		t.Errorf("the root itself: %q", got)
	}
}

func TestParseMounts(t *testing.T) {
	mountinfo := `30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 30 0:30 / /mnt/cpu rw - cgroup cgroup rw,cpu
broken
`
	own := "3:cpu,cpuacct:/a/b\n1:name=systemd:/c\n0::/d\n"
	got := parseMounts(mountinfo, own)
	if len(got) != 2 || got[0].mount != "/sys/fs/cgroup/cpu,cpuacct" || got[0].own != "/a/b" || len(got[0].controllers) != 2 ||
		got[1].controllers[0] != "name=systemd" || got[1].own != "/c" {
		t.Errorf("got %+v", got)
	}
}

func TestRealGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making cgroups takes root")
	}
	g, warning, err := New(Config{ID: "bulkhead-test", Path: "/bulkhead-test/group", Resources: &specs.LinuxResources{Pids: everything.Pids}})
	if err != nil || warning != "" {
		t.Skipf("this host has no cgroups for us: %v %s", err, warning)
	}
	if _, err := g.Apply(&specs.LinuxResources{Pids: everything.Pids}); err != nil {
		t.Skipf("this host lets us make no cgroup: %v", err)
	}
	defer func() {
		for _, dir := range g.uniqueDirs() {
			os.Remove(filepath.Dir(dir))
		}
	}()
	if limit := g.Stats().Pids.Limit; limit != 264 {
		t.Errorf("limit of tasks is %d, want 264", limit)
	}
	if err := g.Destroy(); err != nil {
		t.Error(err)
	}
	for _, dir := range g.uniqueDirs() {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := g.Destroy(); err != nil {
		t.Errorf("again: %v", err)
	}
}
