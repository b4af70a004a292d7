// Package control is what runsc and a running Sentry say to each other: the
// document with which a sandbox is started, and the calls on it afterwards.
//
// The main types are BootConfig (the document), Handler (what a Sentry can be
// asked to do), Serve (the Sentry's side of a connection) and Client (runsc's
// side). Everything here is plain data with host meaning only: the package
// knows nothing of OCI, bundles or state directories, and never opens a path.
//
// Both ends distrust each other. The Sentry closes a connection that sends what
// is not a message; runsc bounds what it reads, takes no descriptor from the
// Sentry, and treats a lost connection as "the sandbox is gone".
//
// A call costs one message each way on a unix stream socket (tens of
// microseconds); nothing on a container's hot path comes through here. The
// package takes no lock while a handler runs.
package control
