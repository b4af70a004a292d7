package syscalls

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// processVMReadv copies from another process's memory into the caller's.
//
// Errors: EINVAL for flags or vectors; ESRCH; EPERM without the right to trace
// the process; EFAULT when nothing could be copied.
func processVMReadv(t *kernel.Task, pid int32, local usermem.Ptr[linux.Iovec], localN uint64, remote usermem.Ptr[linux.Iovec], remoteN, flags uint64) (uint64, error) {
	return processVM(t, pid, [2]iovecs{{local, localN}, {remote, remoteN}}, flags, fromRemote)
}

// processVMWritev is the other direction; its errors are the same.
func processVMWritev(t *kernel.Task, pid int32, local usermem.Ptr[linux.Iovec], localN uint64, remote usermem.Ptr[linux.Iovec], remoteN, flags uint64) (uint64, error) {
	return processVM(t, pid, [2]iovecs{{local, localN}, {remote, remoteN}}, flags, toRemote)
}

// iovecs are a vector as a call names it.
type iovecs struct {
	p usermem.Ptr[linux.Iovec]
	n uint64
}

// load copies the vector in.
func (v iovecs) load(t *kernel.Task) ([]usermem.Range, error) {
	const most = 1024 // IOV_MAX
	if v.n > most {
		return nil, errno.EINVAL
	}
	raw, err := v.p.LoadSlice(t, int(v.n))
	if err != nil {
		return nil, err
	}
	out := make([]usermem.Range, len(raw))
	for i, r := range raw {
		if int64(r.Len) < 0 {
			return nil, errno.EINVAL
		}
		out[i] = usermem.Range{Start: usermem.Addr(r.Base), Len: int(min(r.Len, linux.MAX_RW_COUNT))}
	}
	return out, nil
}

// direction says which way processVM copies.
type direction uint8

const (
	fromRemote direction = iota
	toRemote
)

func processVM(t *kernel.Task, pid int32, vecs [2]iovecs, flags uint64, dir direction) (uint64, error) {
	if flags != 0 {
		return 0, errno.EINVAL
	}
	local, err := vecs[0].load(t)
	if err != nil {
		return 0, err
	}
	remote, err := vecs[1].load(t)
	if err != nil {
		return 0, err
	}
	target := t.PIDNS().Task(pid)
	if target == nil {
		return 0, errno.ESRCH
	}
	if !t.MayTrace(target) {
		return 0, errno.EPERM
	}
	m := target.TakeMM()
	if m == nil {
		return 0, errno.ESRCH
	}
	defer m.DecUsers()

	src, dst := usermem.VecBuffer(m, remote), usermem.VecBuffer(t, local)
	if dir == toRemote {
		src, dst = usermem.VecBuffer(t, local), usermem.VecBuffer(m, remote)
	}
	return copyBuffers(dst, src)
}

// copyBuffers copies until one of the two is used up or faults.
func copyBuffers(dst, src *usermem.Buffer) (uint64, error) {
	total := uint64(0)
	buf := make([]byte, min(src.Len(), dst.Len(), 64<<10))
	for src.Len() > 0 && dst.Len() > 0 {
		b := buf[:min(src.Len(), dst.Len(), int64(len(buf)))]
		n, inErr := src.Drain(b)
		done, outErr := dst.Fill(b[:n])
		total += uint64(done)
		if inErr != nil || outErr != nil {
			if total == 0 {
				return 0, errno.EFAULT
			}
			break
		}
	}
	return total, nil
}
