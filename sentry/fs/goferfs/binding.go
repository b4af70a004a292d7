package goferfs

import (
	"strings"
	"time"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
)

// identity is what makes a host file the same as one seen before. The time of
// birth is in it because an unbound inode does not keep the host from giving
// its number to another file.
type identity struct {
	dev, ino, mount uint64
	born            proto.Time
	kind            uint32
}

func identityOf(a *proto.Attr) identity {
	return identity{a.Dev, a.Ino, a.Mount, a.Btime, a.Type()}
}

// state is what FS.state guards: which inodes there are, and which are bound.
type state struct {
	inodes map[identity]*inode
	devs   map[uint64]linux.Dev

	bound    int
	maxBound int
	idle     inodeList // bound inodes that nobody has pinned, oldest first
}

// binding is an inode's share of state.
type binding struct {
	refs       int // of vfs, and of inodes that this is the parent of
	id         proto.NodeID
	told       uint64        // references to id that the server counts for us
	pins       int           // questions and open files that need id
	parent     *inode        // with a reference; nil for the root and nameless files
	name       string        // in parent
	placed     time.Duration // when it was last seen there
	prev, next *inode        // in idle
}

func (s *state) init(maxNodes int) {
	s.inodes = make(map[identity]*inode)
	s.devs = make(map[uint64]linux.Dev)
	// The Gofer's budget is for all trees; ENFILE tells if it is not enough.
	s.maxBound = max(maxNodes/2, 16)
	s.idle.init()
}

// adopt returns the inode of an answer's step with a reference for the caller.
// It takes over the step's reference to the node, if there is a node. Parent
// and name say where it was found; parent is nil if that is unknown.
func (fs *FS) adopt(step proto.Step, parent *inode, name, target string) *inode {
	st := fs.state.Lock()
	key := identityOf(&step.Attr)
	i := st.inodes[key]
	known := i != nil
	if !known {
		i = fs.newInode(step.Attr, target)
		i.dev = fs.devLocked(st, step.Attr.Dev)
		st.inodes[key] = i
	}
	i.refs++
	was := fs.placeLocked(i, parent, name, &step.Attr)
	excess := fs.bindLocked(st, i, step.Node)
	excess = append(excess, st.shrink(st.maxBound)...)
	fs.state.Unlock()
	fs.client.Forget(excess...)
	if was != nil {
		was.Release()
	}
	if known && step.Node != 0 {
		i.sawAttr(&step.Attr)
	}
	return i
}

// placeLocked notes that i was found as name in parent. A place that was given
// up is returned, with its reference.
func (fs *FS) placeLocked(i, parent *inode, name string, a *proto.Attr) (was *inode) {
	if parent == nil {
		return nil
	}
	same := i.parent == parent && i.name == name
	if !same && i.parent != nil && (fs.caching == Exclusive || a.Type() != proto.TypeDir && a.Nlink > 1) {
		return nil // another name of the same file
	}
	if !same {
		was = i.parent
		parent.refs++
		i.parent, i.name = parent, name
	}
	if fs.caching != Exclusive {
		i.placed = fs.now()
	}
	return was
}

// isPlaced says whether name in parent is believed to be i still, in a tree that
// others change.
func (fs *FS) isPlaced(i, parent *inode, name string) bool {
	fs.state.Lock()
	here, placed := i.parent == parent && i.name == name, i.placed
	fs.state.Unlock()
	if !here {
		return false
	}
	return fs.believed(placed) || i.isType(proto.TypeDir) && fs.now()-placed < dirWindow
}

// bindLocked gives i one reference to node id, and returns references that are
// of no use.
func (fs *FS) bindLocked(st *state, i *inode, id proto.NodeID) []proto.Forgotten {
	switch {
	case id == 0:
	case i.id == 0:
		i.id, i.told = id, 1
		st.bound++
		if i.pins == 0 {
			st.idle.push(i)
		}
	case i.id == id:
		i.told++
	default:
		// The server has two nodes for what looks like one file.
		return []proto.Forgotten{{Node: id, Refs: 1}}
	}
	return nil
}

// devLocked is the device number that the Sentry shows for a host device: the
// host's could be one of ours.
func (fs *FS) devLocked(st *state, dev uint64) linux.Dev {
	d, ok := st.devs[dev]
	if !ok {
		d = fs.world.NewAnonDev()
		st.devs[dev] = d
	}
	return d
}

// pin returns the inode's node, which stays bound until unpin. An inode without
// one is looked up by its name.
func (i *inode) pin() (proto.NodeID, error) {
	id, _, err := i.pinOpening(proto.OpenNot)
	return id, err
}

// pinOpening is pin, and opens the file with the same question, if that has to
// ask one and if the host lets it.
func (i *inode) pinOpening(access proto.Access) (proto.NodeID, *host.FD, error) {
	fs := i.fs
	st := fs.state.Lock()
	if i.id != 0 {
		id := i.id
		i.pinLocked(st)
		fs.state.Unlock()
		return id, nil, nil
	}
	parent, name := i.parent, i.name
	if parent == nil {
		fs.state.Unlock()
		return 0, nil, errno.ESTALE
	}
	parent.refs++
	fs.state.Unlock()
	defer parent.Release()

	step, _, fd, err := fs.lookup(parent, name, access)
	if err == errno.ENOENT {
		fs.misplaced(i, parent)
		err = errno.ESTALE
	}
	if err != nil {
		return 0, nil, err
	}
	if a := i.cachedAttr(); identityOf(&step.Attr) != identityOf(&a) {
		fs.client.Forget(proto.Forgotten{Node: step.Node, Refs: 1})
		if fd != nil {
			fd.Close()
		}
		fs.misplaced(i, parent)
		return 0, nil, errno.ESTALE
	}
	st = fs.state.Lock()
	excess := fs.bindLocked(st, i, step.Node)
	id := i.id
	i.pinLocked(st)
	excess = append(excess, st.shrink(st.maxBound)...)
	fs.state.Unlock()
	fs.client.Forget(excess...)
	return id, fd, nil
}

// misplaced says that i was not found where it was believed to be: the next
// lookup asks.
func (fs *FS) misplaced(i, dir *inode) {
	fs.state.Lock()
	i.placed = -2 * relaxedWindow
	fs.state.Unlock()
	if d, ok := dir.self.(*sharedDirectory); ok {
		n := d.names.Lock()
		n.seen = -2 * relaxedWindow
		d.names.Unlock()
	}
}

func (i *inode) pinLocked(st *state) {
	if i.pins == 0 {
		st.idle.remove(i)
	}
	i.pins++
}

func (i *inode) unpin() {
	st := i.fs.state.Lock()
	defer i.fs.state.Unlock()
	i.pins--
	if i.pins == 0 && i.id != 0 {
		st.idle.push(i)
	}
}

// shrink unbinds the least recently used inodes until at most n are bound, and
// returns what to tell the Gofer. Nameless inodes stay: they could not be found
// again.
func (s *state) shrink(n int) []proto.Forgotten {
	var gone []proto.Forgotten
	for i := s.idle.oldest(); i != nil && s.bound > n; {
		next := s.idle.after(i)
		if i.parent != nil {
			gone = append(gone, s.unbind(i))
		}
		i = next
	}
	return gone
}

// unbind takes an inode's node away. It is in idle.
func (s *state) unbind(i *inode) proto.Forgotten {
	s.idle.remove(i)
	s.bound--
	f := proto.Forgotten{Node: i.id, Refs: i.told}
	i.id, i.told = 0, 0
	return f
}

// lookup asks for one name in a directory, and opens it if access says so and
// the host lets it.
func (fs *FS) lookup(dir *inode, name string, access proto.Access) (proto.Step, string, *host.FD, error) {
	w, fd, err := fs.walk(dir, []string{name}, access)
	if err != nil {
		return proto.Step{}, "", nil, err
	}
	if len(w.Steps) == 0 {
		if w.Errno == 0 {
			return proto.Step{}, "", nil, errno.EIO
		}
		return proto.Step{}, "", nil, errnoOf(w.Errno)
	}
	return w.Steps[0], w.Target, fd, nil
}

// attempts is how often the Gofer is asked when it has no room for nodes: other
// tasks may take what one made room for.
const attempts = 16

// makeRoom unbinds half of the inodes that nobody needs.
func (fs *FS) makeRoom() {
	st := fs.state.Lock()
	gone := st.shrink(st.bound / 2)
	fs.state.Unlock()
	fs.client.ForgetNow(gone...)
}

// walk asks for several names, and opens the last as lookup does.
func (fs *FS) walk(dir *inode, names []string, access proto.Access) (*proto.Walked, *host.FD, error) {
	for tries := 1; ; tries++ {
		id, err := dir.pin()
		if err != nil {
			return nil, nil, err
		}
		q := &proto.Walk{From: id, Names: names, Open: access}
		w, fd, err := fs.client.Walk(q)
		if err == errno.EMFILE {
			q.Open = proto.OpenNot // our own table is full
			w, fd, err = fs.client.Walk(q)
		}
		dir.unpin()
		if err != nil {
			return nil, nil, err
		}
		if fd >= 0 {
			return w, host.NewFD(fd), nil
		}
		if errno.Errno(w.Errno) != errno.ENFILE || tries == attempts {
			return w, nil, nil
		}
		fs.forgetSteps(w.Steps)
		fs.makeRoom()
	}
}

// forgetSteps gives back references that nobody wants.
func (fs *FS) forgetSteps(steps []proto.Step) {
	for _, s := range steps {
		fs.client.Forget(proto.Forgotten{Node: s.Node, Refs: 1})
	}
}

// release gives back a reference to an inode, and ends it with the last one.
// Its parent may end with it.
func (fs *FS) release(i *inode) {
	for i != nil {
		st := fs.state.Lock()
		i.refs--
		if i.refs > 0 {
			fs.state.Unlock()
			return
		}
		var gone []proto.Forgotten
		if i.id != 0 {
			gone = append(gone, st.unbind(i))
		}
		st.removeLocked(i)
		if c := i.cache.Lock(); c.version > 0 && c.attr.Nlink > 0 {
			fs.drops.Add(1)
		}
		i.cache.Unlock()
		parent := i.parent
		i.parent = nil
		fs.state.Unlock()
		fs.dropDonated(i)
		fs.client.Forget(gone...)
		i = parent
	}
}

// removeLocked makes an inode unknown: another file may get its number.
func (s *state) removeLocked(i *inode) {
	a := i.cachedAttr()
	if key := identityOf(&a); s.inodes[key] == i {
		delete(s.inodes, key)
	}
}

// lostName says that a name of i was removed; last that it has no other.
func (fs *FS) lostName(i, dir *inode, name string) {
	c := i.cache.Lock()
	if c.attr.Nlink > 0 {
		c.attr.Nlink--
	}
	if c.attr.Type() == proto.TypeDir {
		c.attr.Nlink = 0
	}
	last := c.attr.Nlink == 0
	c.version++
	i.cache.Unlock()

	st := fs.state.Lock()
	var was *inode
	if i.parent == dir && i.name == name {
		was, i.parent = i.parent, nil
	}
	if last {
		st.removeLocked(i)
	}
	fs.state.Unlock()
	if was != nil {
		fs.release(was)
	}
}

// gotName says that i is now found as name in dir, if it has no other name or
// if its name was the one that it lost to this.
func (fs *FS) gotName(i, dir *inode, name string) {
	st := fs.state.Lock()
	defer fs.state.Unlock()
	if i.parent == nil {
		dir.refs++
		i.parent, i.name = dir, strings.Clone(name)
	}
	a := i.cachedAttr()
	if key := identityOf(&a); st.inodes[key] == nil {
		st.inodes[key] = i
	}
}

// moved says that i, found as oldName in oldDir before, is name in dir now.
func (fs *FS) moved(i, oldDir *inode, oldName string, dir *inode, name string) {
	i.touched()
	fs.state.Lock()
	hit := i.parent == oldDir && i.name == oldName
	if hit {
		dir.refs++
		i.parent, i.name = dir, strings.Clone(name)
	}
	fs.state.Unlock()
	if hit {
		fs.release(oldDir)
	}
}

// inodeList is a ring of inodes, oldest first.
type inodeList struct{ head inode }

func (l *inodeList) init() { l.head.prev, l.head.next = &l.head, &l.head }

func (l *inodeList) push(i *inode) {
	last := l.head.prev
	i.prev, i.next = last, &l.head
	last.next, l.head.prev = i, i
}

func (l *inodeList) remove(i *inode) {
	i.prev.next, i.next.prev = i.next, i.prev
	i.prev, i.next = nil, nil
}

func (l *inodeList) oldest() *inode { return l.after(&l.head) }

func (l *inodeList) after(i *inode) *inode {
	if i.next == &l.head {
		return nil
	}
	return i.next
}
