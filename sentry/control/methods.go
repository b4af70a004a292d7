package control

import (
	"context"
	"encoding/json"
	"os"
)

// A method is one call: its name on the wire, what it takes and what it gives.
// Client calls it by Call, a session serves it by the function it was made with.
type method[Req, Resp any] struct {
	name  string
	serve func(context.Context, *session, Req, []*os.File) (Resp, error)
}

// none is what a call takes or gives when there is nothing to say.
type none struct{}

type execResult struct{ PID int }

type waitArgs struct{ PID int }

type resizeArgs struct {
	PID  int
	Size Winsize
}

var (
	startMethod = method[none, none]{"start", func(_ context.Context, s *session, _ none, _ []*os.File) (none, error) {
		return none{}, s.handler.Start()
	}}
	execMethod = method[Process, execResult]{"exec", func(_ context.Context, s *session, p Process, files []*os.File) (execResult, error) {
		pid, err := s.handler.Exec(p, files)
		if err != nil {
			return execResult{}, err
		}
		s.owned[pid] = true
		return execResult{PID: pid}, nil
	}}
	waitMethod = method[waitArgs, WaitStatus]{"wait", func(ctx context.Context, s *session, a waitArgs, _ []*os.File) (WaitStatus, error) {
		status, err := s.handler.Wait(ctx, a.PID)
		if err == nil {
			delete(s.owned, a.PID)
		}
		return status, err
	}}
	signalMethod = method[SignalRequest, none]{"signal", func(_ context.Context, s *session, r SignalRequest, _ []*os.File) (none, error) {
		return none{}, s.handler.Signal(r)
	}}
	processesMethod = method[none, []ProcessInfo]{"processes", func(_ context.Context, s *session, _ none, _ []*os.File) ([]ProcessInfo, error) {
		return s.handler.Processes()
	}}
	pauseMethod = method[none, none]{"pause", func(_ context.Context, s *session, _ none, _ []*os.File) (none, error) {
		return none{}, s.handler.Pause()
	}}
	resumeMethod = method[none, none]{"resume", func(_ context.Context, s *session, _ none, _ []*os.File) (none, error) {
		return none{}, s.handler.Resume()
	}}
	statsMethod = method[none, Stats]{"stats", func(_ context.Context, s *session, _ none, _ []*os.File) (Stats, error) {
		return s.handler.Stats()
	}}
	resizeMethod = method[resizeArgs, none]{"resize", func(_ context.Context, s *session, a resizeArgs, _ []*os.File) (none, error) {
		return none{}, s.handler.Resize(a.PID, a.Size)
	}}
)

type serveFunc func(context.Context, *session, incomingCall) (any, error)

// methods is what a session answers to.
var methods = table(
	startMethod, execMethod, waitMethod, signalMethod, processesMethod,
	pauseMethod, resumeMethod, statsMethod, resizeMethod,
)

type entry interface {
	entry() (string, serveFunc)
}

func table(entries ...entry) map[string]serveFunc {
	t := make(map[string]serveFunc, len(entries))
	for _, e := range entries {
		name, serve := e.entry()
		t[name] = serve
	}
	return t
}

// entry forgets the types. Files go to the one method that takes them and are
// closed for all others.
func (m method[Req, Resp]) entry() (string, serveFunc) {
	return m.name, func(ctx context.Context, s *session, call incomingCall) (any, error) {
		files := call.files
		if m.name != execMethod.name {
			closeAll(files)
			files = nil
		}
		var req Req
		if err := json.Unmarshal(call.Args, &req); err != nil {
			closeAll(files)
			return nil, Errorf(KindInvalid, "control call %s: %v", m.name, err)
		}
		return m.serve(ctx, s, req, files)
	}
}
