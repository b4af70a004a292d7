// Package all lists the platforms of this build: what --platform can name, how
// each is made, and which host calls it needs. A new platform is one more line
// in the list of each architecture that it runs on.
//
// The package holds no state and makes no host call.
package all

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/internal/seccomp"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// Entry is a platform that can be chosen.
type Entry struct {
	Name string

	// Options are words that Lookup takes behind the name, for tests and for
	// looking for a mistake: each turns something off.
	Options []string

	// New makes it. It is called with the credentials that the Sentry keeps
	// and before the Sentry's seccomp filter is installed.
	New func(options []string) (platform.Platform, error)

	chosen []string

	// HostCalls lists what the Sentry needs for it after New, beside
	// seccomp.GoRuntime.
	HostCalls func() []seccomp.Rule
}

// Make is New with the options that were looked up.
func (e *Entry) Make() (platform.Platform, error) { return e.New(e.chosen) }

// Default is the platform that is used when none is named.
func Default() Entry { return platforms[0] }

// Platforms returns all entries, the default first.
func Platforms() []Entry { return platforms[:] }

// Lookup finds a platform by name, which options may follow: name:option,option.
func Lookup(name string) (Entry, error) {
	var names []string
	base, options, _ := strings.Cut(name, ":")
	for _, e := range platforms {
		if e.Name != base {
			names = append(names, e.Name)
			continue
		}
		if options == "" {
			return e, nil
		}
		e.chosen = strings.Split(options, ",")
		for _, o := range e.chosen {
			if !slices.Contains(e.Options, o) {
				return Entry{}, fmt.Errorf("platform %q: option %q is not one of [%s]", name, o, strings.Join(e.Options, " "))
			}
		}
		return e, nil
	}
	return Entry{}, fmt.Errorf("platform %q: not one of %s", name, strings.Join(names, ", "))
}
