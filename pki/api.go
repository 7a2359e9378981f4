package pki

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/smallstep/certificates/api"
	"github.com/smallstep/certificates/api/log"
	"github.com/smallstep/certificates/authority"

	"github.com/carillon-iot/carillon/pki/mtls"
)

// handler is the API: the part of step-ca's that devices and the step CLI need,
// each at its path and below /1.0. Not here: SSH, ACME, remote administration,
// and /rekey, because a holder that changes its key enrols anew.
func (a *Authority) handler() http.Handler {
	mux := http.NewServeMux()
	for _, base := range []string{"", "/1.0"} {
		mux.HandleFunc("GET "+base+"/health", api.Health)
		mux.HandleFunc("GET "+base+"/version", api.Version)
		mux.HandleFunc("GET "+base+"/root/{fingerprint}", a.serveRoot)
		mux.HandleFunc("GET "+base+"/roots", api.Roots)
		mux.HandleFunc("GET "+base+"/roots.pem", api.RootsPEM)
		mux.HandleFunc("GET "+base+"/intermediates", api.Intermediates)
		mux.HandleFunc("GET "+base+"/intermediates.pem", api.IntermediatesPEM)
		mux.HandleFunc("GET "+base+"/provisioners", api.Provisioners)
		mux.HandleFunc("GET "+base+"/crl", a.serveCRL)
		mux.HandleFunc("POST "+base+"/sign", a.guarded(a.guardSign, api.Sign))
		mux.HandleFunc("POST "+base+"/renew", a.guarded(a.guardRenew, api.Renew))
		mux.HandleFunc("POST "+base+"/revoke", a.guarded(a.guardRevoke, api.Revoke))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusNotFound, problem(http.StatusNotFound, fmt.Sprintf("this authority has no call %s %s", r.Method, clip(r.URL.Path))))
	})
	return http.MaxBytesHandler(mux, maxBody)
}

// baseContext carries what step-ca's handlers look for.
func (a *Authority) baseContext() context.Context {
	ctx := authority.NewContext(context.Background(), a.step)
	return log.WithErrorLogger(ctx, func(_ http.ResponseWriter, r *http.Request, err error) {
		a.logRefusal(r, err)
	})
}

// logRefusal must never see a token: step-ca keeps it out of the text of its
// errors, and the guard does.
func (a *Authority) logRefusal(r *http.Request, err error) {
	args := []any{"call", r.URL.Path, "from", r.RemoteAddr, "error", err.Error()}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		c := r.TLS.PeerCertificates[0]
		args = append(args, "subject", c.Subject.CommonName, "serial", c.SerialNumber.String())
	}
	a.log.Warn("call refused", args...)
}

// refusal is an answer that a guard gives.
type refusal struct {
	status int
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, err: fmt.Errorf(format, args...)}
}

// guarded lets a call through to step-ca if the guard has nothing against it.
func (a *Authority) guarded(guard func(*http.Request) error, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := guard(r)
		if err == nil {
			a.callStep(next, r).send(w)
			return
		}
		a.logRefusal(r, err)
		answer := &refusal{status: http.StatusInternalServerError, err: errors.New("internal error, see the log of the authority")}
		errors.As(err, &answer)
		reply(w, answer.status, problem(answer.status, answer.Error()))
	}
}

// callStep has step-ca answer one call at a time. The answer is sent later: to
// wait for a caller who does not read would be to let all others wait.
func (a *Authority) callStep(call http.HandlerFunc, r *http.Request) *heldAnswer {
	a.calling.Lock()
	defer a.calling.Unlock()
	held := &heldAnswer{header: make(http.Header), status: http.StatusOK}
	call(held, r)
	return held
}

// heldAnswer is an http.ResponseWriter that keeps an answer until it is sent.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) Header() http.Header         { return h.header }
func (h *heldAnswer) WriteHeader(status int)      { h.status = status }
func (h *heldAnswer) Write(b []byte) (int, error) { return h.body.Write(b) }

func (h *heldAnswer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), h.header)
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes()) // the caller is gone, if anything
}

// problem is the body of a refusal, as step-ca writes it.
func problem(status int, message string) map[string]any {
	return map[string]any{"status": status, "message": message}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller is gone, if anything
}

func (a *Authority) serveRoot(w http.ResponseWriter, r *http.Request) {
	asked := strings.ToLower(strings.ReplaceAll(r.PathValue("fingerprint"), "-", ""))
	if asked != a.RootFingerprint() {
		reply(w, http.StatusNotFound, problem(http.StatusNotFound, "this authority has another root certificate"))
		return
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
	reply(w, http.StatusOK, map[string]string{"ca": string(text)})
}

// serveCRL makes sure that there is a fresh list before step-ca sends it.
func (a *Authority) serveCRL(w http.ResponseWriter, r *http.Request) {
	if _, err := a.CRL(); err != nil {
		a.log.Error("cannot make a revocation list, sending the last one", "error", err)
	}
	api.CRL(w, r)
}

// guardSign admits a token that is genuine, in time, for this authority, and
// asks for something that its role may have. Only then may step-ca write it
// down as used, which it does before it looks at the signature.
func (a *Authority) guardSign(r *http.Request) error {
	var body struct {
		CSR string `json:"csr"`
		OTT string `json:"ott"`
	}
	if err := peek(r, &body); err != nil {
		return err
	}
	claims, err := a.verifyToken(body.OTT, "sign")
	if err != nil {
		return err
	}
	id := mtls.Identity{Role: mtls.Role(claims.Issuer), ID: claims.Subject}
	block, _ := pem.Decode([]byte(body.CSR))
	if block == nil {
		return refuse(http.StatusBadRequest, "no certificate request in PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return refuse(http.StatusBadRequest, "certificate request: %w", err)
	}
	if c := claims.Confirmation; c != nil && c.Request != "" && c.Request != requestHash(csr.Raw) {
		return refuse(http.StatusForbidden, "the token is bound to another certificate request")
	}
	if err := claims.mayAsk(id, csr); err != nil {
		return refuse(http.StatusForbidden, "%w", err)
	}
	return a.guardHolder(id, csr.PublicKey)
}

// guardRenew admits a certificate whose holder and key have not been revoked.
// That the certificate itself has not is for step-ca to say; a certificate that
// is missing in the database, after a restore, it would renew.
func (a *Authority) guardRenew(r *http.Request) error {
	// step-ca would take a signed token in the place of the certificate in the
	// connection. One way in is enough.
	r.Header.Del("Authorization")
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return refuse(http.StatusBadRequest, "no client certificate: a renewal shows the certificate to be renewed")
	}
	leaf := r.TLS.PeerCertificates[0]
	id, err := mtls.IdentityOf(leaf)
	if err != nil {
		return refuse(http.StatusForbidden, "%w", err)
	}
	return a.guardHolder(id, leaf.PublicKey)
}

// guardRevoke admits a genuine token, or a holder that revokes itself.
func (a *Authority) guardRevoke(r *http.Request) error {
	var body struct {
		OTT string `json:"ott"`
	}
	if err := peek(r, &body); err != nil || body.OTT == "" {
		return err
	}
	_, err := a.verifyToken(body.OTT, "revoke")
	return err
}

func (a *Authority) guardHolder(id mtls.Identity, pub any) error {
	err := a.mayHave(id, pub)
	switch {
	case errors.Is(err, errBlocked):
		return refuse(http.StatusUnauthorized, "%s: %w", id, err)
	case errors.Is(err, errTaken):
		return refuse(http.StatusForbidden, "%s: %w", id, err)
	}
	return err
}

// peek decodes the body of a call and puts it back.
func peek(r *http.Request, into any) error {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return refuse(http.StatusRequestEntityTooLarge, "the call is larger than %d bytes", tooLarge.Limit)
		}
		return refuse(http.StatusBadRequest, "reading the call: %w", err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return refuse(http.StatusBadRequest, "the call is not JSON: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return nil
}
