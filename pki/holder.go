package pki

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/smallstep/nosql"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// holder is what is known about one identity.
type holder struct {
	Blocked *time.Time `json:"blocked,omitempty"` // since when; nil if it is not
	Note    string     `json:"note,omitempty"`    // why it is blocked
	Keys    []heldKey  `json:"keys,omitempty"`    // every key that it ever had a certificate for
	Issued  []issued   `json:"issued,omitempty"`  // oldest first; the long expired are dropped
}

// heldKey is one key of a holder. It is never forgotten: an expired certificate
// may come back to be renewed after a year.
type heldKey struct {
	ID      string `json:"id"` // keyID
	Revoked bool   `json:"revoked,omitempty"`
}

// issued is one certificate of a holder.
type issued struct {
	Serial   string    `json:"serial"` // decimal, as in every table of step-ca
	NotAfter time.Time `json:"not_after"`
	Key      string    `json:"key"` // keyID
}

// keepExpired is how long a holder's record remembers an expired certificate.
const keepExpired = 7 * days

// errBlocked means that the holder or its key has been revoked.
var errBlocked = errors.New("revoked")

// errTaken means that the id is somebody else's.
var errTaken = errors.New("taken")

// mayHave reports whether the holder of id may be given a certificate for a key.
func (s *store) mayHave(id mtls.Identity, h *holder, key string) error {
	if err := s.distinct(id, h); err != nil {
		return err
	}
	return h.mayHave(key)
}

// distinct refuses the first certificate of a device with the id of a bridge,
// and of a bridge with that of a device: a broker that reads nothing but the
// common name, as mosquitto does, would take one for the other.
func (s *store) distinct(id mtls.Identity, h *holder) error {
	other := map[mtls.Role]mtls.Role{mtls.RoleDevice: mtls.RoleBridge, mtls.RoleBridge: mtls.RoleDevice}[id.Role]
	if other == "" || len(h.Keys) > 0 {
		return nil
	}
	namesake := mtls.Identity{Role: other, ID: id.ID}
	n, _, err := s.holder(namesake)
	if err != nil || len(n.Keys) == 0 {
		return err
	}
	return fmt.Errorf("the id is %w by %s", errTaken, namesake)
}

// mayHave reports whether the holder may be given a certificate for a key.
func (h *holder) mayHave(key string) error {
	if h.Blocked != nil {
		return fmt.Errorf("the holder has been %w on %s", errBlocked, h.Blocked.UTC().Format(time.DateTime))
	}
	if h.key(key).Revoked {
		return fmt.Errorf("the key has been %w", errBlocked)
	}
	return nil
}

// key returns the entry of a key, a new one if there is none.
func (h *holder) key(id string) *heldKey {
	for i := range h.Keys {
		if h.Keys[i].ID == id {
			return &h.Keys[i]
		}
	}
	h.Keys = append(h.Keys, heldKey{ID: id})
	return &h.Keys[len(h.Keys)-1]
}

func (h *holder) add(i issued, now time.Time) {
	h.key(i.Key)
	h.Issued = slices.DeleteFunc(h.Issued, func(old issued) bool {
		return now.Sub(old.NotAfter) > keepExpired
	})
	h.Issued = append(h.Issued, i)
}

// holder reads a record; an unknown holder has an empty one.
func (s *store) holder(id mtls.Identity) (*holder, []byte, error) {
	raw, err := s.Get(holdersTable, []byte(id.String()))
	if nosql.IsErrNotFound(err) {
		return &holder{}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var h holder
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, nil, fmt.Errorf("record of %s: %w", id, err)
	}
	return &h, raw, nil
}

// update changes the record of id, again if somebody else was faster.
func (s *store) update(id mtls.Identity, change func(*holder) error) error {
	for {
		h, old, err := s.holder(id)
		if err != nil {
			return err
		}
		if err := change(h); err != nil {
			return err
		}
		raw, err := json.Marshal(h)
		if err != nil {
			return err
		}
		_, swapped, err := s.CmpAndSwap(holdersTable, []byte(id.String()), old, raw)
		if err != nil || swapped {
			return err
		}
	}
}
