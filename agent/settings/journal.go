package settings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/carillon-iot/carillon/agent/vehicle"
	"github.com/carillon-iot/carillon/schemas"
)

// journalVersion is the layout of a seat's record.
const journalVersion = 1

// A journal says what was where before anybody's settings came to one seat. It
// is written before the vehicle is touched.
type journal map[string]*entry

type entry struct {
	// Before is the value to come back to; zero where the vehicle did not say.
	Before vehicle.Value `json:"before"`
	// Want is a value that is still to be set: held back while the vehicle
	// moves, or not taken by it yet. Nil where nothing is.
	Want *vehicle.Value `json:"want,omitempty"`
}

// waits reports whether anything is still to be set.
func (j journal) waits() bool {
	for _, e := range j {
		if e.Want != nil {
			return true
		}
	}
	return false
}

type journalFile struct {
	Version int     `json:"version"`
	Paths   journal `json:"paths"`
}

func (j journal) encode() ([]byte, error) { return json.Marshal(journalFile{journalVersion, j}) }

func decodeJournal(data []byte) (journal, error) {
	var f journalFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, err
	}
	if f.Version != journalVersion {
		return nil, fmt.Errorf("version %d, want %d", f.Version, journalVersion)
	}
	for path, e := range f.Paths {
		if e == nil {
			return nil, fmt.Errorf("path %q is empty", path)
		}
	}
	if f.Paths == nil {
		f.Paths = journal{}
	}
	return f.Paths, nil
}

const recordPrefix = "seat-"

func recordName(s schemas.Seat) string { return recordPrefix + strconv.Itoa(int(s)) }

// parseRecordName is the inverse of recordName.
func parseRecordName(name string) (schemas.Seat, bool) {
	n, ok := strings.CutPrefix(name, recordPrefix)
	if !ok {
		return 0, false
	}
	seat, err := strconv.ParseUint(n, 10, 8)
	return schemas.Seat(seat), err == nil && recordName(schemas.Seat(seat)) == name
}
