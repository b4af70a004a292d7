package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Scheduling: parameters are kept and reported; the host schedules.
var schedCalls = []Call{
	call0(sysno.SchedYield, schedYield, full),
	call2(sysno.SchedGetparam, schedGetparam, full),
	call2(sysno.SchedSetparam, schedSetparam, full),
	call1(sysno.SchedGetscheduler, schedGetscheduler, full),
	call3(sysno.SchedSetscheduler, schedSetscheduler, full),
	call3(sysno.SchedGetaffinity, schedGetaffinity, full),
	call3(sysno.SchedSetaffinity, schedSetaffinity, full),
	call1(sysno.SchedGetPriorityMax, schedGetPriorityMax, full),
	call1(sysno.SchedGetPriorityMin, schedGetPriorityMin, full),
	call2(sysno.SchedRrGetInterval, schedRrGetInterval, full),
	call4(sysno.SchedGetattr, schedGetattr, full),
	call3(sysno.SchedSetattr, schedSetattr, except("SCHED_DEADLINE", "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX")),
	call2(sysno.Getpriority, getpriority, full),
	call3(sysno.Setpriority, setpriority, full),
	call2(sysno.IoprioGet, ioprioGet, full),
	call3(sysno.IoprioSet, ioprioSet, full),
}

func schedYield(t *kernel.Task) (uint64, error) {
	t.Yield()
	return 0, nil
}

// taskByTID finds the thread that a sched call names; 0 is the caller.
func taskByTID(t *kernel.Task, tid int32) (*kernel.Task, error) {
	switch {
	case tid < 0:
		return nil, errno.EINVAL
	case tid == 0:
		return t, nil
	}
	if u := t.PIDNS().Task(tid); u != nil {
		return u, nil
	}
	return nil, errno.ESRCH
}

// mayReschedule says whether t may change u's scheduling.
func mayReschedule(t, u *kernel.Task) bool {
	me, it := t.Creds(), u.Creds()
	return me.EUID == it.EUID || me.EUID == it.UID || me.HasCapIn(linux.CAP_SYS_NICE, it.UserNS)
}

func schedGetparam(t *kernel.Task, tid int32, p usermem.Ptr[linux.SchedParam]) (uint64, error) {
	if p == 0 {
		return 0, errno.EINVAL
	}
	u, err := taskByTID(t, tid)
	if err != nil {
		return 0, err
	}
	return 0, p.Store(t, linux.SchedParam{Priority: u.Sched().Priority})
}

func schedGetscheduler(t *kernel.Task, tid int32) (uint64, error) {
	u, err := taskByTID(t, tid)
	if err != nil {
		return 0, err
	}
	s := u.Sched()
	v := uint64(s.Policy)
	if s.Reset {
		v |= linux.SCHED_RESET_ON_FORK
	}
	return v, nil
}

func schedSetparam(t *kernel.Task, tid int32, p usermem.Ptr[linux.SchedParam]) (uint64, error) {
	if p == 0 {
		return 0, errno.EINVAL
	}
	u, err := taskByTID(t, tid)
	if err != nil {
		return 0, err
	}
	v, err := p.Load(t)
	if err != nil {
		return 0, err
	}
	s := u.Sched()
	s.Priority = v.Priority
	return 0, setSched(t, u, s)
}

func schedSetscheduler(t *kernel.Task, tid, policy int32, p usermem.Ptr[linux.SchedParam]) (uint64, error) {
	if p == 0 || policy < 0 {
		return 0, errno.EINVAL
	}
	u, err := taskByTID(t, tid)
	if err != nil {
		return 0, err
	}
	v, err := p.Load(t)
	if err != nil {
		return 0, err
	}
	s := u.Sched()
	s.Policy, s.Priority = policy&^linux.SCHED_RESET_ON_FORK, v.Priority
	s.Reset = policy&linux.SCHED_RESET_ON_FORK != 0
	return 0, setSched(t, u, s)
}

// priorityRange is what static priorities a policy has; ok is false for a
// policy that there is not.
func priorityRange(policy int32) (low, high int32, ok bool) {
	switch policy {
	case linux.SCHED_FIFO, linux.SCHED_RR:
		return 1, 99, true
	case linux.SCHED_NORMAL, linux.SCHED_BATCH, linux.SCHED_IDLE:
		return 0, 0, true
	}
	return 0, 0, false
}

func setSched(t, u *kernel.Task, s kernel.Sched) error {
	low, high, ok := priorityRange(s.Policy)
	if !ok || s.Priority < low || s.Priority > high {
		return errno.EINVAL
	}
	if !t.Creds().HasCap(linux.CAP_SYS_NICE) {
		was := u.Sched()
		limit := u.Limit(linux.RLIMIT_RTPRIO).Cur
		realTime := high > 0
		if realTime && (limit == 0 && was.Policy != s.Policy || s.Priority > was.Priority && uint64(s.Priority) > limit) ||
			was.Reset && !s.Reset || !mayReschedule(t, u) {
			return errno.EPERM
		}
	}
	u.UpdateSched(func(x *kernel.Sched) { x.Policy, x.Priority, x.Reset = s.Policy, s.Priority, s.Reset })
	return nil
}

func schedGetPriorityMax(t *kernel.Task, policy int32) (uint64, error) {
	_, high, ok := priorityRange(policy)
	if !ok && policy != linux.SCHED_DEADLINE {
		return 0, errno.EINVAL
	}
	return uint64(high), nil
}

func schedGetPriorityMin(t *kernel.Task, policy int32) (uint64, error) {
	low, _, ok := priorityRange(policy)
	if !ok && policy != linux.SCHED_DEADLINE {
		return 0, errno.EINVAL
	}
	return uint64(low), nil
}

// schedRrGetInterval stores Linux's round-robin slice, or its base slice.
func schedRrGetInterval(t *kernel.Task, tid int32, p usermem.Ptr[linux.Timespec]) (uint64, error) {
	u, err := taskByTID(t, tid)
	if err != nil {
		return 0, err
	}
	ns := int64(3e6)
	switch u.Sched().Policy {
	case linux.SCHED_RR:
		ns = 100e6
	case linux.SCHED_FIFO:
		ns = 0
	}
	return 0, p.Store(t, linux.NsecToTimespec(ns))
}

func schedGetattr(t *kernel.Task, tid int32, p usermem.Ptr[linux.SchedAttr], size, flags uint32) (uint64, error) {
	if p == 0 || flags != 0 || size < linux.SCHED_ATTR_SIZE_VER0 || size > usermem.PageSize {
		return 0, errno.EINVAL
	}
	u, err := taskByTID(t, tid)
	if err != nil {
		return 0, err
	}
	s := u.Sched()
	a := linux.SchedAttr{Policy: uint32(s.Policy), Nice: s.Nice, Priority: uint32(s.Priority)}
	if s.Reset {
		a.Flags = linux.SCHED_FLAG_RESET_ON_FORK
	}
	b := usermem.Bytes(&a)
	n := min(int(size), len(b))
	a.Size = uint32(n)
	_, err = t.CopyOut(p.Addr(), b[:n])
	return 0, err
}

func schedSetattr(t *kernel.Task, tid int32, p usermem.Ptr[linux.SchedAttr], flags uint32) (uint64, error) {
	if p == 0 || flags != 0 {
		return 0, errno.EINVAL
	}
	size, err := usermem.Ptr[uint32](p).Load(t)
	if err != nil {
		return 0, err
	}
	if size == 0 {
		size = linux.SCHED_ATTR_SIZE_VER0
	}
	a, err := loadVersioned[linux.SchedAttr](t, p.Addr(), uint64(size), linux.SCHED_ATTR_SIZE_VER0)
	if err != nil {
		return 0, err
	}
	u, err := taskByTID(t, tid)
	if err != nil {
		return 0, err
	}
	if a.Flags&^linux.SCHED_FLAG_RESET_ON_FORK != 0 {
		return 0, errno.EINVAL
	}
	s := u.Sched()
	s.Policy, s.Priority = int32(a.Policy), int32(a.Priority)
	s.Reset = a.Flags&linux.SCHED_FLAG_RESET_ON_FORK != 0
	if err := setSched(t, u, s); err != nil {
		return 0, err
	}
	if _, high, _ := priorityRange(s.Policy); high == 0 {
		return 0, setNice(t, u, a.Nice)
	}
	return 0, nil
}

// schedGetaffinity stores the mask and returns its size in bytes. A negative id
// is no invalid argument here but nobody's: ESRCH.
func schedGetaffinity(t *kernel.Task, tid int32, size uint32, mask usermem.Addr) (uint64, error) {
	u, err := taskByTID(t, tid)
	if tid < 0 {
		err = errno.ESRCH
	}
	if err != nil {
		return 0, err
	}
	cpus := t.Kernel().CPUs()
	if uint64(size)*8 < uint64(cpus) || size%8 != 0 {
		return 0, errno.EINVAL
	}
	n := min(int(size), (cpus+63)/64*8)
	b := make([]byte, n)
	set := u.Sched().Affinity
	for i := range cpus {
		if set == 0 || i >= 64 || set&(1<<i) != 0 {
			b[i/8] |= 1 << (i % 8)
		}
	}
	_, err = t.CopyOut(mask, b)
	return uint64(n), err
}

func schedSetaffinity(t *kernel.Task, tid int32, size uint32, mask usermem.Addr) (uint64, error) {
	b := make([]byte, min(size, 128))
	if _, err := t.CopyIn(b, mask); err != nil {
		return 0, err
	}
	u, err := taskByTID(t, tid)
	if tid < 0 {
		err = errno.ESRCH
	}
	if err != nil {
		return 0, err
	}
	if !mayReschedule(t, u) {
		return 0, errno.EPERM
	}
	var set uint64
	for i := range min(t.Kernel().CPUs(), 64, len(b)*8) {
		if b[i/8]&(1<<(i%8)) != 0 {
			set |= 1 << i
		}
	}
	if set == 0 {
		return 0, errno.EINVAL
	}
	u.UpdateSched(func(s *kernel.Sched) { s.Affinity = set })
	return 0, nil
}

// tasksOf lists the threads that getpriority and ioprio calls name; each has
// its own numbers for the kinds.
func tasksOf(t *kernel.Task, kind, process, pgrp, user, who int32) ([]*kernel.Task, error) {
	switch kind {
	case process:
		u, err := taskByTID(t, who)
		if err != nil {
			return nil, errno.ESRCH
		}
		return []*kernel.Task{u}, nil
	case pgrp:
		p := t.ThreadGroup().ProcessGroup()
		if who != 0 {
			p = t.PIDNS().ProcessGroup(who)
		}
		if p == nil {
			return nil, errno.ESRCH
		}
		var all []*kernel.Task
		for _, g := range t.Kernel().Members(p) {
			all = append(all, g.Tasks()...)
		}
		return all, nil
	case user:
		uid := t.Creds().UID
		if who != 0 {
			k, ok := t.Creds().UserNS.KUID(uint32(who))
			if !ok {
				return nil, errno.ESRCH
			}
			uid = k
		}
		var all []*kernel.Task
		for _, g := range t.PIDNS().ThreadGroups() {
			for _, u := range g.Tasks() {
				if u.Creds().UID == uid {
					all = append(all, u)
				}
			}
		}
		return all, nil
	}
	return nil, errno.EINVAL
}

// getpriority returns 20 minus the lowest nice value, which is never negative.
func getpriority(t *kernel.Task, kind, who int32) (uint64, error) {
	all, err := tasksOf(t, kind, linux.PRIO_PROCESS, linux.PRIO_PGRP, linux.PRIO_USER, who)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return 0, errno.ESRCH
	}
	best := int32(20)
	for _, u := range all {
		best = min(best, u.Sched().Nice)
	}
	return uint64(20 - best), nil
}

func setpriority(t *kernel.Task, kind, who, nice int32) (uint64, error) {
	all, err := tasksOf(t, kind, linux.PRIO_PROCESS, linux.PRIO_PGRP, linux.PRIO_USER, who)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return 0, errno.ESRCH
	}
	var result error
	for _, u := range all {
		if err := setNice(t, u, nice); err != nil {
			result = err
		}
	}
	return 0, result
}

func setNice(t, u *kernel.Task, nice int32) error {
	nice = max(-20, min(19, nice))
	if !mayReschedule(t, u) {
		return errno.EPERM
	}
	// RLIMIT_NICE counts from 20 downwards.
	if nice < u.Sched().Nice && !t.Creds().HasCap(linux.CAP_SYS_NICE) && uint64(20-nice) > u.Limit(linux.RLIMIT_NICE).Cur {
		return errno.EACCES
	}
	u.UpdateSched(func(s *kernel.Sched) { s.Nice = nice })
	return nil
}

func ioprioGet(t *kernel.Task, kind, who int32) (uint64, error) {
	all, err := tasksOf(t, kind, linux.IOPRIO_WHO_PROCESS, linux.IOPRIO_WHO_PGRP, linux.IOPRIO_WHO_USER, who)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return 0, errno.ESRCH
	}
	best := all[0].Sched().IOPrio
	for _, u := range all[1:] {
		best = min(best, u.Sched().IOPrio)
	}
	return uint64(best), nil
}

func ioprioSet(t *kernel.Task, kind, who, prio int32) (uint64, error) {
	switch class, level := prio>>linux.IOPRIO_CLASS_SHIFT, prio&(1<<linux.IOPRIO_CLASS_SHIFT-1); {
	case class < 0 || class > linux.IOPRIO_CLASS_IDLE, class == linux.IOPRIO_CLASS_NONE && level != 0:
		return 0, errno.EINVAL
	case class == linux.IOPRIO_CLASS_RT && !t.Creds().HasCap(linux.CAP_SYS_ADMIN) && !t.Creds().HasCap(linux.CAP_SYS_NICE):
		return 0, errno.EPERM
	}
	all, err := tasksOf(t, kind, linux.IOPRIO_WHO_PROCESS, linux.IOPRIO_WHO_PGRP, linux.IOPRIO_WHO_USER, who)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return 0, errno.ESRCH
	}
	for _, u := range all {
		if !mayReschedule(t, u) {
			return 0, errno.EPERM
		}
		u.UpdateSched(func(s *kernel.Sched) { s.IOPrio = prio })
	}
	return 0, nil
}
