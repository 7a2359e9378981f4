package provider

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	Rang     EventKind = "rang"      // a request was accepted and the phone told
	Approved EventKind = "approved"  // a person agreed
	Denied   EventKind = "denied"    // a person refused
	Redeemed EventKind = "redeemed"  // the client was handed its tokens
	SlowDown EventKind = "slow_down" // the client polled too early
	Renewed  EventKind = "renewed"   // the client was handed others for its refresh token
	Revoked  EventKind = "revoked"   // the client has said that it needs the grant no more
	Replayed EventKind = "replayed"  // a spent auth_req_id or refresh token came back; the grant is revoked
)

// Event is one thing that happened, for whoever watches the provider.
type Event struct {
	Time      time.Time     `json:"time"`
	Kind      EventKind     `json:"kind,omitempty"`
	RequestID string        `json:"request_id,omitempty"` // as Request.ID
	ClientID  string        `json:"client_id,omitempty"`  // the client concerned
	Subject   string        `json:"subject,omitempty"`    // the person concerned
	Interval  time.Duration `json:"interval,omitempty"`   // SlowDown: the interval from now on, in nanoseconds
}

// logError is told every refusal that go-oidc writes.
func (p *Provider) logError(ctx context.Context, err error) {
	level, code := slog.LevelError, goidc.ErrorCodeInternalError
	var refused goidc.Error
	if errors.As(err, &refused) {
		level, code = slog.LevelDebug, refused.Code
	}
	p.cfg.Logger.Log(ctx, level, "request refused", "code", string(code), "error", err)
}
