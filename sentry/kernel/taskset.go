package kernel

import (
	"sort"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// taskSet is all tasks and their relations, behind one lock.
type taskSet struct {
	mu   lock.RWMutex[lockorder.TaskSet]
	root *PIDNamespace
	live map[*Task]struct{}
	// idle is signalled when live becomes empty.
	running sync.WaitGroup
}

func (s *taskSet) init(k *Kernel) {
	s.live = map[*Task]struct{}{}
	s.root = k.newPIDNamespace(nil, k.rootUserNS)
}

// forEach calls f for a snapshot of the live tasks.
func (s *taskSet) forEach(f func(*Task)) {
	s.mu.RLock()
	all := make([]*Task, 0, len(s.live))
	for t := range s.live {
		all = append(all, t)
	}
	s.mu.RUnlock()
	for _, t := range all {
		f(t)
	}
}

// RootPIDNS is the pid namespace that sees every task.
func (k *Kernel) RootPIDNS() *PIDNamespace { return k.tasks.root }

func (ns *PIDNamespace) groupsLocked() []*ThreadGroup {
	all := make([]*ThreadGroup, 0, len(ns.pids))
	for _, p := range ns.pids {
		if p.group != nil {
			all = append(all, p.group)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].pid.In(ns) < all[j].pid.In(ns) })
	return all
}

// EachFS calls f for the root and working directory of every task; those that
// tasks share come more than once.
func (k *Kernel) EachFS(f func(*vfs.FSContext)) {
	k.tasks.forEach(func(t *Task) {
		if fs := t.TakeFS(); fs != nil {
			f(fs)
			fs.DecRef()
		}
	})
}

// CountTasks returns how many tasks live and how many of them run now.
func (k *Kernel) CountTasks() (all, running int) {
	k.tasks.forEach(func(t *Task) {
		all++
		if t.State() == StateRunning {
			running++
		}
	})
	return all, running
}
