package proto

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/internal/wire"
)

// Client asks the server of one tree. All methods may be called from any
// number of goroutines and block until the host has answered. Their errors are
// errno.Errno values.
//
// A descriptor that a method returns is the caller's to close.
type Client struct {
	name    string
	log     func(string)
	welcome Welcome
	asked   atomic.Uint64

	control control

	pool struct {
		sync.Mutex
		idle   []*Conn // most recently used last: its buffers are warm
		all    map[*Conn]struct{}
		opened int // len(all) and those being opened
		closed bool
		hangUp func() // shuts the control channel down
	}
	freed sync.Cond // a channel became idle, or the client closed
}

// control is the channel that opens others.
type control struct {
	sync.Mutex // held over a question: those on this channel never block long
	conn       *Conn
}

func (c *control) ask(op Op, question, answer wire.Message) (int, syscall.Errno, error) {
	c.Lock()
	defer c.Unlock()
	if c.conn == nil {
		return -1, 0, io.EOF
	}
	return c.conn.ask(op, question, answer)
}

// tell is ask for what has no answer.
func (c *control) tell(op Op, body wire.Message) error {
	c.Lock()
	defer c.Unlock()
	if c.conn == nil {
		return io.EOF
	}
	return c.conn.send(head{op: op}, body, -1)
}

// NewClient greets the server at the other end of fd, which it then owns. Name
// is the tree's, for log lines. Close is the caller's to call.
func NewClient(fd int, name string, log func(string)) (*Client, error) {
	c := &Client{name: name, log: log}
	c.control.conn = NewConn(fd)
	c.pool.hangUp = c.control.conn.Shutdown
	c.pool.all = make(map[*Conn]struct{})
	c.freed.L = &c.pool.Mutex
	if _, err := c.askControl(OpHello, &Hello{Version: Version}, &c.welcome); err != nil {
		c.Close()
		return nil, fmt.Errorf("gofer tree %s: greet: %w", name, err)
	}
	return c, nil
}

// Welcome is what the server said of itself and its root.
func (c *Client) Welcome() *Welcome { return &c.welcome }

// Asked counts the questions so far: what the caches did not know.
func (c *Client) Asked() uint64 { return c.asked.Load() }

// Close ends the conversation: whoever waits gets EIO.
func (c *Client) Close() {
	if !c.closePool() {
		return
	}
	// Whoever holds the lock waits for an answer, and the shutdown ends that.
	c.control.Lock()
	defer c.control.Unlock()
	c.control.conn.Close()
	c.control.conn = nil
}

// closePool ends the conversation but for the control channel's descriptor. It
// returns false if that had been done.
func (c *Client) closePool() bool {
	c.pool.Lock()
	defer c.pool.Unlock()
	if c.pool.closed {
		return false
	}
	c.pool.closed = true
	c.pool.hangUp()
	for conn := range c.pool.all {
		conn.Shutdown()
	}
	for _, conn := range c.pool.idle {
		c.dropLocked(conn)
	}
	c.pool.idle = nil
	c.freed.Broadcast()
	return true
}

// lost ends the conversation because of err, and says so once. The control
// lock must not be held.
func (c *Client) lost(err error) {
	c.pool.Lock()
	closed := c.pool.closed
	c.pool.Unlock()
	if closed {
		return
	}
	if err == io.EOF {
		err = errors.New("the gofer closed the connection")
	}
	c.log(fmt.Sprintf("gofer tree %s: %v", c.name, err))
	c.Close()
}

// ask asks on an idle channel.
func (c *Client) ask(op Op, question, answer wire.Message) (int, error) {
	c.asked.Add(1)
	conn, err := c.acquire()
	if err != nil {
		return -1, err
	}
	fd, host, err := conn.ask(op, question, answer)
	if err != nil {
		c.discard(conn, err)
		return -1, errno.EIO
	}
	c.release(conn)
	if host != 0 {
		return -1, errno.FromHost(host)
	}
	return fd, nil
}

// askNoFD is ask for operations that bring no descriptor.
func (c *Client) askNoFD(op Op, question, answer wire.Message) error {
	fd, err := c.ask(op, question, answer)
	if fd >= 0 {
		unix.Close(fd)
	}
	return err
}

func (c *Client) askControl(op Op, question, answer wire.Message) (int, error) {
	fd, host, err := c.control.ask(op, question, answer)
	if err != nil {
		c.lost(err)
		return -1, errno.EIO
	}
	if host != 0 {
		return -1, errno.FromHost(host)
	}
	return fd, nil
}

// acquire takes an idle channel, opens one, or waits.
func (c *Client) acquire() (*Conn, error) {
	c.pool.Lock()
	defer c.pool.Unlock()
	refused := false
	for {
		if c.pool.closed {
			return nil, errno.EIO
		}
		if n := len(c.pool.idle); n > 0 {
			conn := c.pool.idle[n-1]
			c.pool.idle = c.pool.idle[:n-1]
			return conn, nil
		}
		if c.pool.opened == 0 || c.pool.opened < MaxChannels-1 && !refused {
			conn, err := c.openLocked()
			if err == nil || c.pool.opened == 0 {
				return conn, err
			}
			// Look again before waiting: the lock was free meanwhile.
			refused = true
			continue
		}
		c.freed.Wait()
	}
}

// openLocked opens a channel; it lets go of the pool's lock meanwhile.
func (c *Client) openLocked() (*Conn, error) {
	c.pool.opened++
	c.pool.Unlock()
	fd, err := c.askControl(OpChannel, &Empty{}, &Empty{})
	c.pool.Lock()
	if err == nil && fd < 0 {
		err = errno.EIO
	}
	if err != nil {
		c.pool.opened--
		return nil, err
	}
	conn := NewConn(fd)
	c.pool.all[conn] = struct{}{}
	if c.pool.closed {
		c.dropLocked(conn)
		return nil, errno.EIO
	}
	return conn, nil
}

func (c *Client) release(conn *Conn) {
	c.pool.Lock()
	defer c.pool.Unlock()
	if c.pool.closed {
		c.dropLocked(conn)
		return
	}
	c.pool.idle = append(c.pool.idle, conn)
	c.freed.Signal()
}

// discard gives up a channel that failed. When the server is gone, all are.
func (c *Client) discard(conn *Conn, err error) {
	if errors.Is(err, io.EOF) {
		c.lost(io.EOF)
	} else {
		c.log(fmt.Sprintf("gofer tree %s: %v", c.name, err))
	}
	c.pool.Lock()
	defer c.pool.Unlock()
	c.dropLocked(conn)
	c.freed.Signal()
}

func (c *Client) dropLocked(conn *Conn) {
	delete(c.pool.all, conn)
	c.pool.opened--
	conn.Close()
}

// Walk follows names. The descriptor is -1 when nothing was opened.
func (c *Client) Walk(m *Walk) (*Walked, int, error) {
	a := new(Walked)
	fd, err := c.ask(OpWalk, m, a)
	if err != nil {
		return nil, -1, err
	}
	if len(a.Steps) <= len(m.Names) && (fd < 0 || a.endsAtRegular(len(m.Names))) {
		return a, fd, nil
	}
	if fd >= 0 {
		unix.Close(fd)
	}
	c.log(fmt.Sprintf("gofer tree %s: walk: %v: steps beyond the names, or a descriptor without the file", c.name, ErrMalformed))
	return nil, -1, errno.EIO
}

// Stat gives a node's attributes.
func (c *Client) Stat(n NodeID) (Attr, error) {
	var a Attr
	err := c.askNoFD(OpStat, &Node{n}, &a)
	return a, err
}

// SetAttr changes attributes and gives all of them afterwards.
func (c *Client) SetAttr(m *SetAttr) (Attr, error) {
	var a Attr
	err := c.askNoFD(OpSetAttr, m, &a)
	return a, err
}

// Open opens a file and gives its attributes afterwards.
func (c *Client) Open(m *Open) (int, Attr, error) {
	var a Attr
	fd, err := c.withFD(OpOpen, m, &a)
	return fd, a, err
}

// Create makes a regular file that was not there and opens it.
func (c *Client) Create(m *Make) (int, *Made, error) {
	a := new(Made)
	fd, err := c.withFD(OpCreate, m, a)
	return fd, a, err
}

// TempFile makes a regular file without a name (O_TMPFILE) and opens it.
func (c *Client) TempFile(m *Make) (int, *Made, error) {
	a := new(Made)
	fd, err := c.withFD(OpTempFile, m, a)
	return fd, a, err
}

// withFD is ask for operations that always bring a descriptor.
func (c *Client) withFD(op Op, question, answer wire.Message) (int, error) {
	fd, err := c.ask(op, question, answer)
	if err == nil && fd < 0 {
		c.log(fmt.Sprintf("gofer tree %s: %s: %v: no descriptor", c.name, op, ErrMalformed))
		err = errno.EIO
	}
	return fd, err
}

// Mkdir makes a directory.
func (c *Client) Mkdir(m *Make) (*Made, error) { return c.make(OpMkdir, m) }

// Mknod makes a FIFO, a socket, a regular file or, where the tree allows it, a
// device node.
func (c *Client) Mknod(m *Make) (*Made, error) { return c.make(OpMknod, m) }

// Symlink makes a symbolic link.
func (c *Client) Symlink(m *Make) (*Made, error) { return c.make(OpSymlink, m) }

func (c *Client) make(op Op, m *Make) (*Made, error) {
	a := new(Made)
	if err := c.askNoFD(op, m, a); err != nil {
		return nil, err
	}
	return a, nil
}

// Link gives a node another name.
func (c *Client) Link(m *Link) (*Linked, error) {
	a := new(Linked)
	if err := c.askNoFD(OpLink, m, a); err != nil {
		return nil, err
	}
	return a, nil
}

// Unlink removes a name and gives the directory's attributes afterwards.
func (c *Client) Unlink(m *Entry) (Attr, error) {
	var a Attr
	err := c.askNoFD(OpUnlink, m, &a)
	return a, err
}

// Rmdir removes a directory and gives its parent's attributes afterwards.
func (c *Client) Rmdir(m *Entry) (Attr, error) {
	var a Attr
	err := c.askNoFD(OpRmdir, m, &a)
	return a, err
}

// Rename is renameat2(2).
func (c *Client) Rename(m *Rename) error { return c.askNoFD(OpRename, m, &Empty{}) }

// Readlink gives a symlink's target.
func (c *Client) Readlink(n NodeID) (string, error) {
	var a Target
	err := c.askNoFD(OpReadlink, &Node{n}, &a)
	return a.Target, err
}

// ReadDir gives the next entries of a directory.
func (c *Client) ReadDir(m *ReadDir) (*Entries, error) {
	a := new(Entries)
	if err := c.askNoFD(OpReadDir, m, a); err != nil {
		return nil, err
	}
	return a, nil
}

// CloseDir ends a reading before its end.
func (c *Client) CloseDir(d DirID) error { return c.askNoFD(OpCloseDir, &CloseDir{d}, &Empty{}) }

// GetXattr gives the value of an extended attribute.
func (c *Client) GetXattr(n NodeID, name string) ([]byte, error) {
	var a Value
	err := c.askNoFD(OpGetXattr, &Xattr{Node: n, Name: name}, &a)
	return a.Value, err
}

// SetXattr sets an extended attribute.
func (c *Client) SetXattr(m *Xattr) error { return c.askNoFD(OpSetXattr, m, &Empty{}) }

// ListXattr gives the names of the extended attributes, each ended by NUL.
func (c *Client) ListXattr(n NodeID) ([]byte, error) {
	var a Value
	err := c.askNoFD(OpListXattr, &Node{n}, &a)
	return a.Value, err
}

// RemoveXattr removes an extended attribute.
func (c *Client) RemoveXattr(n NodeID, name string) error {
	return c.askNoFD(OpRemoveXattr, &Xattr{Node: n, Name: name}, &Empty{})
}

// StatFS describes a node's file system.
func (c *Client) StatFS(n NodeID) (StatFS, error) {
	var a StatFS
	err := c.askNoFD(OpStatFS, &Node{n}, &a)
	return a, err
}

// Sync writes a node, or its file system, to the disk.
func (c *Client) Sync(m *Sync) error { return c.askNoFD(OpSync, m, &Empty{}) }

// Connect connects to a unix socket in the tree.
func (c *Client) Connect(m *Connect) (int, error) { return c.withFD(OpConnect, m, &Empty{}) }

// Forget gives references back. It does not wait for the server.
func (c *Client) Forget(nodes ...Forgotten) {
	for len(nodes) > 0 {
		n := min(len(nodes), MaxForget)
		if err := c.control.tell(OpForget, &Forget{nodes[:n]}); err != nil {
			c.lost(err)
			return
		}
		nodes = nodes[n:]
	}
}

// ForgetNow is Forget, and waits until the server has done it: when it had no
// room for nodes.
func (c *Client) ForgetNow(nodes ...Forgotten) {
	c.Forget(nodes...)
	// The control channel's questions are answered in order.
	c.askControl(OpStat, &Node{RootNode}, &Attr{})
}
