package server

import (
	"bytes"
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/gofer/proto"
)

// A directory stays open between two answers: a position in it means nothing
// to another descriptor on file systems that number entries as they go
// (overlayfs), and entries removed meanwhile would make others be skipped.

// maxOpenDirs bounds the directories that one tree's client is in the middle
// of reading.
const maxOpenDirs = 128

// answerBudget is how many bytes of entries go into one answer; one entry more
// always fits into a message.
const answerBudget = proto.MaxMessage - 8<<10

// dirTable holds the directories in the middle of being read.
type dirTable struct {
	process *process

	mu   sync.Mutex
	open map[proto.DirID]*openDir
	next proto.DirID
}

// openDir is a directory being read. It belongs to the question at work on it.
type openDir struct {
	fd     int
	buf    *dirBuffer // of getdents64
	unread []byte     // records in buf that no answer had room for
}

// dirBuffer is reused: most directories are read in one answer, and clearing 32
// KiB costs more than reading a small one.
type dirBuffer [32 << 10]byte

var dirBuffers = sync.Pool{New: func() any { return new(dirBuffer) }}

// readDir answers with the next entries.
func (t *tree) readDir(q *proto.ReadDir) (*proto.Entries, error) {
	d, err := t.takeDir(q)
	if err != nil {
		return nil, err
	}
	a := &proto.Entries{}
	ended, err := d.read(a)
	if err != nil || ended {
		d.close()
		return a, err
	}
	a.More, err = t.dirs.put(d)
	return a, err
}

// takeDir takes a directory out of the table, or opens one.
func (t *tree) takeDir(q *proto.ReadDir) (*openDir, error) {
	if q.Dir != 0 {
		d := t.dirs.take(q.Dir)
		if d == nil {
			return nil, unix.EBADF
		}
		return d, nil
	}
	n, err := t.nodes.pinDir(q.Node)
	if err != nil {
		return nil, err
	}
	defer t.nodes.unpin(n)
	fd, err := openat(n.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return &openDir{fd: fd, buf: dirBuffers.Get().(*dirBuffer)}, nil
}

func (t *tree) closeDir(q *proto.CloseDir) (*proto.Empty, error) {
	d := t.dirs.take(q.Dir)
	if d == nil {
		return nil, unix.EBADF
	}
	d.close()
	return &proto.Empty{}, nil
}

func (t *dirTable) take(id proto.DirID) *openDir {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.open[id]
	delete(t.open, id)
	return d
}

// put stores a directory until the next question about it. It takes d over.
func (t *dirTable) put(d *openDir) (proto.DirID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) >= maxOpenDirs {
		d.close()
		return 0, unix.ENFILE
	}
	if t.open == nil {
		t.open = make(map[proto.DirID]*openDir)
	}
	t.next++
	t.open[t.next] = d
	return t.next, nil
}

func (t *dirTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range t.open {
		d.close()
	}
	clear(t.open)
}

func (d *openDir) close() {
	unix.Close(d.fd)
	dirBuffers.Put(d.buf)
	d.buf, d.unread = nil, nil
}

// read adds entries to a until it is full or the directory ends.
func (d *openDir) read(a *proto.Entries) (ended bool, err error) {
	size := 0
	for {
		if len(d.unread) == 0 {
			var n int
			err := retry(func() (err error) { n, err = unix.Getdents(d.fd, d.buf[:]); return err })
			if err == unix.ENOENT {
				return true, nil // the directory itself was removed
			}
			if err != nil || n == 0 {
				return true, err
			}
			d.unread = d.buf[:n]
		}
		if len(a.Entries) == proto.MaxEntries || size > answerBudget {
			return false, nil
		}
		entry, ok := d.next()
		if !ok {
			continue
		}
		a.Entries = append(a.Entries, entry)
		size += 128 + len(entry.Name)
	}
}

// next takes a record off unread. It is false for what is left out: "." and
// "..", names removed meanwhile, and names that no protocol could carry.
func (d *openDir) next() (proto.DirEntry, bool) {
	record := d.unread
	length := int(binary.NativeEndian.Uint16(record[16:18]))
	d.unread = record[length:]
	name := record[19:length]
	if end := bytes.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	entry := proto.DirEntry{Name: string(name)}
	if !proto.CheckName(entry.Name) {
		return entry, false
	}
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(d.fd, entry.Name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, statMask, &st)
	})
	if err == nil {
		entry.Known = true
		entry.Attr = attrOf(&st)
		return entry, true
	}
	if err == unix.ENOENT {
		return entry, false
	}
	// Listed, but not to be looked at: an ordinary user and a directory that
	// is readable only.
	entry.Attr.Ino = binary.NativeEndian.Uint64(record[0:8])
	entry.Attr.Mode = uint32(record[18]) << 12 // DT_* are the type bits of a mode
	if record[18] == 0 {
		entry.Attr.Mode = proto.TypeRegular
	}
	return entry, true
}
