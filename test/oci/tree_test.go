package oci

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bulkhead-sandbox/bulkhead/test/harness"
)

// debian finds or makes a Debian root file system. Making one takes a minute
// and a mirror, so it is made once, when it is asked for.
func debian(t *testing.T) string {
	t.Helper()
	dir, err := harness.CacheDir("debian")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "bookworm")
	if _, err := os.Stat(filepath.Join(root, "etc/debian_version")); err == nil {
		return root
	}
	if os.Getenv("BULKHEAD_SETUP") == "" {
		t.Skip("no Debian tree: BULKHEAD_SETUP=1 makes one with mmdebstrap or debootstrap")
	}
	needRoot(t)
	for _, maker := range []string{"mmdebstrap", "debootstrap"} {
		if _, err := exec.LookPath(maker); err != nil {
			continue
		}
		partial := root + ".partial"
		os.RemoveAll(partial)
		if out, err := exec.Command(maker, "--variant=minbase", "bookworm", partial).CombinedOutput(); err != nil {
			t.Skipf("%s: %v: %s", maker, err, out)
		}
		if err := os.Rename(partial, root); err != nil {
			t.Fatal(err)
		}
		return root
	}
	t.Skip("neither mmdebstrap nor debootstrap is installed")
	return ""
}

func TestDebian(t *testing.T) {
	needRoot(t)
	root := debian(t)
	r := bareRig(t)
	// /srv is the bundle's own, to show a write.
	s := r.spec("bash", "-c", `set -e; dpkg -l bash | tail -1 | cut -c1-8; perl -e 'print 6*7, "\n"'
		useradd -m joe; su joe -c 'id -un; cd; pwd; touch f; stat -c %U f'
		for i in 1 2 3; do (exit $i) || echo $?; done; echo written > /srv/file; exit 3`)
	s.Root.Path = root
	caps := strings.Fields("CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_KILL")
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	s.Process.NoNewPrivileges = false
	srv := t.TempDir()
	s.Mounts = append(s.Mounts, specs.Mount{Destination: "/srv", Type: "bind", Source: srv, Options: []string{"rbind"}})
	r.write(s)
	res := r.run("--overlay=root:memory", "run", r.id("a"))
	want := "ii  bash\n42\njoe\n/home/joe\njoe\n1\n2\n3\n"
	if res.status != 3 || res.out != want {
		t.Errorf("got %+v, want %q", res, want)
	}
	if raw, err := os.ReadFile(filepath.Join(srv, "file")); string(raw) != "written\n" {
		t.Errorf("bind mount: %q, %v", raw, err)
	}
	if passwd, _ := os.ReadFile(filepath.Join(root, "etc/passwd")); strings.Contains(string(passwd), "joe") {
		t.Error("the overlay let a write through")
	}
}

func TestUserNamespace(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	const first = 100000
	root := filepath.Join(r.bundle, "rootfs")
	filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, first, first)
		}
		return err
	})
	s := r.spec("sh", "-c", "id -u; stat -c %u /etc/passwd; touch /new; cat /proc/self/uid_map")
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: first, Size: 65536}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
	r.write(s)
	// The way to the bundle has to be open for others.
	for dir := r.bundle; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	res := r.run("run", r.id("a"))
	if fields := strings.Fields(res.out); res.status != 0 || len(fields) < 2 || fields[0] != "0" || fields[1] != "0" {
		t.Errorf("got %+v", res)
	}
	info, err := os.Stat(filepath.Join(root, "new"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != first {
		t.Errorf("a file made by root inside belongs to %d, want %d", uid, first)
	}
}
