package seccomp

import (
	"slices"
	"strings"
)

// Merge joins lists that were written apart, such as one of each part of a
// process, into one that builds: a call that several allow without checks has
// one rule, with all reasons, and a rule with checks goes where another list
// has one for the same call and action without. The order of the rest stays.
func Merge(lists ...[]Rule) []Rule {
	all := slices.Concat(lists...)
	var merged []Rule
	for i, r := range all {
		whole := slices.IndexFunc(all, func(o Rule) bool {
			return o.Call == r.Call && o.Action == r.Action && len(o.Checks) == 0
		})
		if whole == -1 {
			merged = append(merged, r)
			continue
		}
		if whole == i {
			r.Reason = reasons(all, r)
			merged = append(merged, r)
		}
	}
	return merged
}

// reasons joins what all rules for r's call and action say.
func reasons(all []Rule, r Rule) string {
	var parts []string
	for _, o := range all {
		if o.Call == r.Call && o.Action == r.Action && !slices.Contains(parts, o.Reason) {
			parts = append(parts, o.Reason)
		}
	}
	return strings.Join(parts, "; ")
}
