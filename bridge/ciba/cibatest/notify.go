package cibatest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
)

// A Notification is a ping or a push that is about to be sent.
type Notification struct {
	// Request is what it is about.
	Request Request
	// Method, Header and Body make the HTTP request: a POST of JSON with the
	// client's token.
	Method string
	Header http.Header
	// Body is sent as JSON unless it is a string.
	Body any
}

// With returns a copy with another value of a member of Body; nil removes it.
func (n Notification) With(member string, value any) Notification {
	body := map[string]any{}
	for name, v := range n.Body.(map[string]any) {
		body[name] = v
	}
	body[member] = value
	if value == nil {
		delete(body, member)
	}
	n.Body = body
	return n
}

// WithHeader returns a copy with another value of a header; "" removes it.
func (n Notification) WithHeader(name, value string) Notification {
	n.Header = n.Header.Clone()
	n.Header.Set(name, value)
	if value == "" {
		n.Header.Del(name)
	}
	return n
}

// Replies returns the status of the client's answer to each notification, in
// their order.
func (p *Provider) Replies() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]int(nil), p.replies...)
}

func (p *Provider) notifies() bool { return p.Delivery == "ping" || p.Delivery == "push" }

var b64token = regexp.MustCompile(`^[A-Za-z0-9._~+/-]{22,}=*$`)

// goodNotificationToken wants one if the client is notified, and none if not.
func (p *Provider) goodNotificationToken(token string) bool {
	if !p.notifies() {
		return token == ""
	}
	return len(token) <= 1024 && b64token.MatchString(token)
}

// Ping is what a provider sends when a request was decided, in ping mode (CIBA Core
// section 10.2).
func (r Request) Ping() Notification {
	return Notification{
		Request: r,
		Method:  http.MethodPost,
		Header: http.Header{
			"Authorization": {"Bearer " + r.Params.Get("client_notification_token")},
			"Content-Type":  {"application/json"},
		},
		Body: map[string]any{"auth_req_id": r.AuthReqID},
	}
}

// notify tells the client that a request was decided.
func (p *Provider) notify(s *session, to status) {
	n := s.Ping()
	if p.Delivery == "push" {
		n.Body = p.pushed(s, to)
	}
	p.mu.Lock()
	s.pinged = p.Delivery == "ping"
	p.mu.Unlock()
	list := []Notification{n}
	if p.EditNotification != nil {
		list = p.EditNotification(n)
	}
	for _, n := range list {
		p.Send(n)
	}
}

// pushed returns the payload of a push (CIBA Core sections 10.3.1 and 12).
func (p *Provider) pushed(s *session, to status) map[string]any {
	body := map[string]any{}
	switch to {
	case statusDenied:
		body["error"] = "access_denied"
	case statusExpired:
		body["error"] = "expired_token"
	default:
		body = p.tokens(s.Request)
		p.mu.Lock()
		p.stats.Redeemed++
		s.status, s.ended = statusRedeemed, true
		p.mu.Unlock()
	}
	body["auth_req_id"] = s.AuthReqID
	return body
}

// Send sends a notification to Endpoint and returns the status of the answer, 0
// if there is no Endpoint. Tests use it to send what EditNotification kept.
func (p *Provider) Send(n Notification) int {
	if p.Endpoint == nil {
		return 0
	}
	body := []byte(nil)
	if text, ok := n.Body.(string); ok {
		body = []byte(text)
	} else {
		var err error
		if body, err = json.Marshal(n.Body); err != nil {
			panic("cibatest: " + err.Error())
		}
	}
	r, err := http.NewRequest(n.Method, "https://client.test/notify", bytes.NewReader(body))
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	r.Header = n.Header.Clone()
	a := newAnswer()
	a.serve(p.Endpoint, serverSide(r))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies = append(p.replies, a.status)
	return a.status
}
