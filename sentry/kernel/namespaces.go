package kernel

import (
	"sync"

	"github.com/bulkhead-sandbox/bulkhead/internal/lock"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/lockorder"
)

// UTSNamespace holds the host and domain name.
type UTSNamespace struct {
	userNS *cred.UserNamespace
	ino    uint64

	mu           lock.Mutex[lockorder.UTSNamespace]
	host, domain string
}

// NewUTSNamespace makes a namespace with the given names.
func (k *Kernel) NewUTSNamespace(host, domain string, u *cred.UserNamespace) *UTSNamespace {
	return &UTSNamespace{userNS: u, ino: k.NewNSInode(), host: host, domain: domain}
}

// Names returns both names.
func (n *UTSNamespace) Names() (host, domain string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.host, n.domain
}

// SetHost and SetDomain change a name.
func (n *UTSNamespace) SetHost(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.host = s
}

// SetDomain changes the NIS domain name.
func (n *UTSNamespace) SetDomain(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.domain = s
}

// Inode and UserNS identify the namespace.
func (n *UTSNamespace) Inode() uint64 { return n.ino }

// UserNS is the user namespace that owns it.
func (n *UTSNamespace) UserNS() *cred.UserNamespace { return n.userNS }

// IPCNamespace and NetNamespace are known here by identity only: what is in
// them belongs to the packages that hang it on Slots.
type IPCNamespace struct{ namespaceSlots }

// NetNamespace is a network stack's identity.
type NetNamespace struct{ namespaceSlots }

type namespaceSlots struct {
	userNS *cred.UserNamespace
	ino    uint64
	slots  sync.Map
}

// Inode identifies the namespace.
func (n *namespaceSlots) Inode() uint64 { return n.ino }

// UserNS is the user namespace that owns it.
func (n *namespaceSlots) UserNS() *cred.UserNamespace { return n.userNS }

// Slot returns the state under key, made by fresh when it is not there yet.
func (n *namespaceSlots) Slot(key any, fresh func() any) any {
	if v, ok := n.slots.Load(key); ok {
		return v
	}
	v, _ := n.slots.LoadOrStore(key, fresh())
	return v
}

// NewIPCNamespace makes an empty one.
func (k *Kernel) NewIPCNamespace(u *cred.UserNamespace) *IPCNamespace {
	return &IPCNamespace{namespaceSlots{userNS: u, ino: k.NewNSInode()}}
}

// NewNetNamespace makes an empty one.
func (k *Kernel) NewNetNamespace(u *cred.UserNamespace) *NetNamespace {
	return &NetNamespace{namespaceSlots{userNS: u, ino: k.NewNSInode()}}
}

// NewPIDNamespace makes a child of parent.
func (k *Kernel) NewPIDNamespace(parent *PIDNamespace, u *cred.UserNamespace) *PIDNamespace {
	return k.newPIDNamespace(parent, u)
}
