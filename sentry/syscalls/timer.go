package syscalls

import (
	"math"
	"sync"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/clock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Timers that send signals: setitimer(2), alarm(2), timer_create(2).
var timerCalls = []Call{
	call3(sysno.Setitimer, setitimer, full),
	call2(sysno.Getitimer, getitimer, full),
	call1(sysno.Alarm, alarm, full),
	call3(sysno.TimerCreate, timerCreate, full),
	call4(sysno.TimerSettime, timerSettime, full),
	call2(sysno.TimerGettime, timerGettime, full),
	call1(sysno.TimerGetoverrun, timerGetoverrun, full),
	call1(sysno.TimerDelete, timerDelete, full),
}

// itimers are the three interval timers of a process.
type itimers struct {
	group  *kernel.ThreadGroup
	timers [3]clock.Timer
}

type itimersKey struct{}

var itimerSignals = [3]linux.Signal{linux.SIGALRM, linux.SIGVTALRM, linux.SIGPROF}

func itimersOf(t *kernel.Task) *itimers {
	g := t.ThreadGroup()
	return g.Attachment(itimersKey{}, func() any {
		it := &itimers{group: g}
		clocks := [3]clock.Clock{
			linux.ITIMER_REAL:    {ID: linux.CLOCK_MONOTONIC},
			linux.ITIMER_VIRTUAL: {CPU: groupUserCPU{groupCPU{g}}},
			linux.ITIMER_PROF:    {CPU: groupCPU{g}},
		}
		for i := range it.timers {
			it.timers[i] = clock.Timer{Wheel: t.Kernel().Timers(), Clock: clocks[i], Expirer: it}
		}
		return it
	}).(*itimers)
}

// TimerExpired sends the timer's signal, once however many periods have ended.
func (it *itimers) TimerExpired(tm *clock.Timer) {
	if tm.TakeExpired() == 0 {
		return
	}
	for i := range it.timers {
		if tm == &it.timers[i] {
			_ = it.group.SendSignal(kernel.KernelSignal(itimerSignals[i]), kernel.Inside)
		}
	}
}

// ProcessEnded disarms them.
func (it *itimers) ProcessEnded() {
	for i := range it.timers {
		it.timers[i].Set(clock.Setting{}, clock.FromNow)
	}
}

// SurvivesExec: interval timers go on in the new program.
func (*itimers) SurvivesExec() {}

func itimerval(s clock.Setting) linux.Itimerval {
	v := linux.Itimerval{Interval: linux.DurationToTimeval(s.Interval), Value: linux.DurationToTimeval(s.Value)}
	if s.Value > 0 && s.Value < time.Microsecond {
		v.Value.Usec = 1 // zero would say that it is disarmed
	}
	return v
}

// setitimer arms one of the process's timers; a null pointer disarms it.
//
// Errors: EINVAL for the timer or a bad time; EFAULT.
func setitimer(t *kernel.Task, which int32, p, old usermem.Ptr[linux.Itimerval]) (uint64, error) {
	var s clock.Setting
	if !p.IsNil() {
		v, err := p.Load(t)
		if err != nil {
			return 0, err
		}
		if !v.Value.Valid() || !v.Interval.Valid() {
			return 0, errno.EINVAL
		}
		s = clock.Setting{Value: v.Value.Duration(), Interval: v.Interval.Duration()}
	}
	if which < 0 || int(which) >= len(itimerSignals) {
		return 0, errno.EINVAL
	}
	was := itimersOf(t).timers[which].Set(s, clock.FromNow)
	return 0, old.StoreIf(t, itimerval(was))
}

func getitimer(t *kernel.Task, which int32, p usermem.Ptr[linux.Itimerval]) (uint64, error) {
	if which < 0 || int(which) >= len(itimerSignals) {
		return 0, errno.EINVAL
	}
	return 0, p.Store(t, itimerval(itimersOf(t).timers[which].Left()))
}

// alarm sends SIGALRM after some seconds, and returns what was left, rounded
// but never to 0.
func alarm(t *kernel.Task, seconds uint32) (uint64, error) {
	s := clock.Setting{Value: time.Duration(seconds) * time.Second}
	was := itimersOf(t).timers[linux.ITIMER_REAL].Set(s, clock.FromNow)
	left := was.Value.Round(time.Second)
	if was.Value > 0 && left == 0 {
		left = time.Second
	}
	return uint64(left / time.Second), nil
}

// posixTimers are the timers that a process has made.
type posixTimers struct {
	mu   sync.Mutex
	byID map[int32]*posixTimer
	next int32
}

type posixTimersKey struct{}

func posixTimersOf(t *kernel.Task) *posixTimers {
	return t.ThreadGroup().Attachment(posixTimersKey{}, func() any {
		return &posixTimers{byID: map[int32]*posixTimer{}}
	}).(*posixTimers)
}

// ProcessEnded disarms them: neither execve nor fork keeps them.
func (p *posixTimers) ProcessEnded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, pt := range p.byID {
		pt.timer.Set(clock.Setting{}, clock.FromNow)
		delete(p.byID, id)
	}
}

// posixTimer is one of them. It has at most one signal in a queue.
type posixTimer struct {
	timer  clock.Timer
	group  *kernel.ThreadGroup
	thread *kernel.Task // of SIGEV_THREAD_ID, or nil
	info   linux.SigInfo
	silent bool // SIGEV_NONE

	mu      sync.Mutex
	queued  bool
	overrun uint64 // since the signal was queued
	last    uint64 // of the signal that was taken last
}

// TimerExpired queues the signal, or counts if it is in the queue already.
func (pt *posixTimer) TimerExpired(*clock.Timer) {
	if pt.silent {
		return
	}
	pt.mu.Lock()
	defer pt.mu.Unlock()
	n := pt.timer.TakeExpired()
	switch {
	case n == 0:
	case pt.queued:
		pt.overrun += n
	default:
		pt.overrun = n - 1
		pt.queued = pt.group.SendFrom(pt.thread, pt.info, pt)
	}
}

// Dequeued implements kernel.SignalSource: the signal tells how many expiries it
// stands for beside its own.
func (pt *posixTimer) Dequeued(info *linux.SigInfo) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	pt.queued = false
	pt.last = min(pt.overrun, math.MaxInt32)
	info.SetOverrun(int32(pt.last))
}

// timerCreate makes a disarmed timer.
//
// Errors: EINVAL for the clock or the way to notify; EOPNOTSUPP for a clock
// without timers; EAGAIN for too many; EFAULT.
func timerCreate(t *kernel.Task, id linux.ClockID, ev usermem.Ptr[linux.SigEvent], out usermem.Ptr[int32]) (uint64, error) {
	c, err := clockOf(t, id)
	if err != nil {
		return 0, err
	}
	if !c.Waitable() {
		return 0, errno.EOPNOTSUPP
	}
	e := linux.SigEvent{Signo: int32(linux.SIGALRM), Notify: linux.SIGEV_SIGNAL}
	if !ev.IsNil() {
		if e, err = ev.Load(t); err != nil {
			return 0, err
		}
	}
	pt := &posixTimer{group: t.ThreadGroup()}
	if err := pt.notifyBy(t, e); err != nil {
		return 0, err
	}
	pt.timer = clock.Timer{Wheel: t.Kernel().Timers(), Clock: c, Expirer: pt}
	all := posixTimersOf(t)
	all.mu.Lock()
	defer all.mu.Unlock()
	if uint64(len(all.byID)) >= t.Limit(linux.RLIMIT_SIGPENDING).Cur {
		return 0, errno.EAGAIN
	}
	for all.byID[all.next] != nil {
		all.next = (all.next + 1) & math.MaxInt32
	}
	n := all.next
	pt.info.SetTimerID(n)
	if ev.IsNil() {
		pt.info.SetValue(uint64(n))
	}
	if err := out.Store(t, n); err != nil {
		return 0, err
	}
	all.byID[n] = pt
	all.next = (n + 1) & math.MaxInt32
	return 0, nil
}

// notifyBy checks a sigevent.
func (pt *posixTimer) notifyBy(t *kernel.Task, e linux.SigEvent) error {
	switch e.Notify {
	case linux.SIGEV_NONE:
		pt.silent = true
		return nil
	case linux.SIGEV_SIGNAL, linux.SIGEV_THREAD:
	case linux.SIGEV_THREAD_ID:
		pt.thread = t.PIDNS().Task(e.TID)
		if pt.thread == nil || pt.thread.ThreadGroup() != pt.group {
			return errno.EINVAL
		}
	default:
		return errno.EINVAL
	}
	if !linux.Signal(e.Signo).Valid() {
		return errno.EINVAL
	}
	pt.info = linux.SigInfo{Signo: e.Signo, Code: linux.SI_TIMER}
	pt.info.SetValue(e.Value)
	return nil
}

func posixTimerOf(t *kernel.Task, id int32) (*posixTimer, error) {
	all := posixTimersOf(t)
	all.mu.Lock()
	defer all.mu.Unlock()
	if pt := all.byID[id]; pt != nil {
		return pt, nil
	}
	return nil, errno.EINVAL
}

// setting reads a struct itimerspec: EINVAL, EFAULT.
func setting(t *kernel.Task, p usermem.Ptr[linux.Itimerspec]) (clock.Setting, error) {
	v, err := p.Load(t)
	if err != nil {
		return clock.Setting{}, err
	}
	if !v.Value.Valid() || !v.Interval.Valid() {
		return clock.Setting{}, errno.EINVAL
	}
	return clock.Setting{Value: v.Value.Duration(), Interval: v.Interval.Duration()}, nil
}

func itimerspec(s clock.Setting) linux.Itimerspec {
	return linux.Itimerspec{Interval: linux.DurationToTimespec(s.Interval), Value: linux.DurationToTimespec(s.Value)}
}

func timerOrigin(abstime bool) clock.Origin {
	if abstime {
		return clock.Absolute
	}
	return clock.FromNow
}

// timerSettime arms or disarms a timer.
//
// Errors: EINVAL for the timer, or a bad time; EFAULT.
func timerSettime(t *kernel.Task, id int32, flags uint32, p, old usermem.Ptr[linux.Itimerspec]) (uint64, error) {
	if p.IsNil() {
		return 0, errno.EINVAL
	}
	s, err := setting(t, p)
	if err != nil {
		return 0, err
	}
	pt, err := posixTimerOf(t, id)
	if err != nil {
		return 0, err
	}
	was := pt.timer.Set(s, timerOrigin(flags&linux.TIMER_ABSTIME != 0))
	return 0, old.StoreIf(t, itimerspec(was))
}

func timerGettime(t *kernel.Task, id int32, p usermem.Ptr[linux.Itimerspec]) (uint64, error) {
	pt, err := posixTimerOf(t, id)
	if err != nil {
		return 0, err
	}
	return 0, p.Store(t, itimerspec(pt.timer.Left()))
}

func timerGetoverrun(t *kernel.Task, id int32) (uint64, error) {
	pt, err := posixTimerOf(t, id)
	if err != nil {
		return 0, err
	}
	pt.mu.Lock()
	defer pt.mu.Unlock()
	return pt.last, nil
}

func timerDelete(t *kernel.Task, id int32) (uint64, error) {
	pt, err := posixTimerOf(t, id)
	if err != nil {
		return 0, err
	}
	all := posixTimersOf(t)
	all.mu.Lock()
	delete(all.byID, id)
	all.mu.Unlock()
	pt.timer.Set(clock.Setting{}, clock.FromNow)
	return 0, nil
}
