package proto

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/wire"
)

// liar is a server that answers what the test tells it to.
func liar(t *testing.T, answer func(c *Conn, op Op) error) (*Client, *[]string) {
	t.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	var serve func(fd int)
	serve = func(fd int) {
		c := NewConn(fd)
		defer c.Close()
		for {
			op, _, err := c.NextQuestion()
			if err != nil {
				return
			}
			switch op {
			case OpHello:
				err = c.Answer(op, &Welcome{Root: Attr{Mode: TypeDir}}, -1)
			case OpChannel:
				a, b, _ := Pair()
				go serve(a)
				err = c.Answer(op, &Empty{}, b)
				unix.Close(b)
			default:
				err = answer(c, op)
			}
			if err != nil {
				return
			}
		}
	}
	go serve(theirs)
	var logs []string
	c, err := NewClient(ours, "/", func(line string) { logs = append(logs, line) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, &logs
}

// raw is a body of any bytes.
type raw []byte

func (r raw) Code(c *wire.Coder) {
	for i := range r {
		c.U8(&r[i])
	}
}

func TestLyingServer(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	for what, answer := range map[string]func(c *Conn, op Op) error{
		"nothing in the body": func(c *Conn, op Op) error { return c.Answer(op, raw{}, -1) },
		"bytes too many":      func(c *Conn, op Op) error { return c.Answer(op, raw(make([]byte, 4000)), -1) },
		"another operation":   func(c *Conn, op Op) error { return c.Answer(op+1, &Attr{Mode: TypeRegular}, -1) },
		"no file type":        func(c *Conn, op Op) error { return c.Answer(op, raw(make([]byte, attrLen)), -1) },
		"no descriptor":       func(c *Conn, op Op) error { return c.Answer(op, &Attr{Mode: TypeRegular}, -1) },
		"huge error":          func(c *Conn, op Op) error { return c.AnswerErrno(op, 1<<20) },
		"a descriptor and an error": func(c *Conn, op Op) error {
			return c.send(head{op: op, errno: 5}, &Empty{}, null)
		},
		"the end": func(c *Conn, op Op) error { return unix.EIO },
	} {
		t.Run(what, func(t *testing.T) {
			c, logs := liar(t, answer)
			fd, _, err := c.Open(&Open{Node: RootNode, Access: OpenRead})
			if errno.Of(err) != errno.EIO || fd >= 0 {
				t.Errorf("descriptor %d, %v", fd, err)
			}
			if len(*logs) != 1 || !strings.HasPrefix((*logs)[0], "gofer tree /: ") {
				t.Errorf("logged %q", *logs)
			}
		})
	}
}

func TestDescriptorThatNobodyAskedForIsDropped(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	c, _ := liar(t, func(c *Conn, op Op) error { return c.Answer(op, &Attr{Mode: TypeRegular}, null) })
	if _, err := c.Stat(RootNode); err != nil {
		t.Fatal(err)
	}
	probe, err := unix.Dup(null)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(probe)
	for range 10 {
		if _, err := c.Stat(RootNode); err != nil {
			t.Fatal(err)
		}
	}
	again, err := unix.Dup(null)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(again)
	if again > probe {
		t.Errorf("descriptors grew from %d to %d", probe, again)
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "..a": true, "...": true, "\n": true, "": false, ".": false, "..": false, "a/": false, "\x00": false,
		strings.Repeat("n", 255): true, strings.Repeat("n", 256): false,
	} {
		if CheckName(name) != ok {
			t.Errorf("CheckName(%.20q) = %v", name, !ok)
		}
	}
}
