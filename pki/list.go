package pki

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// Holder is one identity and what it has.
type Holder struct {
	Identity     string        `json:"identity"`          // urn:carillon:<role>:<id>
	Revoked      *time.Time    `json:"revoked,omitempty"` // since when; nil if it is not
	Note         string        `json:"note,omitempty"`    // why
	Certificates []Certificate `json:"certificates"`      // oldest first; those that ended more than a week ago are left out
}

// Certificate is one certificate of a holder.
type Certificate struct {
	Serial   string    `json:"serial"` // decimal
	NotAfter time.Time `json:"not_after"`
	Revoked  bool      `json:"revoked"`
}

// Filter says which holders to list. Zero fields match everything.
type Filter struct {
	Role mtls.Role
	ID   string
}

// List returns the holders that match, sorted by role and id. It reads all of
// them into memory, a few hundred bytes each, unless the filter names one.
func (a *Authority) List(ctx context.Context, f Filter) ([]Holder, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	holders, err := a.store.list(f)
	if err != nil {
		return nil, fmt.Errorf("listing holders: %w", err)
	}
	return holders, nil
}

func (s *store) list(f Filter) ([]Holder, error) {
	if f.Role != "" && f.ID != "" {
		id := mtls.Identity{Role: f.Role, ID: f.ID}
		h, raw, err := s.holder(id)
		if err != nil || raw == nil {
			return nil, err
		}
		one, err := s.describe(id, h)
		return []Holder{one}, err
	}
	entries, err := s.DB.List(holdersTable)
	if err != nil {
		return nil, err
	}
	var out []Holder
	for _, e := range entries {
		id, err := mtls.ParseIdentity(string(e.Key))
		if err != nil {
			return nil, err
		}
		if (f.Role != "" && id.Role != f.Role) || (f.ID != "" && id.ID != f.ID) {
			continue
		}
		var h holder
		if err := json.Unmarshal(e.Value, &h); err != nil {
			return nil, fmt.Errorf("record of %s: %w", id, err)
		}
		one, err := s.describe(id, &h)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Holder) int { return strings.Compare(a.Identity, b.Identity) })
	return out, nil
}

func (s *store) describe(id mtls.Identity, h *holder) (Holder, error) {
	out := Holder{Identity: id.String(), Revoked: h.Blocked, Note: h.Note, Certificates: []Certificate{}}
	for _, i := range h.Issued {
		revoked, err := s.IsRevoked(i.Serial)
		if err != nil {
			return Holder{}, err
		}
		out.Certificates = append(out.Certificates, Certificate{Serial: i.Serial, NotAfter: i.NotAfter, Revoked: revoked})
	}
	return out, nil
}
