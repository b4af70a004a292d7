// Package timerfd is timerfd_create(2): a timer whose expiries can be read and
// waited for. A File is one; its clock.Timer does the counting.
//
// Not done: TFD_TIMER_CANCEL_ON_SET is accepted but never cancels, since nobody
// in the sandbox can set the clock.
//
// Locks: none of its own. Cost of a read: the timer wheel's lock, one clock.
package timerfd

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/clock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// File is a timerfd.
type File struct {
	timer clock.Timer
	flags atomic.Uint32 // of the last timerfd_settime
	queue waiter.Queue
}

// New opens a timerfd on a clock. Flags may hold O_NONBLOCK.
//
// Errors: EINVAL for a clock that timers cannot use.
func New(w *vfs.World, creds *cred.Creds, wheel *clock.Wheel, id linux.ClockID, flags linux.OpenFlags) (*vfs.Description, error) {
	c, err := clock.System(id)
	if err != nil || !c.Waitable() || id == linux.CLOCK_TAI {
		return nil, errno.EINVAL
	}
	f := &File{}
	f.timer = clock.Timer{Wheel: wheel, Clock: c, Expirer: f}
	inode := vfs.NewAnonInode(w, 0o600, creds)
	return vfs.NewAnon(w, inode, "anon_inode:[timerfd]", f, linux.O_RDWR|flags, creds), nil
}

// Set is timerfd_settime.
func (f *File) Set(s clock.Setting, o clock.Origin, flags uint32) clock.Setting {
	f.flags.Store(flags)
	return f.timer.Set(s, o)
}

// Left is timerfd_gettime.
func (f *File) Left() clock.Setting { return f.timer.Left() }

// TimerExpired implements clock.Expirer.
func (f *File) TimerExpired(*clock.Timer) { f.queue.Notify(waiter.Readable) }

// Release implements vfs.File.
func (f *File) Release() { f.timer.Set(clock.Setting{}, clock.FromNow) }

// Read takes the number of expiries. EAGAIN if there are none, EINVAL if there
// is no room for 8 bytes.
func (f *File) Read(_ vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	if dst.Len() < 8 {
		return 0, errno.EINVAL
	}
	n := f.timer.TakeExpired()
	if n == 0 {
		return 0, errno.EAGAIN
	}
	c, err := dst.Fill(binary.LittleEndian.AppendUint64(nil, n))
	return int64(c), err
}

// Ready implements waiter.Waitable.
func (f *File) Ready(want waiter.Events) waiter.Events {
	if f.timer.Expired() == 0 {
		return 0
	}
	return want & waiter.In
}

// Register implements waiter.Waitable.
func (f *File) Register(e *waiter.Entry) { f.queue.Register(e) }

// Unregister implements waiter.Waitable.
func (f *File) Unregister(e *waiter.Entry) { f.queue.Unregister(e) }

// FDInfo is for /proc/PID/fdinfo.
func (f *File) FDInfo() string {
	s := f.timer.Left()
	pair := func(ns int64) string { return fmt.Sprintf("(%d, %d)", ns/1e9, ns%1e9) }
	return fmt.Sprintf("clockid: %d\nticks: %d\nsettime flags: 0%o\nit_value: %s\nit_interval: %s\n",
		f.timer.Clock.ID, f.timer.Expired(), f.flags.Load(), pair(int64(s.Value)), pair(int64(s.Interval)))
}
