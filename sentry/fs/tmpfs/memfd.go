package tmpfs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

type anonymousKey struct{}

// Anonymous is the world's instance for files without a name: memfd_create(2),
// shared memory. It is not mounted anywhere.
func Anonymous(w *vfs.World) *FS {
	return w.Single(anonymousKey{}, func() any { return New(w, Options{}) }).(*FS)
}

// NewMemfd opens a file for memfd_create(2), with flags MFD_*: a file of fs
// without a name, fs being an instance that is not mounted anywhere.
func (fs *FS) NewMemfd(name string, flags uint32, creds *cred.Creds) (*vfs.Description, error) {
	mode := linux.FileMode(linux.S_IFREG | 0o777)
	if flags&linux.MFD_NOEXEC_SEAL != 0 {
		mode = linux.S_IFREG | 0o666
	}
	i, err := fs.newInode(vfs.NewFile{Mode: mode, UID: creds.FSUID, GID: creds.FSGID}, 0)
	if err != nil {
		return nil, err
	}
	f := i.(*file)
	f.memfd = true
	if flags&(linux.MFD_ALLOW_SEALING|linux.MFD_NOEXEC_SEAL) != 0 {
		f.seals = 0
	}
	if flags&linux.MFD_NOEXEC_SEAL != 0 {
		f.seals |= linux.F_SEAL_EXEC
	}
	f.incRef()
	return vfs.NewAnon(fs.world, f, "/memfd:"+name+" (deleted)", &memfdFile{&openFile{f: f}}, linux.O_RDWR|linux.O_LARGEFILE, creds), nil
}

// NewSized is a file without a name of a given size, as shared memory is made of.
func (fs *FS) NewSized(display string, size int64, creds *cred.Creds) (*vfs.Description, error) {
	i, err := fs.newInode(vfs.NewFile{Mode: linux.S_IFREG | 0o600, UID: creds.FSUID, GID: creds.FSGID}, 0)
	if err != nil {
		return nil, err
	}
	f := i.(*file)
	f.incRef()
	if err := f.truncate(size); err != nil {
		f.Release()
		return nil, err
	}
	return vfs.NewAnon(fs.world, f, display, &openFile{f: f}, linux.O_RDWR|linux.O_LARGEFILE, creds), nil
}

// memfdFile is an open memfd: a file that can be sealed.
type memfdFile struct{ *openFile }

var _ vfs.Sealer = (*memfdFile)(nil)

// Seals are those that are set.
func (o *memfdFile) Seals() (uint32, error) {
	o.f.mu.RLock()
	defer o.f.mu.RUnlock()
	return o.f.seals, nil
}

// AddSeals adds seals for good.
//
// Errors: EINVAL for an unknown one, EPERM once sealed against sealing, EBUSY
// for F_SEAL_WRITE while the file is mapped for writing.
func (o *memfdFile) AddSeals(seals uint32) error {
	const known = linux.F_SEAL_SEAL | linux.F_SEAL_SHRINK | linux.F_SEAL_GROW | linux.F_SEAL_WRITE |
		linux.F_SEAL_FUTURE_WRITE | linux.F_SEAL_EXEC
	if seals&^known != 0 {
		return errno.EINVAL
	}
	f := o.f
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seals&linux.F_SEAL_SEAL != 0 {
		return errno.EPERM
	}
	// The host knows who maps it, and holds mappings to the seal from now on.
	if hostSeals := seals & (linux.F_SEAL_WRITE | linux.F_SEAL_FUTURE_WRITE); hostSeals != 0 && f.data.fd != nil {
		if err := f.data.fd.AddSeals(int(hostSeals)); err != nil {
			return err
		}
	}
	if seals&linux.F_SEAL_EXEC != 0 && f.attr.Mode&linux.S_IXUGO != 0 {
		// A program that is sealed executable is sealed in full.
		seals |= linux.F_SEAL_SHRINK | linux.F_SEAL_GROW | linux.F_SEAL_WRITE | linux.F_SEAL_FUTURE_WRITE
	}
	f.seals |= seals
	return nil
}
