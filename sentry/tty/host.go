package tty

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
)

// Host is the far end of a terminal that shows on a host terminal: a
// container's console. The host terminal is in raw mode meanwhile, so that all
// interpretation is the Terminal's.
//
// The descriptor stays in blocking mode, which it may share with programs of
// the host: input is read only when the host says that there is some, and
// output is written by a goroutine of its own, which may block on a terminal
// that is slow.
type Host struct {
	t     *Terminal
	fd    *host.FD
	n     *host.Notifier
	saved *host.Termios

	started bool

	reading sync.Mutex  // one goroutine reads at a time
	full    atomic.Bool // pull stopped because the guest does not read
	wake    chan struct{}
	quit    chan struct{}
	idle    chan struct{} // closed when the writer has ended
}

// NewHost makes a terminal on a host terminal, whose size it takes over. It owns fd from now on.
//
// Nothing is read before Start. Errors: ENOTTY and whatever the host says; fd is
// closed then.
func NewHost(job Job, fd *host.FD, n *host.Notifier) (*Terminal, *Host, error) {
	saved, err := fd.TTYSettings()
	if err != nil {
		fd.Close()
		return nil, nil, err
	}
	t := newTerminal(job)
	h := &Host{
		t: t, fd: fd, n: n, saved: saved,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), idle: make(chan struct{}),
	}
	// Whoever passed the host terminal on may have made it raw already, so
	// only what it tells of the characters themselves is taken over.
	st := t.state.Lock()
	st.termios.Iflag |= saved.Iflag & linux.IUTF8
	t.unlock(st)
	t.more, t.less, t.ask, t.tell = h.more, h.resume, h.size, h.setSize
	if size, ok := h.size(); ok {
		t.Resize(size)
	}
	raw := *saved
	makeRaw(&raw)
	if err := fd.SetTTYSettings(&raw); err != nil {
		fd.Close()
		return nil, nil, err
	}
	return t, h, nil
}

// Start begins to take input and show output.
func (h *Host) Start() error {
	h.started = true
	go h.push()
	return h.n.Add(h.fd, linux.EPOLLIN|linux.EPOLLHUP, func(uint32) { h.pull() })
}

// makeRaw is what cfmakeraw(3) does.
func makeRaw(t *host.Termios) {
	t.Iflag &^= linux.IGNBRK | linux.BRKINT | linux.PARMRK | linux.ISTRIP | linux.INLCR | linux.IGNCR | linux.ICRNL | linux.IXON
	t.Oflag &^= linux.OPOST
	t.Lflag &^= linux.ECHO | linux.ECHONL | linux.ICANON | linux.ISIG | linux.IEXTEN
	t.Cflag = t.Cflag&^(linux.CSIZE|linux.PARENB) | linux.CS8
	t.Cc[linux.VMIN], t.Cc[linux.VTIME] = 1, 0
}

// pull takes what was typed, as far as there is room. It is called when the
// host has input and when the guest has made room.
func (h *Host) pull() {
	h.reading.Lock()
	defer h.reading.Unlock()
	for {
		st := h.t.state.Lock()
		space, gone := st.typable(), st.hungUp
		h.t.unlock(st)
		if space == 0 || gone {
			h.full.Store(true)
			return
		}
		ready, err := h.fd.Ready(linux.POLLIN)
		if err != nil || ready == 0 {
			return
		}
		b := make([]byte, min(space, inputMax))
		n, err := h.fd.Read(b)
		if n <= 0 || err != nil {
			h.t.hangUp() // the terminal or its window is gone
			return
		}
		// A window that was resized is noticed at the next key at the latest.
		h.t.Size()
		st = h.t.state.Lock()
		st.typed(b[:n])
		h.t.unlock(st)
	}
}

// resume goes on with input once the guest has made room.
func (h *Host) resume() {
	if h.full.CompareAndSwap(true, false) {
		h.pull()
	}
}

func (h *Host) more() {
	select {
	case h.wake <- struct{}{}:
	default: // it will look again anyway
	}
}

// push writes the output until Close.
func (h *Host) push() {
	defer close(h.idle)
	b := make([]byte, queueMax)
	closing := false
	for {
		st := h.t.state.Lock()
		n := st.fetch(b)
		h.t.unlock(st)
		for rest := b[:n]; len(rest) > 0; {
			done, err := h.fd.Write(rest)
			if err != nil {
				break // nobody looks any more: what is written is lost
			}
			rest = rest[done:]
		}
		switch {
		case n > 0:
			continue
		case closing:
			return
		}
		select {
		case <-h.wake:
		case <-h.quit:
			closing = true
		}
	}
}

// closeWait bounds how long Close waits for a terminal that takes no output.
const closeWait = 2 * time.Second

// Close writes what is left, gives the host terminal its settings back and
// hangs the Terminal up.
func (h *Host) Close() {
	_ = h.n.Remove(h.fd)
	close(h.quit)
	if h.started {
		select {
		case <-h.idle:
		case <-time.After(closeWait):
		}
	}
	_ = h.fd.SetTTYSettings(h.saved)
	h.t.hangUp()
	h.reading.Lock() // until a read that was under way has ended
	defer h.reading.Unlock()
	h.fd.Close()
}

func (h *Host) size() (linux.Winsize, bool) {
	w, err := h.fd.WindowSize()
	if err != nil {
		return linux.Winsize{}, false
	}
	return linux.Winsize{Row: w.Row, Col: w.Col, Xpixel: w.Xpixel, Ypixel: w.Ypixel}, true
}

// SetSize changes the size of the window, on both sides.
func (h *Host) SetSize(w linux.Winsize) {
	h.setSize(w)
	h.t.Resize(w)
}

func (h *Host) setSize(w linux.Winsize) {
	_ = h.fd.SetWindowSize(&host.Winsize{Row: w.Row, Col: w.Col, Xpixel: w.Xpixel, Ypixel: w.Ypixel})
}
