package specconv

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// bundle makes a directory with a root file system.
func bundle(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "rootfs/etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func convert(t *testing.T, spec *specs.Spec) (*Plan, error) {
	t.Helper()
	return Convert("id", bundle(t), spec, Options{Overlay: control.OverlayNone})
}

func TestDefaultConverts(t *testing.T) {
	plan, err := convert(t, Default())
	if err != nil {
		t.Fatal(err)
	}
	c := plan.Container
	if !plan.Terminal || c.Hostname != "runsc" || !c.Root.ReadOnly || !plan.Trees[0].ReadOnly || len(plan.Trees) != 1 {
		t.Errorf("got %+v", plan)
	}
	if want := uint64(1<<29 | 1<<5 | 1<<10); c.Process.Capabilities.Bounding != want {
		t.Errorf("capabilities %x, want %x", c.Process.Capabilities.Bounding, want)
	}
	if want := []control.Rlimit{{Resource: unix.RLIMIT_NOFILE, Soft: 1024, Hard: 1024}}; !slices.Equal(c.Process.Rlimits, want) {
		t.Errorf("rlimits %+v", c.Process.Rlimits)
	}
	if len(c.Devices) != 6 || c.Devices[0].Path != "/dev/null" {
		t.Errorf("devices %+v", c.Devices)
	}
}

func TestMountOptions(t *testing.T) {
	for _, c := range []struct {
		options     string
		flags       uint64
		propagation uint64
		data        string
	}{
		{"ro,nosuid,nodev,noexec", unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, 0, ""},
		{"ro,rw,noexec,exec", 0, 0, ""},
		{"rbind,rprivate", unix.MS_BIND | unix.MS_REC, unix.MS_PRIVATE | unix.MS_REC, ""},
		{"mode=755,nosuid,size=64k", unix.MS_NOSUID, 0, "mode=755,size=64k"},
		{"rro,rslave,rnoatime", unix.MS_RDONLY | unix.MS_NOATIME, unix.MS_SLAVE | unix.MS_REC, ""},
	} {
		m, err := parseOptions(strings.Split(c.options, ","))
		if err != nil || m.Flags != c.flags || m.Propagation != c.propagation || m.Data != c.data {
			t.Errorf("%s: %+v, %v", c.options, m, err)
		}
	}
	if _, err := parseOptions([]string{"idmap"}); err == nil {
		t.Error("idmap was accepted")
	}
}

func TestBindMountsBecomeTrees(t *testing.T) {
	dir := bundle(t)
	file := filepath.Join(dir, "file")
	os.WriteFile(file, nil, 0o644)
	spec := Default()
	spec.Mounts = append(spec.Mounts,
		specs.Mount{Destination: "/data", Source: "rootfs/etc", Options: []string{"bind", "ro"}},
		specs.Mount{Destination: "etc/../etc/file", Type: "bind", Source: file},
	)
	plan, err := Convert("id", dir, spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Trees) != 3 || plan.Trees[1].Path != filepath.Join(dir, "rootfs/etc") || !plan.Trees[1].ReadOnly || plan.Trees[2].ReadOnly {
		t.Errorf("trees %+v", plan.Trees)
	}
	mounts := plan.Container.Mounts
	data, single := mounts[len(mounts)-2], mounts[len(mounts)-1]
	if data.Type != "bind" || data.Gofer != 1 || single.Gofer != 2 || single.Destination != "/etc/file" {
		t.Errorf("mounts %+v %+v", data, single)
	}
	points := plan.Trees[0].MountPoints
	if !slices.Contains(points, MountPoint{Path: "/etc/file", File: true}) || !slices.Contains(points, MountPoint{Path: "/data"}) {
		t.Errorf("mount points %+v", points)
	}
	if slices.ContainsFunc(points, func(p MountPoint) bool { return p.Path == "/dev/pts" }) {
		t.Error("a mount point below another mount was planned")
	}
}

func TestOverlayMakesTheTreeReadOnly(t *testing.T) {
	spec := Default()
	spec.Root.Readonly = false
	plan, err := Convert("id", bundle(t), spec, Options{Overlay: control.OverlayMemory})
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Trees[0].ReadOnly || plan.Container.Root.ReadOnly || len(plan.Trees[0].MountPoints) != 0 {
		t.Errorf("got %+v", plan.Trees[0])
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*specs.Spec)
		words  string
	}{
		"version":          {func(s *specs.Spec) { s.Version = "2.0.0" }, "2.0.0"},
		"soft above hard":  {func(s *specs.Spec) { s.Process.Rlimits[0].Soft = 2000 }, "RLIMIT_NOFILE"},
		"rlimit twice":     {func(s *specs.Spec) { s.Process.Rlimits = append(s.Process.Rlimits, s.Process.Rlimits[0]) }, "twice"},
		"oom score":        {func(s *specs.Spec) { n := 1001; s.Process.OOMScoreAdj = &n }, "oomScoreAdj"},
		"NUL in argument":  {func(s *specs.Spec) { s.Process.Args = []string{"a\x00b"} }, "process.args"},
		"console too wide": {func(s *specs.Spec) { s.Process.ConsoleSize = &specs.Box{Width: 1 << 20} }, "consoleSize"},
		"namespace type":   {func(s *specs.Spec) { s.Linux.Namespaces[0].Type = "moon" }, "moon"},
		"namespace twice": {func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, s.Linux.Namespaces[0])
		}, "twice"},
		"maps without namespace": {func(s *specs.Spec) { s.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 1}} }, "uidMappings"},
		"device type":            {func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}} }, "/dev/x"},
		"device number":          {func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "c", Major: -1}} }, "-1:0"},
		"mount destination":      {func(s *specs.Spec) { s.Mounts = []specs.Mount{{Type: "proc"}} }, "destination"},
		"personality":            {func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }, "LINUX32"},
	} {
		spec := Default()
		c.change(spec)
		if _, err := convert(t, spec); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want %q", name, err, c.words)
		}
	}
}

func TestWarningsNameWhatIsNotDone(t *testing.T) {
	spec := Default()
	spec.Process.ApparmorProfile = "docker-default"
	spec.Process.Capabilities.Bounding = append(spec.Process.Capabilities.Bounding, "CAP_FUTURE")
	spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActNotify}
	plan, err := convert(t, spec)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(plan.Warnings, "\n")
	for _, w := range []string{"docker-default", "CAP_FUTURE", "linux.seccomp"} {
		if !strings.Contains(all, w) {
			t.Errorf("no warning about %s in %q", w, all)
		}
	}
}

func TestHome(t *testing.T) {
	dir := bundle(t)
	root := filepath.Join(dir, "rootfs")
	passwd := "root:x:0:0::/root:/bin/sh\nbroken\nweb:x:33:33::/var/www:/bin/sh\nodd:x:34:34::relative:/bin/sh\n"
	os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(passwd), 0o644)
	for _, c := range []struct {
		env  []string
		uid  uint32
		want string
	}{
		{nil, 0, "HOME=/root"},
		{[]string{"HOME="}, 33, "HOME=/var/www"},
		{nil, 34, "HOME=/"},
		{nil, 99, "HOME=/"},
		{[]string{"HOME=/x"}, 0, "HOME=/x"},
	} {
		p := control.Process{Env: c.env, UID: c.uid}
		SetHome(root, &p)
		if len(p.Env) != 1 || p.Env[0] != c.want {
			t.Errorf("uid %d, %v: %v, want %s", c.uid, c.env, p.Env, c.want)
		}
	}
	// A file that would be read from the host, and one that would be waited for.
	os.Remove(filepath.Join(root, "etc/passwd"))
	os.Symlink("/etc/passwd", filepath.Join(root, "etc/passwd"))
	p := control.Process{}
	SetHome(root, &p)
	os.Remove(filepath.Join(root, "etc/passwd"))
	unix.Mkfifo(filepath.Join(root, "etc/passwd"), 0o644)
	q := control.Process{}
	SetHome(root, &q)
	if p.Env[0] != "HOME=/" || q.Env[0] != "HOME=/" {
		t.Errorf("symlink: %v, FIFO: %v", p.Env, q.Env)
	}
}

func TestVolume(t *testing.T) {
	dir := t.TempDir()
	for volume, ok := range map[string]bool{
		dir + ":/x": true, dir + ":/x:ro": true, dir + ":/x:rw": true,
		dir: false, dir + ":x": false, dir + ":/x:zz": false, ":/x": false, dir + "/nope:/x": false, "a:/b:ro:c": false,
	} {
		p := &Plan{Trees: []Tree{{}}}
		if err := p.AddVolume(volume); (err == nil) != ok {
			t.Errorf("%s: %v", volume, err)
		} else if ok && p.Trees[1].ReadOnly != strings.HasSuffix(volume, ":ro") {
			t.Errorf("%s: %+v", volume, p.Trees[1])
		}
	}
}

func TestBrokenConfigNamesTheLine(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "config.json"), []byte("{\n  \"ociVersion\": \"1.0.0\",\n  \"process\": []\n}"), 0o644)
	_, err := Load(dir)
	if err == nil || !strings.Contains(err.Error(), "line 3") || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

// FuzzConvert converts documents of any form: an error or a plan whose indices
// hold, never a panic.
func FuzzConvert(f *testing.F) {
	for _, change := range []func(*specs.Spec){
		func(*specs.Spec) {},
		func(s *specs.Spec) { s.Linux = nil },
		func(s *specs.Spec) { s.Process.Capabilities = nil },
		func(s *specs.Spec) { MakeRootless(s, 1000, 1000) },
		func(s *specs.Spec) {
			s.Mounts = []specs.Mount{{Destination: "//../x", Source: "/", Options: []string{"bind"}}}
		},
	} {
		spec := Default()
		change(spec)
		raw, err := json.Marshal(spec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"ociVersion":"1.0.0","process":{"args":["x"],"cwd":"/"},"root":{"path":"rootfs"},"mounts":[{}],"linux":{"devices":[{}],"namespaces":[{}]}}`))
	dir := f.TempDir()
	os.Mkdir(filepath.Join(dir, "rootfs"), 0o755)
	f.Fuzz(func(t *testing.T, raw []byte) {
		spec := new(specs.Spec)
		if json.Unmarshal(raw, spec) != nil {
			return
		}
		plan, err := Convert("id", dir, spec, Options{})
		if err != nil {
			return
		}
		for _, m := range plan.Container.Mounts {
			if m.Gofer != control.NoFD && (m.Gofer < 1 || m.Gofer >= len(plan.Trees)) {
				t.Errorf("mount %+v of %d trees", m, len(plan.Trees))
			}
			if !filepath.IsAbs(m.Destination) || filepath.Clean(m.Destination) != m.Destination {
				t.Errorf("destination %q", m.Destination)
			}
		}
	})
}

func TestLimits(t *testing.T) {
	limit, both, none := int64(64<<20), int64(80<<20), int64(-1)
	quota, period := int64(50000), uint64(200000)
	for _, c := range []struct {
		resources specs.LinuxResources
		want      control.Limits
	}{
		{specs.LinuxResources{}, control.Limits{}},
		{specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: &limit, Swap: &both},
			CPU:    &specs.LinuxCPU{Quota: &quota, Period: &period},
			Pids:   &specs.LinuxPids{Limit: &limit},
		}, control.Limits{Memory: 64 << 20, Swap: 16 << 20, CPUQuota: 50000, CPUPeriod: 200000, Processes: 64 << 20}},
		{specs.LinuxResources{
			Memory: &specs.LinuxMemory{Limit: &none, Swap: &none},
			CPU:    &specs.LinuxCPU{Quota: &none, Period: &period},
		}, control.Limits{}},
	} {
		spec := Default()
		spec.Linux.Resources = &c.resources
		plan, err := convert(t, spec)
		if err != nil || plan.Container.Limits != c.want {
			t.Errorf("%+v: %+v, %v", c.resources, plan.Container.Limits, err)
		}
	}
}
