package cmd

import (
	"bytes"
	"io"
)

// An unquoted writer is for the standard logger, to which net/http writes by
// itself. It quotes what a peer has sent: if a provider sends an answer twice,
// the tokens in it.
type unquoted struct{ to io.Writer }

// Write writes a line as far as its first quotation mark.
func (u unquoted) Write(line []byte) (int, error) {
	out := line
	if i := bytes.IndexByte(line, '"'); i >= 0 {
		out = append(bytes.Clone(line[:i]), "(left out)\n"...)
	}
	if _, err := u.to.Write(out); err != nil {
		return 0, err
	}
	return len(line), nil
}
