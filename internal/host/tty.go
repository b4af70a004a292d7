package host

import "golang.org/x/sys/unix"

// Termios and Winsize are the host's structures of these names.
type (
	Termios = unix.Termios
	Winsize = unix.Winsize
)

// TTYSettings returns the settings of a terminal; ENOTTY if fd is none.
func (fd *FD) TTYSettings() (*Termios, error) {
	t, err := unix.IoctlGetTermios(fd.Number(), unix.TCGETS)
	return t, failure(err)
}

// SetTTYSettings changes them at once.
func (fd *FD) SetTTYSettings(t *Termios) error {
	return failure(unix.IoctlSetTermios(fd.Number(), unix.TCSETS, t))
}

// WindowSize returns the size of a terminal's window.
func (fd *FD) WindowSize() (*Winsize, error) {
	w, err := unix.IoctlGetWinsize(fd.Number(), unix.TIOCGWINSZ)
	return w, failure(err)
}

// SetWindowSize changes it.
func (fd *FD) SetWindowSize(w *Winsize) error {
	return failure(unix.IoctlSetWinsize(fd.Number(), unix.TIOCSWINSZ, w))
}
