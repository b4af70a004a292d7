package tmpfs

import (
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
	if flags&(linux.MFD_ALLOW_SEALING|linux.MFD_NOEXEC_SEAL) != 0 {
		f.seals = 0
	}
	if flags&linux.MFD_NOEXEC_SEAL != 0 {
		f.seals |= linux.F_SEAL_EXEC
	}
	f.incRef()
	return vfs.NewAnon(fs.world, f, "/memfd:"+name+" (deleted)", &openFile{f: f}, linux.O_RDWR|linux.O_LARGEFILE, creds), nil
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
