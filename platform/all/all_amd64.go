package all

import (
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/ptrace"
	"github.com/bulkhead-sandbox/bulkhead/platform/trap"
)

var platforms = [...]Entry{
	{
		Name:      "trap",
		New:       func() (platform.Platform, error) { return trap.New() },
		HostCalls: trap.HostCalls,
	},
	{
		Name:      "ptrace",
		New:       func() (platform.Platform, error) { return ptrace.New() },
		HostCalls: ptrace.HostCalls,
	},
}
