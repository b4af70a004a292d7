package loader

import (
	"bytes"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
)

// shebang is a #! line: the interpreter and at most one argument, which may
// contain blanks.
type shebang struct {
	interpreter, argument string
}

// scriptBufLen is how much of a file Linux looks at (BINPRM_BUF_SIZE).
const scriptBufLen = 256

// scriptLine returns what is behind #!, up to scriptBufLen bytes of the file.
func scriptLine(head []byte) ([]byte, bool) {
	if !bytes.HasPrefix(head, []byte("#!")) {
		return nil, false
	}
	return head[2:min(len(head), scriptBufLen)], true
}

// parseScript follows fs/binfmt_script.c: a line that does not end within the
// buffer is accepted only if at least the interpreter's name does.
//
// Errors: ENOEXEC.
func parseScript(line []byte) (shebang, error) {
	blank := func(c rune) bool { return c == ' ' || c == '\t' }
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	} else if len(line) == scriptBufLen-2 {
		name := bytes.TrimLeftFunc(line, blank)
		if bytes.IndexAny(name, " \t\x00") < 0 {
			return shebang{}, errno.ENOEXEC
		}
	}
	// A file that ends, or holds a NUL, ends the line, too.
	if end := bytes.IndexByte(line, 0); end >= 0 {
		line = line[:end]
	}
	line = bytes.TrimFunc(line, blank)
	if len(line) == 0 {
		return shebang{}, errno.ENOEXEC
	}
	name, rest := line, []byte(nil)
	if i := bytes.IndexFunc(line, blank); i >= 0 {
		name, rest = line[:i], bytes.TrimLeftFunc(line[i:], blank)
	}
	return shebang{string(name), string(rest)}, nil
}
