package trap

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/platformtest"
)

// TestMain fails when a stub is left behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil); err != unix.ECHILD {
		os.Stderr.WriteString("a child process is left behind\n")
		code = 1
	}
	os.Exit(code)
}

func TestSuite(t *testing.T) {
	platformtest.Run(t, func() (platform.Platform, error) { return New() })
}
