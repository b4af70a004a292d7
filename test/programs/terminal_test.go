package programs_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/test/harness"
)

// A dialogue is what a person types at a terminal and sees there.
type dialogue struct {
	name   string
	needs  []string
	steps  []step
	status int
}

// A step types something or changes the window, then waits for a text.
type step struct {
	keys          string
	rows, columns uint16
	expect        string
}

const (
	prompt    = "READY$ "
	interrupt = "\x03"
	suspend   = "\x1a"
	quit      = "\x1c"
	endOfFile = "\x04"
	escape    = "\x1b"
)

var dialogues = []dialogue{
	{
		name: "pty-shell",
		steps: []step{
			{expect: prompt},
			{keys: "echo out$((40+2))\n", expect: "out42\r\n"},
			{expect: prompt},
			{keys: "tty | cut -c1-9; test -t 0 && echo is-a-terminal-$?\n", expect: "/dev/pts/"},
			{expect: "is-a-terminal-0\r\n"},
			{expect: prompt},
			{keys: "sh -c 'echo star''ted; exec cat'\n", expect: "started\r\n"},
			{keys: "typed line\n", expect: "typed line\r\ntyped line\r\n"},
			{keys: endOfFile, expect: prompt},
			{keys: "exit 7\n", expect: "exit\r\n"},
		},
		status: 7,
	},
	{
		name: "pty-interrupt",
		steps: []step{
			{expect: prompt},
			{keys: "sh -c 'echo star''ted; exec sleep 100'\n", expect: "started\r\n"},
			{keys: interrupt, expect: prompt},
			{keys: "echo status=$?\n", expect: "status=130\r\n"},
			{expect: prompt},
			{keys: "sh -c 'ulimit -c 0; echo star''ted; exec sleep 100'\n", expect: "started\r\n"},
			{keys: quit, expect: prompt},
			{keys: "echo status=$?\n", expect: "status=131\r\n"},
			{expect: prompt},
			{keys: "half a line" + interrupt, expect: prompt},
			{keys: endOfFile, expect: "exit"},
		},
		status: 130,
	},
	{
		name: "pty-jobs",
		steps: []step{
			{expect: prompt},
			// It says when it goes on, and only then is the next key for it.
			{keys: "bash -c 'trap \"echo go''es on\" CONT; echo star''ted; while :; do sleep 0.1; done'\n", expect: "started\r\n"},
			{keys: suspend, expect: "Stopped"},
			{expect: prompt},
			{keys: "jobs\n", expect: "[1]+"},
			{expect: "Stopped"},
			{expect: prompt},
			{keys: "fg\n", expect: "goes on\r\n"},
			{keys: suspend, expect: "Stopped"},
			{expect: prompt},
			{keys: "bg\n", expect: "goes on\r\n"},
			{keys: "jobs\n", expect: "Running"},
			{expect: prompt},
			{keys: "kill %1; wait %1; echo status=$?\n", expect: "status=143\r\n"},
			{expect: prompt},
			{keys: "sleep 0.2 & wait; echo waited\n", expect: "waited\r\n"},
			{keys: "cat &\n", expect: prompt},
			{keys: "sleep 0.3; jobs\n", expect: "Stopped"},
			{expect: prompt},
			{keys: "kill -9 %+; sleep 0.3\n", expect: prompt},
			{keys: "exit 0\n", expect: "exit"},
		},
	},
	{
		name: "pty-resize",
		steps: []step{
			{expect: prompt},
			{keys: "stty size\n", expect: "24 80\r\n"},
			{expect: prompt},
			{rows: 41, columns: 101},
			{keys: "stty size\n", expect: "41 101\r\n"},
			{expect: prompt},
			// It ends by itself: a key that interrupts is lost, on Linux too, when
			// it comes between two commands of a loop.
			{keys: "bash -c 'trap \"echo win\"\"dow changed; exit\" WINCH; echo lis\"\"tens; while sleep 0.1; do :; done'\n", expect: "listens\r\n"},
			{rows: 30, columns: 90, expect: "window changed\r\n"},
			{expect: prompt},
			{keys: "exit 3\n", expect: "exit"},
		},
		status: 3,
	},
	{
		name:  "pty-vi",
		needs: []string{"vi"},
		steps: []step{
			{expect: prompt},
			{keys: "vi -u NONE -i NONE -n -N file\n", expect: "file"},
			{keys: "ihello from vi" + escape, expect: "hello from vi"},
			{keys: ":wq\n", expect: prompt},
			{keys: "cat file; echo length=$(wc -c <file)\n", expect: "length=14\r\n"},
			{expect: prompt},
			{keys: "exit\n", expect: "exit"},
		},
	},
	{
		name:  "pty-less",
		needs: []string{"less"},
		steps: []step{
			{expect: prompt},
			{keys: "seq 500 | less\n", expect: "\n20"},
			{keys: "G", expect: "500"},
			{keys: "q", expect: prompt},
			{keys: "less /etc/passwd\n", expect: "root:"},
			{keys: "q", expect: prompt},
			{keys: "stty -a | grep -c 'icanon'; exit\n", expect: "1\r\n"},
		},
	},
	{
		name:  "pty-top",
		needs: []string{"top"},
		steps: []step{
			{expect: prompt},
			{keys: "top\n", expect: "PID"},
			{keys: "q", expect: prompt},
			{keys: "exit 0\n", expect: "exit"},
		},
	},
	{
		name:  "pty-python",
		needs: []string{"/usr/bin/python3"},
		steps: []step{
			{expect: prompt},
			{keys: "/usr/bin/python3 -q\n", expect: ">>> "},
			{keys: "6 * 7\n", expect: "42\r\n"},
			{expect: ">>> "},
			{keys: "import time; print('star' + 'ted'); time.sleep(100)\n", expect: "started\r\n"},
			{keys: interrupt, expect: "KeyboardInterrupt"},
			{expect: ">>> "},
			{keys: endOfFile, expect: prompt},
			{keys: "exit 0\n", expect: "exit"},
		},
	},
}

func TestTerminalNative(t *testing.T) {
	for _, d := range dialogues {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			if err := hold(t, d, nil); err != nil {
				t.Fatal(err)
			}
			count("natively")
		})
	}
}

func TestTerminalSandbox(t *testing.T) {
	for _, sandbox := range harness.Sandboxes(t) {
		known := readKnown(t, sandbox.Platform)
		t.Run(sandbox.Platform, func(t *testing.T) {
			for _, d := range dialogues {
				t.Run(d.name, func(t *testing.T) {
					t.Parallel()
					err := hold(t, d, &sandbox)
					switch {
					case err == nil && known[d.name] != "":
						t.Errorf("%s works now: take it out of known.txt", d.name)
					case err == nil:
						count("same on " + sandbox.Platform)
					case known[d.name] != "":
						count("known to differ on " + sandbox.Platform)
						t.Logf("known difference: %s: %v", known[d.name], err)
					default:
						t.Error(err)
					}
				})
			}
		})
	}
}

// hold holds the dialogue with a shell natively, or inside when there is a
// sandbox, and tells where it went wrong.
func hold(t *testing.T, d dialogue, sandbox *harness.Sandbox) error {
	for _, tool := range d.needs {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir, err := os.MkdirTemp("", "prog")
	if err != nil {
		t.Fatal(err)
	}
	defer removeAll(dir)
	p := program(script{path: "/"}, dir)
	p.Env = append(p.Env, "PS1="+prompt, "TERM=xterm", "HISTFILE=", "PYTHON_HISTORY=/dev/null", "LESSHISTFILE=-")
	args := []string{"/bin/bash", "--norc", "--noprofile", "--noediting", "-i"}
	if sandbox != nil {
		args = sandbox.CommandLine(args)
	}
	term, err := harness.StartTerminal(p, args, 24, 80)
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()

	const limit = 40 * time.Second
	for i, s := range d.steps {
		if s.rows != 0 {
			if err := term.Resize(s.rows, s.columns); err != nil {
				return fmt.Errorf("step %d: resize: %w", i+1, err)
			}
		}
		if s.keys != "" {
			if err := term.Type(s.keys); err != nil {
				return fmt.Errorf("step %d: type %q: %w", i+1, s.keys, err)
			}
		}
		if s.expect == "" {
			continue
		}
		if err := term.Expect(s.expect, limit); err != nil {
			return fmt.Errorf("step %d, after typing %q: %w", i+1, s.keys, err)
		}
	}
	status, err := term.Wait(limit)
	if err != nil {
		return err
	}
	if status != d.status {
		return fmt.Errorf("exit status %d, want %d", status, d.status)
	}
	return nil
}
