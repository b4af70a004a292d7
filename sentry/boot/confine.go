package boot

import (
	"github.com/bulkhead-sandbox/bulkhead/platform/all"
	"github.com/bulkhead-sandbox/bulkhead/sentry"
)

// confine installs the Sentry's seccomp allow-list.
func confine(p all.Entry) error { return sentry.HostCalls(p.HostCalls()).Install() }
