package server_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/gofer/server"
	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
)

const serverVariable = "BULKHEAD_TEST_GOFER"

// Values of serverVariable: whether the server installs its filter.
const (
	unfiltered = "unfiltered"
	filtered   = "filtered"
)

// TestMain lets the benchmarks start this program again as a server: in life
// the server is a process of its own, and one that shares the Go scheduler
// with its client would be measured wrongly.
func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) == "" {
		os.Exit(m.Run())
	}
	proc, err := server.OpenProcFD()
	if err == nil && os.Getenv(serverVariable) == filtered {
		filter := seccomp.Filter{Rules: append(seccomp.GoRuntime(), server.HostCalls()...), Default: seccomp.KillProcess}
		err = filter.Install()
	}
	if err == nil {
		err = server.Serve(context.Background(), server.Config{ProcFD: proc}, []server.Tree{{Name: "/", Conn: 3, RootFD: 4}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// spawn serves dir from another process.
func spawn(b testing.TB, dir, filter string) *proto.Client {
	ours, theirs, err := proto.Pair()
	if err != nil {
		b.Fatal(err)
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serverVariable+"="+filter)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(theirs), "channel"), os.NewFile(uintptr(root), "root")}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	c, err := proto.NewClient(ours, "/", func(line string) { b.Log(line) })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		c.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	return c
}

func BenchmarkStat(b *testing.B) {
	c := spawn(b, b.TempDir(), unfiltered)
	for b.Loop() {
		if _, err := c.Stat(proto.RootNode); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWalkOpen is what the first open of a file three directories deep
// costs: one question, and the descriptor closed.
func BenchmarkWalkOpen(b *testing.B) {
	dir := b.TempDir()
	write(b, dir+"/a/b/c/file", "x")
	c := spawn(b, dir, unfiltered)
	q := &proto.Walk{From: proto.RootNode, Names: []string{"a", "b", "c", "file"}, Open: proto.OpenRead}
	for b.Loop() {
		_, fd, err := c.Walk(q)
		if err != nil || fd < 0 {
			b.Fatal(fd, err)
		}
		unix.Close(fd)
	}
}

func BenchmarkCreateUnlink(b *testing.B) {
	c := spawn(b, b.TempDir(), unfiltered)
	uid, gid := me()
	for b.Loop() {
		fd, made, err := c.Create(&proto.Make{Dir: proto.RootNode, Name: "new", Mode: 0o644, UID: uid, GID: gid, Access: proto.OpenReadWrite})
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(fd)
		if _, err := c.Unlink(&proto.Entry{Dir: proto.RootNode, Name: "new"}); err != nil {
			b.Fatal(err)
		}
		c.Forget(proto.Forgotten{Node: made.Node, Refs: 1})
	}
}

// BenchmarkReadDir reads a directory of 1000 files with attributes.
func BenchmarkReadDir(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		write(b, fmt.Sprintf("%s/%04d", dir, i), "")
	}
	c := spawn(b, dir, unfiltered)
	for b.Loop() {
		q := &proto.ReadDir{Node: proto.RootNode}
		for first := true; first || q.Dir != 0; first = false {
			a, err := c.ReadDir(q)
			if err != nil {
				b.Fatal(err)
			}
			q.Dir = a.More
		}
	}
}
