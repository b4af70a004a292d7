package boot

import (
	"context"
	"os"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// sandbox is a control.Handler. Pids in its calls are those that init sees.
var _ control.Handler = (*sandbox)(nil)

// Start lets init run.
func (s *sandbox) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return control.Errorf(control.KindState, "the container has been started already")
	}
	s.started = true
	s.init.Start()
	return nil
}

// Exec starts one more process.
func (s *sandbox) Exec(p control.Process, files []*os.File) (int, error) {
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if !started {
		return 0, control.Errorf(control.KindState, "the container is not running")
	}
	// Who starts a process from outside may have put files there for it.
	s.root.Distrust()
	pr, err := s.newProcess(&p, files, execProcess)
	if err != nil {
		return 0, err
	}
	pid := int(pr.group.ID(s.pidNS()))
	s.mu.Lock()
	s.processes[pid] = pr
	s.mu.Unlock()
	pr.group.Start()
	if pr.tty != nil {
		go func() {
			pr.group.AwaitExit()
			pr.closeTTY()
		}()
	}
	return pid, nil
}

func (s *sandbox) pidNS() *kernel.PIDNamespace { return s.ns.PIDForChildren }

func (s *sandbox) process(pid int) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.processes[pid]
	if p == nil {
		return nil, control.Errorf(control.KindNoProcess, "there is no process %d that was started from outside", pid)
	}
	return p, nil
}

// Wait waits for the end of a process.
func (s *sandbox) Wait(ctx context.Context, pid int) (control.WaitStatus, error) {
	p, err := s.process(pid)
	if err != nil {
		return control.WaitStatus{}, err
	}
	ended := make(chan linux.WaitStatus, 1)
	go func() { ended <- p.group.AwaitExit() }()
	select {
	case st := <-ended:
		if pid != control.InitPID {
			p.closeTTY()
		}
		return waitStatus(st), nil
	case <-ctx.Done():
		return control.WaitStatus{}, ctx.Err()
	}
}

// Signal sends a signal from outside.
func (s *sandbox) Signal(r control.SignalRequest) error {
	sig := linux.Signal(r.Signal)
	if sig != 0 && !sig.Valid() {
		return control.Errorf(control.KindInvalid, "there is no signal %d", r.Signal)
	}
	info := linux.SigInfo{Signo: int32(sig), Code: linux.SI_USER}
	if r.Scope == control.ScopeAll {
		for _, g := range s.pidNS().ThreadGroups() {
			_ = g.SendSignal(info, kernel.Outside)
		}
		return nil
	}
	if r.Scope == control.ScopeForeground {
		if p, err := s.process(r.PID); err == nil && p.tty != nil {
			p.tty.ForegroundSignal(sig)
			return nil
		}
	}
	g := s.pidNS().ThreadGroup(int32(r.PID))
	if g == nil || g.Zombie() {
		return control.Errorf(control.KindNoProcess, "there is no process %d", r.PID)
	}
	if sig == 0 {
		return nil
	}
	return g.SendSignal(info, kernel.Outside)
}

// Processes lists the container's processes.
func (s *sandbox) Processes() ([]control.ProcessInfo, error) {
	ns := s.pidNS()
	var all []control.ProcessInfo
	for _, g := range ns.ThreadGroups() {
		t := g.Leader()
		u := g.Usage()
		c := t.Creds()
		all = append(all, control.ProcessInfo{
			PID: int(g.ID(ns)), PPID: int(g.ParentID(ns)),
			UID:     s.userNS.UID(c.UID),
			StartNS: g.StartTime().UnixNano(),
			CPUNS:   int64(u.User + u.System),
			TTY:     ttyName(g),
			Command: t.Comm(),
			Args:    commandLine(t),
			Threads: g.Count(),
		})
	}
	return all, nil
}

// maxCommandLine bounds what is read of a process that may have written
// anything over its arguments.
const maxCommandLine = 4096

func commandLine(t *kernel.Task) []string {
	m := t.TakeMM()
	if m == nil {
		return nil
	}
	defer m.DecUsers()
	p := m.Process()
	if p.ArgEnd <= p.ArgStart {
		return nil
	}
	b := make([]byte, min(int(p.ArgEnd-p.ArgStart), maxCommandLine))
	n, _ := m.CopyIn(b, usermem.Addr(p.ArgStart))
	var args []string
	from := 0
	for i := range n {
		if b[i] == 0 {
			args = append(args, string(b[from:i]))
			from = i + 1
		}
	}
	return args
}

// Pause and Resume hold every process where it is.
func (s *sandbox) Pause() error {
	s.k.Pause()
	return nil
}

// Resume lets them go on.
func (s *sandbox) Resume() error {
	s.k.Resume()
	return nil
}

// Stats says what the container has used.
func (s *sandbox) Stats() (control.Stats, error) {
	var st control.Stats
	for _, g := range s.pidNS().ThreadGroups() {
		u := g.Usage()
		st.UserNS += int64(u.User / time.Nanosecond)
		st.SystemNS += int64(u.System / time.Nanosecond)
		st.Processes++
		st.Threads += g.Count()
	}
	return st, nil
}

// Resize changes the size of a process's terminal.
func (s *sandbox) Resize(pid int, size control.Winsize) error {
	p, err := s.process(pid)
	if err != nil {
		return err
	}
	if p.tty == nil {
		return control.Errorf(control.KindInvalid, "process %d has no terminal", pid)
	}
	p.tty.Resize(size.Rows, size.Columns)
	return nil
}
