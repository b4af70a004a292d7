package vfs

import "github.com/bulkhead-sandbox/bulkhead/abi/linux"

// OpenExecutable opens a file to execute it: whoever may execute it need not be
// able to read it. It takes its own reference on p; the caller has checked the
// right to execute. As long as the description lives, which is as long as a
// process runs the file, nobody can open it for writing.
//
// Errors: ETXTBSY while somebody has it open for writing.
func OpenExecutable(c Context, p Path) (*Description, error) {
	if err := p.Inode().Node().DenyWrite(); err != nil {
		return nil, err
	}
	f, err := p.Inode().Open(c, p, linux.O_RDONLY)
	if err != nil {
		p.Inode().Node().AllowWrite()
		return nil, err
	}
	p.IncRef()
	d := NewDescription(p, f, linux.O_RDONLY, c.Creds())
	d.denies = true
	return d, nil
}
