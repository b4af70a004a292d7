package timerfd

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/clock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

func TestReadCountsExpiries(t *testing.T) {
	c := vfstest.NewContext()
	var wheel clock.Wheel
	d, err := New(vfs.NewWorld(), c.Creds(), &wheel, linux.CLOCK_MONOTONIC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := d.File().(*File)
	read := func(mode vfs.IOMode) (uint64, error) {
		var b [8]byte
		_, err := d.Read(c, usermem.OwnBuffer(b[:]), vfs.CurrentOffset, mode)
		return binary.LittleEndian.Uint64(b[:]), err
	}
	if _, err := read(vfs.NoWait); err != errno.EAGAIN {
		t.Errorf("disarmed: %v", err)
	}
	f.Set(clock.Setting{Value: time.Millisecond, Interval: time.Millisecond}, clock.FromNow, 0)
	if n, err := read(vfs.Wait); n < 1 || err != nil {
		t.Errorf("first expiry: %d, %v", n, err)
	}
	time.Sleep(5 * time.Millisecond)
	if ev := d.Ready(waiter.All); ev != waiter.In {
		t.Errorf("ready: %#x", ev)
	}
	if n, err := read(vfs.NoWait); n < 4 || err != nil {
		t.Errorf("after 5 ms: %d, %v", n, err)
	}
	old := f.Set(clock.Setting{Value: 1, Interval: 0}, clock.Absolute, linux.TFD_TIMER_ABSTIME)
	if old.Interval != time.Millisecond {
		t.Errorf("old setting: %v", old)
	}
	if n, err := read(vfs.NoWait); n != 1 || err != nil {
		t.Errorf("in the past: %d, %v", n, err)
	}
	if f.Left() != (clock.Setting{}) {
		t.Errorf("left: %v", f.Left())
	}
	d.DecRef()
}

func TestClocksThatHaveNoTimers(t *testing.T) {
	c := vfstest.NewContext()
	for _, id := range []linux.ClockID{linux.CLOCK_MONOTONIC_RAW, linux.CLOCK_PROCESS_CPUTIME_ID, linux.CLOCK_TAI, 99} {
		if _, err := New(vfs.NewWorld(), c.Creds(), &clock.Wheel{}, id, 0); err != errno.EINVAL {
			t.Errorf("%v: %v", id, err)
		}
	}
}
