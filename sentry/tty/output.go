package tty

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// send puts bytes into the queue of the far end as they are; while output is
// stopped they are held back.
func (st *state) send(b []byte) {
	if st.stopped {
		st.held = append(st.held, b...)
		return
	}
	st.out = append(st.out, b...)
	st.due.output = true
}

// emit is send for echoes and single bytes. They are lost when the far end does
// not fetch: who types without end and reads nothing shall not fill our memory.
func (st *state) emit(b ...byte) {
	if len(st.out)+len(st.held) < outputMax {
		st.send(b)
	}
}

// process sends one byte, as the output settings say.
func (st *state) process(c byte) {
	if !st.oflag(linux.OPOST) {
		st.emit(c)
		return
	}
	switch c {
	case '\n':
		if st.oflag(linux.ONLRET) {
			st.column = 0
		}
		if st.oflag(linux.ONLCR) {
			st.column, st.canonColumn = 0, 0
			st.emit('\r', '\n')
			return
		}
		st.canonColumn = st.column
	case '\r':
		if st.oflag(linux.ONOCR) && st.column == 0 {
			return
		}
		if st.oflag(linux.OCRNL) {
			c = '\n'
			if !st.oflag(linux.ONLRET) {
				break
			}
		}
		st.column, st.canonColumn = 0, 0
	case '\t':
		width := tabStop - st.column%tabStop
		st.column += width
		if st.termios.Oflag&linux.TABDLY == linux.XTABS {
			for range width {
				st.emit(' ')
			}
			return
		}
	case '\b':
		if st.column > 0 {
			st.column--
		}
	default:
		if isControl(c) {
			break
		}
		if st.oflag(linux.OLCUC) && c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if !st.continuation(c) {
			st.column++
		}
	}
	st.emit(c)
}

// written takes all that a program writes; the caller has asked space first.
func (st *state) written(b []byte) {
	if !st.oflag(linux.OPOST) {
		st.send(b)
		return
	}
	for _, c := range b {
		st.process(c)
	}
}

// space is how much a program may write at once. Tabs and new lines may make
// more of it, which the queue then holds.
func (st *state) space() int64 {
	if st.stopped {
		return 0
	}
	return int64(max(queueMax-len(st.out), 0))
}

// fetch takes up to len(b) bytes of output away; what was written before the
// output was stopped is still delivered, as on a Linux pseudo-terminal. The
// queue starts anew when it is empty, so that it does not stay large.
func (st *state) fetch(b []byte) int {
	full := st.space() == 0
	n := copy(b, st.out)
	st.out = st.out[n:]
	if len(st.out) == 0 {
		st.out = nil
	}
	if full && st.space() > 0 {
		st.due.input |= waiter.Writable
	}
	return n
}
