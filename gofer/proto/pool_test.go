package proto

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// TestServerEndsWhileManyAsk: nobody may wait for a channel that will not come.
func TestServerEndsWhileManyAsk(t *testing.T) {
	var mu sync.Mutex
	left := 300
	c, _ := liar(t, func(c *Conn, op Op) error {
		mu.Lock()
		defer mu.Unlock()
		if left--; left < 0 {
			return unix.EIO // closes the channel
		}
		return c.Answer(op, &Attr{Mode: TypeRegular}, -1)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		var all sync.WaitGroup
		for range 4 * MaxChannels {
			all.Go(func() {
				for {
					_, err := c.Stat(RootNode)
					if err == nil {
						continue
					}
					if errno.Of(err) != errno.EIO {
						t.Error(err)
					}
					return
				}
			})
		}
		all.Wait()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("some wait forever")
	}
}
