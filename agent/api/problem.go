package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/carillon-iot/carillon/agent"
)

// A Problem is an error as RFC 9457 writes it.
type Problem struct {
	Type   string `json:"type"` // urn:carillon:problem:…, for programs
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"` // for people
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Detail
}

const problemPrefix = "urn:carillon:problem:"

func problem(status int, name, detail string) *Problem {
	return &Problem{Type: problemPrefix + name, Title: http.StatusText(status), Status: status, Detail: detail}
}

// problemOf says what an error of the agent is to a caller.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	for _, k := range []struct {
		err    error
		status int
		name   string
	}{
		{agent.ErrInvalid, http.StatusBadRequest, "invalid-request"},
		{agent.ErrUnknown, http.StatusNotFound, "not-found"},
		{agent.ErrOpen, http.StatusConflict, "seat-busy"},
		{agent.ErrOver, http.StatusConflict, "over"},
		{agent.ErrFull, http.StatusServiceUnavailable, "too-many-requests"},
		{agent.ErrStore, http.StatusInsufficientStorage, "storage"},
		{agent.ErrStopped, http.StatusServiceUnavailable, "stopping"},
		{context.Canceled, http.StatusServiceUnavailable, "stopping"},
	} {
		if errors.Is(err, k.err) {
			return problem(k.status, k.name, err.Error())
		}
	}
	return problem(http.StatusInternalServerError, "internal", "see the agent's log")
}

func fail(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller is gone
}
