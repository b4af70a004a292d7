package socket

import (
	"encoding/binary"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

func message(n uint64, level, typ uint32, data string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, n)
	b = binary.LittleEndian.AppendUint32(b, level)
	b = binary.LittleEndian.AppendUint32(b, typ)
	b = append(b, data...)
	return append(b, make([]byte, linux.CmsgAlign(len(b))-len(b))...)
}

func TestParseControl(t *testing.T) {
	two := append(message(20, 1, 1, "abcd"), message(17, 7, 9, "x")...)
	var got []string
	err := ParseControl(append(two, "rest"...), func(level, typ int32, data []byte) error {
		got = append(got, string(data))
		return nil
	})
	if err != nil || len(got) != 2 || got[0] != "abcd" || got[1] != "x" {
		t.Errorf("%q, %v", got, err)
	}
	for _, n := range []uint64{0, 15, 25, 1 << 63, ^uint64(0)} {
		if err := ParseControl(message(n, 1, 1, "abcdefgh"), nil); err != errno.EINVAL {
			t.Errorf("length %d: %v", n, err)
		}
	}
}

// FuzzParseControl: whatever a guest sends, each message lies in what it sent
// and the walk ends.
func FuzzParseControl(f *testing.F) {
	f.Add(message(20, 1, 1, "abcd"))
	f.Add(message(16, 1, 2, ""))
	f.Add(message(^uint64(0), 1, 1, "abcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		err := ParseControl(b, func(_, _ int32, data []byte) error {
			total += linux.CmsghdrSize + len(data)
			return nil
		})
		if total > len(b) {
			t.Errorf("%d bytes of messages in %d", total, len(b))
		}
		if err != nil && err != errno.EINVAL {
			t.Error(err)
		}
	})
}
