package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// execFiles is how many descriptors a call may bring: a terminal or three
// files, and what --preserve-fds hands over.
const execFiles = 128

// Serve accepts connections on listener, a listening unix stream socket, until
// that fails, and serves each of them. It takes over listener.
func Serve(listener *os.File, h Handler) error {
	c, err := newConn(listener)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		var fd int
		err := c.retry(read, func(l int) (err error) {
			fd, _, err = unix.Accept4(l, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			return err
		})
		if errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			return fmt.Errorf("accept control connection: %w", err)
		}
		go ServeConn(os.NewFile(uintptr(fd), "control connection"), h)
	}
}

// ServeConn serves one connection until it ends, and takes it over. A process
// made by Exec belongs to its connection: it is killed when that ends first, so
// that it never outlives the host process that stands for it.
func ServeConn(f *os.File, h Handler) error {
	c, err := newConn(f)
	if err != nil {
		f.Close()
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{conn: c, handler: h, owned: map[int]bool{}}
	incoming := make(chan incomingCall)
	go s.read(ctx, cancel, incoming)
	defer s.end()
	defer cancel()
	for call := range incoming {
		if err := s.answer(ctx, call); err != nil {
			return err
		}
	}
	return nil
}

// session is the state of one connection; only its own goroutine uses it.
type session struct {
	conn    *conn
	handler Handler
	owned   map[int]bool // made by Exec and not waited for
}

type request struct {
	Method string
	Args   json.RawMessage
}

type response struct {
	Error  *Error          `json:",omitempty"`
	Result json.RawMessage `json:",omitempty"`
}

type incomingCall struct {
	request
	files []*os.File
}

// read passes calls on. It reads also while a call is being served, which is
// how a Wait learns that nobody waits any more.
func (s *session) read(ctx context.Context, cancel context.CancelFunc, out chan<- incomingCall) {
	defer close(out)
	defer cancel()
	for {
		var call incomingCall
		files, err := s.conn.receive(&call.request, execFiles)
		call.files = files
		if err != nil {
			closeAll(files)
			return
		}
		select {
		case out <- call:
		case <-ctx.Done():
			closeAll(files)
			return
		}
	}
}

func (s *session) answer(ctx context.Context, call incomingCall) error {
	var reply response
	result, err := s.dispatch(ctx, call)
	if err == nil {
		reply.Result, err = json.Marshal(result)
	}
	if err != nil {
		reply.Error = asError(err)
	}
	return s.conn.send(reply, nil)
}

func (s *session) dispatch(ctx context.Context, call incomingCall) (any, error) {
	serve, ok := methods[call.Method]
	if !ok {
		closeAll(call.files)
		return nil, Errorf(KindUnsupported, "no control call %q", call.Method)
	}
	return serve(ctx, s, call)
}

// end closes the connection and kills what belonged to it.
func (s *session) end() {
	s.conn.Close()
	for pid := range s.owned {
		// An error means that it has ended, which is what was wanted.
		_ = s.handler.Signal(SignalRequest{Signal: int(unix.SIGKILL), PID: pid, Scope: ScopeProcess})
	}
}

func asError(err error) *Error {
	e := new(Error)
	if errors.As(err, &e) {
		return &Error{Kind: e.Kind, Text: err.Error()}
	}
	return &Error{Kind: KindInternal, Text: err.Error()}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
