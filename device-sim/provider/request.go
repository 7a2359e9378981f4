package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// Request is a sign-in that waits for a person's decision, as the phone shows it.
type Request struct {
	// ID names the request towards Approve and Deny. It is not the
	// auth_req_id, which stays between provider and client.
	ID string
	// Subject is the person asked.
	Subject string
	// ClientID and ClientName say who asks.
	ClientID, ClientName string
	// Scopes asked for, in the order asked, without openid.
	Scopes []Scope
	// BindingMessage also stands on the device's screen; the person compares.
	// Empty if the client sent none.
	BindingMessage string
	// Purpose says in the client's words what it is for; empty if not said. It
	// comes in the parameter purpose, or in request_context (FAPI-CIBA).
	Purpose string
	// CreatedAt and ExpiresAt are when the request arrived and when it lapses.
	CreatedAt, ExpiresAt time.Time

	decided chan struct{}
}

// Decided is closed once the request was approved or denied, on whatever
// phone. Nothing closes it when the request lapses.
func (r Request) Decided() <-chan struct{} { return r.decided }

// Approval is what a person agrees to.
type Approval struct {
	// Scopes granted, a subset of those asked for; openid is granted always.
	// Nil grants all that was asked for, empty grants openid alone.
	Scopes []string
	// Methods says how the person was recognised, as amr of the ID token (RFC
	// 8176). Nil means {"user"}: somebody was there and touched the phone.
	Methods []string
}

// Errors of Approve and Deny.
var (
	// ErrUnknownRequest: no such request, or it lapsed a while ago.
	ErrUnknownRequest = errors.New("unknown request")
	// ErrDecided: the request was approved or denied before. Nothing changed.
	ErrDecided = errors.New("request is decided already")
	// ErrLapsed: the request expired before the decision. Nothing changed.
	ErrLapsed = errors.New("request has lapsed")
	// ErrScope: the approval holds a scope that was not asked for. The request
	// still waits for a decision.
	ErrScope = errors.New("scope was not asked for")
	// ErrDelivery: the request is approved, but the client's notification
	// endpoint did not take the tokens (push mode), which are lost.
	ErrDelivery = errors.New("tokens were not delivered")
)

// Pending returns the undecided, unexpired requests for a person, oldest first.
func (p *Provider) Pending(subject string) []Request {
	requests, _, _ := p.requests.after(subject, 0)
	return requests
}

// Rings says how many requests for a person were accepted since the start: how
// often the phone rang.
func (p *Provider) Rings(subject string) int { return p.requests.rings(subject) }

// Watch calls ring for every undecided request of a person, those pending now
// first, then each new one as it arrives; each once, in order, in the calling
// goroutine. A slow ring delays the next and misses none but those that were
// decided or lapsed meanwhile. Watch returns ctx.Err() when ctx ends, or an
// error at once if there is no such person.
func (p *Provider) Watch(ctx context.Context, subject string, ring func(Request)) error {
	if _, ok := p.people.bySubject[subject]; !ok {
		return fmt.Errorf("no person has subject %q", subject)
	}
	var seen uint64
	for {
		requests, last, more := p.requests.after(subject, seen)
		for _, r := range requests {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			ring(r)
		}
		seen = last
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Approve ends a request with the person's consent: from now on the client can
// collect its tokens. Of concurrent decisions on one request exactly one
// takes effect; the others get ErrDecided.
//
// In ping mode the client is notified before Approve returns; a failed
// notification is logged and not an error, because the client may poll too.
func (p *Provider) Approve(ctx context.Context, id string, a Approval) error {
	as, err := p.requests.claim(id, func(asked string) error { return checkScopes(a.Scopes, asked) })
	if err != nil {
		return fmt.Errorf("approving request %q: %w", id, err)
	}
	if err := p.fill(as, a); err != nil {
		return fmt.Errorf("approving request %q: %w", id, err)
	}
	err = p.op.GrantCIBARequest(ctx, as.AuthReqID)
	if !p.grants.exists(as.AuthReqID) { // go-oidc says nil when it finds the request expired
		return fmt.Errorf("approving request %q: %w", id, cmp.Or(err, ErrLapsed))
	}
	p.observe(Event{Kind: Approved, RequestID: id, ClientID: as.ClientID, Subject: as.Subject})
	if err == nil {
		return nil
	}
	if p.clients[as.ClientID].Delivery == Push {
		return fmt.Errorf("approving request %q: %w: %w", id, ErrDelivery, err)
	}
	p.logNotification(id, err)
	return nil
}

// Deny ends a request without consent; the client gets access_denied. See
// Approve for concurrency and notifications.
func (p *Provider) Deny(ctx context.Context, id string) error {
	as, err := p.requests.claim(id, nil)
	if err != nil {
		return fmt.Errorf("denying request %q: %w", id, err)
	}
	err = p.op.DenyCIBARequest(ctx, as.AuthReqID, goidc.NewError(goidc.ErrorCodeAccessDenied, "the person denied the request"))
	if !p.requests.denied(id) {
		return fmt.Errorf("denying request %q: %w", id, err)
	}
	p.observe(Event{Kind: Denied, RequestID: id, ClientID: as.ClientID, Subject: as.Subject})
	if err != nil {
		p.logNotification(id, err)
	}
	return nil
}

func (p *Provider) logNotification(id string, err error) {
	p.cfg.Logger.Warn("notification not delivered", "request", id, "error", err)
}

// fill turns an approval into what go-oidc grants. The parameters of the
// request are dropped as far as nobody needs them any more.
func (p *Provider) fill(as *goidc.AuthnSession, a Approval) error {
	as.GrantedScopes = grantedScopes(as.Scopes, a.Scopes)
	as.GrantedResources = goidc.Resources{p.cfg.Resource}
	as.Username = p.people.bySubject[as.Subject].Name
	methods := a.Methods
	if methods == nil {
		methods = []string{"user"}
	}
	as.Store = map[string]any{
		storeRequestID: as.ID,
		storeAMR:       methods,
		storeAuthTime:  time.Now().Unix(),
		storeACR:       p.acr(as.ACRValues),
	}
	as.AuthorizationParameters = goidc.AuthorizationParameters{ClientNotificationToken: as.ClientNotificationToken}
	return p.requests.update(as)
}

// acr picks the first requested class; go-oidc has refused those we do not know.
func (p *Provider) acr(requested string) string {
	if first, _, _ := strings.Cut(strings.TrimSpace(requested), " "); first != "" {
		return first
	}
	return p.cfg.ACRs[0]
}

func checkScopes(granted []string, asked string) error {
	for _, s := range granted {
		if !slices.Contains(strings.Fields(asked), s) {
			return fmt.Errorf("%w: %q is not among %q", ErrScope, s, asked)
		}
	}
	return nil
}

// grantedScopes keeps the order in which the client asked.
func grantedScopes(asked string, granted []string) string {
	if granted == nil {
		return strings.Join(strings.Fields(asked), " ")
	}
	var out []string
	for _, s := range strings.Fields(asked) {
		if s == "openid" || slices.Contains(granted, s) {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}
