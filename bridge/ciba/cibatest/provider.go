package cibatest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/go-jose/go-jose/v4"
)

// The only client, unless Provider says otherwise.
const (
	ClientID     = "client"
	ClientSecret = "secret"
)

// A Provider answers discovery, key set, backchannel authentication and token
// requests of one client. Set its fields before the first request; they are not
// changed.
type Provider struct {
	// Issuer is the issuer identifier; "" means "https://op.test". The endpoints
	// are below it.
	Issuer string
	// ClientID and ClientSecret are those of the only client; "" means the
	// constants of these names. Both methods, basic and post, are accepted.
	ClientID, ClientSecret string
	// ClientKeys are the client's public keys for private_key_jwt and for signed
	// requests; nil means that neither is accepted.
	ClientKeys []jose.JSONWebKey
	// Delivery is the client's mode, "poll", "ping" or "push"; "" means poll.
	Delivery string
	// Endpoint is the client's notification endpoint, which is called directly, in
	// the goroutine that decides; nil loses all notifications.
	Endpoint http.Handler
	// EditNotification returns what is sent instead of a notification: the same
	// changed, several, or none. nil sends each as it should be.
	EditNotification func(Notification) []Notification
	// RequestAlgs are the algorithms of signed authentication requests; nil means
	// that these are not supported. A signed request must keep to CIBA Core section
	// 7.1.1 and FAPI-CIBA in every detail.
	RequestAlgs []string
	// RequireSignedRequest refuses unsigned ones.
	RequireSignedRequest bool
	// Like is whom the provider imitates: it takes and answers what this profile
	// says, and tells early polls to slow down. The zero profile takes everything.
	Like profile.Profile
	// ClientCertificate accepts the client's certificate for tls_client_auth and
	// self_signed_tls_client_auth; nil means that these methods are not accepted.
	// The provider must then be served by TLS that asks for a certificate.
	ClientCertificate func(*x509.Certificate) bool
	// MTLSBase is the URL below which metadata announces aliases of the endpoints
	// for clients with a certificate; "" for no aliases.
	MTLSBase string
	// Interval is the polling interval; 0 means 5 s.
	Interval time.Duration
	// Lifetime is how long a request lives if the client asks for nothing else; 0
	// means 120 s.
	Lifetime time.Duration
	// Algorithm signs ID tokens; "" means ES256. ES384, ES512, PS256, RS256 and
	// EdDSA work as well.
	Algorithm string
	// Subject resolves a hint (of any kind) to a person; nil takes the hint itself
	// for the subject. If ok is false the answer is unknown_user_id. Of a hint in
	// the format iss_sub, which Like may demand, it gets the subject.
	Subject func(hint string) (sub string, ok bool)
	// AutoApprove approves each request this long after it arrived; 0 leaves it to
	// Approve.
	AutoApprove time.Duration
	// OnRequest is called with each accepted request before it is acknowledged:
	// the phone rings. It may call Approve and the like. It is not called where an
	// e-mail is sent instead.
	OnRequest func(Request)
	// RefreshTokens adds a refresh token to each token response.
	RefreshTokens bool
	// RotateRefreshTokens replaces a refresh token when it is used. To use the old
	// one again revokes all that came of its sign-in.
	RotateRefreshTokens bool
	// RefreshWithoutIDToken leaves the ID token out of refreshed tokens.
	RefreshWithoutIDToken bool

	// LongPoll holds token requests until there is a decision, at most this long.
	LongPoll time.Duration
	// SlowDown answers slow_down to polls that come before their interval has
	// passed, and lengthens it by 5 s. Otherwise they are only counted.
	SlowDown bool
	// RepeatTokens redeems an auth_req_id as often as it is asked to.
	RepeatTokens bool

	// Discovery, Keys, Backchannel, Token and Revocation replace answers of these
	// endpoints; nil replaces none.
	Discovery, Keys, Backchannel, Token, Revocation Script
	// Wires serves connections of DialContext in place of the provider; nil serves
	// all as they should be.
	Wires Wires

	// EditMetadata, EditKeys, EditAck and EditTokens change JSON objects before
	// they are sent; nil changes nothing.
	EditMetadata, EditKeys, EditAck, EditTokens func(map[string]any)
	// EditIDToken changes ID tokens before they are signed, or how; nil changes
	// nothing.
	EditIDToken func(*Draft)

	once sync.Once // guards the creation of mux
	mux  *http.ServeMux

	// mu guards what follows. It is not held while an answer waits or is written.
	mu       sync.Mutex
	key      crypto.Signer // nil until the first use
	keyID    string
	sessions map[string]*session
	jtis     map[string]bool // of the client's assertions
	stats    Stats
	replies  []int
	refresh  map[string]*refreshToken
	recent   []arrival
	vouches  *authority // nil until the first use
	secrets  []string
}

// Stats count what the provider saw.
type Stats struct {
	// Discovery, Keys, Backchannel, Token and Revocation count requests.
	Discovery, Keys, Backchannel, Token, Revocation int
	// Rang counts the authentication requests that were accepted, but for those that
	// became e-mails (Mailed), and Throttled those that were one too many.
	Rang, Mailed, Throttled int
	// Early counts token requests that came before the interval had passed since
	// the one before, or before the Retry-After of its answer, and Overlapping those
	// that came while another one for the same auth_req_id was being answered. What
	// faults answer counts as well.
	Early, Overlapping int
	// AfterEnd counts token requests for an auth_req_id that had already been
	// answered with tokens or a final error.
	AfterEnd int
	// Redeemed counts token responses, Refreshed those to refresh tokens.
	Redeemed, Refreshed int
	// Connections counts those that DialContext was asked for.
	Connections int
}

// Stats returns the counts so far.
func (p *Provider) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// IssuerURL returns the issuer identifier.
func (p *Provider) IssuerURL() string { return orElse(p.Issuer, "https://op.test") }

// ServeHTTP implements [http.Handler].
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.once.Do(p.routes)
	p.mux.ServeHTTP(w, r)
}

func (p *Provider) routes() {
	p.mux = http.NewServeMux()
	base := p.path()
	p.mux.Handle("GET "+base+"/.well-known/openid-configuration", p.scripted(p.Discovery, &p.stats.Discovery, p.serveDiscovery))
	p.mux.Handle("GET "+base+"/jwks", p.scripted(p.Keys, &p.stats.Keys, p.serveKeys))
	p.mux.Handle("POST "+base+"/bc-authorize", p.form(p.scripted(p.Backchannel, &p.stats.Backchannel, p.serveBackchannel)))
	p.mux.Handle("POST "+base+"/revoke", p.form(p.scripted(p.Revocation, &p.stats.Revocation, p.serveRevocation)))
	p.mux.Handle("POST "+base+"/token", p.form(p.watched(p.scripted(p.Token, &p.stats.Token, p.serveToken))))
}

// path returns the path of the issuer without a slash at its end.
func (p *Provider) path() string {
	u, err := url.Parse(p.IssuerURL())
	if err != nil {
		panic("cibatest: Issuer: " + err.Error())
	}
	return strings.TrimSuffix(u.Path, "/")
}

// scripted counts a request and lets the script answer it, or else the truth.
func (p *Provider) scripted(script Script, count *int, truth http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		n := *count
		*count++
		p.mu.Unlock()
		if script != nil {
			if fault := script(n); fault != nil {
				fault(w, r, truth)
				return
			}
		}
		truth(w, r)
	})
}

func (p *Provider) serveKeys(w http.ResponseWriter, _ *http.Request) {
	key, kid := p.signer()
	jwk := jose.JSONWebKey{Key: key.Public(), KeyID: kid, Use: "sig", Algorithm: p.algorithm()}
	m := map[string]any{"keys": []any{jwk}}
	edit(p.EditKeys, m)
	reply(w, http.StatusOK, m)
}

// signer returns the current signing key, made on first use.
func (p *Provider) signer() (crypto.Signer, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.key == nil {
		p.key, p.keyID = newKey(p.algorithm()), rand.Text()
	}
	return p.key, p.keyID
}

// RotateKey replaces the signing key; the key set no longer has the old one.
func (p *Provider) RotateKey() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key, p.keyID = newKey(p.algorithm()), rand.Text()
}

func (p *Provider) algorithm() string { return orElse(p.Algorithm, "ES256") }

func edit(f func(map[string]any), m map[string]any) {
	if f != nil {
		f(m)
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}

// replyError writes an OAuth error (RFC 6749 section 5.2).
func replyError(w http.ResponseWriter, status int, code string) {
	reply(w, status, map[string]any{"error": code, "error_description": "cibatest says " + code})
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
