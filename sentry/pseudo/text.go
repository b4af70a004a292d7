package pseudo

import (
	"strconv"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// maxStore bounds one write to a text file, as Linux bounds it by a page or so.
const maxStore = 64 << 10

// Text is the content of a made-up file.
type Text struct {
	// Show makes the content. It is called when the file is read from its
	// start; a reader in pieces sees one content.
	Show func(c vfs.Context) ([]byte, error)
	// Store takes the bytes of one write. Without it writing fails with EIO.
	Store func(c vfs.Context, data []byte) error
}

type textInode struct {
	inode
	text Text
}

// Text makes a text file.
func (p Place) Text(m Meta, t Text) vfs.Inode { return &textInode{newInode(p, linux.S_IFREG, m), t} }

// Fixed makes a text file whose content never changes.
func (p Place) Fixed(m Meta, s string) vfs.Inode {
	return p.Text(m, Text{Show: func(vfs.Context) ([]byte, error) { return []byte(s), nil }})
}

// Open implements vfs.Inode.
func (i *textInode) Open(c vfs.Context, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	if i.text.Store == nil && i.meta.Rights == Strict && flags.Writable() {
		return nil, errno.EACCES
	}
	if err := i.meta.guard(c); err != nil {
		return nil, err
	}
	return &textFile{inode: i}, nil
}

// textFile is an open text file.
type textFile struct {
	inode *textInode

	mu      lock.Mutex[lockorder.PseudoFile]
	content []byte
	made    bool
}

// Release implements vfs.File.
func (f *textFile) Release() {}

// Read implements vfs.Reader.
func (f *textFile) Read(c vfs.Context, dst *usermem.Buffer, off int64) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inode.text.Show == nil {
		return 0, errno.EINVAL
	}
	if off == 0 || !f.made {
		if err := f.inode.meta.guard(c); err != nil {
			return 0, err
		}
		content, err := f.inode.text.Show(c)
		if err != nil {
			return 0, err
		}
		f.content, f.made = content, true
	}
	if off >= int64(len(f.content)) {
		return 0, nil
	}
	n, err := dst.Fill(f.content[off:])
	return int64(n), err
}

// Write implements vfs.Writer. Each write is taken on its own; Linux does the
// same for nearly all of these files.
func (f *textFile) Write(c vfs.Context, src *usermem.Buffer, _ int64) (int64, error) {
	store := f.inode.text.Store
	if store == nil {
		return 0, errno.EIO
	}
	if src.Len() > maxStore {
		return 0, errno.EINVAL
	}
	if err := f.inode.meta.guard(c); err != nil {
		return 0, err
	}
	data, err := src.DrainAll(maxStore)
	if err != nil {
		return 0, err
	}
	if err := store(c, data); err != nil {
		return 0, err
	}
	return int64(len(data)), nil
}

// Seek implements vfs.Seeker. These files have no size that one could count
// from.
func (f *textFile) Seek(_ vfs.Context, pos, offset int64, whence int) (int64, error) {
	if whence != linux.SEEK_SET && whence != linux.SEEK_CUR {
		return 0, errno.EINVAL
	}
	return vfs.SeekSize(pos, offset, whence, 0)
}

type customInode struct {
	inode
	open func(c vfs.Context, flags linux.OpenFlags) (vfs.File, error)
}

// Custom makes a regular file that is opened by open.
func (p Place) Custom(m Meta, open func(c vfs.Context, flags linux.OpenFlags) (vfs.File, error)) vfs.Inode {
	return &customInode{newInode(p, linux.S_IFREG, m), open}
}

// Open implements vfs.Inode.
func (i *customInode) Open(c vfs.Context, _ vfs.Path, flags linux.OpenFlags) (vfs.File, error) {
	if err := i.meta.guard(c); err != nil {
		return nil, err
	}
	return i.open(c, flags)
}

// ParseInt reads what a program writes to a file that holds one number: blanks
// around it are allowed, and a trailing newline or NUL.
//
// Errors: EINVAL, also for a number outside low to high.
func ParseInt(data []byte, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(strings.Trim(string(data), " \t\n\x00"), 0, 64)
	if err != nil || n < low || n > high {
		return 0, errno.EINVAL
	}
	return n, nil
}
