package proto

import (
	"errors"

	"github.com/bulkhead-sandbox/bulkhead/internal/wire"
)

// File type bits of a mode, as <linux/stat.h> has them.
const (
	TypeMask    = 0o170000
	TypeSocket  = 0o140000
	TypeSymlink = 0o120000
	TypeRegular = 0o100000
	TypeBlock   = 0o060000
	TypeDir     = 0o040000
	TypeChar    = 0o020000
	TypeFIFO    = 0o010000
)

// Time is a time stamp of a file.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Attr is what statx(2) says about a file.
type Attr struct {
	Dev                  uint64 // major<<32 | minor
	Ino                  uint64
	Mount                uint64 // the host's mount, which part of a tree may have for itself
	Mode                 uint32 // type and permissions
	Nlink                uint32
	UID, GID             uint32
	RdevMajor, RdevMinor uint32
	Size                 uint64
	Blocks               uint64 // of 512 bytes
	BlockSize            uint32
	Atime, Mtime         Time
	Ctime, Btime         Time
}

// Type is the file type bits.
func (a *Attr) Type() uint32 { return a.Mode & TypeMask }

var errAttr = errors.New("attributes that no file has")

// Code implements wire.Message. A file type or a time that cannot be is an
// error, so that nobody above needs to check.
func (a *Attr) Code(c *wire.Coder) {
	c.U64(&a.Dev)
	c.U64(&a.Ino)
	c.U64(&a.Mount)
	c.U32(&a.Mode)
	c.U32(&a.Nlink)
	c.U32(&a.UID)
	c.U32(&a.GID)
	c.U32(&a.RdevMajor)
	c.U32(&a.RdevMinor)
	c.U64(&a.Size)
	c.U64(&a.Blocks)
	c.U32(&a.BlockSize)
	for _, t := range [...]*Time{&a.Atime, &a.Mtime, &a.Ctime, &a.Btime} {
		c.I64(&t.Sec)
		c.U32(&t.Nsec)
		if t.Nsec >= 1e9 {
			c.Fail(errAttr)
		}
	}
	if c.Err() == nil && (!validType(a.Mode) || int64(a.Size) < 0) {
		c.Fail(errAttr)
	}
}

func validType(mode uint32) bool {
	if mode&^(TypeMask|0o7777) != 0 {
		return false
	}
	switch mode & TypeMask {
	case TypeSocket, TypeSymlink, TypeRegular, TypeBlock, TypeDir, TypeChar, TypeFIFO:
		return true
	}
	return false
}

// What SetAttr changes.
const (
	SetMode uint32 = 1 << iota
	SetUID
	SetGID
	SetSize
	SetAtime
	SetMtime
	SetAtimeNow // with SetAtime: the host's now
	SetMtimeNow // with SetMtime
	setAll      = 1<<iota - 1
)

// SetAttr changes the attributes named in Set.
type SetAttr struct {
	Node         NodeID
	Set          uint32
	Mode         uint32 // permissions
	UID, GID     uint32
	Size         uint64
	Atime, Mtime Time
}

// Code implements wire.Message.
func (m *SetAttr) Code(c *wire.Coder) {
	m.Node.code(c)
	c.U32(&m.Set)
	c.U32(&m.Mode)
	c.U32(&m.UID)
	c.U32(&m.GID)
	c.U64(&m.Size)
	for _, t := range [...]*Time{&m.Atime, &m.Mtime} {
		c.I64(&t.Sec)
		c.U32(&t.Nsec)
		if t.Nsec >= 1e9 {
			c.Fail(errAttr)
		}
	}
	if m.Set&^setAll != 0 || m.Mode&^0o7777 != 0 || int64(m.Size) < 0 {
		c.Fail(errAttr)
	}
}

// StatFS is what statfs(2) says about the file system of a node.
type StatFS struct {
	Type                  uint64
	BlockSize             uint64
	Blocks, Free, Avail   uint64
	Files, FilesFree      uint64
	NameLen, FragmentSize uint64
	Flags                 uint64
	FSID                  uint64
}

// Code implements wire.Message.
func (m *StatFS) Code(c *wire.Coder) {
	for _, v := range [...]*uint64{&m.Type, &m.BlockSize, &m.Blocks, &m.Free, &m.Avail, &m.Files,
		&m.FilesFree, &m.NameLen, &m.FragmentSize, &m.Flags, &m.FSID} {
		c.U64(v)
	}
}
