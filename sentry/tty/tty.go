// Package tty is terminals: the line discipline that stands between what is
// typed and what a program reads, and between what it writes and what is shown;
// pseudo-terminals; and terminals whose far end is a host terminal.
//
// A Terminal is the discipline (N_TTY) with its settings and its two queues. A
// program sees it through a Slave, an open file. At the far end sits either a
// Master, the other half of a pseudo-terminal, or a Host, which pumps bytes to
// and from a descriptor of the host. Sessions and process groups are known here
// only through Job, which the file system above implements.
//
// The package never sends a signal or wakes anybody with a lock held, and never
// touches a guest's memory inside a lock.
//
// Locks: Terminal.state (class lockorder.TTY); everything of a terminal, both
// directions, is behind this one lock.
//
// Cost: a byte typed in canonical mode costs a few comparisons; output is one
// pass over the bytes. A read or write copies through a buffer of the Sentry's.
package tty

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Job is a terminal's relation to sessions and process groups. It takes locks
// that are outside this package's, so it is called with none held.
type Job interface {
	// Access is the check before a process reads (SIGTTIN) or changes
	// (SIGTTOU) the terminal: nil, ERESTARTSYS when the group was sent the
	// signal, or EIO.
	Access(c vfs.Context, s linux.Signal) error
	// Signal goes to the foreground group.
	Signal(s linux.Signal)
	// HangUp ends the relation because the terminal is gone.
	HangUp()
	// Opened is told of each open: a session leader may get its terminal.
	Opened(c vfs.Context, flags linux.OpenFlags)
	// Ioctl answers those about sessions and groups; ENOTTY for all others.
	Ioctl(c vfs.Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error)
}

// Terminal is one terminal.
type Terminal struct {
	job   Job
	state lock.Guarded[lockorder.TTY, state]

	slaveWait  waiter.Queue // programs
	masterWait waiter.Queue // the Master, if there is one

	// more is called, without a lock, when there is output to fetch, and
	// less when there is room for input again.
	more, less func()
	// ask is how the far end is asked for the window's size, and tell how
	// it is told of one that a program sets; nil if only programs set it.
	ask  func() (linux.Winsize, bool)
	tell func(linux.Winsize)
}

// newTerminal makes a terminal with the settings of a fresh Linux one.
func newTerminal(job Job) *Terminal {
	t := &Terminal{job: job, more: func() {}, less: func() {}}
	st := t.state.Lock()
	st.termios = DefaultTermios()
	t.state.Unlock()
	return t
}

// DefaultTermios are the settings that a terminal starts with.
func DefaultTermios() linux.Termios2 {
	return linux.Termios2{
		Termios: linux.Termios{
			Iflag: linux.ICRNL | linux.IXON,
			Oflag: linux.OPOST | linux.ONLCR,
			Cflag: linux.B38400 | linux.CS8 | linux.CREAD,
			Lflag: linux.ISIG | linux.ICANON | linux.ECHO | linux.ECHOE | linux.ECHOK | linux.ECHOCTL |
				linux.ECHOKE | linux.IEXTEN,
			CC: [linux.NCCS]uint8{
				linux.VINTR: 'C' - '@', linux.VQUIT: '\\' - '@', linux.VERASE: 0x7f, linux.VKILL: 'U' - '@',
				linux.VEOF: 'D' - '@', linux.VMIN: 1, linux.VSTART: 'Q' - '@', linux.VSTOP: 'S' - '@',
				linux.VSUSP: 'Z' - '@', linux.VREPRINT: 'R' - '@', linux.VDISCARD: 'O' - '@',
				linux.VWERASE: 'W' - '@', linux.VLNEXT: 'V' - '@',
			},
		},
		Ispeed: 38400, Ospeed: 38400,
	}
}

// state is what Terminal.state guards.
type state struct {
	termios linux.Termios2
	size    linux.Winsize

	// Input. in holds what was typed and not read; its first canon cells
	// are complete lines, the rest is the line that is being edited. In raw
	// mode canon means nothing.
	in      []cell
	canon   int
	pending []byte // typed, but there was no room in the discipline
	literal bool   // the next character is taken as it is (VLNEXT)
	erasing bool   // inside \.../ of ECHOPRT

	// Output.
	out         []byte // to be fetched by the far end
	column      int
	canonColumn int    // where the line that is being edited begins
	stopped     bool   // ^S or TCOOFF
	held        []byte // echoes that wait until output goes on

	hungUp bool // the far end is gone for good
	slaves int  // open files
	opened bool // a slave was open once

	// Of a Master.
	packet     bool
	packetBits uint8 // what the next read in packet mode reports

	// What is to be done when the lock is released.
	due due
}

// due is collected under the lock and done after it.
type due struct {
	signals []linux.Signal
	output  bool          // the far end has something to fetch
	input   waiter.Events // for programs
}

// cell is a byte that was typed, with flags.
type cell uint16

const (
	endsLine cell = 1 << 8 // the last of a line
	isEOF    cell = 1 << 9 // VEOF: ends a line but is no part of it
)

const (
	inputMax  = 4096          // N_TTY_BUF_SIZE
	queueMax  = 64 << 10      // what a pseudo-terminal holds in each direction
	outputMax = 16 * queueMax // with what tabs make of a full queue, and echoes
	tabStop   = 8
	noControl = 0 // _POSIX_VDISABLE
)

// unlock releases the lock and does what is due.
func (t *Terminal) unlock(st *state) {
	d := st.due
	st.due = due{}
	t.state.Unlock()
	for _, s := range d.signals {
		t.job.Signal(s)
	}
	if d.output {
		t.more()
	}
	if d.input != 0 {
		t.slaveWait.Notify(d.input)
	}
}

func (st *state) iflag(f uint32) bool { return st.termios.Iflag&f != 0 }
func (st *state) oflag(f uint32) bool { return st.termios.Oflag&f != 0 }
func (st *state) lflag(f uint32) bool { return st.termios.Lflag&f != 0 }

// is says whether b is the control character with that index.
func (st *state) is(b byte, index int) bool {
	return b == st.termios.CC[index] && b != noControl
}

// setTermios installs new settings. Linux turns what was typed in raw mode into
// one line when canonical mode begins.
func (st *state) setTermios(n linux.Termios2) {
	old := st.termios
	st.termios = n
	if (old.Lflag^n.Lflag)&(linux.ICANON|linux.EXTPROC) != 0 {
		st.canon = 0
		if n.Lflag&linux.ICANON != 0 && len(st.in) > 0 {
			st.in[len(st.in)-1] |= endsLine
			st.canon = len(st.in)
		}
		st.literal, st.erasing = false, false
		st.due.input |= waiter.Readable
	}
	if old.Iflag&linux.IXON != 0 && n.Iflag&linux.IXON == 0 && st.stopped {
		st.start()
	}
	st.notePacket(old, n)
}

// notePacket records what packet mode tells of a change of settings.
func (st *state) notePacket(old, n linux.Termios2) {
	stops := func(t *linux.Termios2) bool {
		return t.Iflag&linux.IXON != 0 && t.CC[linux.VSTOP] == 'S'-'@' && t.CC[linux.VSTART] == 'Q'-'@'
	}
	if !st.packet {
		return
	}
	if was, is := stops(&old), stops(&n); was != is {
		st.packetBits &^= linux.TIOCPKT_DOSTOP | linux.TIOCPKT_NOSTOP
		if is {
			st.packetBits |= linux.TIOCPKT_DOSTOP
		} else {
			st.packetBits |= linux.TIOCPKT_NOSTOP
		}
	}
	if n.Lflag&linux.EXTPROC != 0 || old.Lflag&linux.EXTPROC != 0 {
		st.packetBits |= linux.TIOCPKT_IOCTL
	}
	st.due.output = st.due.output || st.packetBits != 0
}

// stop and start are flow control of the output.
func (st *state) stop() {
	if st.stopped {
		return
	}
	st.stopped = true
	st.packetBits = st.packetBits&^linux.TIOCPKT_START | linux.TIOCPKT_STOP
	st.due.output = true
}

func (st *state) start() {
	if !st.stopped {
		return
	}
	st.stopped = false
	held := st.held
	st.held = nil
	st.send(held)
	st.packetBits = st.packetBits&^linux.TIOCPKT_STOP | linux.TIOCPKT_START
	st.due.output = true
	st.due.input |= waiter.Writable
}

// flushInput forgets what was typed.
func (st *state) flushInput() {
	st.in, st.canon, st.pending = st.in[:0], 0, nil
	st.literal, st.erasing = false, false
	st.packetBits |= linux.TIOCPKT_FLUSHREAD
}

// flushOutput forgets what was written and not fetched.
func (st *state) flushOutput() {
	st.out, st.held = nil, nil
	st.packetBits |= linux.TIOCPKT_FLUSHWRITE
	st.due.input |= waiter.Writable
}

// hangUp is the end: reads give an end of file, writes EIO.
func (t *Terminal) hangUp() {
	st := t.state.Lock()
	was := st.hungUp
	st.hungUp = true
	st.flushInput()
	st.due.input |= waiter.Hup | waiter.In | waiter.Out | waiter.RdNorm | waiter.WrNorm | waiter.Err
	t.unlock(st)
	if !was {
		t.job.HangUp()
	}
}
