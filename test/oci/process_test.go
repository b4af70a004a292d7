package oci

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ptr makes the pointers that OCI documents are full of.
func ptr[T any](v T) *T { return &v }

func TestProcessFields(t *testing.T) {
	r := newRig(t)
	s := r.spec("sh", "-c", `id -u; id -g; grep Groups: /proc/self/status; umask; pwd; echo $A $HOME; ulimit -n; hostname
		grep -E 'Cap|NoNewPrivs' /proc/self/status; cat /proc/self/oom_score_adj; cat /proc/sys/kernel/domainname`)
	s.Process.User = specs.User{UID: 33, GID: 34, AdditionalGids: []uint32{7, 8}, Umask: ptr(uint32(0o027))}
	s.Process.Env = append(s.Process.Env, "A=b c")
	s.Process.Cwd = "/made/for/us"
	s.Process.OOMScoreAdj = ptr(100)
	s.Process.NoNewPrivileges = false
	s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 123, Hard: 456}}
	s.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: []string{"CAP_CHOWN", "CAP_KILL"}, Permitted: []string{"CAP_CHOWN", "CAP_KILL"}, Effective: []string{"CAP_KILL"},
		Inheritable: []string{"CAP_KILL"}, Ambient: []string{"CAP_KILL"},
	}
	s.Hostname, s.Domainname = "the-host", "the-domain"
	if s.Linux.UIDMappings != nil {
		t.Skip("a rootless bundle has one user only")
	}
	r.write(s)
	want := `33
34
Groups:	7 8 
0027
/made/for/us
b c /tmp
123
the-host
CapInh:	0000000000000020
CapPrm:	0000000000000020
CapEff:	0000000000000020
CapBnd:	0000000000000021
CapAmb:	0000000000000020
NoNewPrivs:	0
100
the-domain
`
	if got := r.must("run", r.id("a")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSeccompProfileBindsInitAndExec(t *testing.T) {
	r := newRig(t)
	s := r.spec("sh", "-c", "mkdir /tmp/a; echo $?; chmod 700 /tmp; echo $?; grep Seccomp /proc/self/status")
	s.Linux.Seccomp = &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(95))},
			{Names: []string{"sethostname"}, Action: specs.ActKillProcess},
		},
	}
	r.write(s)
	res := r.run("run", r.id("a"))
	if want := "1\n0\nSeccomp:\t2\nSeccomp_filters:\t1\n"; res.out != want || !strings.Contains(res.err, "Operation not supported") {
		t.Errorf("%q, %q", res.out, res.err)
	}
	s.Process.Args = []string{"sleep", "1000"}
	r.write(s)
	id := r.id("b")
	r.must("run", "-d", id)
	if res := r.run("exec", id, "mkdir", "/tmp/b"); res.status != 1 || !strings.Contains(res.err, "Operation not supported") {
		t.Errorf("mkdir: %+v", res)
	}
	if res := r.run("exec", id, "hostname", "x"); res.status != 128+31 {
		t.Errorf("sethostname: %+v", res)
	}
	r.must("delete", "--force", id)
}

func TestExecOptions(t *testing.T) {
	r := newRig(t)
	r.use("sleep", "1000")
	id := r.id("a")
	r.must("run", "-d", id)
	defer r.must("delete", "-f", id)
	if out := r.must("exec", "--cwd", "/etc", "--env", "A=1,2", "-e", "B=3", id, "sh", "-c", "pwd; echo $A $B"); out != "/etc\n1,2 3\n" {
		t.Errorf("exec: %q", out)
	}
	if os.Geteuid() == 0 {
		if out := r.must("exec", "-u", "33:34", "-g", "5", id, "sh", "-c", "id -u; id -g; echo $HOME; grep Groups /proc/self/status"); out != "33\n34\n/tmp\nGroups:\t5 \n" {
			t.Errorf("exec -u: %q", out)
		}
	}
	file := filepath.Join(t.TempDir(), "process.json")
	os.WriteFile(file, []byte(`{"args":["sh","-c","echo $X; pwd"],"cwd":"/bin","env":["PATH=/bin","X=y"],"user":{"uid":0,"gid":0}}`), 0o644)
	if out := r.must("exec", "--process", file, id); out != "y\n/bin\n" {
		t.Errorf("exec --process: %q", out)
	}
	r.fails(255, []string{"exec failed", `"nope"`, "not found"}, "exec", id, "nope")
	r.fails(255, []string{"exec failed", "/etc/passwd", "permission denied"}, "exec", id, "/etc/passwd")
	r.fails(255, []string{"exec failed", "/nope"}, "exec", "--cwd", "/nope", id, "true")
}

func TestMounts(t *testing.T) {
	r := newRig(t)
	data, single := t.TempDir(), filepath.Join(t.TempDir(), "single")
	os.WriteFile(filepath.Join(data, "f"), []byte("data\n"), 0o644)
	os.WriteFile(single, []byte("single\n"), 0o644)
	s := r.spec("sh", "-c", `cat /rw/f /ro/f /etc/single; echo new > /rw/new; echo no > /ro/no; touch /tiny/x && echo tiny
		grep -E ' /(rw|ro|tiny|etc/single) ' /proc/mounts | while read -r _ where _ options _; do echo $where $options; done`)
	s.Mounts = append(s.Mounts,
		specs.Mount{Destination: "/rw", Type: "bind", Source: data, Options: []string{"rbind", "rw", "nosuid"}},
		specs.Mount{Destination: "/ro", Type: "bind", Source: data, Options: []string{"rbind", "ro", "noexec"}},
		specs.Mount{Destination: "/etc/single", Type: "bind", Source: single, Options: []string{"bind"}},
		specs.Mount{Destination: "/tiny", Type: "tmpfs", Source: "tiny", Options: []string{"nodev", "mode=700", "size=64k"}},
	)
	r.write(s)
	res := r.run("run", r.id("a"))
	lines := strings.Split(res.out, "\n")
	if len(lines) < 8 || strings.Join(lines[:4], " ") != "data data single tiny" {
		t.Fatalf("got %+v", res)
	}
	for i, want := range []string{"/rw rw,nosuid", "/ro ro,noexec", "/etc/single rw", "/tiny rw,nodev"} {
		if !strings.HasPrefix(lines[4+i], want) {
			t.Errorf("mount %q, want %q", lines[4+i], want)
		}
	}
	if !strings.Contains(res.err, "Read-only file system") {
		t.Errorf("the read-only mount was written: %s", res.err)
	}
	if raw, err := os.ReadFile(filepath.Join(data, "new")); string(raw) != "new\n" {
		t.Errorf("a bind mount's new file: %q, %v", raw, err)
	}
}

func TestMaskedAndReadonlyPaths(t *testing.T) {
	r := newRig(t)
	os.MkdirAll(filepath.Join(r.bundle, "rootfs/secret"), 0o755)
	os.WriteFile(filepath.Join(r.bundle, "rootfs/secret/f"), []byte("secret\n"), 0o644)
	os.WriteFile(filepath.Join(r.bundle, "rootfs/key"), []byte("secret\n"), 0o644)
	s := r.spec("sh", "-c", "ls /secret; cat /key; touch /etc/x; echo 1 > /proc/sys/kernel/hostname; echo end")
	s.Linux.MaskedPaths = []string{"/secret", "/key", "/not/there"}
	s.Linux.ReadonlyPaths = []string{"/etc", "/proc/sys", "/not/there"}
	r.write(s)
	res := r.run("run", r.id("a"))
	if res.out != "end\n" || strings.Count(res.err, "Read-only file system") != 2 {
		t.Errorf("got %+v", res)
	}
}

func TestSysctls(t *testing.T) {
	r := newRig(t)
	s := r.spec("cat", "/proc/sys/kernel/domainname")
	s.Linux.Sysctl = map[string]string{"kernel.domainname": "by.sysctl"}
	r.write(s)
	if out := r.must("run", r.id("a")); out != "by.sysctl\n" {
		t.Errorf("got %q", out)
	}
	s.Linux.Sysctl = map[string]string{"kernel.no_such_thing": "1"}
	r.write(s)
	r.fails(1, []string{"kernel.no_such_thing"}, "run", r.id("a"))
}

func TestStandardInput(t *testing.T) {
	r := newRig(t)
	r.use("cat")
	cmd, cancel := r.command("run", r.id("a"))
	defer cancel()
	cmd.Stdin = strings.NewReader(strings.Repeat("line\n", 10000))
	out, err := cmd.Output()
	if err != nil || len(out) != 50000 {
		t.Errorf("cat gave %d bytes, %v", len(out), err)
	}
}

// Whoever reads a container's output sees when the container closes it.
func TestClosedOutputEnds(t *testing.T) {
	r := newRig(t)
	r.use("sh", "-c", "echo end; exec >&-; sleep 1000")
	id := r.id("a")
	cmd, cancel := r.command("run", id)
	defer cancel()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(out); err != nil || string(raw) != "end\n" {
		t.Errorf("read %q, %v", raw, err)
	}
	if s := r.stateOf(id); s.Status != specs.StateRunning {
		t.Errorf("the output ended with the container: %+v", s)
	}
	r.must("kill", id, "KILL")
	cmd.Wait()
	r.run("delete", "-f", id) // run may have done so
}
