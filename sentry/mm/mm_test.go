package mm

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
	"github.com/bulkhead-sandbox/bulkhead/sentry/futex"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

const (
	page = usermem.PageSize
	base = usermem.Addr(0x10000000)
	rw   = linux.PROT_READ | linux.PROT_WRITE
	anon = linux.MAP_PRIVATE | linux.MAP_ANONYMOUS
)

// rig is an address space with its thread.
type rig struct {
	*testing.T
	m  *MM
	by platform.Thread
}

func newRig(t *testing.T) *rig {
	t.Helper()
	p := script.New()
	m, by, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.DecUsers(); p.Close() })
	return &rig{t, m, by}
}

func (r *rig) mapAt(pageNo, pages int, prot linux.Prot, flags linux.MapFlags) usermem.Addr {
	r.Helper()
	a, err := r.m.Map(r.by, MapOpts{
		Addr: base + usermem.Addr(pageNo*page), Length: uint64(pages * page), Prot: prot, Flags: flags | linux.MAP_FIXED,
	})
	if err != nil {
		r.Fatalf("map %d pages at %d: %v", pages, pageNo, err)
	}
	return a
}

// shape is the list in pages from base: "0-3 rw, 5-6 r".
func (r *rig) shape() string {
	var out []string
	r.m.ForEach(func(g Region) bool {
		p := ""
		for i, c := range "rwx" {
			if g.Prot>>i&1 != 0 {
				p += string(c)
			}
		}
		out = append(out, fmt.Sprintf("%d-%d %s", (g.Start-base)/page, (g.End-base)/page, p))
		return true
	})
	return strings.Join(out, ", ")
}

func (r *rig) wantShape(want string) {
	r.Helper()
	if got := r.shape(); got != want {
		r.Errorf("mappings are %q, want %q", got, want)
	}
}

func (r *rig) want(err error, want error, what string) {
	r.Helper()
	if err != want {
		r.Errorf("%s: got %v, want %v", what, err, want)
	}
}

type fakeFile struct {
	name string
	ino  uint64
	refs int
}

func (f *fakeFile) MapName() string            { return f.name }
func (f *fakeFile) MapID() (linux.Dev, uint64) { return 8, f.ino }
func (f *fakeFile) IncRef()                    { f.refs++ }
func (f *fakeFile) DecRef()                    { f.refs-- }

type fakeLimits map[linux.RlimitResource]uint64

func (l fakeLimits) Soft(r linux.RlimitResource) uint64 {
	if v, ok := l[r]; ok {
		return v
	}
	return linux.RLIM_INFINITY
}

func TestNeighboursBecomeOne(t *testing.T) {
	r := newRig(t)
	r.mapAt(0, 2, rw, anon)
	r.mapAt(4, 2, rw, anon)
	r.mapAt(2, 2, rw, anon)
	r.wantShape("0-6 rw")
	if u := r.m.Usage(); u.Total != 6*page || u.Data != 6*page || u.Maps != 1 {
		t.Errorf("usage %+v", u)
	}
}

func TestPartialUnmapSplits(t *testing.T) {
	r := newRig(t)
	r.mapAt(0, 6, rw, anon)
	r.want(r.m.Unmap(r.by, base+2*page, page), nil, "unmap")
	r.wantShape("0-2 rw, 3-6 rw")
	r.want(r.m.Unmap(r.by, base+1, page), errno.EINVAL, "unaligned")
	r.want(r.m.Unmap(r.by, base, 0), errno.EINVAL, "empty")
	if _, err := r.m.CopyOut(base+2*page-1, []byte{1, 2}); err != errno.EFAULT {
		t.Errorf("copy into the hole: %v", err)
	}
}

func TestProtectSplitsJoinsAndStopsAtHoles(t *testing.T) {
	r := newRig(t)
	r.mapAt(0, 6, rw, anon)
	r.want(r.m.Protect(r.by, base+2*page, 2*page, linux.PROT_READ), nil, "protect")
	r.wantShape("0-2 rw, 2-4 r, 4-6 rw")
	r.want(r.m.Protect(r.by, base+2*page, 2*page, rw), nil, "back")
	r.wantShape("0-6 rw")
	r.want(r.m.Protect(r.by, base+5*page, 2*page, linux.PROT_READ), errno.ENOMEM, "over the end")
	r.wantShape("0-5 rw, 5-6 r")
	r.want(r.m.Protect(r.by, base, page, 0x40), errno.EINVAL, "unknown right")
	r.want(r.m.Protect(r.by, base, page, linux.PROT_READ|linux.PROT_GROWSDOWN), errno.EINVAL, "not a stack")
}

func TestMaxProtHolds(t *testing.T) {
	r := newRig(t)
	f := &fakeFile{name: "/f", ino: 1}
	o := MapOpts{
		Length: page, Prot: rw, MaxProt: linux.PROT_READ, Flags: linux.MAP_SHARED, File: f, FD: -1,
	}
	_, err := r.m.Map(r.by, o)
	r.want(err, errno.EACCES, "write to a file that is open for reading")
	o.Prot = linux.PROT_READ
	a, err := r.m.Map(r.by, o)
	r.want(err, nil, "read")
	r.want(r.m.Protect(r.by, a, page, rw), errno.EACCES, "mprotect")
}

func TestFileReferencesBalance(t *testing.T) {
	r := newRig(t)
	f := &fakeFile{name: "/f", ino: 1}
	a, err := r.m.Map(r.by, MapOpts{
		Length: 4 * page, Prot: linux.PROT_READ, MaxProt: protAll, Flags: linux.MAP_PRIVATE, File: f, FD: -1, Offset: page,
	})
	r.want(err, nil, "map")
	r.want(r.m.Protect(r.by, a+page, page, rw), nil, "split")
	if f.refs != 3 {
		t.Errorf("%d references for 3 parts", f.refs)
	}
	r.want(r.m.Protect(r.by, a+page, page, linux.PROT_READ), nil, "join")
	if f.refs != 1 {
		t.Errorf("%d references for 1 part", f.refs)
	}
	if g, _ := r.m.Find(a + 2*page); g.Offset != page || g.Name != "/f" || g.Start != a {
		t.Errorf("region %+v", g)
	}
	r.want(r.m.Unmap(r.by, a+page, page), nil, "hole")
	if g, _ := r.m.Find(a + 2*page); g.Offset != 3*page {
		t.Errorf("offset behind the hole is %#x", g.Offset)
	}
	c, th, err := r.m.Fork(r.by)
	r.want(err, nil, "fork")
	if f.refs != 4 {
		t.Errorf("%d references after fork", f.refs)
	}
	th.Close()
	c.DecUsers()
	r.want(r.m.Unmap(r.by, a, 4*page), nil, "unmap")
	if f.refs != 0 {
		t.Errorf("%d references left", f.refs)
	}
}

func TestMapArguments(t *testing.T) {
	r := newRig(t)
	r.mapAt(0, 1, rw, anon)
	for _, c := range []struct {
		name string
		o    MapOpts
		want error
	}{
		{"empty", MapOpts{Flags: anon}, errno.EINVAL},
		{"too long", MapOpts{Length: 1 << 62, Flags: anon}, errno.ENOMEM},
		{"wraps", MapOpts{Length: ^uint64(0), Flags: anon}, errno.ENOMEM},
		{"no type", MapOpts{Length: page, Flags: linux.MAP_ANONYMOUS}, errno.EINVAL},
		{"unaligned fixed", MapOpts{Addr: base + 1, Length: page, Flags: anon | linux.MAP_FIXED}, errno.EINVAL},
		{"outside", MapOpts{Addr: 1 << 60, Length: page, Flags: anon | linux.MAP_FIXED}, errno.ENOMEM},
		{"page zero", MapOpts{Addr: 0, Length: page, Flags: anon | linux.MAP_FIXED}, errno.EPERM},
		{"taken", MapOpts{Addr: base, Length: page, Flags: anon | linux.MAP_FIXED_NOREPLACE}, errno.EEXIST},
		{"huge", MapOpts{Length: 2 << 20, Flags: anon | linux.MAP_HUGETLB}, errno.ENOMEM},
		{"validate anonymous", MapOpts{Length: page, Flags: linux.MAP_SHARED_VALIDATE | linux.MAP_ANONYMOUS}, errno.EINVAL},
		{"shared stack", MapOpts{Length: page, Flags: linux.MAP_SHARED | linux.MAP_ANONYMOUS | linux.MAP_GROWSDOWN}, errno.EINVAL},
		{"sync", MapOpts{Length: page, MaxProt: rw, File: &fakeFile{}, Flags: linux.MAP_SHARED_VALIDATE | linux.MAP_SYNC}, errno.EOPNOTSUPP},
	} {
		_, err := r.m.Map(r.by, c.o)
		r.want(err, c.want, c.name)
	}
	a, err := r.m.Map(r.by, MapOpts{Addr: base + 8*page + 5, Length: 1, Flags: anon})
	if err != nil || a != base+9*page {
		t.Errorf("a free hint gives %#x, %v", a, err)
	}
	a, err = r.m.Map(r.by, MapOpts{Addr: base, Length: 1, Flags: anon})
	if err != nil || a == base {
		t.Errorf("a taken hint gives %#x, %v", a, err)
	}
	a, err = r.m.Map(r.by, MapOpts{Length: 1, Flags: anon | linux.MAP_32BIT})
	if err != nil || a >= 1<<31 {
		t.Errorf("MAP_32BIT gives %#x, %v", a, err)
	}
}

func TestPlacesGoDownAndAreReused(t *testing.T) {
	r := newRig(t)
	var at []usermem.Addr
	for range 8 {
		a, err := r.m.Map(r.by, MapOpts{Length: page, Prot: rw, Flags: anon})
		r.want(err, nil, "map")
		at = append(at, a)
	}
	for i := range at[1:] {
		if at[i+1] != at[i]-page {
			t.Fatalf("places %#x", at)
		}
	}
	r.want(r.m.Unmap(r.by, at[2], page), nil, "unmap")
	if a, _ := r.m.Map(r.by, MapOpts{Length: page, Prot: rw, Flags: anon}); a != at[2] {
		t.Errorf("the hole at %#x was not used but %#x", at[2], a)
	}
}

func TestLimits(t *testing.T) {
	r := newRig(t)
	r.m.SetLimits(fakeLimits{linux.RLIMIT_AS: 10 * page, linux.RLIMIT_DATA: 4 * page, linux.RLIMIT_MEMLOCK: page})
	r.mapAt(0, 4, rw, anon)
	_, err := r.m.Map(r.by, MapOpts{Length: page, Prot: rw, Flags: anon})
	r.want(err, errno.ENOMEM, "above RLIMIT_DATA")
	r.mapAt(0, 4, rw, anon) // replacing takes no more
	r.mapAt(4, 6, linux.PROT_READ, anon)
	_, err = r.m.Map(r.by, MapOpts{Length: page, Prot: linux.PROT_READ, Flags: anon})
	r.want(err, errno.ENOMEM, "above RLIMIT_AS")
	r.want(r.m.Protect(r.by, base+4*page, page, rw), errno.ENOMEM, "mprotect above RLIMIT_DATA")
	r.want(r.m.Lock(r.by, base, page, Now, LockLimited), nil, "lock")
	r.want(r.m.Lock(r.by, base, page, Now, LockLimited), nil, "lock again")
	r.want(r.m.Lock(r.by, base, 2*page, Now, LockLimited), errno.ENOMEM, "above RLIMIT_MEMLOCK")
	r.want(r.m.Lock(r.by, base, 2*page, Now, LockUnlimited), nil, "with the right")
	if u := r.m.Usage(); u.Locked != 2*page {
		t.Errorf("%d bytes locked", u.Locked)
	}
	r.want(r.m.Advise(r.by, base, page, linux.MADV_DONTNEED), errno.EINVAL, "discard locked memory")
	r.want(r.m.Unlock(r.by, base, 2*page), nil, "unlock")
	if u := r.m.Usage(); u.Locked != 0 || u.Maps != 2 {
		t.Errorf("after unlock: %+v", u)
	}
}

func TestMapCount(t *testing.T) {
	r := newRig(t)
	r.mapAt(0, 3, rw, anon)
	v := r.m.list.all[0]
	for range MaxMapCount - 1 { // far above, never looked at
		r.m.list.all = append(r.m.list.all, &vma{start: 1 << 46, end: 1<<46 + page, fd: -1})
	}
	_, err := r.m.Map(r.by, MapOpts{Addr: base - page, Length: page, Prot: rw, Flags: anon | linux.MAP_FIXED})
	r.want(err, errno.ENOMEM, "map")
	r.want(r.m.Unmap(r.by, base+page, page), errno.ENOMEM, "split by unmap")
	r.want(r.m.Protect(r.by, base+page, page, 0), errno.ENOMEM, "split by protect")
	r.m.list.all = []*vma{v}
}

func TestBrk(t *testing.T) {
	r := newRig(t)
	r.m.SetLayout(Fixed)
	r.m.SetBrk(base + 100)
	start := base + page
	if got := r.m.Brk(r.by, 0); got != start {
		t.Fatalf("brk starts at %#x", got)
	}
	if got := r.m.Brk(r.by, start+10); got != start+10 {
		t.Fatalf("brk grew to %#x", got)
	}
	if n, err := r.m.CopyOut(start, make([]byte, page)); n != page || err != nil {
		t.Errorf("write to the heap: %d, %v", n, err)
	}
	if g, _ := r.m.Find(start); g.Name != "[heap]" {
		t.Errorf("the heap is called %q", g.Name)
	}
	r.mapAt(4, 1, rw, anon|linux.MAP_PRIVATE)
	if got := r.m.Brk(r.by, base+4*page); got != start+10 {
		t.Errorf("brk ran into a mapping: %#x", got)
	}
	if got := r.m.Brk(r.by, start); got != start {
		t.Errorf("brk shrank to %#x", got)
	}
	if _, ok := r.m.Find(start); ok {
		t.Error("the heap's page is still there")
	}
}

func TestRemap(t *testing.T) {
	r := newRig(t)
	a := r.mapAt(0, 2, rw, anon)
	_, err := r.m.CopyOut(a, []byte("hello"))
	r.want(err, nil, "write")
	b, err := r.m.Remap(r.by, RemapOpts{Old: a, OldLength: 2 * page, NewLength: 4 * page})
	if err != nil || b != a {
		t.Fatalf("grow in place: %#x, %v", b, err)
	}
	r.wantShape("0-4 rw")
	r.mapAt(5, 1, linux.PROT_READ, anon)
	_, err = r.m.Remap(r.by, RemapOpts{Old: a, OldLength: 4 * page, NewLength: 8 * page})
	r.want(err, errno.ENOMEM, "grow over a neighbour")
	b, err = r.m.Remap(r.by, RemapOpts{Old: a, OldLength: 4 * page, NewLength: 8 * page, Flags: linux.MREMAP_MAYMOVE})
	if err != nil || b == a {
		t.Fatalf("move: %#x, %v", b, err)
	}
	got := make([]byte, 5)
	if _, err := r.m.CopyIn(got, b); err != nil || !bytes.Equal(got, []byte("hello")) {
		t.Errorf("after the move: %q, %v", got, err)
	}
	if _, ok := r.m.Find(a); ok {
		t.Error("the old place is still mapped")
	}
	c, err := r.m.Remap(r.by, RemapOpts{
		Old: b, OldLength: 8 * page, NewLength: page, New: a, Flags: linux.MREMAP_MAYMOVE | linux.MREMAP_FIXED,
	})
	if err != nil || c != a {
		t.Fatalf("move and shrink: %#x, %v", c, err)
	}
	r.wantShape("0-1 rw, 5-6 r")
	for _, x := range []struct {
		name string
		o    RemapOpts
		want error
	}{
		{"flags", RemapOpts{Old: a, OldLength: page, NewLength: page, Flags: 8}, errno.EINVAL},
		{"fixed without maymove", RemapOpts{Old: a, OldLength: page, NewLength: page, Flags: 2}, errno.EINVAL},
		{"empty", RemapOpts{Old: a, OldLength: page}, errno.EINVAL},
		{"hole", RemapOpts{Old: a + 2*page, OldLength: page, NewLength: 2 * page}, errno.EFAULT},
		{"over the end", RemapOpts{Old: a, OldLength: 2 * page, NewLength: 3 * page}, errno.EFAULT},
		{"overlap", RemapOpts{Old: a, OldLength: page, NewLength: page, New: a, Flags: 3}, errno.EINVAL},
		{"a hole twice", RemapOpts{Old: a + 2*page, NewLength: page, Flags: 1}, errno.EFAULT},
		{"private twice", RemapOpts{Old: a, NewLength: page, Flags: 1}, errno.EINVAL},
	} {
		_, err := r.m.Remap(r.by, x.o)
		r.want(err, x.want, x.name)
	}
}

func TestSharedMemoryTwice(t *testing.T) {
	r := newRig(t)
	a := r.mapAt(0, 2, rw, linux.MAP_SHARED|linux.MAP_ANONYMOUS)
	b, err := r.m.Remap(r.by, RemapOpts{Old: a + page, NewLength: page, Flags: linux.MREMAP_MAYMOVE})
	if err != nil || b == a {
		t.Fatalf("%#x, %v", b, err)
	}
	_, err = r.m.CopyOut(b, []byte("x"))
	r.want(err, nil, "write")
	got := make([]byte, 1)
	if _, err := r.m.CopyIn(got, a+page); err != nil || got[0] != 'x' {
		t.Errorf("the first place holds %q, %v", got, err)
	}
	k1, _ := r.m.FutexKey(b, futex.Shared)
	k2, _ := r.m.FutexKey(a+page, futex.Shared)
	if k1 != k2 {
		t.Errorf("keys %v and %v", k1, k2)
	}
}

func TestForkHonoursAdvice(t *testing.T) {
	r := newRig(t)
	r.mapAt(0, 3, rw, anon)
	r.want(r.m.Advise(r.by, base+page, page, linux.MADV_DONTFORK), nil, "dontfork")
	c, th, err := r.m.Fork(r.by)
	r.want(err, nil, "fork")
	defer c.DecUsers()
	defer th.Close()
	if _, ok := c.Find(base + page); ok {
		t.Error("the child has what was not to be inherited")
	}
	if _, ok := c.Find(base + 2*page); !ok {
		t.Error("the child lacks memory")
	}
	r.want(r.m.Advise(r.by, base+page, page, linux.MADV_DOFORK), nil, "dofork")
	r.wantShape("0-3 rw")
}

func TestAdviseErrors(t *testing.T) {
	r := newRig(t)
	r.mapAt(0, 1, rw, anon)
	r.mapAt(2, 1, rw, linux.MAP_SHARED|linux.MAP_ANONYMOUS)
	for _, c := range []struct {
		addr   usermem.Addr
		length uint64
		what   int
		want   error
	}{
		{base, page, 9999, errno.EINVAL},
		{base + 1, page, linux.MADV_NORMAL, errno.EINVAL},
		{base, 0, linux.MADV_DONTNEED, nil},
		{base, ^uint64(0), linux.MADV_DONTNEED, errno.EINVAL},
		{base, 3 * page, linux.MADV_DONTNEED, errno.ENOMEM},
		{base + 2*page, page, linux.MADV_FREE, errno.EINVAL},
		{base + 2*page, page, linux.MADV_WIPEONFORK, errno.EINVAL},
		{base, page, linux.MADV_REMOVE, errno.EINVAL},
		{base, page, linux.MADV_HWPOISON, errno.EPERM},
		{base, page, linux.MADV_WIPEONFORK, nil},
	} {
		r.want(r.m.Advise(r.by, c.addr, c.length, c.what), c.want, fmt.Sprint(c.what, " at ", c.addr-base))
	}
}

func TestStackGrowsToItsLimit(t *testing.T) {
	r := newRig(t)
	limit := uint64(stackReserve + 1<<20)
	r.m.SetLimits(fakeLimits{linux.RLIMIT_STACK: limit})
	r.m.SetLayout(Random)
	top, err := r.m.MapStack(r.by, NoExec)
	r.want(err, nil, "map the stack")
	low := top - stackReserve
	if n, err := r.m.CopyOut(low, []byte{1}); n != 1 || err != nil {
		t.Errorf("write to the reserve: %v", err)
	}
	r.want(r.m.HandleFault(r.by, low-1), nil, "fault below")
	if n, err := r.m.CopyOut(low-1, []byte{1}); n != 1 || err != nil {
		t.Errorf("write below: %v", err)
	}
	r.want(r.m.HandleFault(r.by, top-usermem.Addr(limit)), nil, "fault at the limit")
	r.want(r.m.HandleFault(r.by, top-usermem.Addr(limit)-1), errno.EFAULT, "fault beyond the limit")
	if g, _ := r.m.Find(top - 1); g.Name != "[stack]" {
		t.Errorf("the stack is called %q", g.Name)
	}
}

func TestStackKeepsItsDistance(t *testing.T) {
	r := newRig(t)
	a := r.mapAt(1024, 2, rw, anon|linux.MAP_GROWSDOWN)
	r.mapAt(1024-300, 1, rw, anon)
	r.want(r.m.HandleFault(r.by, a-40*page), nil, "within")
	r.want(r.m.HandleFault(r.by, a-50*page), errno.EFAULT, "too close to what lies below")
	r.want(r.m.HandleFault(r.by, a-290*page), errno.EFAULT, "in the gap")
}

func TestFutexKeys(t *testing.T) {
	r := newRig(t)
	priv := r.mapAt(0, 1, rw, anon)
	shared := r.mapAt(2, 2, rw, linux.MAP_SHARED|linux.MAP_ANONYMOUS)
	c, th, err := r.m.Fork(r.by)
	r.want(err, nil, "fork")
	defer c.DecUsers()
	defer th.Close()
	k1, _ := r.m.FutexKey(priv, futex.Shared)
	k2, _ := c.FutexKey(priv, futex.Shared)
	if k1 == k2 {
		t.Error("private memory has one key in two address spaces")
	}
	k1, _ = r.m.FutexKey(shared+page+4, futex.Shared)
	k2, _ = c.FutexKey(shared+page+4, futex.Shared)
	if k1 != k2 || k1.Offset != page+4 {
		t.Errorf("shared memory has keys %v and %v", k1, k2)
	}
	_, err = r.m.FutexKey(base+10*page, futex.Shared)
	r.want(err, errno.EFAULT, "nothing there")
}

func TestCopiesStayInside(t *testing.T) {
	r := newRig(t)
	for _, a := range []usermem.Addr{0, r.m.Max(), ^usermem.Addr(0), 1 << 47} {
		if n, err := r.m.CopyIn(make([]byte, 8), a); n != 0 || err != errno.EFAULT {
			t.Errorf("copy from %#x: %d, %v", a, n, err)
		}
	}
	r.mapAt(0, 1, rw, anon)
	vec := []usermem.Range{{Start: base, Len: 3}, {Start: 1, Len: 0}, {Start: r.m.Max(), Len: 5}}
	if n, err := r.m.CopyOutVec(vec, []byte("abcdef")); n != 3 || err != errno.EFAULT {
		t.Errorf("copy to a vector: %d, %v", n, err)
	}
	got := make([]byte, 3)
	if n, err := r.m.CopyInVec(got, vec[:1]); n != 3 || err != nil || string(got) != "abc" {
		t.Errorf("copy from a vector: %d, %v, %q", n, err, got)
	}
}

// TestAgainstPages compares the list with a plain array of pages after random
// operations.
func TestAgainstPages(t *testing.T) {
	const pages = 64
	r := newRig(t)
	rng := rand.New(rand.NewSource(1))
	var model [pages]int // 0: nothing, else rights+1
	for step := range 3000 {
		at := rng.Intn(pages)
		n := 1 + rng.Intn(min(8, pages-at))
		addr := base + usermem.Addr(at*page)
		prot := linux.Prot(rng.Intn(4))
		switch rng.Intn(3) {
		case 0:
			r.mapAt(at, n, prot, anon)
			for i := at; i < at+n; i++ {
				model[i] = int(prot) + 1
			}
		case 1:
			r.want(r.m.Unmap(r.by, addr, uint64(n*page)), nil, "unmap")
			for i := at; i < at+n; i++ {
				model[i] = 0
			}
		case 2:
			err := r.m.Protect(r.by, addr, uint64(n*page), prot)
			i := at
			for ; i < at+n && model[i] != 0; i++ {
				model[i] = int(prot) + 1
			}
			if (err != nil) != (i < at+n) {
				t.Fatalf("step %d: protect: %v", step, err)
			}
		}
		r.compare(step, model[:])
	}
}

func (r *rig) compare(step int, model []int) {
	r.Helper()
	var total, data uint64
	for i, want := range model {
		v := r.m.list.find(base + usermem.Addr(i*page))
		have := 0
		if v != nil {
			have = int(v.prot) + 1
			total += page
			if v.prot&linux.PROT_WRITE != 0 {
				data += page
			}
		}
		if have != want {
			r.Fatalf("step %d: page %d has %d, want %d", step, i, have, want)
		}
	}
	if u := r.m.Usage(); u.Total != total || u.Data != data {
		r.Fatalf("step %d: usage %+v, want %d and %d", step, u, total, data)
	}
	for i := 1; i < len(r.m.list.all); i++ {
		if v, w := r.m.list.all[i-1], r.m.list.all[i]; v.end > w.start || v.follows(w) {
			r.Fatalf("step %d: %#x-%#x and %#x-%#x", step, v.start, v.end, w.start, w.end)
		}
	}
}
