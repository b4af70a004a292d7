package ipc

import (
	"fmt"
	"sync/atomic"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
)

// Limits of shared memory, as Linux's defaults.
const (
	shmMax = 1<<46 - 1
	shmAll = 1<<64 - 1<<24 - 1
)

// Segment is a shared memory segment. Its references are its attachments; a
// mapping has one for each part. It is an mm.File.
type Segment struct {
	perm
	ns    *Namespace
	fd    *host.FD
	size  uint64
	pages uint64

	attached            atomic.Int64
	atime, dtime        int64
	creatorPID, lastPID int32
	name                string
	destroyWhenUnused   bool
}

// Shmget is shmget(2).
//
// Errors: EINVAL for a size that is 0, too large, or larger than that of an
// existing segment; ENOENT, EEXIST, EACCES, ENOSPC; what the host says.
func (ns *Namespace) Shmget(by By, key int32, size uint64, flags int32) (int32, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return get(&ns.shm, by, key, flags, linux.SHMMNI,
		func(s *Segment) error {
			if s.size < size {
				return errno.EINVAL
			}
			return nil
		},
		func() (*Segment, error) { return ns.newSegment(by, key, size, flags) })
}

func (ns *Namespace) newSegment(by By, key int32, size uint64, flags int32) (*Segment, error) {
	if size < linux.SHMMIN || size > shmMax {
		return nil, errno.EINVAL
	}
	if flags&linux.SHM_HUGETLB != 0 {
		return nil, errno.ENOMEM // as with an empty pool of huge pages
	}
	fd, err := host.Memfd("sysv", 0)
	if err != nil {
		return nil, errno.Of(err)
	}
	pages := (size + linux.PageSize - 1) / linux.PageSize
	if err := fd.Truncate(int64(pages * linux.PageSize)); err != nil {
		fd.Close()
		return nil, errno.Of(err)
	}
	return &Segment{
		ns: ns, fd: fd, size: size, pages: pages, creatorPID: by.PID,
		name: fmt.Sprintf("/SYSV%08x (deleted)", uint32(key)),
	}, nil
}

// Attach is the first half of shmat(2): it finds the segment and takes a
// reference for the caller. Flags are SHM_RDONLY and SHM_EXEC.
//
// Errors: EINVAL, EACCES.
func (ns *Namespace) Attach(by By, id, flags int32) (*Segment, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	s, err := ns.shm.find(id)
	if err != nil {
		return nil, err
	}
	want := uint16(toRead | toWrite)
	if flags&linux.SHM_RDONLY != 0 {
		want = toRead
	}
	if flags&linux.SHM_EXEC != 0 {
		want |= 0o111
	}
	if err := s.check(by, want); err != nil {
		return nil, err
	}
	s.attached.Add(1)
	s.atime, s.lastPID = now(), by.PID
	return s, nil
}

// Detached notes a shmdt(2).
func (s *Segment) Detached(by By) {
	s.ns.mu.Lock()
	defer s.ns.mu.Unlock()
	s.dtime, s.lastPID = now(), by.PID
}

// Length is the segment's size in whole pages, in bytes.
func (s *Segment) Length() uint64 { return s.pages * linux.PageSize }

// FD is the host descriptor to map.
func (s *Segment) FD() int { return s.fd.Number() }

// MapName implements mm.File.
func (s *Segment) MapName() string { return s.name }

// MapID implements mm.File.
func (s *Segment) MapID() (linux.Dev, uint64) { return s.ns.dev, uint64(s.id) }

// IncRef implements mm.File.
func (s *Segment) IncRef() { s.attached.Add(1) }

// DecRef implements mm.File: the last detachment destroys a segment that was
// removed meanwhile.
func (s *Segment) DecRef() {
	if s.attached.Add(-1) > 0 {
		return
	}
	s.ns.mu.Lock()
	defer s.ns.mu.Unlock()
	s.destroyIfUnusedLocked()
}

func (s *Segment) destroyIfUnusedLocked() {
	if s.destroyWhenUnused && !s.gone && s.attached.Load() == 0 {
		s.ns.shm.remove(s)
		s.fd.Close()
	}
}

// ShmRemove is IPC_RMID.
//
// Errors: EINVAL, EPERM.
func (ns *Namespace) ShmRemove(by By, id int32) error {
	return ns.withSegment(by, id, (*perm).owner, func(s *Segment) error {
		s.destroyWhenUnused = true
		s.mode |= linux.SHM_DEST
		ns.shm.forgetKey(&s.perm)
		s.destroyIfUnusedLocked()
		return nil
	})
}

// ShmSet is IPC_SET.
//
// Errors: EINVAL, EPERM.
func (ns *Namespace) ShmSet(by By, id int32, d linux.ShmidDS) error {
	return ns.withSegment(by, id, (*perm).owner, func(s *Segment) error {
		return s.set(by, d.Perm.UID, d.Perm.GID, uint16(d.Perm.Mode))
	})
}

// ShmLock is SHM_LOCK and SHM_UNLOCK: it only marks the segment.
//
// Errors: EINVAL, EPERM.
func (ns *Namespace) ShmLock(by By, id int32, cmd int32) error {
	may := func(p *perm, by By) error {
		if by.Creds().HasCap(linux.CAP_IPC_LOCK) {
			return nil
		}
		return p.owner(by)
	}
	return ns.withSegment(by, id, may, func(s *Segment) error {
		s.mode &^= linux.SHM_LOCKED
		if cmd == linux.SHM_LOCK {
			s.mode |= linux.SHM_LOCKED
		}
		return nil
	})
}

func (ns *Namespace) withSegment(by By, id int32, may func(*perm, By) error, do func(*Segment) error) error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	s, err := ns.shm.find(id)
	if err != nil {
		return err
	}
	if err := may(&s.perm, by); err != nil {
		return err
	}
	return do(s)
}

// ShmStat is IPC_STAT, SHM_STAT and SHM_STAT_ANY.
//
// Errors: EINVAL, EACCES.
func (ns *Namespace) ShmStat(by By, n int32, f Find) (linux.ShmidDS, int32, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	s, result, err := named(&ns.shm, by, n, f)
	if err != nil {
		return linux.ShmidDS{}, 0, err
	}
	return linux.ShmidDS{
		Perm: s.abi(by), Segsz: s.size, ATime: s.atime, DTime: s.dtime, CTime: s.ctime,
		CPID: s.creatorPID, LPID: s.lastPID, NAttch: uint64(max(s.attached.Load(), 0)),
	}, result, nil
}

// ShmLimits is IPC_INFO; the second value is the highest place in use.
func (ns *Namespace) ShmLimits() (linux.ShmParams, int32) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return linux.ShmParams{
		Max: shmMax, Min: linux.SHMMIN, Mni: linux.SHMMNI, Seg: linux.SHMMNI, All: shmAll,
	}, int32(ns.shm.highest())
}

// ShmUsage is SHM_INFO.
func (ns *Namespace) ShmUsage() (linux.ShmInfo, int32) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	info := linux.ShmInfo{UsedIDs: int32(ns.shm.count)}
	for i, s := range ns.shm.slots {
		if ns.shm.used[i] {
			info.Tot += s.pages
		}
	}
	return info, int32(ns.shm.highest())
}
