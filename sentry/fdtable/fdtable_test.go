package fdtable

import (
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

func TestReserveTakesTheLowestFreeNumbers(t *testing.T) {
	tab := New()
	a, err := tab.Reserve(2, 0, 10)
	if err != nil || a.FD(0) != 0 || a.FD(1) != 1 {
		t.Fatalf("Reserve(2) = %v, %v, %v", a.FD(0), a.FD(1), err)
	}
	b, err := tab.Reserve(1, 5, 10)
	if err != nil || b.FD(0) != 5 {
		t.Fatalf("Reserve from 5 = %v, %v", b.FD(0), err)
	}
	a.Cancel()
	c, err := tab.Reserve(3, 0, 10)
	if err != nil || c.FD(0) != 0 || c.FD(1) != 1 || c.FD(2) != 2 {
		t.Fatalf("Reserve(3) after Cancel = %v %v %v, %v", c.FD(0), c.FD(1), c.FD(2), err)
	}
}

func TestReserveStopsAtTheLimit(t *testing.T) {
	tab := New()
	if _, err := tab.Reserve(3, 0, 2); err != errno.EMFILE {
		t.Fatalf("Reserve beyond the limit: %v, want EMFILE", err)
	}
	r, err := tab.Reserve(2, 0, 2)
	if err != nil || r.FD(1) != 1 {
		t.Fatalf("the failed Reserve left numbers behind: %v", err)
	}
}

func TestGetOfAReservedNumberIsEBADF(t *testing.T) {
	tab := New()
	if _, err := tab.Reserve(1, 0, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := tab.Get(0); err != errno.EBADF {
		t.Fatalf("Get: %v, want EBADF", err)
	}
}
