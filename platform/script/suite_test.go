package script_test

import (
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/platformtest"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
)

func TestSuite(t *testing.T) {
	platformtest.Run(t, func() (platform.Platform, error) { return script.New(), nil })
}
