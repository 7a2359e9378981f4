package outbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/carillon-iot/carillon/schemas"
)

// entryVersion is the layout of an entry's record. A record of another version
// is an error.
const entryVersion = 1

// maxLifetime bounds a lifetime, in seconds: no request rings for a week.
const maxLifetime = 7 * 24 * 3600

// entryFile is the JSON form of an Entry.
type entryFile struct {
	Version   int          `json:"version"`
	ID        HexID        `json:"id"`
	SignIn    *signInFile  `json:"sign_in,omitempty"`
	Renew     *renewFile   `json:"renew,omitempty"`
	SignOut   *signOutFile `json:"sign_out,omitempty"`
	Created   int64        `json:"created"`
	Sure      bool         `json:"sure,omitempty"`
	Lifetime  int64        `json:"lifetime,omitempty"` // seconds
	Ringing   bool         `json:"ringing,omitempty"`
	Withdrawn bool         `json:"withdrawn,omitempty"`
}

type signInFile struct {
	Scope   string             `json:"scope"`
	Person  *HexID             `json:"person,omitempty"`
	Private *privateFile       `json:"private,omitempty"`
	Expiry  uint16             `json:"expiry,omitempty"`
	ACR     string             `json:"acr,omitempty"`
	Device  schemas.DeviceKind `json:"device"`
	Seat    schemas.Seat       `json:"seat,omitempty"`
	Moving  bool               `json:"moving,omitempty"`
	Key     []byte             `json:"key"`
}

type privateFile struct {
	LoginHint      string `json:"login_hint,omitempty"`
	LoginHintToken string `json:"login_hint_token,omitempty"`
	IDTokenHint    string `json:"id_token_hint,omitempty"`
	Purpose        string `json:"purpose,omitempty"`
}

type renewFile struct {
	Session HexID  `json:"session"`
	Person  int    `json:"person"`
	Key     []byte `json:"key"`
}

type signOutFile struct {
	Sessions []HexID `json:"sessions,omitempty"`
	Person   *HexID  `json:"person,omitempty"`
	All      bool    `json:"all,omitempty"`
}

// Encode returns the entry as a record.
func (e *Entry) Encode() ([]byte, error) {
	f := entryFile{
		Version: entryVersion, ID: HexID(e.ID),
		Created: e.Created.Unix(), Sure: e.Sure, Lifetime: int64(e.Lifetime / time.Second),
		Ringing: e.Ringing, Withdrawn: e.Withdrawn,
	}
	if s := e.SignIn; s != nil {
		f.SignIn = &signInFile{
			Scope: s.Scope, Person: (*HexID)(s.Person), Expiry: s.Expiry, ACR: s.ACR,
			Device: s.Device, Seat: s.Seat, Moving: s.Moving, Key: s.Key.Bytes(),
		}
		if e.NeedsSealing() {
			p := privateFile(s.Private)
			f.SignIn.Private = &p
		}
	}
	if r := e.Renew; r != nil {
		f.Renew = &renewFile{Session: HexID(r.Session), Person: r.Person, Key: r.Key.Bytes()}
	}
	if s := e.SignOut; s != nil {
		f.SignOut = &signOutFile{Person: (*HexID)(s.Person), All: s.All}
		for _, id := range s.Sessions {
			f.SignOut.Sessions = append(f.SignOut.Sessions, HexID(id))
		}
	}
	return json.Marshal(f)
}

// Decode is the inverse of Encode. What it returns passes Check.
func Decode(record []byte) (*Entry, error) {
	var f entryFile
	dec := json.NewDecoder(bytes.NewReader(record))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	if f.Version != entryVersion {
		return nil, fmt.Errorf("entry: version %d, want %d", f.Version, entryVersion)
	}
	if f.Lifetime < 0 || f.Lifetime > maxLifetime {
		return nil, fmt.Errorf("entry: lifetime of %d s", f.Lifetime)
	}
	e := &Entry{
		ID: schemas.ID(f.ID), Created: time.Unix(f.Created, 0), Sure: f.Sure,
		Lifetime: time.Duration(f.Lifetime) * time.Second, Ringing: f.Ringing, Withdrawn: f.Withdrawn,
	}
	if f.SignIn != nil {
		s, err := f.SignIn.decode()
		if err != nil {
			return nil, fmt.Errorf("entry: %w", err)
		}
		e.SignIn = s
	}
	if f.Renew != nil {
		key, err := schemas.ParseSealKey(f.Renew.Key)
		if err != nil {
			return nil, fmt.Errorf("entry: %w", err)
		}
		e.Renew = &Renew{Session: schemas.ID(f.Renew.Session), Person: f.Renew.Person, Key: key}
	}
	if f.SignOut != nil {
		e.SignOut = &SignOut{Person: (*schemas.Handle)(f.SignOut.Person), All: f.SignOut.All}
		for _, id := range f.SignOut.Sessions {
			e.SignOut.Sessions = append(e.SignOut.Sessions, schemas.ID(id))
		}
	}
	if err := e.Check(); err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	return e, nil
}

func (f *signInFile) decode() (*SignIn, error) {
	key, err := schemas.ParseSealKey(f.Key)
	if err != nil {
		return nil, err
	}
	s := &SignIn{
		Scope: f.Scope, Person: (*schemas.Handle)(f.Person), Expiry: f.Expiry, ACR: f.ACR,
		Device: f.Device, Seat: f.Seat, Moving: f.Moving, Key: key,
	}
	if f.Private != nil {
		s.Private = schemas.Private(*f.Private)
	}
	return s, nil
}

// A HexID is an id or a handle that JSON holds as 16 hexadecimal digits.
type HexID [8]byte

// MarshalText writes the digits.
func (h HexID) MarshalText() ([]byte, error) { return []byte(schemas.ID(h).String()), nil }

// UnmarshalText reads the digits.
func (h *HexID) UnmarshalText(text []byte) error {
	id, err := schemas.ParseID(string(text))
	*h = HexID(id)
	return err
}
