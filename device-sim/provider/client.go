package provider

import (
	"crypto"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/luikyv/go-oidc/pkg/goidc"
)

// DeliveryMode is how a client gets its tokens (CIBA Core section 5).
type DeliveryMode string

// The delivery modes. Push hands out the tokens in one notification; offer it
// only to test a client that supports it.
const (
	Poll DeliveryMode = "poll"
	Ping DeliveryMode = "ping"
	Push DeliveryMode = "push"
)

// AuthMethod is how a client authenticates (OpenID Connect Core section 9).
type AuthMethod string

// The client authentication methods.
const (
	SecretBasic   AuthMethod = "client_secret_basic"
	SecretPost    AuthMethod = "client_secret_post"
	PrivateKeyJWT AuthMethod = "private_key_jwt"
)

// Client is a registered client, typically a bridge.
type Client struct {
	// ID is the client_id.
	ID string
	// Name is shown on the phone. Empty shows the ID.
	Name string
	// AuthMethod at every endpoint. Empty means client_secret_basic.
	AuthMethod AuthMethod
	// Secret for the two secret methods, at least 16 bytes.
	Secret string
	// Keys are the public keys of private_key_jwt (ES256 or PS256), each with
	// a key id and an algorithm.
	Keys []jose.JSONWebKey
	// Scopes it may ask for, besides openid, which every client may. They must
	// exist in the provider.
	Scopes []string
	// Refresh allows refresh tokens to a client that was granted offline_access.
	Refresh bool
	// Delivery mode. Empty means poll.
	Delivery DeliveryMode
	// NotificationURL takes pings and pushes.
	NotificationURL string
}

// clients checks the registrations and returns them by id, defaults filled in.
func (cfg Config) clients() (map[string]Client, error) {
	if len(cfg.Clients) == 0 {
		return nil, fmt.Errorf("clients: none, at least one is needed")
	}
	known := cfg.scopeNames()
	out := make(map[string]Client, len(cfg.Clients))
	for i, c := range cfg.Clients {
		if c.Name == "" {
			c.Name = c.ID
		}
		if c.AuthMethod == "" {
			c.AuthMethod = SecretBasic
		}
		if c.Delivery == "" {
			c.Delivery = Poll
		}
		if _, dup := out[c.ID]; dup || c.ID == "" {
			return nil, fmt.Errorf("clients[%d]: id %q is empty or taken", i, c.ID)
		}
		if err := c.check(known, cfg.DeliveryModes); err != nil {
			return nil, fmt.Errorf("clients[%d] %q: %w", i, c.ID, err)
		}
		out[c.ID] = c
	}
	return out, nil
}

func (c Client) check(scopes []string, modes []DeliveryMode) error {
	if c.AuthMethod == SecretBasic && strings.Contains(c.ID, ":") {
		return fmt.Errorf("client_secret_basic needs an id without colon") // go-oidc splits there
	}
	switch c.AuthMethod {
	case SecretBasic, SecretPost:
		if len(c.Secret) < 16 {
			return fmt.Errorf("secret has %d bytes, at least 16 are needed", len(c.Secret))
		}
	case PrivateKeyJWT:
		if err := checkKeys(c.Keys); err != nil {
			return err
		}
	default:
		return fmt.Errorf("auth method %q is none of client_secret_basic, client_secret_post, private_key_jwt", c.AuthMethod)
	}
	for _, s := range c.Scopes {
		if !slices.Contains(scopes, s) {
			return fmt.Errorf("scope %q is none of %s", s, strings.Join(scopes, " "))
		}
	}
	if !slices.Contains(modes, c.Delivery) {
		return fmt.Errorf("delivery mode %q is none of those offered, %q", c.Delivery, modes)
	}
	if c.Delivery == Poll {
		return nil
	}
	u, err := url.Parse(c.NotificationURL)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return fmt.Errorf("notification URL %q must be https, or http on a loopback host", c.NotificationURL)
	}
	return nil
}

func checkKeys(keys []jose.JSONWebKey) error {
	if len(keys) == 0 {
		return fmt.Errorf("keys: none, private_key_jwt needs one")
	}
	for i, k := range keys {
		if !k.Valid() || !k.IsPublic() {
			return fmt.Errorf("keys[%d] is not a public key", i)
		}
		if k.KeyID == "" || k.Algorithm != string(jose.ES256) && k.Algorithm != string(jose.PS256) {
			return fmt.Errorf("keys[%d]: key id %q and algorithm %q must be set, the algorithm to ES256 or PS256", i, k.KeyID, k.Algorithm)
		}
	}
	return nil
}

// standardScopes exist in every provider.
var standardScopes = []Scope{
	{Name: "profile", Title: "Your name"},
	{Name: "email", Title: "Your e-mail address"},
	{Name: "phone", Title: "Your phone number"},
	{Name: "offline_access", Title: "Stay signed in"},
}

func (cfg Config) scopeNames() []string {
	names := []string{"openid"}
	for _, s := range slices.Concat(standardScopes, cfg.Scopes) {
		names = append(names, s.Name)
	}
	return names
}

func (p *Provider) scopes() []goidc.Scope {
	var out []goidc.Scope
	for _, name := range p.cfg.scopeNames() {
		out = append(out, goidc.NewScope(name))
	}
	return out
}

// scope returns the scope of that name with a title.
func (p *Provider) scope(name string) Scope {
	for _, s := range slices.Concat(standardScopes, p.cfg.Scopes) {
		if s.Name == name && s.Title != "" {
			return s
		}
	}
	return Scope{Name: name, Title: name}
}

func (p *Provider) acrs() []goidc.ACR {
	out := make([]goidc.ACR, len(p.cfg.ACRs))
	for i, acr := range p.cfg.ACRs {
		out[i] = goidc.ACR(acr)
	}
	return out
}

// staticClients is how go-oidc sees the registrations.
func (p *Provider) staticClients() []*goidc.Client {
	var out []*goidc.Client
	for _, c := range p.cfg.Clients {
		c = p.clients[c.ID]
		grants := []goidc.GrantType{goidc.GrantCIBA}
		if c.Refresh {
			grants = append(grants, goidc.GrantRefreshToken)
		}
		meta := goidc.ClientMeta{
			Name:                     c.Name,
			GrantTypes:               grants,
			ScopeIDs:                 strings.Join(append([]string{"openid"}, c.Scopes...), " "),
			TokenAuthnMethod:         goidc.AuthnMethod(c.AuthMethod),
			CIBATokenDeliveryMode:    goidc.CIBATokenDeliveryMode(c.Delivery),
			CIBANotificationEndpoint: c.NotificationURL,
		}
		if c.AuthMethod == PrivateKeyJWT {
			meta.JWKS = &goidc.JSONWebKeySet{Keys: c.Keys}
		}
		out = append(out, &goidc.Client{ID: c.ID, Secret: c.Secret, ClientMeta: meta})
	}
	return out
}

// keyID is the RFC 7638 thumbprint of a public key.
func keyID(pub crypto.PublicKey) (string, error) {
	jwk := jose.JSONWebKey{Key: pub}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64url(sum), nil
}
