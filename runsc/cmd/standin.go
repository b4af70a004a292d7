package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/runsc/console"
	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// execCommandName is the first argument of a process that stands, on the host,
// for a process in a container: engines wait for it, signal it and read its
// status, as they would with the process itself.
const execCommandName = "exec-stand-in"

// execOrder is what a stand-in reads from control.ConfigFD.
type execOrder struct {
	// Root is the state directory, ID the container.
	Root, ID string
	Process  control.Process
	// Terminal says that descriptor 0 is the terminal.
	Terminal bool
	// Extra is the number of descriptors from control.FirstFD on.
	Extra int
}

// startStandIn starts a stand-in and returns when its process runs.
func (e *execution) startStandIn() (*exec.Cmd, error) {
	e.order.Terminal, e.order.Extra = e.tty != nil, len(e.extra)
	configR, configW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer configW.Close()
	causeR, causeW, err := os.Pipe()
	if err != nil {
		configR.Close()
		return nil, err
	}
	defer causeR.Close()
	child := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"runsc", execCommandName, e.order.ID}, Env: []string{},
		ExtraFiles:  append([]*os.File{configR, causeW}, e.extra...),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if e.tty != nil {
		// As its controlling terminal it tells the stand-in of new sizes and of
		// the other end's closing.
		child.Stdin, child.Stdout, child.Stderr = e.tty, e.tty, e.tty
		child.SysProcAttr.Setctty = true
	} else {
		child.Stdin, child.Stdout, child.Stderr = e.stdio[0], e.stdio[1], e.stdio[2]
	}
	err = child.Start()
	configR.Close()
	causeW.Close()
	if err != nil {
		return nil, err
	}
	err = json.NewEncoder(configW).Encode(&e.order)
	configW.Close()
	if cause := control.ReadCause(causeR); cause != nil {
		err = cause
	}
	if err == nil && e.pidFile != "" {
		err = container.WritePIDFile(e.pidFile, child.Process.Pid)
	}
	if err != nil {
		child.Process.Kill()
		child.Wait()
		return nil, err
	}
	return child, nil
}

// standInMain is the process of a stand-in.
func standInMain([]string) int {
	cause := os.NewFile(control.CauseFD, "cause")
	config := os.NewFile(control.ConfigFD, "configuration")
	var order execOrder
	err := json.NewDecoder(config).Decode(&order)
	config.Close()
	if err != nil {
		control.ReportFailure(cause, fmt.Errorf("read exec order: %w", err))
		return execFailed
	}
	var tty *os.File
	stdio := [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	if order.Terminal {
		tty, stdio = os.Stdin, [3]*os.File{}
	}
	var extra []*os.File
	for i := range order.Extra {
		extra = append(extra, os.NewFile(uintptr(control.FirstFD+i), "extra"))
	}
	status, err := standIn(&order, stdio, tty, extra, func(err error) {
		if err != nil {
			control.ReportFailure(cause, err)
		} else {
			letGo(tty)
			control.ReportReady(cause)
		}
		cause.Close()
	})
	if err != nil {
		return execFailed
	}
	return status
}

// letGo points our standard descriptors elsewhere, so that whoever reads the
// other end of the process's own sees when that closes them. A terminal stays,
// for its size.
func letGo(tty *os.File) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer null.Close()
	for fd := range 3 {
		if tty == nil || fd != int(tty.Fd()) {
			unix.Dup3(int(null.Fd()), fd, 0)
		}
	}
}

// standIn starts the process, reports that to started, and lives as long as it.
func standIn(order *execOrder, stdio [3]*os.File, tty *os.File, extra []*os.File, started func(error)) (int, error) {
	signals := catchSignals()
	defer signals.stop()
	c, client, pid, err := startExec(order, stdio, tty, extra)
	started(err)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	signals.forward(func(sig int) error {
		return call(c, func(client *control.Client) error {
			return client.Signal(control.SignalRequest{Signal: sig, PID: pid, Scope: control.ScopeProcess})
		})
	})
	if tty != nil {
		followSize(c, tty, pid)
	}
	status, err := client.Wait(pid)
	if errors.Is(err, control.ErrGone) {
		// The container ended, and its processes with it.
		return control.WaitStatus{Signal: int(unix.SIGKILL)}.Code(), nil
	}
	if err != nil {
		return 0, err
	}
	return status.Code(), nil
}

func startExec(order *execOrder, stdio [3]*os.File, tty *os.File, extra []*os.File) (*container.Container, *control.Client, int, error) {
	s, err := container.OpenStore(order.Root)
	if err != nil {
		return nil, nil, 0, err
	}
	c, err := s.Load(order.ID)
	if err != nil {
		return nil, nil, 0, err
	}
	client, err := c.Connect()
	if err != nil {
		return nil, nil, 0, err
	}
	var files []*os.File
	add := func(f *os.File) int {
		if f == nil {
			return control.NoFD
		}
		files = append(files, f)
		return len(files) - 1
	}
	p := order.Process
	p.Stdio = control.Stdio{TTY: add(tty)}
	for i, f := range stdio {
		p.Stdio.Files[i] = add(f)
	}
	for _, f := range extra {
		p.Stdio.Extra = append(p.Stdio.Extra, add(f))
	}
	pid, err := client.Exec(p, files)
	if err != nil {
		client.Close()
		return nil, nil, 0, fmt.Errorf("unable to start container process: %w", err)
	}
	return c, client, pid, nil
}

// followSize passes new sizes of the terminal on to the container's.
func followSize(c *container.Container, tty *os.File, pid int) {
	winch := make(chan os.Signal, 1)
	signal.Notify(winch, unix.SIGWINCH)
	go func() {
		for range winch {
			rows, columns := console.Size(tty)
			err := call(c, func(client *control.Client) error {
				return client.Resize(pid, control.Winsize{Rows: rows, Columns: columns})
			})
			if err != nil {
				note("resize: " + err.Error())
			}
		}
	}()
}

// call makes one call on a connection of its own: that of Wait is busy.
func call(c *container.Container, do func(*control.Client) error) error {
	client, err := c.Connect()
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}

func exitCode(state *os.ProcessState) int {
	ws := state.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return control.WaitStatus{Signal: int(ws.Signal())}.Code()
	}
	return ws.ExitStatus()
}
