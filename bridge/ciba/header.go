package ciba

import (
	"net/http"
	"strconv"
	"time"
)

// parseRetryAfter returns the time from now that a Retry-After header says
// (RFC 9110 section 10.2.3), 0 if it says nothing.
func parseRetryAfter(s string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// parseNonce returns the value of a DPoP-Nonce header, "" if it is not one
// (RFC 9449 section 8.1: NQCHAR).
func parseNonce(s string) string {
	if len(s) > maxNonce {
		return ""
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c == '"' || c == '\\' || c > '~' {
			return ""
		}
	}
	return s
}
