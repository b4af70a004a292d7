package ptrace

import (
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform/stub"
)

// room decides whether there may be one more guest thread.
//
// Each takes two host threads, one in its stub and one in this process, to which
// its owner is locked. A stub that the host refuses a thread gets EAGAIN, but
// the Go runtime ends a process that is refused one. So threads of this process
// are made ahead, in batches, after a stub has shown that the host allows that
// many: what a limit of an outer cgroup leaves can only be found by trying. The
// runtime keeps threads that are not in use, so that a sandbox which has had as
// many guest threads before pays nothing.
type room struct {
	// probes asks the template's goroutine for a try, until it has finished.
	probes   chan chan bool
	finished <-chan struct{}

	most int64 // that there may be at all

	mu      sync.Mutex
	used    int64 // guest threads
	covered int64 // guest threads for which this process has threads
}

const (
	// mostThreads bounds what a guest can make the host keep.
	mostThreads = 8192

	// firstBatch is not tried: a host that has no room for it has none for
	// the Go runtime either. Later ones are of batch.
	firstBatch, batch = 16, 16

	// spareThreads is what must be left for the runtime's own needs.
	spareThreads = 12
)

func newRoom(finished <-chan struct{}) *room {
	r := &room{probes: make(chan chan bool), finished: finished, most: mostThreads, covered: firstBatch}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &limit) == nil {
		// Other processes of this user share it.
		r.most = int64(max(firstBatch, min(mostThreads, limit.Cur/4)))
	}
	debug.SetMaxThreads(int(2*r.most) + 10000)
	return r
}

// take makes room for a thread, which give takes back. EAGAIN: there is none.
func (r *room) take() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used >= r.most {
		return errno.EAGAIN
	}
	if r.used >= r.covered && !r.growLocked() {
		return errno.EAGAIN
	}
	r.used++
	return nil
}

// exchange is take for a thread that replaces one of the same owner, which is
// given back soon: execve does not fail for want of threads.
func (r *room) exchange() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used++
}

func (r *room) give() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used--
}

func (r *room) growLocked() bool {
	answer := make(chan bool)
	select {
	case r.probes <- answer:
	case <-r.finished:
		return false
	}
	if !<-answer {
		return false
	}
	makeThreads(batch)
	r.covered += batch
	return true
}

// makeThreads has the Go runtime make threads of this process, by keeping as
// many goroutines locked to one each at the same time.
func makeThreads(n int) {
	var locked sync.WaitGroup
	release := make(chan struct{})
	locked.Add(n)
	for range n {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			locked.Done()
			<-release
		}()
	}
	locked.Wait()
	close(release)
}

// probe tries whether the host allows a batch of guest threads, with those of
// this process and some to spare.
func probe(template *stub.Tracee) bool {
	const want = 2*batch + spareThreads
	regs := stub.CallRegs(unix.SYS_CLONE, cloneProbe)
	regs.R12, regs.R13, regs.R14 = want, cloneThread, stubData
	unknown := [8]byte{1}
	if _, err := host.WriteProcess(template.TID, unknown[:], stubData); err != nil {
		return false
	}
	if template.Call(entry(doProbe), &regs) != nil {
		return false
	}
	pid, err := stub.CallResult(regs.Rax)
	if err != nil {
		return false
	}
	(&stub.Tracee{TID: int(pid)}).End()
	// No guest has this memory.
	var missing [8]byte
	_, err = host.ReadProcess(template.TID, missing[:], stubData)
	return err == nil && missing == [8]byte{}
}
