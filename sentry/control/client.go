package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrGone is returned when the Sentry closed the connection instead of
// answering: it has ended or is ending.
var ErrGone = errors.New("sandbox is gone")

// Client is runsc's side of a connection. Its calls must not overlap.
type Client struct {
	conn *conn
}

// NewClient makes a client of a connected socket and takes it over.
func NewClient(f *os.File) (*Client, error) {
	c, err := newConn(f)
	if err != nil {
		return nil, err
	}
	return &Client{conn: c}, nil
}

// Close ends the connection and with it the processes that Exec made on it.
func (c *Client) Close() error { return c.conn.Close() }

// The calls of Handler, from the other side.

func (c *Client) Start() error {
	_, err := call(c, startMethod, none{}, nil)
	return err
}

// Exec sends files along; p.Stdio refers to them by position.
func (c *Client) Exec(p Process, files []*os.File) (pid int, err error) {
	r, err := call(c, execMethod, p, files)
	return r.PID, err
}

// Wait returns when the process has ended.
func (c *Client) Wait(pid int) (WaitStatus, error) {
	return call(c, waitMethod, waitArgs{PID: pid}, nil)
}

func (c *Client) Signal(r SignalRequest) error {
	_, err := call(c, signalMethod, r, nil)
	return err
}

func (c *Client) Processes() ([]ProcessInfo, error) {
	return call(c, processesMethod, none{}, nil)
}

func (c *Client) Pause() error {
	_, err := call(c, pauseMethod, none{}, nil)
	return err
}

func (c *Client) Resume() error {
	_, err := call(c, resumeMethod, none{}, nil)
	return err
}

func (c *Client) Stats() (Stats, error) {
	return call(c, statsMethod, none{}, nil)
}

func (c *Client) Resize(pid int, size Winsize) error {
	_, err := call(c, resizeMethod, resizeArgs{PID: pid, Size: size}, nil)
	return err
}

// call is one call and its answer.
func call[Req, Resp any](c *Client, m method[Req, Resp], args Req, files []*os.File) (Resp, error) {
	var result Resp
	raw, err := json.Marshal(args)
	if err != nil {
		return result, fmt.Errorf("control call %s: %w", m.name, err)
	}
	if err := c.conn.send(request{Method: m.name, Args: raw}, files); err != nil {
		return result, asGone(err)
	}
	var reply response
	if _, err := c.conn.receive(&reply, 0); err != nil {
		return result, asGone(err)
	}
	if reply.Error != nil {
		reply.Error.Text = oneLine(reply.Error.Text)
		return result, reply.Error
	}
	if err := json.Unmarshal(reply.Result, &result); err != nil {
		return result, fmt.Errorf("answer to control call %s: %w", m.name, err)
	}
	return result, nil
}

// asGone maps every way in which a dying peer shows itself.
func asGone(err error) error {
	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, unix.EPIPE, unix.ECONNRESET} {
		if errors.Is(err, gone) {
			return ErrGone
		}
	}
	return err
}
