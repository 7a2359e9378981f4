package ciba

import (
	"crypto/subtle"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"
)

// A checker holds the claims of a token whose signature is good against what
// they must be.
type checker struct {
	now            time.Time
	leeway         time.Duration
	issuer, client string
	expect         Expect
	token          *IDToken
	hashes         *claimHashes
	tolerate       []Tolerance
}

// all makes every check (OpenID Connect Core section 3.1.3.7, CIBA Core section
// 10.3.1) and returns the first failure.
func (c *checker) all() error {
	for _, check := range []func() error{
		c.checkIssuer, c.checkSubject, c.checkAudience, c.checkTimes,
		c.checkACR, c.checkAuthTime, c.checkBinding, c.checkPerson,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkIssuer() error {
	if c.token.Issuer != c.issuer {
		return refuse(CheckIssuer, "is not exactly %q", c.issuer)
	}
	return nil
}

// checkSubject does not quote the subject, which is personal.
func (c *checker) checkSubject() error {
	sub := c.token.Subject
	switch {
	case sub == "":
		return refuse(CheckSubject, "is missing")
	case len(sub) > maxSubject:
		return refuse(CheckSubject, "has %d bytes, at most %d are allowed", len(sub), maxSubject)
	case strings.ContainsFunc(sub, func(r rune) bool { return !unicode.IsPrint(r) }):
		return refuse(CheckSubject, "has an unprintable character")
	}
	return nil
}

// checkPerson comes last: that another person has approved can be said of a token
// only that is good in all else.
func (c *checker) checkPerson() error {
	if want := c.expect.Subject; want != "" && subtle.ConstantTimeCompare([]byte(c.token.Subject), []byte(want)) != 1 {
		return &IDTokenError{Check: CheckSubject, Problem: "is another person than expected", wrongPerson: true}
	}
	return nil
}

// checkAudience accepts further audiences only if azp says that the token was
// issued to this client.
func (c *checker) checkAudience() error {
	azp := c.token.AuthorizedParty
	switch {
	case !slices.Contains(c.token.Audience, c.client):
		return refuse(CheckAudience, "does not contain this client")
	case azp != "" && azp != c.client:
		return refuse(CheckParty, "is another client")
	case azp == "" && len(c.token.Audience) > 1:
		return refuse(CheckParty, "is missing, but aud has %d values", len(c.token.Audience))
	}
	return nil
}

func (c *checker) checkTimes() error {
	t, requested := c.token, c.expect.RequestedAt
	switch {
	case t.Expiry.IsZero():
		return refuse(CheckExpiry, "is missing")
	case !c.now.Before(t.Expiry.Add(c.leeway)):
		return refuse(CheckExpiry, "is %v ago", c.now.Sub(t.Expiry).Round(time.Second))
	case t.IssuedAt.IsZero():
		return refuse(CheckIssuedAt, "is missing")
	case t.IssuedAt.After(c.now.Add(c.leeway)):
		return refuse(CheckIssuedAt, "is %v in the future", t.IssuedAt.Sub(c.now).Round(time.Second))
	case !requested.IsZero() && t.IssuedAt.Before(requested.Add(-c.leeway)):
		return refuse(CheckIssuedAt, "is %v before the request", requested.Sub(t.IssuedAt).Round(time.Second))
	case c.hashes.notBefore.After(c.now.Add(c.leeway)):
		return refuse(CheckNotBefore, "is %v in the future", c.hashes.notBefore.Sub(c.now).Round(time.Second))
	}
	return nil
}

func (c *checker) checkACR() error {
	want := c.expect.ACRValues
	if len(want) > 0 && !slices.Contains(want, c.token.ACR) {
		return refuse(CheckACR, "is not one of %q", want)
	}
	return nil
}

func (c *checker) checkAuthTime() error {
	at, requested := c.token.AuthTime, c.expect.RequestedAt
	switch {
	case at.IsZero() && c.expect.RequireAuthTime:
		return refuse(CheckAuthTime, "is missing")
	case at.IsZero():
		return nil
	case at.After(c.now.Add(c.leeway)):
		return refuse(CheckAuthTime, "is %v in the future", at.Sub(c.now).Round(time.Second))
	case !requested.IsZero() && at.Before(requested.Add(-c.leeway)):
		return refuse(CheckAuthTime, "is %v before the request", requested.Sub(at).Round(time.Second))
	}
	return nil
}

// checkBinding holds the claims that tie the ID token to the rest of its answer
// against it.
func (c *checker) checkBinding() error {
	hash := func(token string) string { return halfHash(c.token.Algorithm, token) }
	for _, b := range []struct {
		check       Check
		claim, want string
		applies     bool
	}{
		{CheckAtHash, c.hashes.atHash, hash(c.expect.AccessToken), c.expect.AccessToken != ""},
		{CheckRtHash, c.hashes.rtHash, hash(c.expect.RefreshToken), c.expect.RefreshToken != ""},
		{CheckAuthReqID, c.hashes.authReqID, c.expect.AuthReqID, c.expect.AuthReqID != ""},
	} {
		switch {
		case !b.applies:
		case b.claim == "" && b.check == CheckAtHash && slices.Contains(c.tolerate, ToleratePushWithoutAtHash):
		case b.claim == "" && c.expect.Push:
			return refuse(b.check, "is missing")
		case b.claim != "" && b.claim != b.want:
			return refuse(b.check, "belongs to another answer")
		}
	}
	return nil
}

// halfHash is the left half of a token's hash (OpenID Connect Core section
// 3.1.3.6).
func halfHash(alg, token string) string {
	h := hashOf(jose.SignatureAlgorithm(alg)).New()
	h.Write([]byte(token))
	sum := h.Sum(nil)
	return encodeSegment(sum[:len(sum)/2])
}
