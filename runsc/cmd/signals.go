package cmd

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/runsc/sandbox"
)

// signalCatcher collects the signals sent to runsc, to pass them on.
type signalCatcher struct {
	c chan os.Signal
}

// catchSignals begins to collect. The kernel's own business with us stays ours:
// SIGCHLD, SIGURG (which Go sends to itself), SIGPIPE, SIGWINCH (which is for
// the terminal) and what means "use the terminal later".
func catchSignals() *signalCatcher {
	s := &signalCatcher{c: make(chan os.Signal, 128)}
	own := map[unix.Signal]bool{
		unix.SIGCHLD: true, unix.SIGURG: true, unix.SIGPIPE: true, unix.SIGWINCH: true,
		unix.SIGTTIN: true, unix.SIGTTOU: true, unix.SIGTSTP: true,
		unix.SIGSEGV: true, unix.SIGBUS: true, unix.SIGFPE: true, unix.SIGILL: true, unix.SIGTRAP: true,
		unix.SIGKILL: true, unix.SIGSTOP: true, unix.SIGCONT: true, unix.SIGPROF: true,
	}
	var all []os.Signal
	for n := syscall.Signal(1); n < 32; n++ {
		if !own[n] {
			all = append(all, n)
		}
	}
	signal.Notify(s.c, all...)
	return s
}

// forward passes on what was collected and what comes.
func (s *signalCatcher) forward(to func(sig int) error) {
	go func() {
		for sig := range s.c {
			if err := to(int(sig.(syscall.Signal))); err != nil {
				note("forward " + sig.String() + ": " + err.Error())
			}
		}
	}()
}

// answerLimit is how long a Sentry may take to pass a signal on. It does that
// by itself, whatever its container does.
const answerLimit = 10 * time.Second

// orKill makes a forwarder that kills a sandbox which does not answer, because
// nothing else that a person can send would end it.
func orKill(box *sandbox.Sandbox, send func(sig int) error) func(int) error {
	return func(sig int) error {
		sent := make(chan error, 1)
		go func() { sent <- send(sig) }()
		select {
		case err := <-sent:
			return err
		case <-time.After(answerLimit):
			warn(fmt.Sprintf("the sandbox does not answer for %v and is killed", answerLimit))
			return box.Sentry.Signal(unix.SIGKILL)
		}
	}
}

func (s *signalCatcher) stop() { signal.Stop(s.c) }

func signalOf(n int) unix.Signal { return unix.Signal(n) }

// maxSignal is the highest number there is.
const maxSignal = 64

// parseSignal understands 9, KILL, SIGKILL and sigkill.
func parseSignal(s string) (unix.Signal, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return unix.Signal(n), n > 0 && n <= maxSignal
	}
	name := strings.ToUpper(s)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	sig := unix.SignalNum(name)
	return sig, sig != 0
}
