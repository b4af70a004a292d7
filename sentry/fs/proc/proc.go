// Package proc is procfs: the processes and the system as text.
//
// Config.New makes an instance that shows one pid namespace. A subject is a
// process or a thread that a directory tells about; the files of its directory
// are rows of a table in task.go, each a name, permission bits and a method of
// subject. System-wide files are in system.go, /proc/sys in sysctl.go, where a
// setting is one row with its value or with the functions that read and set it.
//
// A file is made from the kernel's state when it is read, with the rights of
// who reads: what belongs to another process's memory, files and namespaces
// needs the right to trace it, as on Linux. The package only formats and
// parses; it changes nothing but through methods of the kernel, and holds no
// lock while it calls them. Making a file costs what it looks at: a directory
// of processes one pass over them, maps one copy of the list of mappings.
//
// What nobody can know here is shown as zero, with one exception: memory in use
// is estimated (mm.Resident), because a process without any looks like a
// kernel thread.
package proc

import (
	"strconv"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/pseudo"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Config is what all instances of a sandbox share.
type Config struct {
	Kernel  *kernel.Kernel
	Sysctls *Sysctls

	// Initial is shown by mounts that no task makes; without it, all tasks.
	Initial *kernel.PIDNamespace

	// Net are the files of /proc/net that socket families know about; those
	// that nobody gives are shown as for an idle network.
	Net []NetFile

	// IPC are the files of /proc/sysvipc.
	IPC []IPCFile
}

// NetFile is a file of /proc/net for one network namespace: Show gives what stands
// below the lines of an idle network.
type NetFile struct {
	Name string
	Show func(ns *kernel.NetNamespace) []byte
}

// IPCFile is a file of /proc/sysvipc for one IPC namespace, as a reader with
// these credentials' ID maps sees it.
type IPCFile struct {
	Name string
	Show func(c vfs.Context, ns *kernel.IPCNamespace) []byte
}

// instance is one mounted procfs.
type instance struct {
	*Config
	ns *kernel.PIDNamespace
}

// New makes a procfs that shows ns.
func (c *Config) New(ns *kernel.PIDNamespace) vfs.FileSystem {
	i := &instance{c, ns}
	fs := pseudo.New(c.Kernel.World(), "proc", linux.PROC_SUPER_MAGIC, func(p pseudo.Place) vfs.Inode {
		return p.Dir(pseudo.Meta{Perm: 0o555}, i.root(), processes{i})
	})
	fs.FixNames()
	return fs
}

// Type registers procfs for mount(2), which shows the mounter's namespace.
func (c *Config) Type() vfs.FSType {
	return vfs.FSType{
		Name: "proc", Flags: vfs.FSNoDev | vfs.FSUserNS,
		New: func(by vfs.Context, _ *vfs.World, _, _ string) (vfs.FileSystem, error) {
			switch t := caller(by); {
			case t != nil:
				return c.New(t.PIDNS()), nil
			case c.Initial != nil:
				return c.New(c.Initial), nil
			}
			return c.New(c.Kernel.RootPIDNS()), nil
		},
	}
}

// caller is the task that a context stands for, or nil.
func caller(c vfs.Context) *kernel.Task {
	if c == nil {
		return nil
	}
	t, _ := vfs.Caller(c).(*kernel.Task)
	return t
}

// self is the target of /proc/self, or ENOENT for who is not in the namespace.
func (i *instance) self(c vfs.Context) (string, error) {
	t := caller(c)
	if t == nil {
		return "", errno.ENOENT
	}
	id := t.ThreadGroup().ID(i.ns)
	if id == 0 {
		return "", errno.ENOENT
	}
	return strconv.Itoa(int(id)), nil
}

func (i *instance) threadSelf(c vfs.Context) (string, error) {
	group, err := i.self(c)
	if err != nil {
		return "", err
	}
	return group + "/task/" + strconv.Itoa(int(caller(c).TIDIn(i.ns))), nil
}

// processes are the numbered directories.
type processes struct{ *instance }

// parseID reads a number as a directory is called: without zeros in front.
func parseID(name string) (int32, bool) {
	n, err := strconv.ParseInt(name, 10, 32)
	return int32(n), err == nil && n > 0 && name[0] != '0' && name[0] != '+'
}

// find is the process, or the thread, with a number. Threads are found but not
// listed.
func (p processes) find(name string) *subject {
	nr, ok := parseID(name)
	if !ok {
		return nil
	}
	if g := p.ns.ThreadGroup(nr); g != nil {
		return &subject{instance: p.instance, group: g}
	}
	if t := p.ns.Task(nr); t != nil {
		return &subject{instance: p.instance, group: t.ThreadGroup(), thread: t}
	}
	return nil
}

// Lookup implements pseudo.Dynamic.
func (p processes) Lookup(_ vfs.Context, at pseudo.Place, name string) (vfs.Inode, error) {
	s := p.find(name)
	if s == nil {
		return nil, errno.ENOENT
	}
	entries := append(s.entries(taskFiles), s.processEntries()...)
	return &taskDir{at.Dir(pseudo.Meta{Perm: 0o555, Owner: s.owner}, entries, nil).(vfs.Directory), s}, nil
}

// taskDir remembers who a directory tells about, so that the number of one that
// is gone and given out again is not mistaken for it.
type taskDir struct {
	vfs.Directory
	subject *subject
}

// FixedNames implements vfs.FixedDirectory.
func (*taskDir) FixedNames() bool { return true }

// Valid implements pseudo.Dynamic.
func (p processes) Valid(_ vfs.Context, name string, made vfs.Inode) bool {
	s := p.find(name)
	return s != nil && sameSubject(s, made)
}

func sameSubject(s *subject, made vfs.Inode) bool {
	d, ok := made.(*taskDir)
	return ok && d.subject.group == s.group && d.subject.thread == s.thread
}

// List implements pseudo.Dynamic.
func (p processes) List(_ vfs.Context, key int64, emit func(string, uint8, int64) bool) error {
	for _, g := range p.ns.ThreadGroups() {
		id := int64(g.ID(p.ns))
		if id >= key && !emit(strconv.FormatInt(id, 10), linux.DT_DIR, id) {
			return nil
		}
	}
	return nil
}

// threads are the directories below /proc/PID/task.
type threads struct{ *subject }

func (d threads) find(name string) *subject {
	nr, ok := parseID(name)
	if !ok {
		return nil
	}
	t := d.ns.Task(nr)
	if t == nil || t.ThreadGroup() != d.group {
		return nil
	}
	return &subject{instance: d.instance, group: d.group, thread: t}
}

// Lookup implements pseudo.Dynamic.
func (d threads) Lookup(_ vfs.Context, at pseudo.Place, name string) (vfs.Inode, error) {
	s := d.find(name)
	if s == nil {
		return nil, errno.ENOENT
	}
	entries := append(s.entries(taskFiles), s.file("children", 0o444, (*subject).children))
	return &taskDir{at.Dir(pseudo.Meta{Perm: 0o555, Owner: s.owner}, entries, nil).(vfs.Directory), s}, nil
}

// Valid implements pseudo.Dynamic.
func (d threads) Valid(_ vfs.Context, name string, made vfs.Inode) bool {
	s := d.find(name)
	return s != nil && sameSubject(s, made)
}

// List implements pseudo.Dynamic.
func (d threads) List(_ vfs.Context, key int64, emit func(string, uint8, int64) bool) error {
	for _, id := range d.threadIDs() {
		if int64(id) >= key && !emit(strconv.Itoa(int(id)), linux.DT_DIR, int64(id)) {
			return nil
		}
	}
	return nil
}

// lines joins lines and ends each.
func lines(all []string) []byte {
	if len(all) == 0 {
		return nil
	}
	return []byte(strings.Join(all, "\n") + "\n")
}
