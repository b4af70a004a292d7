package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Memory: mmap and its family. What it all means is in sentry/mm.
var memoryCalls = []Call{
	call6(sysno.Mmap, mmap, except("MAP_HUGETLB", "MAP_SYNC")),
	call2(sysno.Munmap, munmap, full),
	call3(sysno.Mprotect, mprotect, full),
	call5(sysno.Mremap, mremap, full),
	call3(sysno.Madvise, madvise, except("MADV_HWPOISON", "MADV_SOFT_OFFLINE")),
	call3(sysno.Msync, msync, full),
	call3(sysno.Mincore, mincore, full),
	call2(sysno.Mlock, mlock, full),
	call3(sysno.Mlock2, mlock2, full),
	call2(sysno.Munlock, munlock, full),
	call1(sysno.Mlockall, mlockall, full),
	call0(sysno.Munlockall, munlockall, full),
	call1(sysno.Brk, brk, full),
	call3(sysno.Membarrier, membarrier, except("MEMBARRIER_CMD_GLOBAL", "MEMBARRIER_CMD_GLOBAL_EXPEDITED", "..._RSEQ")),
	call2(sysno.PkeyAlloc, pkeyAlloc, full),
	call1(sysno.PkeyFree, pkeyFree, full),
	call4(sysno.PkeyMprotect, pkeyMprotect, full),
	call6(sysno.ProcessVmReadv, processVMReadv, full),
	call6(sysno.ProcessVmWritev, processVMWritev, full),

	unconfigured(sysno.RemapFilePages, errno.ENOSYS, "deprecated; mmap does the same"),
	unconfigured(sysno.ProcessMadvise, errno.ENOSYS, "CONFIG_ADVISE_SYSCALLS for other processes: hints only"),
	unconfigured(sysno.ProcessMrelease, errno.ENOSYS, "the host's OOM killer reaps"),
	unconfigured(sysno.MemfdSecret, errno.ENOSYS, "CONFIG_SECRETMEM, which Linux leaves off by default"),
	unconfigured(sysno.Userfaultfd, errno.ENOSYS, "CONFIG_USERFAULTFD: page faults are the host's"),
	unconfigured(sysno.MapShadowStack, errno.EOPNOTSUPP, "CONFIG_X86_USER_SHADOW_STACK"),
}

// mmap maps memory or a file.
//
// Errors: those of mm.Map; EBADF, EACCES for a file that is not open for
// reading, or not for writing when that is shared; EPERM for code on a mount
// without it; ENODEV for a file that cannot be mapped.
func mmap(t *kernel.Task, addr usermem.Addr, length uint64, prot linux.Prot, flags linux.MapFlags, fd linux.FD, offset int64) (uint64, error) {
	o := mm.MapOpts{Addr: addr, Length: length, Prot: prot, Flags: flags, Offset: offset, FD: -1, Lock: lockRight(t)}
	if offset&(usermem.PageSize-1) != 0 {
		return 0, errno.EINVAL
	}
	if flags&linux.MAP_ANONYMOUS != 0 {
		a, err := t.MM().Map(t.Thread(), o)
		return uint64(a), err
	}
	d, err := t.FDs().Get(fd)
	if err != nil {
		return 0, err
	}
	defer d.DecRef()
	if err := mapFile(t, d, &o); err != nil {
		return 0, err
	}
	a, err := t.MM().Map(t.Thread(), o)
	return uint64(a), err
}

// mapFile fills in what follows from the file.
func mapFile(t *kernel.Task, d *vfs.Description, o *mm.MapOpts) error {
	switch {
	case d.Flags()&linux.O_PATH != 0:
		return errno.EBADF
	case o.Length == 0:
		return errno.EINVAL
	case !d.Readable():
		return errno.EACCES
	}
	shared := o.Flags&linux.MAP_TYPE != linux.MAP_PRIVATE
	o.MaxProt = linux.PROT_READ | linux.PROT_WRITE | linux.PROT_EXEC
	if shared && !d.Writable() {
		o.MaxProt &^= linux.PROT_WRITE
	}
	if d.Path().Mount.Flags()&linux.MS_NOEXEC != 0 {
		if o.Prot&linux.PROT_EXEC != 0 {
			return errno.EPERM
		}
		o.MaxProt &^= linux.PROT_EXEC
	}
	if o.Prot&linux.PROT_WRITE&^o.MaxProt != 0 {
		return errno.EACCES
	}
	access := vfs.MapRead
	if mm.WantsWrite(o.Flags, o.MaxProt) {
		access = vfs.MapReadWrite
	}
	var err error
	o.FD, err = d.MapFD(t, access)
	if err == errno.EPERM && access == vfs.MapReadWrite && o.Prot&linux.PROT_WRITE == 0 {
		// Sealed against writing: it may still be read, but never more.
		o.MaxProt &^= linux.PROT_WRITE
		o.FD, err = d.MapFD(t, vfs.MapRead)
	}
	o.File = d
	return err
}

// lockRight says whether the task may exceed RLIMIT_MEMLOCK.
func lockRight(t *kernel.Task) mm.LockRight {
	if t.Creds().HasCapIn(linux.CAP_IPC_LOCK, t.Kernel().RootUserNS()) {
		return mm.LockUnlimited
	}
	return mm.LockLimited
}

// munmap, mprotect, mremap, madvise, mlock and so on have the errors of the
// methods that they call.
func munmap(t *kernel.Task, addr usermem.Addr, length uint64) (uint64, error) {
	return 0, t.MM().Unmap(t.Thread(), addr, length)
}

func mprotect(t *kernel.Task, addr usermem.Addr, length uint64, prot linux.Prot) (uint64, error) {
	return 0, t.MM().Protect(t.Thread(), addr, length, prot)
}

func mremap(t *kernel.Task, old usermem.Addr, oldLength, newLength uint64, flags int32, new usermem.Addr) (uint64, error) {
	a, err := t.MM().Remap(t.Thread(), mm.RemapOpts{
		Old: old, OldLength: oldLength, New: new, NewLength: newLength, Flags: int(flags), Lock: lockRight(t),
	})
	return uint64(a), err
}

func madvise(t *kernel.Task, addr usermem.Addr, length uint64, advice int32) (uint64, error) {
	return 0, t.MM().Advise(t.Thread(), addr, length, int(advice))
}

func msync(t *kernel.Task, addr usermem.Addr, length uint64, flags int32) (uint64, error) {
	return 0, t.MM().Sync(addr, length, int(flags), func(f mm.File) error {
		if d, ok := f.(*vfs.Description); ok {
			return d.Sync(t)
		}
		return nil
	})
}

// mincore tells which pages are in memory.
//
// Errors: those of mm.Mincore; ENOMEM for a range that wraps; EFAULT.
func mincore(t *kernel.Task, addr usermem.Addr, length uint64, vec usermem.Addr) (uint64, error) {
	if !addr.PageAligned() {
		return 0, errno.EINVAL
	}
	if length > uint64(t.MM().Max()) || addr > t.MM().Max()-usermem.Addr(length) {
		return 0, errno.ENOMEM
	}
	const chunk = 4096 // pages at a time
	left := (length + usermem.PageSize - 1) / usermem.PageSize
	buf := make([]byte, min(left, chunk))
	for left > 0 {
		b := buf[:min(left, chunk)]
		if err := t.MM().Mincore(t.Thread(), addr, b); err != nil {
			return 0, err
		}
		if _, err := t.CopyOut(vec, b); err != nil {
			return 0, err
		}
		addr += usermem.Addr(len(b) * usermem.PageSize)
		vec += usermem.Addr(len(b))
		left -= uint64(len(b))
	}
	return 0, nil
}

func mlock(t *kernel.Task, addr usermem.Addr, length uint64) (uint64, error) {
	return mlock2(t, addr, length, 0)
}

func mlock2(t *kernel.Task, addr usermem.Addr, length uint64, flags int32) (uint64, error) {
	when := mm.Now
	switch flags {
	case 0:
	case linux.MLOCK_ONFAULT:
		when = mm.Later
	default:
		return 0, errno.EINVAL
	}
	return 0, t.MM().Lock(t.Thread(), addr, length, when, lockRight(t))
}

func munlock(t *kernel.Task, addr usermem.Addr, length uint64) (uint64, error) {
	return 0, t.MM().Unlock(t.Thread(), addr, length)
}

func mlockall(t *kernel.Task, flags int32) (uint64, error) {
	return 0, t.MM().LockAll(t.Thread(), int(flags), lockRight(t))
}

func munlockall(t *kernel.Task) (uint64, error) {
	t.MM().UnlockAll(t.Thread())
	return 0, nil
}

// brk returns the end of the heap, moved or not: it has no errors.
func brk(t *kernel.Task, addr usermem.Addr) (uint64, error) {
	return uint64(t.MM().Brk(t.Thread(), addr)), nil
}

// membarrierCommands are those that can be done for one address space.
const membarrierCommands = linux.MEMBARRIER_CMD_PRIVATE_EXPEDITED |
	linux.MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
	linux.MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE |
	linux.MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE |
	linux.MEMBARRIER_CMD_GET_REGISTRATIONS

// membarrier makes every thread of the process that is running pass a barrier.
//
// Errors: EINVAL for an unknown command or flags; EPERM without registration.
func membarrier(t *kernel.Task, cmd int32, flags uint32, _ int32) (uint64, error) {
	if flags != 0 {
		return 0, errno.EINVAL
	}
	m := t.MM()
	switch cmd {
	case linux.MEMBARRIER_CMD_QUERY:
		return membarrierCommands, nil
	case linux.MEMBARRIER_CMD_GET_REGISTRATIONS:
		return uint64(m.MembarrierRegistered()), nil
	case linux.MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, linux.MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
		m.RegisterMembarrier(uint32(cmd))
		return 0, nil
	case linux.MEMBARRIER_CMD_PRIVATE_EXPEDITED, linux.MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE:
		if m.MembarrierRegistered()&(uint32(cmd)<<1) == 0 {
			return 0, errno.EPERM
		}
		return 0, m.Barrier(t.Thread())
	}
	return 0, errno.EINVAL
}

// Protection keys, as on a processor without them: there is none to allocate,
// and only key -1 may be used.
func pkeyAlloc(_ *kernel.Task, flags, rights uint64) (uint64, error) {
	const known = 3 // PKEY_DISABLE_ACCESS and PKEY_DISABLE_WRITE
	if flags != 0 || rights&^known != 0 {
		return 0, errno.EINVAL
	}
	return 0, errno.ENOSPC
}

func pkeyFree(_ *kernel.Task, _ int32) (uint64, error) { return 0, errno.EINVAL }

func pkeyMprotect(t *kernel.Task, addr usermem.Addr, length uint64, prot linux.Prot, key int32) (uint64, error) {
	if key != -1 {
		return 0, errno.EINVAL
	}
	return mprotect(t, addr, length, prot)
}
