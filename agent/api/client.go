package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Client talks to an agent over its socket. It may be used concurrently.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client for the agent that listens at socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket, &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1, IdleConnTimeout: time.Second}}}
}

// SignIn begins a sign-in.
func (c *Client) SignIn(ctx context.Context, r SignInRequest) (s SignIn, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/sign-ins", r, &s)
	return s, err
}

// Get returns the state of a sign-in.
func (c *Client) Get(ctx context.Context, id string) (s SignIn, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/sign-ins/"+id, nil, &s)
	return s, err
}

// Cancel withdraws a sign-in.
func (c *Client) Cancel(ctx context.Context, id string) (s SignIn, err error) {
	err = c.call(ctx, http.MethodDelete, "/v1/sign-ins/"+id, nil, &s)
	return s, err
}

// SignOut ends sessions.
func (c *Client) SignOut(ctx context.Context, r SignOutRequest) (s SignOutAnswer, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/sign-out", r, &s)
	return s, err
}

// Status returns everything.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// maxAnswer bounds an answer and an event, in bytes: a status with sixteen
// sessions of 256 paths each.
const maxAnswer = 1 << 20

// call makes one request. Errors of the agent are a [*Problem].
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("agent at %q: answer: %w", c.socket, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, &text)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no agent at %q: %w", c.socket, withoutURL(err))
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		p := &Problem{Status: resp.StatusCode, Title: resp.Status}
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(p); err != nil {
			return nil, fmt.Errorf("agent at %q: %s", c.socket, resp.Status)
		}
		return nil, p
	}
	return resp, nil
}

// An Event is one of the stream; Data is the JSON of what the type says.
type Event struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// Events yields what happens, beginning with the status, until ctx ends or the
// stream breaks; the last pair then has the error.
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		resp, err := c.do(ctx, http.MethodGet, "/v1/events", nil)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, maxAnswer)
		var e Event
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.Type = value
			case "data":
				e.Data = json.RawMessage(value)
			case "":
				if e.Type != "" && !yield(e, nil) {
					return
				}
				e = Event{}
			}
		}
		err = lines.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF // the agent stops
		}
		yield(Event{}, fmt.Errorf("agent at %q: events: %w", c.socket, err))
	}
}

// withoutURL drops the URL, which says nothing for a socket.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
