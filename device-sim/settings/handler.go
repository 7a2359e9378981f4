package settings

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// document is what GET returns and PATCH returns after the change.
type document struct {
	VSS      string         `json:"vss"`
	Person   person         `json:"person"`
	Settings map[string]any `json:"settings"`
}

type person struct {
	Name string `json:"name"`
}

// ServeHTTP serves the API.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	a.mux.ServeHTTP(w, r)
}

func (a *API) get(w http.ResponseWriter, r *http.Request) {
	granted, branches, ok := a.admit(w, r)
	if !ok {
		return
	}
	profile, ok := a.profiles.get(granted.subject, branches)
	if !ok {
		a.refuse(w, r, granted, errNobody)
		return
	}
	body, tag := encode(profile)
	w.Header().Set("ETag", tag)
	w.Header().Set("Vary", "Authorization")
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		a.observe(Event{Method: r.Method, Status: http.StatusNotModified, Subject: granted.subject})
		return
	}
	a.answer(w, r, granted, body, len(profile.Settings))
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, granted access, body []byte, paths int) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the device may be gone
	a.observe(Event{Method: r.Method, Status: http.StatusOK, Subject: granted.subject, Paths: paths, Bytes: len(body)})
}

// admit verifies the token and returns the branches it opens. It has answered
// if it returns false.
func (a *API) admit(w http.ResponseWriter, r *http.Request) (access, []string, bool) {
	granted, err := a.tokens.verify(r)
	branches := opened(granted.scopes)
	if err == nil && len(branches) == 0 {
		err = &refusal{status: http.StatusForbidden, code: "insufficient_scope",
			detail: "the token has none of the scopes of settings", scope: readScopes}
	}
	if err == nil {
		return granted, branches, true
	}
	a.refuse(w, r, granted, err)
	return granted, nil, false
}

// problem is a request refused for another reason than its token.
type problem struct {
	status int
	detail string
}

func (p *problem) Error() string { return p.detail }

// refuse answers a request that is not served: for its token (a *refusal), for
// itself (a *problem), or because the issuer is in trouble (any other error).
func (a *API) refuse(w http.ResponseWriter, r *http.Request, granted access, err error) {
	a.cfg.Logger.Debug("request refused", "method", r.Method, "error", err)
	if refused, ok := errors.AsType[*refusal](err); ok {
		w.Header().Set("WWW-Authenticate", refused.challenge())
		a.fail(w, r, granted, refused.status, refused.detail)
		return
	}
	if wrong, ok := errors.AsType[*problem](err); ok {
		a.fail(w, r, granted, wrong.status, wrong.detail)
		return
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(keysPause.Seconds())))
	a.fail(w, r, granted, http.StatusServiceUnavailable, errIssuer.Error())
}

// fail answers with a problem of RFC 9457.
func (a *API) fail(w http.ResponseWriter, r *http.Request, granted access, status int, detail string) {
	body, _ := json.Marshal(struct { // texts and a number: it cannot fail
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the device may be gone
	a.observe(Event{Method: r.Method, Status: status, Subject: granted.subject, Bytes: len(body)})
}

func (a *API) wrongMethod(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, HEAD, PATCH")
	a.fail(w, r, access{}, http.StatusMethodNotAllowed, "the methods are GET, HEAD and PATCH")
}

func (a *API) notFound(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, access{}, http.StatusNotFound, "the only resource is "+Path)
}

func (a *API) observe(e Event) {
	if a.cfg.Observe != nil {
		a.cfg.Observe(e)
	}
}

// encode returns the JSON of a profile, members sorted, and its entity tag.
func encode(p Profile) (body []byte, tag string) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(document{Version, person{p.Name}, p.Settings}) // checked values: it cannot fail
	body = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	sum := sha256.Sum256(body)
	return body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// matches reports whether a header of entity tags names this one, compared
// weakly (RFC 9110 section 13.1.2).
func matches(headers []string, tag string) bool {
	for _, list := range headers {
		for one := range strings.SplitSeq(list, ",") {
			one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
			if one == "*" || one == tag {
				return true
			}
		}
	}
	return false
}

// mayWrite reports whether the token may write.
func (g access) mayWrite() bool { return slices.Contains(g.scopes, ScopeWrite) }
