package socket

import (
	"encoding/binary"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
)

// ParseControl calls each for every control message in b, the control data of
// sendmsg(2), and stops at its first error. Less than a header at the end is
// ignored, as Linux does.
//
// Errors: EINVAL where a length does not suit; those of each.
func ParseControl(b []byte, each func(level, typ int32, data []byte) error) error {
	for len(b) >= linux.CmsghdrSize {
		n := binary.LittleEndian.Uint64(b)
		level := int32(binary.LittleEndian.Uint32(b[8:]))
		typ := int32(binary.LittleEndian.Uint32(b[12:]))
		if n < linux.CmsghdrSize || n > uint64(len(b)) {
			return errno.EINVAL
		}
		if err := each(level, typ, b[linux.CmsghdrSize:n]); err != nil {
			return err
		}
		b = b[min(linux.CmsgAlign(int(n)), len(b)):]
	}
	return nil
}
