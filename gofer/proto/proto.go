// Package proto is what a Sentry and a Gofer say to each other about one tree
// of host files, and the Sentry's side of the talking: Client.
//
// # Conversation
//
// A tree is served over one SOCK_SEQPACKET connection, the control channel.
// Over it the client greets (Hello), drops nodes (Forget, which has no answer)
// and asks for more channels: each is a socket pair of its own, on which one
// request at a time is asked and answered. So several requests of one tree are
// under way at once, a host file system that hangs stalls only those who asked
// for it, no number matches answers to questions, and no thread stands between
// the socket and the one who waits. The client opens channels as it needs
// them, MaxChannels at most.
//
// A message is an 8-byte head (operation and errno) and a body; the body of
// each operation is the struct named after it, coded by its Code method. An
// answer may bring one descriptor.
//
// # Nodes
//
// A NodeID names a file of the tree, by identity and not by name: it stays
// valid over renames and after the last name is gone. The server holds one
// O_PATH descriptor per node, whatever number of names led to it; each mention
// of the node in an answer is one reference, and Forget gives references back.
// A server that may hold no more nodes answers ENFILE.
//
// # Trust
//
// Neither side believes the other. Codes check all lengths; names are checked
// by both sides with CheckName; a malformed answer closes its channel and
// reads as EIO. The server never gives out a descriptor of a directory or an
// O_PATH descriptor; bytes of files are read and written on the descriptors of
// regular files that Open donates, never by messages.
//
// Errors between the two are host error numbers. A closed connection is EIO
// for all who ask, and one line in the log.
//
// Locks: the client's pool lock is a leaf. Cost of a round trip on two cores: 8
// to 11 us for attributes, 17 to 25 us for a walk of four names that ends in an
// open, of which the server's host calls are 7 us (the benchmarks are in
// gofer/server).
package proto

import (
	"errors"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/internal/wire"
)

// Version is checked by Hello: both processes come from one binary, so a
// mismatch is an installation that changed under a running sandbox.
const Version = 1

// Limits of messages.
const (
	MaxName      = 255
	MaxTarget    = 4096
	MaxXattr     = 65536
	MaxWalk      = 64       // names in one Walk
	MaxForget    = 512      // nodes in one Forget
	MaxChannels  = 16       // channels of one tree, with the control channel
	MaxMessage   = 72 << 10 // more than the largest xattr
	MaxEntries   = 2048     // entries in one answer to ReadDir
	headLen      = 8
	minEntry     = 4 + 8 + 1 + 1
	minStep      = 8 + attrLen
	attrLen      = 116
	xattrNameMax = 255
)

// Op is an operation.
type Op uint32

// The operations. The comment gives the bodies of question and answer; what a
// descriptor comes with says so.
const (
	OpHello       Op = iota + 1 // Hello, Welcome
	OpChannel                   // Empty, Empty and the new channel's descriptor
	OpForget                    // Forget, no answer
	OpWalk                      // Walk, Walked, perhaps a descriptor
	OpStat                      // Node, Attr
	OpSetAttr                   // SetAttr, Attr
	OpOpen                      // Open, Attr and a descriptor
	OpCreate                    // Make, Made and a descriptor
	OpTempFile                  // Make, Made and a descriptor
	OpMkdir                     // Make, Made
	OpMknod                     // Make, Made
	OpSymlink                   // Make, Made
	OpLink                      // Link, Linked
	OpUnlink                    // Entry, Attr of the directory
	OpRmdir                     // Entry, Attr of the directory
	OpRename                    // Rename, Empty
	OpReadlink                  // Node, Target
	OpReadDir                   // ReadDir, Entries
	OpCloseDir                  // CloseDir, Empty
	OpGetXattr                  // Xattr, Value
	OpSetXattr                  // Xattr, Empty
	OpListXattr                 // Node, Value
	OpRemoveXattr               // Xattr, Empty
	OpStatFS                    // Node, StatFS
	OpSync                      // Sync, Empty
	OpConnect                   // Connect, Empty and a descriptor
	opEnd
)

var opNames = [...]string{
	OpHello: "hello", OpChannel: "channel", OpForget: "forget", OpWalk: "walk", OpStat: "stat",
	OpSetAttr: "setattr", OpOpen: "open", OpCreate: "create", OpTempFile: "tempfile", OpMkdir: "mkdir",
	OpMknod: "mknod", OpSymlink: "symlink", OpLink: "link", OpUnlink: "unlink", OpRmdir: "rmdir",
	OpRename: "rename", OpReadlink: "readlink", OpReadDir: "readdir", OpCloseDir: "closedir",
	OpGetXattr: "getxattr", OpSetXattr: "setxattr", OpListXattr: "listxattr",
	OpRemoveXattr: "removexattr", OpStatFS: "statfs", OpSync: "sync", OpConnect: "connect",
}

func (o Op) String() string {
	if o > 0 && o < opEnd {
		return opNames[o]
	}
	return "unknown operation"
}

// NodeID names a file of the tree. Zero is none.
type NodeID uint64

// RootNode is the tree's root. It is never forgotten.
const RootNode NodeID = 1

func (n *NodeID) code(c *wire.Coder) { c.U64((*uint64)(n)) }

// CheckName says whether name can be one entry of a directory: what is not may
// lead elsewhere.
func CheckName(name string) bool {
	return name != "" && len(name) <= MaxName && name != "." && name != ".." &&
		strings.IndexByte(name, '/') < 0 && strings.IndexByte(name, 0) < 0
}

var errName = errors.New("not a name")

// codeName codes one entry's name.
func codeName(c *wire.Coder, name *string) {
	c.Str(name, MaxName)
	if c.Err() == nil && !CheckName(*name) {
		c.Fail(errName)
	}
}

// head starts every message.
type head struct {
	op    Op
	errno uint32 // of an answer
}

func (h *head) Code(c *wire.Coder) {
	c.U32((*uint32)(&h.op))
	c.U32(&h.errno)
}
