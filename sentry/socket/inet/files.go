//go:build !cgo

package inet

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
)

// Families are the domains of the package, Files what /proc/net shows of them.
var (
	Families = []socket.Family{V4, V6}
	Files    = []File{
		file("tcp", V4, linux.SOCK_STREAM), file("tcp6", V6, linux.SOCK_STREAM),
		file("udp", V4, linux.SOCK_DGRAM), file("udp6", V6, linux.SOCK_DGRAM),
	}
)

func file(name string, f Family, typ int) File {
	return File{Name: name, Show: func(ns socket.Namespace) []byte { return Table(ns, f, typ) }}
}
