package settings

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How keys are kept.
const (
	keysFresh   = 10 * time.Minute // fetched again when older
	keysUsable  = 24 * time.Hour   // used that long when the issuer does not answer
	keysPause   = 5 * time.Second  // least time between two fetches
	maxKeys     = 32
	maxDocument = 256 << 10
)

var (
	// errUnknownKey: the issuer publishes no such key.
	errUnknownKey = errors.New("unknown key")
	// errIssuer: the issuer's keys cannot be had now; another time it may work.
	errIssuer = errors.New("the issuer's keys are not available")
)

// keySet is a cache of the issuer's public keys. A key id it does not know
// makes it ask the issuer again, not more often than every keysPause.
type keySet struct {
	cfg   Config
	fetch chan struct{} // holds one token; whoever has it may fetch

	mu        sync.Mutex // guards what follows
	keys      map[string]jose.JSONWebKey
	fetched   time.Time // when keys were
	attempted time.Time // last fetch, successful or not
	failure   error     // of the last fetch
}

func newKeySet(cfg Config) *keySet {
	k := &keySet{cfg: cfg, fetch: make(chan struct{}, 1)}
	k.fetch <- struct{}{}
	return k
}

// find returns the key with an id, for an algorithm. It fails with
// errUnknownKey if the issuer has no such key, with errIssuer if it cannot tell.
func (k *keySet) find(ctx context.Context, id, alg string) (any, error) {
	if key, ok := k.lookup(id, keysFresh); ok {
		return usable(key, alg)
	}
	select {
	case <-k.fetch:
		defer func() { k.fetch <- struct{}{} }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errIssuer, ctx.Err())
	}
	err := k.refresh(ctx, id)
	if key, ok := k.lookup(id, keysUsable); ok {
		return usable(key, alg)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errIssuer, err)
	}
	return nil, fmt.Errorf("%w %q", errUnknownKey, id)
}

// lookup returns a key that was fetched less than maxAge ago.
func (k *keySet) lookup(id string, maxAge time.Duration) (jose.JSONWebKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[id]
	return key, ok && time.Since(k.fetched) < maxAge
}

// refresh fetches the keys, unless the key is there already or somebody asked
// the issuer just before; then it returns what came of that.
func (k *keySet) refresh(ctx context.Context, id string) error {
	if _, ok := k.lookup(id, keysFresh); ok {
		return nil
	}
	k.mu.Lock()
	paused, last := time.Since(k.attempted) < keysPause, k.failure
	k.mu.Unlock()
	if paused {
		return last
	}
	keys, err := k.download(ctx)
	if ctx.Err() != nil { // the device left; that says nothing about the issuer
		return ctx.Err()
	}
	if err != nil {
		k.cfg.Logger.Warn("issuer's keys not fetched", "issuer", k.cfg.Issuer, "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.attempted, k.failure = time.Now(), err
	if err == nil {
		k.keys, k.fetched = keys, k.attempted
	}
	return err
}

// download reads the issuer's metadata and then its keys.
func (k *keySet) download(ctx context.Context) (map[string]jose.JSONWebKey, error) {
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := k.get(ctx, strings.TrimSuffix(k.cfg.Issuer, "/")+"/.well-known/openid-configuration", &metadata); err != nil {
		return nil, err
	}
	if metadata.Issuer != k.cfg.Issuer {
		return nil, fmt.Errorf("metadata is of issuer %q", metadata.Issuer)
	}
	if u, err := url.Parse(metadata.JWKSURI); err != nil || !secure(u) {
		return nil, fmt.Errorf("jwks_uri %q must be https, or http on a loopback host", metadata.JWKSURI)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, metadata.JWKSURI, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d are read", len(set.Keys), maxKeys)
	}
	keys := map[string]jose.JSONWebKey{}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey // a key of a kind unknown here is none of ours
		if json.Unmarshal(raw, &key) == nil && key.KeyID != "" && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			keys[key.KeyID] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no usable key is published")
	}
	return keys, nil
}

// get reads one JSON document.
func (k *keySet) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := k.cfg.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK || kind != "application/json" && kind != "application/jwk-set+json" {
		return fmt.Errorf("GET %s: status %d and type %q, want 200 and JSON", url, resp.StatusCode, kind)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	if len(body) > maxDocument {
		return fmt.Errorf("GET %s: more than %d bytes", url, maxDocument)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}

// usable returns a key as go-jose wants it, if it may verify the algorithm.
func usable(key jose.JSONWebKey, alg string) (any, error) {
	if key.Algorithm != "" && key.Algorithm != alg {
		return nil, fmt.Errorf("%w %q for %s: it is for %s", errUnknownKey, key.KeyID, alg, key.Algorithm)
	}
	if pub, ok := key.Key.(*rsa.PublicKey); ok && pub.N.BitLen() < 2048 {
		return nil, fmt.Errorf("%w %q: RSA of %d bits, at least 2048 are needed", errUnknownKey, key.KeyID, pub.N.BitLen())
	}
	return key.Key, nil
}
