package oci

import (
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestBadPrograms(t *testing.T) {
	r := newRig(t)
	root := filepath.Join(r.bundle, "rootfs")
	os.WriteFile(filepath.Join(root, "plain"), []byte("text"), 0o644)
	os.WriteFile(filepath.Join(root, "garbage"), []byte("\x7fELF garbage"), 0o755)
	os.WriteFile(filepath.Join(root, "orphan"), []byte("#!/not/there\n"), 0o755)
	for program, words := range map[string][]string{
		"nope":     {`exec: "nope"`, "executable file not found in $PATH"},
		"/nope":    {"/nope", "no such file or directory"},
		"/plain":   {"/plain", "permission denied"},
		"/etc":     {"/etc"},
		"/garbage": {"/garbage", "exec format error"},
		"/orphan":  {"/orphan", "no such file or directory"},
	} {
		r.use(program)
		r.fails(1, append(words, "runsc run failed"), "run", r.id("a"))
		r.fails(1, append(words, "runsc create failed"), "create", r.id("a"))
	}
}

func TestBadBundles(t *testing.T) {
	r := newRig(t)
	id := r.id("a")
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o644)
	for name, c := range map[string]struct {
		change func(*specs.Spec)
		words  []string
	}{
		"rootfs is a file":  {func(s *specs.Spec) { s.Root.Path = file }, []string{file, "not a directory"}},
		"rootfs is missing": {func(s *specs.Spec) { s.Root.Path = "/nope" }, []string{"/nope", "no such file"}},
		"source is missing": {func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/data", Type: "bind", Source: "/srv/nope", Options: []string{"bind"}})
		}, []string{"mount /data", "/srv/nope", "no such file or directory"}},
		"file on a directory": {func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/etc", Type: "bind", Source: file, Options: []string{"bind"}})
		}, []string{"mount /etc"}},
		"cwd is a file": {func(s *specs.Spec) { s.Process.Cwd = "/etc/passwd" }, []string{"/etc/passwd", "not a directory"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := r.spec("true")
			c.change(s)
			r.write(s)
			sub := *r
			sub.t = t
			sub.fails(1, c.words, "run", id)
		})
	}
	os.WriteFile(filepath.Join(r.bundle, "config.json"), []byte("{"), 0o644)
	r.fails(1, []string{"config.json"}, "run", id)
	r.fails(1, []string{"/nope"}, "run", "-b", "/nope", id)
	r.fails(1, []string{"container does not exist", id}, "start", id)
	r.fails(255, []string{"container does not exist", id}, "exec", id, "true")
}

func TestSecondContainerOfTheSameName(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	r.must("run", "-d", r.id("a"))
	r.fails(1, []string{"already exists", r.id("a")}, "run", r.id("a"))
	r.fails(1, []string{"already exists", r.id("a")}, "create", r.id("a"))
	r.must("exec", r.id("a"), "true")
	r.must("delete", "-f", r.id("a"))
}

func TestFullDiskUnderRoot(t *testing.T) {
	needRoot(t)
	r := newRig(t)
	r.use("true")
	if err := os.MkdirAll(r.state, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", r.state, "tmpfs", 0, "size=4k"); err != nil {
		t.Skipf("no tmpfs of our own: %v", err)
	}
	unmounted := false
	defer func() {
		if !unmounted {
			unix.Unmount(r.state, unix.MNT_DETACH)
		}
	}()
	if err := os.WriteFile(filepath.Join(r.state, "~full"), make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	r.fails(1, []string{"no space left on device", r.state}, "create", r.id("a"))
	r.fails(1, []string{"no space left on device", r.state}, "run", r.id("a"))
	if entries, _ := os.ReadDir(r.state); len(entries) != 1 {
		t.Errorf("left on the full disk: %v", entries)
	}
	unmounted = unix.Unmount(r.state, 0) == nil
	if !unmounted {
		t.Error("the full disk is still in use")
	}
}
