package syscalls

import (
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/clock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Clocks and sleeping.
var clockCalls = []Call{
	call2(sysno.ClockGettime, clockGettime, full),
	call2(sysno.ClockGetres, clockGetres, full),
	call2(sysno.ClockSettime, clockSettime, full),
	call4(sysno.ClockNanosleep, clockNanosleep, full),
	call2(sysno.Nanosleep, nanosleep, full),
	call2(sysno.Gettimeofday, gettimeofday, full),
	call2(sysno.Settimeofday, settimeofday, full),
	call1(sysno.Time, timeCall, full),
	call1(sysno.Adjtimex, adjtimex, full),
	call2(sysno.ClockAdjtime, clockAdjtime, full),
}

// taskCPU and groupCPU are the CPU clocks of a thread and of a process.
type taskCPU struct{ t *kernel.Task }

func (c taskCPU) CPUTime() time.Duration {
	user, sys := c.t.CPUTime()
	return user + sys
}

func (taskCPU) Threads() int { return 1 }

type groupCPU struct{ g *kernel.ThreadGroup }

func (c groupCPU) CPUTime() time.Duration {
	u := c.g.Usage()
	return u.User + u.System
}

func (c groupCPU) Threads() int { return c.g.Count() }

// groupUserCPU counts only the time in the guest: ITIMER_VIRTUAL.
type groupUserCPU struct{ groupCPU }

func (c groupUserCPU) CPUTime() time.Duration { return c.g.Usage().User }

// clockOf finds a clock: one of the system's, or the CPU clock of a thread or
// process that the caller sees. EINVAL.
func clockOf(t *kernel.Task, id linux.ClockID) (clock.Clock, error) {
	switch {
	case id == linux.CLOCK_PROCESS_CPUTIME_ID:
		return clock.Clock{ID: id, CPU: groupCPU{t.ThreadGroup()}}, nil
	case id == linux.CLOCK_THREAD_CPUTIME_ID:
		return clock.Clock{ID: id, CPU: taskCPU{t}}, nil
	case id >= 0:
		return clock.System(id)
	case id&linux.CPUCLOCK_CLOCK_MASK == linux.CLOCKFD:
		return clock.Clock{}, errno.EINVAL // no device of ours is a clock
	}
	pid := id.CPUClockPID()
	if id&linux.CPUCLOCK_PERTHREAD_MASK != 0 {
		u := t
		if pid != 0 {
			u = t.PIDNS().Task(pid)
		}
		if u == nil || u.ThreadGroup() != t.ThreadGroup() {
			return clock.Clock{}, errno.EINVAL
		}
		return clock.Clock{ID: id, CPU: taskCPU{u}}, nil
	}
	g := t.ThreadGroup()
	if pid != 0 {
		g = t.PIDNS().ThreadGroup(pid)
	}
	if g == nil {
		return clock.Clock{}, errno.EINVAL
	}
	return clock.Clock{ID: id, CPU: groupCPU{g}}, nil
}

func clockGettime(t *kernel.Task, id linux.ClockID, p usermem.Ptr[linux.Timespec]) (uint64, error) {
	c, err := clockOf(t, id)
	if err != nil {
		return 0, err
	}
	return 0, p.Store(t, linux.DurationToTimespec(c.Now()))
}

func clockGetres(t *kernel.Task, id linux.ClockID, p usermem.Ptr[linux.Timespec]) (uint64, error) {
	c, err := clockOf(t, id)
	if err != nil {
		return 0, err
	}
	return 0, p.StoreIf(t, linux.DurationToTimespec(c.Resolution()))
}

// clockSettime never sets a clock: they are the host's. EPERM is what Linux says
// to whoever lacks CAP_SYS_TIME; EINVAL for clocks that nobody can set.
func clockSettime(t *kernel.Task, id linux.ClockID, p usermem.Ptr[linux.Timespec]) (uint64, error) {
	if id != linux.CLOCK_REALTIME {
		return 0, errno.EINVAL
	}
	ts, err := p.Load(t)
	if err != nil {
		return 0, err
	}
	if !ts.Valid() {
		return 0, errno.EINVAL
	}
	return 0, errno.EPERM
}

// sleepUntil is a relative sleep: what is left of it when a signal interrupts
// it.
type sleepUntil struct {
	clock clock.Clock
	at    time.Duration // on the clock
	left  usermem.Ptr[linux.Timespec]
}

// Restart sleeps, also the first time.
func (s sleepUntil) Restart(t *kernel.Task) (uint64, error) {
	err := sleepTo(t, s.clock, s.at)
	if err != errno.ERESTARTSYS {
		return 0, err
	}
	left := max(s.at-s.clock.Now(), 0)
	if err := s.left.StoreIf(t, linux.DurationToTimespec(left)); err != nil {
		return 0, err
	}
	return 0, t.RestartWith(s)
}

// sleepTo sleeps until the clock reads at. ERESTARTSYS.
func sleepTo(t *kernel.Task, c clock.Clock, at time.Duration) error {
	d := c.At(at)
	for {
		err := t.Sleep(d)
		if err != nil && err != errno.ETIMEDOUT {
			return err
		}
		if err == errno.ETIMEDOUT {
			if c.CPU == nil || c.Now() >= at {
				return nil
			}
			d = c.At(at)
		}
	}
}

func nanosleep(t *kernel.Task, req, left usermem.Ptr[linux.Timespec]) (uint64, error) {
	return clockNanosleep(t, linux.CLOCK_MONOTONIC, 0, req, left)
}

// clockNanosleep sleeps for a time, or with TIMER_ABSTIME until one.
//
// Errors: EINVAL for the clock, the flags or the time; EOPNOTSUPP for a clock
// that cannot be slept on; EFAULT; EINTR with the rest at left.
func clockNanosleep(t *kernel.Task, id linux.ClockID, flags uint32, req, left usermem.Ptr[linux.Timespec]) (uint64, error) {
	c, err := clockOf(t, id)
	if err != nil || id == linux.CLOCK_THREAD_CPUTIME_ID {
		return 0, errno.EINVAL
	}
	if !c.Waitable() {
		return 0, errno.EOPNOTSUPP
	}
	ts, err := req.Load(t)
	if err != nil {
		return 0, err
	}
	if !ts.Valid() {
		return 0, errno.EINVAL
	}
	if flags&linux.TIMER_ABSTIME != 0 {
		if sleepTo(t, c, ts.Duration()) != nil {
			return 0, errno.ERESTARTNOHAND
		}
		return 0, nil
	}
	now := sleepClock(c).Now()
	return sleepUntil{sleepClock(c), now + min(ts.Duration(), longest), left}.Restart(t)
}

// sleepClock is the clock that a relative sleep goes by: a step of the wall
// clock must not change its length.
func sleepClock(c clock.Clock) clock.Clock {
	if c.CPU == nil && c.ID == linux.CLOCK_REALTIME {
		c.ID = linux.CLOCK_MONOTONIC
	}
	return c
}

func gettimeofday(t *kernel.Task, tv usermem.Ptr[linux.Timeval], tz usermem.Ptr[linux.Timezone]) (uint64, error) {
	now := clock.Clock{ID: linux.CLOCK_REALTIME}.Now()
	if err := tv.StoreIf(t, linux.DurationToTimeval(now)); err != nil {
		return 0, err
	}
	return 0, tz.StoreIf(t, linux.Timezone{})
}

func settimeofday(t *kernel.Task, tv usermem.Ptr[linux.Timeval], _ usermem.Ptr[linux.Timezone]) (uint64, error) {
	if !tv.IsNil() {
		v, err := tv.Load(t)
		if err != nil {
			return 0, err
		}
		if !v.Valid() {
			return 0, errno.EINVAL
		}
	}
	return 0, errno.EPERM
}

func timeCall(t *kernel.Task, p usermem.Ptr[int64]) (uint64, error) {
	now := time.Now().Unix()
	return uint64(now), p.StoreIf(t, now)
}

// The state of a clock that nobody disciplines, as adjtimex reports it.
const (
	staUnsync  = 0x40
	timeError  = 5
	maxTimeErr = 16_000_000 // microseconds
)

func adjtimex(t *kernel.Task, p usermem.Ptr[linux.Timex]) (uint64, error) {
	return clockAdjtime(t, linux.CLOCK_REALTIME, p)
}

// clockAdjtime reads the state of the clock; to change it is EPERM.
func clockAdjtime(t *kernel.Task, id linux.ClockID, p usermem.Ptr[linux.Timex]) (uint64, error) {
	c, err := clockOf(t, id)
	if err != nil {
		return 0, err
	}
	if id != linux.CLOCK_REALTIME {
		return 0, errno.EOPNOTSUPP
	}
	in, err := p.Load(t)
	if err != nil {
		return 0, err
	}
	if in.Modes != 0 {
		return 0, errno.EPERM
	}
	out := linux.Timex{
		MaxError: maxTimeErr, EstError: maxTimeErr, Status: staUnsync, Constant: 2,
		Precision: 1, Tolerance: 32768000, Tick: 10000, Time: linux.DurationToTimeval(c.Now()),
	}
	return timeError, p.Store(t, out)
}
