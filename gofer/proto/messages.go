package proto

import "github.com/bulkhead-sandbox/bulkhead/internal/wire"

// Empty is a body without fields.
type Empty struct{}

// Code implements wire.Message.
func (*Empty) Code(*wire.Coder) {}

// Hello greets.
type Hello struct{ Version uint32 }

// Code implements wire.Message.
func (m *Hello) Code(c *wire.Coder) { c.U32(&m.Version) }

// Welcome answers Hello.
type Welcome struct {
	Root     Attr
	ReadOnly bool
	MaxNodes uint32 // nodes that the server may hold for all its trees
}

// Code implements wire.Message.
func (m *Welcome) Code(c *wire.Coder) {
	m.Root.Code(c)
	c.Bool(&m.ReadOnly)
	c.U32(&m.MaxNodes)
}

// Node is a question about one node.
type Node struct{ Node NodeID }

// Code implements wire.Message.
func (m *Node) Code(c *wire.Coder) { m.Node.code(c) }

// Forget gives references to nodes back.
type Forget struct{ Nodes []Forgotten }

// Forgotten is a node and the number of references given back.
type Forgotten struct {
	Node NodeID
	Refs uint64
}

// Code implements wire.Message.
func (m *Forget) Code(c *wire.Coder) {
	wire.List(c, &m.Nodes, MaxForget, 16, func(c *wire.Coder, f *Forgotten) {
		f.Node.code(c)
		c.U64(&f.Refs)
	})
}

// Walk follows names from a directory. It stops at the first name that is
// missing, or is not a directory (symlinks are not followed).
type Walk struct {
	From  NodeID
	Names []string
	// Open is what to open a regular file at the very end for; the answer
	// brings its descriptor if that succeeds.
	Open Access
}

// Code implements wire.Message.
func (m *Walk) Code(c *wire.Coder) {
	m.From.code(c)
	wire.List(c, &m.Names, MaxWalk, 5, codeName)
	m.Open.code(c)
}

// Access says what a file is opened for.
type Access uint8

// The accesses.
const (
	OpenNot Access = iota
	OpenRead
	OpenWrite
	OpenReadWrite
)

// Writes says whether the access includes writing.
func (a Access) Writes() bool { return a == OpenWrite || a == OpenReadWrite }

func (a *Access) code(c *wire.Coder) {
	c.U8((*uint8)(a))
	if *a > OpenReadWrite {
		c.Fail(wire.ErrTooLong)
	}
}

// Walked answers Walk.
type Walked struct {
	Steps  []Step
	Target string // of the last step, if that is a symlink
	// Errno says why the name after the last step could not be reached, if
	// it was tried.
	Errno uint32
	// OpenErrno says why the last step could not be opened, if that was
	// tried.
	OpenErrno uint32
}

// endsAtRegular says whether a regular file stands at the end of n names.
func (m *Walked) endsAtRegular(n int) bool {
	return n > 0 && len(m.Steps) == n && m.Errno == 0 && m.Steps[n-1].Attr.Type() == TypeRegular
}

// Step is one file on the way.
type Step struct {
	Node NodeID
	Attr Attr
}

// Code implements wire.Message.
func (m *Walked) Code(c *wire.Coder) {
	wire.List(c, &m.Steps, MaxWalk, minStep, codeStep)
	c.Str(&m.Target, MaxTarget)
	c.U32(&m.Errno)
	c.U32(&m.OpenErrno)
}

func codeStep(c *wire.Coder, s *Step) {
	s.Node.code(c)
	s.Attr.Code(c)
}

// Open opens a file. Its type must be regular; or FIFO where the tree allows
// that.
type Open struct {
	Node   NodeID
	Access Access
	Trunc  bool
}

// Code implements wire.Message.
func (m *Open) Code(c *wire.Coder) {
	m.Node.code(c)
	m.Access.code(c)
	c.Bool(&m.Trunc)
}

// Make makes a file in a directory. Access is for OpCreate and OpTempFile,
// Target for OpSymlink, Rdev for OpMknod.
type Make struct {
	Dir                  NodeID
	Name                 string // empty for OpTempFile
	Mode                 uint32 // permissions; with the type for OpMknod
	UID, GID             uint32
	Access               Access
	RdevMajor, RdevMinor uint32
	Target               string
}

// Code implements wire.Message.
func (m *Make) Code(c *wire.Coder) {
	m.Dir.code(c)
	c.Str(&m.Name, MaxName)
	if m.Name != "" && !CheckName(m.Name) {
		c.Fail(errName)
	}
	c.U32(&m.Mode)
	c.U32(&m.UID)
	c.U32(&m.GID)
	m.Access.code(c)
	c.U32(&m.RdevMajor)
	c.U32(&m.RdevMinor)
	c.Str(&m.Target, MaxTarget)
}

// Made answers Make.
type Made struct {
	Step
	Dir Attr // the directory afterwards
}

// Code implements wire.Message.
func (m *Made) Code(c *wire.Coder) {
	codeStep(c, &m.Step)
	m.Dir.Code(c)
}

// Link gives a node another name.
type Link struct {
	Node NodeID
	Dir  NodeID
	Name string
}

// Code implements wire.Message.
func (m *Link) Code(c *wire.Coder) {
	m.Node.code(c)
	m.Dir.code(c)
	codeName(c, &m.Name)
}

// Linked answers Link. It is no reference to the node.
type Linked struct{ File, Dir Attr }

// Code implements wire.Message.
func (m *Linked) Code(c *wire.Coder) {
	m.File.Code(c)
	m.Dir.Code(c)
}

// Entry is a name in a directory.
type Entry struct {
	Dir  NodeID
	Name string
}

// Code implements wire.Message.
func (m *Entry) Code(c *wire.Coder) {
	m.Dir.code(c)
	codeName(c, &m.Name)
}

// Rename is renameat2(2), with its flags.
type Rename struct {
	OldDir  NodeID
	OldName string
	NewDir  NodeID
	NewName string
	Flags   uint32
}

// Code implements wire.Message.
func (m *Rename) Code(c *wire.Coder) {
	m.OldDir.code(c)
	codeName(c, &m.OldName)
	m.NewDir.code(c)
	codeName(c, &m.NewName)
	c.U32(&m.Flags)
}

// Target answers Readlink.
type Target struct{ Target string }

// Code implements wire.Message.
func (m *Target) Code(c *wire.Coder) { c.Str(&m.Target, MaxTarget) }

// DirID is a directory that is being read. Zero is none.
type DirID uint64

// ReadDir reads the next entries of a directory: from its start, when Dir is
// zero, or where the answer that gave Dir left off.
type ReadDir struct {
	Node NodeID
	Dir  DirID
}

// Code implements wire.Message.
func (m *ReadDir) Code(c *wire.Coder) {
	m.Node.code(c)
	c.U64((*uint64)(&m.Dir))
}

// Entries answers ReadDir. More is where to go on, or zero at the end; the
// client closes what it does not read to the end.
type Entries struct {
	Entries []DirEntry
	More    DirID
}

// DirEntry is a name in a directory and what it names. "." and ".." are left
// out. Without Known, only the type in Attr.Mode and Attr.Ino are set.
type DirEntry struct {
	Name  string
	Known bool
	Attr  Attr
}

// Code implements wire.Message.
func (m *Entries) Code(c *wire.Coder) {
	wire.List(c, &m.Entries, MaxEntries, minEntry, codeEntry)
	c.U64((*uint64)(&m.More))
}

func codeEntry(c *wire.Coder, e *DirEntry) {
	codeName(c, &e.Name)
	c.Bool(&e.Known)
	if e.Known {
		e.Attr.Code(c)
		return
	}
	c.U64(&e.Attr.Ino)
	kind := uint8(e.Attr.Mode >> 12)
	c.U8(&kind)
	e.Attr.Mode = uint32(kind) << 12
	if c.Err() == nil && !validType(e.Attr.Mode) {
		c.Fail(errAttr)
	}
}

// CloseDir ends a reading.
type CloseDir struct{ Dir DirID }

// Code implements wire.Message.
func (m *CloseDir) Code(c *wire.Coder) { c.U64((*uint64)(&m.Dir)) }

// Xattr names an extended attribute; Value and Flags are for SetXattr.
type Xattr struct {
	Node  NodeID
	Name  string
	Value []byte
	Flags uint32
}

// Code implements wire.Message.
func (m *Xattr) Code(c *wire.Coder) {
	m.Node.code(c)
	c.Str(&m.Name, xattrNameMax)
	c.Raw(&m.Value, MaxXattr)
	c.U32(&m.Flags)
}

// Value is an extended attribute's value, or the list of names, each ended by
// NUL.
type Value struct{ Value []byte }

// Code implements wire.Message.
func (m *Value) Code(c *wire.Coder) { c.Bytes(&m.Value, MaxXattr) }

// Sync brings a node to the disk.
type Sync struct {
	Node NodeID
	What SyncWhat
}

// SyncWhat is how much Sync writes.
type SyncWhat uint8

// What is written: the file, or all of its file system.
const (
	SyncFile SyncWhat = iota
	SyncFS
)

// Code implements wire.Message.
func (m *Sync) Code(c *wire.Coder) {
	m.Node.code(c)
	c.U8((*uint8)(&m.What))
	if m.What > SyncFS {
		c.Fail(wire.ErrTooLong)
	}
}

// Connect connects to a socket in the tree. Type is SOCK_STREAM, SOCK_DGRAM or
// SOCK_SEQPACKET.
type Connect struct {
	Node NodeID
	Type uint32
}

// Code implements wire.Message.
func (m *Connect) Code(c *wire.Coder) {
	m.Node.code(c)
	c.U32(&m.Type)
}
