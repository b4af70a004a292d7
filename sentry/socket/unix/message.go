package unix

import (
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/waiter"
)

// message is what one send put into a queue.
type message struct {
	next   *message
	data   []byte             // what is left of it
	files  []*vfs.Description // guarded by the receiver's mu
	sender socket.Identity
	from   socket.Addr
	owner  *Socket // who is charged
	charge int64
}

// overhead is charged for a message beside its bytes: what a small one costs on
// Linux, so that as many fit.
const overhead = 767

// uncharge gives the sender its room back.
func (m *message) uncharge() {
	o := m.owner
	now := o.sent.Add(-m.charge)
	limit := o.opts.SendBuffer()
	if (now+m.charge)*4 > limit && now*4 <= limit {
		o.queue.Notify(waiter.Writable)
	}
}

// dropFiles releases the descriptors of a message that is in no queue any more.
func (m *message) dropFiles() {
	landed(m.files)
	socket.DropFiles(m.files)
	m.files = nil
}

// messageList is a queue of messages.
type messageList struct {
	head, tail *message
	n          int
	bytes      int64
}

func (l *messageList) push(m *message) {
	if l.tail != nil {
		l.tail.next = m
	} else {
		l.head = m
	}
	l.tail = m
	l.n++
	l.bytes += int64(len(m.data))
}

// pop removes the first message.
func (l *messageList) pop() *message {
	m := l.head
	l.head = m.next
	if l.head == nil {
		l.tail = nil
	}
	m.next = nil
	l.n--
	l.bytes -= int64(len(m.data))
	return m
}

// takeAll empties the list and returns the first of its messages.
func (l *messageList) takeAll() *message {
	m := l.head
	*l = messageList{}
	return m
}
