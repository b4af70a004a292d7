package futex

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// space is an address space of 4 KiB at address 0x1000.
type space struct {
	mu    sync.Mutex
	bytes [4096]byte
}

func (m *space) CopyIn(dst []byte, a usermem.Addr) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a < 0x1000 || a >= 0x2000 {
		return 0, errno.EFAULT
	}
	n := copy(dst, m.bytes[a-0x1000:])
	if n < len(dst) {
		return n, errno.EFAULT
	}
	return n, nil
}

func (m *space) CopyOut(a usermem.Addr, src []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a < 0x1000 || a >= 0x2000 {
		return 0, errno.EFAULT
	}
	return copy(m.bytes[a-0x1000:], src), nil
}

func (m *space) CopyInVec([]byte, []usermem.Range) (int, error)  { panic("unused") }
func (m *space) CopyOutVec([]usermem.Range, []byte) (int, error) { panic("unused") }

func (m *space) FutexKey(a usermem.Addr, s Scope) (Key, error) {
	if a < 0x1000 || a >= 0x2000 {
		return Key{}, errno.EFAULT
	}
	return Key{Object: m, Offset: uint64(a)}, nil
}

func (m *space) LoadWord(a usermem.Addr) (uint32, error) {
	var b [4]byte
	_, err := m.CopyIn(b[:], a)
	return binary.LittleEndian.Uint32(b[:]), err
}

func (m *space) CompareAndSwapWord(a usermem.Addr, old, new uint32) (uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a < 0x1000 || a >= 0x2000 {
		return 0, errno.EFAULT
	}
	b := m.bytes[a-0x1000:][:4]
	found := binary.LittleEndian.Uint32(b)
	if found == old {
		binary.LittleEndian.PutUint32(b, new)
	}
	return found, nil
}

func (m *space) set(a usermem.Addr, v uint32) {
	_, _ = m.CopyOut(a, binary.LittleEndian.AppendUint32(nil, v))
}

func (m *space) get(a usermem.Addr) uint32 { v, _ := m.LoadWord(a); return v }

// thread is a Sleeper.
type thread struct {
	ch  chan struct{}
	sig chan struct{}
}

func newThread() *thread {
	return &thread{make(chan struct{}, 1), make(chan struct{}, 1)}
}

func (t *thread) Waker() waiter.Waker { return t }

func (t *thread) Wake(*waiter.Entry, waiter.Events) bool {
	select {
	case t.ch <- struct{}{}:
	default:
	}
	return true
}

func (t *thread) Sleep(d waiter.Deadline) error {
	var timeout <-chan time.Time
	if !d.IsNever() {
		timeout = time.After(time.Until(d.At))
	}
	select {
	case <-t.ch:
		return nil
	case <-t.sig:
		return errno.ERESTARTSYS
	case <-timeout:
		return errno.ETIMEDOUT
	}
}

func private(a usermem.Addr) Word { return Word{a, Private} }

// queued waits until n waiters sleep in t.
func queued(tb testing.TB, t *Manager, n int) {
	for range 5000 {
		got := 0
		for i := range t.buckets {
			b := &t.buckets[i]
			b.mu.Lock()
			for e := b.head; e != nil; e = e.next {
				got++
			}
			b.mu.Unlock()
		}
		if got == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	tb.Fatalf("not %d waiters", n)
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestWaitChecksTheWord(t *testing.T) {
	tab := NewManager()
	m := &space{}
	m.set(0x1000, 7)
	expect(t, "other value", tab.Wait(newThread(), m, private(0x1000), 8, MatchAny, waiter.Never), errno.EAGAIN)
	expect(t, "unaligned", tab.Wait(newThread(), m, private(0x1002), 7, MatchAny, waiter.Never), errno.EINVAL)
	expect(t, "no bits", tab.Wait(newThread(), m, private(0x1000), 7, 0, waiter.Never), errno.EINVAL)
	expect(t, "unmapped", tab.Wait(newThread(), m, private(0x8000), 7, MatchAny, waiter.Never), errno.EFAULT)
	d := waiter.After(time.Millisecond)
	expect(t, "timeout", tab.Wait(newThread(), m, private(0x1000), 7, MatchAny, d), errno.ETIMEDOUT)
	th := newThread()
	th.sig <- struct{}{}
	expect(t, "signal", tab.Wait(th, m, private(0x1000), 7, MatchAny, waiter.Never), errno.ERESTARTSYS)
	queued(t, tab, 0)
}

func start(tab *Manager, m *space, a usermem.Addr, bits uint32) chan error {
	done := make(chan error, 1)
	go func() { done <- tab.Wait(newThread(), m, private(a), 0, bits, waiter.Never) }()
	return done
}

func TestWakeCountsAndBits(t *testing.T) {
	tab := NewManager()
	m := &space{}
	a := start(tab, m, 0x1000, 1)
	queued(t, tab, 1)
	b := start(tab, m, 0x1000, 2)
	queued(t, tab, 2)
	n, err := tab.Wake(m, private(0x1000), 5, 2)
	expect(t, "woken", n, 1)
	expect(t, "err", err, nil)
	expect(t, "b", <-b, nil)
	n, _ = tab.Wake(m, private(0x1004), 5, MatchAny)
	expect(t, "other word", n, 0)
	n, _ = tab.Wake(m, private(0x1000), 0, MatchAny)
	expect(t, "count 0 wakes one", n, 1)
	expect(t, "a", <-a, nil)
}

func TestRequeue(t *testing.T) {
	tab := NewManager()
	m := &space{}
	var ws []chan error
	for i := range 3 {
		ws = append(ws, start(tab, m, 0x1000, MatchAny))
		queued(t, tab, i+1)
	}
	_, err := tab.Requeue(m, private(0x1000), private(0x1100), 1, 9, Compare{true, 1})
	expect(t, "compare", err, errno.EAGAIN)
	n, err := tab.Requeue(m, private(0x1000), private(0x1100), 1, 9, Compare{true, 0})
	expect(t, "requeued", n, 3)
	expect(t, "err", err, nil)
	expect(t, "first", <-ws[0], nil)
	n, _ = tab.Wake(m, private(0x1000), 9, MatchAny)
	expect(t, "left at the old word", n, 0)
	n, _ = tab.Wake(m, private(0x1100), 9, MatchAny)
	expect(t, "woken at the new word", n, 2)
	expect(t, "second", <-ws[1], nil)
	expect(t, "third", <-ws[2], nil)
	_, err = tab.Requeue(m, private(0x1000), private(0x1100), -1, 0, Compare{})
	expect(t, "negative", err, errno.EINVAL)
}

func TestWakeOp(t *testing.T) {
	tab := NewManager()
	m := &space{}
	a := start(tab, m, 0x1000, MatchAny)
	b := start(tab, m, 0x1100, MatchAny)
	queued(t, tab, 2)
	m.set(0x1100, 5)
	// add -1; then wake the second too if the old value was > 4
	op := uint32(opAdd<<28|cmpGT<<24|0xfff<<12) | 4
	n, err := tab.WakeOp(m, private(0x1000), private(0x1100), 1, 1, op)
	expect(t, "woken", n, 2)
	expect(t, "err", err, nil)
	expect(t, "word", m.get(0x1100), uint32(4))
	expect(t, "a", <-a, nil)
	expect(t, "b", <-b, nil)
	_, err = tab.WakeOp(m, private(0x1000), private(0x1100), 1, 1, 7<<28)
	expect(t, "no such operation", err, errno.ENOSYS)
}

func TestWaitAny(t *testing.T) {
	tab := NewManager()
	m := &space{}
	done := make(chan int, 1)
	words := []Vector{{private(0x1000), 0}, {private(0x1010), 0}, {private(0x1020), 0}}
	go func() {
		n, _ := tab.WaitAny(newThread(), m, words, waiter.Never)
		done <- n
	}()
	queued(t, tab, 3)
	_, _ = tab.Wake(m, private(0x1010), 1, MatchAny)
	expect(t, "index", <-done, 1)
	queued(t, tab, 0)
	m.set(0x1020, 1)
	_, err := tab.WaitAny(newThread(), m, words, waiter.Never)
	expect(t, "changed", err, errno.EAGAIN)
	queued(t, tab, 0)
}

var dead atomic.Uint32

func owner(tid uint32, alive ...uint32) Owner {
	return Owner{Task: tid, TID: tid, Find: func(id uint32) any {
		for _, a := range alive {
			if a == id && dead.Load() != id {
				return id
			}
		}
		return nil
	}}
}

func TestPILock(t *testing.T) {
	tab := NewManager()
	m := &space{}
	w := private(0x1000)
	one, two, three := owner(1, 1, 2, 3), owner(2, 1, 2, 3), owner(3, 1, 2, 3)
	expect(t, "free", tab.LockPI(newThread(), m, w, one, waiter.Never, Block), nil)
	expect(t, "word", m.get(0x1000), uint32(1))
	expect(t, "again", tab.LockPI(newThread(), m, w, one, waiter.Never, Block), errno.EDEADLK)
	expect(t, "try", tab.LockPI(newThread(), m, w, two, waiter.Never, TryOnly), errno.EAGAIN)
	expect(t, "dead owner", tab.LockPI(newThread(), m, w, owner(2), waiter.Never, Block), errno.ESRCH)
	expect(t, "not mine", tab.UnlockPI(m, w, two), errno.EPERM)
	got := make(chan error, 2)
	go func() { got <- tab.LockPI(newThread(), m, w, two, waiter.Never, Block) }()
	queued(t, tab, 1)
	go func() { got <- tab.LockPI(newThread(), m, w, three, waiter.Never, Block) }()
	queued(t, tab, 2)
	expect(t, "waiters bit", m.get(0x1000), uint32(1|bitWaiters))
	_, err := tab.Wake(m, w, 1, MatchAny)
	expect(t, "plain wake", err, errno.EINVAL)
	expect(t, "unlock", tab.UnlockPI(m, w, one), nil)
	expect(t, "two has it", <-got, nil)
	expect(t, "handed over", m.get(0x1000), uint32(2|bitWaiters))
	dead.Store(2)
	tab.OwnerExited(uint32(2))
	expect(t, "three has it", <-got, nil)
	expect(t, "died", m.get(0x1000)&^bitWaiters, uint32(3|bitOwnerDied))
	expect(t, "last", tab.UnlockPI(m, w, three), nil)
	expect(t, "empty", m.get(0x1000), uint32(0))
	expect(t, "count", tab.piWaiters.Load(), int64(0))
}

func TestRobustList(t *testing.T) {
	tab := NewManager()
	m := &space{}
	const head, n1, n2, off = 0x1000, 0x1100, 0x1200, 0x10
	put := func(a usermem.Addr, v uint64) { _, _ = m.CopyOut(a, binary.LittleEndian.AppendUint64(nil, v)) }
	put(head, n1)
	put(head+8, off)
	put(head+16, 0)
	put(n1, n2)
	put(n2, head)
	m.set(n1+off, 7|bitWaiters)
	m.set(n2+off, 8) // another's
	done := make(chan error, 1)
	go func() { done <- tab.Wait(newThread(), m, Word{n1 + off, Shared}, 7|bitWaiters, MatchAny, waiter.Never) }()
	queued(t, tab, 1)
	tab.ReleaseRobust(m, head, owner(7))
	expect(t, "woken", <-done, nil)
	expect(t, "mine", m.get(n1+off), uint32(bitWaiters|bitOwnerDied))
	expect(t, "another's", m.get(n2+off), uint32(8))
	put(n2, n1) // circular
	tab.ReleaseRobust(m, head, owner(7))
	tab.ReleaseRobust(m, 0x9000, owner(7)) // unmapped
}

// TestMutexContention runs a mutex as libc builds it and counts.
func TestMutexContention(t *testing.T) {
	tab := NewManager()
	m := &space{}
	const threads, rounds = 4, 300
	count := 0
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			th := newThread()
			for range rounds {
				c, _ := m.CompareAndSwapWord(0x1000, 0, 1)
				for c != 0 {
					if c == 2 || swap(m, 1, 2) != 0 {
						_ = tab.Wait(th, m, private(0x1000), 2, MatchAny, waiter.Never)
					}
					c, _ = m.CompareAndSwapWord(0x1000, 0, 2)
				}
				count++
				if m.exchange(0x1000, 0) == 2 {
					_, _ = tab.Wake(m, private(0x1000), 1, MatchAny)
				}
			}
		})
	}
	wg.Wait()
	expect(t, "count", count, threads*rounds)
}

func swap(m *space, old, new uint32) uint32 {
	v, _ := m.CompareAndSwapWord(0x1000, old, new)
	return v
}

func (m *space) exchange(a usermem.Addr, v uint32) uint32 {
	for {
		old := m.get(a)
		if found, _ := m.CompareAndSwapWord(a, old, v); found == old {
			return old
		}
	}
}

func BenchmarkWakeNobody(b *testing.B) {
	tab := NewManager()
	m := &space{}
	for b.Loop() {
		_, _ = tab.Wake(m, private(0x1000), 1, MatchAny)
	}
}
