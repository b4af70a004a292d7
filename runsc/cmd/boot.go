package cmd

import (
	"fmt"
	"os"

	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
	"github.com/bulkhead-sandbox/bulkhead/sentry/boot"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// bootMain is the Sentry's process. It gives up its privileges before it reads
// what it is to do.
func bootMain() int {
	cause := os.NewFile(control.CauseFD, "cause")
	if err := sandbox.EnterSentry(); err != nil {
		control.ReportFailure(cause, fmt.Errorf("confine sentry: %w", err))
		return 1
	}
	config := os.NewFile(control.ConfigFD, "configuration")
	cfg, err := control.ReadBootConfig(config)
	config.Close()
	if err != nil {
		control.ReportFailure(cause, err)
		return 1
	}
	return bootSentry(cfg, cause)
}

// bootSentry builds the kernel and runs it to its end. Tests of what surrounds
// the kernel replace it.
var bootSentry = boot.Run
