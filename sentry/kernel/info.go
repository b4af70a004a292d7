package kernel

import (
	"runtime"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
)

// What uname tells: the Linux whose behaviour the Sentry follows.
const (
	Release = "6.12.0-bulkhead"
	Version = "#1 SMP PREEMPT_DYNAMIC"
	Machine = "x86_64"
)

// DefaultTimerSlack is a task's timer slack in nanoseconds.
const DefaultTimerSlack = 50000

// CPUs is how many processors the guest sees.
func (k *Kernel) CPUs() int { return min(runtime.NumCPU(), 64) }

// sinceBoot is Uptime in nanoseconds.
func (k *Kernel) sinceBoot() int64 { return int64(time.Since(k.boot)) }

// Uptime is the time since the sandbox began.
func (k *Kernel) Uptime() time.Duration { return time.Since(k.boot) }

// Memory is the memory that the guest sees, in bytes. What its processes have
// in use is estimated (mm.Resident).
func (k *Kernel) Memory() (total, free uint64) {
	used := uint64(0)
	for _, g := range k.RootPIDNS().ThreadGroups() {
		leader := g.Leader()
		if leader == nil {
			continue
		}
		if m := leader.TakeMM(); m != nil {
			used += m.Resident().Total()
			m.DecUsers()
		}
	}
	return k.memory.Total, k.memory.Total - min(used, k.memory.Total/8*7)
}

// MemoryInfo is what the sandbox was given.
type MemoryInfo struct{ Total uint64 }

// Yield lets others run. The task goroutine may be bound to its host thread,
// which the Go scheduler would have to hand over for that: the host does it.
func (t *Task) Yield() { host.Yield() }

// Personality is the execution domain.
func (t *Task) Personality() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.personality
}

// SetPersonality changes it.
func (t *Task) SetPersonality(p uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.personality = p
}

// ClearTID is what SetClearTID set.
func (t *Task) ClearTID() uintptr { return uintptr(t.clearTID) }

// CredsChanged follows a change of effective ids: the process is no longer
// dumpable and does not hear of its parent's death.
func (t *Task) CredsChanged() {
	t.mm.SetDumpable(0)
	t.SetParentDeath(0)
}

// MayTrace is the permission check of ptrace and of what shows as much: all ids
// in common and a dumpable target, or CAP_SYS_PTRACE over it.
func (t *Task) MayTrace(u *Task) bool {
	if t.group == u.group {
		return true
	}
	me, it := t.Creds(), u.Creds()
	if me.HasCapIn(linux.CAP_SYS_PTRACE, it.UserNS) {
		return true
	}
	if me.FSUID != it.EUID || me.FSUID != it.SUID || me.FSUID != it.UID ||
		me.FSGID != it.EGID || me.FSGID != it.SGID || me.FSGID != it.GID ||
		it.Permitted&^me.Permitted != 0 {
		return false
	}
	m := u.TakeMM()
	if m == nil {
		return false
	}
	defer m.DecUsers()
	return m.Dumpable() == linux.SUID_DUMP_USER
}
