package pki

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// adminSocket is where a running authority takes orders from this machine: a
// socket that nobody but the owner of the directory can open. The database has
// room for one process only, and an order must not have to wait for the
// authority to be stopped.
const adminSocket = "admin.sock"

// RunAdmin serves List, Revoke, RevokeSerial and Reinstate on a unix socket in
// dir, for [Connect], until ctx ends. A socket that an authority left behind
// when it was killed is replaced: whoever has opened the authority is the only
// one who can be using it.
func (a *Authority) RunAdmin(ctx context.Context, dir string) error {
	name := filepath.Join(dir, adminSocket)
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("socket for administration: %w", err)
	}
	listener, err := net.Listen("unix", name)
	if err != nil {
		return fmt.Errorf("socket for administration (its path may have at most 107 bytes): %w", err)
	}
	if err := os.Chmod(name, 0o600); err != nil {
		return errors.Join(fmt.Errorf("socket for administration: %w", err), listener.Close())
	}
	server := &http.Server{
		Handler:           http.MaxBytesHandler(a.adminHandler(), maxBody),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("socket for administration: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err = server.Shutdown(grace)
	<-failed
	return err
}

// order is the body of a call to the socket for administration. Each call reads
// the fields that it needs.
type order struct {
	Role     mtls.Role `json:"role,omitempty"`
	ID       string    `json:"id,omitempty"`
	Serial   string    `json:"serial,omitempty"`
	Reason   Reason    `json:"reason,omitempty"`
	Note     string    `json:"note,omitempty"`
	SameKeys bool      `json:"same_keys,omitempty"`
}

// outcome is the body of every answer.
type outcome struct {
	Holders []Holder `json:"holders,omitempty"`
	Serials []string `json:"serials,omitempty"`
	Error   string   `json:"error,omitempty"`
	Unknown bool     `json:"unknown,omitempty"` // the error is an ErrUnknown
}

func (a *Authority) adminHandler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, do func(context.Context, order) (outcome, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var o order
			if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
				reply(w, http.StatusBadRequest, outcome{Error: err.Error()})
				return
			}
			out, err := do(r.Context(), o)
			if err != nil {
				reply(w, http.StatusUnprocessableEntity, outcome{Error: err.Error(), Unknown: errors.Is(err, ErrUnknown)})
				return
			}
			reply(w, http.StatusOK, out)
		})
	}
	handle("/list", func(ctx context.Context, o order) (out outcome, err error) {
		out.Holders, err = a.List(ctx, Filter{Role: o.Role, ID: o.ID})
		return out, err
	})
	handle("/revoke", func(ctx context.Context, o order) (out outcome, err error) {
		out.Serials, err = a.Revoke(ctx, mtls.Identity{Role: o.Role, ID: o.ID}, o.Reason, o.Note)
		return out, err
	})
	handle("/revoke-serial", func(ctx context.Context, o order) (out outcome, err error) {
		serial, ok := new(big.Int).SetString(o.Serial, 10)
		if !ok {
			return out, fmt.Errorf("serial number %q is not decimal", o.Serial)
		}
		out.Serials, err = a.RevokeSerial(ctx, serial, o.Reason, o.Note)
		return out, err
	})
	handle("/reinstate", func(ctx context.Context, o order) (outcome, error) {
		return outcome{}, a.Reinstate(ctx, mtls.Identity{Role: o.Role, ID: o.ID}, o.SameKeys)
	})
	return mux
}

// Remote gives orders to an authority that is running on this machine. It has
// the methods of [Authority] for that.
type Remote struct {
	http *http.Client
}

// ErrNotRunning means that no authority is running from a directory.
var ErrNotRunning = errors.New("no authority is running")

// Connect reaches the authority that runs from dir. It fails with
// [ErrNotRunning] if there is none; the caller can then [Open] it.
func Connect(ctx context.Context, dir string) (*Remote, error) {
	name := filepath.Join(dir, adminSocket)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", name)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		if os.IsPermission(err) {
			return nil, fmt.Errorf("reaching the running authority: %w", err)
		}
		return nil, fmt.Errorf("%w from %q: %w", ErrNotRunning, dir, err)
	}
	_ = conn.Close()
	return &Remote{http: &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		Timeout:   2 * time.Minute,
	}}, nil
}

// List is [Authority.List] of the running authority.
func (r *Remote) List(ctx context.Context, f Filter) ([]Holder, error) {
	out, err := r.call(ctx, "/list", order{Role: f.Role, ID: f.ID})
	return out.Holders, err
}

// Revoke is [Authority.Revoke] of the running authority.
func (r *Remote) Revoke(ctx context.Context, id mtls.Identity, reason Reason, note string) ([]string, error) {
	out, err := r.call(ctx, "/revoke", order{Role: id.Role, ID: id.ID, Reason: reason, Note: note})
	return out.Serials, err
}

// RevokeSerial is [Authority.RevokeSerial] of the running authority.
func (r *Remote) RevokeSerial(ctx context.Context, serial *big.Int, reason Reason, note string) ([]string, error) {
	out, err := r.call(ctx, "/revoke-serial", order{Serial: serial.String(), Reason: reason, Note: note})
	return out.Serials, err
}

// Reinstate is [Authority.Reinstate] of the running authority.
func (r *Remote) Reinstate(ctx context.Context, id mtls.Identity, sameKeys bool) error {
	_, err := r.call(ctx, "/reinstate", order{Role: id.Role, ID: id.ID, SameKeys: sameKeys})
	return err
}

// Close does nothing: there is no connection between calls. It makes a Remote
// and an Authority interchangeable.
func (r *Remote) Close() error { return nil }

func (r *Remote) call(ctx context.Context, path string, o order) (outcome, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return outcome{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://authority"+path, bytes.NewReader(body))
	if err != nil {
		return outcome{}, err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return outcome{}, fmt.Errorf("asking the running authority: %w", err)
	}
	defer resp.Body.Close()
	var out outcome
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		return outcome{}, fmt.Errorf("the running authority's answer (%s): %w", resp.Status, err)
	}
	switch {
	case out.Unknown:
		return outcome{}, &remoteError{text: out.Error, is: ErrUnknown}
	case out.Error != "":
		return outcome{}, errors.New(out.Error)
	case resp.StatusCode != http.StatusOK:
		return outcome{}, fmt.Errorf("the running authority answered %s", resp.Status)
	}
	return out, nil
}

// remoteError is an error that has lost its chain on the way here.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }
