package waiter

import (
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// Sleeper is what a blocking operation needs of the task that calls it. A task
// has one wake-up: any Entry whose Waker is the task's ends its Sleep.
type Sleeper interface {
	// Waker is what the task's entries carry.
	Waker() Waker

	// Sleep blocks until Wake is called, a signal is pending (then
	// ERESTARTSYS) or the deadline has passed (then ETIMEDOUT). It may
	// return nil without a cause: callers loop.
	Sleep(d Deadline) error
}

// Deadline is a point on the Sentry's monotonic clock; the zero value is never.
type Deadline struct{ At time.Time }

// Never is the deadline that does not come.
var Never Deadline

// After is the deadline d from now.
func After(d time.Duration) Deadline { return Deadline{time.Now().Add(d)} }

// IsNever says whether the deadline never comes.
func (d Deadline) IsNever() bool { return d.At.IsZero() }

// Until calls try until it returns something else than EAGAIN, and sleeps in
// between until w reports one of the events. This is how every blocking read,
// write, accept and connect is made from a non-blocking one. The error of the
// sleep ends it.
func Until(s Sleeper, w Waitable, want Events, d Deadline, try func() error) error {
	err := try()
	if err != errno.EAGAIN {
		return err
	}
	e := Entry{Mask: want | Always, Waker: s.Waker()}
	w.Register(&e)
	defer w.Unregister(&e)
	for {
		if err := try(); err != errno.EAGAIN {
			return err
		}
		if err := s.Sleep(d); err != nil {
			return err
		}
	}
}
