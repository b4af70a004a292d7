// Package server serves trees of host files to a Sentry: the Gofer's whole
// work. Serve answers the questions of gofer/proto about trees, each given by
// a descriptor of its root.
//
// Main types: Tree is one tree and what is allowed in it; nodeTable holds the
// files that the client knows, one O_PATH descriptor each.
//
// What it never does:
//   - It never follows a symlink and never resolves "..", so nothing in a tree
//     leads outside, however the tree changes meanwhile: every name is one
//     component, opened with openat2(RESOLVE_BENEATH) and O_NOFOLLOW below a
//     descriptor that was reached in the same way from the root. There are no
//     paths in this package.
//   - It never opens what a donated descriptor could harm with: directories and
//     device nodes are not given out, FIFOs and sockets only where the tree
//     allows it.
//   - It never believes the client: a client that breaks the protocol loses
//     its channel, and the worst a client can do with well-formed questions is
//     what the container's own root may do to the tree.
//
// A file is opened again from its O_PATH descriptor through /proc/self/fd, held
// as a descriptor because the process has an empty root (see OpenProcFD): that
// works whatever its names became. These links lead to our own descriptors
// only, and which one is never the client's choice.
//
// Cost: one descriptor per node that the client has not forgotten, with about
// 1 KiB of host kernel memory, out of Config.MaxNodes; one thread per channel,
// mostly asleep in read(2). Names created are visible on the host at once.
//
// Locks: nodeTable's and dirTable's are leaves; no host call that may block on
// a file system runs under them.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
	"github.com/bulkhead-sandbox/bulkhead/internal/wire"
)

// Tree is one tree to serve.
type Tree struct {
	Name   string // for log lines: the mount point in the container
	Conn   int    // SOCK_SEQPACKET socket to the Sentry; Serve closes it
	RootFD int    // O_PATH descriptor of the root, of any type; Serve closes it

	ReadOnly bool
	Allow    Allow

	// SquashOwner lets files be made whose owner the host does not let us
	// set, as when an ordinary user's namespace has one user only. They
	// belong to the user we run as.
	SquashOwner bool
}

// Allow is what a tree permits beyond plain files.
type Allow uint32

// The permissions.
const (
	// AllowWhiteouts permits character devices 0:0, which overlays use.
	AllowWhiteouts Allow = 1 << iota
	// AllowDevices permits other device nodes to be made. None is ever opened.
	AllowDevices
	// AllowConnect permits connecting to host sockets in the tree.
	AllowConnect
	// AllowFIFO permits opening host FIFOs in the tree.
	AllowFIFO
)

// Config is about the process.
type Config struct {
	// ProcFD is what OpenProcFD gave. Serve does not close it.
	ProcFD int
	// MaxNodes bounds the descriptors kept for clients, over all trees.
	// Zero means RLIMIT_NOFILE less a reserve.
	MaxNodes int
	// Log takes a line about a client that misbehaves. It may be nil.
	Log func(string)
}

// reservedFDs are kept free for channels, directories being read, and the
// descriptors that one request opens for a moment.
const reservedFDs = 512

// OpenProcFD opens /proc/self/fd. Call it before the root is changed.
func OpenProcFD() (int, error) {
	fd, err := unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /proc/self/fd: %w", err)
	}
	return fd, nil
}

// Serve serves the trees until all their control channels are closed by the
// other end, or ctx ends. It sets the process's umask to 0.
func Serve(ctx context.Context, cfg Config, trees []Tree) error {
	unix.Umask(0)
	p, err := newProcess(cfg)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for _, t := range trees {
		served, err := newTree(p, t)
		if err != nil {
			p.hangUp()
			all.Wait()
			return err
		}
		all.Go(served.run)
	}
	stop := context.AfterFunc(ctx, p.hangUp)
	defer stop()
	all.Wait()
	return context.Cause(ctx)
}

// process is what all trees share.
type process struct {
	procFD   int
	log      func(string)
	maxNodes int64
	nodes    atomic.Int64 // descriptors held for clients

	mu     sync.Mutex
	conns  map[*proto.Conn]struct{} // all that are being served
	closed bool
}

func newProcess(cfg Config) (*process, error) {
	p := &process{procFD: cfg.ProcFD, log: cfg.Log, maxNodes: int64(cfg.MaxNodes), conns: make(map[*proto.Conn]struct{})}
	if p.log == nil {
		p.log = func(string) {}
	}
	if p.maxNodes == 0 {
		var lim unix.Rlimit
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &lim); err != nil {
			return nil, fmt.Errorf("read the limit of descriptors: %w", err)
		}
		p.maxNodes = int64(min(lim.Cur, 1<<30)) - reservedFDs
		if p.maxNodes < 1 {
			return nil, fmt.Errorf("the limit of descriptors is %d, which leaves none beside the reserve of %d", lim.Cur, reservedFDs)
		}
	}
	return p, nil
}

// reserveNode counts one more descriptor for a client.
func (p *process) reserveNode() bool {
	if p.nodes.Add(1) > p.maxNodes {
		p.nodes.Add(-1)
		return false
	}
	return true
}

// adopt takes charge of a connection. It returns nil when Serve is ending.
func (p *process) adopt(fd int) *proto.Conn {
	c := proto.NewConn(fd)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return nil
	}
	p.conns[c] = struct{}{}
	return c
}

// drop ends a connection. Its goroutine calls it.
func (p *process) drop(c *proto.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	c.Close()
}

func (p *process) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for c := range p.conns {
		c.Shutdown()
	}
}

// tree is one tree being served.
type tree struct {
	*process
	name        string
	readOnly    bool
	allow       Allow
	squashOwner bool
	operations  []operation

	nodes nodeTable
	dirs  dirTable

	control  *proto.Conn
	channels atomic.Int32
	serving  sync.WaitGroup // goroutines of channels

	mu   sync.Mutex
	open map[*proto.Conn]struct{} // channels but the control channel
}

func newTree(p *process, t Tree) (*tree, error) {
	s := &tree{
		process: p, name: t.Name, readOnly: t.ReadOnly, allow: t.Allow, squashOwner: t.SquashOwner,
		operations: operations[:], open: make(map[*proto.Conn]struct{}),
	}
	s.nodes.process = p
	s.dirs.process = p
	if err := s.nodes.addRoot(t.RootFD); err != nil {
		unix.Close(t.Conn)
		return nil, fmt.Errorf("serve tree %s: %w", t.Name, err)
	}
	s.control = p.adopt(t.Conn)
	if s.control == nil {
		s.nodes.close()
		return nil, fmt.Errorf("serve tree %s: the server is ending", t.Name)
	}
	return s, nil
}

// run serves until the control channel closes, and then ends all others.
func (t *tree) run() {
	t.serve(t.control)
	t.mu.Lock()
	for c := range t.open {
		c.Shutdown()
	}
	t.open = nil
	t.mu.Unlock()
	t.serving.Wait()
	t.dirs.close()
	t.nodes.close()
}

// serve answers the questions of one channel until it closes.
func (t *tree) serve(c *proto.Conn) {
	defer t.drop(c)
	for {
		op, body, err := c.NextQuestion()
		if err == nil {
			err = t.answer(c, op, body)
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			t.log(fmt.Sprintf("gofer tree %s: %v", t.name, err))
			return
		}
	}
}

// answer answers one question. An error ends the channel.
func (t *tree) answer(c *proto.Conn, op proto.Op, body wire.Coder) error {
	if op == proto.OpForget {
		return t.forget(&body)
	}
	if int(op) >= len(t.operations) || t.operations[op] == nil {
		return fmt.Errorf("%s %d: %w", op, op, proto.ErrMalformed)
	}
	answer, fd, err := t.operations[op](t, &body)
	if fd >= 0 {
		defer unix.Close(fd)
	}
	var host syscall.Errno
	switch {
	case err == nil:
		return c.Answer(op, answer, fd)
	case errors.As(err, &host):
		return c.AnswerErrno(op, host)
	default:
		return fmt.Errorf("%s: %w", op, err)
	}
}

// operation decodes a question and works on it. Errors are host error numbers;
// any other ends the channel.
type operation func(*tree, *wire.Coder) (answer wire.Message, donate int, err error)

// operations lists what answers each operation.
var operations = [...]operation{
	proto.OpHello:       simple((*tree).hello),
	proto.OpChannel:     donating((*tree).channel),
	proto.OpWalk:        donating((*tree).walk),
	proto.OpStat:        simple((*tree).stat),
	proto.OpSetAttr:     changing((*tree).setAttr),
	proto.OpOpen:        donating((*tree).openNode),
	proto.OpCreate:      donating((*tree).create),
	proto.OpTempFile:    donating((*tree).tempFile),
	proto.OpMkdir:       changing((*tree).mkdir),
	proto.OpMknod:       changing((*tree).mknod),
	proto.OpSymlink:     changing((*tree).symlink),
	proto.OpLink:        changing((*tree).link),
	proto.OpUnlink:      changing((*tree).unlink),
	proto.OpRmdir:       changing((*tree).rmdir),
	proto.OpRename:      changing((*tree).rename),
	proto.OpReadlink:    simple((*tree).readlink),
	proto.OpReadDir:     simple((*tree).readDir),
	proto.OpCloseDir:    simple((*tree).closeDir),
	proto.OpGetXattr:    simple((*tree).getXattr),
	proto.OpSetXattr:    changing((*tree).setXattr),
	proto.OpListXattr:   simple((*tree).listXattr),
	proto.OpRemoveXattr: changing((*tree).removeXattr),
	proto.OpStatFS:      simple((*tree).statFS),
	proto.OpSync:        simple((*tree).sync),
	proto.OpConnect:     donating((*tree).connect),
}

// message is a pointer to a question's struct.
type message[Q any] interface {
	*Q
	wire.Message
}

// donating adapts an operation that may donate a descriptor.
func donating[Q any, P message[Q], A wire.Message](f func(*tree, P) (A, int, error)) operation {
	return func(t *tree, body *wire.Coder) (wire.Message, int, error) {
		q := P(new(Q))
		q.Code(body)
		if err := body.End(); err != nil {
			return nil, -1, fmt.Errorf("%w: %w", proto.ErrMalformed, err)
		}
		return f(t, q)
	}
}

// simple adapts an operation that donates nothing.
func simple[Q any, P message[Q], A wire.Message](f func(*tree, P) (A, error)) operation {
	return donating(func(t *tree, q P) (A, int, error) {
		a, err := f(t, q)
		return a, -1, err
	})
}

// changing adapts an operation that a read-only tree refuses.
func changing[Q any, P message[Q], A wire.Message](f func(*tree, P) (A, error)) operation {
	return simple(func(t *tree, q P) (A, error) {
		if t.readOnly {
			var none A
			return none, unix.EROFS
		}
		return f(t, q)
	})
}

func (t *tree) hello(q *proto.Hello) (*proto.Welcome, error) {
	if q.Version != proto.Version {
		return nil, fmt.Errorf("%w: the client speaks version %d, not %d", proto.ErrMalformed, q.Version, proto.Version)
	}
	a := &proto.Welcome{ReadOnly: t.readOnly, MaxNodes: uint32(min(t.maxNodes, 1<<31))}
	var err error
	a.Root, err = t.attr(proto.RootNode)
	return a, err
}

// channel opens another channel and serves it. One end is donated.
func (t *tree) channel(*proto.Empty) (*proto.Empty, int, error) {
	if t.channels.Add(1) > proto.MaxChannels {
		t.channels.Add(-1)
		return nil, -1, unix.ENFILE
	}
	ours, theirs, err := proto.Pair()
	if err != nil {
		t.channels.Add(-1)
		return nil, -1, err
	}
	c := t.adopt(ours)
	if c == nil {
		unix.Close(theirs)
		return nil, -1, unix.EIO
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil { // asked for over another channel while the tree ends
		t.drop(c)
		unix.Close(theirs)
		return nil, -1, unix.EIO
	}
	t.open[c] = struct{}{}
	t.serving.Go(func() {
		t.serve(c)
		t.channels.Add(-1)
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.open, c)
	})
	return &proto.Empty{}, theirs, nil
}

func (t *tree) forget(body *wire.Coder) error {
	var q proto.Forget
	q.Code(body)
	if err := body.End(); err != nil {
		return fmt.Errorf("%w: %w", proto.ErrMalformed, err)
	}
	for _, f := range q.Nodes {
		t.nodes.forget(f.Node, f.Refs)
	}
	return nil
}
