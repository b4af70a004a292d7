package cmd

import (
	"bytes"
	"fmt"
	"os"

	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// crashed says whether a status may be that of a Sentry that found a fault of
// its own, or that Go ended; a container can choose the same.
func crashed(status control.WaitStatus) bool {
	const goPanic, ownPanic = 2, 70
	return status.ExitCode == goPanic || status.ExitCode == ownPanic
}

// reportCrash says in one line why a sandbox crashed, if it printed anything,
// and keeps what is longer where a person can find it.
func reportCrash(printed []byte) {
	line := sandbox.CrashCause(bytes.NewReader(printed))
	if line == "" {
		return
	}
	text := "the sandbox crashed: " + line
	if bytes.Count(printed, []byte("\n")) > 1 {
		if f, err := os.CreateTemp("", "runsc-crash-*.log"); err == nil {
			f.Write(printed)
			f.Close()
			text += fmt.Sprintf(" (all of it in %s)", f.Name())
		}
	}
	warn(text)
}
