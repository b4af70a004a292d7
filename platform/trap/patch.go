package trap

// patches are the call sites of a space that jump to the stub.
type patches struct{}

// original says which address of the guest's own code one in a trampoline stands
// for.
func (p *patches) original(pc uint64) uint64 { return pc }

// resume says where to go on for a program counter amid a patched site.
func (p *patches) resume(pc uint64) uint64 { return pc }
