package all

import (
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/ptrace"
)

var platforms = [...]Entry{
	{
		Name:      "ptrace",
		New:       func() (platform.Platform, error) { return ptrace.New() },
		HostCalls: ptrace.HostCalls,
	},
}
