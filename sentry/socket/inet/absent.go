//go:build cgo

package inet

import "github.com/bulkhead-sandbox/bulkhead/sentry/socket"

// Families and Files are empty in a runsc that is built with cgo.
var (
	Families []socket.Family
	Files    []File
)
