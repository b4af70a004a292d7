package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxCauseBytes bounds what a dying child may say.
const maxCauseBytes = 16 << 10

// ErrNoCause is returned by ReadCause when the child ended without a word.
var ErrNoCause = errors.New("ended without giving a cause")

// outcome is the one document on a cause pipe.
type outcome struct {
	Ready bool
	Kind  Kind   `json:",omitempty"`
	Text  string `json:",omitempty"`
}

// ReportReady tells the starter, over a cause pipe, that the start succeeded.
// The caller closes w afterwards.
func ReportReady(w io.Writer) error {
	return json.NewEncoder(w).Encode(outcome{Ready: true})
}

// ReportFailure tells the starter why the start failed. The text is what a
// person reads, in one line; an *Error among the causes gives the kind.
func ReportFailure(w io.Writer, err error) error {
	o := outcome{Kind: KindInternal, Text: oneLine(err.Error())}
	if e := new(Error); errors.As(err, &e) {
		o.Kind = e.Kind
	}
	return json.NewEncoder(w).Encode(o)
}

// ReadCause waits for the outcome of a start: nil when it succeeded, an *Error
// with the child's words when it failed, ErrNoCause when the child went away.
func ReadCause(r io.Reader) error {
	var o outcome
	err := json.NewDecoder(io.LimitReader(r, maxCauseBytes)).Decode(&o)
	if errors.Is(err, io.EOF) {
		return ErrNoCause
	}
	if err != nil {
		return fmt.Errorf("read cause: %w", err)
	}
	if !o.Ready {
		return &Error{Kind: o.Kind, Text: oneLine(o.Text)}
	}
	return nil
}

// oneLine keeps a message from spoiling a log that is read line by line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
}
