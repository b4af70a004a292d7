package sentry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
	"github.com/bulkhead-sandbox/bulkhead/platform/all"
)

func TestFilterBuildsForEveryPlatform(t *testing.T) {
	for _, e := range all.Platforms() {
		f := HostCalls(e.HostCalls())
		if _, err := f.Build(); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		own := map[sysno.ID]bool{}
		for _, r := range append(hostCalls[:], e.HostCalls()...) {
			own[r.Call] = true
		}
		for _, r := range seccomp.GoRuntime() {
			delete(own, r.Call)
		}
		if len(own) > 40 {
			t.Errorf("%s: %d host calls beside the Go runtime's, more than the 40 that the design promises", e.Name, len(own))
		}
	}
}

// never lists calls that would undo the confinement.
var never = []sysno.ID{
	sysno.Open, sysno.Openat, sysno.Openat2, sysno.OpenByHandleAt, sysno.Creat, sysno.Execve, sysno.Execveat, sysno.Fork, sysno.Vfork,
	sysno.Clone3, sysno.Unshare, sysno.Setns, sysno.Mount, sysno.Umount2, sysno.PivotRoot, sysno.Chroot, sysno.Setuid,
	sysno.Setresuid, sysno.Setgid, sysno.Setresgid, sysno.Setgroups, sysno.Capset, sysno.Socket, sysno.Connect, sysno.Bind,
	sysno.Bpf, sysno.PerfEventOpen, sysno.IoUringSetup, sysno.Userfaultfd, sysno.Keyctl, sysno.AddKey,
	sysno.PidfdGetfd, sysno.Mprotect, sysno.Seccomp,
}

func TestDangerousCallsAreNotListed(t *testing.T) {
	for _, e := range all.Platforms() {
		for _, r := range HostCalls(e.HostCalls()).Rules {
			for _, id := range never {
				if r.Call == id {
					t.Errorf("%s: %v is allowed: %s", e.Name, id, r.Reason)
				}
			}
		}
	}
}

// callers says which host call stands behind a function of golang.org/x/sys/unix.
// What is not here makes none, or only one of the Go runtime's.
var callers = map[string]sysno.ID{
	"Read": sysno.Read, "Write": sysno.Write, "Pread": sysno.Pread64, "Pwrite": sysno.Pwrite64,
	"Preadv": sysno.Preadv, "Pwritev": sysno.Pwritev, "Preadv2": sysno.Preadv2, "Pwritev2": sysno.Pwritev2,
	"Readv": sysno.Readv, "Writev": sysno.Writev, "Seek": sysno.Lseek, "Fstat": sysno.Fstat, "Statx": sysno.Statx,
	"Fstatfs": sysno.Fstatfs, "Ftruncate": sysno.Ftruncate, "Fallocate": sysno.Fallocate, "Fsync": sysno.Fsync,
	"Fdatasync": sysno.Fdatasync, "SyncFileRange": sysno.SyncFileRange, "CopyFileRange": sysno.CopyFileRange, "Splice": sysno.Splice,
	"MemfdCreate": sysno.MemfdCreate, "FcntlInt": sysno.Fcntl, "SetNonblock": sysno.Fcntl, "FcntlFlock": sysno.Fcntl,
	"Close": sysno.Close, "Poll": sysno.Ppoll, "Ppoll": sysno.Ppoll, "EpollWait": sysno.EpollWait, "EpollCtl": sysno.EpollCtl,
	"IoctlGetInt": sysno.Ioctl, "IoctlSetInt": sysno.Ioctl, "IoctlGetWinsize": sysno.Ioctl, "IoctlSetWinsize": sysno.Ioctl,
	"IoctlGetTermios": sysno.Ioctl, "IoctlSetTermios": sysno.Ioctl,
	"Sendmsg": sysno.Sendmsg, "SendmsgN": sysno.Sendmsg, "Recvmsg": sysno.Recvmsg, "Recvfrom": sysno.Recvfrom,
	"Accept4": sysno.Accept4, "Shutdown": sysno.Shutdown, "Socketpair": sysno.Socketpair, "Socket": sysno.Socket,
	"Connect": sysno.Connect, "Bind": sysno.Bind, "Listen": sysno.Listen, "Getrandom": sysno.Getrandom,
	"Fgetxattr": sysno.Fgetxattr, "Fsetxattr": sysno.Fsetxattr, "Flistxattr": sysno.Flistxattr, "Open": sysno.Open, "Openat": sysno.Openat,
	"Dup": sysno.Dup, "Dup2": sysno.Dup2, "Dup3": sysno.Dup3, "Mprotect": sysno.Mprotect, "Sysinfo": sysno.Sysinfo,
	"SchedSetaffinity": sysno.SchedSetaffinity, "Mmap": sysno.Mmap, "Munmap": sysno.Munmap,
	"SYS_PTRACE": sysno.Ptrace, "SYS_WAIT4": sysno.Wait4, "SYS_KILL": sysno.Kill, "SYS_WAITID": sysno.Waitid, "SYS_GETCPU": sysno.Getcpu,
	"SYS_PROCESS_VM_READV": sysno.ProcessVmReadv, "SYS_PROCESS_VM_WRITEV": sysno.ProcessVmWritev,
}

// startOnly says where calls are made only before the filter is installed.
var startOnly = map[string]string{
	"internal/host:Socketpair": "tests, and platforms when they are made",
	"gofer/proto:Socketpair":   "made by the Gofer and by its starter",
	"sentry/boot:Sysinfo":      "the size of the host's memory, at the start",
}

// TestRulesMatchTheSource compares the list with the calls in the source of
// what runs in the Sentry's process: none may be missing, none unused.
func TestRulesMatchTheSource(t *testing.T) {
	allowed := map[sysno.ID]bool{}
	unused := map[sysno.ID]string{}
	for _, e := range all.Platforms() {
		for _, r := range HostCalls(e.HostCalls()).Rules {
			allowed[r.Call] = true
			unused[r.Call] = r.Reason
		}
	}
	for _, r := range seccomp.GoRuntime() {
		delete(unused, r.Call)
	}
	for _, dir := range []string{"sentry", "gofer/proto", "internal/host", "internal/wire"} {
		eachCall(t, dir, func(pkg, name string, pos token.Position) {
			id, known := callers[name]
			if !known || startOnly[pkg+":"+name] != "" {
				return
			}
			if !allowed[id] {
				t.Errorf("%v: %s makes the host call %v, which no rule allows", pos, name, id)
			}
			delete(unused, id)
		})
	}
	for id, reason := range unused {
		t.Errorf("%v is allowed (%s), but nothing calls it", id, reason)
	}
}

// eachCall finds the uses of package unix below a folder, without tests.
func eachCall(t *testing.T, dir string, found func(pkg, name string, pos token.Position)) {
	t.Helper()
	const root = ".."
	files := token.NewFileSet()
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg, _ := filepath.Rel(root, filepath.Dir(path))
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "unix" {
				found(pkg, sel.Sel.Name, files.Position(sel.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}
