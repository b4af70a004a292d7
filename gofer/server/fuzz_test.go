package server

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/internal/wire"
)

// FuzzQuestion gives bytes of a hostile client to every operation, on a tree
// beside a file that must not change. An operation may refuse or work, but not
// panic, and not leak descriptors.
func FuzzQuestion(f *testing.F) {
	base, err := os.MkdirTemp("", "gofer-fuzz")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(base) })
	if err := os.WriteFile(base+"/secret", []byte("SECRET"), 0o600); err != nil {
		f.Fatal(err)
	}
	proc, err := OpenProcFD()
	if err != nil {
		f.Fatal(err)
	}
	questions := map[proto.Op]wire.Message{
		proto.OpWalk:     &proto.Walk{From: 1, Names: []string{"a", "f"}, Open: proto.OpenRead},
		proto.OpSetAttr:  &proto.SetAttr{Node: 1, Set: proto.SetMode, Mode: 0o700},
		proto.OpOpen:     &proto.Open{Node: 2, Access: proto.OpenReadWrite, Trunc: true},
		proto.OpCreate:   &proto.Make{Dir: 1, Name: "new", Mode: 0o600, Access: proto.OpenWrite},
		proto.OpTempFile: &proto.Make{Dir: 1, Mode: 0o600, Access: proto.OpenWrite},
		proto.OpSymlink:  &proto.Make{Dir: 1, Name: "l", Target: "../secret"},
		proto.OpLink:     &proto.Link{Node: 2, Dir: 1, Name: "again"},
		proto.OpUnlink:   &proto.Entry{Dir: 1, Name: "l"},
		proto.OpRename:   &proto.Rename{OldDir: 1, OldName: "f", NewDir: 1, NewName: "g"},
		proto.OpReadDir:  &proto.ReadDir{Node: 1},
		proto.OpSetXattr: &proto.Xattr{Node: 1, Name: "user.x", Value: []byte("v")},
		proto.OpForget:   &proto.Forget{Nodes: []proto.Forgotten{{Node: 2, Refs: 1}}},
		proto.OpConnect:  &proto.Connect{Node: 1, Type: 1},
	}
	for op, q := range questions {
		w := wire.Writer(nil)
		q.Code(&w)
		f.Add(uint32(op), w.Written())
	}
	f.Fuzz(func(t *testing.T, op uint32, body []byte) {
		dir := base + "/tree"
		if err := os.MkdirAll(dir+"/a", 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if err := os.WriteFile(dir+"/f", []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		root, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		p := &process{procFD: proc, maxNodes: 100, log: func(string) {}, conns: make(map[*proto.Conn]struct{})}
		tr := &tree{process: p, allow: AllowWhiteouts | AllowConnect, squashOwner: true, operations: operations[:], open: make(map[*proto.Conn]struct{})}
		tr.nodes.process, tr.dirs.process = p, p
		if err := tr.nodes.addRoot(root); err != nil {
			t.Fatal(err)
		}
		step, err := tr.lookup(tr.nodes.byID[1], "f")
		if err != nil || step.Node != 2 {
			t.Fatalf("%+v, %v", step, err)
		}
		c := wire.Reader(body)
		switch o := proto.Op(op); {
		case o == proto.OpForget:
			tr.forget(&c)
		case o == proto.OpChannel:
		case int(o) < len(operations) && operations[o] != nil:
			answer, fd, err := operations[o](tr, &c)
			if fd >= 0 {
				unix.Close(fd)
			}
			if err == nil {
				w := wire.Writer(nil)
				answer.Code(&w)
				if w.End() != nil {
					t.Errorf("%s: an answer that has no wire form: %v", o, w.Err())
				}
			}
		}
		tr.dirs.close()
		tr.nodes.close()
		if b, err := os.ReadFile(base + "/secret"); string(b) != "SECRET" || p.nodes.Load() != 0 {
			t.Errorf("outside %q, %v; %d nodes left", b, err, p.nodes.Load())
		}
	})
}
