package syscalls

import (
	"math"
	"math/bits"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// poll(2) and select(2) with their variants.
var pollCalls = []Call{
	call3(sysno.Poll, poll, full),
	call5(sysno.Ppoll, ppoll, full),
	call5(sysno.Select, selectCall, full),
	call6(sysno.Pselect6, pselect6, full),
}

// interest is one file that a poll waits for.
type interest struct {
	desc  *vfs.Description
	want  waiter.Events
	ready waiter.Events
	entry waiter.Entry
}

// pollSet is the files of one poll. It holds a reference on each.
type pollSet []interest

func (s pollSet) release() {
	for i := range s {
		if s[i].desc != nil {
			s[i].desc.DecRef()
		}
	}
}

// look asks all files and returns how many have an event.
func (s pollSet) look() int {
	n := 0
	for i := range s {
		in := &s[i]
		if in.desc != nil {
			in.ready = in.desc.Ready(in.want|waiter.Always) & (in.want | waiter.Always)
		}
		if in.ready != 0 {
			n++
		}
	}
	return n
}

// wait sleeps until a file has an event or the time is up (then 0), or fails as
// Sleep does.
func (s pollSet) wait(t *kernel.Task, d waiter.Deadline) (int, error) {
	n := s.look()
	if n > 0 || !d.IsNever() && !d.At.After(time.Now()) {
		return n, nil
	}
	for i := range s {
		if in := &s[i]; in.desc != nil {
			in.entry = waiter.Entry{Mask: in.want | waiter.Always, Waker: t.Waker()}
			in.desc.Register(&in.entry)
		}
	}
	defer func() {
		for i := range s {
			if s[i].desc != nil {
				s[i].desc.Unregister(&s[i].entry)
			}
		}
	}()
	for {
		if n := s.look(); n > 0 {
			return n, nil
		}
		err := t.Sleep(d)
		if err == nil {
			continue
		}
		if n := s.look(); n > 0 || err == errno.ETIMEDOUT {
			return n, nil
		}
		return 0, err
	}
}

// poll waits for events of files. A timeout below zero is forever.
//
// Errors: EINVAL for more files than RLIMIT_NOFILE; EFAULT; EINTR, after which
// the rest of the time is waited for unless a handler ran.
func poll(t *kernel.Task, fds usermem.Ptr[linux.PollFD], n uint32, timeoutMS int32) (uint64, error) {
	d := waiter.Never
	if timeoutMS >= 0 {
		d = waiter.After(time.Duration(timeoutMS) * time.Millisecond)
	}
	return pollUntil{fds, n, d}.Restart(t)
}

// pollUntil is a poll that a signal may interrupt.
type pollUntil struct {
	fds      usermem.Ptr[linux.PollFD]
	n        uint32
	deadline waiter.Deadline
}

// Restart polls, also the first time.
func (p pollUntil) Restart(t *kernel.Task) (uint64, error) {
	n, err := doPoll(t, p.fds, p.n, p.deadline)
	if err == errno.ERESTARTSYS {
		return 0, t.RestartWith(p)
	}
	return n, err
}

func doPoll(t *kernel.Task, fds usermem.Ptr[linux.PollFD], n uint32, d waiter.Deadline) (uint64, error) {
	if uint64(n) > t.Limit(linux.RLIMIT_NOFILE).Cur || n > math.MaxInt32/8 {
		return 0, errno.EINVAL
	}
	in, err := fds.LoadSlice(t, int(n))
	if err != nil {
		return 0, err
	}
	set := make(pollSet, n)
	defer set.release()
	for i := range in {
		if in[i].FD < 0 {
			continue
		}
		desc, err := t.FDs().Get(in[i].FD)
		if err != nil {
			set[i].ready = linux.POLLNVAL
			continue
		}
		set[i].desc, set[i].want = desc, waiter.Events(uint16(in[i].Events))
	}
	got, err := set.wait(t, d)
	if err != nil {
		return 0, err
	}
	for i := range in {
		in[i].REvents = int16(set[i].ready)
	}
	return uint64(got), fds.StoreSlice(t, in)
}

// ppoll is poll with a signal mask and a timeout in nanoseconds, which is
// updated to what is left.
//
// Errors: as poll; EINVAL for a bad time or size of the mask.
func ppoll(t *kernel.Task, fds usermem.Ptr[linux.PollFD], n uint32, timeout usermem.Ptr[linux.Timespec], mask usermem.Ptr[linux.SignalSet], size uint64) (uint64, error) {
	d, err := relativeDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	if err := setPollMask(t, mask, size); err != nil {
		return 0, err
	}
	got, err := doPoll(t, fds, n, d)
	if err == errno.ERESTARTSYS {
		err = errno.ERESTARTNOHAND
	} else {
		t.RestoreMask()
	}
	storeLeft(t, timeout, d)
	return got, err
}

// setPollMask sets the signal mask for the length of the call if there is one.
func setPollMask(t *kernel.Task, mask usermem.Ptr[linux.SignalSet], size uint64) error {
	if mask.IsNil() {
		return nil
	}
	if err := checkSetSize(size); err != nil {
		return err
	}
	set, err := mask.Load(t)
	if err != nil {
		return err
	}
	t.SetTemporaryMask(set)
	return nil
}

// relativeDeadline reads an optional timeout: EINVAL, EFAULT.
func relativeDeadline(t *kernel.Task, p usermem.Ptr[linux.Timespec]) (waiter.Deadline, error) {
	if p.IsNil() {
		return waiter.Never, nil
	}
	ts, err := p.Load(t)
	if err != nil {
		return waiter.Never, err
	}
	return timeoutDeadline(ts)
}

func timeoutDeadline(ts linux.Timespec) (waiter.Deadline, error) {
	if !ts.Valid() {
		return waiter.Never, errno.EINVAL
	}
	return waiter.After(min(ts.Duration(), longest)), nil
}

// longest is a timeout that never ends, and yet can be added to the present.
const longest = 100 * 365 * 24 * time.Hour

// storeLeft updates a timeout to what is left of it. Linux ignores a fault here.
func storeLeft(t *kernel.Task, p usermem.Ptr[linux.Timespec], d waiter.Deadline) {
	if !p.IsNil() && !d.IsNever() {
		_ = p.Store(t, linux.DurationToTimespec(max(time.Until(d.At), 0)))
	}
}

// selectCall is select(2).
//
// Errors: EINVAL for a negative count or time; EBADF; EFAULT; EINTR.
func selectCall(t *kernel.Task, n int32, r, w, x usermem.Addr, timeout usermem.Ptr[linux.Timeval]) (uint64, error) {
	d := waiter.Never
	if !timeout.IsNil() {
		tv, err := timeout.Load(t)
		if err != nil {
			return 0, err
		}
		// Linux normalises microseconds of more than a second.
		if tv.Sec < 0 || tv.Usec < 0 {
			return 0, errno.EINVAL
		}
		tv = linux.Timeval{Sec: tv.Sec + tv.Usec/1e6, Usec: tv.Usec % 1e6}
		d = waiter.After(min(tv.Duration(), longest))
	}
	got, err := doSelect(t, n, [3]usermem.Addr{r, w, x}, d)
	if !timeout.IsNil() {
		_ = timeout.Store(t, linux.DurationToTimeval(max(time.Until(d.At), 0)))
	}
	if err == errno.ERESTARTSYS {
		err = errno.ERESTARTNOHAND
	}
	return got, err
}

// pselect6 is select with a signal mask, which comes with its size behind one
// pointer.
func pselect6(t *kernel.Task, n int32, r, w, x usermem.Addr, timeout usermem.Ptr[linux.Timespec], sig usermem.Ptr[linux.SigSetArg]) (uint64, error) {
	d, err := relativeDeadline(t, timeout)
	if err != nil {
		return 0, err
	}
	if !sig.IsNil() {
		arg, err := sig.Load(t)
		if err != nil {
			return 0, err
		}
		if err := setPollMask(t, usermem.Ptr[linux.SignalSet](arg.Addr), arg.Size); err != nil {
			return 0, err
		}
	}
	got, err := doSelect(t, n, [3]usermem.Addr{r, w, x}, d)
	if err == errno.ERESTARTSYS {
		err = errno.ERESTARTNOHAND
	} else {
		t.RestoreMask()
	}
	storeLeft(t, timeout, d)
	return got, err
}

// What select's three sets ask for, and which events they take for a yes; see
// fs/select.c.
var selectEvents = [3]struct{ want, yes waiter.Events }{
	{waiter.Readable | waiter.RdBand, waiter.Readable | waiter.RdBand | waiter.Hup | waiter.Err},
	{waiter.Writable | waiter.WrBand, waiter.Writable | waiter.WrBand | waiter.Err},
	{waiter.Pri, waiter.Pri},
}

// fdSets are the three sets of a select, as words.
type fdSets [3][]uint64

func doSelect(t *kernel.Task, n int32, addrs [3]usermem.Addr, d waiter.Deadline) (uint64, error) {
	if n < 0 {
		return 0, errno.EINVAL
	}
	// Linux looks at no more bits than the table has slots.
	n = min(n, int32(max(t.FDs().Size(), 64)))
	sets, err := loadSets(t, addrs, int(n))
	if err != nil {
		return 0, err
	}
	fds, set, err := selectInterests(t, &sets, int(n))
	defer set.release()
	if err != nil {
		return 0, err
	}
	if _, err := set.wait(t, d); err != nil {
		return 0, err
	}
	count := uint64(0)
	var out fdSets
	for k := range out {
		out[k] = make([]uint64, len(sets[k]))
	}
	for i, fd := range fds {
		for k := range sets {
			word, bit := fd/64, uint64(1)<<(fd%64)
			if sets[k] != nil && sets[k][word]&bit != 0 && set[i].ready&selectEvents[k].yes != 0 {
				out[k][word] |= bit
				count++
			}
		}
	}
	return count, storeSets(t, addrs, out, int(n))
}

// selectInterests opens the files of all sets: EBADF if one is not open.
func selectInterests(t *kernel.Task, sets *fdSets, n int) (fds []int, set pollSet, err error) {
	for word := range (n + 63) / 64 {
		var any uint64
		for k := range sets {
			if sets[k] != nil {
				any |= sets[k][word]
			}
		}
		for ; any != 0; any &= any - 1 {
			bit := bits.TrailingZeros64(any)
			desc, err := t.FDs().Get(linux.FD(word*64 + bit))
			if err != nil {
				return nil, set, err
			}
			in := interest{desc: desc}
			for k := range sets {
				if sets[k] != nil && sets[k][word]>>bit&1 != 0 {
					in.want |= selectEvents[k].want
				}
			}
			fds = append(fds, word*64+bit)
			set = append(set, in)
		}
	}
	return fds, set, nil
}

// loadSets reads n bits of each set that there is.
func loadSets(t *kernel.Task, addrs [3]usermem.Addr, n int) (fdSets, error) {
	var sets fdSets
	for k, a := range addrs {
		if a == 0 || n == 0 {
			continue
		}
		words, err := usermem.Ptr[uint64](a).LoadSlice(t, (n+63)/64)
		if err != nil {
			return sets, err
		}
		if n%64 != 0 {
			words[len(words)-1] &= 1<<(n%64) - 1
		}
		sets[k] = words
	}
	return sets, nil
}

func storeSets(t *kernel.Task, addrs [3]usermem.Addr, out fdSets, n int) error {
	for k, a := range addrs {
		if a == 0 || n == 0 {
			continue
		}
		if err := usermem.Ptr[uint64](a).StoreSlice(t, out[k]); err != nil {
			return err
		}
	}
	return nil
}
