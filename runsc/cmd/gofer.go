package cmd

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/gofer/server"
	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// goferMain is the Gofer's process.
func goferMain() int {
	cause := os.NewFile(control.CauseFD, "cause")
	if err := runGofer(cause); err != nil {
		control.ReportFailure(cause, err)
		fmt.Fprintln(os.Stderr, "gofer:", err)
		return 1
	}
	return 0
}

func runGofer(cause *os.File) error {
	config := os.NewFile(control.ConfigFD, "configuration")
	c, err := sandbox.ReadGoferConfig(config)
	config.Close()
	if err != nil {
		return err
	}
	proc, err := server.OpenProcFD()
	if err != nil {
		return err
	}
	roots, err := sandbox.EnterGofer(c)
	if err != nil {
		return err
	}
	trees := make([]server.Tree, len(roots))
	for i, t := range c.Trees {
		trees[i] = server.Tree{
			Name:     t.Name,
			Conn:     control.FirstFD + i,
			RootFD:   roots[i],
			ReadOnly: t.ReadOnly,
			// Making a device node is harmless, as no tree lets one be opened.
			Allow:       server.AllowWhiteouts | server.AllowDevices,
			SquashOwner: c.SquashOwner,
		}
	}
	filter := seccomp.Filter{Rules: append(seccomp.GoRuntime(), server.HostCalls()...), Default: seccomp.KillProcess}
	if err := filter.Install(); err != nil {
		return fmt.Errorf("confine gofer: %w", err)
	}
	if err := control.ReportReady(cause); err != nil {
		return err
	}
	cause.Close()
	return server.Serve(context.Background(), server.Config{ProcFD: proc, Log: limitedLog()}, trees)
}

// limitedLog prints the first complaints about a client. A hostile Sentry could
// fill the host's disk with the others.
func limitedLog() func(string) {
	const most = 20
	var count atomic.Int32
	return func(line string) {
		if count.Add(1) <= most {
			fmt.Fprintln(os.Stderr, "gofer:", line)
		}
	}
}
