// Package host is the one doorway to the host's system calls: everything that
// the Sentry and the Gofer ask of the host goes through a function here, named
// for its purpose, so that the list of calls that a process needs can be read.
//
// It knows nothing of tasks or files of the guest. Errors are errno.Errno.
package host
