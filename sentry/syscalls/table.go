package syscalls

import (
	"fmt"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
)

// families is every call there is, a line a family.
func families() [][]Call {
	return [][]Call{
		processCalls,
		credentialCalls,
		signalCalls,
		schedCalls,
		miscCalls,
		pidfdCalls,
		namespaceCalls,
		seccompCalls,
		absentCalls,
		pipeCalls,
		mqueueCalls,
		inotifyCalls,
		spliceCalls,
		socketCalls,
		futexCalls,
		pollCalls,
		clockCalls,
		memoryCalls,
		numaCalls,
		sysvCalls,
		timerCalls,
		eventFileCalls,
		epollCalls,
		openCalls,
		readWriteCalls,
		fcntlCalls,
		statCalls,
		nameCalls,
		fileAttrCalls,
		xattrCalls,
		mountCalls,
	}
}

// Table is the dispatch table of one architecture. It implements
// kernel.SyscallTable.
type Table struct {
	arch  sysno.Arch
	calls [sysno.MaxNumber + 1]*Call

	steady       []uint64 // numbers
	yield, futex uint64
}

// NewTable builds the table. It panics when a call is declared twice.
func NewTable(arch sysno.Arch) *Table {
	tab := &Table{arch: arch}
	for _, family := range families() {
		for i := range family {
			c := &family[i]
			nr, ok := c.ID.Number(arch)
			if !ok {
				continue
			}
			if tab.calls[nr] != nil {
				panic(fmt.Sprintf("syscalls: %v is declared twice", c.ID))
			}
			tab.calls[nr] = c
			if c.steady {
				tab.steady = append(tab.steady, uint64(nr))
			}
			switch c.ID {
			case sysno.SchedYield:
				tab.yield = uint64(nr)
			case sysno.Futex:
				tab.futex = uint64(nr)
			}
		}
	}
	return tab
}

// Steady, Yield and Futex implement kernel.SyscallTable.
func (tab *Table) Steady() []uint64 { return tab.steady }
func (tab *Table) Yield() uint64    { return tab.yield }
func (tab *Table) Futex() uint64    { return tab.futex }

// Handle runs one call. A number without a handler is ENOSYS.
func (tab *Table) Handle(t *kernel.Task, nr uint64, args *[6]uint64) (uint64, error) {
	if nr > sysno.MaxNumber || tab.calls[nr] == nil {
		t.Kernel().CountUnimplemented(nr)
		return 0, errno.ENOSYS
	}
	c := tab.calls[nr]
	if !c.Support.Implemented() {
		t.Kernel().CountUnimplemented(nr)
	}
	return c.handle(t, args)
}

// TraceEnter and TraceExit are the two halves of a trace line.
func (tab *Table) TraceEnter(t *kernel.Task, nr uint64, args *[6]uint64) string {
	if nr > sysno.MaxNumber || tab.calls[nr] == nil {
		return fmt.Sprintf("%s(0x%x, 0x%x, 0x%x, ...)", tab.name(nr), args[0], args[1], args[2])
	}
	return tab.calls[nr].enter(t, args)
}

func (tab *Table) name(nr uint64) string {
	if id := sysno.Lookup(tab.arch, nr); id.Valid() {
		return id.String()
	}
	return fmt.Sprintf("syscall_%d", nr)
}

// TraceExit shows a result.
func (tab *Table) TraceExit(v uint64, err error) string {
	if err != nil {
		e := errno.FromHost(err)
		return fmt.Sprintf("= -1 %s (%s)", e.String(), e.Error())
	}
	if v > 0xffff {
		return fmt.Sprintf("= 0x%x", v)
	}
	return fmt.Sprintf("= %d", v)
}

// Calls lists every declared call, for the support page and the tests.
func Calls() []Call {
	var all []Call
	for _, f := range families() {
		all = append(all, f...)
	}
	return all
}
