package vfs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// File is a file system's part of an open file. What it can do beyond being
// closed it says by implementing the interfaces below; a call without a
// matching one fails as on Linux (EINVAL, ESPIPE, ENOTTY, ENODEV, ...).
//
// No method blocks for an event: an operation that would returns EAGAIN, and
// the Description waits (unless O_NONBLOCK) if the File is a waiter.Waitable.
// A File that is not Waitable is always ready.
type File interface {
	// Release is called once, when the last reference is gone.
	Release()
}

// Reader fills dst from offset off (which files without Seeker ignore) and
// returns the count; 0 is the end of the file. Some bytes and an error: the
// bytes count.
type Reader interface {
	Read(c Context, dst *usermem.Buffer, off int64) (int64, error)
}

// Writer writes src at off.
type Writer interface {
	Write(c Context, src *usermem.Buffer, off int64) (int64, error)
}

// Appender writes at the end of the file in one step (O_APPEND), and returns
// the offset behind what it wrote. Streams need not implement it.
type Appender interface {
	Append(c Context, src *usermem.Buffer) (n, end int64, err error)
}

// Seeker is a file with positions. Pos is the present one. Without it: ESPIPE,
// also for pread.
type Seeker interface {
	Seek(c Context, pos, offset int64, whence int) (int64, error)
}

// Positioner is a Seeker whose current position is not the Description's alone:
// that of a host file which processes outside have open too.
type Positioner interface {
	Position() (int64, error)
	SetPosition(off int64)
}

// DirReader lists a directory. It calls emit for each entry from position pos
// on ("." and ".." are emitted by the Description at positions 0 and 1; entries
// start at 2) until emit returns false or the end. An entry's Next is the
// position to continue from behind it; positions stay valid while names come
// and go.
type DirReader interface {
	ReadDir(c Context, pos int64, emit func(Dirent) bool) error
}

// Dirent is one entry of a directory.
type Dirent struct {
	Name string
	Ino  uint64
	Type uint8 // DT_*
	Next int64
}

// Ioctler answers ioctl. Unknown commands are ENOTTY.
type Ioctler interface {
	Ioctl(c Context, m usermem.Memory, cmd uint32, arg uint64) (uint64, error)
}

// Syncer is fsync and fdatasync.
type Syncer interface {
	Fsync(c Context) error
}

// Allocator is fallocate, with its FALLOC_FL_* modes.
type Allocator interface {
	Allocate(c Context, mode uint32, off, length int64) error
}

// Mapper can be mapped. MapFD returns the host descriptor to map, with the
// right to write if write is set and for reading otherwise, or -1 if the
// mapping is of anonymous memory (/dev/zero). The descriptor stays the File's,
// and valid until Release.
type Mapper interface {
	MapFD(c Context, write MapAccess) (fd int, err error)
}

// MapAccess is the right that a mapping needs of the descriptor: a private
// mapping only ever reads it.
type MapAccess uint8

// The two.
const (
	MapRead MapAccess = iota
	MapReadWrite
)

// FlagsChanger is told when F_SETFL changes the status flags (O_DIRECT on a
// pipe, O_ASYNC, ...), and may refuse.
type FlagsChanger interface {
	SetFlags(c Context, flags linux.OpenFlags) error
}

// Describer adds lines to /proc/PID/fdinfo/N.
type Describer interface {
	FDInfo() string
}

// Flusher is told of each close of a descriptor, not only the last.
type Flusher interface {
	Flush(c Context) error
}

// Sealer is a file with the seals of memfd_create(2).
type Sealer interface {
	Seals() (uint32, error)
	AddSeals(seals uint32) error
}

// Timed is a file that limits how long reads and writes wait: a socket with
// SO_RCVTIMEO or SO_SNDTIMEO. Want tells which of the two it is.
type Timed interface {
	IODeadline(want waiter.Events) waiter.Deadline
}
