// Package vfs is the Sentry's virtual file system: mounts, dentries, open file
// descriptions, path resolution, permission checks, file locks, and the
// interfaces that a file system implements.
//
// Three layers. An Inode is one file of a file system; the file system makes
// it. A Dentry is a name for it in the tree; this package alone makes, caches
// and drops dentries, so that a path whose components are cached is resolved
// without asking the file system. A Description is an open file; the file
// system's part of it is a File. A file system therefore implements Inode,
// usually Directory, and File with those optional interfaces that it has a
// meaning for; everything else (permissions, O_APPEND, blocking, offsets, close
// semantics, locks, inotify) happens here, once.
//
// Ids in attributes are kernel ids (cred.KUID); the system call layer maps them
// to the caller's user namespace.
//
// Lock order is in sentry/lockorder: the rename lock, then directories from
// the root downwards, then a dentry's children, then what the file system
// takes. Directory locks may be held over calls into the file system, and those
// may block on the Gofer; nothing else may.
package vfs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Context is what a file operation needs of its caller. A task is one.
type Context interface {
	waiter.Sleeper
	Creds() *cred.Creds
}

// FileSystem is one instance of a file system, mounted any number of times.
type FileSystem interface {
	// Type is the name in /proc/mounts.
	Type() string
	// Root returns the root's inode with a reference for the caller.
	Root() Inode
	Statfs(c Context) (linux.Statfs, error)
	// Options are what /proc/mounts prints behind rw, such as "size=64k".
	Options() string
	// Sync writes everything back, as syncfs does.
	Sync(c Context) error
	// Release ends the instance: nothing of it is mounted or open any more.
	Release()
}

// Inode is one file: what all its names, open files and mappings share. An
// inode that is handed to this package (by Root, Lookup, Create, WalkMany)
// carries one reference, which Release gives back.
//
// Optional: Directory, MutableDirectory, Walker, Revalidator, Symlink,
// MagicLink, XattrInode.
type Inode interface {
	// Node is this package's own state of the file. Embed a Node.
	Node() *Node

	// Attr returns type, mode and owner without asking anyone else: it is
	// called for every component of every path.
	Attr() Attr

	// Stat returns the attributes that mask (STATX_*) asks for, or more.
	// Uid and Gid in it are kernel ids.
	Stat(c Context, mask uint32) (linux.Statx, error)

	// SetAttr changes attributes; permission has been checked.
	SetAttr(c Context, a SetAttr) error

	// Open makes an open file; permission has been checked. Device nodes,
	// FIFOs and sockets are opened by this package and never get here.
	Open(c Context, p Path, flags linux.OpenFlags) (File, error)

	// Release gives back one reference.
	Release()
}

// Attr is what path resolution needs of an inode.
type Attr struct {
	Mode linux.FileMode // type and permission
	UID  cred.KUID
	GID  cred.KGID
	Rdev linux.Dev
}

// SetAttr says what to change: the fields that Mask (SetMode, ...) names.
type SetAttr struct {
	Mask         SetMask
	Mode         linux.FileMode // permission bits only
	UID          cred.KUID
	GID          cred.KGID
	Size         int64
	ATime, MTime linux.Timespec // used if SetATime, SetMTime without ...Now
	// File is the open file through which it was asked, if any: a file
	// system may have a cheaper way through it.
	File File
}

// SetMask names fields of SetAttr.
type SetMask uint32

// Fields of SetAttr.
const (
	SetMode SetMask = 1 << iota
	SetUID
	SetGID
	SetSize
	SetATime
	SetMTime
	SetATimeNow // the current time
	SetMTimeNow
)

// Directory is an inode that has children.
type Directory interface {
	Inode
	// Lookup returns the child with a reference, or ENOENT. Name is never
	// "", ".", ".." and holds no '/'.
	Lookup(c Context, name string) (Inode, error)
}

// Walker is a directory that can look up several names at once, each in the
// one before. It returns the inodes as far as they exist, stopping behind
// whatever is not a directory; err says why it stopped early: nil or ENOENT
// (the next name does not exist) let the caller cache what came.
//
// Opens is what the last name is going to be opened with, so that what Open
// needs can come with the same answer; O_PATH if it is not. Rights have not been
// checked, so nothing may be changed (O_TRUNC).
type Walker interface {
	WalkMany(c Context, names []string, opens linux.OpenFlags) ([]Inode, error)
}

// Revalidator is a directory whose children may change behind our back: a
// cached child (nil: a cached absence) is used only if it says so. Without it
// the cache is the truth.
type Revalidator interface {
	Revalidate(c Context, name string, child Inode) bool
}

// MutableDirectory is a directory in which names can be made and removed. The
// caller holds the lock of each directory concerned, has checked permissions,
// and knows that victims and targets are what they were looked up as. Without
// it such calls fail with EPERM (EROFS on read-only file systems).
type MutableDirectory interface {
	Directory
	// Create makes a file of the type in n.Mode; EEXIST if the name is taken.
	Create(c Context, name string, n NewFile) (Inode, error)
	// Link makes another name for target, an inode of this file system.
	Link(c Context, name string, target Inode) error
	// Unlink removes the name of a non-directory, Rmdir of an empty
	// directory (ENOTEMPTY otherwise).
	Unlink(c Context, name string, victim Inode) error
	Rmdir(c Context, name string, victim Inode) error
	// Rename moves source to newName in newDir, replacing victim (nil if
	// there is none). Flags are RENAME_EXCHANGE and RENAME_WHITEOUT;
	// NOREPLACE has been dealt with.
	Rename(c Context, name string, source Inode, newDir Directory, newName string, victim Inode, flags uint32) error
}

// TmpfileDirectory can make files without a name (O_TMPFILE), which Link names.
type TmpfileDirectory interface {
	Tmpfile(c Context, n NewFile) (Inode, error)
}

// NewFile describes a file to be created. Owner and mode are final: umask and
// set-group-id directories have been dealt with.
type NewFile struct {
	Mode   linux.FileMode // with the type
	UID    cred.KUID
	GID    cred.KGID
	Rdev   linux.Dev // device nodes
	Target string    // symbolic links
}

// Symlink is an inode with a target.
type Symlink interface {
	Readlink(c Context) (string, error)
}

// MagicLink is a link of /proc that leads to an object, not to a name.
type MagicLink interface {
	Symlink
	// Follow returns the object's path with a reference.
	Follow(c Context) (Path, error)
}

// XattrInode has extended attributes. Names come with their prefix; rights over
// the prefix have been checked. Get of a missing one is ENODATA.
type XattrInode interface {
	GetXattr(c Context, name string) ([]byte, error)
	SetXattr(c Context, name string, value []byte, flags int) error
	ListXattr(c Context) ([]string, error)
	RemoveXattr(c Context, name string) error
}

// FixedDirectory is a directory that may have its names once and for all: then
// making a name that Lookup does not know fails with ENOENT, whoever tries, as
// in procfs.
type FixedDirectory interface {
	FixedNames() bool
}

// SpecialOpener is the inode of a special file that opens itself, whatever is
// registered for its type: a pipe or terminal of the host, opened once more
// through /proc/PID/fd.
type SpecialOpener interface {
	OpenSpecial(c Context, flags linux.OpenFlags) (File, error)
}

// SelfChecker is an inode with its own permission rules (/proc/PID/fd, ...).
// Without it the mode bits and capabilities decide.
type SelfChecker interface {
	CheckAccess(c Context, want Access) error
}

// Access is a set of rights, with the values of R_OK, W_OK, X_OK.
type Access uint8

// The rights.
const (
	MayExec  Access = 1
	MayWrite Access = 2
	MayRead  Access = 4
)
