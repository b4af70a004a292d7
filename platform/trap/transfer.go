package trap

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/platform"
)

// This file: small pieces of memory that travel in the area with a call.

const (
	// maxFetch is what a call brings along at most, at the start of data;
	// deliveries lie behind.
	maxFetch      = 1024
	maxDeliveries = 16
)

// fetchRule says what the stub copies when it makes a call: the register that
// points to it, as a place in platform.Registers, plus one (0: nothing), and how
// long it is: a register shifted, or a fixed number of words of 4 bytes.
type fetchRule struct {
	pointer, length, shift, words uint8
}

// Registers by their place in platform.Registers.
const (
	regR10 = 7
	regR8  = 9
	regRdx = 12
	regRsi = 13
	regRdi = 14

	fixedLength = 0xff
)

// path is as long as what the Sentry reads at a time.
func path(reg uint8) fetchRule { return fixed(reg, 512) }

func fixed(reg uint8, bytes int) fetchRule {
	return fetchRule{reg + 1, fixedLength, 0, uint8(bytes / 4)}
}

func counted(reg, length, shift uint8) fetchRule { return fetchRule{reg + 1, length, shift, 0} }

var fetchRules = [...]struct {
	call sysno.ID
	rule fetchRule
}{
	{sysno.Write, counted(regRsi, regRdx, 0)},
	{sysno.Pwrite64, counted(regRsi, regRdx, 0)},
	{sysno.Sendto, counted(regRsi, regRdx, 0)},
	{sysno.Writev, counted(regRsi, regRdx, 4)},
	{sysno.Readv, counted(regRsi, regRdx, 4)},
	{sysno.Poll, counted(regRdi, regRsi, 3)},
	{sysno.Connect, counted(regRsi, regRdx, 0)},
	{sysno.Bind, counted(regRsi, regRdx, 0)},
	{sysno.Open, path(regRdi)},
	{sysno.Stat, path(regRdi)},
	{sysno.Lstat, path(regRdi)},
	{sysno.Access, path(regRdi)},
	{sysno.Readlink, path(regRdi)},
	{sysno.Unlink, path(regRdi)},
	{sysno.Mkdir, path(regRdi)},
	{sysno.Rmdir, path(regRdi)},
	{sysno.Chdir, path(regRdi)},
	{sysno.Chmod, path(regRdi)},
	{sysno.Creat, path(regRdi)},
	{sysno.Execve, path(regRdi)},
	{sysno.Openat, path(regRsi)},
	{sysno.Newfstatat, path(regRsi)},
	{sysno.Statx, path(regRsi)},
	{sysno.Faccessat, path(regRsi)},
	{sysno.Faccessat2, path(regRsi)},
	{sysno.Readlinkat, path(regRsi)},
	{sysno.Unlinkat, path(regRsi)},
	{sysno.Mkdirat, path(regRsi)},
	{sysno.Fchmodat, path(regRsi)},
	{sysno.Utimensat, path(regRsi)},
	{sysno.RtSigprocmask, fixed(regRsi, 8)},
	{sysno.RtSigaction, fixed(regRsi, 32)},
	{sysno.EpollCtl, fixed(regR10, 12)},
	{sysno.Nanosleep, fixed(regRdi, 16)},
	{sysno.ClockNanosleep, fixed(regRdx, 16)},
}

// fetchTable is what each area has.
var fetchTable = func() (table [fastCalls]fetchRule) {
	for _, r := range fetchRules {
		if nr, ok := r.call.Number(sysno.AMD64); ok {
			table[nr] = r.rule
		}
	}
	return table
}()

var _ platform.Transferrer = (*thread)(nil)

// transfer is a thread's part.
type transfer struct {
	fetched bool // what came with the last call may be used
	pending int  // deliveries
	used    int  // bytes of data
	to      [maxDeliveries]delivery
}

// Fetched implements platform.Transferrer.
func (t *thread) Fetched(dst []byte, addr uintptr) bool {
	if !t.transfer.fetched {
		return false
	}
	at := uint64(addr) - t.area.fetchedAddr
	length := uint64(min(t.area.fetchedLen, maxFetch))
	if at > length || uint64(len(dst)) > length-at {
		return false
	}
	copy(dst, t.area.data[at:])
	return true
}

// Deliver implements platform.Transferrer.
func (t *thread) Deliver(addr uintptr, src []byte) bool {
	x := &t.transfer
	at := maxFetch + x.used
	if x.pending == maxDeliveries || at+len(src) > len(t.area.data) || bounds.Within(addr, len(src)) < len(src) {
		return false
	}
	copy(t.area.data[at:], src)
	d := delivery{uint64(addr), uint32(dataOffset) + uint32(at), uint32(len(src))}
	x.to[x.pending] = d
	t.area.delivery[x.pending] = d
	x.pending++
	x.used += (len(src) + 63) &^ 63
	x.fetched = false
	return true
}

// Settle implements platform.Transferrer.
func (t *thread) Settle() {
	x := &t.transfer
	x.fetched = false
	for _, d := range x.to[:x.pending] {
		at := uint64(d.offset) - dataOffset
		// It was checked; who unmapped it meanwhile does without.
		_, _ = t.as.WriteAt(t.area.data[at:at+uint64(d.len)], uintptr(d.addr))
	}
	x.pending, x.used = 0, 0
}
