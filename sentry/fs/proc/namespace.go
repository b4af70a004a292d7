package proc

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/cred"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/pseudo"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// The inodes of namespaces that there is only one of, as Linux numbers them.
const (
	timeNSInode   = 4026531834
	cgroupNSInode = 4026531835
	userNSInode   = 4026531837

	// Mount namespaces are numbered like files; these are their numbers
	// where other namespaces have theirs.
	mountNSBase = 4026600000
)

// namespaceOf is one link of /proc/PID/ns: its kind, and how to find the object
// and its inode number.
type namespaceOf struct {
	name string
	kind linux.CloneFlags
	find func(*kernel.Task) (object any, ino uint64)
}

var namespaceLinks = []namespaceOf{
	{"cgroup", linux.CLONE_NEWCGROUP, func(*kernel.Task) (any, uint64) { return nil, cgroupNSInode }},
	{"ipc", linux.CLONE_NEWIPC, func(t *kernel.Task) (any, uint64) { return identified(t.Namespaces().IPC) }},
	{"mnt", linux.CLONE_NEWNS, mountNamespace},
	{"net", linux.CLONE_NEWNET, func(t *kernel.Task) (any, uint64) { return identified(t.Namespaces().Net) }},
	{"pid", linux.CLONE_NEWPID, func(t *kernel.Task) (any, uint64) { return identified(t.PIDNS()) }},
	{"pid_for_children", linux.CLONE_NEWPID, func(t *kernel.Task) (any, uint64) { return identified(t.Namespaces().PIDForChildren) }},
	{"time", linux.CLONE_NEWTIME, func(*kernel.Task) (any, uint64) { return nil, timeNSInode }},
	{"time_for_children", linux.CLONE_NEWTIME, func(*kernel.Task) (any, uint64) { return nil, timeNSInode }},
	{"user", linux.CLONE_NEWUSER, userNamespace},
	{"uts", linux.CLONE_NEWUTS, func(t *kernel.Task) (any, uint64) { return identified(t.Namespaces().UTS) }},
}

// identified is a namespace that knows its number; 0 for none.
func identified[N interface {
	comparable
	Inode() uint64
}](n N) (any, uint64) {
	var none N
	if n == none {
		return nil, 0
	}
	return n, n.Inode()
}

func mountNamespace(t *kernel.Task) (any, uint64) {
	fs := t.TakeFS()
	if fs == nil {
		return nil, 0
	}
	defer fs.DecRef()
	ns := fs.Namespace()
	return ns, mountNSBase + ns.Ino()
}

func userNamespace(t *kernel.Task) (any, uint64) {
	ns := t.Creds().UserNS
	if ns.Parent() == nil {
		return ns, userNSInode
	}
	return ns, ns.Ino(t.Kernel().NewNSInode)
}

func (s *subject) namespaces() []pseudo.Entry {
	var entries []pseudo.Entry
	for _, n := range namespaceLinks {
		entries = append(entries, pseudo.Entry{Name: n.name, Type: linux.DT_LNK, New: func(p pseudo.Place) vfs.Inode {
			return s.namespaceLink(p, n)
		}})
	}
	return entries
}

func (s *subject) namespaceLink(at pseudo.Place, n namespaceOf) vfs.Inode {
	find := func() (any, uint64, string, error) {
		t := s.task()
		if t == nil {
			return nil, 0, "", errno.ENOENT
		}
		object, ino := n.find(t)
		if ino == 0 {
			return nil, 0, "", errno.ENOENT
		}
		return object, ino, fmt.Sprintf("%s:[%d]", strings.TrimSuffix(n.name, "_for_children"), ino), nil
	}
	return at.Magic(s.meta(0o777, inspector),
		func(vfs.Context) (string, error) {
			_, _, name, err := find()
			return name, err
		},
		func(vfs.Context) (vfs.Path, error) {
			object, ino, name, err := find()
			if err != nil {
				return vfs.Path{}, err
			}
			// The file holds no reference on the namespace: its
			// objects are garbage-collected.
			f := &NamespaceFile{Kind: n.kind, Object: object}
			inode := at.WithIno(ino).Custom(pseudo.Meta{Perm: 0o444}, func(vfs.Context, linux.OpenFlags) (vfs.File, error) { return f, nil })
			return s.Kernel.World().AnonPath(inode, name), nil
		})
}

// NamespaceFile is an open file that stands for a namespace: setns(2) enters
// what it finds in a descriptor.
type NamespaceFile struct {
	Kind   linux.CloneFlags // CLONE_NEW*
	Object any              // *kernel.UTSNamespace, ...; nil when there is only one
}

// Release implements vfs.File.
func (*NamespaceFile) Release() {}

// Namespace is what setns(2) asks for.
func (f *NamespaceFile) Namespace() (linux.CloneFlags, any) { return f.Kind, f.Object }

func (s *subject) uidMap(vfs.Context) ([]byte, error) {
	return mapText(s.task().Creds().UserNS.UIDMap()), nil
}

func (s *subject) gidMap(vfs.Context) ([]byte, error) {
	return mapText(s.task().Creds().UserNS.GIDMap()), nil
}

func mapText(maps []cred.IDMap) []byte {
	var b []byte
	for _, m := range maps {
		b = fmt.Appendf(b, "%10d %10d %10d\n", m.Inside, m.Outside, m.Length)
	}
	return b
}

func (s *subject) setUIDMap(c vfs.Context, data []byte) error {
	maps, err := parseMap(data)
	if err != nil {
		return err
	}
	ns := s.task().Creds().UserNS
	own := func(outside uint32) bool {
		id, ok := ns.Parent().KUID(outside)
		return ok && id == c.Creds().EUID && ns.Owner() == c.Creds().EUID
	}
	if err := mayMap(c, ns, linux.CAP_SETUID, maps, own); err != nil {
		return err
	}
	return ns.SetUIDMap(maps)
}

func (s *subject) setGIDMap(c vfs.Context, data []byte) error {
	maps, err := parseMap(data)
	if err != nil {
		return err
	}
	ns := s.task().Creds().UserNS
	own := func(outside uint32) bool {
		id, ok := ns.Parent().KGID(outside)
		return ok && id == c.Creds().EGID && ns.Owner() == c.Creds().EUID && ns.Setgroups() == "deny"
	}
	if err := mayMap(c, ns, linux.CAP_SETGID, maps, own); err != nil {
		return err
	}
	return ns.SetGIDMap(maps)
}

// mayMap is the rule of user_namespaces(7): the writer has the capability over
// the parent namespace, or maps nothing but his own id.
func mayMap(c vfs.Context, ns *cred.UserNamespace, cp linux.Capability, maps []cred.IDMap, own func(uint32) bool) error {
	if ns.Parent() == nil || !c.Creds().HasCapIn(linux.CAP_SYS_ADMIN, ns) {
		return errno.EPERM
	}
	if len(maps) == 1 && maps[0].Length == 1 && own(maps[0].Outside) {
		return nil
	}
	if c.Creds().HasCapIn(cp, ns.Parent()) {
		return nil
	}
	return errno.EPERM
}

// maxMapLines is how many lines Linux takes.
const maxMapLines = 340

func parseMap(data []byte) ([]cred.IDMap, error) {
	if len(data) >= linux.PageSize {
		return nil, errno.EINVAL
	}
	var maps []cred.IDMap
	for _, line := range strings.Split(strings.TrimRight(string(data), "\n\x00"), "\n") {
		words := strings.Fields(line)
		if len(words) != 3 || len(maps) == maxMapLines {
			return nil, errno.EINVAL
		}
		var v [3]uint32
		for i, w := range words {
			n, err := strconv.ParseUint(w, 10, 32)
			if err != nil {
				return nil, errno.EINVAL
			}
			v[i] = uint32(n)
		}
		maps = append(maps, cred.IDMap{Inside: v[0], Outside: v[1], Length: v[2]})
	}
	return maps, nil
}

func (s *subject) setgroups(vfs.Context) ([]byte, error) {
	return []byte(s.task().Creds().UserNS.Setgroups() + "\n"), nil
}

func (s *subject) setSetgroups(c vfs.Context, data []byte) error {
	ns := s.task().Creds().UserNS
	if !c.Creds().HasCapIn(linux.CAP_SYS_ADMIN, ns) {
		return errno.EPERM
	}
	switch strings.TrimRight(string(data), " \n\x00") {
	case "deny":
		return ns.DenySetgroups()
	case "allow":
		if ns.Setgroups() == "deny" {
			return errno.EPERM
		}
		return nil
	}
	return errno.EINVAL
}
