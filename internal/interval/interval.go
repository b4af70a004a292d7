// Package interval has an ordered map from ranges of integers to values: the
// mappings of an address space, the record locks of a file, the blocks of a
// sparse file.
//
// A Map holds entries whose ranges do not overlap, in order. Ranges are
// half-open. Changing a part of an entry splits it, and neighbours whose values
// say that they continue one another are joined again, so a Map is always in
// its shortest form. The value type decides both through the Value constraint:
// a mapping of a file adds to its offset when it loses its head.
//
// Entries lie in one sorted slice: a lookup is a binary search, and a change
// moves what follows it (1,000 entries of 40 bytes in about a microsecond),
// which at the sizes that occur is faster than a tree. A Map has no lock and
// never blocks.
package interval

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
)

// Key is what ranges are made of.
type Key interface {
	~int64 | ~uint64 | ~uint32 | ~uintptr
}

// Value is what a map's values must know about themselves.
type Value[K Key, V any] interface {
	// After returns the value of what is left when the first n of an entry
	// with this value are cut off.
	After(n K) V

	// Continues reports whether next, the value of the entry that begins
	// where an entry of length n with this value ends, only goes on with it:
	// whether After(n) would be next.
	Continues(n K, next V) bool
}

// Range is the keys from Start up to but not including End.
type Range[K Key] struct {
	Start, End K
}

// Len returns the number of keys in r.
func (r Range[K]) Len() K { return r.End - r.Start }

// Empty reports whether r has no key.
func (r Range[K]) Empty() bool { return r.End <= r.Start }

// Contains reports whether k is in r.
func (r Range[K]) Contains(k K) bool { return k >= r.Start && k < r.End }

// Covers reports whether all of o is in r.
func (r Range[K]) Covers(o Range[K]) bool { return o.Start >= r.Start && o.End <= r.End }

// Overlaps reports whether r and o share a key.
func (r Range[K]) Overlaps(o Range[K]) bool {
	return r.Start < o.End && o.Start < r.End && !r.Empty() && !o.Empty()
}

// Intersect returns the keys that r and o share.
func (r Range[K]) Intersect(o Range[K]) Range[K] {
	out := Range[K]{max(r.Start, o.Start), min(r.End, o.End)}
	if out.Empty() {
		return Range[K]{}
	}
	return out
}

// Entry is a range and its value.
type Entry[K Key, V any] struct {
	Range[K]
	Value V
}

// Map maps ranges to values. The zero Map is empty.
type Map[K Key, V Value[K, V]] struct {
	entries []Entry[K, V]
}

// Len returns the number of entries.
func (m *Map[K, V]) Len() int { return len(m.entries) }

// Find returns the entry that contains k.
func (m *Map[K, V]) Find(k K) (Entry[K, V], bool) {
	e, ok := m.FindNext(k)
	if !ok || !e.Contains(k) {
		return Entry[K, V]{}, false
	}
	return e, true
}

// FindNext returns the entry that contains k, or the first one behind it.
func (m *Map[K, V]) FindNext(k K) (Entry[K, V], bool) {
	if i := m.search(k); i < len(m.entries) {
		return m.entries[i], true
	}
	return Entry[K, V]{}, false
}

// FindPrevious returns the last entry that begins before k.
func (m *Map[K, V]) FindPrevious(k K) (Entry[K, V], bool) {
	i, _ := slices.BinarySearchFunc(m.entries, k, func(e Entry[K, V], k K) int { return cmp.Compare(e.Start, k) })
	if i == 0 {
		return Entry[K, V]{}, false
	}
	return m.entries[i-1], true
}

// Last returns the entry with the highest range.
func (m *Map[K, V]) Last() (Entry[K, V], bool) {
	if len(m.entries) == 0 {
		return Entry[K, V]{}, false
	}
	return m.entries[len(m.entries)-1], true
}

// All yields the entries in order. The map must not change meanwhile.
func (m *Map[K, V]) All() iter.Seq[Entry[K, V]] { return slices.Values(m.entries) }

// Overlapping yields, whole, the entries that share a key with r, in order. The
// map must not change meanwhile.
func (m *Map[K, V]) Overlapping(r Range[K]) iter.Seq[Entry[K, V]] {
	i, j := m.span(r)
	return slices.Values(m.entries[i:j])
}

// Within yields the parts of entries that lie in r, in order. The map must not
// change meanwhile.
func (m *Map[K, V]) Within(r Range[K]) iter.Seq[Entry[K, V]] {
	return func(yield func(Entry[K, V]) bool) {
		for e := range m.Overlapping(r) {
			if !yield(clip(e, r)) {
				return
			}
		}
	}
}

// Overlaps reports whether an entry shares a key with r.
func (m *Map[K, V]) Overlaps(r Range[K]) bool {
	i, j := m.span(r)
	return i < j
}

// Covered reports whether every key of r is in an entry. An empty r is.
func (m *Map[K, V]) Covered(r Range[K]) bool {
	next := r.Start
	for e := range m.Overlapping(r) {
		if e.Start > next {
			return false
		}
		next = e.End
	}
	return next >= r.End
}

// Sum returns how many keys are in entries.
func (m *Map[K, V]) Sum() K {
	var n K
	for i := range m.entries {
		n += m.entries[i].Len()
	}
	return n
}

// Insert adds an entry, joining it with its neighbours where they allow. It
// does nothing and returns false when r is empty or overlaps an entry.
func (m *Map[K, V]) Insert(r Range[K], v V) bool {
	i, j := m.span(r)
	if r.Empty() || i < j {
		return false
	}
	m.entries = slices.Insert(m.entries, i, Entry[K, V]{r, v})
	m.join(i, i+1)
	return true
}

// Set makes r have the value v, whatever was there.
func (m *Map[K, V]) Set(r Range[K], v V) {
	if r.Empty() {
		return
	}
	i, j := m.isolate(r)
	m.entries = slices.Replace(m.entries, i, j, Entry[K, V]{r, v})
	m.join(i, i+1)
}

// Remove takes r out of the map and returns the parts of entries that lay in
// it, in order.
func (m *Map[K, V]) Remove(r Range[K]) []Entry[K, V] {
	i, j := m.isolate(r)
	if i == j {
		return nil
	}
	removed := slices.Clone(m.entries[i:j])
	m.entries = slices.Delete(m.entries, i, j)
	return removed
}

// Update replaces the value of each part of an entry that lies in r by what f
// makes of it, in order. Keys of r that are in no entry stay so. f must not use
// the map.
func (m *Map[K, V]) Update(r Range[K], f func(Range[K], V) V) {
	i, j := m.isolate(r)
	for k := i; k < j; k++ {
		m.entries[k].Value = f(m.entries[k].Range, m.entries[k].Value)
	}
	m.join(i, j)
}

// Clear removes every entry.
func (m *Map[K, V]) Clear() { m.entries = nil }

// Clone returns a copy of the map. Values are copied as by assignment.
func (m *Map[K, V]) Clone() Map[K, V] { return Map[K, V]{slices.Clone(m.entries)} }

// GapAbove returns the lowest range of length n within r, at a multiple of
// align (a power of two), that no entry overlaps.
func (m *Map[K, V]) GapAbove(r Range[K], n, align K) (Range[K], bool) {
	at, ok := alignUp(r.Start, align)
	if !ok || n <= 0 {
		return Range[K]{}, false
	}
	for i := m.search(at); at < r.End && r.End-at >= n; i++ {
		if i == len(m.entries) || m.entries[i].Start >= at && m.entries[i].Start-at >= n {
			return Range[K]{at, at + n}, true
		}
		if at, ok = alignUp(m.entries[i].End, align); !ok {
			break
		}
	}
	return Range[K]{}, false
}

// GapBelow returns the highest range of length n within r, at a multiple of
// align (a power of two), that no entry overlaps.
func (m *Map[K, V]) GapBelow(r Range[K], n, align K) (Range[K], bool) {
	if n <= 0 {
		return Range[K]{}, false
	}
	end := r.End
	i, _ := slices.BinarySearchFunc(m.entries, end, func(e Entry[K, V], k K) int { return cmp.Compare(e.Start, k) })
	for i--; end > r.Start && end-r.Start >= n; i-- {
		at := (end - n) &^ (align - 1)
		if at < r.Start {
			break
		}
		if i < 0 || m.entries[i].End <= at {
			return Range[K]{at, at + n}, true
		}
		end = min(end, m.entries[i].Start)
	}
	return Range[K]{}, false
}

// Check panics when entries are empty, out of order or overlap. It is for
// tests and for callers that suspect an error of their own.
func (m *Map[K, V]) Check() {
	for i, e := range m.entries {
		if e.Empty() {
			panic(fmt.Sprintf("interval: empty entry %v", e.Range))
		}
		if i > 0 && m.entries[i-1].End > e.Start {
			panic(fmt.Sprintf("interval: %v is not before %v", m.entries[i-1].Range, e.Range))
		}
	}
}

// search returns the index of the first entry that ends after k.
func (m *Map[K, V]) search(k K) int {
	i, _ := slices.BinarySearchFunc(m.entries, k, func(e Entry[K, V], k K) int {
		if e.End <= k {
			return -1
		}
		return 1
	})
	return i
}

// span returns the indexes of the entries that overlap r.
func (m *Map[K, V]) span(r Range[K]) (first, end int) {
	first = m.search(r.Start)
	end = first
	for end < len(m.entries) && m.entries[end].Overlaps(r) {
		end++
	}
	return first, end
}

// isolate splits entries at the ends of r and returns the indexes of those that
// then lie in r.
func (m *Map[K, V]) isolate(r Range[K]) (first, end int) {
	if r.Empty() {
		i := m.search(r.Start)
		return i, i
	}
	m.split(r.Start)
	m.split(r.End)
	return m.span(r)
}

func (m *Map[K, V]) split(at K) {
	i := m.search(at)
	if i == len(m.entries) || m.entries[i].Start >= at {
		return
	}
	e := m.entries[i]
	m.entries[i].End = at
	m.entries = slices.Insert(m.entries, i+1, clip(e, Range[K]{at, e.End}))
}

// join merges what can be merged among entries first-1 to end.
func (m *Map[K, V]) join(first, end int) {
	lo, hi := max(first-1, 0), min(end, len(m.entries)-1)
	if lo >= hi {
		return
	}
	out := lo
	for i := lo + 1; i <= hi; i++ {
		last, next := &m.entries[out], m.entries[i]
		if last.End == next.Start && last.Value.Continues(last.Len(), next.Value) {
			last.End = next.End
			continue
		}
		out++
		m.entries[out] = next
	}
	m.entries = slices.Delete(m.entries, out+1, hi+1)
}

func clip[K Key, V Value[K, V]](e Entry[K, V], r Range[K]) Entry[K, V] {
	if r.Start > e.Start {
		e.Value = e.Value.After(r.Start - e.Start)
		e.Start = r.Start
	}
	e.End = min(e.End, r.End)
	return e
}

// alignUp reports false when the result does not fit.
func alignUp[K Key](k, align K) (K, bool) {
	up := (k + align - 1) &^ (align - 1)
	return up, up >= k
}
