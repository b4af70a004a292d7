// Package stub makes the host processes that run guest code on the platforms
// whose address spaces are processes: the template, an empty confined child of
// the Sentry from which they are forked.
//
// Main types: Image, the code that lies in every stub above what a guest may
// map; Tracee, a host thread under ptrace, which is how a template is prepared
// and how platform/ptrace runs guests; Template. The package knows nothing of
// guests, keeps no state and takes no lock. Making a template costs about two
// milliseconds, most of it the fork of the Go process.
package stub

// Image is the code of a stub. Behind its last page lies one page of data,
// which is the guest's to overwrite.
type Image struct {
	Code []byte  // whole pages
	Base uintptr // where it lies in a stub
	Call uintptr // the offset of a system call instruction and a breakpoint
	Gap  uintptr // bytes set aside for each routine that Tracee.Call runs
}

// CallAddr is where Call lies in a stub, Data where the data page does.
func (i *Image) CallAddr() uint64 { return uint64(i.Base + i.Call) }
func (i *Image) Data() uintptr    { return i.Base + uintptr(len(i.Code)) }

// Breakpoint is int3, at which a routine ends.
const Breakpoint = 0xcc

// behindTrap says whether a program counter is behind the breakpoint of a
// routine, where only that routine's end can have brought it.
func (i *Image) behindTrap(routine, pc uint64) bool {
	at := pc - 1 - uint64(i.Base)
	if at >= uint64(len(i.Code)) {
		// A template that is not yet in its place.
		return pc-routine-1 < uint64(i.Gap)
	}
	return pc-routine-1 < uint64(i.Gap) && i.Code[at] == Breakpoint
}

const (
	pageSize = 4096
	taskSize = 1<<47 - pageSize
)

func cpuid(leaf, sub uint32) (eax, ebx uint32)

func forkTemplate(child uintptr, action *[4]uint64) (pid int)
