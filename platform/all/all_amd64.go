package all

import (
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/ptrace"
	"github.com/bulkhead-sandbox/bulkhead/platform/trap"
)

var platforms = [...]Entry{
	{
		Name:      "trap",
		Options:   trap.Options(),
		New:       func(options []string) (platform.Platform, error) { return trap.New(options...) },
		HostCalls: trap.HostCalls,
	},
	{
		Name:      "ptrace",
		New:       func([]string) (platform.Platform, error) { return ptrace.New() },
		HostCalls: ptrace.HostCalls,
	},
}
