package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process names a host process. Its start time tells it from a later process
// with the same number.
type Process struct {
	PID int
	// Start is in clock ticks since the host booted.
	Start uint64
}

// FindProcess names the process that has the number now.
func FindProcess(pid int) (Process, error) {
	_, start, err := readStat(pid)
	if err != nil {
		return Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return Process{PID: pid, Start: start}, nil
}

// Self names this process.
func Self() (Process, error) { return FindProcess(os.Getpid()) }

// Alive says whether the process still runs. A zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	state, start, err := readStat(p.PID)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// Signal sends a signal to the process and nobody else: by a pidfd that is
// opened before the start time is compared.
func (p Process) Signal(sig unix.Signal) error {
	if p.PID <= 0 {
		return unix.ESRCH
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !p.Alive() {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// KillAndWait kills the process and waits until it is gone or a zombie. Whoever
// is its parent reaps it.
func (p Process) KillAndWait(limit time.Duration) error {
	if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	deadline := time.Now().Add(limit)
	for wait := 500 * time.Microsecond; p.Alive(); wait = min(2*wait, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end after SIGKILL", p.PID)
		}
		time.Sleep(wait)
	}
	return nil
}

// readStat reads the state and the start time from /proc/PID/stat.
func readStat(pid int) (state byte, start uint64, err error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return 0, 0, unix.ESRCH
	}
	if err != nil {
		return 0, 0, err
	}
	_, fields, ok := cutStat(raw)
	const stateField, startField = 0, 19 // 3 and 22 of proc_pid_stat(5)
	if !ok || len(fields) <= startField {
		return 0, 0, errors.New("malformed /proc/PID/stat")
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	return fields[stateField][0], start, err
}

// Child is a child of some process, with the name that the host shows.
type Child struct {
	PID  int
	Name string
}

// Children lists the children of a process that run, in the order of their
// numbers.
func Children(parent int) (all []Child) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		name, rest, ok := cutStat(raw)
		const stateField, parentField = 0, 1
		if ok && len(rest) > parentField && rest[parentField] == strconv.Itoa(parent) && rest[stateField] != "Z" {
			all = append(all, Child{PID: pid, Name: name})
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].PID < all[j].PID })
	return all
}

// cutStat splits /proc/PID/stat into the name in its second field and the
// fields behind. The name may hold anything, so fields count from the last
// bracket.
func cutStat(raw []byte) (name string, fields []string, ok bool) {
	start, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if start < 0 || end < start {
		return "", nil, false
	}
	return string(raw[start+1 : end]), strings.Fields(string(raw[end+1:])), true
}
