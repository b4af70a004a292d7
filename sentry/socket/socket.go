// Package socket is what all socket families have in common: the Socket that a
// family implements, messages with control data, the options of SOL_SOCKET,
// and how a socket becomes an open file.
//
// A family (package unix, ...) is a Family value in a list that the system call
// layer reads; this package imports none. No method of a Socket waits: it
// returns EAGAIN, and whoever called it waits for the Socket's events.
//
// Locks: Options are atomic; nothing here holds a lock over a call. Cost: none
// beyond the family's.
package socket

import (
	"encoding/binary"
	"fmt"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// Context is the calling task. What comes in through read and write is a
// Context too, but the types there do not say so.
type Context interface {
	vfs.Context
	FS() *vfs.FSContext
	// ProcessID identifies the caller's process in credentials. It is only
	// passed on.
	ProcessID() any
}

// Namespace is a network namespace: a place for the state of each family.
type Namespace interface {
	Slot(key any, fresh func() any) any
}

// Family makes sockets of one domain.
type Family interface {
	Domain() int
	// New makes a socket. EPROTONOSUPPORT, ESOCKTNOSUPPORT.
	New(c Context, ns Namespace, kind Kind) (Socket, error)
	// NewPair makes two that are connected. EOPNOTSUPP.
	NewPair(c Context, ns Namespace, kind Kind) (Socket, Socket, error)
}

// Kind is what socket(2) asks for within a domain.
type Kind struct{ Type, Protocol int }

// Addr is a socket address as the guest gives it, from its family on.
type Addr []byte

// Family is the address family, AF_UNSPEC if there is none.
func (a Addr) Family() int {
	if len(a) < 2 {
		return linux.AF_UNSPEC
	}
	return int(binary.LittleEndian.Uint16(a))
}

// Socket is one endpoint.
type Socket interface {
	vfs.File
	waiter.Waitable

	// Base is the state that is alike in all families.
	Base() *Options

	Bind(c Context, a Addr) error
	Listen(c Context, backlog int) error
	// Accept returns a connection: EAGAIN if there is none.
	Accept(c Context) (Socket, error)
	// Connect connects: EAGAIN or EINPROGRESS if that takes time.
	Connect(c Context, a Addr) error
	// Shutdown ends one direction or both (SHUT_*).
	Shutdown(c Context, how int) error
	Name() (Addr, error)
	PeerName() (Addr, error)

	Send(c vfs.Context, m *Outgoing) (int64, error)
	Recv(c vfs.Context, m *Incoming) (int64, error)

	// GetOption and SetOption see each option first. ok is false for those
	// that Options should answer.
	GetOption(c Context, level, name int) (value []byte, ok bool, err error)
	SetOption(c Context, level, name int, value []byte) (ok bool, err error)
}

// Identity is who sent a message, or who made a connection.
type Identity struct {
	Process any // of Context.ProcessID; nil: nobody
	UID     cred.KUID
	GID     cred.KGID
}

// IdentityOf is the caller's, with its effective ids.
func IdentityOf(c vfs.Context) Identity {
	cr := c.Creds()
	id := Identity{UID: cr.EUID, GID: cr.EGID}
	if sc, ok := c.(Context); ok {
		id.Process = sc.ProcessID()
	}
	return id
}

// Outgoing is a message to be sent.
type Outgoing struct {
	Data  *usermem.Buffer
	To    Addr // nil: to the peer
	Flags int  // MSG_*

	// Files are passed on with their references once something was sent;
	// the sender then forgets them.
	Files []*vfs.Description
	// As is who the sender says that he is (SCM_CREDENTIALS); nil: himself.
	As *Identity
}

// Incoming is room for a message, and then what came.
type Incoming struct {
	Data  *usermem.Buffer
	Flags int // MSG_* of the call

	// What came. Files are the receiver's with their references.
	From     Addr
	OutFlags int
	Files    []*vfs.Description
	Sender   *Identity // set if the socket wants it (SO_PASSCRED)
}

// DropFiles gives the references of files back.
func DropFiles(files []*vfs.Description) {
	for _, f := range files {
		f.DecRef()
	}
}

// Numbered is a socket that is told the inode of its open file, for tables that
// name it.
type Numbered interface{ SetInode(ino uint64) }

// NewDescription makes s an open file. Flags may hold O_NONBLOCK.
func NewDescription(w *vfs.World, s Socket, flags linux.OpenFlags, creds *cred.Creds) *vfs.Description {
	inode := vfs.NewAnonInode(w, linux.S_IFSOCK|0o777, creds)
	if n, ok := s.(Numbered); ok {
		n.SetInode(inode.Ino())
	}
	return vfs.NewAnon(w, inode, fmt.Sprintf("socket:[%d]", inode.Ino()), s, linux.O_RDWR|flags, creds)
}
