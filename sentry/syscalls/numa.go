package syscalls

import (
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// NUMA policies on a machine with one node, which is what /sys shows. Policies
// are checked and remembered for the process, and that is all they do: where
// pages lie is the host's affair.
var numaCalls = []Call{
	call5(sysno.GetMempolicy, getMempolicy, full),
	call3(sysno.SetMempolicy, setMempolicy, full),
	call6(sysno.Mbind, mbind, except("get_mempolicy(MPOL_F_ADDR) shows it")),
	call4(sysno.SetMempolicyHomeNode, setMempolicyHomeNode, full),
	call4(sysno.MigratePages, migratePages, full),
	call6(sysno.MovePages, movePages, full),
}

const (
	onlyNode  = 0
	nodesHere = 1 << onlyNode // the mask of all nodes

	policyFlags = linux.MPOL_F_STATIC_NODES | linux.MPOL_F_RELATIVE_NODES | linux.MPOL_F_NUMA_BALANCING
	policyCount = linux.MPOL_WEIGHTED_INTERLEAVE + 1
)

// policy is a process's, as set_mempolicy set it.
type policy struct {
	mu    sync.Mutex
	mode  int32 // with its flags
	nodes uint64
}

// SurvivesExec: a policy is kept.
func (*policy) SurvivesExec() {}

type policyKey struct{}

func policyOf(t *kernel.Task) *policy {
	return t.ThreadGroup().Attachment(policyKey{}, func() any { return &policy{} }).(*policy)
}

// loadNodes copies a set of nodes in.
//
// Errors: EINVAL for a mask that is too long or has nodes that no machine has;
// EFAULT.
func loadNodes(t *kernel.Task, p usermem.Ptr[uint64], maxNode uint64) (uint64, error) {
	maxNode-- // Linux counts one more
	if p.IsNil() || maxNode == 0 || maxNode == ^uint64(0) {
		return 0, nil
	}
	if maxNode > 8*usermem.PageSize {
		return 0, errno.EINVAL
	}
	words, err := p.LoadSlice(t, int((maxNode+63)/64))
	if err != nil {
		return 0, err
	}
	if tail := maxNode % 64; tail != 0 {
		words[len(words)-1] &= 1<<tail - 1
	}
	const longs = 1024 / 64 // CONFIG_NODES_SHIFT=10
	for i, w := range words {
		if i >= longs && w != 0 {
			return 0, errno.EINVAL
		}
		if i > 0 && w != 0 {
			words[0] |= 1 << 63 // some node that is not here
		}
	}
	return words[0], nil
}

// storeNodes stores a set of nodes.
func storeNodes(t *kernel.Task, p usermem.Ptr[uint64], maxNode, nodes uint64) error {
	if p.IsNil() {
		return nil
	}
	n := (maxNode - 1 + 63) / 64
	if n*8 > usermem.PageSize {
		return errno.EINVAL
	}
	words := make([]uint64, n)
	if n > 0 {
		words[0] = nodes
	}
	return p.StoreSlice(t, words)
}

// checkPolicy checks a mode with its flags against a set of nodes, and returns
// the mode as Linux keeps it. EINVAL.
func checkPolicy(mode int32, nodes uint64) (int32, error) {
	flags := mode & policyFlags
	kind := mode &^ policyFlags
	const both = linux.MPOL_F_STATIC_NODES | linux.MPOL_F_RELATIVE_NODES
	switch {
	case kind < 0 || kind >= policyCount || flags&both == both,
		flags&linux.MPOL_F_NUMA_BALANCING != 0 && kind != linux.MPOL_BIND:
		return 0, errno.EINVAL
	case kind == linux.MPOL_DEFAULT, kind == linux.MPOL_LOCAL:
		if nodes != 0 || kind == linux.MPOL_LOCAL && flags != 0 {
			return 0, errno.EINVAL
		}
		return kind, nil
	case kind == linux.MPOL_PREFERRED && nodes == 0:
		if flags&both != 0 {
			return 0, errno.EINVAL
		}
		return linux.MPOL_LOCAL, nil
	case flags&linux.MPOL_F_RELATIVE_NODES == 0 && nodes&nodesHere == 0, nodes == 0:
		return 0, errno.EINVAL
	}
	return mode, nil
}

// getMempolicy stores the process's policy, or the node of a page.
//
// Errors: EINVAL for flags that do not go together and a mask that is too
// short; EFAULT.
func getMempolicy(t *kernel.Task, mode usermem.Ptr[int32], mask usermem.Ptr[uint64], maxNode uint64, addr usermem.Addr, flags uint64) (uint64, error) {
	if !mask.IsNil() && maxNode < 1 {
		return 0, errno.EINVAL
	}
	p := policyOf(t)
	p.mu.Lock()
	result, nodes := p.mode, p.nodes
	p.mu.Unlock()
	switch flags {
	case 0, linux.MPOL_F_NODE:
		if addr != 0 || flags != 0 && result&^policyFlags != linux.MPOL_INTERLEAVE {
			return 0, errno.EINVAL
		}
		if flags != 0 {
			result = onlyNode
		}
	case linux.MPOL_F_MEMS_ALLOWED:
		result, nodes = 0, nodesHere
	case linux.MPOL_F_ADDR, linux.MPOL_F_ADDR | linux.MPOL_F_NODE:
		if _, ok := t.MM().Find(addr); !ok {
			return 0, errno.EFAULT
		}
		if flags&linux.MPOL_F_NODE != 0 {
			result = onlyNode
		}
	default:
		return 0, errno.EINVAL
	}
	if err := mode.StoreIf(t, result); err != nil {
		return 0, err
	}
	return 0, storeNodes(t, mask, maxNode, nodes)
}

// setMempolicy sets the process's policy.
//
// Errors: EINVAL, EFAULT.
func setMempolicy(t *kernel.Task, mode int32, mask usermem.Ptr[uint64], maxNode uint64) (uint64, error) {
	nodes, err := loadNodes(t, mask, maxNode)
	if err != nil {
		return 0, err
	}
	if mode, err = checkPolicy(mode, nodes); err != nil {
		return 0, err
	}
	p := policyOf(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode, p.nodes = mode, nodes&nodesHere
	return 0, nil
}

// mbind checks a policy for a range.
//
// Errors: EINVAL; EPERM for MPOL_MF_MOVE_ALL without CAP_SYS_NICE; EFAULT for a
// hole.
func mbind(t *kernel.Task, addr usermem.Addr, length uint64, mode int32, mask usermem.Ptr[uint64], maxNode uint64, flags uint32) (uint64, error) {
	if flags&^(linux.MPOL_MF_STRICT|linux.MPOL_MF_MOVE|linux.MPOL_MF_MOVE_ALL) != 0 || !addr.PageAligned() {
		return 0, errno.EINVAL
	}
	if flags&linux.MPOL_MF_MOVE_ALL != 0 && !t.Creds().HasCap(linux.CAP_SYS_NICE) {
		return 0, errno.EPERM
	}
	nodes, err := loadNodes(t, mask, maxNode)
	if err != nil {
		return 0, err
	}
	if _, err := checkPolicy(mode, nodes); err != nil {
		return 0, err
	}
	return 0, checkMapped(t, addr, length)
}

// checkMapped says whether a range has no hole: EFAULT; EINVAL if it wraps.
func checkMapped(t *kernel.Task, addr usermem.Addr, length uint64) error {
	end, ok := (addr + usermem.Addr(length)).PageUp()
	if !ok || end < addr {
		return errno.EINVAL
	}
	for addr < end {
		r, ok := t.MM().Find(addr)
		if !ok {
			return errno.EFAULT
		}
		addr = r.End
	}
	return nil
}

// setMempolicyHomeNode has nothing to change: no range has a policy of its own.
//
// Errors: EINVAL, ENOENT.
func setMempolicyHomeNode(_ *kernel.Task, addr usermem.Addr, length, node, flags uint64) (uint64, error) {
	if !addr.PageAligned() || flags != 0 || node != onlyNode || addr+usermem.Addr(length) < addr {
		return 0, errno.EINVAL
	}
	if length == 0 {
		return 0, nil
	}
	return 0, errno.ENOENT
}

// numaTarget is the process that pages are to be moved of; 0 is the caller.
//
// Errors: ESRCH, EPERM.
func numaTarget(t *kernel.Task, pid int32) (*kernel.Task, error) {
	if pid == 0 {
		return t, nil
	}
	u := t.PIDNS().Task(pid)
	if u == nil {
		return nil, errno.ESRCH
	}
	if !t.MayTrace(u) {
		return nil, errno.EPERM
	}
	return u, nil
}

// migratePages returns how many pages could not be moved: all are where they
// should be.
//
// Errors: EINVAL for nodes that are not here; ESRCH, EPERM, EFAULT.
func migratePages(t *kernel.Task, pid int32, maxNode uint64, old, new usermem.Ptr[uint64]) (uint64, error) {
	if _, err := loadNodes(t, old, maxNode); err != nil {
		return 0, err
	}
	to, err := loadNodes(t, new, maxNode)
	if err != nil {
		return 0, err
	}
	if _, err := numaTarget(t, pid); err != nil {
		return 0, err
	}
	if to&nodesHere == 0 {
		return 0, errno.EINVAL
	}
	return 0, nil
}

// movePages stores for each page the node that it is on.
//
// Errors: EINVAL for flags; EPERM, ESRCH; ENODEV for a node that is not here;
// EFAULT.
func movePages(t *kernel.Task, pid int32, count uint64, pages usermem.Ptr[uint64], nodes, status usermem.Ptr[int32], flags int32) (uint64, error) {
	if flags&^(linux.MPOL_MF_MOVE|linux.MPOL_MF_MOVE_ALL) != 0 {
		return 0, errno.EINVAL
	}
	if flags&linux.MPOL_MF_MOVE_ALL != 0 && !t.Creds().HasCap(linux.CAP_SYS_NICE) {
		return 0, errno.EPERM
	}
	u, err := numaTarget(t, pid)
	if err != nil {
		return 0, err
	}
	m := u.TakeMM()
	if m == nil {
		return 0, errno.EINVAL
	}
	defer m.DecUsers()
	for i := 0; uint64(i) < count; i++ {
		addr, err := pages.At(i).Load(t)
		if err != nil {
			return 0, err
		}
		if !nodes.IsNil() {
			node, err := nodes.At(i).Load(t)
			if err != nil {
				return 0, err
			}
			if node != onlyNode {
				return 0, errno.ENODEV
			}
		}
		state := int32(onlyNode)
		if _, ok := m.Find(usermem.Addr(addr)); !ok {
			state = -int32(errno.EFAULT)
		}
		if err := status.At(i).Store(t, state); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
