package tty

import (
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Slave is an open terminal, as a program sees it.
type Slave struct {
	t       *Terminal
	noBlock atomic.Bool
}

// OpenSlave opens the terminal.
//
// Errors: EIO when the far end is gone.
func (t *Terminal) OpenSlave(c vfs.Context, flags linux.OpenFlags) (*Slave, error) {
	st := t.state.Lock()
	if st.hungUp {
		t.unlock(st)
		return nil, errno.EIO
	}
	st.slaves++
	st.opened = true
	t.unlock(st)
	s := &Slave{t: t}
	s.noBlock.Store(flags&linux.O_NONBLOCK != 0)
	t.job.Opened(c, flags)
	return s, nil
}

// Terminal is the terminal behind the file.
func (s *Slave) Terminal() *Terminal { return s.t }

// Release implements vfs.File. The last one ends what the far end reads.
func (s *Slave) Release() {
	st := s.t.state.Lock()
	st.slaves--
	last := st.slaves == 0
	s.t.unlock(st)
	if last {
		s.t.masterWait.Notify(waiter.Hup | waiter.Readable | waiter.Writable)
	}
}

// SetFlags implements vfs.FlagsChanger.
func (s *Slave) SetFlags(_ vfs.Context, flags linux.OpenFlags) error {
	s.noBlock.Store(flags&linux.O_NONBLOCK != 0)
	return nil
}

// Read implements vfs.Reader: a line, or in raw mode what VMIN and VTIME say.
//
// Errors: EAGAIN to wait; EIO for a background process that nobody would let go
// on; ERESTARTSYS after SIGTTIN. After a hang-up it reads an end of file.
func (s *Slave) Read(c vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	if err := s.t.job.Access(c, linux.SIGTTIN); err != nil {
		return 0, err
	}
	if dst.Len() == 0 {
		return 0, nil
	}
	b := make([]byte, min(dst.Len(), inputMax))
	n, err := s.read(c, b)
	if n == 0 {
		return 0, err
	}
	done, err := dst.Fill(b[:n])
	if done > 0 {
		err = nil
	}
	return int64(done), err
}

// read decides how long to wait: without a timer EAGAIN lets the caller do it.
func (s *Slave) read(c vfs.Context, b []byte) (int, error) {
	t := s.t
	st := t.state.Lock()
	if st.hungUp {
		t.unlock(st)
		return 0, nil
	}
	if st.lflag(linux.ICANON) && !st.lflag(linux.EXTPROC) {
		defer t.drained()
		defer t.unlock(st)
		return st.takeLine(b)
	}
	minimum, tenths := int(st.termios.CC[linux.VMIN]), time.Duration(st.termios.CC[linux.VTIME])
	have := len(st.in)
	enough := have >= min(max(minimum, 1), len(b)) || (minimum == 0 && tenths == 0)
	wait := tenths > 0 && !enough && (minimum == 0 || have > 0) && !s.noBlock.Load()
	if !wait {
		defer t.drained()
		defer t.unlock(st)
		if !enough && (have == 0 || !s.noBlock.Load()) {
			return 0, errno.EAGAIN
		}
		return st.take(b), nil
	}
	t.unlock(st)
	return s.readTimed(c, b, minimum, tenths*100*time.Millisecond)
}

// readTimed reads with VTIME: for the first byte if VMIN is 0, else between two
// bytes.
func (s *Slave) readTimed(c vfs.Context, b []byte, minimum int, gap time.Duration) (int, error) {
	t := s.t
	e := waiter.Entry{Mask: waiter.Readable | waiter.Always, Waker: c.Waker()}
	t.slaveWait.Register(&e)
	defer t.slaveWait.Unregister(&e)
	deadline, seen := waiter.After(gap), -1
	for {
		st := t.state.Lock()
		have := len(st.in)
		if have >= min(max(minimum, 1), len(b)) || st.hungUp {
			defer t.drained()
			defer t.unlock(st)
			return st.take(b), nil
		}
		t.unlock(st)
		if have != seen && minimum > 0 {
			seen, deadline = have, waiter.After(gap)
		}
		err := c.Sleep(deadline)
		if err == nil {
			continue
		}
		st = t.state.Lock()
		defer t.drained()
		defer t.unlock(st)
		if n := st.take(b); n > 0 || err == errno.ETIMEDOUT {
			return n, nil
		}
		return 0, err
	}
}

// drained lets the far end go on when reading has made room.
func (t *Terminal) drained() {
	t.masterWait.Notify(waiter.Writable)
	t.less()
}

// take reads in raw mode.
func (st *state) take(b []byte) int {
	n := min(len(b), len(st.in))
	for i, c := range st.in[:n] {
		b[i] = byte(c)
	}
	st.consume(n)
	return n
}

// takeLine reads in canonical mode: at most one line. EAGAIN without one.
func (st *state) takeLine(b []byte) (int, error) {
	if st.canon == 0 {
		return 0, errno.EAGAIN
	}
	n, used := 0, 0
	for used < st.canon {
		c := st.in[used]
		if c&isEOF != 0 {
			used++ // also behind a full buffer: else the next read would be empty
			break
		}
		if n == len(b) {
			break
		}
		b[n] = byte(c)
		n++
		used++
		if c&endsLine != 0 {
			break
		}
	}
	st.consume(used)
	return n, nil
}

func (st *state) consume(n int) {
	st.in = append(st.in[:0], st.in[n:]...)
	st.canon = max(st.canon-n, 0)
	st.interpret()
}

// Write implements vfs.Writer.
//
// Errors: EAGAIN without room; EIO after a hang-up; with TOSTOP what a
// background process gets.
func (s *Slave) Write(c vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	t := s.t
	st := t.state.Lock()
	check, gone, space := st.lflag(linux.TOSTOP), st.hungUp, st.space()
	t.unlock(st)
	if check {
		if err := t.job.Access(c, linux.SIGTTOU); err != nil {
			return 0, err
		}
	}
	if gone {
		return 0, errno.EIO
	}
	if src.Len() > 0 && space == 0 {
		return 0, errno.EAGAIN
	}
	b := make([]byte, min(src.Len(), space))
	n, err := src.Drain(b)
	if n == 0 {
		return 0, err
	}
	st = t.state.Lock()
	st.written(b[:n])
	t.unlock(st)
	return int64(n), nil
}

// Ready implements waiter.Waitable.
func (s *Slave) Ready(want waiter.Events) waiter.Events {
	st := s.t.state.Lock()
	defer s.t.unlock(st)
	var ev waiter.Events
	if st.hungUp {
		return (waiter.Readable | waiter.Writable | waiter.Hup | waiter.Err) & (want | waiter.Always)
	}
	if st.inputReady() {
		ev |= waiter.Readable
	}
	if st.space() > 0 {
		ev |= waiter.Writable
	}
	return ev & (want | waiter.Always)
}

// inputReady is what poll says: with VTIME one byte is enough.
func (st *state) inputReady() bool {
	if st.lflag(linux.ICANON) && !st.lflag(linux.EXTPROC) {
		return st.canon > 0
	}
	amount := 1
	if st.termios.CC[linux.VTIME] == 0 {
		amount = max(1, int(st.termios.CC[linux.VMIN]))
	}
	return len(st.in) >= amount
}

// Register and Unregister implement waiter.Waitable.
func (s *Slave) Register(e *waiter.Entry)   { s.t.slaveWait.Register(e) }
func (s *Slave) Unregister(e *waiter.Entry) { s.t.slaveWait.Unregister(e) }
