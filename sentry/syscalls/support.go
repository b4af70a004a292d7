package syscalls

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
)

// WriteSupport prints the support page: each call of an architecture with what
// there is of it.
func WriteSupport(w io.Writer, arch sysno.Arch) error {
	tab := NewTable(arch)
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "NR\tCALL\tSUPPORT\tDETAILS")
	full, partial, absent := 0, 0, 0
	for nr, c := range tab.calls {
		if c == nil {
			if id := sysno.Lookup(arch, uint64(nr)); id.Valid() {
				fmt.Fprintf(tw, "%d\t%s\tENOSYS\tnot declared\n", nr, id)
				absent++
			}
			continue
		}
		s := c.Support
		switch {
		case !s.Implemented():
			fmt.Fprintf(tw, "%d\t%s\t%s\t%s\n", nr, c.ID, s.Errno.String(), s.Reason)
			absent++
		case len(s.Missing) > 0:
			fmt.Fprintf(tw, "%d\t%s\tpartial\twithout %s\n", nr, c.ID, strings.Join(s.Missing, ", "))
			partial++
		default:
			fmt.Fprintf(tw, "%d\t%s\tfull\t\n", nr, c.ID)
			full++
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d full, %d partial, %d as on a Linux without the feature\n", full, partial, absent)
	return err
}
