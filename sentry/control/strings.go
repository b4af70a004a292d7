package control

import (
	"encoding/json"
	"errors"
	"strings"
)

// Strings is a list of C strings, as argv and environ are: any bytes but NUL.
// JSON strings hold text only, so it travels as bytes, each string with its NUL.
type Strings []string

// MarshalJSON implements json.Marshaler.
func (s Strings) MarshalJSON() ([]byte, error) {
	var b []byte
	for _, v := range s {
		if strings.IndexByte(v, 0) >= 0 {
			return nil, errors.New("argument or variable with a NUL byte")
		}
		b = append(append(b, v...), 0)
	}
	return json.Marshal(b)
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Strings) UnmarshalJSON(raw []byte) error {
	var b []byte
	if err := json.Unmarshal(raw, &b); err != nil {
		return err
	}
	*s = nil
	if len(b) == 0 {
		return nil
	}
	if b[len(b)-1] != 0 {
		return errors.New("list of strings without a NUL at its end")
	}
	*s = strings.Split(string(b[:len(b)-1]), "\x00")
	return nil
}
