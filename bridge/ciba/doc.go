// Package ciba is a client for OpenID Connect Client-Initiated Backchannel
// Authentication (CIBA Core 1.0): it asks a provider to ring a person's phone
// and collects the tokens once that person has agreed.
//
// A sign-in is two requests. [Client.RequestAuthentication] names a person and
// returns an [Acknowledgement]; [Client.RequestToken] asks, as often as the
// provider allows, whether the person has decided, and returns verified
// [Tokens] when they have. [Client.Wait] does the asking for programs with one
// sign-in at a time:
//
//	client, err := ciba.New(ciba.Config{
//		Issuer:   "https://op.example.com",
//		ClientID: "till-7",
//		Auth:     ciba.ClientSecretBasic(secret),
//	})
//	ack, err := client.RequestAuthentication(ctx, ciba.AuthenticationRequest{
//		Scope:          []string{"openid"},
//		LoginHint:      "anna@example.com",
//		BindingMessage: client.Profile().Binding.New(),
//	})
//	tokens, err := client.Wait(ctx, ack, ciba.Expect{Subject: "248289761001"})
//
// # Many sign-ins
//
// A program with thousands of pending sign-ins, or one that must survive its
// own death, keeps a [Poll] per sign-in instead: a plain value that says when the
// next request is due and, given an answer, what follows. It holds every rule of
// polling (CIBA Core section 7.3 and 11, RFC 8628 section 3.5) and touches
// neither clock nor network, so it can live in a database row and be advanced by
// whichever process claims the row. While the person makes up their mind there is
// no goroutine, no timer and no connection, just the value:
//
//	sent := time.Now()
//	tokens, err := client.RequestToken(ctx, ciba.TokenRequest{AuthReqID: id, Expect: expect})
//	poll, outcome := poll.After(sent, time.Now(), err)
//	if outcome == ciba.OutcomePending {
//		// store poll; ask again at poll.Due
//	}
//
// # Delivery
//
// A client is registered for one way to learn of the decision ([DeliveryMode]).
// With ping the provider says when to ask, and with push it brings the tokens;
// a [NotificationHandler] takes both in, on any replica, as the only state is
// the caller's own. [NotificationTokens] mint the secrets that the provider
// proves itself with. Pings get lost, so a [NewPingPoll] asks now and then
// without one.
//
//	           poll           ping              push
//	pending    NewPoll        NewPingPoll       nothing to do
//	decided    RequestToken   Poll.AfterPing,   NotificationConfig.Pushed
//	           when it is     then              has the verified tokens
//	           due            RequestToken
//	later      Client.Refresh, Client.Revoke
//
// # Who is the client, and what is asked
//
// Clients prove themselves with a secret ([ClientSecretBasic],
// [ClientSecretPost]), a key ([PrivateKeyJWT]) or a certificate ([TLSClientAuth],
// [SelfSignedTLSClientAuth], with [Config].Certificate). Keys are
// [crypto.Signer]s and may be in hardware. [RequestSigning] signs authentication
// requests as a whole. What they ask for beyond a scope goes into
// AuthorizationDetails, Resource, Audience and RequestContext of an
// [AuthenticationRequest].
//
// # Which provider it is
//
// Providers differ from the specification in ways that no metadata tells: Auth0
// wants a login hint to be a JSON object, Keycloak has a name of its own for an
// unknown person. [Config].Profile says in what; package profile has the rows
// that are known. A client refuses what its provider would refuse, before it
// sends anything; writes a plain login hint as the provider wants it; and reads
// an error as what it means there. The profile "fapi-ciba" holds a client to
// FAPI-CIBA.
//
// # What is checked
//
// Tokens are never returned unverified: the ID token's signature (asymmetric
// algorithms only), type, issuer, audience, authorized party, times, hashes and,
// on demand, subject, acr and auth_time are checked first ([Expect]). Provider
// answers are read with a size limit, a strict media type, no redirects, and
// JSON in which a repeated member is an error.
//
// # Errors
//
// Every error of the methods of Client answers [errors.Is] for exactly the
// classes it belongs to, such as [ErrDenied], [ErrExpired], [ErrUnavailable] or
// [ErrProtocol]. A provider's own error answer is an [*Error]; a refused ID
// token is an [*IDTokenError]; a request that was never sent because a field of
// it is wrong is a [*FieldError].
//
// No error text, and no value printed with the fmt or log/slog packages, contains
// a secret, a token, an auth_req_id or a hint. As a provider may repeat these
// wherever it writes, texts have none of its words but registered ones, codes
// made of letters, and what its metadata says; [Error].Description has the rest.
package ciba
