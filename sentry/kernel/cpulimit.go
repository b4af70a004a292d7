package kernel

import (
	"sync"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// cpuLimit enforces RLIMIT_CPU: SIGXCPU at the soft limit and each second
// beyond, SIGKILL at the hard one. A timer runs only in processes that have the
// limit, and fires when the process could have used up what is left.
type cpuLimit struct {
	mu    sync.Mutex
	timer *time.Timer
	next  time.Duration // when the next SIGXCPU is due, in CPU time
}

// watch starts or restarts the timer after a change of the limit.
func (c *cpuLimit) watch(g *ThreadGroup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = 0
	if c.timer == nil {
		c.timer = time.AfterFunc(0, func() { c.check(g) })
	} else {
		c.timer.Reset(0)
	}
}

// leastWait keeps the timer from firing for every small rest.
const leastWait = 10 * time.Millisecond

func (c *cpuLimit) check(g *ThreadGroup) {
	limit := g.Limit(linux.RLIMIT_CPU)
	if limit.Cur == linux.RLIM_INFINITY && limit.Max == linux.RLIM_INFINITY || g.Zombie() {
		return
	}
	u := g.Usage()
	used := u.User + u.System
	if limit.Max != linux.RLIM_INFINITY && used >= seconds(limit.Max) {
		_ = g.SendSignal(KernelSignal(linux.SIGKILL), Outside)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == 0 {
		c.next = seconds(limit.Cur)
	}
	if used >= c.next {
		_ = g.SendSignal(KernelSignal(linux.SIGXCPU), Outside)
		c.next = used.Truncate(time.Second) + time.Second
	}
	left := min(c.next, seconds(limit.Max)) - used
	c.timer.Reset(max(left/time.Duration(max(g.Count(), 1)), leastWait))
}

// seconds is a limit as a duration; what does not fit is very long.
func seconds(n uint64) time.Duration {
	const most = 1 << 32
	return time.Duration(min(n, most)) * time.Second
}
