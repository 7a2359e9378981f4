package ciba

import (
	"fmt"
	"io"
	"log/slog"
)

// The types that hold secrets, tokens or personal data print as their name
// alone, with every verb of package fmt and in package log/slog.

const redacted = "(redacted)"

func redact(f fmt.State, name string) { io.WriteString(f, "ciba."+name+redacted) }

// Format implements [fmt.Formatter]; it writes no part of the value.
func (AuthenticationRequest) Format(f fmt.State, _ rune) { redact(f, "AuthenticationRequest") }

// Format implements [fmt.Formatter]; it writes no auth_req_id.
func (a Acknowledgement) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "ciba.Acknowledgement%s{ExpiresIn:%v Interval:%v}", redacted, a.ExpiresIn, a.Interval)
}

// Format implements [fmt.Formatter]; it writes no part of the value.
func (TokenRequest) Format(f fmt.State, _ rune) { redact(f, "TokenRequest") }

// Format implements [fmt.Formatter]; it writes no part of the value.
func (RefreshRequest) Format(f fmt.State, _ rune) { redact(f, "RefreshRequest") }

// Format implements [fmt.Formatter]; it writes no part of the value.
func (SignIn) Format(f fmt.State, _ rune) { redact(f, "SignIn") }

// Format implements [fmt.Formatter]; it writes no key.
func (*NotificationTokens) Format(f fmt.State, _ rune) { redact(f, "NotificationTokens") }

// Format implements [fmt.Formatter]; it writes no part of the value.
func (Tokens) Format(f fmt.State, _ rune) { redact(f, "Tokens") }

// Format implements [fmt.Formatter]; it writes no part of the value.
func (IDToken) Format(f fmt.State, _ rune) { redact(f, "IDToken") }

// Format implements [fmt.Formatter]; it writes no part of the value.
func (Expect) Format(f fmt.State, _ rune) { redact(f, "Expect") }

// Format implements [fmt.Formatter]; it writes no secret.
func (secretBasic) Format(f fmt.State, _ rune) { redact(f, "ClientSecretBasic") }

// Format implements [fmt.Formatter]; it writes no secret.
func (secretPost) Format(f fmt.State, _ rune) { redact(f, "ClientSecretPost") }

// Format implements [fmt.Formatter]; it writes no key.
func (RequestSigning) Format(f fmt.State, _ rune) { redact(f, "RequestSigning") }

// Format implements [fmt.Formatter]; it writes no key.
func (PrivateKey) Format(f fmt.State, _ rune) { redact(f, "PrivateKey") }

// LogValue implements [slog.LogValuer].
func (a AuthenticationRequest) LogValue() slog.Value { return logValue(a) }

// LogValue implements [slog.LogValuer].
func (a Acknowledgement) LogValue() slog.Value { return logValue(a) }

// LogValue implements [slog.LogValuer].
func (r TokenRequest) LogValue() slog.Value { return logValue(r) }

// LogValue implements [slog.LogValuer].
func (r RefreshRequest) LogValue() slog.Value { return logValue(r) }

// LogValue implements [slog.LogValuer].
func (s SignIn) LogValue() slog.Value { return logValue(s) }

// LogValue implements [slog.LogValuer].
func (n *NotificationTokens) LogValue() slog.Value { return logValue(n) }

// LogValue implements [slog.LogValuer].
func (t Tokens) LogValue() slog.Value { return logValue(t) }

// LogValue implements [slog.LogValuer].
func (t IDToken) LogValue() slog.Value { return logValue(t) }

// LogValue implements [slog.LogValuer].
func (e Expect) LogValue() slog.Value { return logValue(e) }

// LogValue implements [slog.LogValuer].
func (s RequestSigning) LogValue() slog.Value { return logValue(s) }

// LogValue implements [slog.LogValuer].
func (k PrivateKey) LogValue() slog.Value { return logValue(k) }

func logValue(v fmt.Formatter) slog.Value { return slog.StringValue(fmt.Sprint(v)) }

// Format implements [fmt.Formatter]; it writes no credentials.
func (c *Client) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "ciba.Client{%s as %s}", c.issuer, c.identity.ClientID)
}
