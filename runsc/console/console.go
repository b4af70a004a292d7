// Package console deals with host terminals: it makes pseudoterminals for
// containers, hands them over to an engine, and copies between the user's
// terminal and one of them.
//
// A container's terminal has two parts. The host pseudoterminal made here is a
// plain pipe of bytes with a size, its slave end in raw mode; echo, editing and
// signals are the work of the Sentry's own terminal on top of it.
//
// The package keeps no state and takes no lock.
package console

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// PTY is a host pseudoterminal.
type PTY struct {
	Master, Slave *os.File
}

// New makes a pseudoterminal in raw mode.
func New() (*PTY, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("allocate terminal: open /dev/ptmx: %w", err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, fmt.Errorf("allocate terminal: unlock: %w", err)
	}
	// TIOCGPTPEER finds the slave whatever is mounted on /dev/pts.
	slave, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if e != 0 {
		master.Close()
		return nil, fmt.Errorf("allocate terminal: open slave: %w", e)
	}
	p := &PTY{Master: master, Slave: os.NewFile(slave, "terminal")}
	if _, err := MakeRaw(p.Slave); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Close closes both ends.
func (p *PTY) Close() {
	p.Master.Close()
	p.Slave.Close()
}

// Hand sends the master end to whoever listens on the unix socket at path, as
// the OCI runtime command line prescribes for --console-socket.
func (p *PTY) Hand(path string) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("console socket: %w", err)
	}
	defer unix.Close(s)
	if err := unix.Connect(s, &unix.SockaddrUnix{Name: path}); err != nil {
		return fmt.Errorf("console socket %s: connect: %w", path, err)
	}
	if err := unix.Sendmsg(s, []byte(p.Master.Name()), unix.UnixRights(int(p.Master.Fd())), nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("console socket %s: send: %w", path, err)
	}
	return nil
}

// IsTerminal says whether f is a terminal.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// InForeground says whether this process may use the terminal f without being
// stopped for it.
func InForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// MakeRaw turns off everything that the terminal does to bytes, and returns what
// undoes it.
func MakeRaw(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("read terminal settings: %w", err)
	}
	raw := *old
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag &^= unix.CSIZE | unix.PARENB
	raw.Cflag |= unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, fmt.Errorf("set terminal to raw mode: %w", err)
	}
	return func() { unix.IoctlSetTermios(fd, unix.TCSETSW, old) }, nil
}

// Size reads a terminal's size; zeros when it has none.
func Size(f *os.File) (rows, columns uint16) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return ws.Row, ws.Col
}

// SetSize sets a terminal's size, which sends SIGWINCH to its foreground.
func SetSize(f *os.File, rows, columns uint16) error {
	ws := &unix.Winsize{Row: rows, Col: columns}
	if err := unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, ws); err != nil {
		return fmt.Errorf("set terminal size: %w", err)
	}
	return nil
}
