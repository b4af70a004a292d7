package server

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
)

// node is a file that the client knows.
type node struct {
	id   proto.NodeID
	fd   int    // O_PATH
	kind uint32 // file type bits, which an inode never changes
	key  nodeKey

	refs uint64 // the client's
	pins int    // questions at work on it
}

// nodeKey is what makes two descriptors the same node. The mount belongs to it:
// the same file may be visible in a tree read-only and writable.
type nodeKey struct {
	dev   uint64
	ino   uint64
	mount uint64
}

// nodeTable holds a tree's nodes.
type nodeTable struct {
	process *process

	mu    sync.Mutex
	byID  map[proto.NodeID]*node
	byKey map[nodeKey]*node
	next  proto.NodeID
}

// addRoot makes the root node of fd, which it takes over.
func (t *nodeTable) addRoot(fd int) error {
	t.byID = make(map[proto.NodeID]*node)
	t.byKey = make(map[nodeKey]*node)
	t.next = proto.RootNode
	_, err := t.add(fd)
	return err
}

// add gives the client a reference to the node of fd, an O_PATH descriptor,
// which it takes over.
func (t *nodeTable) add(fd int) (proto.Step, error) {
	var st unix.Statx_t
	if err := statFD(fd, &st); err != nil {
		unix.Close(fd)
		return proto.Step{}, err
	}
	step := proto.Step{Attr: attrOf(&st)}
	key := nodeKey{step.Attr.Dev, step.Attr.Ino, step.Attr.Mount}

	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.byKey[key]; n != nil {
		unix.Close(fd)
		n.refs++
		step.Node = n.id
		return step, nil
	}
	if !t.process.reserveNode() {
		unix.Close(fd)
		return proto.Step{}, unix.ENFILE
	}
	n := &node{id: t.next, fd: fd, kind: step.Attr.Type(), key: key, refs: 1}
	t.next++
	t.byID[n.id] = n
	t.byKey[key] = n
	step.Node = n.id
	return step, nil
}

// pin finds a node and keeps its descriptor open until unpin.
func (t *nodeTable) pin(id proto.NodeID) (*node, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil {
		return nil, unix.ESTALE
	}
	n.pins++
	return n, nil
}

// pinDir is pin for a node that must be a directory.
func (t *nodeTable) pinDir(id proto.NodeID) (*node, error) {
	n, err := t.pin(id)
	if err == nil && n.kind != proto.TypeDir {
		t.unpin(n)
		return nil, unix.ENOTDIR
	}
	return n, err
}

func (t *nodeTable) unpin(n *node) {
	t.mu.Lock()
	n.pins--
	unused := t.removeUnusedLocked(n)
	t.mu.Unlock()
	closeNode(unused)
}

// forget takes references from the client. Too many, and unknown nodes, are
// the client's own affair; the root stays.
func (t *nodeTable) forget(id proto.NodeID, refs uint64) {
	if id == proto.RootNode {
		return
	}
	t.mu.Lock()
	var unused *node
	if n := t.byID[id]; n != nil {
		n.refs -= min(refs, n.refs)
		unused = t.removeUnusedLocked(n)
	}
	t.mu.Unlock()
	closeNode(unused)
}

// removeUnusedLocked removes n if nobody needs it, and returns it then, for
// closeNode.
func (t *nodeTable) removeUnusedLocked(n *node) *node {
	if n.refs > 0 || n.pins > 0 || t.byID[n.id] != n {
		return nil
	}
	delete(t.byID, n.id)
	delete(t.byKey, n.key)
	t.process.nodes.Add(-1)
	return n
}

// closeNode closes a node that was removed. The table's lock must not be held:
// closing the last descriptor of an unlinked file frees its blocks, which may
// take long.
func closeNode(n *node) {
	if n != nil {
		unix.Close(n.fd)
	}
}

// close closes all nodes. No question is at work any more.
func (t *nodeTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.byID {
		unix.Close(n.fd)
		t.process.nodes.Add(-1)
	}
	clear(t.byID)
	clear(t.byKey)
}

// statMask is what attributes are made of. The access time is exact only where
// the host keeps it so.
const statMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID

func statFD(fd int, st *unix.Statx_t) error {
	return retry(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, statMask, st) })
}

func attrOf(st *unix.Statx_t) proto.Attr {
	return proto.Attr{
		Dev: uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), Ino: st.Ino, Mount: st.Mnt_id,
		Mode: uint32(st.Mode), Nlink: st.Nlink, UID: st.Uid, GID: st.Gid,
		RdevMajor: st.Rdev_major, RdevMinor: st.Rdev_minor,
		Size: st.Size, Blocks: st.Blocks, BlockSize: st.Blksize,
		Atime: timeOf(st.Atime), Mtime: timeOf(st.Mtime), Ctime: timeOf(st.Ctime), Btime: timeOf(st.Btime),
	}
}

func timeOf(t unix.StatxTimestamp) proto.Time { return proto.Time{Sec: t.Sec, Nsec: t.Nsec} }

// retry repeats a host call that a signal of the Go runtime interrupted.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
