package world

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// StealRefreshToken spends a refresh token of a person that the bridge has spent
// before, with the bridge's own secret: the worst thief there is. It returns an
// error unless the provider refuses.
func (w *World) StealRefreshToken(ctx context.Context, p *Person) error {
	token, ok := w.provider.Rotated(p.Subject)
	if !ok {
		return fmt.Errorf("no refresh token of %s was replaced yet", p.Name)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(w.secret))
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: mtls.ClientConfig(w.roots, nil, loopback), DisableKeepAlives: true}}
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("the provider has answered %d to a spent refresh token, want %d", resp.StatusCode, http.StatusBadRequest)
	}
	return nil
}
