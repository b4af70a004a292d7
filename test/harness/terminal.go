package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a program running on a pseudo-terminal, and the person at it.
type Terminal struct {
	cmd    *exec.Cmd
	master *os.File

	mu   sync.Mutex
	seen bytes.Buffer // all the program wrote
	at   int          // how far Expect has come
	more chan struct{}
	end  error // why reading ended
}

// StartTerminal runs args on a new terminal of that size. The caller ends it
// with Close.
func StartTerminal(p Program, args []string, rows, columns uint16) (*Terminal, error) {
	master, slave, err := openPTY()
	if err != nil {
		return nil, err
	}
	defer slave.Close()
	t := &Terminal{master: master, more: make(chan struct{}, 1)}
	if err := t.Resize(rows, columns); err != nil {
		master.Close()
		return nil, err
	}
	t.cmd = exec.Command(args[0], args[1:]...)
	t.cmd.Dir, t.cmd.Env = p.Dir, p.Env
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = slave, slave, slave
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := t.cmd.Start(); err != nil {
		master.Close()
		return nil, err
	}
	go t.read()
	return t, nil
}

func openPTY() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("unlock terminal: %w", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("number of terminal: %w", err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

func (t *Terminal) read() {
	buf := make([]byte, 4096)
	for {
		n, err := t.master.Read(buf)
		t.mu.Lock()
		t.seen.Write(buf[:n])
		t.end = err
		t.mu.Unlock()
		select {
		case t.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// Resize changes the window's size, of which the program is told by SIGWINCH.
func (t *Terminal) Resize(rows, columns uint16) error {
	return unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
}

// Type sends keys.
func (t *Terminal) Type(keys string) error {
	_, err := t.master.WriteString(keys)
	return err
}

// Expect waits until the text appears after what was expected before.
func (t *Terminal) Expect(text string, limit time.Duration) error {
	deadline := time.After(limit)
	for {
		t.mu.Lock()
		rest := t.seen.String()[t.at:]
		if i := strings.Index(rest, text); i >= 0 {
			t.at += i + len(text)
			t.mu.Unlock()
			return nil
		}
		end := t.end
		t.mu.Unlock()
		if end != nil {
			return fmt.Errorf("%q did not come before the end; since the last: %q", text, rest)
		}
		select {
		case <-t.more:
		case <-deadline:
			return fmt.Errorf("%q did not come within %v; since the last: %q", text, limit, rest)
		}
	}
}

// Wait waits for the program's end and tells its status as Result does.
func (t *Terminal) Wait(limit time.Duration) (int, error) {
	done := make(chan error, 1)
	go func() { done <- t.cmd.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return 0, err
		}
		return waitStatus(t.cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
	case <-time.After(limit):
		t.mu.Lock()
		defer t.mu.Unlock()
		return 0, fmt.Errorf("no end within %v; since the last: %q", limit, t.seen.String()[t.at:])
	}
}

// Close ends the program if it still runs.
func (t *Terminal) Close() {
	t.master.Close() // hangs up
	if t.cmd.ProcessState == nil {
		_ = endGroup(t.cmd.Process.Pid)
		_, _ = t.cmd.Process.Wait()
	}
}
