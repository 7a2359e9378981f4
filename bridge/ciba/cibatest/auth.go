package cibatest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba/profile"
	"github.com/go-jose/go-jose/v4"
)

// maxForm bounds what a client sends, in bytes.
const maxForm = 256 << 10

// form parses the form of a request, and remembers its secrets.
func (p *Provider) form(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			replyError(w, http.StatusBadRequest, "invalid_request")
			return
		}
		p.noteRequest(r)
		next.ServeHTTP(w, r)
	})
}

// authenticated checks who sent a form. If it returns false it has answered.
func (p *Provider) authenticated(w http.ResponseWriter, r *http.Request) bool {
	form, header := r.PostForm, r.Header.Get("Authorization")
	var ok bool
	method := profile.ClientSecretPost
	switch {
	case p.ClientCertificate != nil:
		method = profile.TLSClientAuth
		ok = header == "" && !form.Has("client_assertion") && !form.Has("client_secret") && p.goodCertificate(r)
	case form.Has("client_assertion"):
		method = profile.PrivateKeyJWT
		ok = header == "" && p.goodAssertion(form)
	case header != "":
		method = profile.ClientSecretBasic
		ok = !form.Has("client_secret") && p.goodBasic(header)
	default:
		ok = p.goodSecret(form.Get("client_id"), form.Get("client_secret"))
	}
	if ok = ok && slices.Contains(p.authMethods(), method); !ok {
		replyError(w, http.StatusUnauthorized, "invalid_client")
	}
	return ok
}

// goodCertificate wants the client to name itself (RFC 8705 section 2).
func (p *Provider) goodCertificate(r *http.Request) bool {
	return r.TLS != nil && len(r.TLS.PeerCertificates) > 0 &&
		r.PostForm.Get("client_id") == orElse(p.ClientID, ClientID) &&
		p.ClientCertificate(r.TLS.PeerCertificates[0])
}

func (p *Provider) goodSecret(id, secret string) bool {
	return id == orElse(p.ClientID, ClientID) && secret == orElse(p.ClientSecret, ClientSecret)
}

// goodBasic decodes twice: base64, then the form encoding inside (RFC 6749
// section 2.3.1).
func (p *Provider) goodBasic(header string) bool {
	encoded, _ := strings.CutPrefix(header, "Basic ")
	plain, err := base64.StdEncoding.DecodeString(encoded)
	id, secret, _ := strings.Cut(string(plain), ":")
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	return err == nil && errID == nil && errSecret == nil && p.goodSecret(id, secret)
}

// goodAssertion wants the issuer as the only audience, as FAPI-CIBA does, a life
// of five minutes at most, and a jti that was not used before.
func (p *Provider) goodAssertion(form url.Values) bool {
	algs := []jose.SignatureAlgorithm{jose.PS256, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, jose.RS256}
	jws, err := jose.ParseSignedCompact(form.Get("client_assertion"), algs)
	if err != nil || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return false
	}
	var payload []byte
	for _, k := range p.ClientKeys {
		if k.KeyID == jws.Signatures[0].Protected.KeyID {
			payload, err = jws.Verify(k)
		}
	}
	var claims struct {
		Iss, Sub, Aud, Jti string
		Iat, Exp           int64
	}
	if payload == nil || err != nil || json.Unmarshal(payload, &claims) != nil {
		return false
	}
	id, now := orElse(p.ClientID, ClientID), time.Now().Unix()
	return claims.Iss == id && claims.Sub == id && claims.Aud == p.IssuerURL() &&
		claims.Iat <= now && now < claims.Exp && claims.Exp <= now+300 && p.firstUse(claims.Jti)
}

func (p *Provider) firstUse(jti string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if jti == "" || p.jtis[jti] {
		return false
	}
	if p.jtis == nil {
		p.jtis = make(map[string]bool)
	}
	p.jtis[jti] = true
	return true
}
