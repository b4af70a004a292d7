package epoll

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// nesting guards which instances watch which, of all kernels: interests of
// instances in instances are rare.
var nesting lock.Mutex[lockorder.EpollNesting]

// maxNesting is how many instances may stand in a chain, as on Linux
// (EP_MAX_NESTS edges).
const maxNesting = 5

// mayNest says whether outer may watch inner: ELOOP if inner already leads to
// outer, or if the chain would be too long. Nesting is locked.
func mayNest(outer, inner *Instance) error {
	below, loop := depthBelow(inner, outer, 1)
	if loop || below+depthAbove(outer, 1) > maxNesting {
		return errno.ELOOP
	}
	return nil
}

// depthBelow is how long the longest chain of instances from ep down is, and
// whether one of them is target. It stops where it is too long.
func depthBelow(ep, target *Instance, depth int) (int, bool) {
	if ep == target {
		return depth, true
	}
	deepest := depth
	if depth > maxNesting {
		return depth, false
	}
	for _, inner := range ep.children() {
		n, loop := depthBelow(inner, target, depth+1)
		if loop {
			return n, true
		}
		deepest = max(deepest, n)
	}
	return deepest, false
}

func (ep *Instance) children() []*Instance {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	var out []*Instance
	for d := range ep.items {
		if inner, ok := d.File().(*Instance); ok {
			out = append(out, inner)
		}
	}
	return out
}

func depthAbove(ep *Instance, depth int) int {
	deepest := depth
	if depth > maxNesting {
		return depth
	}
	for p := range ep.parents {
		deepest = max(deepest, depthAbove(p, depth+1))
	}
	return deepest
}

func (ep *Instance) addParent(p *Instance) {
	if ep.parents == nil {
		ep.parents = map[*Instance]int{}
	}
	ep.parents[p]++
}

func (ep *Instance) removeParent(p *Instance) {
	if ep.parents[p]--; ep.parents[p] == 0 {
		delete(ep.parents, p)
	}
}
