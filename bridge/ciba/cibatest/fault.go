package cibatest

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"time"
)

// A Fault answers a request in place of the provider. truth is what the provider
// would have answered.
type Fault func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc)

// A Script chooses the fault for the request number n of an endpoint, counted
// from 0. A nil fault leaves the answer to the provider.
type Script func(n int) Fault

// Always is a script with one fault for all requests.
func Always(f Fault) Script { return func(int) Fault { return f } }

// Sequence is a script with one fault for each of the first requests, of which
// some may be nil, and none for those that follow.
func Sequence(faults ...Fault) Script {
	return func(n int) Fault {
		if n < len(faults) {
			return faults[n]
		}
		return nil
	}
}

// Answer sends any status, media type and body.
func Answer(status int, mediaType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// JSON sends any status and body as application/json.
func JSON(status int, body string) Fault { return Answer(status, "application/json", body) }

// OAuthError sends an error code.
func OAuthError(status int, code string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { replyError(w, status, code) }
}

// SlowDown sends status 400 and slow_down, with a Retry-After header and an
// interval member if these are not 0.
func SlowDown(retryAfter, interval time.Duration) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		m := map[string]any{"error": "slow_down"}
		if interval > 0 {
			m["interval"] = int(interval / time.Second)
		}
		setRetryAfter(w, retryAfter)
		reply(w, http.StatusBadRequest, m)
	}
}

// Busy sends a status such as 429 or 503 with a page of HTML, and a Retry-After
// header if that is not 0.
func Busy(status int, retryAfter time.Duration) Fault {
	page := HTML(status)
	return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		setRetryAfter(w, retryAfter)
		page(w, r, truth)
	}
}

// HTML sends a status and a page where JSON belongs.
func HTML(status int) Fault {
	return Answer(status, "text/html; charset=utf-8", "<!doctype html><title>Welcome</title><h1>It works!</h1>")
}

// Redirect sends a redirection.
func Redirect(status int, location string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		http.Redirect(w, r, location, status)
	}
}

// Huge sends the truth with blanks before it, size bytes in all.
func Huge(size int) Fault {
	return rewrite(func(body []byte) []byte {
		return append(bytes.Repeat([]byte{' '}, max(0, size-len(body))), body...)
	})
}

// TruncatedJSON sends the first half of the truth as if it were all.
func TruncatedJSON() Fault {
	return rewrite(func(body []byte) []byte { return body[:len(body)/2] })
}

// MediaType sends the truth as another media type; "" for none.
func MediaType(mediaType string) Fault {
	return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		a := record(r, truth)
		a.header.Set("Content-Type", mediaType)
		a.send(w)
	}
}

// Status sends the truth with another status.
func Status(status int) Fault {
	return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		a := record(r, truth)
		a.status = status
		a.send(w)
	}
}

// Gzip sends the truth with blanks before it, size bytes in all, compressed as
// nobody has asked for: a small answer that grows.
func Gzip(size int) Fault {
	return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		a := record(r, func(w http.ResponseWriter, r *http.Request) { Huge(size)(w, r, truth) })
		var small bytes.Buffer
		z := gzip.NewWriter(&small)
		z.Write(a.body.Bytes())
		z.Close()
		a.header.Set("Content-Encoding", "gzip")
		a.body = small
		a.send(w)
	}
}

// Parrot sends what something makes of a parameter of the request.
func Parrot(parameter string, something func(value string) Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		something(r.PostForm.Get(parameter))(w, r, truth)
	}
}

// Hangup sends the truth and closes the connection after it, so that the next
// request needs another one.
func Hangup() Fault {
	return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		w.Header().Set("Connection", "close")
		truth(w, r)
	}
}

// BreakOff lets the truth happen, sends half of it and cuts the connection.
func BreakOff() Fault {
	return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		a := record(r, truth)
		w.Header().Set("Content-Type", a.header.Get("Content-Type"))
		w.Header().Set("Content-Length", strconv.Itoa(a.body.Len()))
		w.WriteHeader(a.status)
		w.Write(a.body.Bytes()[:a.body.Len()/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// Lose lets the truth happen and cuts the connection before any answer.
func Lose() Fault {
	return func(_ http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		record(r, truth)
		panic(http.ErrAbortHandler)
	}
}

// Hang sends nothing until the client gives up.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

// Delay sends the truth after a while.
func Delay(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			truth(w, r)
		case <-r.Context().Done():
		}
	}
}

func rewrite(change func([]byte) []byte) Fault {
	return func(w http.ResponseWriter, r *http.Request, truth http.HandlerFunc) {
		a := record(r, truth)
		body := change(a.body.Bytes())
		a.body = *bytes.NewBuffer(body)
		a.send(w)
	}
}

func setRetryAfter(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(d/time.Second)))
	}
}
