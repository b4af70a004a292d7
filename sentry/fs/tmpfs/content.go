package tmpfs

import (
	"math/bits"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
)

// smallMax is the largest size that is kept in the Sentry's memory.
const smallMax = 64 << 10

// allowSealing is MFD_ALLOW_SEALING, for all: any file may be one of memfd_create.
const allowSealing = linux.MFD_ALLOW_SEALING

// content is the bytes of a file: small, in own, of which only the pages in
// present have ever been written; or in a memfd. Its owner holds a lock.
type content struct {
	size    int64
	own     []byte   // what is beyond its end is zero
	present uint32   // pages that are not holes, of a small file
	fd      *host.FD // nil: small
	charged int64    // pages taken from the instance
}

func pagesOf(bytes int64) int64 { return (bytes + pageSize - 1) / pageSize }

// pageMask are the bits of the pages that [off, end) touches, within smallMax.
func pageMask(off, end int64) uint32 {
	if off >= end {
		return 0
	}
	first, last := uint(off/pageSize), uint((end-1)/pageSize)
	return uint32(1)<<(last+1) - uint32(1)<<first
}

// blocks is the size in units of 512 bytes without holes.
func (d *content) blocks() int64 {
	if d.fd == nil {
		return int64(bits.OnesCount32(d.present)) * (pageSize / 512)
	}
	st, err := host.Stat(d.fd.Number())
	if err != nil {
		return d.charged * (pageSize / 512)
	}
	return int64(st.Blocks)
}

func (d *content) readAt(b []byte, off int64) (int, error) {
	if off >= d.size {
		return 0, nil
	}
	if d.fd != nil {
		return d.fd.ReadAt(b, off)
	}
	b = b[:min(int64(len(b)), d.size-off)]
	n := 0
	if off < int64(len(d.own)) {
		n = copy(b, d.own[off:])
	}
	clear(b[n:])
	return len(b), nil
}

// writeAt writes all of b, as far as there is room: a part of it without error,
// or nothing with ENOSPC.
func (d *content) writeAt(fs *FS, b []byte, off int64) (int, error) {
	end := off + int64(len(b))
	if d.fd == nil && end > smallMax {
		if err := d.toMemfd(fs); err != nil {
			return 0, err
		}
	}
	if d.fd != nil {
		return d.writeMemfd(fs, b, off)
	}
	fresh := int64(bits.OnesCount32(pageMask(off, end) &^ d.present))
	if err := fs.charge(fresh); err != nil {
		return 0, err
	}
	d.charged += fresh
	d.present |= pageMask(off, end)
	d.grow(end)
	copy(d.own[off:], b)
	d.size = max(d.size, end)
	return len(b), nil
}

// grow makes own at least n long.
func (d *content) grow(n int64) {
	if n <= int64(len(d.own)) {
		return
	}
	if n <= int64(cap(d.own)) {
		old := len(d.own)
		d.own = d.own[:n]
		clear(d.own[old:])
		return
	}
	// Twice the size, so that a file written in small pieces is not copied
	// over and over.
	bigger := make([]byte, n, min(smallMax, max(n, 2*int64(cap(d.own)))))
	copy(bigger, d.own)
	d.own = bigger
}

func (d *content) writeMemfd(fs *FS, b []byte, off int64) (int, error) {
	worst := pagesOf(off%pageSize + int64(len(b)))
	room := fs.room()
	if room < worst {
		// Some of the pages may be there already.
		d.settle(fs)
		if room = fs.room(); room < worst && !d.allPresent(off, int64(len(b))) {
			if room == 0 {
				return 0, errno.ENOSPC
			}
			b = b[:min(int64(len(b)), room*pageSize-off%pageSize)]
		}
	}
	n, err := d.fd.WriteAt(b, off)
	if err != nil {
		return 0, err
	}
	d.size = max(d.size, off+int64(n))
	d.settle(fs)
	return n, nil
}

// allPresent says whether no page of a range is a hole.
func (d *content) allPresent(off, n int64) bool {
	if off+n > d.size {
		return false
	}
	hole, err := d.fd.Seek(off, linux.SEEK_HOLE)
	return err == nil && hole >= off+n
}

// settle charges the pages that the memfd has now. Pages that a mapping made
// come in here too, late and beyond the limit if need be.
func (d *content) settle(fs *FS) {
	st, err := host.Stat(d.fd.Number())
	if err != nil {
		return
	}
	now := pagesOf(int64(st.Blocks) * 512)
	fs.pages.Add(now - d.charged)
	d.charged = now
}

// toMemfd moves the bytes to a memfd.
func (d *content) toMemfd(fs *FS) error {
	if d.fd != nil {
		return nil
	}
	fd, err := host.Memfd("tmpfs", allowSealing)
	if err != nil {
		return err
	}
	if err := d.copyTo(fd); err != nil {
		fd.Close()
		return err
	}
	d.fd, d.own, d.present = fd, nil, 0
	d.settle(fs)
	return nil
}

func (d *content) copyTo(fd *host.FD) error {
	if err := fd.Truncate(d.size); err != nil {
		return err
	}
	for p := int64(0); p < int64(len(d.own)); p += pageSize {
		if d.present&(1<<uint(p/pageSize)) == 0 {
			continue
		}
		if _, err := fd.WriteAt(d.own[p:min(p+pageSize, int64(len(d.own)), d.size)], p); err != nil {
			return err
		}
	}
	return nil
}

func (d *content) resize(fs *FS, size int64) error {
	if d.fd == nil && size > smallMax {
		if err := d.toMemfd(fs); err != nil {
			return err
		}
	}
	if d.fd != nil {
		if err := d.fd.Truncate(size); err != nil {
			return err
		}
		shrunk := size < d.size
		d.size = size
		if shrunk {
			d.settle(fs)
		}
		return nil
	}
	if size < d.size {
		d.dropPages(fs, pageMask(pagesOf(size)*pageSize, smallMax))
		if size < int64(len(d.own)) {
			clear(d.own[size:])
			d.own = d.own[:size]
		}
		if size == 0 {
			d.own = nil
		}
	}
	d.size = size
	return nil
}

// dropPages makes pages of a small file holes.
func (d *content) dropPages(fs *FS, mask uint32) {
	n := int64(bits.OnesCount32(d.present & mask))
	d.present &^= mask
	d.charged -= n
	fs.pages.Add(-n)
}

func (d *content) seek(off int64, whence int) (int64, error) {
	if off < 0 || off >= d.size {
		return 0, errno.ENXIO
	}
	if d.fd != nil {
		return d.fd.Seek(off, whence)
	}
	for at := off; at < d.size; at = (at/pageSize + 1) * pageSize {
		data := d.present&(1<<uint(at/pageSize)) != 0
		if data == (whence == linux.SEEK_DATA) {
			return at, nil
		}
	}
	if whence == linux.SEEK_DATA {
		return 0, errno.ENXIO
	}
	return d.size, nil
}

func (d *content) punch(fs *FS, off, length int64) error {
	end := min(off+length, d.size)
	if off >= end {
		return nil
	}
	if d.fd != nil {
		err := d.fd.Allocate(linux.FALLOC_FL_PUNCH_HOLE|linux.FALLOC_FL_KEEP_SIZE, off, length)
		d.settle(fs)
		return err
	}
	if off < int64(len(d.own)) {
		clear(d.own[off:min(end, int64(len(d.own)))])
	}
	// Only whole pages become holes; the end of the file counts as one.
	last := end
	if end == d.size {
		last = pagesOf(end) * pageSize
	}
	d.dropPages(fs, pageMask(pagesOf(off)*pageSize, last/pageSize*pageSize))
	return nil
}

func (d *content) allocate(fs *FS, mode uint32, off, length int64) error {
	end := off + length
	if d.fd == nil && end > smallMax {
		if err := d.toMemfd(fs); err != nil {
			return err
		}
	}
	if d.fd != nil {
		if fs.room() < pagesOf(length) && !d.allPresent(off, length) {
			return errno.ENOSPC
		}
		err := d.fd.Allocate(mode, off, length)
		d.settle(fs)
		if err == nil && mode&linux.FALLOC_FL_KEEP_SIZE == 0 {
			d.size = max(d.size, end)
		}
		return err
	}
	mask := pageMask(off, end) &^ d.present
	n := int64(bits.OnesCount32(mask))
	if err := fs.charge(n); err != nil {
		return err
	}
	d.charged += n
	d.present |= mask
	if mode&linux.FALLOC_FL_KEEP_SIZE == 0 {
		d.size = max(d.size, end)
	}
	return nil
}

func (d *content) release(fs *FS) {
	fs.pages.Add(-d.charged)
	d.charged, d.own, d.size = 0, nil, 0
	if d.fd != nil {
		d.fd.Close()
		d.fd = nil
	}
}
