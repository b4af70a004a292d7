package vfs

import "github.com/bulkhead-sandbox/bulkhead/abi/linux"

// OpenExecutable opens a file to execute it: whoever may execute it need not be
// able to read it. It takes its own reference on p; the caller has checked the
// right to execute.
func OpenExecutable(c Context, p Path) (*Description, error) {
	f, err := p.Inode().Open(c, p, linux.O_RDONLY)
	if err != nil {
		return nil, err
	}
	p.IncRef()
	return NewDescription(p, f, linux.O_RDONLY, c.Creds()), nil
}
