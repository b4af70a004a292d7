// Package vfstest is what tests of files need: a Context that stands for a task,
// a small world (Env: a mount tree, credentials, a working directory, methods
// named after system calls), and the suite that every file system passes (Run).
//
// It knows no kernel: a Context sleeps on a channel and has the credentials that
// the test gives it. What a file system does not have (hard links, device
// nodes) its test names as a Lack. Nothing but tests imports it.
package vfstest

import (
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Context is a vfs.Context for one goroutine.
type Context struct {
	creds  *cred.Creds
	token  chan struct{}
	signal atomic.Bool
	sleeps atomic.Int32
}

// NewContext makes one with all rights.
func NewContext() *Context {
	ns := cred.NewRootUserNamespace()
	return NewContextAs(&cred.Creds{Permitted: cred.AllCaps, Effective: cred.AllCaps, UserNS: ns})
}

// NewContextAs makes one with the given credentials.
func NewContextAs(c *cred.Creds) *Context {
	return &Context{creds: c, token: make(chan struct{}, 1)}
}

// Creds are the credentials.
func (c *Context) Creds() *cred.Creds { return c.creds }

// Waker is the Context itself.
func (c *Context) Waker() waiter.Waker { return c }

// Wake ends a Sleep.
func (c *Context) Wake(*waiter.Entry, waiter.Events) bool {
	select {
	case c.token <- struct{}{}:
	default:
	}
	return true
}

// Signal makes each Sleep fail with ERESTARTSYS from now on.
func (c *Context) Signal() {
	c.signal.Store(true)
	c.Wake(nil, 0)
}

// Sleeps is how often Sleep was called.
func (c *Context) Sleeps() int { return int(c.sleeps.Load()) }

// Sleep waits for Wake, Signal or the deadline.
func (c *Context) Sleep(d waiter.Deadline) error {
	c.sleeps.Add(1)
	if c.signal.Load() {
		return errno.ERESTARTSYS
	}
	var late <-chan time.Time
	if !d.IsNever() {
		t := time.NewTimer(time.Until(d.At))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-c.token:
		if c.signal.Load() {
			return errno.ERESTARTSYS
		}
		return nil
	case <-late:
		return errno.ETIMEDOUT
	}
}
