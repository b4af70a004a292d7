package unix

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// names are the abstract names of one network namespace.
type names struct {
	mu   sync.Mutex
	byID map[string]*Socket
	next uint32 // for autobind
}

type namesKey struct{}

func namesOf(ns socket.Namespace) *names {
	return ns.Slot(namesKey{}, func() any { return &names{byID: map[string]*Socket{}} }).(*names)
}

// name is an address taken apart: at most one of the two is set.
type name struct {
	path     string
	abstract string // with its NUL in front
}

// familyOnly is the address of a socket without a name.
var familyOnly = socket.Addr{linux.AF_UNIX, 0}

const maxAddr = 2 + linux.UnixPathMax

// parse takes an address apart. EINVAL unless it is one with a name.
func parse(a socket.Addr) (name, error) {
	if len(a) <= 2 || len(a) > maxAddr || a.Family() != linux.AF_UNIX {
		return name{}, errno.EINVAL
	}
	if a[2] == 0 {
		return name{abstract: string(a[2:])}, nil
	}
	path, _, _ := bytes.Cut(a[2:], []byte{0})
	return name{path: string(path)}, nil
}

func (n name) addr() socket.Addr {
	a := socket.Addr{linux.AF_UNIX, 0}
	if n.path != "" {
		return append(append(a, n.path...), 0)
	}
	return append(a, n.abstract...)
}

// Bind gives the socket a name; an address of only a family gives it a free
// abstract one.
//
// Errors: EINVAL if it has a name, or for an address that is none; EADDRINUSE;
// what mknod gives for a path.
func (s *Socket) Bind(c socket.Context, a socket.Addr) error {
	if len(a) == 2 && a.Family() == linux.AF_UNIX {
		return s.autobind()
	}
	n, err := parse(a)
	if err != nil {
		return err
	}
	s.binding.Lock()
	defer s.binding.Unlock()
	if s.bound() {
		return errno.EINVAL
	}
	if n.path == "" {
		return s.names.add(n.abstract, s)
	}
	return s.bindPath(c, n)
}

func (s *Socket) bound() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr != nil
}

func (s *Socket) bindPath(c socket.Context, n name) error {
	at := c.FS().Name(n.path)
	defer at.Release()
	p, err := vfs.MknodPath(c, at, linux.S_IFSOCK|0o777, 0)
	if err == errno.EEXIST {
		return errno.EADDRINUSE
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.addr, s.path = n.addr(), p
	s.mu.Unlock()
	p.Inode().Node().SetSocket(s)
	return nil
}

// autobind gives the socket a free abstract name unless it has one.
func (s *Socket) autobind() error {
	s.binding.Lock()
	defer s.binding.Unlock()
	if s.bound() {
		return nil
	}
	for range 1 << 20 {
		s.names.mu.Lock()
		s.names.next = (s.names.next + 1) & 0xfffff
		id := s.names.next
		s.names.mu.Unlock()
		if s.names.add(fmt.Sprintf("\x00%05x", id), s) == nil {
			return nil
		}
	}
	return errno.ENOSPC
}

func (n *names) add(id string, s *Socket) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byID[id] != nil {
		return errno.EADDRINUSE
	}
	n.byID[id] = s
	s.mu.Lock()
	s.addr = name{abstract: id}.addr()
	s.mu.Unlock()
	return nil
}

// unbind gives the name back. A socket file stays.
func (s *Socket) unbind() {
	s.mu.Lock()
	a, p := s.addr, s.path
	s.path = vfs.Path{}
	s.mu.Unlock()
	if !p.IsZero() {
		p.Inode().Node().SetSocket(nil)
		p.DecRef()
		return
	}
	if len(a) > 2 && a[2] == 0 {
		s.names.mu.Lock()
		defer s.names.mu.Unlock()
		if s.names.byID[string(a[2:])] == s {
			delete(s.names.byID, string(a[2:]))
		}
	}
}

// find returns the socket that has a name.
//
// Errors: ECONNREFUSED if there is none, or only a file; EPROTOTYPE if it is of
// another type; EINVAL; what path resolution gives; EACCES without the right to
// write to the file.
func (s *Socket) find(c socket.Context, a socket.Addr) (*Socket, error) {
	n, err := parse(a)
	if err != nil {
		return nil, err
	}
	other, err := s.lookup(c, n)
	if err != nil {
		return nil, err
	}
	if other == nil {
		return nil, errno.ECONNREFUSED
	}
	if other.opts.Kind.Type != s.opts.Kind.Type {
		return nil, errno.EPROTOTYPE
	}
	return other, nil
}

func (s *Socket) lookup(c socket.Context, n name) (*Socket, error) {
	if n.path == "" {
		s.names.mu.Lock()
		defer s.names.mu.Unlock()
		return s.names.byID[n.abstract], nil
	}
	at := c.FS().Name(n.path)
	defer at.Release()
	p, err := vfs.Resolve(c, at, vfs.How{})
	if err != nil {
		return nil, err
	}
	defer p.DecRef()
	if err := vfs.Check(c, p, vfs.MayWrite); err != nil {
		return nil, err
	}
	other, _ := p.Inode().Node().Socket().(*Socket)
	return other, nil
}

// Name is getsockname.
func (s *Socket) Name() (socket.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr == nil {
		return familyOnly, nil
	}
	return s.addr, nil
}

// PeerName is getpeername: ENOTCONN if there is no peer.
func (s *Socket) PeerName() (socket.Addr, error) {
	s.mu.Lock()
	peer := s.peer
	s.mu.Unlock()
	if peer == nil {
		return nil, errno.ENOTCONN
	}
	return peer.Name()
}

// unspecified says whether an address asks to forget the peer.
func unspecified(a socket.Addr) bool {
	return len(a) >= 2 && binary.LittleEndian.Uint16(a) == linux.AF_UNSPEC
}
