package syscalls

import (
	"math"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/pipefs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// splice(2), tee(2), vmsplice(2): bytes between pipes and other files. What
// Linux does by passing pages on is a copy inside the Sentry here.
var spliceCalls = []Call{
	call6(sysno.Splice, splice, full),
	call4(sysno.Tee, tee, full),
	call4(sysno.Vmsplice, vmsplice, full),
}

const spliceFlags = linux.SPLICE_F_MOVE | linux.SPLICE_F_NONBLOCK | linux.SPLICE_F_MORE | linux.SPLICE_F_GIFT

// splice moves bytes where at least one of the files is a pipe.
//
// Errors: EINVAL for flags, if no file is a pipe, or both are the same one;
// EBADF; ESPIPE for an offset of a pipe; EPIPE with SIGPIPE; EAGAIN; EFAULT;
// those of the other file.
func splice(t *kernel.Task, inFD linux.FD, inOff usermem.Ptr[int64], outFD linux.FD, outOff usermem.Ptr[int64], n uint64, flags uint32) (uint64, error) {
	if n == 0 {
		return 0, nil
	}
	if flags&^spliceFlags != 0 {
		return 0, errno.EINVAL
	}
	in, out, err := splicePair(t, inFD, outFD)
	if err != nil {
		return 0, err
	}
	defer in.DecRef()
	defer out.DecRef()
	from, to := pipefs.Of(in.File()), pipefs.Of(out.File())
	if from != nil && !inOff.IsNil() || to != nil && !outOff.IsNil() {
		return 0, errno.ESPIPE
	}
	s := splicer{t: t, nonBlock: flags&linux.SPLICE_F_NONBLOCK != 0}
	limit := int64(min(n, linux.MAX_RW_COUNT))
	switch {
	case from != nil && to != nil:
		return s.between(in, out, limit, pipefs.Move)
	case from != nil:
		return s.out(in, from, out, outOff, limit)
	case to != nil:
		return s.in(in, inOff, out, to, limit)
	}
	return 0, errno.EINVAL
}

// splicePair opens both files: EBADF unless one can be read and the other
// written.
func splicePair(t *kernel.Task, inFD, outFD linux.FD) (in, out *vfs.Description, err error) {
	if in, err = t.FDs().Get(inFD); err != nil {
		return nil, nil, err
	}
	if out, err = t.FDs().Get(outFD); err != nil {
		in.DecRef()
		return nil, nil, err
	}
	if !in.Readable() || !out.Writable() {
		in.DecRef()
		out.DecRef()
		return nil, nil, errno.EBADF
	}
	return in, out, nil
}

// splicer is one call.
type splicer struct {
	t        *kernel.Task
	nonBlock bool
}

// until retries try as long as it says EAGAIN, waiting for w, unless the call or
// that file is not to block.
func (s splicer) until(w *vfs.Description, want waiter.Events, try func() error) error {
	if s.nonBlock || w.Flags().NonBlock() {
		return try()
	}
	return waiter.Until(s.t, w, want, waiter.Never, try)
}

// result raises SIGPIPE where the error asks for it.
func (s splicer) result(n int64, err error) (uint64, error) {
	if n > 0 {
		return uint64(n), nil
	}
	if err == errno.EPIPE {
		raiseSIGPIPE(s.t)
	}
	return 0, err
}

// between moves or copies from pipe to pipe: it waits until there is something,
// and then until there is room.
func (s splicer) between(in, out *vfs.Description, n int64, keep pipefs.Keep) (uint64, error) {
	from, to := pipefs.Of(in.File()), pipefs.Of(out.File())
	if from == to {
		return 0, errno.EINVAL
	}
	s.nonBlock = s.nonBlock || in.Flags().NonBlock() || out.Flags().NonBlock()
	for {
		var done int64
		try := func() (err error) {
			done, err = pipefs.Transfer(to, from, n, keep)
			return err
		}
		err := try()
		if err != errno.EAGAIN || s.nonBlock {
			return s.result(done, err)
		}
		// Whichever of the two it is that is missing.
		w, want := in, waiter.Readable
		if in.Ready(waiter.Readable)&waiter.Readable != 0 {
			w, want = out, waiter.Writable
		}
		err = waiter.Until(s.t, w, want, waiter.Never, func() error {
			if w.Ready(want|waiter.Always) != 0 {
				return nil
			}
			return errno.EAGAIN
		})
		if err != nil {
			return 0, err
		}
	}
}

// out moves from a pipe to another file.
func (s splicer) out(in *vfs.Description, from *pipefs.Pipe, out *vfs.Description, off usermem.Ptr[int64], n int64) (uint64, error) {
	if out.Flags()&linux.O_APPEND != 0 {
		return 0, errno.EINVAL
	}
	at, err := spliceOffset(s.t, out, off)
	if err != nil {
		return 0, err
	}
	mode := vfs.NoWait
	if out.Seekable() {
		mode = vfs.Wait // a regular file never waits for an event
	}
	total := int64(0)
	for total < n {
		var done int64
		full := false
		step := func() (err error) {
			done, err = from.SpliceOut(n-total, func(src *usermem.Buffer) (int64, error) {
				w, err := out.Write(s.t, src, spliceAt(at, total), mode)
				full = err == errno.EAGAIN
				return w, err
			})
			if full {
				return nil // it is not the pipe that we wait for
			}
			return err
		}
		if total > 0 {
			// What is there goes in one call, but it does not wait for more.
			err = step()
		} else {
			err = s.until(in, waiter.Readable, step)
		}
		total += done
		if full && total == 0 && !s.nonBlock && !out.Flags().NonBlock() {
			if err := waitWritable(s.t, out); err != nil {
				return 0, err
			}
			continue
		}
		if full && total == 0 {
			err = errno.EAGAIN
		}
		if err != nil || done == 0 {
			break
		}
	}
	return s.store(total, err, off, at)
}

// waitWritable waits until a stream takes bytes.
func waitWritable(t *kernel.Task, d *vfs.Description) error {
	return waiter.Until(t, d, waiter.Writable, waiter.Never, func() error {
		if d.Ready(waiter.Writable|waiter.Always) == 0 {
			return errno.EAGAIN
		}
		return nil
	})
}

// in moves from another file to a pipe.
func (s splicer) in(in *vfs.Description, off usermem.Ptr[int64], out *vfs.Description, to *pipefs.Pipe, n int64) (uint64, error) {
	at, err := spliceOffset(s.t, in, off)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for total < n {
		var done int64
		empty := false
		step := func() (err error) {
			done, err = to.SpliceIn(n-total, func(dst *usermem.Buffer) (int64, error) {
				r, err := in.Read(s.t, dst, spliceAt(at, total), vfs.NoWait)
				empty = err == errno.EAGAIN
				return r, err
			})
			if empty {
				return nil
			}
			return err
		}
		if total > 0 {
			err = step()
		} else {
			err = s.until(out, waiter.Writable, step)
		}
		total += done
		if empty && total == 0 && !s.nonBlock && !in.Flags().NonBlock() {
			if err := waitReadable(s.t, in); err != nil {
				return 0, err
			}
			continue
		}
		if empty && total == 0 {
			err = errno.EAGAIN
		}
		if err != nil || done == 0 {
			break
		}
	}
	return s.store(total, err, off, at)
}

func waitReadable(t *kernel.Task, d *vfs.Description) error {
	return waiter.Until(t, d, waiter.Readable|waiter.RdHup, waiter.Never, func() error {
		if d.Ready(waiter.Readable|waiter.RdHup|waiter.Always) == 0 {
			return errno.EAGAIN
		}
		return nil
	})
}

// spliceOffset reads the offset of the file that is no pipe: CurrentOffset if
// none is given. ESPIPE if the file has no positions; EINVAL; EFAULT.
func spliceOffset(t *kernel.Task, d *vfs.Description, p usermem.Ptr[int64]) (int64, error) {
	if p.IsNil() {
		return vfs.CurrentOffset, nil
	}
	if !d.Seekable() {
		return 0, errno.ESPIPE
	}
	at, err := p.Load(t)
	if err == nil && at < 0 {
		return 0, errno.EINVAL
	}
	return at, err
}

func spliceAt(at, done int64) int64 {
	if at == vfs.CurrentOffset {
		return at
	}
	return at + done
}

// store tells the caller where the other file stands now.
func (s splicer) store(n int64, err error, off usermem.Ptr[int64], at int64) (uint64, error) {
	if n > 0 && !off.IsNil() {
		if err := off.Store(s.t, at+n); err != nil {
			return 0, err
		}
	}
	return s.result(n, err)
}

// tee copies from pipe to pipe and leaves the bytes in the first.
//
// Errors: EINVAL for flags, or unless these are two pipes; EBADF; EAGAIN; EPIPE.
func tee(t *kernel.Task, inFD, outFD linux.FD, n uint64, flags uint32) (uint64, error) {
	if flags&^spliceFlags != 0 {
		return 0, errno.EINVAL
	}
	if n == 0 {
		return 0, nil
	}
	in, out, err := splicePair(t, inFD, outFD)
	if err != nil {
		return 0, err
	}
	defer in.DecRef()
	defer out.DecRef()
	if pipefs.Of(in.File()) == nil || pipefs.Of(out.File()) == nil {
		return 0, errno.EINVAL
	}
	s := splicer{t: t, nonBlock: flags&linux.SPLICE_F_NONBLOCK != 0}
	return s.between(in, out, int64(min(n, math.MaxInt32)), pipefs.Copy)
}

// vmsplice writes memory into a pipe, or reads a pipe into memory, as the
// descriptor is open. The pages are copied: later changes do not show.
//
// Errors: EINVAL for flags or too many ranges; EBADF unless fd is a pipe; those
// of reading and writing.
func vmsplice(t *kernel.Task, fd linux.FD, vec usermem.Ptr[linux.Iovec], n uint64, flags uint32) (uint64, error) {
	if flags&^spliceFlags != 0 {
		return 0, errno.EINVAL
	}
	d, err := t.FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if pipefs.Of(d.File()) == nil {
		return 0, errno.EBADF
	}
	b, err := vecBuffer(t, vec, n)
	if err != nil || b.Len() == 0 {
		return 0, err
	}
	mode := vfs.Wait
	if flags&linux.SPLICE_F_NONBLOCK != 0 {
		mode = vfs.NoWait
	}
	s := splicer{t: t}
	if d.Writable() {
		return s.result(d.Write(t, b, vfs.CurrentOffset, mode))
	}
	return s.result(d.Read(t, b, vfs.CurrentOffset, mode))
}
