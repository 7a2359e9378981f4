package bridge

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/carillon-iot/carillon/bridge/ciba"
	"github.com/carillon-iot/carillon/bridge/store"
	"github.com/carillon-iot/carillon/schemas"
)

// callCode says what a failed authentication request means to the device.
func (b *Bridge) callCode(err error) (schemas.Code, time.Duration) {
	var answer *ciba.Error
	errors.As(err, &answer)
	switch {
	case errors.Is(err, ciba.ErrInterrupted):
		return schemas.Interrupted, 0 // it may be ringing
	case errors.Is(err, ciba.ErrUnavailable):
		return schemas.ProviderUnavailable, retryAfter(answer)
	case errors.Is(err, ciba.ErrUnknownUser):
		return schemas.UnknownPerson, 0
	case errors.Is(err, ciba.ErrDenied):
		return schemas.AccessDenied, 0
	case answer != nil && answer.Code == ciba.CodeInvalidScope:
		return schemas.InvalidScope, 0
	case saidByDevice(err):
		return schemas.Malformed, 0 // nothing that could be sent
	default:
		return schemas.ProviderError, retryAfter(answer)
	}
}

// saidByDevice reports whether a request was not sent for what the device says in
// it. For all else in it the bridge answers, or the provider's metadata.
func saidByDevice(err error) bool {
	field, ok := errors.AsType[*ciba.FieldError](err)
	return ok && slices.Contains(deviceFields, field.Field)
}

// deviceFields are those of an authentication request that the device fills. It
// is read only.
var deviceFields = []string{"Scope", "LoginHint", "LoginHintToken", "IDTokenHint", "ACRValues"}

// pollCode says what a final outcome other than a grant or a denial means to the
// device. err is what the last poll brought; nil if there was none.
func pollCode(outcome ciba.Outcome, err error) (schemas.Code, time.Duration) {
	var answer *ciba.Error
	errors.As(err, &answer)
	switch {
	case outcome == ciba.OutcomeExpired:
		return schemas.Expired, 0
	case outcome == ciba.OutcomeUnavailable:
		return schemas.ProviderUnavailable, retryAfter(answer)
	case outcome == ciba.OutcomeInterrupted, errors.Is(err, ciba.ErrInvalidGrant):
		// The auth_req_id was ours. That the provider does not know it means that
		// an answer with tokens was lost.
		return schemas.Interrupted, 0
	case errors.Is(err, ciba.ErrWrongPerson):
		return schemas.WrongPerson, 0
	default:
		return schemas.ProviderError, retryAfter(answer)
	}
}

// providerRetry is how long a device waits where the provider does not say, and
// maxProviderRetry where it says more: nobody is locked out for hours by a header.
const (
	providerRetry    = 5 * time.Second
	maxProviderRetry = time.Minute
)

func retryAfter(answer *ciba.Error) time.Duration {
	if answer == nil || answer.RetryAfter == 0 {
		return providerRetry
	}
	return min(answer.RetryAfter, maxProviderRetry)
}

// clientRetry is how long a device waits before the next renewal where the
// provider does not accept the bridge, which an operator must put right.
const clientRetry = time.Minute

// renewCode says what a failed refresh means to the device. With a time after
// which to ask again the refresh token is not spent; without one nobody knows,
// or it is no longer good.
func renewCode(err error) (schemas.Code, time.Duration) {
	var answer *ciba.Error
	errors.As(err, &answer)
	var token *ciba.IDTokenError
	switch {
	case errors.Is(err, ciba.ErrInterrupted):
		return schemas.Interrupted, 0
	case errors.Is(err, ciba.ErrUnavailable):
		return schemas.ProviderUnavailable, retryAfter(answer)
	case errors.Is(err, ciba.ErrInvalidClient):
		return schemas.ProviderError, clientRetry
	case errors.Is(err, ciba.ErrInvalidGrant):
		return schemas.UnknownSession, 0
	case errors.Is(err, ciba.ErrDenied):
		return schemas.AccessDenied, 0
	case errors.As(err, &token) && token.Check == ciba.CheckSubject:
		return schemas.WrongPerson, 0
	default:
		return schemas.ProviderError, 0
	}
}

// complain logs what the provider did wrong; an operator must see at once that
// the client is not accepted, or that the settings do not fit the provider.
func (b *Bridge) complain(k store.Key, code schemas.Code, err error) {
	switch code {
	case schemas.UnknownPerson, schemas.AccessDenied, schemas.Expired:
		return // the line of the ended request says it
	}
	b.log.Log(context.Background(), severity(err), "the provider fails a sign-in", "device", k.Device, "request", k.ID, "code", code.String(), "error", err)
}

// severity is the level at which a provider's failure is logged: an error if an
// operator must act.
func severity(err error) slog.Level {
	_, misfit := errors.AsType[*ciba.FieldError](err)
	if errors.Is(err, ciba.ErrInvalidClient) || misfit && !saidByDevice(err) {
		return slog.LevelError
	}
	return slog.LevelWarn
}

func isClosed(err error) bool { return errors.Is(err, store.ErrClosed) }
