package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// maxPatch bounds the body of a PATCH.
const maxPatch = 64 << 10

// errPrecondition: the settings are not those the client last saw.
var errPrecondition = &problem{http.StatusPreconditionFailed, "the settings have changed since"}

// patch saves changes: a JSON merge patch (RFC 7396) of the document that GET
// returns, in which only settings may change. A null removes a path.
func (a *API) patch(w http.ResponseWriter, r *http.Request) {
	granted, branches, ok := a.admit(w, r)
	if !ok {
		return
	}
	if !granted.mayWrite() {
		a.refuse(w, r, granted, &refusal{status: http.StatusForbidden, code: "insufficient_scope",
			detail: "the token does not allow changes", scope: ScopeWrite})
		return
	}
	patch, err := readPatch(w, r, branches)
	if err != nil {
		a.refuse(w, r, granted, err)
		return
	}
	ifMatch := r.Header.Values("If-Match")
	profile, err := a.profiles.change(granted.subject, branches, patch, func(before Profile) error {
		if _, tag := encode(before); len(ifMatch) > 0 && !matches(ifMatch, tag) {
			return errPrecondition
		}
		return nil
	})
	if err != nil {
		a.refuse(w, r, granted, err)
		return
	}
	body, tag := encode(profile)
	w.Header().Set("ETag", tag)
	a.answer(w, r, granted, body, len(patch))
}

// readPatch returns the changed values by path. Errors are a *problem or, for a
// path that the token does not open, a *refusal.
func readPatch(w http.ResponseWriter, r *http.Request, branches []string) (map[string]any, error) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/merge-patch+json" {
		return nil, &problem{http.StatusUnsupportedMediaType, fmt.Sprintf("content type is %q, not application/merge-patch+json", kind)}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPatch))
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		return nil, &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("body is longer than %d bytes", maxPatch)}
	}
	if err != nil {
		return nil, &problem{http.StatusBadRequest, "body could not be read"}
	}
	patch, err := decodePatch(string(body))
	if err != nil {
		return nil, &problem{http.StatusBadRequest, err.Error()}
	}
	for path, value := range patch {
		if err := checkPath(path); err != nil {
			return nil, &problem{http.StatusUnprocessableEntity, err.Error()}
		}
		if err := checkValue(value); value != nil && err != nil {
			return nil, &problem{http.StatusUnprocessableEntity, path + ": " + err.Error()}
		}
		if !within(path, branches) {
			return nil, &refusal{status: http.StatusForbidden, code: "insufficient_scope", detail: "the token does not open the path " + path}
		}
	}
	return patch, nil
}

// decodePatch reads {"settings":{path:value,...}} and nothing else. A repeated
// member is an error, because it says two things.
func decodePatch(body string) (map[string]any, error) {
	var outer struct {
		Settings json.RawMessage `json:"settings"`
	}
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&outer); err != nil {
		return nil, fmt.Errorf("body is not a JSON object with the member settings alone: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("body goes on after the JSON object")
	}
	return decodeObject(outer.Settings)
}

// decodeObject reads one flat JSON object.
func decodeObject(raw []byte) (map[string]any, error) {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("settings is not a JSON object")
	}
	out := map[string]any{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("settings: %w", err)
		}
		path, _ := name.(string)
		if _, dup := out[path]; dup {
			return nil, fmt.Errorf("settings: path %q is repeated", path)
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("settings: %s: %w", path, err)
		}
		if out[path] = value; len(out) > maxSettings {
			return nil, fmt.Errorf("settings: more than %d paths", maxSettings)
		}
	}
	return out, nil
}
