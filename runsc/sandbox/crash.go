package sandbox

import (
	"bufio"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// SignalName is "SIGKILL" for 9.
func SignalName(n int) string {
	if name := unix.SignalName(unix.Signal(n)); name != "" {
		return name
	}
	return "an unknown signal"
}

// crashLine finds the line that says why a Go program ended, as ": <line>".
func crashLine(errors *os.File) string {
	if errors == nil {
		return ""
	}
	if line := CrashCause(io.NewSectionReader(errors, 0, 1<<20)); line != "" {
		return ": " + line
	}
	return ""
}

// CrashCause finds the line that says why a Go program ended in what it printed
// to its standard error, or an empty string.
func CrashCause(r io.Reader) string {
	lines := bufio.NewScanner(r)
	first := ""
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		for _, start := range []string{"panic: ", "fatal error: ", "unexpected fault address", "SIG"} {
			if strings.HasPrefix(line, start) {
				return line
			}
		}
		if first == "" {
			first = strings.TrimPrefix(line, "runsc: ")
		}
	}
	return first
}
