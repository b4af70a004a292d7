//go:build lockcheck

package lock

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync"
)

// Checked reports whether this program was built to check the order.
const Checked = true

// held is one lock that a goroutine has, or waits for.
type held struct {
	lock any
	rank Rank
	name string
}

// byGoroutine is split so that goroutines seldom wait for one another's count.
var byGoroutine [64]struct {
	sync.Mutex
	locks map[uint64][]held
}

// AssertNoneHeld panics, in a checked program, when the calling goroutine holds
// a lock. A function that blocks for an unbounded time calls it.
func AssertNoneHeld() {
	id := goroutineID()
	shard := &byGoroutine[id%uint64(len(byGoroutine))]
	shard.Lock()
	defer shard.Unlock()
	if locks := shard.locks[id]; len(locks) != 0 {
		panic(fmt.Sprintf("lock: blocking while holding %s", locks[len(locks)-1]))
	}
}

func (h held) String() string { return fmt.Sprintf("%s (rank %d)", h.name, h.rank) }

func describe[C Class](lock any) held {
	var class C
	return held{lock: lock, rank: class.Rank(), name: fmt.Sprintf("%T", class)}
}

func acquiring[C Class](lock any) {
	record(describe[C](lock), func(taking, have held) bool { return have.rank < taking.rank })
}

func acquiringNested[C Class](lock any) {
	record(describe[C](lock), func(taking, have held) bool {
		return have.rank < taking.rank || have.name == taking.name && have.lock != taking.lock
	})
}

func acquired[C Class](lock any) {
	record(describe[C](lock), func(taking, have held) bool { return true })
}

// record notes the lock before it is waited for, so that an inversion is
// reported also when it leads to a deadlock this time.
func record(taking held, allowed func(taking, have held) bool) {
	id := goroutineID()
	shard := &byGoroutine[id%uint64(len(byGoroutine))]
	shard.Lock()
	defer shard.Unlock()
	for _, have := range shard.locks[id] {
		if !allowed(taking, have) {
			panic(fmt.Sprintf("lock: taking %s while holding %s", taking, have))
		}
	}
	if shard.locks == nil {
		shard.locks = map[uint64][]held{}
	}
	shard.locks[id] = append(shard.locks[id], taking)
}

func releasing(lock any) {
	id := goroutineID()
	shard := &byGoroutine[id%uint64(len(byGoroutine))]
	shard.Lock()
	defer shard.Unlock()
	locks := shard.locks[id]
	for i := len(locks) - 1; i >= 0; i-- {
		if locks[i].lock != lock {
			continue
		}
		if len(locks) == 1 {
			delete(shard.locks, id)
			return
		}
		shard.locks[id] = append(locks[:i:i], locks[i+1:]...)
		return
	}
	panic(fmt.Sprintf("lock: releasing a %T that the goroutine does not hold", lock))
}

// goroutineID reads the number in the first line of a stack trace, "goroutine
// 17 [running]:". There is no other way without reaching into the runtime; it
// costs a microsecond, which only checked programs pay.
func goroutineID() uint64 {
	var buf [40]byte
	line := buf[:runtime.Stack(buf[:], false)]
	line = bytes.TrimPrefix(line, []byte("goroutine "))
	number, _, _ := bytes.Cut(line, []byte(" "))
	id, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("lock: no goroutine number in %q", buf))
	}
	return id
}
