package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// fakeKernel stands in for the kernel of a Sentry, so that everything around it
// can be tested with real processes, namespaces and descriptors. Its programs
// are a few verbs, see run.
type fakeKernel struct {
	cfg  *control.BootConfig
	init *fakeProcess

	mu        sync.Mutex
	started   bool
	processes map[int]*fakeProcess
	gofers    map[int]*proto.Client
}

type fakeProcess struct {
	pid     int
	kernel  *fakeKernel
	args    []string
	files   [3]*os.File
	signals chan int
	ended   chan struct{}
	status  control.WaitStatus
}

// fakeBoot is bootSentry with a fake kernel.
func fakeBoot(cfg *control.BootConfig, cause *os.File) int {
	p := cfg.Container.Process
	if p.Args[0] == "missing" {
		control.ReportFailure(cause, control.Errorf(control.KindNoProgram, "exec: %q: executable file not found in $PATH", p.Args[0]))
		return 1
	}
	if p.Args[0] == "crash-at-boot" {
		panic("the fake kernel was told to crash")
	}
	var files [3]*os.File
	for i, fd := range p.Stdio.Files {
		if fd == control.NoFD {
			fd = p.Stdio.TTY
		}
		files[i] = os.NewFile(uintptr(fd), "stdio")
	}
	k := &fakeKernel{cfg: cfg, processes: map[int]*fakeProcess{}, gofers: map[int]*proto.Client{}}
	k.init = k.add(p.Args, files)
	if cfg.ListenFD != control.NoFD {
		go control.Serve(os.NewFile(uintptr(cfg.ListenFD), "listener"), k)
	}
	if cfg.ConnFD != control.NoFD {
		go control.ServeConn(os.NewFile(uintptr(cfg.ConnFD), "connection"), k)
	}
	if err := control.ReportReady(cause); err != nil {
		return 1
	}
	cause.Close()
	<-k.init.ended
	return k.init.status.Code()
}

func (k *fakeKernel) add(args []string, files [3]*os.File) *fakeProcess {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := &fakeProcess{kernel: k, pid: len(k.processes) + 1, args: args, files: files, signals: make(chan int, 16), ended: make(chan struct{})}
	k.processes[p.pid] = p
	return p
}

// run is the program: verbs with one argument each, in order.
func (p *fakeProcess) run() {
	defer close(p.ended)
	for i := 0; i+1 < len(p.args); i += 2 {
		verb, arg := p.args[i], p.args[i+1]
		switch verb {
		case "exit":
			p.status.ExitCode, _ = strconv.Atoi(arg)
			return
		case "die":
			p.status.Signal, _ = strconv.Atoi(arg)
			return
		case "print":
			fmt.Fprintln(p.files[1], arg)
		case "echo": // a number of bytes of the input
			n, _ := strconv.Atoi(arg)
			b := make([]byte, n)
			n, _ = p.files[0].Read(b)
			p.files[1].Write(b[:n])
		case "fstat": // whether a descriptor is open
			n, _ := strconv.Atoi(arg)
			_, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
			fmt.Fprintln(p.files[1], arg, err)
		case "stat": // whether a host path can be seen
			_, err := os.Stat(arg)
			fmt.Fprintln(p.files[1], arg, err)
		case "read": // TREE:PATH
			p.readTree(arg)
		case "create": // TREE:NAME, in the root of the tree
			p.createInTree(arg)
		case "status":
			p.printStatus()
		case "sleep": // until a signal, which ends the process
			p.status.Signal = <-p.signals
			return
		case "crash":
			go panic(arg)
			<-p.signals
		}
	}
}

// tree connects to the gofer of the tree in front of the colon.
func (p *fakeProcess) tree(arg string) (*proto.Client, string) {
	number, path, _ := strings.Cut(arg, ":")
	n, _ := strconv.Atoi(number)
	p.kernel.mu.Lock()
	defer p.kernel.mu.Unlock()
	if p.kernel.gofers[n] == nil {
		c, err := proto.NewClient(p.kernel.cfg.GoferFDs[n], arg, func(string) {})
		if err != nil {
			panic(err)
		}
		p.kernel.gofers[n] = c
	}
	return p.kernel.gofers[n], path
}

// readTree prints a file's owner and content, or why not.
func (p *fakeProcess) readTree(arg string) {
	c, path := p.tree(arg)
	if path == "" {
		fd, _, err := c.Open(&proto.Open{Node: proto.RootNode, Access: proto.OpenRead})
		if err != nil {
			fmt.Fprintln(p.files[1], arg, "open:", err)
			return
		}
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		content, err := io.ReadAll(f)
		fmt.Fprintf(p.files[1], "%s %q %v\n", arg, content, err)
		return
	}
	walked, fd, err := c.Walk(&proto.Walk{From: proto.RootNode, Names: strings.Split(path, "/"), Open: proto.OpenRead})
	switch {
	case err != nil:
		fmt.Fprintln(p.files[1], arg, err)
	case walked.Errno != 0:
		fmt.Fprintln(p.files[1], arg, "walk:", unix.Errno(walked.Errno))
	case walked.OpenErrno != 0:
		fmt.Fprintln(p.files[1], arg, "open:", unix.Errno(walked.OpenErrno))
	case walked.Target != "":
		fmt.Fprintln(p.files[1], arg, "symlink to", walked.Target)
	default:
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		content, err := io.ReadAll(f)
		uid := -1
		if len(walked.Steps) > 0 {
			uid = int(walked.Steps[len(walked.Steps)-1].Attr.UID)
		}
		fmt.Fprintf(p.files[1], "%s uid=%d %q %v\n", arg, uid, content, err)
	}
}

// createInTree makes a file and writes to it.
func (p *fakeProcess) createInTree(arg string) {
	c, name := p.tree(arg)
	fd, _, err := c.Create(&proto.Make{
		Dir: proto.RootNode, Name: name, Mode: 0o644, Access: proto.OpenReadWrite,
		UID: p.kernel.cfg.Container.Process.UID, GID: p.kernel.cfg.Container.Process.GID,
	})
	if err != nil {
		fmt.Fprintln(p.files[1], arg, err)
		return
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	_, err = f.WriteString("made inside")
	fmt.Fprintln(p.files[1], arg, err)
}

// printStatus prints what the host lets the process do.
func (p *fakeProcess) printStatus() {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	unix.Capget(&header, &data[0])
	noNewPrivs, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	entries, err := os.ReadDir("/")
	mkdirErr := os.Mkdir("/x", 0o700)
	fmt.Fprintf(p.files[1], "pid=%d uid=%d caps=%x%x nnp=%d entries=%d %v mkdir=%v\n", os.Getpid(), os.Getuid(),
		data[1].Permitted, data[0].Permitted, noNewPrivs, len(entries), err, mkdirErr)
}

func (k *fakeKernel) Start() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.started {
		return control.Errorf(control.KindState, "started already")
	}
	k.started = true
	go k.init.run()
	return nil
}

func (k *fakeKernel) Exec(p control.Process, files []*os.File) (int, error) {
	if p.Args[0] == "missing" {
		return 0, control.Errorf(control.KindNoProgram, "exec: %q: executable file not found in $PATH", p.Args[0])
	}
	var stdio [3]*os.File
	for i, n := range p.Stdio.Files {
		if n == control.NoFD {
			n = p.Stdio.TTY
		}
		stdio[i] = files[n]
	}
	process := k.add(p.Args, stdio)
	go func() {
		process.run()
		for _, f := range files {
			f.Close()
		}
	}()
	return process.pid, nil
}

func (k *fakeKernel) process(pid int) (*fakeProcess, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.processes[pid]
	if p == nil {
		return nil, control.Errorf(control.KindNoProcess, "no process %d", pid)
	}
	return p, nil
}

func (k *fakeKernel) Wait(ctx context.Context, pid int) (control.WaitStatus, error) {
	p, err := k.process(pid)
	if err != nil {
		return control.WaitStatus{}, err
	}
	select {
	case <-p.ended:
		return p.status, nil
	case <-ctx.Done():
		return control.WaitStatus{}, ctx.Err()
	}
}

func (k *fakeKernel) Signal(r control.SignalRequest) error {
	p, err := k.process(r.PID)
	if err != nil {
		return err
	}
	select {
	case p.signals <- r.Signal:
	case <-time.After(time.Second):
	}
	return nil
}

func (k *fakeKernel) Processes() ([]control.ProcessInfo, error) {
	return []control.ProcessInfo{{PID: 1, Command: k.init.args[0], Args: k.init.args, StartNS: time.Now().UnixNano()}}, nil
}

func (k *fakeKernel) Pause() error                      { return nil }
func (k *fakeKernel) Resume() error                     { return nil }
func (k *fakeKernel) Stats() (control.Stats, error)     { return control.Stats{Threads: 1}, nil }
func (k *fakeKernel) Resize(int, control.Winsize) error { return nil }
