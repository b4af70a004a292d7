// Package lock has mutexes that know their place in the order of locks.
//
// A lock's class is a type parameter: Mutex[C], RWMutex[C], and Guarded[C, T],
// which holds the data it protects so that nobody reaches it without Lock. A
// class is an empty struct that says what it lies inside of:
//
//	type (
//		Outer  struct{ lock.Outermost }
//		Middle struct{ lock.Inside[Outer] }
//		Inner  struct{ lock.Inside[Middle] }
//	)
//
// A goroutine may take a lock only when it lies inside everything that the
// goroutine holds. Built with -tags lockcheck the package keeps count of what
// each goroutine holds and panics with both names when the rule is broken, when
// a lock is released by a goroutine that does not hold it, and in
// AssertNoneHeld. Without the tag the checks compile to nothing and a Mutex
// costs what sync.Mutex does.
//
// The package knows no class of its own; the Sentry's are in sentry/lockorder.
package lock

import "sync"

// Rank is a class's depth: the outermost class has 1.
type Rank int

// Class is what a lock's type parameter must be: a struct that embeds Outermost
// or Inside.
type Class interface {
	comparable
	Rank() Rank
}

// Outermost is embedded by the class that is taken first.
type Outermost struct{}

// Rank implements Class.
func (Outermost) Rank() Rank { return 1 }

// Inside is embedded by a class that may be taken while an O is held.
type Inside[O Class] struct{}

// Rank implements Class.
func (Inside[O]) Rank() Rank {
	var outer O
	return outer.Rank() + 1
}

// Mutex is a sync.Mutex of class C. The zero Mutex is unlocked.
type Mutex[C Class] struct {
	mu sync.Mutex
}

// Lock takes m.
func (m *Mutex[C]) Lock() {
	acquiring[C](m)
	m.mu.Lock()
}

// LockNested takes m while another lock of the same class is held. The caller
// says in a comment which order it follows among the locks of the class.
func (m *Mutex[C]) LockNested() {
	acquiringNested[C](m)
	m.mu.Lock()
}

// TryLock takes m if it is free. It cannot block, so no order binds it.
func (m *Mutex[C]) TryLock() bool {
	if !m.mu.TryLock() {
		return false
	}
	acquired[C](m)
	return true
}

// Unlock releases m.
func (m *Mutex[C]) Unlock() {
	releasing(m)
	m.mu.Unlock()
}

// RWMutex is a sync.RWMutex of class C. The zero RWMutex is unlocked. Readers
// obey the order too: a second RLock behind a waiting writer never returns.
type RWMutex[C Class] struct {
	mu sync.RWMutex
}

// Lock takes m for writing.
func (m *RWMutex[C]) Lock() {
	acquiring[C](m)
	m.mu.Lock()
}

// LockNested takes m for writing while another lock of the same class is held.
func (m *RWMutex[C]) LockNested() {
	acquiringNested[C](m)
	m.mu.Lock()
}

// TryLock takes m for writing if it is free.
func (m *RWMutex[C]) TryLock() bool {
	if !m.mu.TryLock() {
		return false
	}
	acquired[C](m)
	return true
}

// Unlock releases m from writing.
func (m *RWMutex[C]) Unlock() {
	releasing(m)
	m.mu.Unlock()
}

// RLock takes m for reading.
func (m *RWMutex[C]) RLock() {
	acquiring[C](m)
	m.mu.RLock()
}

// RLockNested takes m for reading while another lock of the same class is held.
func (m *RWMutex[C]) RLockNested() {
	acquiringNested[C](m)
	m.mu.RLock()
}

// RUnlock releases m from reading.
func (m *RWMutex[C]) RUnlock() {
	releasing(m)
	m.mu.RUnlock()
}

// Guarded is a T that is reached only while its lock is held. The zero Guarded
// holds the zero T.
type Guarded[C Class, T any] struct {
	mu   Mutex[C]
	data T
}

// Lock takes the lock and returns the data, which the caller forgets at Unlock.
func (g *Guarded[C, T]) Lock() *T {
	g.mu.Lock()
	return &g.data
}

// LockNested is Lock while another lock of the same class is held.
func (g *Guarded[C, T]) LockNested() *T {
	g.mu.LockNested()
	return &g.data
}

// Unlock releases the lock.
func (g *Guarded[C, T]) Unlock() { g.mu.Unlock() }
