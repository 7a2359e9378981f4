package settings_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/carillon-iot/carillon/device-sim/provider"
)

// signIn signs a person in with the scopes seat and light, of which the person
// grants seat, and returns access token and ID token.
func signIn(t *testing.T, op *provider.Provider, p provider.Person, secret string) (access, id string) {
	t.Helper()
	post := func(path string, form url.Values) map[string]any {
		form.Set("client_id", "bridge")
		form.Set("client_secret", secret)
		req := httptest.NewRequest(http.MethodPost, op.Issuer()+path, strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		op.ServeHTTP(rec, req)
		var answer map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || rec.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
		}
		return answer
	}
	ack := post("/bc-authorize", url.Values{"scope": {"openid seat light"}, "login_hint": {p.Email}})
	if err := op.Approve(t.Context(), op.Pending(p.Subject)[0].ID, provider.Approval{Scopes: []string{"seat"}}); err != nil {
		t.Fatal(err)
	}
	tokens := post("/token", url.Values{
		"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {ack["auth_req_id"].(string)},
	})
	return tokens["access_token"].(string), tokens["id_token"].(string)
}
