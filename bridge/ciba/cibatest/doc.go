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
// With Delivery "ping" or "push" it calls Endpoint when a request is decided, and
// EditNotification makes what it sends there as wrong as anybody likes.
//
// It keeps everything in memory, has no persons and no screens, and grants
// whatever it is told to. It must never face a network.
package cibatest
