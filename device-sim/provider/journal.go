package provider

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// A Journal is a file to which a provider appends every change of a request or a
// grant before anybody is told of it, so that a provider which is made from it
// goes on where a killed one was. It survives the death of the process, and not
// that of the machine: nothing is forced to the disk.
//
// It holds tokens and hints in the clear, like the memory of a provider; it is
// made with mode 0600. What it does not hold: how fast a client polls, and which
// client assertions were seen. It only grows; a new file is a new provider.
type Journal struct {
	path string

	mu   sync.Mutex // guards file
	file *os.File
}

// record is one line of a journal.
type record struct {
	Event
	// Request is what a phone shows, when the request is new.
	Request *Request `json:"request,omitempty"`
	// Session or Grant is what is true from now on.
	Session *goidc.AuthnSession `json:"session,omitempty"`
	Grant   *goidc.Grant        `json:"grant,omitempty"`
}

// recordOf is what is written of a session: all but what its request says.
func recordOf(as *goidc.AuthnSession, kind EventKind, r *Request) record {
	as = copySession(as)
	delete(as.Store, storeRequest)
	return record{
		Event:   Event{Kind: kind, RequestID: as.ID, ClientID: as.ClientID, Subject: as.Subject},
		Request: r, Session: as,
	}
}

// OpenJournal opens a journal, or makes an empty one. What a killed process has
// left of a line is cut off.
func OpenJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{path: path, file: file}
	end, err := j.read(0, func([]byte) error { return nil })
	if err == nil {
		err = file.Truncate(end)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal %q: %w", path, err), file.Close())
	}
	return j, nil
}

// Close closes the file. A provider that uses it fails from then on.
func (j *Journal) Close() error { return j.file.Close() }

// write appends a record.
func (j *Journal) write(r record) error {
	r.Time = time.Now()
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// read calls each for every whole line from offset on, and returns where the
// last of them ends.
func (j *Journal) read(offset int64, each func(line []byte) error) (int64, error) {
	lines := bufio.NewReaderSize(io.NewSectionReader(j.file, offset, 1<<62), 64<<10)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return offset, nil
		}
		if err == nil {
			err = each(bytes.TrimSpace(line))
		}
		if err != nil {
			return offset, fmt.Errorf("line %d: %w", n, err)
		}
		offset += int64(len(line))
	}
}

// ReadEvents reads what has happened at the provider whose journal is at path,
// which may be running, from offset on, and returns the offset to go on from. A
// file that does not exist yet holds nothing. Of the kinds of events there are
// Rang, Approved, Denied, Redeemed and Replayed, each once and in order, however
// often the provider was killed.
func ReadEvents(path string, offset int64, each func(Event)) (int64, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return offset, nil
	}
	if err != nil {
		return offset, fmt.Errorf("journal: %w", err)
	}
	defer file.Close()
	offset, err = (&Journal{path: path, file: file}).read(offset, func(line []byte) error {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Kind != "" {
			each(e)
		}
		return nil
	})
	if err != nil {
		return offset, fmt.Errorf("journal %q: %w", path, err)
	}
	return offset, nil
}
