package proto

import (
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/internal/wire"
)

// answers has one answer of each kind.
func answers() map[Op]wire.Message {
	file := Attr{Mode: TypeRegular | 0o644, Ino: 7, Nlink: 1}
	return map[Op]wire.Message{
		OpHello:    &Welcome{Root: file, MaxNodes: 9},
		OpChannel:  &Empty{},
		OpWalk:     &Walked{Steps: []Step{{2, file}, {3, file}}, Target: "t", Errno: 2},
		OpStat:     &file,
		OpCreate:   &Made{Step: Step{2, file}, Dir: file},
		OpLink:     &Linked{file, file},
		OpReadlink: &Target{"t"},
		OpReadDir: &Entries{Entries: []DirEntry{
			{Name: "known", Known: true, Attr: file}, {Name: "type", Attr: Attr{Ino: 3, Mode: TypeDir}},
		}, More: 3},
		OpGetXattr: &Value{[]byte("v")},
		OpStatFS:   &StatFS{Type: 1},
	}
}

func encodeAnswer(t testing.TB, op Op, m wire.Message) []byte {
	w := wire.Writer(nil)
	h := head{op: op}
	h.Code(&w)
	m.Code(&w)
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return w.Written()
}

// FuzzAnswer gives the client bytes of a hostile server. What is accepted must
// be safe: names that are names, types that exist.
func FuzzAnswer(f *testing.F) {
	for op, m := range answers() {
		f.Add(uint32(op), encodeAnswer(f, op, m))
	}
	f.Fuzz(func(t *testing.T, op uint32, b []byte) {
		m := answers()[Op(op)]
		if m == nil {
			return
		}
		errno, err := decodeAnswer(Op(op), b, m)
		if err != nil || errno != 0 {
			return
		}
		if e, ok := m.(*Entries); ok {
			for _, entry := range e.Entries {
				if !CheckName(entry.Name) || !validType(entry.Attr.Mode) {
					t.Errorf("accepted %+v", entry)
				}
			}
		}
		if again := encodeAnswer(t, Op(op), m); string(again) != string(b) {
			t.Errorf("read %x, wrote %x", b, again)
		}
	})
}
