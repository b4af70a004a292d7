package interval

import (
	"slices"
	"testing"
)

// piece is a part of a numbered file, as a mapping is.
type piece struct {
	file   uint8
	offset uint64
}

func (p piece) After(n uint64) piece { return piece{p.file, p.offset + n} }

func (p piece) Continues(n uint64, next piece) bool { return next == p.After(n) }

type (
	rng   = Range[uint64]
	entry = Entry[uint64, piece]
)

func collect(m *Map[uint64, piece]) []entry { return slices.Collect(m.All()) }

func TestRemoveFromTheMiddleSplits(t *testing.T) {
	var m Map[uint64, piece]
	m.Insert(rng{100, 200}, piece{1, 0})
	removed := m.Remove(rng{140, 160})
	want := []entry{{rng{100, 140}, piece{1, 0}}, {rng{160, 200}, piece{1, 60}}}
	if got := collect(&m); !slices.Equal(got, want) {
		t.Errorf("left %v, want %v", got, want)
	}
	if want := []entry{{rng{140, 160}, piece{1, 40}}}; !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v", removed, want)
	}
	m.Set(rng{140, 160}, piece{1, 40})
	if got, want := collect(&m), []entry{{rng{100, 200}, piece{1, 0}}}; !slices.Equal(got, want) {
		t.Errorf("after putting it back %v, want %v", got, want)
	}
}

func TestInsertRefusesOverlap(t *testing.T) {
	var m Map[uint64, piece]
	if !m.Insert(rng{10, 20}, piece{}) || m.Insert(rng{19, 30}, piece{}) || m.Insert(rng{5, 5}, piece{}) || !m.Insert(rng{20, 21}, piece{2, 0}) {
		t.Errorf("entries %v", collect(&m))
	}
}

func TestUpdateChangesOnlyItsRange(t *testing.T) {
	var m Map[uint64, piece]
	m.Insert(rng{0, 10}, piece{1, 0})
	m.Insert(rng{20, 30}, piece{1, 20})
	m.Update(rng{5, 25}, func(_ rng, p piece) piece { p.file = 9; return p })
	want := []entry{
		{rng{0, 5}, piece{1, 0}}, {rng{5, 10}, piece{9, 5}},
		{rng{20, 25}, piece{9, 20}}, {rng{25, 30}, piece{1, 25}},
	}
	if got := collect(&m); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestFind(t *testing.T) {
	var m Map[uint64, piece]
	m.Insert(rng{10, 20}, piece{1, 0})
	m.Insert(rng{30, 40}, piece{2, 0})
	if _, ok := m.Find(20); ok {
		t.Error("20 is found")
	}
	if e, ok := m.Find(19); !ok || e.Start != 10 {
		t.Errorf("19: %v %v", e, ok)
	}
	if e, ok := m.FindNext(20); !ok || e.Start != 30 {
		t.Errorf("next of 20: %v %v", e, ok)
	}
	if _, ok := m.FindNext(40); ok {
		t.Error("something is behind 40")
	}
	if e, ok := m.FindPrevious(30); !ok || e.Start != 10 {
		t.Errorf("previous of 30: %v %v", e, ok)
	}
	if _, ok := m.FindPrevious(10); ok {
		t.Error("something is before 10")
	}
	if !m.Covered(rng{12, 20}) || m.Covered(rng{12, 31}) || !m.Covered(rng{25, 25}) {
		t.Error("Covered is wrong")
	}
	if m.Sum() != 20 {
		t.Errorf("Sum %d", m.Sum())
	}
}

func TestGaps(t *testing.T) {
	var m Map[uint64, piece]
	m.Insert(rng{16, 32}, piece{1, 0})
	m.Insert(rng{40, 64}, piece{2, 0})
	all := rng{8, 100}
	for _, c := range []struct {
		n, align     uint64
		above, below uint64 // 0 for none
	}{
		{8, 8, 8, 88},
		{8, 1, 8, 92},
		{9, 1, 64, 91},
		{16, 16, 64, 80},
		{36, 1, 64, 64},
		{37, 1, 0, 0},
		{0, 1, 0, 0},
	} {
		if got, ok := m.GapAbove(all, c.n, c.align); ok != (c.above != 0) || got.Start != c.above {
			t.Errorf("GapAbove(%d, %d) = %v %v, want %d", c.n, c.align, got, ok, c.above)
		}
		if got, ok := m.GapBelow(all, c.n, c.align); ok != (c.below != 0) || got.Start != c.below {
			t.Errorf("GapBelow(%d, %d) = %v %v, want %d", c.n, c.align, got, ok, c.below)
		}
	}
	if got, ok := m.GapBelow(rng{8, 50}, 8, 8); !ok || got.Start != 32 {
		t.Errorf("below 50: %v %v", got, ok)
	}
	if _, ok := m.GapAbove(rng{^uint64(0) - 5, ^uint64(0)}, 1, 4096); ok {
		t.Error("a gap beyond the last key")
	}
}

// FuzzAgainstArray plays operations on a Map and on an array with one element
// for each key.
func FuzzAgainstArray(f *testing.F) {
	f.Add([]byte{0, 10, 20, 1, 1, 12, 3, 0, 2, 5, 30, 7, 0, 0, 60, 2})
	f.Fuzz(func(t *testing.T, ops []byte) {
		const size = 64
		var m Map[uint64, piece]
		var model [size]piece // file 0: nothing there
		for len(ops) >= 4 {
			op, start, n, file := ops[0]%4, uint64(ops[1]%size), uint64(ops[2]), ops[3]%3+1
			ops = ops[4:]
			r := rng{start, min(start+n, size)}
			v := piece{file, r.Start}
			switch op {
			case 0:
				free := !r.Empty()
				for k := r.Start; k < r.End; k++ {
					free = free && model[k].file == 0
				}
				if m.Insert(r, v) != free {
					t.Fatalf("Insert(%v) = %v", r, !free)
				}
				if !free {
					continue
				}
				for k := r.Start; k < r.End; k++ {
					model[k] = v.After(k - r.Start)
				}
			case 1:
				var n uint64
				for _, e := range m.Remove(r) {
					n += e.Len()
				}
				for k := r.Start; k < r.End; k++ {
					if model[k].file != 0 {
						n--
					}
					model[k] = piece{}
				}
				if n != 0 {
					t.Fatalf("Remove(%v) returned another number of keys", r)
				}
			case 2:
				m.Set(r, v)
				for k := r.Start; k < r.End; k++ {
					model[k] = v.After(k - r.Start)
				}
			case 3:
				m.Update(r, func(_ rng, p piece) piece { p.file = file; return p })
				for k := r.Start; k < r.End; k++ {
					if model[k].file != 0 {
						model[k].file = file
					}
				}
			}
			compare(t, &m, model[:])
		}
	})
}

func compare(t *testing.T, m *Map[uint64, piece], model []piece) {
	t.Helper()
	m.Check()
	runs := 0
	for k, want := range model {
		e, ok := m.Find(uint64(k))
		got := piece{}
		if ok {
			got = e.Value.After(uint64(k) - e.Start)
		}
		if ok != (want.file != 0) || got != want {
			t.Fatalf("at %d: %v %v, want %v", k, got, ok, want)
		}
		if want.file != 0 && (k == 0 || model[k-1].file == 0 || !model[k-1].Continues(1, want)) {
			runs++
		}
	}
	if m.Len() != runs {
		t.Fatalf("%d entries where %d are enough: %v", m.Len(), runs, collect(m))
	}
	for n := uint64(1); n <= 16; n *= 2 {
		checkGap(t, m, model, n)
	}
}

// checkGap compares both searches with a walk over every place.
func checkGap(t *testing.T, m *Map[uint64, piece], model []piece, n uint64) {
	t.Helper()
	all := rng{0, uint64(len(model))}
	var places []uint64
	for at := uint64(0); at+n <= all.End; at += n {
		if !slices.ContainsFunc(model[at:at+n], func(p piece) bool { return p.file != 0 }) {
			places = append(places, at)
		}
	}
	above, okAbove := m.GapAbove(all, n, n)
	below, okBelow := m.GapBelow(all, n, n)
	if okAbove != (len(places) > 0) || okBelow != okAbove {
		t.Fatalf("gap of %d: %v %v, free places %v", n, okAbove, okBelow, places)
	}
	if okAbove && (above.Start != places[0] || below.Start != places[len(places)-1]) {
		t.Fatalf("gap of %d: %v and %v, free places %v", n, above, below, places)
	}
}

func BenchmarkSplitAndJoin(b *testing.B) {
	var m Map[uint64, piece]
	for i := range uint64(1000) {
		m.Insert(rng{i * 100, i*100 + 50}, piece{1, i * 7})
	}
	for b.Loop() {
		removed := m.Remove(rng{50010, 50020})
		m.Insert(removed[0].Range, removed[0].Value)
	}
}
