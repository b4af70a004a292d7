package boot

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/devpts"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// console is a terminal of the Sentry's own over a host terminal.
type console struct {
	*devpts.Console
	s     *sandbox
	creds *cred.Creds
}

// newConsole takes fd over, which is nil if it could not be had.
func (s *sandbox) newConsole(fd *host.FD, creds *cred.Creds) (*console, error) {
	if fd == nil {
		return nil, errno.EMFILE
	}
	c, err := s.ttys.NewConsole(fd, s.notifier, creds)
	if err != nil {
		return nil, err
	}
	return &console{c, s, creds}, nil
}

// open is the terminal as an open file of the container.
func (c *console) open() (*vfs.Description, error) {
	fs := vfs.NewFSContext(c.s.mounts)
	defer fs.DecRef()
	return c.Open(startContext{c.creds}, fs)
}

func (c *console) attach(g *kernel.ThreadGroup) error { return c.Attach(g) }

// ForegroundSignal goes to the terminal's foreground group.
func (c *console) ForegroundSignal(s linux.Signal) { c.Signal(s) }

// ttyName is what ps calls the terminal of a process, "" without one.
func ttyName(g *kernel.ThreadGroup) string {
	if t, ok := g.TTY().(interface{ Name() string }); ok {
		return t.Name()
	}
	return ""
}
