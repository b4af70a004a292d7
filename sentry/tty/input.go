package tty

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// typed takes bytes from the far end: as many as the discipline has room for
// are interpreted, more wait in pending. The caller has asked typable first.
func (st *state) typed(b []byte) {
	st.pending = append(st.pending, b...)
	st.interpret()
}

// typable is how much may be typed at once.
func (st *state) typable() int64 { return int64(max(queueMax-len(st.pending), 0)) }

// interpret feeds pending bytes to the discipline.
func (st *state) interpret() {
	i := 0
	for i < len(st.pending) && st.room() {
		c := st.pending[i]
		i++
		st.receive(c)
	}
	st.pending = st.pending[i:]
	if len(st.pending) == 0 {
		st.pending = nil
	}
}

// room says whether one more byte is taken. A line that is too long never
// blocks: its end is dropped, and the character that ends it still comes in.
func (st *state) room() bool {
	return len(st.in) < inputMax-1 || (st.lflag(linux.ICANON) && st.canon == 0)
}

// receive interprets one byte, as drivers/tty/n_tty.c.
func (st *state) receive(c byte) {
	if st.literal {
		st.literal = false
		st.plain(st.strip(c))
		return
	}
	c = st.strip(c)
	if st.lflag(linux.EXTPROC) {
		st.put(cell(c))
		return
	}
	if st.iflag(linux.IXON) && st.flow(c) {
		return
	}
	if st.lflag(linux.ISIG) {
		if s := st.signalOf(c); s != 0 {
			st.signal(s, c)
			return
		}
	}
	if st.stopped && st.iflag(linux.IXON) && st.iflag(linux.IXANY) {
		st.start()
	}
	switch {
	case c == '\r' && st.iflag(linux.IGNCR):
		return
	case c == '\r' && st.iflag(linux.ICRNL):
		c = '\n'
	case c == '\n' && st.iflag(linux.INLCR):
		c = '\r'
	}
	if st.lflag(linux.ICANON) && st.edit(c) {
		return
	}
	st.plain(c)
}

func (st *state) strip(c byte) byte {
	if st.iflag(linux.ISTRIP) {
		c &= 0x7f
	}
	if st.iflag(linux.IUCLC) && st.lflag(linux.IEXTEN) && c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// flow takes the characters that stop and start output.
func (st *state) flow(c byte) bool {
	switch {
	case st.is(c, linux.VSTART):
		st.start()
	case st.is(c, linux.VSTOP):
		st.stop()
	default:
		return false
	}
	return true
}

func (st *state) signalOf(c byte) linux.Signal {
	switch {
	case st.is(c, linux.VINTR):
		return linux.SIGINT
	case st.is(c, linux.VQUIT):
		return linux.SIGQUIT
	case st.is(c, linux.VSUSP):
		return linux.SIGTSTP
	}
	return 0
}

// signal is what VINTR, VQUIT and VSUSP do.
func (st *state) signal(s linux.Signal, c byte) {
	if !st.lflag(linux.NOFLSH) {
		rest := st.pending
		st.flushInput()
		st.pending = rest // interpret is walking over it
		st.flushOutput()
	}
	if st.iflag(linux.IXON) {
		st.start()
	}
	if st.lflag(linux.ECHO) {
		st.echo(c)
	}
	st.due.signals = append(st.due.signals, s)
}

// edit handles what is special in canonical mode.
func (st *state) edit(c byte) bool {
	extended := st.lflag(linux.IEXTEN)
	switch {
	case st.is(c, linux.VERASE), st.is(c, linux.VKILL), extended && st.is(c, linux.VWERASE):
		st.erase(c)
	case extended && st.is(c, linux.VLNEXT):
		st.literal = true
		if st.lflag(linux.ECHO) {
			st.finishErasing()
			if st.lflag(linux.ECHOCTL) {
				st.emit('^', '\b')
			}
		}
	case extended && st.is(c, linux.VREPRINT) && st.lflag(linux.ECHO):
		st.finishErasing()
		st.echo(c)
		st.process('\n')
		for _, b := range st.in[st.canon:] {
			st.echo(byte(b))
		}
	case c == '\n':
		if st.lflag(linux.ECHO) || st.lflag(linux.ECHONL) {
			st.process('\n')
		}
		st.endLine(cell(c))
	case st.is(c, linux.VEOF):
		st.endLine(isEOF)
	case st.is(c, linux.VEOL), extended && st.is(c, linux.VEOL2):
		if st.lflag(linux.ECHO) {
			st.startsLine()
			st.echo(c)
		}
		if st.iflag(linux.PARMRK) && c == 0xff {
			st.put(cell(c))
		}
		st.endLine(cell(c))
	default:
		return false
	}
	return true
}

// plain is a character that means itself.
func (st *state) plain(c byte) {
	if st.lflag(linux.ECHO) {
		st.finishErasing()
		if c == '\n' {
			st.process('\n')
		} else {
			st.startsLine()
			st.echo(c)
		}
	}
	if st.iflag(linux.PARMRK) && c == 0xff {
		st.put(cell(c))
	}
	st.put(cell(c))
}

// startsLine notes where on the screen a line begins, so that tabs in it can be
// erased.
func (st *state) startsLine() {
	if len(st.in) == st.canon {
		st.canonColumn = st.column
	}
}

func (st *state) put(c cell) {
	if len(st.in) >= inputMax-1 {
		if st.iflag(linux.IMAXBEL) {
			st.emit('\a')
		}
		return
	}
	st.in = append(st.in, c)
	if !st.lflag(linux.ICANON) {
		st.due.input |= waiter.Readable
	}
}

// endLine completes the line. It takes the last place when the line was too long.
func (st *state) endLine(c cell) {
	if len(st.in) >= inputMax {
		st.in = st.in[:inputMax-1]
	}
	st.in = append(st.in, c|endsLine)
	st.canon = len(st.in)
	st.due.input |= waiter.Readable
}

// erase takes back a character, a word or the line, and its picture.
func (st *state) erase(c byte) {
	if len(st.in) == st.canon {
		return
	}
	word, line := st.is(c, linux.VWERASE) && st.lflag(linux.IEXTEN), st.is(c, linux.VKILL)
	if line {
		if !st.lflag(linux.ECHO) {
			st.in = st.in[:st.canon]
			return
		}
		if !st.lflag(linux.ECHOK) || !st.lflag(linux.ECHOKE) || !st.lflag(linux.ECHOE) {
			st.in = st.in[:st.canon]
			st.finishErasing()
			st.echo(c)
			if st.lflag(linux.ECHOK) {
				st.process('\n')
			}
			return
		}
	}
	seen := false // a character of the word
	for len(st.in) > st.canon {
		head := len(st.in) - 1
		for st.continuation(byte(st.in[head])) && head > st.canon {
			head--
		}
		b := byte(st.in[head])
		if st.continuation(b) {
			break // half a character stays
		}
		if word {
			if isWord(b) {
				seen = true
			} else if seen {
				break
			}
		}
		gone := st.in[head:]
		st.in = st.in[:head]
		if st.lflag(linux.ECHO) {
			st.erasePicture(b, gone, word || line)
		}
		if !word && !line {
			break
		}
	}
	if len(st.in) == st.canon && st.lflag(linux.ECHO) {
		st.finishErasing()
	}
}

func isWord(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_'
}

// continuation says whether b is a later byte of a UTF-8 character.
func (st *state) continuation(b byte) bool { return st.iflag(linux.IUTF8) && b&0xc0 == 0x80 }

func isControl(b byte) bool { return b < ' ' || b == 0x7f }

// erasePicture takes one character off the screen.
func (st *state) erasePicture(b byte, gone []cell, several bool) {
	switch {
	case st.lflag(linux.ECHOPRT):
		if !st.erasing {
			st.emit('\\')
			st.column++
			st.erasing = true
		}
		for _, g := range gone {
			st.echo(byte(g))
		}
	case !several && !st.lflag(linux.ECHOE):
		st.echo(st.termios.CC[linux.VERASE])
	case b == '\t':
		for range st.tabWidth() {
			st.emit('\b')
			st.column = max(st.column-1, 0)
		}
	default:
		if isControl(b) && st.lflag(linux.ECHOCTL) {
			st.rubOut()
		}
		if !isControl(b) || st.lflag(linux.ECHOCTL) {
			st.rubOut()
		}
	}
}

func (st *state) rubOut() {
	st.emit('\b', ' ', '\b')
	if st.column > 0 {
		st.column--
	}
}

// tabWidth is how wide the tab was that stood behind what is left of the line.
func (st *state) tabWidth() int {
	width := st.canonColumn
	for i := len(st.in) - 1; i >= st.canon; i-- {
		if byte(st.in[i]) == '\t' {
			width = 0 // counts from a tab stop
			break
		}
	}
	for i := len(st.in) - 1; i >= st.canon; i-- {
		b := byte(st.in[i])
		if b == '\t' {
			break
		}
		switch {
		case isControl(b) && st.lflag(linux.ECHOCTL):
			width += 2
		case !isControl(b) && !st.continuation(b):
			width++
		}
	}
	return tabStop - width%tabStop
}

func (st *state) finishErasing() {
	if st.erasing {
		st.emit('/')
		st.column++
		st.erasing = false
	}
}

// echo shows a character as it was typed: control characters as ^X.
func (st *state) echo(c byte) {
	if st.lflag(linux.ECHOCTL) && isControl(c) && c != '\t' {
		st.emit('^', c^0x40)
		st.column += 2
		return
	}
	st.process(c)
}
