// Package inet is sockets of the AF_INET and AF_INET6 families over a TCP/IP
// stack in user space: TCP and UDP on the loopback interface.
//
// A Socket wraps one endpoint of the library's stack (gvisor.dev/gvisor/pkg/tcpip)
// and gives it Linux's semantics: addresses, errors, options, flags of messages,
// ioctls, readiness. The library is not seen outside of this package, where a
// socket is a socket.Socket of a socket.Family; another way to a network is
// another Family. A network namespace gets its stack, with lo up, when the first
// socket is made in it; before that the library has cost nothing. A stack that
// no namespace and no socket refers to any more is taken down.
//
// Never: it does not call the host; no goroutine of the library polls.
//
// Lock order: a Socket's mu is innermost, apart from the library's own locks. The
// library notifies a Socket's queue with locks of its own held, so a Waker must
// not call a Socket. Guest memory is copied outside of the library's locks when
// sending, and inside of an endpoint's read lock when receiving, which holds up
// other readers only. Cost: a TCP segment over lo is one copy in and one out.
//
// The library imports package net, which brings the C library where Go is built
// with cgo, and with it runsc could not drop its capabilities. So a runsc that is
// built with cgo has no inet sockets: build with CGO_ENABLED=0.
package inet

import "github.com/bulkhead-sandbox/bulkhead/sentry/socket"

// File lists the sockets of one kind, as /proc/net shows them.
type File struct {
	Name string
	Show func(ns socket.Namespace) []byte
}
