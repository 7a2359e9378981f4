package process

import (
	"io"
	"strings"
	"sync"
)

// A Tail passes on what a program says and remembers the end of it, for the
// error that it ends with.
type Tail struct {
	w io.Writer

	mu  sync.Mutex // guards end
	end []byte
}

// NewTail returns a Tail that passes on to w.
func NewTail(w io.Writer) *Tail { return &Tail{w: w} }

func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.end = append(t.end, b...)
	if over := len(t.end) - 1024; over > 0 {
		t.end = t.end[over:]
	}
	t.mu.Unlock()
	return t.w.Write(b)
}

// String returns the last lines.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.end))
}
