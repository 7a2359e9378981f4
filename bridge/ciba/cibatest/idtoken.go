package cibatest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A Draft is an ID token that is about to be signed.
type Draft struct {
	// Header has further members of the header, such as typ. alg and kid are made
	// from Algorithm and KeyID.
	Header map[string]any
	// Claims are iss, sub, aud, exp, iat, auth_time, at_hash, acr if the client asked
	// for one, and the auth_req_id and rt_hash of a push.
	Claims map[string]any
	// Algorithm, Key and KeyID are those of the provider. With the algorithm
	// "none" there is no signature; with "HS256" Key is a []byte.
	Algorithm string
	Key       any
	KeyID     string
	// Request is what the token answers, AccessToken and RefreshToken what comes
	// with it.
	Request                   Request
	AccessToken, RefreshToken string
}

// Hash returns the value of an at_hash or rt_hash claim.
func (d *Draft) Hash(token string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(d.Algorithm, "256"):
		s := sha256.Sum256([]byte(token))
		sum = s[:]
	case strings.HasSuffix(d.Algorithm, "384"):
		s := sha512.Sum384([]byte(token))
		sum = s[:]
	default:
		s := sha512.Sum512([]byte(token))
		sum = s[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// idToken makes the ID token for an approved request.
func (p *Provider) idToken(r Request, access, refresh string) string {
	key, kid := p.signer()
	now := time.Now()
	d := &Draft{
		Header:    map[string]any{},
		Algorithm: p.algorithm(), Key: key, KeyID: kid,
		Request: r, AccessToken: access, RefreshToken: refresh,
	}
	d.Claims = map[string]any{
		"iss":       p.IssuerURL(),
		"sub":       r.Subject,
		"aud":       orElse(p.ClientID, ClientID),
		"iat":       now.Unix(),
		"exp":       now.Add(5 * time.Minute).Unix(),
		"auth_time": now.Unix(),
		"at_hash":   d.Hash(access),
	}
	if acr := strings.Fields(r.Params.Get("acr_values")); len(acr) > 0 {
		d.Claims["acr"] = acr[0]
	}
	if p.Delivery == "push" {
		d.Claims["urn:openid:params:jwt:claim:auth_req_id"] = r.AuthReqID
		if refresh != "" {
			d.Claims["urn:openid:params:jwt:claim:rt_hash"] = d.Hash(refresh)
		}
	}
	if p.EditIDToken != nil {
		p.EditIDToken(d)
	}
	return d.sign()
}

func (d *Draft) sign() string {
	claims, err := json.Marshal(d.Claims)
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	if d.Algorithm == "none" {
		return unsigned(map[string]any{"alg": "none"}, claims)
	}
	opts := &jose.SignerOptions{}
	for name, value := range d.Header {
		opts.WithHeader(jose.HeaderKey(name), value)
	}
	if d.KeyID != "" {
		opts.WithHeader("kid", d.KeyID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(d.Algorithm), Key: d.Key}, opts)
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	jws, err := signer.Sign(claims)
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	return token
}

func unsigned(header map[string]any, claims []byte) string {
	h, err := json.Marshal(header)
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(claims) + "."
}

// newKey makes a key for a JWS algorithm.
func newKey(alg string) crypto.Signer {
	var key crypto.Signer
	var err error
	switch {
	case alg == "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case alg == "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case alg == "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case alg == "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case strings.HasPrefix(alg, "RS"), strings.HasPrefix(alg, "PS"):
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		panic("cibatest: Algorithm " + alg + " is not supported")
	}
	if err != nil {
		panic("cibatest: " + err.Error())
	}
	return key
}
