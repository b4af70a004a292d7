package goferfs

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
)

// donated is a host descriptor of a regular file. All open files of an inode
// share one for reading and one for writing; those that nobody uses are kept,
// up to a number, for the next open.
type donated struct {
	fd     *host.FD
	access proto.Access

	// Guarded by FS.fds.
	users      int
	owner      *inode   // whose it is; nil once it is to be closed after use
	prev, next *donated // in fdCache.idle
}

// inodeFDs is an inode's descriptors, guarded by FS.fds.
type inodeFDs struct {
	read  *donated // O_RDONLY
	write *donated // O_RDWR, or O_WRONLY if the host allows no more
}

// fdCache is what FS.fds guards: a ring of descriptors that nobody uses, oldest
// first.
type fdCache struct {
	head donated
	idle int
	max  int
	// closing are descriptors that unlockFDs closes: that may block.
	closing []*host.FD
}

// unlockFDs releases FS.fds and closes what was found to be of no more use.
func (fs *FS) unlockFDs(c *fdCache) {
	closing := c.closing
	c.closing = nil
	fs.fds.Unlock()
	for _, fd := range closing {
		fd.Close()
	}
}

func (c *fdCache) init(max int) {
	c.head.prev, c.head.next = &c.head, &c.head
	c.max = max
	if max == 0 {
		c.max = DefaultMaxFDs
	}
}

// need says what a descriptor must be good for.
type need uint8

const (
	toRead     need = iota
	toWrite         // and perhaps to read
	toReadOnly      // to read, and nothing else: for a mapping
	toReadWrite
)

func (f *inodeFDs) find(n need) *donated {
	w := f.write
	readWrite := w != nil && w.access == proto.OpenReadWrite
	switch {
	case n == toWrite && w != nil, n == toReadWrite && readWrite:
		return w
	case (n == toRead || n == toReadOnly) && f.read != nil:
		return f.read
	case n == toRead && readWrite:
		return w
	}
	return nil
}

// take counts a user.
func (c *fdCache) take(d *donated) *donated {
	if d != nil {
		if d.users == 0 {
			c.remove(d)
		}
		d.users++
	}
	return d
}

// accessFor is what a Walk has to open a file for that is to be opened with
// these flags.
func accessFor(flags linux.OpenFlags) proto.Access {
	switch {
	case flags&linux.O_PATH != 0:
		return proto.OpenNot
	case flags.AccessMode() == linux.O_RDONLY:
		return proto.OpenRead
	}
	return proto.OpenReadWrite
}

// use returns a descriptor that is good for n, and asks the Gofer for one if
// there is none. The caller gives it back to unuse.
func (i *inode) use(n need) (*donated, error) {
	if d := i.tryUse(n); d != nil {
		return d, nil
	}
	access := proto.OpenRead
	if n == toWrite || n == toReadWrite {
		access = proto.OpenReadWrite
	}
	fd, err := i.askFD(access)
	if err == errno.EACCES && n == toWrite {
		// An ordinary user's file that he may write and not read.
		access = proto.OpenWrite
		fd, err = i.askFD(access)
	}
	if err != nil {
		return nil, err
	}
	return i.fs.install(i, fd, access), nil
}

func (i *inode) tryUse(n need) *donated {
	c := i.fs.fds.Lock()
	defer i.fs.fds.Unlock()
	return c.take(i.fds.find(n))
}

func (i *inode) askFD(access proto.Access) (*host.FD, error) {
	id, opened, err := i.pinOpening(access)
	if err != nil {
		return nil, err
	}
	defer i.unpin()
	if opened != nil {
		return opened, nil
	}
	q := &proto.Open{Node: id, Access: access}
	fd, _, err := i.fs.client.Open(q)
	if err == errno.EMFILE {
		// Our own table is full: give back what is only kept.
		i.fs.dropIdle()
		fd, _, err = i.fs.client.Open(q)
	}
	if err != nil {
		return nil, err
	}
	return host.NewFD(fd), nil
}

// writable returns a descriptor for writing if there is one.
func (i *inode) writable() *donated { return i.tryUse(toWrite) }

// anyDonated returns a descriptor if there is one.
func (i *inode) anyDonated() *donated {
	c := i.fs.fds.Lock()
	defer i.fs.fds.Unlock()
	if i.fds.read != nil {
		return c.take(i.fds.read)
	}
	return c.take(i.fds.write)
}

// inUse says whether the inode has an open file.
func (i *inode) inUse() bool {
	i.fs.fds.Lock()
	defer i.fs.fds.Unlock()
	r, w := i.fds.read, i.fds.write
	return r != nil && r.users > 0 || w != nil && w.users > 0
}

// keep stores the descriptor of a file that was just made.
func (fs *FS) keep(i *inode, fd *host.FD, access proto.Access) {
	fs.unuse(fs.install(i, fd, access))
}

// install makes a descriptor the inode's, unless it has one by now that is as
// good; fd is used up in either case.
func (fs *FS) install(i *inode, fd *host.FD, access proto.Access) *donated {
	c := fs.fds.Lock()
	defer fs.unlockFDs(c)
	slot := &i.fds.read
	if access.Writes() {
		slot = &i.fds.write
	}
	if old := *slot; old != nil && (old.access == access || old.access == proto.OpenReadWrite) {
		c.closing = append(c.closing, fd)
		return c.take(old)
	}
	d := &donated{fd: fd, access: access, users: 1, owner: i}
	if old := *slot; old != nil { // O_WRONLY, and this is O_RDWR
		old.owner = nil
		if old.users == 0 {
			c.remove(old)
			c.closing = append(c.closing, old.fd)
		}
	}
	*slot = d
	return d
}

// unuse gives a descriptor back.
func (fs *FS) unuse(d *donated) {
	c := fs.fds.Lock()
	defer fs.unlockFDs(c)
	d.users--
	if d.users > 0 {
		return
	}
	if d.owner == nil {
		c.closing = append(c.closing, d.fd)
		return
	}
	c.push(d)
	c.closeIdle(c.max)
}

// dropDonated closes the descriptors of an inode that ends.
func (fs *FS) dropDonated(i *inode) {
	c := fs.fds.Lock()
	defer fs.unlockFDs(c)
	for _, d := range [...]*donated{i.fds.read, i.fds.write} {
		if d == nil {
			continue
		}
		d.owner = nil
		if d.users == 0 {
			c.remove(d)
			c.closing = append(c.closing, d.fd)
		}
	}
	i.fds = inodeFDs{}
}

// dropIdle closes all descriptors that nobody uses.
func (fs *FS) dropIdle() {
	c := fs.fds.Lock()
	defer fs.unlockFDs(c)
	c.closeIdle(0)
}

// closeIdle closes the oldest descriptors until at most n are idle.
func (c *fdCache) closeIdle(n int) {
	for c.idle > n {
		d := c.head.next
		c.remove(d)
		if d.owner.fds.read == d {
			d.owner.fds.read = nil
		} else {
			d.owner.fds.write = nil
		}
		c.closing = append(c.closing, d.fd)
	}
}

func (c *fdCache) push(d *donated) {
	last := c.head.prev
	d.prev, d.next = last, &c.head
	last.next, c.head.prev = d, d
	c.idle++
}

func (c *fdCache) remove(d *donated) {
	d.prev.next, d.next.prev = d.next, d.prev
	d.prev, d.next = nil, nil
	c.idle--
}
