package goferfs

import (
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// xattrState says whether a file of an exclusive tree has extended attributes.
// Nearly none has, and each exec and each `ls -l` asks.
type xattrState = uint32

const (
	xattrsUnknown xattrState = iota
	xattrsNone
	xattrsSome
)

func (i *inode) knownXattrs() xattrState {
	if !i.fs.believed(time.Duration(i.xseen.Load())) {
		return xattrsUnknown
	}
	return i.xattrs.Load()
}

// GetXattr implements vfs.XattrInode.
func (i *inode) GetXattr(c vfs.Context, name string) ([]byte, error) {
	if i.knownXattrs() == xattrsUnknown && i.fs.caching != Shared {
		if _, err := i.ListXattr(c); err != nil {
			return nil, err
		}
	}
	if i.knownXattrs() == xattrsNone {
		return nil, errno.ENODATA
	}
	id, err := i.pin()
	if err != nil {
		return nil, err
	}
	defer i.unpin()
	return i.fs.client.GetXattr(id, name)
}

// ListXattr implements vfs.XattrInode.
func (i *inode) ListXattr(vfs.Context) ([]string, error) {
	if i.knownXattrs() == xattrsNone {
		return nil, nil
	}
	id, err := i.pin()
	if err != nil {
		return nil, err
	}
	defer i.unpin()
	i.change.Lock()
	defer i.change.Unlock()
	b, err := i.fs.client.ListXattr(id)
	if err != nil || i.fs.caching == Shared {
		return splitNUL(b), err
	}
	state := xattrsSome
	if len(b) == 0 {
		state = xattrsNone
	}
	i.xseen.Store(int64(i.fs.now()))
	i.xattrs.Store(state)
	return splitNUL(b), nil
}

// SetXattr implements vfs.XattrInode.
func (i *inode) SetXattr(_ vfs.Context, name string, value []byte, flags int) error {
	return i.changeXattrs(func(id proto.NodeID) error {
		return i.fs.client.SetXattr(&proto.Xattr{Node: id, Name: name, Value: value, Flags: uint32(flags)})
	})
}

// RemoveXattr implements vfs.XattrInode.
func (i *inode) RemoveXattr(_ vfs.Context, name string) error {
	return i.changeXattrs(func(id proto.NodeID) error { return i.fs.client.RemoveXattr(id, name) })
}

func (i *inode) changeXattrs(ask func(proto.NodeID) error) error {
	id, err := i.pin()
	if err != nil {
		return err
	}
	defer i.unpin()
	i.change.Lock()
	defer i.change.Unlock()
	defer i.touched()
	i.xattrs.Store(xattrsUnknown)
	return ask(id)
}
