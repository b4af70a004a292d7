package tty

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Master is the far end of a pseudo-terminal: what an open of /dev/ptmx gives.
type Master struct {
	t *Terminal
	// closed is called when the last reference is gone.
	closed func()
}

// NewPair makes a pseudo-terminal. closed is called when the Master is released.
func NewPair(job Job, closed func()) (*Terminal, *Master) {
	t := newTerminal(job)
	m := &Master{t: t, closed: closed}
	t.more = func() { t.masterWait.Notify(waiter.Readable | waiter.Pri) }
	return t, m
}

// Terminal is the terminal whose far end this is.
func (m *Master) Terminal() *Terminal { return m.t }

// Release implements vfs.File: the terminal is hung up.
func (m *Master) Release() {
	m.t.hangUp()
	if m.closed != nil {
		m.closed()
	}
}

// abandoned says whether programs had the terminal open and no longer do.
func (st *state) abandoned() bool { return st.opened && st.slaves == 0 }

// Read implements vfs.Reader: what programs wrote, and echoes. In packet mode a
// byte that says what it is comes first.
//
// Errors: EAGAIN to wait; EIO when no program has the terminal open any more.
func (m *Master) Read(_ vfs.Context, dst *usermem.Buffer, _ int64) (int64, error) {
	if dst.Len() == 0 {
		return 0, nil
	}
	b := make([]byte, min(dst.Len(), queueMax))
	n, err := m.read(b)
	if err != nil {
		return 0, err
	}
	done, err := dst.Fill(b[:n])
	if done > 0 {
		err = nil
	}
	return int64(done), err
}

func (m *Master) read(b []byte) (int, error) {
	st := m.t.state.Lock()
	defer m.t.unlock(st)
	if st.packet && st.packetBits != 0 {
		b[0], st.packetBits = st.packetBits, 0
		return 1, nil
	}
	if len(st.out) == 0 {
		if st.abandoned() {
			return 0, errno.EIO
		}
		return 0, errno.EAGAIN
	}
	if st.packet {
		b[0] = linux.TIOCPKT_DATA
		return 1 + st.fetch(b[1:]), nil
	}
	return st.fetch(b), nil
}

// Write implements vfs.Writer: what is typed.
//
// Errors: EAGAIN when the program does not read.
func (m *Master) Write(_ vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	st := m.t.state.Lock()
	space := st.typable()
	m.t.unlock(st)
	if src.Len() > 0 && space == 0 {
		return 0, errno.EAGAIN
	}
	b := make([]byte, min(src.Len(), space))
	n, err := src.Drain(b)
	if n == 0 {
		return 0, err
	}
	st = m.t.state.Lock()
	st.typed(b[:n])
	m.t.unlock(st)
	return int64(n), nil
}

// Ready implements waiter.Waitable.
func (m *Master) Ready(want waiter.Events) waiter.Events {
	st := m.t.state.Lock()
	defer m.t.unlock(st)
	var ev waiter.Events
	if len(st.out) > 0 {
		ev |= waiter.Readable
	}
	if st.packet && st.packetBits != 0 {
		ev |= waiter.Readable | waiter.Pri
	}
	if st.typable() > 0 {
		ev |= waiter.Writable
	}
	if st.abandoned() {
		ev |= waiter.Hup | waiter.Readable // a read says EIO at once
	}
	return ev & (want | waiter.Always)
}

// Register and Unregister implement waiter.Waitable.
func (m *Master) Register(e *waiter.Entry)   { m.t.masterWait.Register(e) }
func (m *Master) Unregister(e *waiter.Entry) { m.t.masterWait.Unregister(e) }
