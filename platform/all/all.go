// Package all lists the platforms of this build: what --platform can name, how
// each is made, and which host calls it needs. A new platform is one more line
// in the list of each architecture that it runs on.
//
// The package holds no state and makes no host call.
package all

import (
	"fmt"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// Entry is a platform that can be chosen.
type Entry struct {
	Name string

	// New makes it. It is called with the credentials that the Sentry keeps
	// and before the Sentry's seccomp filter is installed.
	New func() (platform.Platform, error)

	// HostCalls lists what the Sentry needs for it after New, beside
	// seccomp.GoRuntime.
	HostCalls func() []seccomp.Rule
}

// Default is the platform that is used when none is named.
func Default() Entry { return platforms[0] }

// Platforms returns all entries, the default first.
func Platforms() []Entry { return platforms[:] }

// Lookup finds a platform by name.
func Lookup(name string) (Entry, error) {
	var names []string
	for _, e := range platforms {
		if e.Name == name {
			return e, nil
		}
		names = append(names, e.Name)
	}
	return Entry{}, fmt.Errorf("platform %q: not one of %s", name, strings.Join(names, ", "))
}
