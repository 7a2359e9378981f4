package ciba

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// ErrUnknownSignIn is what [NotificationConfig].SignIn returns for an id that it
// does not know.
var ErrUnknownSignIn = errors.New("ciba: unknown sign-in")

// How long a notification's body may take to arrive, and how long it is worked
// on.
const (
	notificationRead = 10 * time.Second
	notificationWork = 30 * time.Second
)

// NotificationConfig is what a [NotificationHandler] needs. All functions may be
// called by several goroutines at once.
type NotificationConfig struct {
	// Client is whose sign-ins are notified. Its Delivery says what to expect:
	// pings or pushes, not both. Required, and not DeliveryPoll.
	Client *Client
	// Tokens minted the client_notification_tokens. Required.
	Tokens *NotificationTokens
	// SignIn returns what is known of a sign-in, ErrUnknownSignIn, or another error
	// if that cannot be told now. A sign-in that has ended should be known, as
	// Ended, for some time: providers repeat themselves. Required.
	SignIn func(ctx context.Context, id string) (SignIn, error)
	// Pinged is told that the provider has decided, one way or the other; it makes
	// [Poll.AfterPing] of the sign-in's Poll. A ping is no proof, and may come
	// twice, late, or before the acknowledgement. Required with DeliveryPing.
	Pinged func(ctx context.Context, id string) error
	// Pushed is given the verified tokens, or the error that ends the sign-in: an
	// [*Error], an [*IDTokenError], or one that is ErrProtocol. It may be called
	// twice for one sign-in; the first call counts. Required with DeliveryPush.
	Pushed func(ctx context.Context, id string, tokens *Tokens, err error) error
	// VerifyPeer checks the provider's own client certificate; the argument is nil
	// without TLS. nil accepts everybody who has a token.
	VerifyPeer func(*tls.ConnectionState) error
	// Logger is told what went wrong, without tokens; nil means slog.Default().
	Logger *slog.Logger
}

// A SignIn is what a caller keeps of a pending sign-in.
type SignIn struct {
	// AuthReqID is Acknowledgement.AuthReqID; "" while the acknowledgement is on its
	// way. A push that comes before it is answered with 503.
	AuthReqID string
	// Expect is what the ID token of a push must say. The handler adds the
	// AuthReqID, the tokens, and Push.
	Expect Expect
	// Ended says that nothing is awaited any more. Whatever is brought then is
	// answered with 204 and passed on to nobody; the other fields are not needed.
	Ended bool
}

// A NotificationHandler is the backchannel_client_notification_endpoint (CIBA
// Core sections 10.2 and 10.3). It has no state, so any replica can serve it.
//
// A notification that is understood is answered with 204, also when it is
// repeated. One whose token, peer, sign-in or auth_req_id is wrong is answered
// with 401, which is the same for all of these. What is not a POST of JSON gets
// another error of 4xx, a passing failure 503, and nothing a redirect. A connection
// ends with an error of 4xx.
type NotificationHandler struct{ cfg NotificationConfig }

// NewNotificationHandler returns the handler. Errors are of type [*FieldError].
func NewNotificationHandler(cfg NotificationConfig) (*NotificationHandler, error) {
	switch {
	case cfg.Client == nil:
		return nil, fieldErrorf("Client", "is missing")
	case cfg.Client.delivery == DeliveryPoll:
		return nil, fieldErrorf("Client", "has Delivery %q, which has no notifications", DeliveryPoll)
	case cfg.Tokens == nil:
		return nil, fieldErrorf("Tokens", "are missing")
	case cfg.SignIn == nil:
		return nil, fieldErrorf("SignIn", "is missing")
	case cfg.Client.delivery == DeliveryPing && cfg.Pinged == nil:
		return nil, fieldErrorf("Pinged", "is missing")
	case cfg.Client.delivery == DeliveryPush && cfg.Pushed == nil:
		return nil, fieldErrorf("Pushed", "is missing")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &NotificationHandler{cfg: cfg}, nil
}

// ServeHTTP implements [http.Handler].
func (h *NotificationHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Whoever calls: the server reads what is left of a body after every answer. Not
	// every server can set a deadline; those that cannot have their own.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(notificationRead))
	w.Header().Set("Cache-Control", "no-store")
	status := h.serve(w, r)
	switch status {
	case http.StatusNoContent:
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if status/100 == 4 { // a stranger's, who must not keep the connection
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(status)
}

// serve returns the status that answers a request.
func (h *NotificationHandler) serve(w http.ResponseWriter, r *http.Request) (status int) {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	id, ok := h.authenticate(r)
	if !ok {
		return http.StatusUnauthorized
	}
	// The work goes on when the provider hangs up: what it brought may be all
	// there is.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), notificationWork)
	defer cancel()
	o, status := readNotification(w, r)
	if status != 0 {
		return status
	}
	return h.handle(ctx, id, o)
}

// authenticate returns the sign-in that the bearer token is for. A stranger who
// has a token is worth a line in the log, and who has none is not.
func (h *NotificationHandler) authenticate(r *http.Request) (id string, ok bool) {
	if id, ok = h.bearer(r); !ok || h.cfg.VerifyPeer == nil {
		return id, ok
	}
	if err := h.cfg.VerifyPeer(r.TLS); err != nil {
		h.cfg.Logger.Warn("notification by a stranger", "sign-in", id, "error", err)
		return "", false
	}
	return id, true
}

func (h *NotificationHandler) bearer(r *http.Request) (id string, ok bool) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return h.cfg.Tokens.Verify(token)
}

// readNotification returns the object of the body, or the status that refuses
// it.
func readNotification(w http.ResponseWriter, r *http.Request) (o object, status int) {
	if !isMediaType(r.Header.Get("Content-Type"), []string{"application/json"}) {
		return nil, http.StatusUnsupportedMediaType
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge
	case err != nil:
		return nil, http.StatusBadRequest
	}
	if o, err = parseObject(body); err != nil {
		return nil, http.StatusBadRequest
	}
	return o, 0
}

// handle returns the status that answers a notification for the sign-in id.
func (h *NotificationHandler) handle(ctx context.Context, id string, o object) int {
	authReqID, err := o.text("auth_req_id", MaxAuthReqID)
	if err != nil || authReqID == "" {
		return http.StatusBadRequest
	}
	s, err := h.cfg.SignIn(ctx, id)
	early := err == nil && s.AuthReqID == ""
	push := h.cfg.Client.delivery == DeliveryPush
	switch {
	case errors.Is(err, ErrUnknownSignIn):
		return http.StatusUnauthorized
	case err != nil:
		h.cfg.Logger.Error("looking up a notified sign-in", "sign-in", id, "error", err)
		return http.StatusServiceUnavailable
	case s.Ended:
		return http.StatusNoContent
	case early && push:
		return http.StatusServiceUnavailable
	case !early && subtle.ConstantTimeCompare([]byte(authReqID), []byte(s.AuthReqID)) != 1:
		return http.StatusUnauthorized
	}
	if push {
		err = h.push(ctx, id, s, o)
	} else {
		err = h.cfg.Pinged(ctx, id)
	}
	if err != nil {
		h.cfg.Logger.Error("taking a notification", "sign-in", id, "error", err)
		return http.StatusServiceUnavailable
	}
	return http.StatusNoContent
}
