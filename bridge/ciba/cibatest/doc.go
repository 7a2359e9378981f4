// Package cibatest is an OpenID provider with CIBA for tests. The zero value of
// [Provider] works and keeps to the specifications; its fields make it
// misbehave in every way that a client must survive.
//
// A Provider is an [http.Handler]. [Provider.Client] returns an HTTP client that
// calls it without a network, which also works in a testing/synctest bubble:
//
//	op := &cibatest.Provider{AutoApprove: 7 * time.Second}
//	client, err := ciba.New(ciba.Config{
//		Issuer:     op.IssuerURL(),
//		ClientID:   cibatest.ClientID,
//		Auth:       ciba.ClientSecretBasic(cibatest.ClientSecret),
//		HTTPClient: op.Client(),
//	})
//
// With Like it is like a known provider, as far as that differs from the
// specification:
//
//	op.Like, err = profile.Named("auth0")
//
// With Delivery "ping" or "push" it calls Endpoint when a request is decided.
//
// # What it can do wrong
//
// An endpoint's [Script] chooses a [Fault] for each request: [Sequence] for the
// first ones, [Always] for all.
//
//	Answer            any status, media type and body
//	JSON              any status, and a body as JSON
//	OAuthError        an error code
//	SlowDown          slow_down, with a Retry-After or an interval if wanted
//	Busy              429 or 503 with a page of HTML, and a Retry-After if wanted
//	HTML              a page where JSON belongs
//	Redirect          3xx
//	Huge              the right answer behind any number of blanks
//	Gzip              the same, compressed
//	TruncatedJSON     half of the right answer, as if it were all
//	MediaType         the right answer as another media type
//	Status            the right answer with another status
//	Parrot            what the client has said, somewhere in an answer
//	BreakOff          half of the right answer, then the end of the connection
//	Lose              the request is acted on, and its answer lost
//	Hang              no answer
//	Delay             the right answer, later
//	Hangup            the right answer, and no further request on the connection
//
// Below HTTP, [Wires] choose what becomes of each connection of
// [Provider.DialContext]: EachWire, OneWire and Unreachable are such choices.
//
//	Unreachable       no connection
//	Stranger          a certificate of an authority that nobody trusts
//	Certificate       one that has expired, or is another host's
//	OldTLS            TLS 1.1 at most
//	NoTLS             HTTP where TLS belongs
//	CutHandshake      the connection ends in the handshake
//	Silence           no answer to it
//	RefuseCertificate the client's certificate is not accepted
//	Reset             the connection ends after the handshake
//	Raw               bytes that need not be HTTP
//	Twice             every answer two times
//
// What is otherwise right can be edited, or come at other times.
//
//	EditMetadata      discovery
//	EditKeys          the key set
//	EditAck           the acknowledgement
//	EditTokens        the token response, also a pushed one
//	EditIDToken       claims, header, algorithm and key of an ID token
//	EditNotification  a ping or push: another, none, several
//	Subject           nobody is called that
//	Interval          polls are to come less often
//	LongPoll          polls are held
//	SlowDown          polls that come too early are told so
//	RepeatTokens      an auth_req_id is redeemed more than once
//
// Package hostile has a list of all these with what must become of a sign-in. A
// nonce cannot be wrong, as CIBA has none.
//
// [Stats] count what a client did, [Provider.Secrets] are what must not turn up in
// its logs.
//
// A Provider keeps everything in memory, has no persons and no screens, and grants
// whatever it is told to. It must never face a network.
package cibatest
