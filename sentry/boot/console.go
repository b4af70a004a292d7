package boot

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// console is a terminal of the Sentry's own over a host terminal.
type console struct{}

func (s *sandbox) newConsole(fd *host.FD, p *control.Process, creds *cred.Creds) (*console, error) {
	return nil, errno.ENXIO
}

func (c *console) open() *vfs.Description             { return nil }
func (c *console) attach(g *kernel.ThreadGroup) error { return nil }
func (c *console) Resize(rows, columns uint16)        {}
func (c *console) ForegroundSignal(s linux.Signal)    {}

func ttyName(g *kernel.ThreadGroup) string { return "" }
