package console

import (
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Attachment copies between the user's terminal and a master end until it is
// closed.
type Attachment struct {
	restore func()
	output  chan struct{} // closed when the master gives no more
	winch   chan os.Signal
	master  *os.File
}

// Attach connects in and out, which are the user's, with a master end. When in
// is a terminal it is set to raw mode and its size is kept in step.
func Attach(in, out, master *os.File) (*Attachment, error) {
	a := &Attachment{restore: func() {}, output: make(chan struct{}), winch: make(chan os.Signal, 1), master: master}
	if IsTerminal(in) {
		restore, err := MakeRaw(in)
		if err != nil {
			return nil, err
		}
		a.restore = restore
		a.followSize(in)
	}
	go func() {
		// Ends with the process: a read from a terminal cannot be interrupted.
		io.Copy(master, in)
	}()
	go func() {
		defer close(a.output)
		// EIO is how a master end tells that the slave was closed.
		io.Copy(out, master)
	}()
	return a, nil
}

func (a *Attachment) followSize(in *os.File) {
	resize := func() {
		if rows, columns := Size(in); rows != 0 || columns != 0 {
			SetSize(a.master, rows, columns) // a closed master needs no size
		}
	}
	resize()
	signal.Notify(a.winch, unix.SIGWINCH)
	go func() {
		for range a.winch {
			resize()
		}
	}()
}

// Drain waits for the last output; nobody may hold the slave end any more.
func (a *Attachment) Drain() { <-a.output }

// Close gives the user's terminal back.
func (a *Attachment) Close() {
	signal.Stop(a.winch)
	a.restore()
}
