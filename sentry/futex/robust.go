package futex

import "github.com/bulkhead-sandbox/bulkhead/sentry/usermem"

// RobustListHead is struct robust_list_head.
type RobustListHead struct {
	Next    usermem.Ptr[RobustNext]
	Offset  int64
	Pending usermem.Ptr[RobustNext]
}

// RobustNext is struct robust_list: the address of the next element, whose
// lowest bit says that the lock is a PI lock.
type RobustNext uint64

// RobustListHeadSize is the size that set_robust_list must be given.
const RobustListHeadSize = 24

// robustLimit bounds the walk of a list that the guest may have made circular.
const robustLimit = 2048

// ReleaseRobust does for a task that exits, or executes a new program, what its
// robust list asks for: each lock on it that the task still has is marked with
// OWNER_DIED and one waiter is woken. A list that cannot be read ends the walk.
func (t *Manager) ReleaseRobust(m Memory, head usermem.Ptr[RobustListHead], o Owner) {
	if head.IsNil() {
		return
	}
	h, err := head.Load(m)
	if err != nil {
		return
	}
	pendingPI := h.Pending&1 != 0
	pending := h.Pending &^ 1
	node := h.Next
	for i := 0; i < robustLimit && node&^1 != 0 && usermem.Addr(node&^1) != head.Addr(); i++ {
		pi := node&1 != 0
		node &^= 1
		// The next one is read first: a woken thread may free the node.
		next, err := node.Load(m)
		if node != pending {
			t.ownerDied(m, lockAt(node, h.Offset), o, lockKind{pi: pi})
		}
		if err != nil {
			return
		}
		node = usermem.Ptr[RobustNext](next)
	}
	if pending != 0 {
		t.ownerDied(m, lockAt(pending, h.Offset), o, lockKind{pi: pendingPI, pending: true})
	}
}

func lockAt(node usermem.Ptr[RobustNext], offset int64) usermem.Addr {
	return node.Addr() + usermem.Addr(offset)
}

type lockKind struct{ pi, pending bool }

// ownerDied releases one lock of a robust list. Robust locks are shared between
// processes, or may be, so the key is looked up both ways.
func (t *Manager) ownerDied(m Memory, addr usermem.Addr, o Owner, kind lockKind) {
	if addr&3 != 0 {
		return
	}
	word, err := m.LoadWord(addr)
	for err == nil {
		// A thread that died between taking the word out and waking leaves
		// a free word and sleepers: kernel/futex/core.c wakes one.
		if kind.pending && !kind.pi && word == 0 {
			t.wakeOneBothScopes(m, addr)
			return
		}
		if word&maskTID != o.TID {
			return
		}
		var found uint32
		found, err = m.CompareAndSwapWord(addr, word, word&bitWaiters|bitOwnerDied)
		if err == nil && found == word {
			if !kind.pi && word&bitWaiters != 0 {
				t.wakeOneBothScopes(m, addr)
			}
			return
		}
		word = found
	}
}

func (t *Manager) wakeOneBothScopes(m Memory, addr usermem.Addr) {
	if n, _ := t.Wake(m, Word{addr, Shared}, 1, MatchAny); n == 0 {
		_, _ = t.Wake(m, Word{addr, Private}, 1, MatchAny)
	}
}
